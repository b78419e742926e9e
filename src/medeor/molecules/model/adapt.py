"""A model that was trained elsewhere, brought to a few dozen compounds of one's own within seconds: it stays as it is,
and a Gaussian process over shared substructures (Tanimoto kernel; Ralaivola et al. 2005,
doi:10.1016/j.neunet.2005.07.009) learns what it gets wrong there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import polars as pl
from pydantic import Field

from medeor import registry
from medeor.contracts import (
    Answering,
    Cases,
    Fitted,
    Inputs,
    Message,
    Model,
    Predictions,
    Run,
    Split,
    Target,
    UserError,
)
from medeor.learning.predictions import EMPTY, joined
from medeor.learning.saved import Shape, arrays_of, checked_targets, facts_of, save_model, save_part
from medeor.molecules.model.domain import BITS, sketch
from medeor.molecules.read.fingerprints import blocks
from medeor.statistics.outcomes import arrange, long_table
from medeor.targets import of

MOST = 3000
"""Compounds beyond which a model of their own is due: the work grows with their cube."""
_FILE = "adapted.safetensors"


@dataclass(frozen=True)
class Adapt:
    """The model among the inputs of a study, corrected by its compounds."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        base = base_of(cases, inputs)
        training = split.part(cases, "train", "validation")
        if len(training) > MOST:
            raise UserError("molecules.model.too-many", count=len(training), most=MOST)
        before = base.model.predict(training, run.child("base"))
        prints = sketch(training)
        folds = split.folds_of(training)
        held_out = []
        for fold in range(split.folds):
            own = folds == fold
            fitted = _learn(training.where(pl.Series(~own)), before, prints[~own])
            held_out.append(_corrected(training.where(pl.Series(own)), before, prints[own], fitted))
            run.progress("adapt", fold + 1, split.folds)
        return Fitted(AdaptedModel(base.model, _learn(training, before, prints)), joined(held_out))


@dataclass(frozen=True)
class Unadapted:
    """The same model as it is: what adapting has to beat."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        base = base_of(cases, inputs)
        return Fitted(base.model, base.model.predict(split.part(cases, "train", "validation"), run))


def base_of(cases: Cases, inputs: Inputs) -> Answering:
    """The model among the inputs of a study, which has to answer what is asked of its cases.

    Raises: UserError where it does not answer what the study asks."""
    base = inputs.get("base")
    if not isinstance(base, Answering):
        raise UserError("molecules.model.no-base")
    known = {target.name: target for target in base.targets}
    for target in cases.targets:
        if (same := known.get(target.name)) is None or _asked(same) != _asked(target):
            answers = [Message("molecules.model.question", name=one.name, question=_asked(one)) for one in base.targets]
            question = {"target": target.name, "question": _asked(target)}
            raise UserError("molecules.model.other-question", **question, answers=answers)
    return base


def _asked(target: Target) -> tuple[str, ...]:
    """What a target asks, alike for two targets only where their answers mean the same."""
    return tuple(of(target).words) or (target.kind, target.scale)


class Correction(NamedTuple):
    """What was learned of the errors of one target."""

    target: Target
    prints: np.ndarray
    """Shape (compounds, BITS), uint8: sketches of those of which the target is known."""
    weights: np.ndarray
    """Shape (compounds, items)."""
    alike: float
    """Variance of the error that compounds share by their substructures."""
    common: float
    """Variance of the error that all share."""

    def of(self, prints: np.ndarray) -> np.ndarray:
        """What to add for these compounds, shape (n, items)."""
        return (self.alike * _tanimoto(prints, self.prints) + self.common) @ self.weights


def _learn(training: Cases, before: Predictions, prints: np.ndarray) -> tuple[Correction, ...]:
    made = []
    for target in training.targets:
        kind = of(target)
        truth = kind.truth(training.table)
        errors = kind.one_hot(truth).astype(np.float64) - _values(training, before, target)
        # Where only a limit is known, the error is not.
        known = kind.scored(truth) & ~np.isnan(errors).any(axis=1)
        made.append(_fitted(target, prints[known], errors[known]))
    return tuple(made)


def _fitted(target: Target, prints: np.ndarray, errors: np.ndarray) -> Correction:
    """The variances by which the errors are the least surprising (marginal likelihood), and the weights that follow."""
    from scipy.linalg import cho_factor, cho_solve
    from scipy.optimize import minimize

    size = float(np.square(errors).mean()) if errors.size else 0.0
    if len(errors) < 2 or size == 0:
        return Correction(target, prints, np.zeros_like(errors), 0.0, 0.0)
    similarity = _tanimoto(prints, prints)

    def surprise(logs: np.ndarray) -> float:
        alike, common, noise = np.exp(logs) * size
        try:
            factor = cho_factor(alike * similarity + common + noise * np.eye(len(errors)), lower=True)
        except np.linalg.LinAlgError:
            return 1e12
        fit = float((errors * cho_solve(factor, errors)).sum())
        return fit / 2 + errors.shape[1] * float(np.log(np.diag(factor[0])).sum())

    found = minimize(surprise, np.log([0.5, 0.1, 0.5]), method="L-BFGS-B", bounds=[(-8, 3), (-8, 3), (-5, 3)])
    alike, common, noise = (np.exp(found.x) * size).tolist()
    factor = cho_factor(alike * similarity + common + noise * np.eye(len(errors)), lower=True)
    return Correction(target, prints, cho_solve(factor, errors), alike, common)


def _tanimoto(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Shape (queries, references), float64."""
    if not len(queries) or not len(references):
        return np.zeros((len(queries), len(references)))
    return np.concatenate([found for _, found in blocks(queries, references)]).astype(np.float64)


