"""Shortcuts: whether facts other than the data give the label away, so that a model could learn those alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from medeor.contracts import Cases, Finding, Message, Text
from medeor.statistics.intervals import bootstrap
from medeor.statistics.outcomes import group_codes
from medeor.statistics.scores import ranking
from medeor.statistics.split import deal
from medeor.targets import of
from medeor.targets.common.kind import YesNoQuestion

GIVEN_AWAY = 0.65
"""AUROC that a fact other than the data may reach on its own, judged by the lower end of its 95 % interval."""

SMALLEST_CLASS = 10
"""Independent units of a class below which nothing is measured."""

_BINS = 10
_RARE = 5
_SLOTS = 5
_MOST_CASES = 5000
"""Cases that a shortcut is measured on: its AUROC is then known to within .02."""


def missing(labels: pl.Series) -> pl.Series:
    """Which labels are not known: null or NaN."""
    return labels.is_null() | labels.is_nan().fill_null(True) if labels.dtype.is_float() else labels.is_null()


def shortcut(check: str, what: Text, features: pl.DataFrame, cases: Cases) -> Finding:
    """Whether these features alone, one row a case, predict a label: the cross-validated AUROC, with its interval over
    groups, of the class (or of `above the median`) that they predict best.

    The small model adds up the log-likelihood ratios of each feature's bins (naive Bayes), so numbers, words and gaps
    are all welcome; what is known of a few cases only can hardly reach the bound."""
    rows, groups = _looked_at(cases)
    codes = np.stack([_binned(column[rows]) for column in features], axis=1)
    best: tuple[float, YesNoQuestion, np.ndarray] | None = None
    for question, fold in _divided(cases, rows, groups):
        positive = question.positive[question.known]
        score = _out_of_fold(codes[question.known], positive, fold)
        value = _auroc(score, positive)
        if best is None or value > best[0]:
            best = value, question, score
    if best is None:
        return Finding(check, "shortcut", "unknown", Message("trust.shortcut.too-few", bound=SMALLEST_CLASS))
    value, question, score = best
    measured = ranking(score, question.positive[question.known])
    units = groups[question.known]
    auroc = bootstrap(lambda weights: measured(weights)[:, 0], units, resamples=400)
    # An AUROC that no resample moves (1, as a rule) has no interval, and needs none.
    low = auroc.low if auroc.low is not None else value
    text = Message(
        "trust.shortcut.predicts" if auroc.low is None else "trust.shortcut.predicts-between",
        what=what, question=question.name, value=value, low=auroc.low, high=auroc.high,
    )  # fmt: skip
    if low <= GIVEN_AWAY:
        return Finding(check, "shortcut", "pass", text)
    return Finding(check, "shortcut", "fail", Message("trust.shortcut.given-away", text=text, bound=GIVEN_AWAY))


def reached(features: pl.DataFrame, cases: Cases) -> dict[str, float]:
    """By the name of each feature, the AUROC that it reaches alone, as in `shortcut`; 0 where there are too few
    labelled groups."""
    rows, groups = _looked_at(cases)
    asked = list(_divided(cases, rows, groups))
    best = dict.fromkeys(features.columns, 0.0)
    for column in features:
        codes = _binned(column[rows])[:, None]
        for question, fold in asked:
            positive = question.positive[question.known]
            value = _auroc(_out_of_fold(codes[question.known], positive, fold), positive)
            best[column.name] = max(best[column.name], value)
    return best


def _looked_at(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(len(cases))
    if len(rows) > _MOST_CASES:
        rows = np.sort(np.random.default_rng(0).permutation(len(rows))[:_MOST_CASES])
    return rows, group_codes(cases)[0][rows]


def _divided(cases: Cases, rows: np.ndarray, groups: np.ndarray) -> Iterator[tuple[YesNoQuestion, np.ndarray]]:
    """Each question with enough groups on both sides, and the folds of the rows whose answer is known."""
    kinds = map(of, cases.targets)
    for question in (question for kind in kinds for question in kind.questions(kind.truth(cases.table[rows]))):
        positive, units = question.positive[question.known], pl.Series(groups[question.known])
        if min(units.filter(pl.Series(side)).n_unique() for side in (positive, ~positive)) >= SMALLEST_CLASS:
            yield question, deal(units, positive.astype(float), _SLOTS, 0)


def _auroc(score: np.ndarray, positive: np.ndarray) -> float:
    return float(ranking(score, positive)(np.ones((1, len(score))))[0, 0])


def _binned(column: pl.Series) -> np.ndarray:
    """A bin for each value, shape (n,): numbers by tenths, rare words together, gaps on their own."""
    column = column.to_physical() if column.dtype.is_temporal() else column
    if column.dtype.is_numeric():
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        given = np.isfinite(values)
        if len(np.unique(values[given])) > _BINS:
            edges = np.unique(np.quantile(values[given], np.arange(1, _BINS) / _BINS))
            return np.where(given, np.searchsorted(edges, values, side="right"), len(edges) + 1)
    words = pl.DataFrame({"word": column.cast(pl.String).fill_null("")})
    common = pl.when(pl.len().over("word") >= _RARE).then("word")
    return words.select(common.rank("dense").fill_null(0)).to_series().to_numpy().astype(np.int64)


def _out_of_fold(codes: np.ndarray, positive: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """The log-likelihood ratio of each case, counted on the other folds; codes: shape (cases, features)."""
    score = np.zeros(len(positive))
    for code in codes.T:
        counts = np.zeros((_SLOTS, code.max() + 1, 2))
        np.add.at(counts, (fold, code, positive.astype(int)), 1)
        others = counts.sum(axis=0) - counts + 0.5
        rates = others / others.sum(axis=1, keepdims=True)
        score += (np.log(rates[..., 1]) - np.log(rates[..., 0]))[fold, code]
    return score
