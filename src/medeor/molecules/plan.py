"""Everything about a study of compounds that can be chosen, and the rules by which the facts of the training compounds
become a plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field

from medeor.contracts import Cases
from medeor.learning.networks.devices import fast_bfloat16
from medeor.learning.networks.schedule import Estimate, Schedule
from medeor.learning.trees.method import Boosting
from medeor.targets import categorical

ModelPart = Literal["network", "trees", "neighbours", "base"]
BOOSTING = Boosting(rounds=300, leaves=31, smallest_leaf=5)


@dataclass(frozen=True)
class MoleculeNetwork:
    """The network over atoms and bonds."""

    name: Literal["d-mpnn", "attention"] = "d-mpnn"
    """d-mpnn: messages along directed bonds (Yang et al. 2019); attention: atoms that weigh their neighbours."""
    width: Annotated[int, Field(ge=4, le=16384)] = 300
    depth: Annotated[int, Field(ge=1, le=12)] = 3
    """Bonds that news travels."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


@dataclass(frozen=True)
class MoleculeTraining:
    """How batches are made."""

    batch: Annotated[int, Field(ge=1)] = 64
    balanced: bool = False
    """Whether classes count alike however many compounds they have."""


@dataclass(frozen=True)
class MoleculePlan:
    """Everything about a study of compounds that can be chosen. `--set key=value` fixes any of it."""

    parts: Annotated[tuple[ModelPart, ...], Field(min_length=1)] = ("network", "trees")
    """What answers; several are stacked on out-of-fold predictions. `base`: the model among the study's inputs, adapted
    to these compounds, alone."""
    network: MoleculeNetwork = field(default_factory=MoleculeNetwork)
    trees: Boosting = BOOSTING
    """On substructures and descriptors."""
    training: MoleculeTraining = field(default_factory=MoleculeTraining)
    schedule: Schedule = field(default_factory=Schedule)
    members: Literal["folds", "single"] = "folds"
    """folds: each part is an ensemble of one model a fold, calibrated and weighted out of fold; single: each is one
    model, calibrated and weighted on the validation part, or on one fold."""
    analogues: bool = False
    """Whether the structures and values of the training compounds go into the bundle, so that it can show the nearest
    measured analogues of a compound; the run folder always can."""
    estimate: Estimate = field(default_factory=Estimate)


FEW = 10_000
"""Up to so many training compounds an ensemble of folds is affordable."""
SMALL = 1500
"""Below so many a network sees each compound more often, in smaller batches."""
SURE = 150
"""Rounds of boosting on classes: more leave the order of compounds as it is and only make the trees too sure."""


def rules(train: Cases) -> MoleculePlan:
    """The default plan for these training compounds."""
    count = len(train)
    small = count < SMALL
    classes = len(categorical(train.targets)) == len(train.targets)
    return MoleculePlan(
        trees=replace(BOOSTING, rounds=SURE) if classes else BOOSTING,
        training=MoleculeTraining(batch=32 if small else 64),
        schedule=Schedule(
            epochs=60 if small else 40 if count <= FEW else 20,
            learning_rate=1e-3,
            weight_decay=0.01,
            precision="bf16" if fast_bfloat16() else "f32",
        ),
        members="folds" if count <= FEW else "single",
    )
