"""A short timed trial of a recipe: how long a step takes and how much memory it needs, before a long fit begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import polars as pl
import torch

from medeor.contracts import Budget, Cases, Method, Recipe, Run, Split
from medeor.learning.folds import side_by_side
from medeor.learning.networks.fit import fabric_for, fit_network
from medeor.learning.networks.method import NetworkMethod, NetworkModel
from medeor.learning.networks.schedule import Estimate, Schedule
from medeor.learning.rehearsal import fit_time, timed
from medeor.machine import peak_memory
from medeor.settings import with_settings

STEPS, ASKED = 4, 48
"""Steps that are timed, and cases that are asked."""


class Trial(NamedTuple):
    """What a trial measured."""

    seconds: float
    """One step, the data path included."""
    steps: int
    """Steps in an epoch of the cases that were given."""
    memory: int
    """Bytes of the whole process at its highest."""
    asked: float = 0.0
    """Seconds that the network takes to answer one case."""


def trial(recipe: Recipe[Any, Any, Any], cases: Cases, schedule: Schedule, run: Run) -> Trial:
    """Fits a throw-away network for a few steps and asks it a few cases; the first step, which warms things up, is not
    counted. As many threads compute as the run has."""
    before = torch.get_num_threads()
    torch.set_num_threads(run.threads)
    try:
        return _trial(recipe, cases, schedule, run)
    finally:
        torch.set_num_threads(before)


def _trial(recipe: Recipe[Any, Any, Any], cases: Cases, schedule: Schedule, run: Run) -> Trial:
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

    timed_run = Run(run.folder, run.seed, run.threads, stopping=tick)
    fabric = fabric_for(short, processes=1)
    with suppress(_Enough):
        fit_network(network, batches, recipe.loss, short, timed_run, fabric)
    seconds = median([after - before for before, after in pairwise(times)] or [0.0])
    model = NetworkModel(recipe, processors, network.to(fabric.device).eval())
    few = cases.where(pl.Series(np.arange(len(cases)) < ASKED))
    model.predict(few, run)
    asked = timed(lambda: model.predict(few, run))[1] / max(1, len(few))
    return Trial(seconds, len(batches), peak_memory(), asked)


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


class Networks(NamedTuple):
    """The networks that a plan fits, each to as many cases as the trial."""

    number: float
    at_once: int = 1
    """How many are fitted side by side, each with its share of the threads."""
    held_out: float = 0.0
    """Cases that each holds out."""


def fit_budget(
    plan: P, recipe: Recipe[Any, Any, Any], train: Cases, networks: Networks, budget: Budget, others: float = 0.0
) -> P:
    """The plan with as many of its epochs as fit into the minutes, at least one, and with what it will take, by a short
    trial of its recipe; `others` are the seconds that the other parts take. The fit then obeys the number of epochs,
    not the clock. What the user fixed stays."""
    share = max(1, budget.threads // networks.at_once)
    with TemporaryDirectory() as room:
        tried = trial(recipe, train, plan.schedule, Run(Path(room), threads=share))

    def minutes(schedule: Schedule) -> float:
        looks = 1 + sum(map(schedule.measures, range(schedule.epochs)))
        steps = networks.number * tried.seconds * tried.steps * schedule.epochs
        asked = networks.number * networks.held_out * tried.asked * looks
        return ((steps + asked) / networks.at_once + others) / 60

    if budget.minutes is not None:
        schedules = (replace(plan.schedule, epochs=epochs) for epochs in range(plan.schedule.epochs, 0, -1))
        plan = replace(plan, schedule=next(s for s in schedules if minutes(s) <= budget.minutes or s.epochs == 1))
    plan = with_settings(plan, budget.settings, "--set")
    estimate = Estimate(round(minutes(plan.schedule), 2), round(tried.memory / 2**30, 2))
    return replace(plan, estimate=estimate)


def plan_with_budget(
    plan: Q, parts: Callable[[Q], Mapping[str, Method]], cases: Cases, split: Split, budget: Budget
) -> Q:
    """What a task planned by its rules, with what the user fixed, and `fit_budget` for the network among its `parts`.
    The minutes hold for the other parts too: how long these take is measured on samples of the training cases."""
    train = split.part(cases, "train", "validation")
    if len(train) == len(cases):  # without a test part every case is tested out of fold
        plan = replace(plan, members="folds")
    plan = with_settings(plan, budget.settings, "--set")
    chosen = {name: method for name, method in parts(plan).items() if name in plan.parts}
    fits, kept = split.folds if plan.members == "folds" else 1, 1 - 1 / max(2, split.folds)
    others = sum(
        fit_time(method, train, budget.inputs, budget.threads).seconds(len(train), fits)
        for name, method in chosen.items() if not isinstance(method, NetworkMethod)
    )  # fmt: skip
    network = next((method for method in chosen.values() if isinstance(method, NetworkMethod)), None)
    if network is None:
        return replace(plan, estimate=Estimate(round(others / 60, 2)))
    # Each fits one network on four fifths of these cases, or one a fold.
    at_once = min(fits, side_by_side(network, budget.threads)) if plan.members == "folds" else 1
    networks = Networks(fits * kept, at_once, len(train) * (1 - kept) / kept)
    return fit_budget(plan, network.recipe, train, networks, budget, others)


class _Enough(Exception):
    """Ends a trial."""
