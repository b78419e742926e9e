"""What each case adds to figures of the order of cases: their empirical influence functions, the first derivative of a
figure by the weight of the case, where all cases have the weight 1. They add up to zero over the cases.

Scores, truths and predictions have shape (cases,). A case of the same score as another counts half as before it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SPAN = np.linspace(-3, 3, 61)
"""Standard errors around a point of the ROC curve over which its slope is taken."""


def of_curve(score: Array, positive: Array, true: Array, false: Array) -> tuple[Array, Array]:
    """Of AUROC (the placements of DeLong, DeLong and Clarke-Pearson 1988) and of average precision, shape (cases, 2).

    Args:
        true: how many positives score as high as each distinct score or higher, from the highest down, shape (m,).
        false: the same of the negatives."""
    positive = positive.astype(bool)
    positives, negatives = true[-1], false[-1]
    place = _from_above(score)
    gained, lost = np.diff(true, prepend=0.0), np.diff(false, prepend=0.0)
    behind, ahead = 1 - (false - lost / 2) / negatives, (true - gained / 2) / positives
    area = gained @ behind / positives
    both = true + false
    precision = true / both
    average = gained @ precision / positives
    # A further case changes the precision at its own score and at all lower ones.
    lower = np.cumsum((gained / both**2)[:, None][::-1] * np.stack([false, -true], axis=1)[::-1], axis=0)[::-1]
    found = precision - average + lower[:, 0], lower[:, 1]
    of_area = np.where(positive, (behind[place] - area) / positives, (ahead[place] - area) / negatives)
    return of_area, np.where(positive, found[0][place], found[1][place]) / positives


def of_operating_point(called: Array, fixed: Array, rate: float, reached: float, curve: tuple[Array, Array]) -> Array:
    """Of the share of one class beyond the threshold that keeps a fixed share of the other, shape (cases,). The other
    class moves the threshold, and that the share by the slope of the ROC curve, taken over as far as chance moves it.

    Args:
        called: which cases lie beyond the threshold, bool.
        fixed: which cases are of the class whose share is kept, bool.
        rate: the share of that class beyond the threshold.
        reached: the share of the other class.
        curve: both shares, in this order, for each distinct score, from the highest down, each of shape (m,)."""
    count = np.count_nonzero(fixed)
    error = np.sqrt(max(rate * (1 - rate), 1 / count) / count)
    kept, shares = (np.append(0.0, side) for side in curve)
    at = np.interp(np.clip(rate + error * _SPAN, 0, 1), kept, shares)
    bell = np.exp(-(_SPAN**2) / 2)
    slope = bell * _SPAN @ at / (error * (bell @ _SPAN**2))
    of_fixed = -slope * (called - rate) / count
    return np.where(fixed, of_fixed, (called - reached) / (len(fixed) - count))


def of_ranks(one: Array, other: Array) -> tuple[Array, Array]:
    """The covariance and both variances of mid-ranks, as shares of the cases, shape (3,), and what each case adds to
    them, shape (cases, 3) (Croux and Dehon 2010)."""
    a, b = (_mid_rank(values) - 0.5 for values in (one, other))
    pairs = [(a, b), (a, a), (b, b)]
    moments = np.array([np.mean(x * y) for x, y in pairs])
    moved = {(i, j): _moved(of, by) for i, of in enumerate((one, other)) for j, by in enumerate((a, b))}
    shifts = [moved[0, 1] + moved[1, 0], 2 * moved[0, 0], 2 * moved[1, 1]]
    each = [x * y + shift for (x, y), shift in zip(pairs, shifts, strict=True)]
    # The shares that a further case moves are centred: the whole adds up to zero.
    return moments, np.stack([column - column.mean() for column in each], axis=1) / len(one)


def _moved(values: Array, by: Array) -> Array:
    """The mean of `by` over the cases that a case lies below, ties counting half."""
    names, place = np.unique(values, return_inverse=True)
    tied = np.bincount(place, by, len(names))
    above = np.cumsum(tied[::-1])[::-1] - tied / 2
    return above[place] / len(values)


def _mid_rank(values: Array) -> Array:
    _, place, size = np.unique(values, return_inverse=True, return_counts=True)
    return ((np.cumsum(size) - size / 2) / len(values))[place]


def _from_above(score: Array) -> Array:
    """The place of each score among the distinct ones, the highest first."""
    return np.unique(-score, return_inverse=True)[1]
