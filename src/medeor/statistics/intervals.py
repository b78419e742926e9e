"""The one interval of the house, a bootstrap of independent groups (patients, compounds), and what follows from it,
paired differences and p-values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from medeor.contracts import Measure
from medeor.statistics.outcomes import units as units_of
from medeor.statistics.scores import Array, Score

LEVEL = 0.95
"""Of every interval that medeor reports."""
_BLOCK = 1 << 19
"""Weights held at once: few enough to stay near the processor."""
MANY = 20_000
"""Groups beyond which blocks of them are resampled."""
_BLOCKS = 8192
"""Blocks of many groups: they tell a standard error to within 1 %."""
_TIMES = 4
"""Times as many resamples are drawn of blocks, which cost little: the ends of an interval are known the better."""
_JACKKNIFE = 200
"""Blocks of groups left out in turn, at most; more would not change the acceleration visibly."""


@dataclass(frozen=True)
class Estimator:
    """Figures that are computed together from the weights of some cases."""

    names: tuple[str, ...]
    of: Callable[[Array], Array]
    """A `Score`, or another function: case weights, shape (resamples, cases), to values, shape (resamples, names); NaN
    where there is no value."""
    groups: Array
    """Group of each case, shape (cases,): integers below the number of groups that is resampled."""
    units: tuple[int, ...] = ()
    """Number of groups that each figure rests on (sensitivity: those with a positive case); default: all it has."""
    trials: tuple[int | None, ...] = ()
    """For figures between 0 and 1: how many independent chances they had to leave that bound (see `interval`)."""


@dataclass(frozen=True)
class Resampled:
    """A figure, and what it would have been on other groups from the same place."""

    value: float
    draws: Array
    """On each bootstrap sample, shape (resamples,); NaN where a sample gave no value."""
    left_out: Array
    """With each block of groups left out in turn."""
    units: int
    trials: int | None = None
    least: float | None = None
    """A smaller value that is known not to be excluded; the interval then reaches down to it."""


def resample(
    estimators: Sequence[Estimator], groups: int, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Resampled]:
    """Every figure, by name, on bootstrap samples of whole groups (Davison and Hinkley 1997, section 3.8). All figures
    of one call share the same samples, so their differences are paired.

    A sample is a multiplicity of each group, given to its cases as their weight: nothing is copied or sorted again.
    Beyond `MANY` groups these are dealt into blocks, which stand in their place (see `_in_blocks`)."""
    if groups > MANY and all(isinstance(estimator.of, Score) for estimator in estimators):
        estimators, groups, resamples = _in_blocks(estimators, groups, seed), _BLOCKS, _TIMES * resamples
    generator = np.random.default_rng(seed)
    widest = max([groups, 1, *(len(estimator.groups) for estimator in estimators)])
    step = max(1, _BLOCK // widest)
    found: list[list[Array]] = [[] for _ in estimators]

    def score(times: Array) -> None:
        gathered: dict[int, Array] = {}
        for values, estimator in zip(found, estimators):
            key = id(estimator.groups)
            if key not in gathered:
                gathered[key] = np.take(times, estimator.groups, axis=1)
            values.append(estimator.of(gathered[key]))

    score(np.ones((1, groups)))
    blocks = min(groups, _JACKKNIFE) if groups > 1 else 0
    block = generator.permutation(groups) % max(blocks, 1)
    for start in range(0, blocks, step):
        score((block != np.arange(start, min(start + step, blocks))[:, None]).astype(float))
    for start in range(0, resamples if groups > 1 else 0, step):
        score(multiplicities(generator, groups, min(step, resamples - start)))

    result: dict[str, Resampled] = {}
    for values, estimator in zip(found, estimators):
        all_values = np.concatenate(values)
        units = estimator.units or (units_of(estimator.groups),) * len(estimator.names)
        trials = estimator.trials or (None,) * len(estimator.names)
        for column, name in enumerate(estimator.names):
            value, left_out, draws = np.split(all_values[:, column], [1, 1 + blocks])
            result[name] = Resampled(float(value[0]), draws, left_out, units[column], trials[column])
    return result


def _in_blocks(estimators: Sequence[Estimator], groups: int, seed: int) -> list[Estimator]:
    """The same figures of `_BLOCKS` groups, each the sum of many that are dealt to it at random. A figure of sums over
    the cases (a mean, a sensitivity, R²) has its own value on each sample; one of the order of the cases (AUROC,
    concordance, a rank correlation) that of its influence function, so that its interval is DeLong's."""
    from scipy import sparse

    block = np.random.default_rng(seed).permutation(groups) % _BLOCKS
    made = []
    for estimator in estimators:
        assert isinstance(estimator.of, Score)
        columns, of = estimator.of.sums()
        cases = len(estimator.groups)
        dealt = np.ones(cases), block[estimator.groups], np.arange(cases + 1)
        total = sparse.csc_array(dealt, shape=(_BLOCKS, cases)) @ columns
        score = partial(_of_totals, of, total.toarray() if sparse.issparse(total) else total)
        units = estimator.units or (units_of(estimator.groups),) * len(estimator.names)
        made.append(replace(estimator, of=score, groups=np.arange(_BLOCKS), units=units))
    return made


def _of_totals(of: Callable[[Array], Array], totals: Array, weights: Array) -> Array:
    return of(weights @ totals)


def multiplicities(generator: np.random.Generator, groups: int, rows: int) -> Array:
    """How often each group stands in each of `rows` bootstrap samples: shape (rows, groups)."""
    drawn = generator.integers(0, groups, size=(rows, groups)) + np.arange(rows)[:, None] * groups
    return np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups).astype(float)


