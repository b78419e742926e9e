"""The figures of merit themselves, each as a function of case weights, so that one set of bootstrap weights serves
them all. A score takes weights of shape (resamples, cases) and gives values of shape (resamples, names); a value that
does not exist (one class only) is NaN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medeor.statistics import influence

Array = NDArray[Any]


class Sums(NamedTuple):
    """Figures as a function of a few weighted sums over the cases, so that those of many cases can be added up in
    blocks: exactly or, for figures of the order of the cases, near the weight 1 of each (see `influence`)."""

    columns: Any
    """Shape (cases, k), an array or a sparse one."""
    of: Callable[[Array], Array]
    """Sums, shape (resamples, k), to values, shape (resamples, names)."""


@dataclass(frozen=True)
class Score:
    """Figures of merit of some cases."""

    of: Callable[[Array], Array]
    """Weights, shape (resamples, cases), to values, shape (resamples, names)."""
    sums: Callable[[], Sums]

    def __call__(self, weights: Array) -> Array:
        return self.of(weights)

    def then(self, change: Callable[[Array], Array]) -> Score:
        """Figures that are made of these, `change` taking and giving shape (resamples, names)."""

        def sums() -> Sums:
            columns, of = self.sums()
            return Sums(columns, lambda total: change(of(total)))

        return Score(lambda weights: change(self.of(weights)), sums)

    def weighed(self, mass: Array) -> Score:
        """The same figures where each case has a weight of its own, shape (cases,)."""

        def sums() -> Sums:
            columns, of = self.sums()
            return Sums(columns * mass[:, None], of)

        return Score(lambda weights: self.of(weights * mass), sums)


def side_by_side(each: Sequence[Score]) -> Score:
    """The figures of several scores of the same cases, one after another."""

    def joined(values: Sequence[Array], rows: int) -> Array:
        return np.concatenate([np.empty((rows, 0)), *values], axis=1)

    def sums() -> Sums:
        parts = [score.sums() for score in each]
        ends = np.cumsum([columns.shape[1] for columns, _ in parts])[:-1]
        return Sums(
            np.concatenate([columns for columns, _ in parts], axis=1),
            lambda total: joined([of(own) for (_, of), own in zip(parts, np.split(total, ends, axis=1))], len(total)),
        )

    return Score(lambda weights: joined([score(weights) for score in each], len(weights)), sums)


SPECIFICITIES = SENSITIVITIES = (0.95, 0.90)
"""The fixed sides of the operating points that are read off the ROC curve."""
BINS = 15
"""Bins of the expected calibration error, of equal mass."""


def ratio(numerator: Array, denominator: Array) -> Array:
    """NaN where the denominator is zero."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def mean(values: Array) -> Array:
    """Along the last axis, leaving out NaN; NaN where nothing is left."""
    return ratio(np.nansum(values, axis=-1), np.isfinite(values).sum(axis=-1))


def curve(score: Array, positive: Array, weights: Array) -> tuple[Array, Array]:
    """Weights of true and of false positives above each distinct threshold, from the highest down: two arrays of
    shape (resamples, distinct scores). score, positive: shape (cases,)."""
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    in_order = np.take(weights, order, axis=1)
    true = np.cumsum(in_order * positive[order], axis=1)
    false = np.cumsum(in_order, axis=1) - true
    return (true, false) if last_of_tie.all() else (true[:, last_of_tie], false[:, last_of_tie])


def areas(score: Array, positive: Array) -> Score:
    """AUROC (ties count half) and average precision."""

    def sums() -> Sums:
        true, false = curve(score, positive, np.ones((1, len(score))))
        if not (true[0, -1] and false[0, -1]):
            return _near(_areas(true, false)[0], np.zeros((len(score), 2)))
        return _near(_areas(true, false)[0], np.stack(influence.of_curve(score, positive, true[0], false[0]), axis=1))

    return Score(lambda weights: _areas(*curve(score, positive, weights)), sums)


def _near(values: Array, each: Array) -> Sums:
    """Figures between 0 and 1, shape (names,), near all weights 1, from what each case adds to them, shape (cases,
    names). They are linear in their log-odds, which keeps them between 0 and 1."""
    room = values * (1 - values)

    def of(total: Array) -> Array:
        odds = np.exp(np.clip(np.divide(total, room, out=np.zeros(total.shape), where=room > 0), -50, 50))
        return values * odds / (1 - values + values * odds)

    return Sums(each, of)


