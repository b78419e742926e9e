"""Everything about an image study that can be chosen, and the rules by which the facts of the training images become a
plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field

from medeor.contracts import Cases
from medeor.imaging.model.augment import AXES, Augmentation
from medeor.imaging.model.convolutional import MANY
from medeor.imaging.model.grid import affordable, alike, covered, slice_axis
from medeor.imaging.model.prepare import Preparation
from medeor.imaging.read.cases import ImageStore
from medeor.imaging.read.modality import modalities
from medeor.learning.networks.devices import fast_bfloat16
from medeor.learning.networks.schedule import Estimate, Schedule
from medeor.learning.trees.method import Boosting
from medeor.settings import with_settings
from medeor.targets import categorical

BOOSTING = Boosting(rounds=400, learning_rate=0.03)


@dataclass(frozen=True)
class ImageNetwork:
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
        taken = {
            "small-cnn": ("widths",),
            "resnet": ("widths", "blocks", "norm", "dropout", "pooling"),
            "resnet50": ("widths", "norm", "dropout", "pooling"),
            "convnet": ("widths", "blocks", "dropout"),
        }
        return {option: getattr(self, option) for option in taken.get(self.name, ())}


@dataclass(frozen=True)
class ImageTraining:
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
    network: ImageNetwork = field(default_factory=ImageNetwork)
    augmentation: Augmentation = field(default_factory=Augmentation)
    training: ImageTraining = field(default_factory=ImageTraining)
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


FEW = 10_000
"""Up to so many training cases an ensemble of folds is affordable."""
SMALL = 2000
"""Below so many training cases a network sees each image more often, in smaller batches, and whole."""
VOXELS = 64**3
"""Voxels of a prepared volume at most: what a processor trains on in minutes."""
LONGEST = 224
"""Pixels of a flat image's longer side, and voxels along one axis of a volume."""
WHOLE = 0.95
"""Share of the volumes that fit into the grid whole; larger ones are shrunk."""
AGREED = 0.95
"""Share of the images of a channel, of those that name their modality, that have to agree on it."""


