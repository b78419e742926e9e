"""A short timed trial of a recipe: how long a step takes and how much memory it needs, before a long fit begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar

import torch

from medeor.contracts import Budget, Cases, Recipe, Run, Split
from medeor.learning.networks.fit import fabric_for, fit_network
from medeor.learning.networks.schedule import Estimate, Schedule
from medeor.machine import peak_memory
from medeor.settings import with_settings

STEPS = 4


class Trial(NamedTuple):
    """What a trial measured."""

    seconds: float
    """One step, the data path included."""
    steps: int
    """Steps in an epoch of the cases that were given."""
    memory: int
    """Bytes of the whole process at its highest."""


def trial(recipe: Recipe[Any, Any, Any], cases: Cases, schedule: Schedule, run: Run) -> Trial:
    """Fits a throw-away network for a few steps; the first, which warms things up, is not counted."""
    processors = recipe.processors(recipe.summaries(cases))
    batches = recipe.batches(cases, processors, run.seed)
    torch.manual_seed(run.seed)
    network = recipe.network(processors)
    short = replace(schedule, epochs=1 + STEPS // len(batches), checkpoint=1 << 30)
    times: list[float] = []

    def tick() -> bool:
        times.append(time.perf_counter())
        if len(times) > STEPS:
            raise _Enough
        return False

    timed = Run(run.folder, run.seed, run.threads, stopping=tick)
    with suppress(_Enough):
        fit_network(network, batches, recipe.loss, short, timed, fabric_for(short, processes=1))
    seconds = min((after - before for before, after in pairwise(times)), default=0.0)
    return Trial(seconds, len(batches), peak_memory())


class NetworkPlan(Protocol):
    """A plan by which a network is trained."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def schedule(self) -> Schedule: ...

    @property
    def estimate(self) -> Estimate: ...


class StackPlan(NetworkPlan, Protocol):
    """One that may have other parts, with or without the network."""

    @property
    def parts(self) -> Sequence[str]: ...

    @property
    def members(self) -> Literal["folds", "single"]: ...


P = TypeVar("P", bound=NetworkPlan)
Q = TypeVar("Q", bound=StackPlan)


def fit_budget(plan: P, recipe: Recipe[Any, Any, Any], train: Cases, networks: float, budget: Budget) -> P:
    """The plan with as many of its epochs as fit into the minutes, at least one, and with what it will take, by a short
    trial of its recipe; `networks` as large as the one of the trial are fitted one after another. The fit then obeys
    the number of epochs, not the clock. What the user fixed stays."""
    with TemporaryDirectory() as room:
        tried = trial(recipe, train, plan.schedule, Run(Path(room), threads=budget.threads))
    an_epoch = networks * tried.seconds * tried.steps / 60
    if budget.minutes is not None:
        epochs = max(1, min(plan.schedule.epochs, int(budget.minutes / an_epoch)))
        plan = replace(plan, schedule=replace(plan.schedule, epochs=epochs))
    plan = with_settings(plan, budget.settings, "--set")
    estimate = Estimate(round(an_epoch * plan.schedule.epochs, 2), round(tried.memory / 2**30, 2))
    return replace(plan, estimate=estimate)


def plan_with_budget(
    plan: Q, recipe: Callable[[Q], Recipe[Any, Any, Any]], cases: Cases, split: Split, budget: Budget
) -> Q:
    """What a task planned by its rules, with what the user fixed; where a network is among its parts, `fit_budget`."""
    train = split.part(cases, "train", "validation")
    if len(train) == len(cases):  # without a test part every case is tested out of fold
        plan = replace(plan, members="folds")
    plan = with_settings(plan, budget.settings, "--set")
    if "network" not in plan.parts:
        return plan
    # Each fits one network on four fifths of these cases, or one a fold.
    networks = (split.folds if plan.members == "folds" else 1) * (1 - 1 / max(2, split.folds))
    return fit_budget(plan, recipe(plan), train, networks, budget)


class _Enough(Exception):
    """Ends a trial."""
