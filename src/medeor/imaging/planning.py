"""The rules by which the facts of the training images become a plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from medeor.contracts import Cases
from medeor.imaging.augment import Augmentation
from medeor.imaging.cases import ImageStore
from medeor.imaging.plan import ImagePlan, Network, Training
from medeor.imaging.prepare import Preparation
from medeor.learning.fit import fast_bfloat16
from medeor.learning.schedule import Schedule

FEW = 10_000
"""Up to so many training cases an ensemble of folds is affordable."""

SMALL = 2000
"""Below so many training cases a network sees each image more often, in smaller batches, and whole."""


@dataclass(frozen=True)
class Fingerprint:
    """What the rules know of the training images."""

    cases: int
    sides: tuple[int, ...]
    """Median sides; three for volumes."""
    alike: bool
    """Whether all images have the same sides."""
    channels: int
    modality: str
    rarest: float
    """Share of the rarest class; 1 for numbers."""


def fingerprint(cases: Cases) -> Fingerprint:
    """The facts of these cases."""
    usable = cases.table.filter(pl.col("broken").is_null())
    axes = [name for name in ("depth", "height", "width") if usable[name].null_count() < usable.height]
    sides = usable.select(axes).drop_nulls()
    first = cases.store(ImageStore).read(usable["images"][0].to_list())
    shares = [1.0]
    for target in cases.targets:
        if target.kind != "continuous":
            counts = cases.table[target.name].drop_nulls().value_counts()["count"].to_list()
            shares.append(min(counts) / sum(counts))
    return Fingerprint(
        cases=usable.height,
        sides=tuple(int(np.median(sides[name].to_numpy())) for name in axes),
        alike=sides.n_unique() == 1,
        channels=first.pixels.shape[0],
        modality=first.modality,
        rarest=min(shares),
    )


def rules(cases: Cases) -> ImagePlan:
    """The default plan for these training cases; every choice in it was made by cross-validation on public sets."""
    facts = fingerprint(cases)
    volume = len(facts.sides) == 3
    size = _size(facts)
    small = facts.cases < SMALL
    wide = max(size) > 64 and not volume
    return ImagePlan(
        preparation=Preparation(
            size=size, channels=facts.channels, intensity="window" if facts.modality == "CT" else "image"
        ),
        network=Network(widths=(32, 64, 128, 256) if wide else (16, 32, 64, 128), blocks=(1, 1, 1, 1)),
        augmentation=_augmentation(facts),
        training=Training(batch=16 if volume else 32 if small else 64),
        schedule=Schedule(
            epochs=50 if small else 30 if facts.cases <= FEW else 15,
            learning_rate=2e-3,
            weight_decay=0.05,
            clip=0.0,
            precision="bf16" if fast_bfloat16() else "f32",
        ),
        # What trees add was measured on small sets only; over many images they take long.
        parts=("network", "trees") if facts.cases <= FEW else ("network",),
        members="folds" if facts.cases <= FEW else "single",
        mirrored=True,
    )


def _size(facts: Fingerprint) -> tuple[int, ...]:
    """Images of one small size stay as they are; others go to a multiple of 32 near their median, up to 224 (2-D), or
    a multiple of 8 up to 64 (3-D), with their aspect."""
    step, most = (32, 224) if len(facts.sides) == 2 else (8, 64)
    if facts.alike and max(facts.sides) <= most:
        return facts.sides
    factor = min(1.0, most / max(facts.sides))
    return tuple(max(step, round(side * factor / step) * step) for side in facts.sides)


def _augmentation(facts: Fingerprint) -> Augmentation:
    axes = len(facts.sides)
    few = facts.cases < SMALL
    tones = {"gamma": (0.6, 1.6), "curve": (-0.5, 0.5), "slope": (-0.5, 0.5)} if few else {"erase": (0.1, 0.5)}
    return Augmentation(
        rotation=(-5.0, 5.0),
        scale=(0.9, 1.25),
        translation=(-0.05, 0.05),
        flips=(0.0,) * (axes - 1) + (0.5,),
        **tones,
    )