@dataclass(frozen=True)
class ImageFingerprint:
    """What the rules know of the training images."""

    cases: int
    sides: tuple[int, ...]
    """Median sides; three for volumes."""
    alike: bool
    """Whether all images have the same sides."""
    channels: int
    modality: str
    """Of each channel, separated by commas; one for all channels where they agree, empty where cases do not."""
    rarest: float
    """Share of the rarest class; 1 for numbers."""
    spacing: tuple[float, ...] | None = None
    """Median millimetres between neighbours along each axis; None where most images do not say."""
    extents: tuple[float, ...] | None = None
    """Millimetres along each axis into which nearly all images fit."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """One a channel."""
        found = tuple(self.modality.split(","))
        return found if len(found) == self.channels else (found[0] if len(found) == 1 else "",) * self.channels


def fingerprint(cases: Cases) -> ImageFingerprint:
    """The facts of these cases, from their table."""
    usable = cases.table.filter(pl.col("broken").is_null())
    axes = [name for name in ("depth", "height", "width") if usable[name].null_count() < usable.height]
    sides = usable.select(axes).drop_nulls()
    shares = [1.0]
    for target in categorical(cases.targets):
        counts = cases.table[target.name].drop_nulls().value_counts()["count"].to_list()
        shares.append(min(counts) / sum(counts))
    channels = cases.store("images", ImageStore).channels or int(usable["channels"].max())  # type: ignore[arg-type]
    placed = usable.filter(pl.col("spacing").list.len() == len(axes))
    spacings = np.array(placed["spacing"].to_list(), float).reshape(-1, len(axes))
    known = 2 * placed.height > usable.height
    extents = spacings * placed.select(axes).to_numpy()
    return ImageFingerprint(
        cases=usable.height,
        sides=tuple(int(np.median(sides[name].to_numpy())) for name in axes),
        alike=sides.n_unique() == 1,
        channels=channels,
        modality=_agreed(usable["modality"], channels),
        rarest=min(shares),
        spacing=tuple(np.median(spacings, 0).tolist()) if known else None,
        extents=tuple(np.quantile(extents, WHOLE, 0, method="higher").tolist()) if known else None,
    )


def _agreed(named: pl.Series, channels: int) -> str:
    found = []
    for counts in modalities(named, channels):
        most = max(counts, key=lambda name: counts[name], default="")
        found.append(most if most and counts[most] >= AGREED * sum(counts.values()) else "")
    return found[0] if len(set(found)) == 1 else ",".join(found)


def rules(cases: Cases, settings: Mapping[str, str] | None = None) -> ImagePlan:
    """The default plan for these training cases. Choices for flat images were made by cross-validation on public sets;
    those for large volumes rest on a few runs over simulated volumes with small findings. Of the `settings` that a user
    fixed, the size counts here, as the spacing of the grid follows from it."""
    facts = fingerprint(cases)
    volume = len(facts.sides) == 3
    size, spacing = _grid(facts)
    intensities = tuple("window" if one == "CT" else "image" for one in facts.modalities)
    preparation = Preparation(
        size=size,
        channels=facts.channels,
        intensity=intensities[0] if len(set(intensities)) == 1 else intensities,  # type: ignore[arg-type]
        spacing=spacing,
    )
    fixed = {key: value for key, value in (settings or {}).items() if key.startswith("preparation.")}
    if "preparation.size" in fixed and facts.extents and spacing and "preparation.spacing" not in fixed:
        asked = with_settings(replace(preparation, spacing=None), {"size": fixed["preparation.size"]}, "--set")
        preparation = replace(preparation, size=asked.size, spacing=_over(facts.extents, asked.size))
    small = facts.cases < SMALL
    wide = max(preparation.size) > 64 and not volume
    return ImagePlan(
        preparation=preparation,
        # A small finding is lost in the deep maps of a large volume, so its network has two stages.
        network=ImageNetwork(
            widths=(8, 16) if large(preparation) else (32, 64, 128, 256) if wide else (16, 32, 64, 128),
            blocks=(1, 1) if large(preparation) else (1, 1, 1, 1),
            pooling="mean and max" if volume else "mean",
        ),
        augmentation=_augmentation(facts, preparation),
        training=ImageTraining(batch=8 if large(preparation) else 16 if volume else 32 if small else 64),
        schedule=Schedule(
            epochs=40 if large(preparation) else 50 if small else 30 if facts.cases <= FEW else 15,
            learning_rate=2e-3,
            weight_decay=0.05,
            clip=0.0,
            precision="bf16" if fast_bfloat16() else "f32",
        ),
        # What trees add was measured on small sets only; over many images they take long.
        parts=("network", "trees") if facts.cases <= FEW else ("network",),
        members="folds" if facts.cases <= FEW else "single",
        mirrored=True,
        padding=padding(cases, preparation),
    )


def large(preparation: Preparation) -> bool:
    """Whether these are volumes of so many voxels that a network for them is costly."""
    return len(preparation.size) == 3 and math.prod(preparation.size) > MANY


def padding(cases: Cases, preparation: Preparation) -> float:
    """The mean share of the grid that these images leave empty."""
    usable = cases.table.filter(pl.col("broken").is_null())
    axes = ["depth", "height", "width"][-len(preparation.size) :]
    kinds = usable.group_by(*axes, "spacing").len()
    empty = 0.0
    for *sides, spacing, count in kinds.iter_rows():
        inner = covered(sides, spacing, preparation.size, preparation.spacing)
        empty += count * (1 - math.prod(inner) / math.prod(preparation.size))
    return round(empty / max(1, usable.height), 3)


def _grid(facts: ImageFingerprint) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """Size and spacing of the network's grid. Flat images of one small size stay as they are; others go to a multiple
    of 32 near their median, up to 224, with their aspect. Volumes get as many voxels as is affordable, none finer than
    they were, so that thick slices stay as they are; where their spacing is not known each axis is taken by itself."""
    if len(facts.sides) == 2 or facts.spacing is None or facts.extents is None:
        return _size(facts), None
    spacing = affordable(facts.extents, facts.spacing, VOXELS, LONGEST)
    size = tuple(map(_side, facts.extents, spacing, facts.spacing))
    coarse = _over(facts.extents, size)
    return size, tuple(new if one > own * 1.001 else own for new, one, own in zip(coarse, spacing, facts.spacing))


def _side(extent: float, spacing: float, own: float) -> int:
    """Voxels along one axis: a multiple of 8 where the axis is made coarser, else as many as there are slices."""
    if spacing > 1.001 * own:
        return max(8, round(extent / spacing / 8) * 8)
    return max(4, math.ceil(extent / own - 0.01))


def _over(extents: tuple[float, ...], size: tuple[int, ...]) -> tuple[float, ...]:
    """Spacing of a grid of this size over these extents."""
    return tuple(float(f"{extent / side:.4g}") for extent, side in zip(extents, size))


def _size(facts: ImageFingerprint) -> tuple[int, ...]:
    if len(facts.sides) == 3:
        if facts.alike and math.prod(facts.sides) <= VOXELS and max(facts.sides) <= LONGEST:
            return tuple(max(4, side) for side in facts.sides)
        shares = [1 / side for side in facts.sides]
        coarse = affordable((1.0,) * 3, shares, VOXELS, LONGEST)
        return tuple(map(_side, (1.0,) * 3, coarse, shares))
    square = facts.spacing is None or alike(facts.spacing)
    if facts.alike and square and max(facts.sides) <= LONGEST:
        return facts.sides
    sides: Sequence[float] = facts.sides
    if facts.spacing is not None and not square:
        sides = [side * own / min(facts.spacing) for side, own in zip(facts.sides, facts.spacing)]
    factor = min(1.0, LONGEST / max(sides))
    return tuple(max(32, round(side * factor / 32) * 32) for side in sides)


def _augmentation(facts: ImageFingerprint, preparation: Preparation) -> Augmentation:
    few = facts.cases < SMALL
    tones = {"gamma": (0.6, 1.6), "curve": (-0.5, 0.5), "slope": (-0.5, 0.5)} if few else {"erase": (0.1, 0.5)}
    across = slice_axis(preparation.spacing)
    return Augmentation(
        rotation=(-5.0, 5.0),
        scale=(0.9, 1.25),
        translation=(-0.05, 0.05),
        flips=(0.0,) * (len(facts.sides) - 1) + (0.5,),
        slices="" if across is None else AXES[across],
        **tones,
    )
