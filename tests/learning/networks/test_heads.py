"""Heads: what is held against an answer."""

from __future__ import annotations

import math

import polars as pl
import pytest
import torch

from medeor.contracts import Cases, Target
from medeor.learning.networks.heads import heads_for
from medeor.learning.networks.summaries import summaries_of


def test_beyond_a_limit_nothing_is_lost_and_nothing_is_learnt() -> None:
    table = pl.DataFrame({"y": [0.0, 2.0, 1.0, 1.0], "y.limit": pl.Series([0, 0, 1, -1], dtype=pl.Int8)})
    cases = Cases(table, (Target("y", "continuous"),))
    heads = heads_for(summaries_of(cases))
    mean, spread = heads.scales[0]
    for said, lost in ((1.5, [True, True, False, True]), (0.5, [True, True, True, False])):
        outputs = torch.full((4, 1), (said - mean) / spread, requires_grad=True)
        loss, weight = heads.loss(outputs, heads.truth(cases))
        loss.sum().backward()
        assert weight.tolist() == [1.0] * 4
        assert [one > 0 for one in loss.tolist()] == lost
        assert [one != 0 for one in outputs.grad[:, 0].tolist()] == lost  # type: ignore[index]
        plain, _ = heads.loss(outputs, heads.truth(cases) * torch.tensor([1.0, 0.0]))
        assert all(one == other for one, other, counts in zip(loss.tolist(), plain.tolist(), lost) if counts)


def test_a_skewed_number_is_learnt_and_said_by_its_logarithm() -> None:
    values = [1.0, 10.0, 1000.0]
    cases = Cases(pl.DataFrame({"y": values}), (Target("y", "continuous", scale="log"),))
    heads = heads_for(summaries_of(cases))
    spread = math.sqrt(14) / 3  # of the logarithms 0, 1 and 3
    assert heads.scales[0] == (4 / 3, spread)
    right = torch.tensor([[(log - 4 / 3) / spread] for log in (0.0, 1.0, 3.0)])
    assert heads.loss(right, heads.truth(cases))[0].max() < 1e-10
    torch.testing.assert_close(heads.values(right), torch.tensor(values)[:, None], rtol=1e-4, atol=0)
    off = right + math.log10(2) / spread  # two-fold
    assert torch.allclose(heads.values(off), 2 * torch.tensor(values)[:, None], rtol=1e-4)


SICK = Target("sick", "binary", ("no", "yes"))
GRADE = Target("grade", "multiclass", ("a", "b", "c"))


def test_a_case_without_a_label_adds_neither_loss_nor_weight() -> None:
    table = pl.DataFrame({"sick": [1, None, 0], "grade": [2, 1, None]})
    heads = heads_for(summaries_of(Cases(table, (SICK, GRADE))))
    outputs = torch.tensor([[0.3, 1.0, 0.0, -1.0]] * 3, requires_grad=True)
    loss, weight = heads.loss(outputs, heads.truth(Cases(table, (SICK, GRADE))))
    loss.sum().backward()
    normaliser = math.log(math.e + 1 + 1 / math.e)
    sick, well = math.log1p(math.exp(-0.3)), math.log1p(math.exp(0.3))
    assert weight.tolist() == [2, 1, 1]
    assert loss.tolist() == pytest.approx([sick + normaliser + 1, normaliser - 0, well])
    assert outputs.grad is not None
    assert outputs.grad[1, 0] == 0
    assert not outputs.grad[2, 1:].any()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_smoothing_gives_its_share_of_a_label_to_all_classes(smoothing: float) -> None:
    cases = Cases(pl.DataFrame({"sick": [1, 0], "grade": [0, 2]}), (SICK, GRADE))
    heads = heads_for(summaries_of(cases))
    logits = [0.7, 0.5, -0.5, 1.0]
    loss, _ = heads.loss(torch.tensor([logits] * 2), heads.truth(cases), smoothing)
    p = 1 / (1 + math.exp(-0.7))
    log_sum = math.log(sum(math.exp(one) for one in logits[1:]))
    expected = []
    for sick, grade in ((1, 0), (0, 2)):
        soft = sick * (1 - smoothing) + smoothing / 2
        shares = [smoothing / 3 + (1 - smoothing) * (place == grade) for place in range(3)]
        expected.append(-soft * math.log(p) - (1 - soft) * math.log(1 - p))
        expected[-1] -= sum(share * (one - log_sum) for share, one in zip(shares, logits[1:]))
    assert loss.tolist() == pytest.approx(expected)


def test_balanced_classes_weigh_alike_in_all_and_cases_one_on_average() -> None:
    cases = Cases(pl.DataFrame({"sick": [1] * 2 + [0] * 8, "grade": [0] * 5 + [1] * 4 + [2]}), (SICK, GRADE))
    heads = heads_for(summaries_of(cases), balanced=True)
    assert heads.weights == (pytest.approx((10 / 16, 10 / 4)), pytest.approx((10 / 15, 10 / 12, 10 / 3)))
    _, weight = heads.loss(torch.zeros(10, 4), heads.truth(cases))
    assert float(weight.sum()) == pytest.approx(20)
    assert heads_for(summaries_of(cases)).weights == ((1.0, 1.0), (1.0, 1.0, 1.0))
