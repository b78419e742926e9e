"""Figures of many cases have the intervals of the bootstrap, at the price of a few sums."""

from __future__ import annotations

import numpy as np
import pytest

from medeor.contracts import Target
from medeor.statistics import intervals, scores, survival
from medeor.statistics.intervals import Resampled, interval
from medeor.statistics.outcomes import Outcomes
from medeor.trust.families import estimators, figures


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def ordered(generator: np.random.Generator) -> dict[str, scores.Score]:
    """Scores of the order of 60 cases, with ties."""
    score, positive = generator.integers(0, 25, 60) / 25, generator.random(60) < 0.4
    other, event = score + generator.integers(-9, 9, 60) / 25, generator.random(60) < 0.7
    time = 1.0 + generator.integers(0, 20, 60)
    return {
        "areas": scores.areas(score, positive),
        "agreement": scores.agreement(score, other),
        "concordance": survival.concordance(time, event, score, 15.0),
    }


@pytest.mark.parametrize("name", ["areas", "agreement", "concordance"])
def test_an_influence_is_the_derivative_by_the_weight_of_a_case(generator: np.random.Generator, name: str) -> None:
    score = ordered(generator)[name]
    columns, of = score.sums()
    here = np.ones((1, len(columns)))
    if name == "agreement":
        # A weight stands for copies, whose ranks differ; a share of one is their limit.
        here *= 1e6
    step = 1e-4 * here[0, 0] * np.eye(len(columns))
    slopes = (score(here + step) - score(here - step)) / 2e-4
    ours = (of((1 + 1e-4 * np.eye(len(columns))) @ columns) - of((1 - 1e-4 * np.eye(len(columns))) @ columns)) / 2e-4
    assert of(np.ones((1, len(columns))) @ columns) == pytest.approx(score(here), abs=1e-6)
    assert ours == pytest.approx(slopes, abs=1e-6)


def test_figures_of_sums_are_the_same_from_sums(generator: np.random.Generator) -> None:
    one, other = generator.random((2, 80))
    outcome, group = generator.random(80) < one, np.arange(80) // 2
    weights = generator.poisson(1, (7, 80)).astype(float)
    mass = 1 + generator.random(80)
    for score in (
        scores.means([one, other]),
        scores.confusion(outcome, other > 0.5, 2),
        scores.calibration_error(one, outcome.astype(float), group),
        scores.calibration_error(one, outcome.astype(float), group).weighed(mass),
        scores.means([one, other]).then(lambda values: 10**values),
        scores.side_by_side([scores.means([one]), scores.means([other])]),
    ):
        columns, of = score.sums()
        assert of(weights @ columns) == pytest.approx(score(weights))


KINDS = ("binary", "multiclass", "ordinal", "continuous", "survival")


def outcomes(kind: str, groups: int, most: int, seed: int) -> Outcomes:
    """Predictions of 1 to `most` cases a group, which share most of what makes them differ."""
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), generator.integers(1, most + 1, groups))
    count = len(group)
    shared, own, noise = generator.normal(size=groups)[group], *generator.normal(size=(2, count))
    rows = np.arange(count)
    if kind == "binary":
        log_odds = 1.2 * shared + 0.5 * own - 1.5
        truth = (generator.random(count) < 1 / (1 + np.exp(-log_odds))).astype(int)
        p, raw = 1 / (1 + np.exp(-0.8 * log_odds - 0.5 * noise)), 1 / (1 + np.exp(-1.5 * log_odds))
        sets = np.stack([p < 0.8, p > 0.2], axis=1)
        target = Target("sick", kind, ("no", "yes"))
        decided = (p > np.quantile(p, 0.8))[:, None]
        return Outcomes(target, rows, group, truth, p[:, None], raw[:, None], decided, sets, None, None)
    if kind in ("multiclass", "ordinal"):
        p = np.exp(np.stack([shared + 0.3 * own, 0.7 * noise, 0.5 * noise - shared], axis=1))
        p /= p.sum(axis=1, keepdims=True)
        truth = (p.cumsum(axis=1) < generator.random(count)[:, None]).sum(axis=1)
        return Outcomes(Target("grade", kind, ("a", "b", "c")), rows, group, truth, p, None, None, p > 0.2, None, None)
    if kind == "continuous":
        truth, value = np.exp(1 + 0.5 * shared + 0.3 * own), np.exp(1 + 0.4 * shared + 0.3 * noise)
        target = Target("dose", kind, scale="log")
        return Outcomes(target, rows, group, truth, value[:, None], None, None, None, value / 2, value * 2)
    time, end = generator.exponential(np.exp(0.2 * own - 0.7 * shared)), generator.exponential(1.5, count)
    risk = 1 - np.exp(-np.outer(np.exp(0.6 * shared + 0.4 * noise), (0.5, 1.0)))
    side = (time > end).astype(float)
    target = Target("death", kind, ("0.5", "1"))
    return Outcomes(target, rows, group, np.minimum(time, end), risk, None, None, None, None, None, None, side)