def ranking(score: Array, positive: Array) -> Score:
    """AUROC, average precision, then sensitivity at each of `SPECIFICITIES` and specificity at each of
    `SENSITIVITIES`: the best that any threshold reaches whose other side is at least the one stated."""

    def of(weights: Array) -> Array:
        true, false = curve(score, positive, weights)
        positives, negatives = true[:, -1], false[:, -1]
        columns = []
        for specificity in SPECIFICITIES:
            allowed = np.count_nonzero(false <= (1 - specificity) * negatives[:, None] + 1e-9, axis=1)
            reached = np.take_along_axis(true, np.maximum(allowed - 1, 0)[:, None], axis=1)[:, 0]
            columns.append(ratio(np.where(allowed > 0, reached, 0.0), positives * (negatives > 0)))
        for sensitivity in SENSITIVITIES:
            first = np.count_nonzero(true < sensitivity * positives[:, None] - 1e-9, axis=1)
            paid = np.take_along_axis(false, np.minimum(first, true.shape[1] - 1)[:, None], axis=1)[:, 0]
            columns.append(ratio(negatives - paid, negatives * (positives > 0)))
        return np.column_stack([_areas(true, false), *columns])

    def sums() -> Sums:
        values = of(np.ones((1, len(score))))[0]
        (true,), (false,) = curve(score, positive, np.ones((1, len(score))))
        positives, negatives = true[-1], false[-1]
        if not (positives and negatives):
            return _near(values, np.zeros((len(score), len(values))))
        place, sick = np.unique(-score, return_inverse=True)[1], positive.astype(bool)
        found, lost = true / positives, false / negatives
        each = [*influence.of_curve(score, positive, true, false)]
        for specificity in SPECIFICITIES:
            last = np.count_nonzero(false <= (1 - specificity) * negatives + 1e-9) - 1
            rate, reached = (lost[last], found[last]) if last >= 0 else (0.0, 0.0)
            each.append(influence.of_operating_point(place <= last, ~sick, rate, reached, (lost, found)))
        for sensitivity in SENSITIVITIES:
            last = np.count_nonzero(true < sensitivity * positives - 1e-9)
            rate, paid = found[last], lost[last]
            each.append(-influence.of_operating_point(place <= last, sick, rate, paid, (found, lost)))
        return _near(values, np.stack(each, axis=1))

    return Score(of, sums)


def _areas(true: Array, false: Array) -> Array:
    positives, negatives = true[:, -1], false[:, -1]
    gained = np.diff(true, axis=1, prepend=0.0)
    passed = false - np.diff(false, axis=1, prepend=0.0) / 2
    ordered = np.einsum("ij,ij->i", gained, negatives[:, None] - passed)
    precision = true / np.maximum(true + false, 1e-300)
    found = np.einsum("ij,ij->i", gained, precision)
    return np.stack([ratio(ordered, positives * negatives), ratio(found, positives * (negatives > 0))], axis=1)


def confusion(truth: Array, decision: Array, classes: int) -> Score:
    """Weighted counts, shape (resamples, classes, classes), rows the truth. truth, decision: class indices."""
    from scipy import sparse

    cells = truth.astype(np.int64) * classes + decision.astype(np.int64)
    rows = np.arange(len(cells))
    one_hot = sparse.csr_array((np.ones(len(cells)), (rows, cells)), shape=(len(cells), classes * classes))

    def of(total: Array) -> Array:
        return total.reshape(-1, classes, classes)

    return Score(lambda weights: of(weights @ one_hot), lambda: Sums(one_hot, of))


def kappa(counts: Array) -> Array:
    """Cohen's kappa with quadratic weights (Cohen 1968) of confusion matrices, shape (resamples, k, k)."""
    classes = counts.shape[-1]
    grades = np.arange(classes)
    cost = ((grades[:, None] - grades) ** 2).astype(float)
    total = counts.sum(axis=(1, 2))
    by_chance = np.einsum("ri,rj,ij->r", counts.sum(axis=2), counts.sum(axis=1), cost)
    return 1 - ratio(np.einsum("rij,ij->r", counts, cost) * total, by_chance)


def means(columns: Sequence[Array]) -> Score:
    """Weighted means of per-case columns, each of shape (cases,)."""
    stacked = np.stack([np.asarray(column, dtype=float) for column in columns], axis=1)

    def of(total: Array, mass: Array) -> Array:
        return ratio(total, mass[:, None] * np.ones(stacked.shape[1]))

    return Score(
        lambda weights: of(weights @ stacked, weights.sum(axis=1)),
        lambda: Sums(_with_mass(stacked), lambda total: of(total[:, :-1], total[:, -1])),
    )


def _with_mass(columns: Array) -> Array:
    """A last column that counts the cases."""
    return np.concatenate([columns, np.ones((len(columns), 1))], axis=1)


