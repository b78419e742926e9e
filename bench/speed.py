"""Speeds side by side: each contestant is a process that waits to be asked, and they are asked in turn, so that
whatever else the machine does meets them alike."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType

from bench.machine import environment, home, peers
from bench.workload import ROOT, Row
from medeor.contracts import Measure


class Side:
    """A process of `bench.sides.MODULE`, warmed up. Each `ask` is one timed stretch, in images a second."""

    def __init__(self, threads: int, module: str, *arguments: str) -> None:
        python = peers(home(module)) if home(module) else sys.executable
        self.name = " ".join((module, *arguments))
        self.process = subprocess.Popen(
            [python, "-m", f"bench.sides.{module}", *arguments],
            cwd=ROOT,
            env=environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._listen()

    def __enter__(self) -> Side:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)

    def ask(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._listen()

    def _listen(self) -> float:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with code {self.process.wait()}; see its messages above")
        return float(json.loads(line))


def alternate(sides: Mapping[str, Sequence[str]], row: Row) -> dict[str, list[float]]:
    """Images a second of each side, `row.workload.repeats` times in turn. A side is the name of its module and its
    arguments; a module whose name starts with `peer_` runs in an environment of the peers."""
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    with ExitStack() as stack:
        running = {name: stack.enter_context(Side(row.threads, *command)) for name, command in sides.items()}
        for _ in range(row.workload.repeats):
            for name, side in running.items():
                speeds[name].append(side.ask())
    return speeds


def spread(values: Sequence[float]) -> Measure:
    """The median, with the lowest and highest as its interval."""
    return Measure(statistics.median(values), min(values), max(values), len(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Measure:
    """Ours over theirs in each round, as `spread`."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


def faster(*sides: Sequence[float]) -> list[float]:
    """The values of the side whose median is the highest: the stronger peer."""
    return list(max(sides, key=statistics.median))
