"""What is learned from held-out predictions about the answers of one target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from medeor.contracts import Message, Text
from medeor.statistics.scores import Array
from medeor.targets import statistic

ENOUGH = 20
"""Groups below which probabilities are left as they are, and below which no shape could be told from chance."""

FOLDS = 5

Sets = Literal["marginal", "by class"]
How = Literal["identity", "temperature", "platt", "residuals", "spread", "widened"]


class CalibrationOptions(NamedTuple):
    """What a study asks of calibration."""

    coverage: float = 0.9
    threshold: str = "youden"
    sets: Sets = "marginal"
    seed: int = 0
    positive: bool = False
    """Whether the target's unit allows nothing below 0."""


@dataclass(frozen=True)
class Skill:
    """How well held-out cases are ranked, with the 95 % interval; None where it could not be measured."""

    figure: str
    """The statistic that measures it."""
    value: float | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if statistic(self.figure).chance is None:
            raise ValueError(f"no figure is called '{self.figure[:40]}' that a guess would reach by chance")

    @property
    def missing(self) -> Text:
        """Why no reason of this model can be believed; empty where its interval excludes a guess."""
        figure = statistic(self.figure)
        if self.value is None or self.low is None or self.high is None:
            return Message("targets.skill.too-few")
        if self.low > (figure.chance or 0.0):
            return ""
        facts = {"label": figure.label, "value": self.value, "low": self.low, "high": self.high}
        return Message("targets.skill.not-shown", **facts, chance=figure.chance)


@dataclass(frozen=True)
class TargetCalibration:
    """What was learned for one target."""

    target: str
    kind: str
    items: tuple[str, ...]
    cases: int
    """Held-out cases that it was learned from."""
    method: How = "identity"
    """Of a probability: how it is changed. Of a number: the interval is put around the value, as wide for every
    case or by its spread, or an interval that the model gave is widened (or narrowed)."""
    slope: float = 1.0
    """Factor of the log-odds (binary), log-probabilities (one over the temperature), or log cumulative hazards. Above
    zero, so that the order of the cases never changes."""
    intercept: float = 0.0
    log_loss: float | None = None
    """Mean over the held-out cases, before."""
    log_loss_calibrated: float | None = None
    """The same with the chosen method, by cross-validation."""
    rule: str = ""
    threshold: float | None = None
    """A binary target is called positive from this calibrated probability on."""
    plausible_from: tuple[float | None, ...] = ()
    """Per class, the calibrated probability from which it belongs to the conformal set; None: always."""
    margin: float | None = None
    """How far the interval of a number reaches, in its unit; None: too few cases to tell."""
    margin_of_spread: float | None = None
    """By `spread`: how far it reaches, in multiples of the case's spread and `floor`; `margin` is for cases without."""
    floor: float = 0.0
    """What is added to every spread, in the unit of the number."""
    skill: Skill | None = None
    """What the model is shown to know; None in runs of medeor 0.1, which did not ask."""
    scale: Literal["linear", "log"] = "linear"
    """log: the interval reaches as far in powers of ten above the value as below, and so do its margins."""
    least: float | None = None
    """What neither the number nor its interval can be below: 0 of a concentration. None where nothing forbids it."""

    def __post_init__(self) -> None:
        if not 0 < self.slope < float("inf"):
            raise ValueError("slope must be a number above zero")


def conformal_quantile(nonconformity: Array, groups: Array, coverage: float) -> float:
    """The value that the nonconformity of a new case of a new group stays at or below with probability `coverage`;
    infinite with too few groups to tell. With a case a group it is the ⌈(n + 1) coverage⌉-th smallest (Vovk 2012);
    cases of one group share its weight (Dunn, Wasserman and Ramdas 2023)."""
    if not len(nonconformity):
        return float("inf")
    _, place, size = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(nonconformity, kind="stable")
    reached = np.cumsum(1 / size[place][order]) / (len(size) + 1)
    index = int(np.searchsorted(reached, coverage - 1e-12))
    return float(nonconformity[order][index]) if index < len(order) else float("inf")


def cross_validated(
    start: TargetCalibration,
    groups: Array,
    methods: Sequence[How],
    seed: int,
    cost: Callable[[Array], Callable[[Array], Any]],
    log_loss: Callable[[TargetCalibration, Array], Array],
    gradient: bool = False,
) -> TargetCalibration:
    """The method with the lowest log loss in cross-validation by group, `start` and simpler ones first.

    Args:
        cost: from a mask of the cases, shape (n,), to what a log slope and an intercept cost on these, with the priors
            log slope ~ N(0, 1) and intercept ~ N(0, 2²), and its `gradient` where it has one.
        log_loss: of each case of a mask."""
    from scipy.optimize import minimize

    every = np.ones(len(groups), bool)
    before = float(log_loss(start, every).mean())
    start = best = replace(start, log_loss=before, log_loss_calibrated=before)

    def fitted(method: How, rows: Array) -> TargetCalibration:
        bounds = [(-5, 5), (-20, 20)][: 2 if method == "platt" else 1]
        found = minimize(cost(rows), np.zeros(len(bounds)), jac=gradient or None, method="L-BFGS-B", bounds=bounds).x
        slope, intercept = float(np.exp(found[0])), float(found[1]) if len(found) > 1 else 0.0
        return replace(start, method=method, slope=slope, intercept=intercept)

    names = np.unique(groups)
    folds = np.random.default_rng(seed).permutation(len(names)) % FOLDS
    fold = folds[np.searchsorted(names, groups)]
    for method in methods:
        loss = np.empty(len(groups))
        for number in np.unique(fold):
            test = fold == number
            loss[test] = log_loss(fitted(method, ~test), test)
        if loss.mean() < (best.log_loss_calibrated or 0.0):
            best = replace(fitted(method, every), log_loss_calibrated=float(loss.mean()))
    return best
