"""Everything about a study of compounds that can be chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from medeor.learning.schedule import Schedule


@dataclass(frozen=True)
class Network:
    """The network over atoms and bonds."""

    name: Literal["d-mpnn", "attention"] = "d-mpnn"
    """d-mpnn: messages along directed bonds (Yang et al. 2019); attention: atoms that weigh their neighbours."""
    width: Annotated[int, Field(ge=4)] = 300
    depth: Annotated[int, Field(ge=1, le=12)] = 3
    """Bonds that news travels."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


@dataclass(frozen=True)
class Trees:
    """Boosted trees on substructures and descriptors."""

    rounds: Annotated[int, Field(ge=1)] = 300
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    leaves: Annotated[int, Field(ge=2)] = 31
    smallest_leaf: Annotated[int, Field(ge=1)] = 5


@dataclass(frozen=True)
class Training:
    """How batches are made."""

    batch: Annotated[int, Field(ge=1)] = 64
    balanced: bool = False
    """Whether classes count alike however many compounds they have."""


@dataclass(frozen=True)
class Estimate:
    """What the plan is expected to take on this machine; measured when planning, obeyed by nothing."""

    minutes: float | None = None
    memory_gib: float | None = None


@dataclass(frozen=True)
class MoleculePlan:
    """Everything about a study of compounds that can be chosen. `--set key=value` fixes any of it."""

    parts: tuple[Literal["network", "trees", "neighbours"], ...] = ("network", "trees")
    """What answers; several are stacked on out-of-fold predictions."""
    network: Network = field(default_factory=Network)
    trees: Trees = field(default_factory=Trees)
    training: Training = field(default_factory=Training)
    schedule: Schedule = field(default_factory=Schedule)
    members: Literal["folds", "single"] = "folds"
    """folds: each part is an ensemble of one model a fold, calibrated and weighted out of fold; single: each is one
    model, calibrated and weighted on the validation part, or on one fold."""
    analogues: bool = False
    """Whether the structures and values of the training compounds go into the bundle, so that it can show the nearest
    measured analogues of a compound; the run folder always can."""
    estimate: Estimate = field(default_factory=Estimate)