def mass_bins(probability: Array, bins: int = BINS) -> Array:
    """The bin of each case, 0 upwards: at most `bins` of equal mass, at least ten cases each; equal probabilities
    share a bin."""
    bins = max(1, min(bins, len(probability) // 10))
    edges = np.unique(np.quantile(probability, np.arange(1, bins) / bins))
    return np.searchsorted(edges, probability, side="left")


def calibration_error(probability: Array, outcome: Array, groups: Array) -> Score:
    """Expected calibration error in bins of equal mass: the mean distance between predicted and observed rate.

    Three columns: debiased, less what chance alone adds to a mean of absolute values (Kumar, Liang and Ma 2019, with
    the mean of the folded normal in place of their simulation), never below zero; as observed; and the error that
    chance alone stays below with 97.5 % in a model that is calibrated (consistency resampling, Bröcker and Smith 2007),
    the same for all weights. Chance is that of binomial rates, enlarged where cases of a group err alike."""
    from scipy import sparse
    from scipy.special import erf

    place = mass_bins(probability)
    one_hot = np.eye(int(place.max(initial=0)) + 1)[place]
    gap = probability - outcome
    size = one_hot.sum(axis=0)
    surplus = gap - ratio(one_hot.T @ gap, size)[place]
    _, shared = np.unique(place * (int(groups.max(initial=0)) + 1) + groups, return_inverse=True)
    alike = np.sum(np.bincount(shared, surplus) ** 2)
    design = max(1.0, float(alike / max(np.sum(surplus**2), 1e-300)))
    by_chance = np.sqrt(design * (one_hot.T @ np.maximum(probability * (1 - probability), 0))) / max(len(place), 1)
    sampled = np.abs(np.random.default_rng(0).normal(size=(4000, len(size)))) @ by_chance
    explained = np.quantile(sampled, 0.975)

    def of(mass: Array, gaps: Array, outcomes: Array) -> Array:
        distance = np.abs(np.nan_to_num(ratio(gaps, mass)))
        rate = np.clip(np.nan_to_num(ratio(outcomes, mass)), 0, 1)
        spread = np.sqrt(design * rate * (1 - rate) / np.maximum(mass, 1e-12))
        scaled = distance / np.maximum(spread, 1e-12)
        folded = spread * np.sqrt(2 / np.pi) * np.exp(-(scaled**2) / 2) + distance * erf(scaled / np.sqrt(2))
        total = mass.sum(axis=1)
        debiased = np.maximum(ratio((mass * (2 * distance - folded)).sum(axis=1), total), 0)
        observed = ratio((mass * distance).sum(axis=1), total)
        return np.stack([debiased, observed, np.full(len(mass), explained)], axis=1)

    def sums() -> Sums:
        own = sparse.csr_array(one_hot)
        columns = sparse.hstack([own, own * gap[:, None], own * outcome[:, None]], format="csr")
        return Sums(columns, lambda total: of(*np.split(total, 3, axis=1)))

    return Score(
        lambda w: of(w @ one_hot, w @ (one_hot * gap[:, None]), w @ (one_hot * outcome[:, None])),
        sums,
    )


def agreement(truth: Array, predicted: Array) -> Score:
    """Root mean squared error, R², Pearson's and Spearman's correlation. truth, predicted: shape (cases,)."""
    # Centred first: sums of squares of large numbers would lose their digits.
    y, p = truth - truth.mean(), predicted - truth.mean()
    columns = np.stack([y, p, y * y, p * p, y * p, (y - p) ** 2], axis=1)

    def of(total: Array, mass: Array) -> list[Array]:
        my, mp, yy, pp, yp, error = ratio(total, mass[:, None] * np.ones(6)).T
        pearson = _correlation(yp - my * mp, yy - my * my, pp - mp * mp)
        return [np.sqrt(error), 1 - ratio(error, yy - my * my), pearson]

    def spearman(weights: Array) -> Array:
        mass = weights.sum(axis=1)
        ranks_y, ranks_p = _ranks(truth, weights), _ranks(predicted, weights)
        centre = (mass[:, None] + 1) / 2
        ranks_y -= centre
        ranks_p -= centre
        weighted = weights * ranks_y
        return _correlation(
            np.einsum("ij,ij->i", weighted, ranks_p),
            np.einsum("ij,ij->i", weighted, ranks_y),
            np.einsum("ij,ij,ij->i", weights, ranks_p, ranks_p),
        )

    def sums() -> Sums:
        moments, each = influence.of_ranks(truth, predicted)

        def of_total(total: Array) -> Array:
            ranked = _correlation(*(moments + total[:, -3:]).T)
            return np.stack([*of(total[:, :6], total[:, 6]), ranked], axis=1)

        return Sums(np.concatenate([_with_mass(columns), each], axis=1), of_total)

    return Score(lambda w: np.stack([*of(w @ columns, w.sum(axis=1)), spearman(w)], axis=1), sums)


def _correlation(covariance: Array, variance: Array, other: Array) -> Array:
    # What rounding leaves of a variance of zero is no variance.
    varies = (variance > 1e-14 * np.max(np.abs(variance), initial=0)) & (other > 1e-14 * np.max(other, initial=0))
    return np.where(varies, ratio(covariance, np.sqrt(np.maximum(variance * other, 0))), np.nan)


def _ranks(values: Array, weights: Array) -> Array:
    """Mid-ranks in the weighted sample, shape (resamples, cases), as if each case stood there `weight` times."""
    _, tie = np.unique(values, return_inverse=True)
    order = np.argsort(tie, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(tie[order]) != 0, True))
    upto = np.cumsum(np.take(weights, order, axis=1), axis=1)[:, ends]
    block = np.diff(upto, axis=1, prepend=0.0)
    return np.take(upto - block + (block + 1) / 2, tie, axis=1)
