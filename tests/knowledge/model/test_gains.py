"""Two completions of the same triples set against each other, triple by triple."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from medeor.contracts import Cases, Predictions
from medeor.knowledge.evaluation import gains
from medeor.knowledge.read.cases import HOLDS

TRIPLES = 60


def _cases() -> Cases:
    ids = [str(number) for number in range(TRIPLES)]
    holds = np.arange(TRIPLES) % 3 > 0
    degree = np.where(np.arange(TRIPLES) < 45, "1 to 3", "over 100")
    table = pl.DataFrame({"case_id": ids, "group": ids, "holds": holds.astype(np.int8), "degree": degree})
    return Cases(table, (HOLDS,))


def _predicted(cases: Cases, tail: np.ndarray, head: np.ndarray, value: np.ndarray) -> Predictions:
    wide = pl.DataFrame({"case_id": cases.ids, "rank/tail": tail, "rank/head": head, "holds": value})
    return Predictions(wide.unpivot(index="case_id", variable_name="item", value_name="value"))


@pytest.fixture
def both() -> tuple[Cases, list[np.ndarray], list[Predictions]]:
    cases = _cases()
    generator = np.random.default_rng(0)
    raw = [np.stack((*generator.integers(1, 9, (2, TRIPLES)), generator.random(TRIPLES))) for _ in range(2)]
    return cases, raw, [_predicted(cases, *one) for one in raw]


def test_figures_are_those_of_their_definitions_and_gains_their_differences(both):
    cases, raw, (ours, theirs) = both
    found = gains(cases, ours, theirs, "degree")
    true = cases.table["holds"].to_numpy() == 1
    mrr = [(1 / one[:2, true]).mean() for one in raw]
    area = [roc_auc_score(true, one[2]) for one in raw]
    assert [found[name].value for name in ("mrr", "degree/mrr")] == pytest.approx(mrr)
    assert [found[name].value for name in ("auroc", "degree/auroc")] == pytest.approx(area)
    assert found["mrr less degree"].value == pytest.approx(mrr[0] - mrr[1])
    assert found["auroc less degree"].value == pytest.approx(area[0] - area[1])


def test_a_level_with_few_groups_is_not_told_apart(both):
    cases, raw, (ours, theirs) = both
    found = gains(cases, ours, theirs, "degree")
    rare = (cases.table["holds"].to_numpy() == 1) & (np.arange(TRIPLES) < 45)
    assert found["mrr[degree=1 to 3]"].value == pytest.approx((1 / raw[0][:2, rare]).mean())
    assert not [name for name in found if "over 100" in name]


def test_the_same_predictions_gain_nothing(both):
    cases, _, (ours, _) = both
    gain = gains(cases, ours, ours, "degree")["mrr less degree"]
    assert gain.value == 0
    assert not gain.low
    assert not gain.high
