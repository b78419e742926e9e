"""Every training triple is asked both ways, against what the scheme says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowledge import wheel
from medeor.knowledge.model.batches import batches_of
from medeor.knowledge.plan import GraphTraining
from medeor.knowledge.read.triples import asked, ranges

RELATIONS = len(wheel.TURNS)
TRIPLES = torch.from_numpy(wheel.triples())


def _both_ways() -> list[tuple[int, int, int]]:
    forward = [tuple(row) for row in wheel.triples().tolist()]
    return sorted(forward + [(tail, relation + RELATIONS, head) for head, relation, tail in forward])


def _epoch(training: GraphTraining, epoch: int = 0, seed: int = 0) -> list:
    batches = batches_of(TRIPLES, wheel.SIZE, RELATIONS, training, seed)
    return [batches.batch(epoch, index) for index in range(len(batches))]


def test_a_triple_asks_for_its_tail_and_then_for_its_head():
    found = asked(torch.tensor([[3, 1, 7]], dtype=torch.int32), torch.tensor([0, 1]), relations=4)
    assert found.tolist() == [[3, 1, 7], [7, 5, 3]]


def test_one_versus_all_asks_every_question_once_an_epoch_in_a_new_order():
    epochs = [
        torch.cat([batch.inputs for batch in _epoch(GraphTraining(batch=24), epoch)]).tolist() for epoch in (0, 1)
    ]
    assert [sorted(map(tuple, rows)) for rows in epochs] == [_both_ways()] * 2
    assert epochs[0] != epochs[1]


def test_k_versus_all_marks_all_answers_of_each_question():
    twice = torch.cat((TRIPLES, TRIPLES[:5] + torch.tensor([0, 0, 0], dtype=torch.int32)))
    extra = torch.tensor([[0, 0, 5], [0, 0, 9]], dtype=torch.int32)
    batches = batches_of(torch.cat((twice, extra)), wheel.SIZE, RELATIONS, GraphTraining("k-versus-all", batch=7), 0)
    rows = [batches.batch(0, index) for index in range(len(batches))]
    marked = {
        tuple(question[:2]): set(np.flatnonzero(truth))
        for batch in rows
        for question, truth in zip(batch.inputs.tolist(), batch.truth.numpy(), strict=True)
    }
    expected: dict[tuple[int, ...], set[int]] = {}
    for entity, relation, answer in [*_both_ways(), (0, 0, 5), (0, 0, 9), (5, RELATIONS, 0), (9, RELATIONS, 0)]:
        expected.setdefault((entity, relation), set()).add(answer)
    assert marked == expected
    assert sum(len(batch.inputs) for batch in rows) == len(expected)


DRAWN = GraphTraining("negatives", batch=32, shared=8, negatives=20)


@pytest.mark.parametrize("shared", [1, 8, 9])
def test_drawn_batches_ask_every_question(shared):
    training = replace(DRAWN, shared=shared)
    rows = torch.cat([b.inputs[:, : 3 * shared].reshape(-1, 3) for b in _epoch(training)]).tolist()
    assert set(map(tuple, rows)) == set(_both_ways())
    assert len(rows) == -(-len(_both_ways()) // shared) * shared


def test_typed_negatives_fit_a_relation_of_their_chunk_and_others_are_any_entity():
    # Relation 0 only leads from 0-3 to 10-13, relation 1 from 4-7 to 14-15.
    triples = torch.tensor([[h, 0, 10 + h] for h in range(4)] + [[4 + h, 1, 14 + h % 2] for h in range(4)])
    training = GraphTraining("negatives", batch=4, shared=4, negatives=50)
    answers = {0: {10, 11, 12, 13}, 1: {14, 15}, 2: {0, 1, 2, 3}, 3: {4, 5, 6, 7}}
    batches = batches_of(triples.int(), 16, 2, training, 0)
    for index in range(len(batches)):
        for row in batches.batch(0, index).inputs.tolist():
            relations = row[1:12:3]
            assert set(row[12:]) <= set().union(*(answers[relation] for relation in relations))
    uniform = batches_of(triples.int(), 16, 2, replace(training, typed=False), 0).batch(0, 0).inputs[:, 12:]
    assert set(uniform.flatten().tolist()) == set(range(16))


def test_a_batch_depends_on_seed_epoch_and_index_alone():
    first, again, other = (_epoch(DRAWN, epoch=2, seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a.inputs, b.inputs) for a, b in zip(first, other, strict=True))
    batches = batches_of(TRIPLES, wheel.SIZE, RELATIONS, DRAWN, 3)
    assert torch.equal(batches.batch(2, 1).inputs, first[1].inputs)


def test_ranges_are_written_out_one_after_another():
    which, numbers = ranges(torch.tensor([3, 5, 9]), torch.tensor([5, 5, 12]))
    assert which.tolist() == [0, 0, 2, 2, 2]
    assert numbers.tolist() == [3, 4, 9, 10, 11]
