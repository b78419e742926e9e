"""What there is to see of the answers to one target: curves, reliability, confusion, predicted against true, as plain
figures that a report draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medeor.contracts import Message, Text, named
from medeor.figures import Lines, Matrix, Series
from medeor.statistics.intervals import Estimator, interval, resample
from medeor.statistics.outcomes import Outcomes
from medeor.statistics.scores import Array, Score, Sums, curve, mass_bins, ratio

POINTS = 200
"""Of one drawn line, at most."""
BINS = 10
"""Of equal mass, in a plot of reliability."""
TOGETHER = 6
"""Classes or labels drawn in one plot, at most: those with the most cases."""


class ScoredCases(NamedTuple):
    """A question of yes or no with a score for each case: one line of a plot over thresholds."""

    name: Text
    score: Array
    """Shape (n,)."""
    positive: Array
    """Shape (n,), bool."""
    dashed: bool = False


class Sure(NamedTuple):
    """A probability and whether it came true, each of shape (n,), with what they are called."""

    probability: Array
    outcome: Array
    axis: Text
    """What the probability is."""
    observed: Text
    """What the rate at which it comes true is."""
    sides: tuple[Text, ...]
    """Cases for which it did not come true, and for which it did."""


# --- curves over thresholds ------------------------------------------------------------------------------


def roc(questions: Sequence[ScoredCases], baseline: Sequence[ScoredCases] = ()) -> Lines:
    """Sensitivity against 1 − specificity."""
    kept, left_out = _commonest(questions, baseline)
    series = []
    for one in kept:
        true, false = _curve(one)
        x, y = np.append(0, false / max(false[-1], 1)), np.append(0, true / max(true[-1], 1))
        series.append(line(one.name, *thinned(x, y), dashed=one.dashed))
    title, x_label, y_label = named("targets.figure", "roc", "false-positive-rate", "sensitivity").values()
    return Lines(title, x_label, y_label, tuple(series), left_out, (0, 1), (0, 1), diagonal=True)


def precision_recall(
    questions: Sequence[ScoredCases], baseline: Sequence[ScoredCases] = (), caption: Text = ""
) -> Lines:
    """Positive predictive value against sensitivity."""
    kept, left_out = _commonest(questions, baseline)
    series = []
    for one in kept:
        true, false = _curve(one)
        precision = true / (true + false)
        x, y = np.append(0, true / max(true[-1], 1)), np.append(precision[0], precision)
        series.append(line(one.name, *thinned(x, y), dashed=one.dashed))
    title, x_label, y_label = named("targets.figure", "precision-recall", "recall", "precision").values()
    return Lines(title, x_label, y_label, tuple(series), caption or left_out, (0, 1), (0, 1))


def _curve(one: ScoredCases) -> tuple[Array, Array]:
    true, false = curve(one.score, one.positive, np.ones((1, len(one.score))))
    return true[0], false[0]


def _commonest(questions: Sequence[ScoredCases], baseline: Sequence[ScoredCases]) -> tuple[list[ScoredCases], Text]:
    """The questions that have both answers, at most `TOGETHER`, and a sentence on those left out."""
    both = [one for one in questions if 0 < np.count_nonzero(one.positive) < len(one.positive)]
    common = sorted(both, key=lambda one: -np.count_nonzero(one.positive))[:TOGETHER]
    kept = [one for one in both if any(one is other for other in common)]
    return kept + (list(baseline) if kept else []), _left_out(len(kept), len(both))


def _left_out(kept: int, all_: int) -> Text:
    return Message("targets.figure.left-out", kept=kept, all=all_) if kept < all_ else ""


def thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """At most `POINTS` of a line, evenly spread along its length in both directions, both ends kept."""
    if len(x) <= POINTS:
        return x, y
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    at = np.searchsorted(length, np.linspace(0, length[-1], POINTS))
    kept = np.unique(np.concatenate([[0], np.minimum(at, len(x) - 1)[1:-1], [len(x) - 1]]))
    return x[kept], y[kept]


def decision_curve(one: ScoredCases, baseline: ScoredCases | None = None) -> Lines:
    """Net benefit of treating by the model at each threshold probability: true positives less false positives weighed
    by the odds of the threshold, per case (Vickers and Elkin 2006), beside treating all and treating none."""
    at = np.linspace(0.01, 0.99, 99)
    odds = at / (1 - at)

    def benefit(answers: ScoredCases) -> Array:
        treated = [
            len(side) - np.searchsorted(np.sort(side), at, side="left")
            for side in (answers.score[answers.positive], answers.score[~answers.positive])
        ]
        return (treated[0] - treated[1] * odds) / len(answers.score)

    prevalence = float(one.positive.mean())
    treat_all, treat_none = named("targets.figure", "treat-all", "treat-none").values()
    series = [line(one.name, at, benefit(one)), line(treat_all, at, prevalence - (1 - prevalence) * odds, True)]
    series.append(line(treat_none, at, np.zeros_like(at), True))
    if baseline is not None:
        series.insert(1, line(baseline.name, at, benefit(baseline)))
    title, x_label, y_label, text = named("targets.decisions", "title", "threshold", "benefit", "caption").values()
    y_range = -0.05 - prevalence / 10, max(prevalence * 1.1, 0.05)
    return Lines(title, x_label, y_label, tuple(series), text, (0, 1), y_range)


# --- calibration -----------------------------------------------------------------------------------------


def reliability(one: Outcomes, now: Sure, before: Sure | None) -> Lines:
    """Observed against predicted frequency in bins of equal mass, with 95 % intervals clustered by group, and before
    calibration where that is known."""
    x, y, low, high = _binned(now.probability, now.outcome, one.groups)
    title, text, model, calibrated, uncalibrated = named(
        "targets.figure", "reliability", "reliability-caption", "model", "calibrated", "uncalibrated"
    ).values()
    series = [Series(model if before is None else calibrated, x, y, low, high)]
    if before is not None:
        x, y, _, _ = _binned(before.probability, before.outcome, one.groups)
        series.append(Series(uncalibrated, x, y, dashed=True))
    return Lines(title, now.axis, now.observed, tuple(series), text, (0, 1), (0, 1), diagonal=True)


def label_reliability(every: Sequence[Outcomes]) -> Lines:
    """The same for several labels in one plot, without intervals."""
    common = sorted(every, key=lambda one: -np.count_nonzero(one.truth == 1))[:TOGETHER]
    series = []
    for one in common:
        x, y, _, _ = _binned(one.values[:, 0], one.truth.astype(float), one.groups, resamples=0)
        series.append(Series(one.target.name, x, y))
    text = _left_out(len(common), len(every))
    title, x_label, y_label = named("targets.figure", "reliability", "probability", "frequency").values()
    return Lines(title, x_label, y_label, tuple(series), text, (0, 1), (0, 1), diagonal=True)


Floats = tuple[float, ...]


def _binned(
    probability: Array, outcome: Array, groups: Array, resamples: int = 500
) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean prediction, observed rate and its interval, bin by bin. Where an interval is missing it is the rate."""
    place = mass_bins(probability, BINS)
    used, place = np.unique(place, return_inverse=True)
    one_hot = np.eye(len(used))[place]
    names = tuple(f"{number}" for number in range(len(used)))
    units = tuple(len(np.unique(groups[place == number])) for number in range(len(used)))

    happened = one_hot * outcome[:, None]
    rates = Score(
        lambda weights: ratio(weights @ happened, weights @ one_hot),
        lambda: Sums(np.concatenate([happened, one_hot], axis=1), lambda total: ratio(*np.split(total, 2, axis=1))),
    )
    _, codes = np.unique(groups, return_inverse=True)
    estimator = Estimator(names, rates, codes, units, units)
    found = resample([estimator], int(codes.max()) + 1, resamples=resamples, seed=0)
    measured = [interval(found[name]) for name in names]
    y = [measure.value or 0.0 for measure in measured]
    low = [value if measure.low is None else measure.low for value, measure in zip(y, measured)]
    high = [value if measure.high is None else measure.high for value, measure in zip(y, measured)]
    x = ratio(one_hot.T @ probability, one_hot.sum(axis=0))
    return tuple(x.tolist()), tuple(y), tuple(low), tuple(high)


