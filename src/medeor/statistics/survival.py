"""Figures of merit for times that may be censored: concordance, and Brier scores with inverse-probability-of-censoring
weights. Each takes case weights of shape (resamples, cases), as in `scores`."""

from __future__ import annotations

import numpy as np

from medeor.statistics.scores import Array, Score, Sums, ratio


def kaplan_meier(time: Array, event: Array) -> tuple[Array, Array]:
    """The distinct times, in order, and the share that is left after each (Kaplan and Meier 1958).

    Args:
        time: shape (n,).
        event: whether the event was seen then, shape (n,), bool; else the case was last seen without it."""
    times, happened, _, at_risk = _life_table(time, event)
    return times, np.cumprod(1 - happened / at_risk)


def left_after(curve: tuple[Array, Array], at: Array) -> Array:
    """The value of a step curve at some times."""
    times, left = curve
    return np.append(1.0, left)[np.searchsorted(times, at, side="right")]


def left_before(curve: tuple[Array, Array], at: Array) -> Array:
    """Its value just before these times."""
    times, left = curve
    return np.append(1.0, left)[np.searchsorted(times, at, side="left")]


def censoring(time: Array, event: Array) -> tuple[Array, Array]:
    """The curve of those that are not censored yet. At a time with both, events come first."""
    times, happened, lost, at_risk = _life_table(time, event)
    at_risk = at_risk - happened
    return times, np.cumprod(1 - np.divide(lost, at_risk, out=np.zeros(len(times)), where=at_risk > 0))


def _life_table(time: Array, event: Array) -> tuple[Array, Array, Array, Array]:
    """The distinct times; events, censored cases and cases at risk at each."""
    times, place = np.unique(time, return_inverse=True)
    ended = np.bincount(place, minlength=len(times))
    happened = np.bincount(place, weights=event, minlength=len(times))
    return times, happened, ended - happened, np.cumsum(ended[::-1])[::-1]


def known_by(time: Array, event: Array, horizon: float) -> tuple[Array, Array]:
    """Whether the event had happened by a horizon, shape (n,), and the weight of each case by which those whose outcome
    is known stand for the censored ones: 0 for a case censored before, else one over the probability of not being
    censored until then, or until the event (Graf et al. 1999)."""
    free = censoring(time, event)
    happened = event & (time <= horizon)
    chance = np.where(happened, left_before(free, time), left_after(free, np.full(len(time), horizon)))
    known = happened | (time > horizon)
    return happened, np.divide(known, chance, out=np.zeros(len(time)), where=known & (chance > 0))


def brier_columns(time: Array, event: Array, risk: Array, horizons: Array) -> Array:
    """What each case adds to the Brier score at each horizon, shape (n, horizons), from predicted risks of that
    shape."""
    columns = []
    for place, horizon in enumerate(horizons):
        happened, weight = known_by(time, event, horizon)
        columns.append(weight * (happened - risk[:, place]) ** 2)
    return np.stack(columns, axis=1)


def integrated(columns: Array, horizons: Array) -> Array:
    """The mean over time of columns, shape (n, horizons), by the trapezoidal rule; of one horizon, its column."""
    if len(horizons) == 1:
        return columns[:, 0]
    return np.trapezoid(columns, horizons, axis=1) / (horizons[-1] - horizons[0])


def concordance(time: Array, event: Array, score: Array, until: float = np.inf) -> Score:
    """Two columns: Harrell's C (1982), the share of pairs of which the case with the earlier event has the higher
    score, ties counting half; and Uno's C (2011), the same with each pair weighed by one over the squared probability
    that the earlier case was not censored before. Events after `until` begin no pair.

    A pair is comparable where one case has an event and the other is seen longer, or as long without one. The weights
    of cases that a case comes before are summed level by level of a binary tree over time, in O(n log n)."""
    begins = event & (time <= until)
    # Of equal times events come first, so that a case censored then was seen longer.
    later = np.unique(2 * np.unique(time, return_inverse=True)[1] + ~event, return_inverse=True)[1]
    score = np.unique(score, return_inverse=True)[1]
    chance = left_before(censoring(time, event), time)
    uno = np.where(begins & (chance > 0), 1 / np.maximum(chance, 1e-300) ** 2, 0.0)
    levels = [_level(later >> bit, score, begins) for bit in range(int(later.max(initial=0)).bit_length())]
    after = np.searchsorted(np.sort(later), later, side="right")
    order = np.argsort(later, kind="stable")
    both = [begins.astype(float), uno]

    def counted(weights: Array) -> tuple[Array, Array]:
        """Of each case, with how many it could begin a pair, and of these, those it is ahead of."""
        in_order = _sums(weights[:, order])
        pairs = in_order[:, -1:] - in_order[:, after]
        ahead = np.zeros_like(weights)
        for own, left, right, start, upper in levels:
            sums = _sums(weights[:, upper])
            ahead[:, own] += (sums[:, left] + sums[:, right]) / 2 - sums[:, start]
        return ahead, pairs

    def values(weights: Array) -> Array:
        ahead, pairs = counted(weights)
        return np.stack([ratio((weights * ahead) @ by, (weights * pairs) @ by) for by in both], axis=1)

    def behind(by: Array) -> Array:
        """The other way round: of each case, the sums of `by` over the pairs that it ends, and of those won."""
        before = _sums(by[None, order])[0][np.searchsorted(later[order], later, side="left")]
        lost = np.zeros(len(later))
        for own, left, right, start, upper in levels:
            steps = np.zeros(len(upper) + 1)
            for place, share in ((start, 1.0), (left, -0.5), (right, -0.5)):
                steps += share * np.bincount(place, by[own], len(steps))
            lost[upper] += np.cumsum(steps)[:-1]
        return np.stack([lost, before], axis=1)

    def sums() -> Sums:
        one = np.stack([side[0] for side in counted(np.ones((1, len(later))))], axis=1)
        columns = np.concatenate([by[:, None] * one + behind(by) for by in both], axis=1)
        # Each pair is in the sums twice, once of either case.
        twice = columns.sum(axis=0) / 2
        return Sums(columns, lambda total: ratio(*np.moveaxis((total - twice).reshape(-1, 2, 2), 2, 0)))

    return Score(values, sums)


def _level(prefix: Array, score: Array, begins: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Of the cases in the earlier half of each node that begin a pair: which they are, and between which places of the
    cases in the later half, ordered by node and score, those with a lower score stand: from `start` to `left` those
    below, to `right` those alike."""
    upper = np.flatnonzero(prefix & 1)
    own = np.flatnonzero(begins & (prefix & 1 == 0))
    size = int(score.max(initial=0)) + 2
    key = (prefix >> 1) * size + score
    upper = upper[np.argsort(key[upper], kind="stable")]
    ordered = key[upper]
    left, right = (np.searchsorted(ordered, key[own], side=side) for side in ("left", "right"))
    start = np.searchsorted(ordered, (prefix[own] >> 1) * size, side="left")
    return own, left, right, start, upper


def _sums(weights: Array) -> Array:
    """Running sums along the last axis, from 0 on."""
    return np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, axis=1)], axis=1)
