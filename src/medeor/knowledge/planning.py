"""The rules by which the facts of a graph become a plan, and the search of settings within a budget."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from medeor.contracts import Cases, UserError
from medeor.knowledge.plan import Embedding, GraphPlan, Training
from medeor.knowledge.read.cases import true_triples
from medeor.knowledge.read.graph import Graph
from medeor.learning.schedule import Schedule

_SMALL = 2e9
"""Scores of an epoch up to which every question is held against all entities."""
_STEPS = 2000
"""That a small graph is fitted for at least."""
_MOST_MEMORY = 4.0
"""GiB that a plan takes unless it is told otherwise."""


@dataclass(frozen=True)
class Fingerprint:
    """What the rules know of a graph."""

    entities: int
    relations: int
    triples: int
    """To learn from."""


def fingerprint(cases: Cases) -> Fingerprint:
    graph = cases.store(Graph)
    return Fingerprint(len(graph.entities), len(graph.relations), len(true_triples(cases)))


def rules(facts: Fingerprint, memory: int) -> GraphPlan:
    """The default plan; its settings were chosen on the validation part of UMLS. `memory` is free, in bytes."""
    gib = round(min(_MOST_MEMORY, 0.8 * memory / 2**30), 2)
    small = 2.0 * facts.triples * facts.entities <= _SMALL
    batch = 256 if small else 8192
    steps = max(1, -(-2 * facts.triples // batch))
    epochs = int(np.clip(-(-_STEPS // steps), 50, 500)) if small else int(np.clip(5e7 // facts.triples, 5, 50))
    return GraphPlan(
        embedding=Embedding(
            scorer="complex",
            dimension=400 if small else 200,
            n3=0.003 if small else 0.001,
            dropout=0.2 if small else 0.0,
        ),
        training=Training(scheme="one-versus-all" if small else "negatives", batch=batch),
        schedule=Schedule(
            epochs=epochs, learning_rate=0.03, weight_decay=0.0, averaging=0.0, clip=0.0, checkpoint=max(200, steps)
        ),
        memory_gib=gib,
    )


def memory(facts: Fingerprint, plan: GraphPlan) -> float:
    """GiB that a fit takes beside the process itself: the tables five times (values, gradient, two moments of Adam, and
    an average), the scores of a batch forward and backward, the vectors of its questions, and the triples with their
    order. A ranking has its own bound within the plan's."""
    e, t = plan.embedding, plan.training
    tables = 4 * (facts.entities + 2 * facts.relations) * e.dimension * 5
    candidates = facts.entities if t.scheme != "negatives" else t.negatives + 1
    scores = 4 * 4 * t.batch * candidates
    drawn = t.negatives / t.shared if t.scheme == "negatives" else 0
    vectors = 4 * 10 * t.batch * e.dimension * (1 + drawn)
    messages = e.layers * e.bases * 2 * facts.triples * e.dimension * 4
    return (tables + scores + vectors + messages + facts.triples * 80) / 2**30


def affordable(facts: Fingerprint, plan: GraphPlan) -> GraphPlan:
    """The plan, with a smaller dimension where its memory would not suffice.

    Raises: UserError where even a dimension of 32 is too much."""
    while memory(facts, plan) > plan.memory_gib and plan.embedding.dimension > 32:
        plan = replace(plan, embedding=replace(plan.embedding, dimension=max(32, plan.embedding.dimension // 2)))
    need = memory(facts, plan)
    if need > plan.memory_gib:
        raise UserError(
            f"a graph of {facts.entities} entities and {facts.triples} triples takes {need:.1f} GiB even with 32 "
            f"numbers an entity, and the plan may take {plan.memory_gib:.1f}: free some memory or give fewer triples"
        )
    return plan


def tries(plan: GraphPlan, number: int) -> list[GraphPlan]:
    """Settings to try, the plan's own first, then one change at a time in the order of how much it usually matters."""
    e, s = plan.embedding, plan.schedule
    settings = [
        plan,
        *(replace(plan, embedding=replace(e, n3=e.n3 * factor)) for factor in (0.3, 3.0)),
        replace(plan, embedding=replace(e, dropout=0.2, n3=e.n3 / 3)),
        *(replace(plan, schedule=replace(s, learning_rate=s.learning_rate * factor)) for factor in (0.3, 3.0)),
        replace(plan, embedding=replace(e, scorer="distmult")),
        replace(plan, training=replace(plan.training, smoothing=0.1)),
        replace(plan, embedding=replace(e, n3=0.0, dropout=0.4)),
        replace(plan, embedding=replace(e, scorer="rotate", n3=0.0, dropout=0.1)),
    ]
    return settings[:number]
