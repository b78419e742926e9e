"""Everything about a study of a plain table that can be chosen, and the rules by which the facts of the training rows
become a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from medeor.contracts import Cases, UserError
from medeor.formats.values.columns import ColumnKind, meaning
from medeor.learning.networks.schedule import Estimate, Schedule
from medeor.learning.table_network import TableNetwork
from medeor.learning.trees.method import Boosting

ModelPart = Literal["trees", "network", "linear"]
BOOSTING = Boosting(rounds=300, learning_rate=0.03, leaves=8, smallest_leaf=20, features=0.75)
FEW = 20_000
"""Up to so many training rows an ensemble of folds is affordable."""


@dataclass(frozen=True)
class TablePlan:
    """Everything about a study of a table that can be chosen. `--set key=value` fixes any of it."""

    columns: Annotated[Mapping[str, ColumnKind], Field(min_length=1)]
    """What each column that a model is given is read as."""
    parts: Annotated[tuple[ModelPart, ...], Field(min_length=1)] = ("trees", "network", "linear")
    """What answers; several are stacked on out-of-fold predictions. The first gives the reasons."""
    trees: Boosting = BOOSTING
    network: TableNetwork = field(default_factory=TableNetwork)
    schedule: Schedule = field(default_factory=Schedule)
    """Of the network."""
    members: Literal["folds", "single"] = "folds"
    """folds: each part is an ensemble of one model a fold, calibrated and weighted out of fold; single: each is one
    model, calibrated and weighted on the validation part, or on one fold."""
    estimate: Estimate = field(default_factory=Estimate)


def rules(train: Cases) -> TablePlan:
    """The default plan for these training rows.

    Raises: UserError where no column can be used."""
    kinds = {name: meaning(train.table[name]).kind for name in train.features}
    columns = {name: kind for name, kind in kinds.items() if kind is not None}
    if not columns:
        raise UserError("tabular.plan.no-column", targets=[target.name for target in train.targets])
    return TablePlan(columns, schedule=Schedule(epochs=15), members="folds" if len(train) <= FEW else "single")