def found(one: Outcomes, groups: int, resamples: int) -> dict[str, Resampled]:
    return figures({"": estimators(one)}, [one.target], groups, resamples=resamples)[""]


def width(figure: Resampled) -> float:
    _, low, high, _ = interval(figure)
    assert low is not None
    assert high is not None
    return high - low


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_widths_of_20000_groups_are_those_of_the_bootstrap(monkeypatch, kind: str, most: int) -> None:
    one = outcomes(kind, 20_000, most, seed=1)
    bootstrap = found(one, 20_000, 4000)
    monkeypatch.setattr(intervals, "MANY", 19_999)
    blocks = found(one, 20_000, 1000)
    assert bootstrap.keys() == blocks.keys()
    for name, figure in bootstrap.items():
        assert blocks[name].value == pytest.approx(figure.value), name
        assert np.nanstd(blocks[name].draws) == pytest.approx(np.nanstd(figure.draws), rel=0.05), name
        # Both ends of a bootstrap interval are order statistics of its draws, known to 1.5 % of its width.
        assert width(blocks[name]) == pytest.approx(width(figure), rel=0.07), name


@pytest.mark.parametrize("kind", KINDS)
def test_spreads_of_2000_groups_are_near_those_of_the_bootstrap(monkeypatch, kind: str) -> None:
    one = outcomes(kind, 2000, 3, seed=1)
    bootstrap = found(one, 2000, 300)
    monkeypatch.setattr(intervals, "MANY", 1999)
    for name, figure in found(one, 2000, 300).items():
        assert figure.value == pytest.approx(bootstrap[name].value), name
        assert figure.units == bootstrap[name].units
        assert np.nanstd(figure.draws) == pytest.approx(np.nanstd(bootstrap[name].draws), rel=0.2), name


def test_few_groups_and_functions_of_weights_alone_are_drawn_group_by_group(monkeypatch) -> None:
    values = np.random.default_rng(0).normal(size=50)
    plain = intervals.bootstrap(scores.means([values]), np.arange(50))
    monkeypatch.setattr(intervals, "MANY", 49)
    by_function = intervals.bootstrap(lambda weights: scores.means([values])(weights), np.arange(50))
    assert by_function == plain
    assert intervals.bootstrap(scores.means([values]), np.arange(50)) != plain


def test_perfect_figures_of_many_groups_keep_the_exact_bound(monkeypatch) -> None:
    monkeypatch.setattr(intervals, "MANY", 10)
    one = outcomes("binary", 300, 1, seed=2)
    perfect = Outcomes(
        one.target, one.rows, one.groups, one.truth, one.truth[:, None].astype(float), None,
        one.truth[:, None] == 1, None, None, None,
    )  # fmt: skip
    auroc = interval(found(perfect, 300, 50)["auroc"])
    assert auroc.value == auroc.high == 1
    assert auroc.low == pytest.approx(0.025 ** (1 / min(one.truth.sum(), 150)))
