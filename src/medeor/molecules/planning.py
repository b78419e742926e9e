"""The rules by which the facts of the training compounds become a plan."""

from __future__ import annotations

from dataclasses import replace

from medeor.contracts import Cases
from medeor.learning.fit import fast_bfloat16
from medeor.learning.schedule import Schedule
from medeor.molecules.plan import BOOSTING, MoleculePlan, Training

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
    classes = all(target.kind != "continuous" for target in train.targets)
    return MoleculePlan(
        trees=replace(BOOSTING, rounds=SURE) if classes else BOOSTING,
        training=Training(batch=32 if small else 64),
        schedule=Schedule(
            epochs=60 if small else 40 if count <= FEW else 20,
            learning_rate=1e-3,
            weight_decay=0.01,
            precision="bf16" if fast_bfloat16() else "f32",
        ),
        members="folds" if count <= FEW else "single",
    )