def distribution(now: Sure) -> Lines:
    """Where predictions lie, as a histogram for each side."""
    edges = np.linspace(0, 1, 21)
    series = []
    for index, name in enumerate(now.sides):
        of_side = now.probability[now.outcome == index]
        if len(of_side):
            share = np.histogram(of_side, edges)[0] / len(of_side)
            # A step: each height stands over its whole bin.
            series.append(line(name, np.repeat(edges, 2), np.concatenate([[0], np.repeat(share, 2), [0]])))
    title, y_label = named("targets.figure", "distribution", "share").values()
    return Lines(title, now.axis, y_label, tuple(series), x_range=(0, 1))


# --- decisions, numbers ----------------------------------------------------------------------------------


def confusion(truth: Array, decision: Array, classes: tuple[Text, ...]) -> Matrix:
    """Cases by true and decided class."""
    counts = np.bincount(truth * len(classes) + decision, minlength=len(classes) ** 2)
    values = tuple(tuple(float(count) for count in row) for row in counts.reshape(len(classes), -1))
    title, truths, decisions = named("targets.figure", "confusion", "truth", "decision").values()
    return Matrix(title, classes, classes, values, truths, decisions)


def predicted_and_true(name: str, truth: Array, values: Array, unit: str) -> Lines:
    """Predicted against true values, each of shape (n,); of many cases an even choice along the truth."""
    order = np.argsort(truth, kind="stable")
    kept = order[np.linspace(0, len(order) - 1, min(2 * POINTS, len(order))).round().astype(np.int64)]
    true, answer = named("targets.figure", "true", "predicted").values()
    if unit:
        true, answer = (Message("targets.figure.in-unit", what=what, unit=unit) for what in (true, answer))
    ends = np.concatenate([truth[kept], values[kept]])
    span = (float(ends.min()), float(ends.max()))
    text = Message("targets.figure.some", kept=len(kept), all=len(order)) if len(kept) < len(order) else ""
    cloud = Series(
        Message("targets.figure.cases"), tuple(truth[kept].tolist()), tuple(values[kept].tolist()), points=True
    )
    title = Message("targets.figure.predicted-and-true", target=name)
    return Lines(title, true, answer, (cloud,), text, span, span, diagonal=True)


def line(name: Text, x: Array, y: Array, dashed: bool = False) -> Series:
    return Series(name, tuple(x.tolist()), tuple(y.tolist()), dashed=dashed)
