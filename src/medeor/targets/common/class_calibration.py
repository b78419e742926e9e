"""Probabilities of classes that mean what they say, and conformal sets, learned from held-out predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from medeor.statistics.outcomes import Outcomes
from medeor.statistics.scores import Array
from medeor.targets.common.calibration import CalibrationOptions, TargetCalibration, conformal_quantile, cross_validated

if TYPE_CHECKING:
    from medeor.targets.common.categories import Categories

TINY = 1e-12


def learned(kind: Categories, held: Outcomes, asked: CalibrationOptions) -> TargetCalibration:
    """Probabilities with the method that predicts best in cross-validation by group, simpler ones first, and the
    probability from which a class belongs to the split-conformal set (Sadinle, Lei and Wasserman 2019), marginal or by
    class (Vovk 2012)."""
    target = kind.target
    one = TargetCalibration(target.name, target.kind, kind.items, len(held))
    if len(held):
        methods = kind.methods if kind.enough(held) else ()

        def loss(changed: TargetCalibration, rows: Array) -> Array:
            return _log_loss(kind, changed, held.where(rows))

        def cost(rows: Array) -> Callable[[Array], tuple[float, Array]]:
            return _cost(kind, held.where(rows))

        one = cross_validated(one, held.groups, methods, asked.seed, cost, loss, gradient=True)
    probability = kind.probability(calibrated(kind, one, held.values))
    nonconformity = 1 - probability[np.arange(len(held)), held.truth]
    limits = []
    for index in range(len(kind.classes)):
        member = held.truth == index if asked.sets == "by class" else np.ones(len(held), bool)
        limits.append(conformal_quantile(nonconformity[member], held.groups[member], asked.coverage))
    return replace(one, plausible_from=tuple(None if np.isinf(limit) else float(1 - limit) for limit in limits))


def calibrated(kind: Categories, one: TargetCalibration, values: Array) -> Array:
    """Calibrated values of the items, shape (n, k)."""
    if one.method == "identity":
        return values
    logits = one.slope * kind.logits(values)
    logits[:, -1] += one.intercept
    return kind.from_probability(np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)))


def plausible(one: TargetCalibration, probability: Array) -> tuple[Array, Array]:
    """The most probable class of each case, and every class that belongs to its set, which holds that always; both
    bool, shape (n, classes)."""
    top = np.eye(probability.shape[1], dtype=bool)[probability.argmax(axis=1)]
    limits = np.array([-np.inf if limit is None else limit for limit in one.plausible_from])
    return top, (probability >= limits - 1e-12) | top


def _cost(kind: Categories, held: Outcomes) -> Callable[[Array], tuple[float, Array]]:
    """See `cross_validated`."""
    logits = kind.logits(held.values)
    rows = np.arange(len(held))

    def cost(parameters: Array) -> tuple[float, Array]:
        slope, intercept = np.exp(parameters[0]), parameters[1] if len(parameters) > 1 else 0.0
        shifted = slope * logits
        shifted[:, -1] += intercept
        log_p = shifted - np.logaddexp.reduce(shifted, axis=1, keepdims=True)
        left = np.exp(log_p)
        left[rows, held.truth] -= 1
        loss = -log_p[rows, held.truth].sum() + parameters[0] ** 2 / 2
        gradient = [slope * np.sum(left * logits) + parameters[0]]
        if len(parameters) > 1:
            loss += intercept**2 / 8
            gradient.append(left[:, -1].sum() + intercept / 4)
        return float(loss), np.array(gradient)

    return cost


def _log_loss(kind: Categories, one: TargetCalibration, held: Outcomes) -> Array:
    probability = kind.probability(calibrated(kind, one, held.values))
    return -np.log(np.maximum(probability[np.arange(len(held)), held.truth], TINY))
