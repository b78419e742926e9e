"""A short timed trial of a recipe: how long a step takes and how much memory it needs, before a long fit begins."""

from __future__ import annotations

import resource
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch

from medeor.contracts import Cases, Recipe, Run, Split
from medeor.learning.fit import fabric_for, fit_network
from medeor.learning.schedule import Schedule

STEPS = 4


class Trial(NamedTuple):
    """What a trial measured."""

    seconds: float
    """One step, the data path included."""
    steps: int
    """Steps in an epoch of the cases that were given."""
    memory: int
    """Bytes of the whole process at its highest."""


def trial(recipe: Recipe[Any, Any], cases: Cases, schedule: Schedule, run: Run) -> Trial:
    """Fits a throw-away network for a few steps; the first, which warms things up, is not counted."""
    processors = recipe.processors(cases)
    batches = recipe.batches(cases, processors, run.seed)
    torch.manual_seed(run.seed)
    network = recipe.network(processors)
    clock = _Clock()
    short = replace(schedule, epochs=1 + STEPS // len(batches), checkpoint=1 << 30)
    stopping = Run(run.folder, run.seed, run.threads, stopping=clock.tick)
    with suppress(_Enough):
        fit_network(network, batches, recipe.loss, short, stopping, fabric_for(short, processes=1))
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return Trial(clock.seconds(), len(batches), peak)


def minutes_an_epoch(tried: Trial, split: Split, how: Literal["folds", "single"]) -> float:
    """Of the whole fit, which teaches one network four fifths of these cases, or one a fold."""
    networks = split.folds if how == "folds" else 1
    return networks * (1 - 1 / max(2, split.folds)) * tried.seconds * tried.steps / 60


def affordable(schedule: Schedule, minutes: float | None, an_epoch: float) -> Schedule:
    """The schedule with as many of its epochs as fit into the minutes; at least one."""
    if minutes is None:
        return schedule
    return replace(schedule, epochs=max(1, min(schedule.epochs, int(minutes / an_epoch))))


class _Enough(Exception):
    """The trial has seen what it came for."""


class _Clock:
    """Notes the time after each step and ends the trial."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def tick(self) -> bool:
        self.times.append(time.perf_counter())
        if len(self.times) > STEPS:
            raise _Enough
        return False

    def seconds(self) -> float:
        gaps = [after - before for before, after in zip(self.times, self.times[1:], strict=False)]
        return min(gaps) if gaps else 0.0
