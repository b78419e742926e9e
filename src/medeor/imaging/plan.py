"""From the facts of a set of images to a readable plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from medeor.imaging.model.augment import Augmentation
from medeor.imaging.model.prepare import Preparation
from medeor.learning.schedule import Estimate, Schedule
from medeor.learning.trees.method import Boosting

BOOSTING = Boosting(rounds=400, learning_rate=0.03)


@dataclass(frozen=True)
class Network:
    """Which network, and its settings."""

    name: str = "resnet"
    """small-cnn, resnet, resnet50, convnet, or your own as package.module:Name."""
    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=16384)], ...], Field(min_length=1, max_length=12)] = (
        32, 64, 128, 256,
    )  # fmt: skip
    blocks: Annotated[tuple[Annotated[int, Field(ge=1, le=200)], ...], Field(min_length=1, max_length=12)] = (
        2, 2, 2, 2,
    )  # fmt: skip
    norm: Literal["batch", "group"] = "batch"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    pooling: Literal["mean", "mean and max"] = "mean"
    """What a resnet makes of the cells of its last map: with the maximum a small finding in a large volume counts."""

    def options(self) -> dict[str, object]:
        """What the network of this name is built with."""
        if ":" in self.name:
            return {}
        every: dict[str, object] = {
            "pooling": self.pooling,
            "widths": self.widths,
            "blocks": self.blocks,
            "norm": self.norm,
            "dropout": self.dropout,
        }

        taken = {
            "small-cnn": ("widths",),
            "resnet": ("widths", "blocks", "norm", "dropout", "pooling"),
            "resnet50": ("widths", "norm", "dropout", "pooling"),
            "convnet": ("widths", "blocks", "dropout"),
        }
        return {name: every[name] for name in taken.get(self.name, ())}


@dataclass(frozen=True)
class Training:
    """How batches are made and what is held against an answer."""

    batch: Annotated[int, Field(ge=1)] = 64
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each label given to the other classes (Szegedy et al. 2016)."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Parameter of the beta distribution by which pairs of images are mixed (Zhang et al. 2018); 0 mixes none."""
    balanced: bool = False
    """Whether classes count alike however many cases they have."""


@dataclass(frozen=True)
class ImagePlan:
    """Everything about an image study that can be chosen. `--set key=value` fixes any of it."""

    preparation: Preparation
    network: Network = field(default_factory=Network)
    augmentation: Augmentation = field(default_factory=Augmentation)
    training: Training = field(default_factory=Training)
    schedule: Schedule = field(default_factory=Schedule)
    parts: Annotated[tuple[Literal["network", "trees"], ...], Field(min_length=1)] = ("network", "trees")
    """What answers; several are stacked on out-of-fold predictions, and the first gives the reasons."""
    trees: Boosting = BOOSTING
    """On brightness, colour, edges and texture."""
    members: Literal["folds", "single"] = "folds"
    """folds: each part is an ensemble of one model a fold, calibrated and weighted out of fold; single: each is one
    model, calibrated and weighted on the validation part, or on one fold."""
    mirrored: bool = False
    """Whether each image is also read mirrored, left to right, and the two answers averaged."""
    domain: bool = True
    """Whether each prediction says how its image compares with the training images."""
    padding: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the prepared training images that is filled because they do not cover the grid; measured when planning,
    obeyed by nothing."""
    estimate: Estimate = field(default_factory=Estimate)
