"""Figures of a completion are means over both sides of a triple."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from knowledge import wheel
from medeor.contracts import Predictions, Sources, Study
from medeor.knowledge.evaluation import evaluate, mean_reciprocal_rank
from medeor.knowledge.read.cases import read_cases


def test_heads_count_as_much_as_tails(tmp_path: Path) -> None:
    """Every tail has rank 1, every head rank 4."""
    cases = read_cases(Sources((wheel.write(tmp_path / "wheel"),), {}), Study())
    true = cases.where(pl.col("holds") == 1).ids
    table = pl.concat(
        pl.DataFrame({"case_id": true, "item": f"rank/{side}", "value": [rank] * len(true)})
        for side, rank in (("tail", 1.0), ("head", 4.0))
    )
    found = evaluate(cases.where(pl.col("holds") == 1), Predictions(table))
    expected = {"mrr": 0.625, "hits@1": 0.5, "hits@3": 0.5, "hits@10": 1.0, "mean_rank": 2.5}
    expected |= {"mrr/tail": 1.0, "mrr/head": 0.25}
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert mean_reciprocal_rank(cases, Predictions(table)) == pytest.approx(0.625)
