"""Intervals cover at their stated rate, and groups count as one."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, t
from sklearn.metrics import roc_auc_score

from medeor.statistics import scores
from medeor.statistics.intervals import (
    Estimator,
    average,
    bootstrap,
    difference,
    holm,
    interval,
    multiplicities,
    p_value,
    resample,
)


def scored(generator: np.random.Generator, groups: int, size: int, auroc: float, shared: float = 0.0):
    """Binormal scores with a known AUROC; cases of a group share their truth and a part of their score's variance."""
    group = np.repeat(np.arange(groups), size)
    positive = (generator.random(groups) < 0.4)[group]
    noise = np.sqrt(shared) * generator.normal(size=groups)[group]
    noise = noise + np.sqrt(1 - shared) * generator.normal(size=len(group))
    return group, positive.astype(float), noise + np.sqrt(2) * norm.ppf(auroc) * positive


def auroc_statistic(group, positive, score) -> Estimator:
    return Estimator(("auroc",), lambda weights: scores.areas(score, positive)(weights)[:, :1], group)


def coverage(simulations: int, truth: float, simulate) -> float:
    inside = [(low <= truth <= high) for _, low, high, _ in map(simulate, range(simulations))]
    return float(np.mean(inside))


@pytest.mark.parametrize(
    ("groups", "size", "auroc", "shared"), [(80, 1, 0.85, 0.0), (60, 4, 0.8, 0.8), (150, 1, 0.95, 0)]
)
def test_auroc_interval_covers_95_percent(groups: int, size: int, auroc: float, shared: float) -> None:
    def simulate(seed: int):
        data = scored(np.random.default_rng(seed), groups, size, auroc, shared)
        return interval(resample([auroc_statistic(*data)], groups, resamples=300, seed=seed)["auroc"])

    # 250 simulations: the standard error of a coverage of .95 is .014.
    assert 0.915 <= coverage(250, auroc, simulate) <= 0.985


def test_forgetting_the_groups_would_cover_too_little() -> None:
    def simulate(seed: int):
        group, positive, score = scored(np.random.default_rng(seed), 60, 4, 0.8, 0.8)
        each_alone = auroc_statistic(np.arange(len(group)), positive, score)
        return interval(resample([each_alone], len(group), resamples=300, seed=seed)["auroc"])

    assert coverage(100, 0.8, simulate) < 0.85


@pytest.mark.parametrize(("cases", "rate"), [(30, 0.95), (40, 0.9), (100, 0.8)])
def test_interval_of_a_proportion_covers_95_percent(cases: int, rate: float) -> None:
    def simulate(seed: int):
        hits = np.random.default_rng(seed).random(cases) < rate
        statistic = Estimator(("hits",), scores.means([hits]), np.arange(cases), (cases,), (cases,))
        return interval(resample([statistic], cases, resamples=400, seed=seed)["hits"])

    assert 0.92 <= coverage(300, rate, simulate) <= 0.995


@pytest.mark.parametrize("hit", [0.0, 1.0])
def test_thirty_of_thirty_gets_the_exact_binomial_bound(hit: float) -> None:
    statistic = Estimator(("hits",), scores.means([np.full(30, hit)]), np.arange(30), (30,), (30,))
    found = interval(resample([statistic], 30, resamples=200)["hits"])
    exact = binomtest(int(30 * hit), 30).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_with_one_case_a_group_it_is_the_ordinary_bootstrap() -> None:
    group, positive, score = scored(np.random.default_rng(3), 50, 1, 0.8)
    ours = resample([auroc_statistic(group, positive, score)], 50, resamples=40, seed=7)["auroc"].draws
    generator = np.random.default_rng(7)
    generator.permutation(50)  # the jackknife's blocks are drawn first
    drawn = generator.integers(0, 50, size=(40, 50))
    ordinary = [roc_auc_score(positive[rows], score[rows]) for rows in drawn]
    assert ours == pytest.approx(ordinary, abs=1e-12)


def test_a_group_is_drawn_whole() -> None:
    group = np.array([0, 0, 0, 1, 2, 2])
    weights = np.take(multiplicities(np.random.default_rng(0), 3, 500), group, axis=1)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, [0, 3, 4]].sum(axis=1) == 3).all()


