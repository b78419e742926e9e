"""The network learns what can be learnt, whatever the scorer and the scheme, and its parts do what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from knowledge import wheel
from medeor.contracts import Run, UserError
from medeor.knowledge.model.batches import batches_of
from medeor.knowledge.model.loss import graph_loss
from medeor.knowledge.model.network import Completer, Messages, Scored
from medeor.knowledge.model.processors import GraphProcessors
from medeor.knowledge.model.ranking import ranks
from medeor.knowledge.plan import Embedding, GraphTraining
from medeor.knowledge.read.triples import both_ways
from medeor.learning.networks.fit import fit_network
from medeor.learning.networks.schedule import Schedule

RELATIONS = len(wheel.TURNS)
TRIPLES = torch.from_numpy(wheel.triples())
WHEEL = GraphProcessors(tuple(map(str, range(wheel.SIZE))), tuple(wheel.TURNS), TRIPLES, len(TRIPLES))


def _mrr_after_fit(
    folder: Path, embedding: Embedding, training: GraphTraining, epochs: int = 30, triples: torch.Tensor = TRIPLES
) -> float:
    processors = replace(WHEEL, triples=triples, training=len(triples))
    batches = batches_of(triples, wheel.SIZE, RELATIONS, training, 0)
    torch.manual_seed(0)
    network = Completer(processors, embedding, getattr(batches, "chunk", 0))
    schedule = Schedule(epochs=epochs, learning_rate=0.05, weight_decay=0.0, averaging=0.0, clip=0.0)
    fit_network(
        network, batches, lambda out, batch: graph_loss(out, batch, training, embedding.n3), schedule, Run(folder)
    )
    with torch.inference_mode():
        found = ranks(network.candidate_scorer(), both_ways(triples, RELATIONS), network.known, 1 << 24)
    return float((1 / found.rank).mean())


ONE = GraphTraining(batch=32)
SCHEMES = {
    "one": ONE,
    "several": GraphTraining("k-versus-all", batch=32),
    "several, binary": GraphTraining("k-versus-all", "binary", batch=32),
    "drawn": GraphTraining("negatives", batch=32, shared=16, negatives=12, typed=False),
    "drawn, typed": GraphTraining("negatives", batch=32, shared=16, negatives=12),
    "adversarial": GraphTraining("negatives", "binary", batch=32, shared=1, negatives=12, adversarial=1.0),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_learns_the_wheel_by_heart(tmp_path, scheme):
    assert _mrr_after_fit(tmp_path, Embedding("complex", dimension=32), SCHEMES[scheme]) > 0.95


@pytest.mark.parametrize(
    "embedding",
    [
        Embedding("complex", 32, reciprocal=False, n3=0.001),
        Embedding("rotate", 32),
        Embedding("rotate", 32, reciprocal=False),
        Embedding("conve", 40),
        Embedding("complex", 32, layers=1, bases=2, edge_dropout=0.2),
    ],
    ids=["complex", "rotate", "rotate, inverse", "conve", "graph network"],
)
def test_every_network_that_can_turn_learns_the_wheel_by_heart(tmp_path, embedding):
    assert _mrr_after_fit(tmp_path, embedding, ONE) > 0.95


def test_translations_learn_a_line(tmp_path):
    # On a wheel no translation but nought comes back to where it began; on a line each leads on.
    head, _, tail = wheel.triples().T
    line = TRIPLES[torch.from_numpy((tail > head) & (tail - head <= 3))]
    assert _mrr_after_fit(tmp_path, Embedding("transe", 32), ONE, epochs=200, triples=line) > 0.95


@pytest.mark.parametrize("reciprocal", [True, False])
def test_a_symmetric_scorer_cannot_tell_forth_from_back(tmp_path, reciprocal):
    # "Opposite" alone is symmetric. Of the three other relations it finds the right entity and its mirror image, in
    # either order: an MRR of 3/4 on average for them, and of (3 * 3/4 + 1) / 4 in all.
    reached = _mrr_after_fit(tmp_path, Embedding("distmult", 32, reciprocal=reciprocal), ONE)
    assert reached == pytest.approx(0.8125, abs=0.06)


def test_a_message_is_the_mean_over_each_relation_and_direction():
    torch.manual_seed(0)
    edges = torch.tensor([[0, 0, 1], [2, 0, 1], [1, 1, 2], [0, 1, 2], [3, 0, 1]], dtype=torch.int32)
    layer = Messages(6, 4, Embedding(layers=1, bases=3)).eval()
    vectors = torch.randn(4, 6)
    weight = torch.einsum("rb,bij->rij", layer.share[0], layer.weight[0])
    expected = vectors @ layer.own[0]
    for entity in range(4):
        for relation in range(4):
            ends = edges[:, [2, 0]] if relation < 2 else edges[:, [0, 2]]
            met = ends[(edges[:, 1] == relation % 2) & (ends[:, 0] == entity), 1].long()
            if len(met):
                expected[entity] = expected[entity] + vectors[met].mean(0) @ weight[relation]
    torch.testing.assert_close(layer(vectors, edges, 2), expected)


@pytest.mark.parametrize("scorer", ["complex", "rotate", "conve"])
def test_one_triple_scores_as_among_all(scorer):
    torch.manual_seed(0)
    network = Completer(WHEEL, Embedding(scorer, 40)).eval()
    with torch.inference_mode():
        tail, head = (
            network.candidate_scorer()(both_ways(TRIPLES, RELATIONS)[:, :2])
            .gather(1, both_ways(TRIPLES, RELATIONS)[:, 2:])
            .view(2, -1)
        )
        torch.testing.assert_close(network.score(TRIPLES.long()), (tail + head) / 2)


def test_a_drawn_entity_that_is_the_answer_is_no_negative():
    torch.manual_seed(0)
    network = Completer(WHEEL, Embedding("complex", 8), chunk=2)
    logits = network(torch.tensor([[0, 0, 1, 4, 2, 7, 1, 9, 7]])).logits
    assert torch.isinf(logits).tolist() == [[False, True, False, False], [False, False, False, True]]


def test_losses_are_those_of_their_formulas():
    logits = torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 3.0]])
    outputs = Scored(logits, torch.tensor([10.0, 20.0]))
    batches = batches_of(TRIPLES, wheel.SIZE, RELATIONS, GraphTraining(), 0)
    batch = type(batches.batch(0, 0))(torch.zeros(2, 3), torch.tensor([0, 2]))
    x = logits.double().numpy()
    soft = -np.log(np.exp(x[[0, 1], [0, 2]]) / np.exp(x).sum(1))
    total, weight = graph_loss(outputs, batch, GraphTraining(), 0.1)
    assert weight == 2
    assert total.item() == pytest.approx(soft.sum() + 3.0)
    drawn = GraphTraining("negatives", "binary", adversarial=2.0)
    wrong, share = x[:, 1:], np.exp(2 * x[:, 1:]) / np.exp(2 * x[:, 1:]).sum(1, keepdims=True)
    expected = (np.log1p(np.exp(-x[:, 0])) + (share * np.log1p(np.exp(wrong))).sum(1)) / 2
    assert graph_loss(outputs, batch, drawn, 0.0)[0].item() == pytest.approx(expected.sum(), rel=1e-5)


def test_a_plan_that_does_not_go_together_is_refused():
    with pytest.raises(UserError, match="even dimension"):
        Completer(WHEEL, Embedding("complex", 7))
    with pytest.raises(UserError, match="inverse relations"):
        Completer(WHEEL, Embedding("conve", 40, reciprocal=False))
