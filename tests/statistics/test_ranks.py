"""Ranks of the truth are compared like other figures: paired, over independent groups."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from medeor.contracts import Cases, Predictions, Target, UserError
from medeor.statistics.ranks import RANKED
from medeor.trust.compare import compare

HOLDS = Target("holds", "binary")


def _ranked(ranks: np.ndarray, holds: np.ndarray) -> Predictions:
    """Ranks, shape (cases, 2), and a probability that says little."""
    ids = [f"c{row}" for row in range(len(ranks))]
    columns = {"rank/tail": ranks[:, 0], "rank/head": ranks[:, 1], "holds": 0.4 + 0.2 * holds}
    # Other kinds of ranks are left alone.
    columns |= {"degree/rank/tail": np.full(len(ranks), 99), "typed rank/tail": np.full(len(ranks), 99)}
    wide = pl.DataFrame({"case_id": ids, **{name: values.astype(float) for name, values in columns.items()}})
    return Predictions(wide.unpivot(index="case_id", variable_name="item", value_name="value"))


def _two(seed: int, size: int, shift: int) -> tuple[Cases, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    holds = (generator.random(size) < 0.7).astype(int)
    ours = generator.integers(1, 15, (size, 2))
    theirs = np.maximum(ours + generator.integers(-2, 3, (size, 2)) + shift, 1)
    cases = Cases(pl.DataFrame({"case_id": [f"c{row}" for row in range(size)], "holds": holds}), (HOLDS,))
    return cases, holds, ours, theirs


def test_figures_of_ranks_are_means_over_sides_of_the_cases_that_hold() -> None:
    cases, holds, ours, theirs = _two(0, 300, 1)
    rows = {row.metric: row for row in compare(cases, _ranked(ours, holds), _ranked(theirs, holds))}
    assert list(rows)[:4] == list(RANKED)
    assert "auroc" in rows
    true, other = ours[holds == 1], theirs[holds == 1]
    for name, of in {
        "mrr": lambda rank: 1 / rank, "hits@1": lambda rank: rank <= 1, "hits@3": lambda rank: rank <= 3,
        "hits@10": lambda rank: rank <= 10,
    }.items():  # fmt: skip
        assert rows[name].ours == pytest.approx(of(true).mean())
        assert rows[name].difference == pytest.approx(of(true).mean() - of(other).mean())
        assert rows[name].n == len(true)


def test_the_interval_is_that_of_a_paired_mean() -> None:
    cases, holds, ours, theirs = _two(1, 400, 1)
    (row,) = compare(cases, _ranked(ours, holds), _ranked(theirs, holds), metrics=["mrr"], resamples=4000)
    gap = (1 / ours - 1 / theirs)[holds == 1].mean(1)
    error = gap.std(ddof=1) / np.sqrt(len(gap))
    assert row.low == pytest.approx(gap.mean() - 1.96 * error, abs=0.15 * error)
    assert row.high == pytest.approx(gap.mean() + 1.96 * error, abs=0.15 * error)
    assert row.better == "ours"


def test_the_same_ranks_do_not_differ() -> None:
    cases, holds, ours, _ = _two(2, 60, 0)
    (row,) = compare(cases, _ranked(ours, holds), _ranked(ours, holds), metrics=["hits@3"])
    assert (row.difference, row.p, row.better) == (0.0, 1.0, "")


def test_where_no_ranks_were_kept_none_are_compared() -> None:
    cases, holds, ours, theirs = _two(3, 60, 0)
    bare = [Predictions(_ranked(one, holds).table.filter(item="holds")) for one in (ours, theirs)]
    assert not {row.metric for row in compare(cases, *bare)} & set(RANKED)
    with pytest.raises(UserError, match="'mrr' cannot be compared here"):
        compare(cases, *bare, metrics=["mrr"])