def _values(cases: Cases, predictions: Predictions, target: Target) -> np.ndarray:
    """What a model predicts, on the learned scale."""
    kind = of(target)
    return kind.learned(arrange(cases.table["case_id"], predictions, kind.items, target.name).values)


def _corrected(cases: Cases, before: Predictions, prints: np.ndarray, corrections: Sequence[Correction]) -> Predictions:
    parts = []
    for one in corrections:
        kind = of(one.target)
        values = kind.stated(kind.valid(_values(cases, before, one.target) + one.of(prints)))
        parts.append(long_table(cases.ids, kind.items, values))
    return Predictions(pl.concat(parts), {case: path for case, path in before.arrays.items() if case in set(cases.ids)})


@dataclass(frozen=True)
class AdaptedModel:
    """The base, and what to add to its answers."""

    base: Model
    corrections: tuple[Correction, ...]
    holds_training_values: ClassVar[bool] = True
    """The weights are the errors of the base on each compound."""

    def predict(self, cases: Cases, run: Run) -> Predictions:
        if not len(cases):
            return EMPTY
        return _corrected(cases, self.base.predict(cases, run.child("base")), sketch(cases), self.corrections)

    @property
    def explained_by(self) -> Model:
        return self.base

    def save(self, folder: Path) -> None:
        save_part(self.base, folder / "base")
        arrays = {}
        for place, one in enumerate(self.corrections):
            arrays[f"prints-{place}"] = np.packbits(one.prints, axis=1)
            arrays[f"weights-{place}"] = one.weights
        facts = [{"target": one.target, "alike": one.alike, "common": one.common} for one in self.corrections]
        save_model(folder, "molecule-adapted", {"corrections": facts}, arrays, _FILE)


@dataclass(frozen=True)
class _SavedCorrection:
    target: Target
    alike: Annotated[float, Field(ge=0)]
    common: Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class _Saved:
    corrections: tuple[_SavedCorrection, ...]


def load(folder: Path) -> AdaptedModel:
    """Reads what `AdaptedModel.save` wrote. Raises: UserError where it is damaged."""
    facts, where = facts_of(folder, _Saved).corrections, str(folder / "model.json")
    targets = checked_targets([one.target for one in facts], where)
    shapes = {f"prints-{place}": Shape("U8", (None, BITS // 8)) for place in range(len(facts))}
    shapes |= {f"weights-{n}": Shape("F64", (None, len(of(target).items))) for n, target in enumerate(targets)}
    arrays = arrays_of(folder / _FILE, shapes)
    corrections = []
    for place, one in enumerate(facts):
        prints, weights = arrays[f"prints-{place}"], arrays[f"weights-{place}"]
        if len(prints) != len(weights) or np.isnan(weights).any():
            raise UserError("molecules.model.damaged", path=where)
        prints = np.unpackbits(prints, axis=1, count=BITS)
        corrections.append(Correction(one.target, prints, weights, one.alike, one.common))
    return AdaptedModel(registry.load_part(folder, "base"), tuple(corrections))
