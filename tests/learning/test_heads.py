"""Heads: what is held against an answer."""

from __future__ import annotations

import math

import polars as pl
import torch

from medeor.contracts import Cases, Target
from medeor.learning.heads import heads_for


def test_beyond_a_limit_nothing_is_lost_and_nothing_is_learnt() -> None:
    table = pl.DataFrame({"y": [0.0, 2.0, 1.0, 1.0], "y.limit": pl.Series([0, 0, 1, -1], dtype=pl.Int8)})
    cases = Cases(table, (Target("y", "continuous"),))
    heads = heads_for(cases)
    (mean, spread), limits = heads.scales[0], heads.limits(cases)
    assert limits is not None
    for said, lost in ((1.5, [True, True, False, True]), (0.5, [True, True, True, False])):
        outputs = torch.full((4, 1), (said - mean) / spread, requires_grad=True)
        loss, weight = heads.loss(outputs, heads.truth(cases), limits=limits)
        loss.sum().backward()
        assert weight.tolist() == [1.0] * 4
        assert [one > 0 for one in loss.tolist()] == lost
        assert [one != 0 for one in outputs.grad[:, 0].tolist()] == lost  # type: ignore[index]
        plain, _ = heads.loss(outputs, heads.truth(cases))
        assert all(one == other for one, other, counts in zip(loss.tolist(), plain.tolist(), lost) if counts)


def test_a_skewed_number_is_learnt_and_said_by_its_logarithm() -> None:
    values = [1.0, 10.0, 1000.0]
    cases = Cases(pl.DataFrame({"y": values}), (Target("y", "continuous", scale="log"),))
    heads = heads_for(cases)
    spread = math.sqrt(14) / 3  # of the logarithms 0, 1 and 3
    assert heads.scales[0] == (4 / 3, spread)
    right = torch.tensor([[(log - 4 / 3) / spread] for log in (0.0, 1.0, 3.0)])
    assert heads.loss(right, heads.truth(cases))[0].max() < 1e-10
    torch.testing.assert_close(heads.values(right), torch.tensor(values)[:, None], rtol=1e-4, atol=0)
    off = right + math.log10(2) / spread  # two-fold
    assert torch.allclose(heads.values(off), 2 * torch.tensor(values)[:, None], rtol=1e-4)
