"""The medeor command, timed from outside as a user meets it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.machine import environment
from bench.workload import ROOT, Row, run_of
from medeor.contracts import Measure
from medeor.files import read_json, write_json


def program() -> str:
    """The `medeor` beside this interpreter."""
    return str(Path(sys.executable).parent / "medeor")


def medeor(*arguments: str | Path, threads: int, **variables: str) -> float:
    """Runs the command and returns its wall time in seconds. Raises: CalledProcessError with its messages shown."""
    began = time.perf_counter()
    subprocess.run(
        [program(), *map(str, arguments)],
        check=True,
        cwd=ROOT,
        env={**environment(threads), **variables},
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def trained(data: str, seed: int, threads: int) -> Path:
    """The finished run of `medeor train DATA --set seed=SEED`, with its wall time in `seconds.json`. One that was
    interrupted is begun anew, so that its time is that of one go."""
    folder = run_of(data, seed)
    if not (folder / "seconds.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        seconds = medeor("train", data, "--set", f"seed={seed}", "--out", folder, "--quiet", threads=threads)
        write_json(folder / "seconds.json", {"seconds": seconds, "threads": threads})
    return folder


def start(row: Row) -> dict[str, Measure]:
    """The best of many starts: the others are the machine's."""
    times = [medeor("--help", threads=row.threads) for _ in range(row.workload.repeats)]
    return {"seconds": Measure(min(times), min(times), max(times), len(times))}


def first_result(row: Row) -> dict[str, Measure]:
    """From nothing, with an empty cache, to a run with its report and bundle."""
    shutil.rmtree(row.place, ignore_errors=True)
    out = row.place / "run"
    cache = row.place / "cache"
    seconds = medeor("train", row.data, "--out", out, "--quiet", threads=row.threads, MEDEOR_CACHE=str(cache))
    missing = [name for name in ("metrics.json", "report.html", "run.medeor") if not (out / name).exists()]
    if missing:
        raise FileNotFoundError(f"{out} lacks {', '.join(missing)}")
    return {"seconds": Measure(seconds)}


def scores(row: Row) -> dict[str, Measure]:
    """The test part, scored once a seed."""
    folder = trained(row.data, row.seed, row.threads)
    metrics = read_json(folder / "metrics.json")["test"]
    wanted = ("auroc", "accuracy", "ece", "baseline/auroc", "baseline/accuracy")
    return {name: Measure(**metrics[name]) for name in wanted if name in metrics}


def known_path(name: str) -> Path:
    """Where a known data set lies."""
    from medeor import catalogue
    from medeor.console import Console

    return Path(catalogue.locate(name, Console(quiet=True)))
