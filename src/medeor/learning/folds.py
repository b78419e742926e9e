"""Fitting one method on every fold: an ensemble, and honest predictions for every case."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from medeor import registry
from medeor.console import WHOLE, aside
from medeor.contracts import (
    Cases,
    Fitted,
    Inputs,
    Message,
    Method,
    Model,
    Predictions,
    Run,
    Split,
    Stopped,
    Text,
    UserError,
)
from medeor.learning import pool
from medeor.learning.networks.devices import device
from medeor.learning.networks.fit import label, stop_between_fits
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.predictions import averaged, joined, load_predictions, save_predictions, scratch
from medeor.learning.saved import facts_of, save_model, save_part
from medeor.machine import threads

HELD_OUT = "held_out.parquet"
"""What `fit_or_load` writes last."""


def out_of_fold(
    method: Method, cases: Cases, split: Split, inputs: Inputs, run: Run, workers: int = 1
) -> tuple[list[Model], Predictions]:
    """Fits `method` once without each fold, and predicts each case by the one model that has not seen it; several at a
    time where there are `workers`. A fold that was finished before an interruption is read back, not fitted again."""
    fit_folds_in_processes(method, cases, split, inputs, run, workers)
    models: list[Model] = []
    held_out: list[Predictions] = []
    for number in range(split.folds):
        fitted = fit_or_load(method, cases, split.fold(number), inputs, member(run, number))
        models.append(fitted.model)
        held_out.append(fitted.held_out)
        if number + 1 < split.folds:
            stop_between_fits(run)
    return models, joined(held_out)


def fit_folds_in_processes(method: Method, cases: Cases, split: Split, inputs: Inputs, run: Run, workers: int) -> None:
    """Fits every fold that is not finished yet; each leaves its model in its folder, for `fit_or_load` to read. Small
    networks keep no more than one core busy, and the bits of a fold do not depend on how many run at the same time.

    Raises: Stopped when the run was asked to stop, after every worker has saved; UserError as the fit would."""
    waiting = [number for number in range(split.folds) if not finished(member(run, number).folder)]
    workers = min(workers, split.folds)
    if workers < 2 or not waiting:
        return
    # The share of a fold follows from the study alone: the last one of a resumed fit must not have more.
    share = max(1, run.threads // workers)
    work = pool.Work(_fit_shift, (method, cases, split, inputs, run.folder, run.seed, share))
    relief = Message("learning.folds.relief")
    jobs, turn = shifts(waiting, workers), attrgetter("fold")
    pool.in_processes(work, jobs, workers, share, run.progress, run.stopping, relief, run.loggers, turn)


class Shift(NamedTuple):
    """What one worker does of a fold at a stretch."""

    fold: int
    until: float = 1.0
    """Share of the fit after which it is saved, to be taken up by whoever is free then."""


def shifts(folds: Sequence[int], workers: int) -> list[Shift]:
    """The order of work by which all workers end together, though the folds cannot be shared out evenly (McNaughton
    1959): fewer folds than there are workers are begun first and finished last, by whoever is free."""
    cut = {folds[place * len(folds) // workers]: place * len(folds) % workers / workers for place in range(1, workers)}
    cut = {fold: late for fold, late in cut.items() if late} if len(folds) > workers else {}
    first = sorted((Shift(fold, 1 - late) for fold, late in cut.items()), key=lambda shift: -shift.until)
    last = sorted(cut, key=lambda fold: -cut[fold])
    return [*first, *(Shift(fold) for fold in folds if fold not in cut), *map(Shift, last)]


def _fit_shift(
    shift: Shift, method: Method, cases: Cases, split: Split, inputs: Inputs, folder: Path, seed: int, share: int
) -> None:
    own = member(Run(folder, seed, share), shift.fold)
    over = False

    def progress(what: Text, done: int, total: int, note: Text = "") -> None:
        nonlocal over
        pool.report_progress(what, done, total, note)
        over = what == label(own) and shift.until * total <= done < total

    stopping = lambda: over or pool.asked_to_stop()  # noqa: E731
    run = replace(own, progress=progress, stopping=stopping, loggers=(pool.EpochReports(),))
    try:
        if not finished(own.folder):
            fit_or_load(method, cases, split.fold(shift.fold), inputs, run)
    except Stopped:
        if pool.asked_to_stop():
            raise


def member(run: Run, number: int) -> Run:
    """The run of one fold: a folder and a seed of its own."""
    return replace(run.child(f"fold-{number}"), seed=run.seed + number)


def finished(folder: Path) -> bool:
    """Whether `fit_or_load` has come to its end in this folder. What it wrote last and cannot be read goes, with a word
    to the user: then it has not."""
    return _held_out(folder) is not None


def _held_out(folder: Path) -> Predictions | None:
    path = folder / HELD_OUT
    if not path.exists():
        return None
    try:
        return load_predictions(path)
    except UserError as error:
        aside(Message("learning.folds.again", reason=error.message))
        path.unlink(missing_ok=True)
        return None


def fit_or_load(method: Method, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
    """`method.fit`, or what it left in the run's folder when it had finished there."""
    held_out = _held_out(run.folder)
    if held_out is not None:
        return Fitted(registry.load_model(run.folder), held_out)
    fitted = method.fit(cases, split, inputs, run)
    if not run.leader:
        return fitted
    fitted.model.save(run.folder)
    return fitted._replace(held_out=save_predictions(fitted.held_out, run.folder / HELD_OUT))


