"""Everything about a graph completion that can be chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from medeor.learning.schedule import Estimate, Schedule


@dataclass(frozen=True)
class Embedding:
    """How entities and relations are represented and compared."""

    scorer: Literal["complex", "distmult", "rotate", "transe", "conve"] = "complex"
    dimension: Annotated[int, Field(ge=2, le=1 << 17)] = 200
    """Numbers of an entity; for complex and rotate half of them are imaginary parts."""
    reciprocal: bool = True
    """Whether the inverse of each relation is learnt apart (Lacroix et al. 2018), or follows from the relation."""
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
class Training:
    """What each triple is told apart from."""

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
    training: Training = field(default_factory=Training)
    schedule: Schedule = field(default_factory=Schedule)
    members: Literal["folds", "single"] = "single"
    """single: one model, calibrated on the validation part; folds: one of each fold, each tested on its own fold."""
    memory_gib: Annotated[float, Field(gt=0)] = 4.0
    """That ranking and fitting may take."""
    search: Search = field(default_factory=Search)
    estimate: Estimate = field(default_factory=Estimate)
