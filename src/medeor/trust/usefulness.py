"""Whether a model is shown to know anything at all, before it is held against another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from medeor.contracts import Cases, Measure, Predictions, Target
from medeor.statistics.intervals import Statistic, interval, resample
from medeor.statistics.outcomes import Outcomes, group_codes
from medeor.statistics.scores import agreement
from medeor.trust.families import statistics
from medeor.trust.measures import answers

CHANCE = {"auroc": 0.5, "quadratic_weighted_kappa": 0.0, "r2": 0.0, "r2 of the logarithm": 0.0}
"""What each figure is for a model that knows nothing."""

_JUDGED_BY = {
    "binary": ("auroc",),
    "multiclass": ("auroc",),
    "ordinal": ("quadratic_weighted_kappa", "auroc"),
    "continuous": ("r2",),
}


class Floor(NamedTuple):
    """How one target fares against knowing nothing."""

    target: Target
    figure: str
    """A key of `CHANCE`: the first by which the model is shown to know something, else the first there is."""
    measure: Measure
    informs: bool = True
    """Of classes: whether the log loss is below that of the share of each class, the same for every case."""

    @property
    def useful(self) -> bool:
        """Whether the interval (without one, the value) lies above chance."""
        least = self.measure.value if self.measure.low is None else self.measure.low
        return least is not None and least > CHANCE[self.figure]

    @property
    def said(self) -> str:
        value, low, high, _ = self.measure
        spread = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
        name = {"auroc": "AUROC", "quadratic_weighted_kappa": "weighted kappa", "r2": "R²"}.get(self.figure)
        return f"{name or self.figure.replace('r2', 'R²')} {value:.3f}{spread}, where {CHANCE[self.figure]:g} is chance"


def floors(cases: Cases, predictions: Predictions, *, resamples: int = 1000, seed: int = 0) -> list[Floor]:
    """Each target whose truth is known well enough to judge. A class is known where the interval of the AUROC lies
    above .5 (of grades, that or weighted kappa above 0), a number where that of R² lies above 0, of the logarithm for
    one that is learnt by it. A model that answers the same for every case knows nothing."""
    groups = group_codes(cases)[1]
    found = []
    for one in answers(cases, predictions):
        names = _JUDGED_BY[one.target.kind] if one.target.scale == "linear" else ("r2 of the logarithm",)
        figures = {
            name: interval(figure)
            for name, figure in resample(_parts(one), groups, resamples=resamples, seed=seed).items()
        }
        known = [Floor(one.target, name, figures[name], _informs(one)) for name in names if name in figures]
        known = [floor for floor in known if floor.measure.value is not None]
        if known:
            found.append(next((floor for floor in known if floor.useful), known[0]))
    return found


def _informs(one: Outcomes) -> bool:
    if one.continuous or not len(one):
        return True
    shares = np.bincount(one.truth, minlength=len(one.classes)) / len(one)
    chance = np.clip(one.probability[np.arange(len(one)), one.truth], np.finfo(float).eps, 1.0)
    return bool(-np.log(chance).mean() < -np.log(shares[one.truth]).mean())


def _parts(one: Outcomes) -> list[Statistic]:
    if one.target.scale == "linear":
        return statistics(one, wanted=_JUDGED_BY[one.target.kind])
    if not len(one):
        return []
    with np.errstate(invalid="ignore", divide="ignore"):
        truth, predicted = np.log10(one.truth), np.log10(one.values[:, 0])
    names = ("rmse of the logarithm", "r2 of the logarithm", "pearson", "spearman")
    return [Statistic(names, agreement(truth, predicted), one.groups)]