def interval(figure: Resampled) -> Measure:
    """The figure with its bias-corrected and accelerated interval (BCa, Efron 1987), widened for few groups as
    Hesterberg (2015, section 5.3) does for percentiles.

    A proportion that stands at 0 or 1 in every resample gets the exact binomial bound of its `trials` independent
    units (Clopper and Pearson 1934): 30 of 30 is no proof of perfection. No interval where fewer than two groups, or
    too few resamples with a value, could tell one. The value is None where it does not exist."""
    from scipy.special import ndtr, ndtri

    if not np.isfinite(figure.value):
        return Measure(None, n=figure.units)
    draws = _draws(figure)
    if draws is None:
        return Measure(figure.value, n=figure.units)
    if np.ptp(draws) == 0:
        if figure.trials and figure.value in (0.0, 1.0):
            bound = ((1 - LEVEL) / 2) ** (1 / figure.trials)
            low, high = (bound, 1.0) if figure.value == 1 else (0.0, 1 - bound)
            return Measure(figure.value, low, high, figure.units)
        return Measure(figure.value, n=figure.units)
    centre, acceleration = _bias(figure, draws)
    span = _widened(ndtri((1 - LEVEL) / 2), figure.units)
    shifted = centre + np.array([span, -span])
    rank = ndtr(centre + shifted / np.maximum(1 - acceleration * shifted, 0.1))
    low, high = (float(end) for end in np.quantile(draws, rank))
    return Measure(figure.value, low if figure.least is None else min(low, figure.least), high, figure.units)


def p_value(figure: Resampled) -> float | None:
    """Two-sided p-value of the hypothesis that the figure (a difference) is zero: the level at which `interval` would
    just reach zero. None where there is no interval; 1 where every resample gives zero."""
    from scipy.special import ndtri, stdtr

    draws = _draws(figure)
    if not np.isfinite(figure.value) or draws is None:
        return None
    if np.ptp(draws) == 0:
        return 1.0 if figure.value == 0 else None
    centre, acceleration = _bias(figure, draws)
    gap = ndtri(_share_below(draws, 0.0)) - centre
    span = gap / np.maximum(1 + acceleration * gap, 0.1) - centre
    narrowed = -abs(span) * np.sqrt((figure.units - 1) / figure.units)
    return min(1.0, 2 * float(stdtr(figure.units - 1, narrowed)))


def difference(one: Resampled, other: Resampled) -> Resampled:
    """One figure less another of the same call of `resample`."""
    return Resampled(
        one.value - other.value, one.draws - other.draws, one.left_out - other.left_out, min(one.units, other.units)
    )


def average(figures: Sequence[Resampled]) -> Resampled:
    """The mean of figures of the same call of `resample`, those without a value left out."""
    kept = [figure for figure in figures if np.isfinite(figure.value)]
    if not kept:
        return replace(figures[0], trials=None)
    trials = [figure.trials for figure in kept if figure.trials is not None]
    return Resampled(
        float(np.mean([figure.value for figure in kept])),
        np.mean([figure.draws for figure in kept], axis=0),
        np.mean([figure.left_out for figure in kept], axis=0),
        max(figure.units for figure in kept),
        min(trials) if len(trials) == len(kept) else None,
    )


def bootstrap(of: Callable[[Array], Array], groups: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> Measure:
    """One figure with its interval. `of` takes case weights, shape (resamples, cases), and gives shape (resamples,)
    or (resamples, 1); `groups` names the independent unit of each case, in any type.

    >>> import numpy as np
    >>> age = np.array([40.0, 50.0, 60.0, 70.0])
    >>> bootstrap(lambda weights: weights @ age / weights.sum(axis=1), ["a", "a", "b", "c"]).value
    55.0
    """
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    score = of.then(_column) if isinstance(of, Score) else lambda weights: _column(of(weights))
    estimator = Estimator(("figure",), score, codes)
    return interval(resample([estimator], len(names), resamples=resamples, seed=seed)["figure"])


def _column(values: Array) -> Array:
    return values.reshape(len(values), 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted for their number (Holm 1979); None stays None and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = largest
    return adjusted


def _draws(figure: Resampled) -> Array | None:
    """The draws that have a value; None where groups or draws are too few."""
    draws = figure.draws[np.isfinite(figure.draws)]
    return None if figure.units < 2 or len(draws) < max(20, len(figure.draws) // 2) else draws


def _bias(figure: Resampled, draws: Array) -> tuple[float, float]:
    """Bias correction and acceleration of BCa, both on the normal scale."""
    from scipy.special import ndtri

    pulls = figure.left_out[np.isfinite(figure.left_out)]
    pulls = pulls.mean() - pulls if len(pulls) else np.zeros(1)
    spread = np.sum(pulls**2) ** 1.5
    acceleration = float(np.sum(pulls**3) / (6 * spread)) if spread > 0 else 0.0
    return float(ndtri(_share_below(draws, figure.value))), acceleration


def _share_below(draws: Array, value: float) -> float:
    """Ties count half; never quite 0 or 1, which a finite number of draws cannot show."""
    # Sums of the same terms in another order differ in their last digits: near enough is equal.
    near = 1e-12 * (abs(value) + np.max(np.abs(draws)))
    below = np.count_nonzero(draws < value - near) + np.count_nonzero(np.abs(draws - value) <= near) / 2
    return float((below + 0.5) / (len(draws) + 1))


def _widened(quantile: float, units: int) -> float:
    from scipy.special import ndtr, stdtrit

    return float(np.sqrt(units / (units - 1)) * stdtrit(units - 1, ndtr(quantile)))
