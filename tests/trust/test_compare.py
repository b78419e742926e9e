"""Differences are paired, corrected for their number, and told from chance at the stated rate."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as sk
from scipy.stats import norm

from medeor.contracts import Cases, Predictions, Target, UserError
from medeor.trust.compare import compare

ILL = Target("state", "binary", ("well", "ill"))


def two_models(seed: int, size: int, ours: float, theirs: float, alike: float = 0.6):
    """Two models whose scores share a part of their noise; `ours` and `theirs` are how far they tell classes apart."""
    generator = np.random.default_rng(seed)
    truth = (generator.random(size) < 0.4).astype(int)
    noise = np.sqrt(alike) * generator.normal(size=size)
    scores = [
        part * truth + noise + np.sqrt(1 - alike) * generator.normal(size=size) for part in (ours, theirs)
    ]  # fmt: skip
    ids = [f"c{row}" for row in range(size)]
    cases = Cases(pl.DataFrame({"case_id": ids, "state": truth}), (ILL,))
    tables = [pl.DataFrame({"case_id": ids, "item": "ill", "value": 1 / (1 + np.exp(1 - score))}) for score in scores]
    return cases, Predictions(tables[0]), Predictions(tables[1]), truth, scores


def delong(truth: np.ndarray, one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Standard error and two-sided p-value of the difference of two paired AUROCs (DeLong et al. 1988)."""
    by_case, by_control = [], []
    for score in (one, other):
        above = (score[truth == 1][:, None] > score[truth == 0]) + 0.5 * (
            score[truth == 1][:, None] == score[truth == 0]
        )
        by_case.append(above.mean(axis=1))
        by_control.append(above.mean(axis=0))
    cases, controls = np.subtract(*by_case), np.subtract(*by_control)
    error = np.sqrt(cases.var(ddof=1) / len(cases) + controls.var(ddof=1) / len(controls))
    return error, 2 * norm.sf(abs(cases.mean()) / error)


@pytest.mark.parametrize(("ours", "theirs"), [(1.6, 1.3), (1.4, 1.4), (2.0, 1.2)])
def test_auroc_difference_agrees_with_delong(ours: float, theirs: float) -> None:
    cases, first, second, truth, scores = two_models(0, 400, ours, theirs)
    (row,) = compare(cases, first, second, metrics=("auroc",), resamples=4000)
    error, p = delong(truth, *scores)
    gap = sk.roc_auc_score(truth, scores[0]) - sk.roc_auc_score(truth, scores[1])
    assert row.difference == pytest.approx(gap)
    assert row.high - row.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert row.p == pytest.approx(p, abs=0.03)
    assert row.n == 400


def test_pairing_is_sharper_than_two_separate_intervals() -> None:
    cases, first, second, *_ = two_models(1, 300, 1.5, 1.4, alike=0.95)
    together = compare(cases, first, second, metrics=("auroc",), resamples=500)[0]
    *_, apart, _, _ = two_models(2, 300, 1.5, 1.4, alike=0)
    separate = compare(cases, first, apart, metrics=("auroc",), resamples=500)[0]
    assert together.high - together.low < 0.5 * (separate.high - separate.low)


def test_equal_models_are_told_apart_no_more_often_than_stated() -> None:
    found = [compare(*two_models(seed, 120, 1.4, 1.4)[:3], metrics=("auroc",), resamples=200)[0] for seed in range(100)]
    assert np.mean([row.p < 0.05 for row in found]) <= 0.1
    assert np.mean([row.low <= 0 <= row.high for row in found]) >= 0.9


def test_copying_every_patient_proves_nothing_more() -> None:
    cases, first, second, *_ = two_models(5, 80, 1.5, 1.2)
    once = compare(cases, first, second, metrics=("auroc",))[0]

    def copied(table: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([table.with_columns(case_id=pl.col("case_id") + f".{copy}") for copy in range(4)])

    table = copied(cases.table).with_columns(group=pl.col("case_id").str.split(".").list.first())
    again = Cases(table, cases.targets)
    four = compare(again, Predictions(copied(first.table)), Predictions(copied(second.table)), metrics=("auroc",))[0]
    assert (four.low, four.high, four.p) == pytest.approx((once.low, once.high, once.p), abs=0.02)


def test_a_model_against_itself_does_not_differ() -> None:
    cases, first, *_ = two_models(0, 100, 1.5, 1.5)
    for row in compare(cases, first, first, resamples=200):
        assert (row.difference, row.p, row.better) == (0, 1, "")


def test_better_knows_which_way_each_figure_points() -> None:
    cases, first, second, *_ = two_models(0, 500, 3.0, 0.5)
    rows = {row.metric: row.better for row in compare(cases, first, second)}
    assert rows["auroc"] == rows["brier"] == "ours"
    assert {row.metric: row.better for row in compare(cases, second, first)}["log_loss"] == "theirs"


def test_p_values_are_adjusted_for_the_number_of_figures() -> None:
    cases, first, second, *_ = two_models(0, 200, 1.8, 1.2)
    rows = compare(cases, first, second, metrics=("auroc", "accuracy", "brier"))
    smallest = min(rows, key=lambda row: row.p)
    assert smallest.p_adjusted == pytest.approx(min(1, 3 * smallest.p))
    assert all(row.p_adjusted >= row.p for row in rows)


def test_labels_are_compared_by_their_means() -> None:
    generator = np.random.default_rng(0)
    targets = (Target("a", "binary"), Target("b", "binary"))
    ids = [f"c{row}" for row in range(100)]
    truth = {name: generator.integers(0, 2, 100) for name in "ab"}
    cases = Cases(pl.DataFrame({"case_id": ids, **truth}), targets)

    def model() -> Predictions:
        parts = [pl.DataFrame({"case_id": ids, "item": name, "value": generator.random(100)}) for name in "ab"]
        return Predictions(pl.concat(parts))

    one, other = model(), model()
    rows = {row.metric: row for row in compare(cases, one, other, resamples=100)}
    assert not [name for name in rows if "/" in name]
    single = compare(cases, one, other, metrics=("auroc/b",), resamples=100)[0]
    by_item = [m.table.filter(pl.col("item") == "b")["value"].to_numpy() for m in (one, other)]
    assert single.difference == pytest.approx(np.subtract(*[sk.roc_auc_score(truth["b"], v) for v in by_item]))


def test_different_cases_are_refused_unless_asked_for() -> None:
    cases, first, second, *_ = two_models(0, 50, 1.5, 1.4)
    fewer = Predictions(second.table.head(30))
    with pytest.raises(UserError, match="ours 50, theirs 30, shared 30 of 50"):
        compare(cases, first, fewer)
    assert compare(cases, first, fewer, metrics=("auroc",), shared_only=True, resamples=100)[0].n == 30
    stranger = Predictions(second.table.with_columns(case_id=pl.lit("x") + pl.col("case_id")))
    with pytest.raises(UserError, match="share none of 50 cases"):
        compare(cases, first, stranger, shared_only=True)
    with pytest.raises(UserError, match="'aucroc' cannot be compared here; there are auroc"):
        compare(cases, first, second, metrics=("aucroc",))
