"""How long and how fast a network learns: one frozen value, part of the plan, that the fit obeys to the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

SELDOM, MEASURED = 8, 4
"""Epochs between two measurements of the held-out part at least, and how often in a fit it is measured at most: this
costs about a hundredth of the fit."""


@dataclass(frozen=True)
class Schedule:
    """Everything the fit loop does that is not the recipe's."""

    epochs: Annotated[int, Field(ge=1)] = 30
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Peak; reached after the warm-up, then down a half cosine (Loshchilov & Hutter 2017) to zero."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of all steps."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Applied to weights of two or more dimensions, not to biases and norms."""
    clip: Annotated[float, Field(ge=0)] = 1.0
    """Largest gradient norm; 0 clips nothing."""
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay per step of the moving average of the weights that is kept in the end; 0 keeps the last weights."""
    precision: Literal["bf16", "f32"] = "f32"
    """bf16: forward and backward in bfloat16 autocast, weights and averages in float32."""
    checkpoint: Annotated[int, Field(ge=1)] = 200
    """Steps between checkpoints."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a lower loss on the held-out part after which the fit ends, with the weights of the best epoch; 0
    fits every epoch. Calibration rests on the same cases, and is then a little too sure."""

    def measures(self, epoch: int) -> bool:
        """Whether the held-out part is measured after an epoch: each where the schedule has patience, else few of them
        and the last."""
        every = 1 if self.patience else max(SELDOM, -(-self.epochs // MEASURED))
        return (epoch + 1) % every == 0 or epoch + 1 == self.epochs

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step `step` of `steps`."""
        warm = max(1, round(self.warmup * steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to take on this machine; measured when planning, obeyed by nothing."""

    minutes: float | None = None
    """Of training, of all parts together."""
    memory_gib: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Of each step of the whole run, and of all of them, `whole`."""
