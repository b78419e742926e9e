"""Molecules a second beside chemprop, and a quarter of a million of them predicted by one command."""

from __future__ import annotations

import gzip
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import polars as pl

from bench.machine import environment
from bench.rows.commands import program
from bench.rows.molecules import trained, written
from bench.speed import alternate, ratio, spread
from bench.workload import ROOT, WORK, Row
from medeor.contracts import Measure, UserError

FILE = "zinc250k_smiles.txt.gz"


def speeds(row: Row) -> dict[str, Measure]:
    """From SMILES to graphs; the same network (300 units, depth 3, batches of 64) trained on graphs at hand; from
    SMILES to values."""
    source = str(written(row.data, row.seed))
    threads = str(row.threads)
    figures = {}
    for path, what in (("featurise", "featurised"), ("train", "trained"), ("predict", "predicted")):
        sides = {
            side: (module, source, path, threads)
            for side, module in (("medeor", "medeor_molecules"), ("chemprop", "peer_chemprop"))
        }
        if path != "featurise":
            sides["limit"] = ("medeor_molecules", source, f"{path} limit", threads)
        found = alternate(sides, row)
        figures[f"{what} ÷ chemprop"] = ratio(found["medeor"], found["chemprop"])
        if "limit" in found:
            figures[f"{what} ÷ limit"] = ratio(found["medeor"], found["limit"])
        figures |= {f"{side}, {what}/s": spread(values) for side, values in found.items()}
    return figures


def library(name: str) -> Path:
    """A file of the folder of real data, which is no set of the catalogue as it has nothing to predict.

    Raises: UserError where it is not there."""
    folder = os.environ.get("MEDEOR_DATA", "")
    for path in Path(folder).rglob(name) if folder else ():
        return path
    raise UserError(f"{name} lies nowhere in the folder of real data; set MEDEOR_DATA to the folder that holds it")


def many(row: Row) -> dict[str, Measure]:
    """`medeor predict` of solubility with uncertainty on the first 50,000 and on all of ZINC 250k: the most memory that
    all its processes held together, and how the time grows."""
    run = trained("esol", row.seed, "medeor", 1)
    every = gzip.decompress(library(FILE).read_bytes()).decode().split()
    figures = {}
    paces = []
    for count in (50_000, len(every)):
        source = WORK / "molecules" / f"{row.data}-{count}.csv"
        source.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"smiles": every[:count]}).write_csv(source)
        out = source.with_suffix(".parquet")
        seconds, memory = watched([program(), "predict", str(run), str(source), "--out", str(out)], row.threads)
        found = pl.read_parquet(out)
        bounded = found.filter(pl.col("low").is_not_null() & pl.col("high").is_not_null()).height
        if bounded < 0.99 * count:
            raise ValueError(f"{out}: {bounded} of {count} molecules have an interval")
        paces.append(seconds / count)
        figures[f"peak memory of {count:,}, GiB"] = Measure(memory / 2**30)
        figures[f"seconds for {count:,}"] = Measure(seconds)
    return {"time a molecule, all ÷ 50,000": Measure(paces[1] / paces[0]), **figures}


def watched(command: list[str], threads: int) -> tuple[float, int]:
    """Wall seconds, and the most bytes that a command and its children held at one time (shared pages counted once)."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment(threads), stdout=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        most = max(most, sum(map(held, family(process.pid))))
        time.sleep(0.1)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - began, most


def family(number: int) -> list[int]:
    """A process and all below it."""
    below: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it may have ended meanwhile
            # Behind the name, which may hold blanks, stand the state and the parent.
            parent = int(place.read_text().rpartition(")")[2].split()[1])
            below.setdefault(parent, []).append(int(place.parent.name))
    found = [number]
    for one in found:
        found += below.get(one, [])
    return found


def held(number: int) -> int:
    """Bytes of a process, its share of what it shares."""
    try:
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
