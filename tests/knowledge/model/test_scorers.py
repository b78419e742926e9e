"""Scores against the formulas of their papers, written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medeor.contracts import UserError
from medeor.knowledge.model.scorers import SCORERS, Convolution, compare, cubes, match

WIDTH = 8


def _complex(vector: torch.Tensor) -> np.ndarray:
    pairs = vector.double().numpy()
    return pairs[..., ::2] + 1j * pairs[..., 1::2]


def _vectors(scorer: str, rows: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    width = SCORERS[scorer].width(WIDTH)
    return torch.randn(rows, WIDTH), torch.randn(rows, width), torch.randn(rows, WIDTH)


FORMULAS = {
    "distmult": lambda h, r, t: (h * r * t).sum(-1).numpy(),
    "complex": lambda h, r, t: (_complex(h) * _complex(r) * _complex(t).conj()).sum(-1).real,
    "transe": lambda h, r, t: -np.linalg.norm((h + r - t).numpy(), axis=-1),
    "rotate": lambda h, r, t: -np.linalg.norm(_complex(h) * np.exp(1j * r.numpy()) - _complex(t), axis=-1),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_triple_scores_as_its_paper_says(name):
    head, relation, tail = _vectors(name)
    scorer = SCORERS[name]
    scores = match(scorer.query(head, relation), tail, scorer.distance)
    np.testing.assert_allclose(scores, FORMULAS[name](head, relation, tail), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_triple_scores_the_same_from_its_tail_by_the_inverse_relation(name):
    head, relation, tail = _vectors(name)
    scorer = SCORERS[name]
    forward = match(scorer.query(head, relation), tail, scorer.distance)
    backward = match(scorer.query(tail, scorer.inverse(relation)), head, scorer.distance)
    torch.testing.assert_close(forward, backward)


@pytest.mark.parametrize("distance", [False, True])
def test_all_candidates_at_once_score_as_one_by_one(distance):
    torch.manual_seed(1)
    queries, candidates = torch.randn(3, 4, WIDTH), torch.randn(3, 6, WIDTH)
    every = compare(queries, candidates, distance)
    one_by_one = match(queries[:, :, None], candidates[:, None], distance)
    torch.testing.assert_close(every, one_by_one)


def test_the_nuclear_norm_cubes_the_moduli():
    values = torch.tensor([[3.0, 4.0, 0.0, -2.0]])
    assert cubes(values, pairs=True).item() == pytest.approx(5.0**3 + 2.0**3)
    assert cubes(values, pairs=False).item() == pytest.approx(27 + 64 + 8)
    zeros = torch.zeros(1, 4, requires_grad=True)
    cubes(zeros, pairs=True).sum().backward()
    assert torch.equal(zeros.grad, torch.zeros(1, 4))


def test_a_convolution_names_the_dimensions_it_takes():
    with pytest.raises(UserError, match="a multiple of 10, from 30"):
        Convolution(36, 0.0)
