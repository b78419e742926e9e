"""How long the whole of a run will take, step by step: what came before the plan as it was measured, the rest from a
rehearsal on a few training cases."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from medeor.contracts import Cases, Message, Plan, Predictions, Run, Task, UserError
from medeor.learning.domain import DomainMethod
from medeor.learning.rehearsal import FEW, fit_time, sample, timed
from medeor.learning.stack import place_within
from medeor.machine import threads
from medeor.settings import flat, with_settings
from medeor.trust import faithfulness

if TYPE_CHECKING:
    from medeor.road.walk.reading import Read

SHORT = {"schedule.epochs": "1", "members": "single", "search.settings": "0"}
"""What makes a plan short enough for a rehearsal."""
SCORED = 2000
"""Cases up to which a rehearsal computes measures; of more they take as much longer."""
WORKERS, REPORT = 3.5, 1.0
"""Seconds until worker processes have imported what they need, and for the report and the bundle."""


P = TypeVar("P", bound=Plan)


def with_estimate(asked: Read, plan: P) -> P:
    """The plan with the seconds that each step takes, of what is done already as measured. A plan without an estimate
    stays as it is, and so does one that cannot be rehearsed."""
    known = getattr(plan, "estimate", None)
    if known is None:
        return plan
    began = time.perf_counter()
    try:
        rest = _rehearsed(asked, plan, 60 * (known.minutes or 0.0))
    except UserError:  # the sample may lack what the whole has
        return plan
    planning = asked.seconds.get("planning", 0.0) + time.perf_counter() - began
    steps = {**asked.seconds, "planning": planning, **rest}
    steps["whole"] = sum(steps.values())
    seconds = {name: round(value, 1) for name, value in steps.items()}
    return replace(plan, estimate=replace(known, seconds=seconds))  # type: ignore[type-var]


OF_STEP = {
    "fit": ("training",),
    "evaluate": ("baseline", "evaluation"),
    "explain": ("explanation",),
    "report": ("report",),
}
"""What of an estimate a step of the road takes."""


def left(seconds: Mapping[str, float], steps: Sequence[str]) -> list[float]:
    """The seconds that each of these steps takes."""
    return [sum(seconds.get(name, 0.0) for name in OF_STEP.get(step, ())) for step in steps]


def line(seconds: Mapping[str, float]) -> Message:
    """The estimate in words, step by step and as a sum."""
    parts = tuple(
        Message("road.estimate.part", name=Message(f"road.estimate.{name}"), time=duration(value))
        for name, value in seconds.items() if name != "whole"
    )  # fmt: skip
    return Message("road.estimate.line", whole=duration(seconds["whole"]), parts=parts)


def duration(seconds: float) -> Message:
    return (
        Message("road.estimate.minutes", minutes=seconds / 60)
        if seconds >= 90
        else Message("road.estimate.seconds", seconds=seconds)
    )


def _rehearsed(asked: Read, plan: Plan, training: float) -> dict[str, float]:
    task, split = asked.task, asked.split
    known, test = split.part(asked.cases, "train", "validation"), split.part(asked.cases, "test")
    settings = dict(flat(dataclasses.asdict(plan)))  # type: ignore[call-overload]
    quick = with_settings(plan, {key: value for key, value in SHORT.items() if key in settings}, "--set")
    networks = split.folds if settings.get("members") == "folds" else 1
    few, own = sample(known, FEW)
    with TemporaryDirectory() as room:
        run = Run(Path(room), asked.study.seed, threads())
        method = task.method(quick)
        fitted = method.fit(few, own, asked.inputs, run)
        if isinstance(method, DomainMethod):
            training += timed(lambda: method.learn(few, own, fitted.held_out))[1] * len(known) / len(few)
        if networks > 1:
            training += WORKERS
        found = {"training": training}
        if "evaluate" not in task.steps:
            return found
        simple = task.baseline(plan)
        baseline = place_within(task.method(plan), simple) is None
        quicker = task.baseline(quick)
        fits = fit_time(quicker, known, asked.inputs, threads()) if baseline else None
        found["baseline"] = fits.seconds(len(known), networks) if fits else 0.0
        fitted.model.predict(few, run)
        predictions, answering = timed(lambda: fitted.model.predict(few, run))
        scored = len(test) or len(known)
        found["evaluation"] = (
            answering * networks * len(test) / len(few) + 3 * _measuring(task, few, predictions, scored)
        )  # fmt: skip
        if "explain" in task.steps:
            two = few.where(pl.col("case_id").is_in(few.ids[:2]))
            items, number = faithfulness.leading(two, predictions), min(faithfulness.EXPLAINED, scored)
            found["explanation"] = networks * faithfulness.seconds(fitted.model, two, items, number, run)
    return {**found, "report": REPORT}


def _measuring(task: Task, cases: Cases, predictions: Predictions, number: int) -> float:
    """Seconds to measure the predictions of so many cases: these few are taken several times."""
    if predictions.arrays or not len(cases):
        return timed(lambda: task.evaluate(cases, predictions))[1] * number / max(1, len(cases))
    times = max(1, min(number, SCORED) // len(cases))
    copies = [pl.col("case_id") + f" {place}" for place in range(times)]
    many = replace(cases, table=pl.concat([cases.table.with_columns(one, group=one) for one in copies]))
    answers = Predictions(pl.concat([predictions.table.with_columns(one) for one in copies]))
    return timed(lambda: task.evaluate(many, answers))[1] * number / len(many)
