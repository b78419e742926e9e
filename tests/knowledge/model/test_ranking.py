"""Ranks against a count by hand, one candidate after another."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from medeor.knowledge.model.ranking import Known, ranks
from medeor.knowledge.read.triples import both_ways

ENTITIES, RELATIONS = 7, 2


def _by_hand(scores: np.ndarray, triple: tuple[int, int, int], known: set, fit: set | None) -> float:
    """1 + those above + half of those alike, without known answers."""
    entity, relation, answer = triple
    rank = 1.0
    for other in range(ENTITIES):
        if other == answer or (entity, relation, other) in known or (fit is not None and other not in fit):
            continue
        rank += 1.0 if scores[other] > scores[answer] else 0.5 if scores[other] == scores[answer] else 0.0
    return rank


triples = some.lists(
    some.tuples(some.integers(0, ENTITIES - 1), some.integers(0, RELATIONS - 1), some.integers(0, ENTITIES - 1)),
    min_size=2,
    max_size=12,
    unique=True,
)


@settings(max_examples=60)
@given(triples, some.integers(0, 12), some.integers(0, 2**31))
def test_filtered_ranks_with_ties_are_those_counted_by_hand(rows, taught, seed):
    every = torch.tensor(rows)
    training = every[: max(1, min(taught, len(rows)))]
    # Few distinct values, so that there are ties.
    table = torch.from_numpy(np.random.default_rng(seed).integers(0, 3, (ENTITIES, 2 * RELATIONS, ENTITIES))).float()
    known = Known.of(every, training, ENTITIES, RELATIONS)
    questions = both_ways(every, RELATIONS)
    found = ranks(lambda asked: table[asked[:, 0], asked[:, 1]].clone(), questions, known, memory=200)
    all_known = set(map(tuple, questions.tolist()))
    fit: dict[int, set[int]] = {}
    for _, relation, answer in both_ways(training, RELATIONS).tolist():
        fit.setdefault(relation, set()).add(answer)
    for row, (entity, relation, answer) in enumerate(questions.tolist()):
        scores = table[entity, relation].numpy()
        others = all_known - {(entity, relation, answer)}
        assert found.score[row] == scores[answer]
        assert found.rank[row] == _by_hand(scores, (entity, relation, answer), others, None)
        assert found.typed[row] == _by_hand(scores, (entity, relation, answer), others, fit.get(relation, set()))


def test_a_scorer_that_knows_nothing_ranks_in_the_middle():
    known = Known.of(torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, 3, dtype=torch.long), 101, 1)
    found = ranks(lambda asked: torch.zeros(len(asked), 101), torch.tensor([[0, 0, 5]]), known, 1 << 20)
    assert found.rank.tolist() == [51.0]
    assert found.typed.tolist() == [1.0]


def test_no_more_scores_are_held_than_memory_allows():
    known = Known.of(torch.tensor([[0, 0, 1]]), torch.tensor([[0, 0, 1]]), 1000, 1)
    lots = []

    def score_all(asked: torch.Tensor) -> torch.Tensor:
        lots.append(len(asked))
        return torch.zeros(len(asked), 1000)

    ranks(score_all, torch.zeros(50, 3, dtype=torch.long), known, memory=80_000)
    assert max(lots) == 10
    assert sum(lots) == 50
