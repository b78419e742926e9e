"""Fitting one method on every fold: an ensemble, and honest predictions for every case."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from medeor import tasks
from medeor.contracts import Attribution, Cases, Fitted, Method, Model, Predictions, Run, Split, threads
from medeor.files import read_json, write_json, write_parquet
from medeor.learning.fit import device
from medeor.learning.network import NetworkMethod, joined
from medeor.learning.workers import fit_apart

HELD_OUT = "held_out.parquet"
"""What `remembered` writes last."""


def out_of_fold(
    method: Method, cases: Cases, split: Split, run: Run, workers: int = 1
) -> tuple[list[Model], Predictions]:
    """Fits `method` once without each fold, and predicts each case by the one model that has not seen it; several at a
    time where there are `workers`. A fold that was finished before an interruption is read back, not fitted again."""
    fit_apart(method, cases, split, run, workers)
    models: list[Model] = []
    held_out: list[Predictions] = []
    for number in range(split.folds):
        fitted = remembered(method, cases, split.fold(number), member(run, number))
        models.append(fitted.model)
        held_out.append(fitted.held_out)
    return models, joined(held_out)


def member(run: Run, number: int) -> Run:
    """The run of one fold: a folder and a seed of its own."""
    return replace(run.child(f"fold-{number}"), seed=run.seed + number)


def finished(folder: Path) -> bool:
    """Whether `remembered` has come to its end in this folder."""
    return (folder / HELD_OUT).exists()


def remembered(method: Method, cases: Cases, split: Split, run: Run) -> Fitted:
    """`method.fit`, or what it left in the run's folder when it had finished there."""
    if finished(run.folder):
        return Fitted(tasks.load_model(run.folder), Predictions(pl.read_parquet(run.folder / HELD_OUT)))
    fitted = method.fit(cases, split, run)
    if not run.leader:
        return fitted
    fitted.model.save(run.folder)
    write_parquet(run.folder / HELD_OUT, fitted.held_out.table)
    return fitted


@dataclass(frozen=True)
class Folds:
    """A method fitted on every fold; together they are the model."""

    method: Method
    workers: int = 1
    """Folds that are fitted at the same time, where more than one core is at hand."""

    def fit(self, cases: Cases, split: Split, run: Run) -> Fitted:
        models, held_out = out_of_fold(self.method, cases, split, run, self.workers)
        return Fitted(Ensemble(tuple(models)), held_out)


@dataclass(frozen=True)
class HeldOut:
    """A method fitted once; where the split has no validation part, one fold is held out as such."""

    method: Method

    def fit(self, cases: Cases, split: Split, run: Run) -> Fitted:
        return self.method.fit(cases, split if len(split.part(cases, "validation")) else split.fold(0), run)


def members(method: Method, how: Literal["folds", "single"]) -> Method:
    """A method on every fold, or once. Networks are fitted side by side on a processor; a device is not shared, and the
    processes of `torchrun` work on one fold together."""
    if how == "single":
        return HeldOut(method)
    apart = (
        isinstance(method, NetworkMethod)
        and method.side_by_side
        and device().type == "cpu"
        and "WORLD_SIZE" not in os.environ
    )
    return Folds(method, workers=threads() if apart else 1)


@dataclass(frozen=True)
class Ensemble:
    """The mean of several models, item by item."""

    members: tuple[Model, ...]

    def predict(self, cases: Cases, run: Run) -> Predictions:
        tables = [member.predict(cases, run.child(f"fold-{i}")).table for i, member in enumerate(self.members)]
        mean = pl.concat(tables).group_by("case_id", "item", maintain_order=True).agg(pl.col("value").mean())
        return Predictions(mean)

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        """The mean of the members' reasons: the gradient of a mean is the mean of the gradients."""
        each = [m.attribute(cases, items, replace(run, seed=run.seed + i)) for i, m in enumerate(self.members)]
        return [_mean(same) for same in zip(*each, strict=True)]

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        return np.mean([member.ablate(case, item, kept, run) for member in self.members], axis=0)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number, member in enumerate(self.members):
            if not (folder / f"fold-{number}" / "model.json").exists():
                member.save(folder / f"fold-{number}")
        write_json(folder / "model.json", {"kind": "folds", "members": len(self.members)})


def load(folder: Path) -> Ensemble:
    """Reads what `Ensemble.save` wrote."""
    members = read_json(folder / "model.json")["members"]
    return Ensemble(tuple(tasks.load_model(folder / f"fold-{number}") for number in range(members)))


def _mean(same: tuple[Attribution, ...]) -> Attribution:
    untrained = [a.untrained for a in same if a.untrained is not None]
    return replace(
        same[0],
        values=np.mean([a.values for a in same], axis=0),
        untrained=np.mean(untrained, axis=0) if len(untrained) == len(same) else None,
    )