def test_the_mean_has_the_spread_of_its_formula() -> None:
    values = np.random.default_rng(1).normal(10, 2, 400)
    found = bootstrap(scores.means([values]), np.arange(400), resamples=4000)
    error = values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.06)
    assert found.n == 400


@pytest.mark.parametrize("groups", [[], ["a"] * 5])
def test_no_interval_without_two_groups(groups: list[str]) -> None:
    found = bootstrap(lambda weights: np.full(len(weights), 0.5), groups)
    assert (found.low, found.high) == (None, None)


def test_a_figure_that_does_not_exist_has_no_value() -> None:
    score = np.linspace(0, 1, 10)
    found = interval(resample([auroc_statistic(np.arange(10), np.ones(10), score)], 10)["auroc"])
    assert (found.value, found.low, found.high) == (None, None, None)


def test_same_seed_same_interval() -> None:
    values = np.random.default_rng(1).normal(size=30)
    first, again, other = (bootstrap(scores.means([values]), np.arange(30), seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_p_value_is_uniform_when_nothing_differs() -> None:
    def simulate(seed: int) -> float:
        one, other = np.random.default_rng(seed).normal(size=(2, 50))
        pair = resample([Estimator(("a", "b"), scores.means([one, other]), np.arange(50))], 50, resamples=300)
        p = p_value(difference(pair["a"], pair["b"]))
        assert p is not None
        return p

    found = np.array([simulate(seed) for seed in range(400)])
    assert 0.025 <= np.mean(found < 0.05) <= 0.085
    assert np.mean(found < 0.5) == pytest.approx(0.5, abs=0.08)


def test_p_value_and_interval_agree() -> None:
    generator = np.random.default_rng(0)
    for shift in np.linspace(0.1, 0.6, 30):
        values = generator.exponential(size=40) - 1 + shift
        figure = resample([Estimator(("mean",), scores.means([values]), np.arange(40))], 40, resamples=2000)["mean"]
        found, p = interval(figure), p_value(figure)
        assert p is not None
        if abs(p - 0.05) > 0.01:
            assert (p < 0.05) == (found.low > 0 or found.high < 0)


def test_average_of_figures_keeps_them_paired() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 60))
    both = Estimator(("a", "b", "mean"), scores.means([one, other, (one + other) / 2]), np.arange(60))
    found = resample([both], 60)
    assert average([found["a"], found["b"]]).draws == pytest.approx(found["mean"].draws)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_holm_by_its_definition(p_values: list[float]) -> None:
    order = np.argsort(p_values, kind="stable")
    stepped = [(len(p_values) - rank) * p_values[place] for rank, place in enumerate(order)]
    expected = np.empty(len(p_values))
    expected[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    assert holm(p_values) == pytest.approx(expected)
    assert holm([*p_values, None])[-1] is None


def test_a_thousand_resamples_of_ten_thousand_cases_take_a_second_or_so() -> None:
    group, positive, score = scored(np.random.default_rng(0), 10_000, 1, 0.8)
    start = time.process_time()
    resample([auroc_statistic(group, positive, score)], 10_000, resamples=1000)
    assert time.process_time() - start < 4  # about 0.7 s; a machine of its own is not promised


def test_an_interval_of_few_groups_is_that_of_students_t() -> None:
    """For a mean BCa is nearly the normal interval, whose variance of n - 1 in n and quantile are put right."""
    generator = np.random.default_rng(0)
    ratios = []
    for seed in range(60):
        values = generator.normal(size=8)
        found = bootstrap(lambda w, v=values: w @ v / w.sum(axis=1), np.arange(8), resamples=2000, seed=seed)
        assert found.low is not None
        assert found.high is not None
        ratios.append((found.high - found.low) / (2 * t.ppf(0.975, 7) * values.std(ddof=1) / np.sqrt(8)))
    # Without either correction it would be .78 of it, without the quantile's .83.
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)


def test_a_difference_rests_on_the_fewer_groups_of_its_sides() -> None:
    many, few = (
        resample([Estimator((name,), lambda w: w.mean(axis=1, keepdims=True), np.arange(30), (units,))], 30)[name]
        for name, units in (("many", 30), ("few", 7))
    )
    assert difference(many, few).units == difference(few, many).units == 7
