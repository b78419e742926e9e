"""The same plan and seed give the same bits, also when the run was stopped or killed on its way."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

from bench.machine import environment
from bench.rows.commands import medeor, program
from bench.workload import ROOT, Row
from medeor.contracts import Measure
from medeor.files import digest


def same(row: Row) -> dict[str, Measure]:
    """1 where every network has the same SHA-256 as that of the undisturbed run, else 0."""
    shutil.rmtree(row.place, ignore_errors=True)
    settings = [f"{key}={value}" for key, value in {**row.workload.settings, "seed": str(row.seed)}.items()]
    command = ["train", row.data, "--quiet", *(word for one in settings for word in ("--set", one)), "--out"]
    undisturbed = row.place / "undisturbed"
    medeor(*command, undisturbed, threads=row.threads)
    expected = weights(undisturbed)
    again = row.place / "again"
    medeor(*command, again, threads=row.threads)
    figures = {"again": Measure(float(weights(again) == expected), n=len(expected))}
    for name, number in (("stopped", signal.SIGTERM), ("killed", signal.SIGKILL)):
        folder = row.place / name
        interrupt([*command, str(folder)], folder, row.threads, number)
        medeor(*command, folder, threads=row.threads)
        figures[f"{name} and resumed"] = Measure(float(weights(folder) == expected), n=len(expected))
    every = min(measure.value or 0.0 for measure in figures.values())
    return {"identical bits": Measure(every, n=len(expected)), **figures}


def interrupt(command: list[str], folder: Path, threads: int, number: int) -> None:
    """Starts a run and sends it a signal in the middle of its fit, when an epoch of some network is done."""
    process = subprocess.Popen(
        [program(), *command],
        cwd=ROOT,
        env=environment(threads),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not any(path.stat().st_size for path in folder.rglob("log.jsonl")):
        time.sleep(0.02)
    if process.poll() is not None:
        raise RuntimeError(f"{folder}: the run ended before it could be interrupted")
    process.send_signal(number)
    process.wait(120)
    if (folder / "metrics.json").exists():
        raise RuntimeError(f"{folder}: the run had finished before it was interrupted")


def weights(folder: Path) -> dict[str, str]:
    """Digest of each network of a run, by its place in the run folder."""
    found = sorted((folder / "model").rglob("weights.safetensors"))
    return {str(path.relative_to(folder)): digest(path) for path in found}