class _Whole:
    """Progress of each fold, and with it that of all folds together."""

    def __init__(self, run: Run, folds: int) -> None:
        self.progress = run.progress
        members = [member(run, number) for number in range(folds)]
        self.shares: dict[Text, float] = {label(one): float((one.folder / HELD_OUT).exists()) for one in members}

    def __call__(self, what: Text, done: int, total: int, note: Text = "") -> None:
        self.progress(what, done, total, note)
        if what in self.shares:
            self.shares[what] = done / total
            self.progress(WHOLE, int(100 * sum(self.shares.values()) / len(self.shares)), 100)


@dataclass(frozen=True)
class Folds:
    """A method fitted on every fold; together they are the model."""

    method: Method
    workers: int = 1
    """Folds that are fitted at the same time, where more than one core is at hand."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        run = replace(run, progress=_Whole(run, split.folds))
        models, held_out = out_of_fold(self.method, cases, split, inputs, run, self.workers)
        return Fitted(Ensemble(tuple(models)), held_out)


@dataclass(frozen=True)
class SingleFit:
    """A method fitted once; where the split has no validation part, one fold is held out as such."""

    method: Method

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        part = split if len(split.part(cases, "validation")) else split.fold(0)
        return self.method.fit(cases, part, inputs, run)


def members(method: Method, how: Literal["folds", "single"]) -> Method:
    """A method on every fold, or once. Networks are fitted side by side on a processor; a device is not shared, and the
    processes of `torchrun` work on one fold together."""
    return SingleFit(method) if how == "single" else Folds(method, side_by_side(method, threads()))


def side_by_side(method: Method, most: int) -> int:
    """How many folds of a method are fitted at the same time, where so many threads compute."""
    network = isinstance(method, NetworkMethod) and method.side_by_side
    return most if network and device().type == "cpu" and "WORLD_SIZE" not in os.environ else 1


@dataclass(frozen=True)
class Ensemble:
    """The mean of several models, item by item and array by array (see `predictions.averaged`)."""

    members: tuple[Model, ...]

    def predict(self, cases: Cases, run: Run) -> Predictions:
        with scratch(run) as own:
            return averaged([m.predict(cases, own.child(f"fold-{i}")) for i, m in enumerate(self.members)], run)

    @property
    def holds_training_values(self) -> bool:
        return any(member.holds_training_values for member in self.members)

    def save(self, folder: Path) -> None:
        for number, member in enumerate(self.members):
            save_part(member, folder / f"fold-{number}")
        save_model(folder, "folds", {"members": len(self.members)})


@dataclass(frozen=True)
class _Saved:
    members: Annotated[int, Field(ge=1, le=1000)]


def load(folder: Path) -> Ensemble:
    """Reads what `Ensemble.save` wrote. Raises: UserError where it is damaged."""
    members = facts_of(folder, _Saved).members
    return Ensemble(tuple(registry.load_part(folder, f"fold-{number}") for number in range(members)))
