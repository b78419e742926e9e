"""Everything about a graph completion that can be chosen, and the rules by which the facts of a graph become a plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from medeor.contracts import Cases, Message, UserError
from medeor.knowledge.read.cases import true_triples
from medeor.knowledge.read.graph import Graph
from medeor.learning.networks.schedule import Estimate, Schedule


@dataclass(frozen=True)
class Embedding:
    """How entities and relations are represented and compared."""

    scorer: Literal["complex", "distmult", "rotate", "transe", "conve"] = "complex"
    dimension: Annotated[int, Field(ge=2, le=1 << 17)] = 200
    """Numbers of an entity; for complex and rotate half of them are imaginary parts."""
    reciprocal: bool = True
    """Whether the inverse of each relation has its own vector (Lacroix et al. 2018), or follows from the relation."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of entities, relations and queries."""
    n3: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the nuclear 3-norm of each triple's vectors."""
    spread: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of the first values; 0: one over the root of the dimension."""
    layers: Annotated[int, Field(ge=0, le=4)] = 0
    """Of a graph network (R-GCN) before the scorer; 0 for none."""
    bases: Annotated[int, Field(ge=1, le=1024)] = 8
    """Weight matrices that the relations of a layer share."""
    edge_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.4


@dataclass(frozen=True)
class GraphTraining:
    """What each triple is compared with in training."""

    scheme: Literal["one-versus-all", "k-versus-all", "negatives"] = "one-versus-all"
    """one-versus-all: a triple's answer among all entities; k-versus-all: all answers of a question at once among all
    entities; negatives: a triple's answer among entities drawn at random."""
    loss: Literal["cross-entropy", "binary"] = "cross-entropy"
    batch: Annotated[int, Field(ge=1)] = 512
    """Questions a step; every triple asks two, for its tail and for its head."""
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    negatives: Annotated[int, Field(ge=1)] = 64
    """Entities drawn for a question."""
    shared: Annotated[int, Field(ge=1)] = 256
    """Questions that share their drawn entities, so that all are scored by one matrix product; 1: each its own."""
    typed: bool = True
    """Whether entities are drawn from those seen in that place of that relation, or from all."""
    adversarial: Annotated[float, Field(ge=0)] = 0.0
    """Temperature by which harder negatives weigh more (Sun et al. 2019); 0 weighs all alike. Of the binary loss."""


@dataclass(frozen=True)
class Search:
    """A search of settings before the fit, by the mean reciprocal rank of the validation part."""

    settings: Annotated[int, Field(ge=0)] = 0
    """How many are tried, the plan's own first; 0 searches nothing."""
    epochs: Annotated[int, Field(ge=0)] = 0
    """Of each try; minutes of budget become this number when planning."""


@dataclass(frozen=True)
class GraphPlan:
    """Everything about a graph completion that can be chosen. `--set key=value` fixes any of it."""

    embedding: Embedding = field(default_factory=Embedding)
    training: GraphTraining = field(default_factory=GraphTraining)
    schedule: Schedule = field(default_factory=Schedule)
    members: Literal["folds", "single"] = "single"
    """single: one model, calibrated on the validation part; folds: one of each fold, each tested on its own fold."""
    memory_gib: Annotated[float, Field(gt=0)] = 4.0
    """That ranking and fitting may take."""
    search: Search = field(default_factory=Search)
    estimate: Estimate = field(default_factory=Estimate)


_SMALL = 2e9
"""Scores of an epoch up to which every question is held against all entities."""
_STEPS = 2000
"""That a small graph is fitted for at least."""
_MOST_MEMORY = 4.0
"""GiB that a plan takes by default."""


@dataclass(frozen=True)
class GraphFingerprint:
    """What the rules know of a graph."""

    entities: int
    relations: int
    triples: int
    """To learn from."""


def fingerprint(cases: Cases) -> GraphFingerprint:
    graph = cases.store("graph", Graph)
    return GraphFingerprint(len(graph.entities), len(graph.relations), len(true_triples(cases)))


def rules(facts: GraphFingerprint, memory: int) -> GraphPlan:
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
        training=GraphTraining(scheme="one-versus-all" if small else "negatives", batch=batch),
        schedule=Schedule(
            epochs=epochs, learning_rate=0.03, weight_decay=0.0, averaging=0.0, clip=0.0, checkpoint=max(200, steps)
        ),
        memory_gib=gib,
    )


def memory(facts: GraphFingerprint, plan: GraphPlan) -> float:
    """GiB that a fit takes in addition to the process itself: the tables five times (values, gradient, two moments of
    Adam, and an average), the scores of a batch forward and backward, the vectors of its questions, and the triples
    with their order. A ranking has its own bound within the plan's."""
    e, t = plan.embedding, plan.training
    tables = 4 * (facts.entities + 2 * facts.relations) * e.dimension * 5
    candidates = facts.entities if t.scheme != "negatives" else t.negatives + 1
    scores = 4 * 4 * t.batch * candidates
    drawn = t.negatives / t.shared if t.scheme == "negatives" else 0
    vectors = 4 * 10 * t.batch * e.dimension * (1 + drawn)
    messages = e.layers * e.bases * 2 * facts.triples * e.dimension * 4
    return (tables + scores + vectors + messages + facts.triples * 80) / 2**30


def affordable(facts: GraphFingerprint, plan: GraphPlan) -> GraphPlan:
    """The plan, with a smaller dimension where its memory would not suffice.

    Raises: UserError where even a dimension of 32 is too much."""
    while memory(facts, plan) > plan.memory_gib and plan.embedding.dimension > 32:
        plan = replace(plan, embedding=replace(plan.embedding, dimension=max(32, plan.embedding.dimension // 2)))
    need = memory(facts, plan)
    if need > plan.memory_gib:
        entities = Message("common.count.entity", count=facts.entities)
        triples = Message("common.count.triple", count=facts.triples)
        raise UserError("knowledge.plan.too-large", entities=entities, triples=triples, need=need, most=plan.memory_gib)
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
