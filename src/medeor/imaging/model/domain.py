"""How an image compares with the training images: in domain, borderline, or out of domain, with the reason.

What counts: the distance in brightness, colour and texture, the distance in layout (see `distance`), and whether the
image with inverted grey levels would lie nearer. The thresholds are quantiles over training images that were held out
by fold, and so by group, from the means and covariances that they are compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
import torch
from pydantic import Field

from medeor import registry
from medeor.contracts import BORDERLINE, IN_DOMAIN, OUT_OF_DOMAIN, Cases, Message, Predictions, Split, UserError, named
from medeor.figures import Figure, Table
from medeor.imaging.model.appearance import Appearance, appearance
from medeor.imaging.model.distance import PARTS, Distances, Gaussian, distances, evidence, ratios, turned
from medeor.imaging.model.prepare import Preparation
from medeor.imaging.model.prepared import prepare
from medeor.learning.domain import DomainCheck, DomainModel, with_verdicts, worst
from medeor.learning.saved import Shape, arrays_of, facts_of, save_model

BORDER, OUT = 0.95, 0.975
"""Shares of held-out training images that lie nearer: beyond the first the verdict is borderline, beyond the second out
of domain."""
FEW = 40
"""Training images below which distances cannot be judged."""
MOST = 20_000
"""Training images from which means and covariances are estimated."""
COARSER = 2.0
"""By what factor an image may be smaller than all training images, or its pixels larger or smaller than theirs."""
LISTED = 20
"""Cases that a table for a reader names."""
FLAT = 1e-4
"""Grey levels between 0 and 1 that differ by less are one level."""

_FILE = "domain.safetensors"


@dataclass(frozen=True)
class TrainingImages:
    """Facts of the training images."""

    images: Annotated[int, Field(ge=1)]
    modalities: tuple[str, ...] = ()
    """Those in their headers; empty where one image has none."""
    smallest: Annotated[int, Field(ge=0)] = 0
    """Pixels along the longest side of the smallest."""
    spacing: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """The smallest and the largest distance of pixels, in mm; empty where one image does not say."""
    usual: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """The distance by part, and last `distance.turned`, beyond which `1 - OUT` of the held-out training images lie;
    empty where they are too few."""
    border: Annotated[float, Field(gt=0)] = 1.0
    """The same of the largest of these, each over the usual one, for `BORDER`."""
    out: Annotated[float, Field(gt=0)] = 1.0
    """And for `OUT`."""

    def __post_init__(self) -> None:
        if len(self.spacing) not in (0, 2):
            raise ValueError("spacing must be two numbers or none")


@dataclass(frozen=True, eq=False)
class ImageDomain:
    """What is kept of the training images: means and covariances, no image and no label."""

    preparation: Preparation
    facts: TrainingImages
    gaussians: tuple[Gaussian, ...]
    """By part; none where the training images are too few."""
    at_once: ClassVar[None] = None
    holds_training_values: ClassVar[bool] = False

    def judge(self, cases: Cases) -> pl.DataFrame:
        """One row a case: `case_id`, `verdict` and, where it is not in domain, its `reason`."""
        constant, seen = _looked_at(cases, self.preparation)
        checks = [constant, *self._stated(cases)]
        if self.gaussians:
            checks.append(self._far(seen, distances(self.gaussians, seen)))
        return worst(cases.ids, checks)

    def save(self, folder: Path) -> None:
        arrays = {
            f"{part}.{name}": value
            for part, gaussian in enumerate(self.gaussians)
            for name, value in vars(gaussian).items()
        }
        save_model(folder, "image-domain", {"preparation": self.preparation, "facts": self.facts}, arrays, _FILE)

    def _far(self, seen: Appearance, found: Distances) -> DomainCheck:
        farthest = ratios(found, self.facts.usual).max(axis=1, initial=0)
        levels = np.where(farthest > self.facts.out, 2, np.where(farthest > self.facts.border, 1, 0))
        kinds = evidence(self.gaussians, seen, found, self.facts.usual)

        def reason(row: int) -> Message:
            share = OUT if levels[row] == 2 else BORDER
            return Message("imaging.domain.far", seen=Message(f"imaging.seen.{kinds[row]}"), share=share)

        return DomainCheck(levels, reason)

    def _stated(self, cases: Cases) -> list[DomainCheck]:
        """Checks of file headers and sizes."""
        facts, table = self.facts, cases.table
        modality = table["modality"].to_list() if "modality" in table.columns else [None] * len(cases)
        new = [bool(facts.modalities and one and one not in facts.modalities) for one in modality]
        sides = _longest(table)
        coarse = np.nan_to_num(sides, nan=np.inf) * COARSER < facts.smallest
        spacing = _spacings(table)
        lowest, highest = facts.spacing or (0.0, np.inf)
        other = (spacing * COARSER < lowest) | (spacing > COARSER * highest)
        few = np.full(len(cases), 0 if self.gaussians else 1)
        return [
            DomainCheck(np.where(new, 2, 0), lambda row: _why("modality", own=modality[row], known=facts.modalities)),
            DomainCheck(few, lambda row: _why("few", count=facts.images)),
            DomainCheck(np.where(coarse, 1, 0), lambda row: _why("side", own=sides[row], smallest=facts.smallest)),
            DomainCheck(np.where(other, 1, 0), lambda row: _why("spacing", own=spacing[row], low=lowest, high=highest)),
        ]


def _why(key: str, **values: object) -> Message:
    return Message(f"imaging.domain.{key}", **values)


def learned(
    preparation: Preparation, cases: Cases, split: Split, held_out: Predictions
) -> tuple[ImageDomain, Predictions]:
    """See `DomainMethod.learn`."""
    domain, judged = learn(cases, split, preparation)
    if len(split.part(cases, "train", "validation")) > MOST:
        rest = held_out.table.join(judged, on="case_id", how="anti")["case_id"].unique().implode()
        judged = pl.concat([judged, domain.judge(cases.where(pl.col("case_id").is_in(rest)))])
    return domain, with_verdicts(held_out, judged)


def learn(cases: Cases, split: Split, preparation: Preparation) -> tuple[ImageDomain, pl.DataFrame]:
    """The domain of a model that was fitted and calibrated on the training and validation parts, and the verdict on
    each of these cases by what the other folds look like (see `ImageDomain.judge`)."""
    known = split.part(cases, "train", "validation")
    if len(known) > MOST:
        known = known.where(pl.Series(np.arange(len(known)) % math.ceil(len(known) / MOST) == 0))
    constant, seen = _looked_at(known, preparation)
    facts = _facts(known)
    domain = ImageDomain(preparation, facts, ())
    folds = split.folds_of(known)
    if len(known) < FEW or len(np.unique(folds)) < 2:
        return domain, worst(known.ids, [constant, *domain._stated(known)])
    places = [seen.columns(*kinds) for kinds in PARTS]
    found = Distances(*(np.empty((len(known), len(PARTS))) for _ in range(2)))
    for number in np.unique(folds):
        own = folds == number
        part = replace(seen, values=seen.values[own])
        others = [Gaussian.of(seen.values[~own][:, columns]) for columns in places]
        found.parts[own], found.inverted[own] = distances(others, part)
    usual = [_quantile(one, OUT) for one in found.parts.T]
    usual.append(_quantile(turned(found, usual), OUT))
    farthest = ratios(found, usual).max(axis=1)
    facts = replace(facts, usual=tuple(usual), border=_quantile(farthest, BORDER), out=_quantile(farthest, OUT))
    gaussians = tuple(Gaussian.of(seen.values[:, columns]) for columns in places)
    domain = replace(domain, facts=facts, gaussians=gaussians)
    return domain, worst(known.ids, [constant, *domain._stated(known), domain._far(seen, found)])


def _quantile(values: np.ndarray, share: float) -> float:
    """The value that a new one exceeds with a chance of at most `1 - share` (the quantile of conformal prediction; Vovk
    et al. 2005); the largest where they are too few to say."""
    place = min(math.ceil((len(values) + 1) * share), len(values)) - 1
    return float(max(np.sort(values)[place], 1e-3))


def _facts(cases: Cases) -> TrainingImages:
    table = cases.table
    modality = table["modality"] if "modality" in table.columns else pl.Series([None], dtype=pl.String)
    sides, spacing = _longest(table), _spacings(table)
    return TrainingImages(
        len(cases),
        () if modality.null_count() else tuple(sorted(modality.unique().to_list())),
        0 if np.isnan(sides).any() else int(sides.min(initial=np.inf)),
        () if np.isnan(spacing).any() or not len(spacing) else (float(spacing.min()), float(spacing.max())),
    )


def _longest(table: pl.DataFrame) -> np.ndarray:
    """Pixels along the longest side of each image, shape (n,); NaN where unknown."""
    axes = [pl.col(name).cast(pl.Float64) for name in ("width", "height", "depth") if name in table.columns]
    if not axes:
        return np.full(table.height, np.nan)
    return table.select(pl.max_horizontal(axes)).to_series().fill_null(np.nan).to_numpy()


def _spacings(table: pl.DataFrame) -> np.ndarray:
    """The smallest distance of neighbouring pixels of each image in mm, shape (n,); NaN where unknown."""
    if "spacing" not in table.columns:
        return np.full(table.height, np.nan)
    least = table["spacing"].cast(pl.List(pl.Float64)).list.min()
    return least.set(least <= 0, None).fill_null(np.nan).to_numpy()


def _looked_at(cases: Cases, preparation: Preparation) -> tuple[DomainCheck, Appearance]:
    """Which images have one grey level alone, and what all look like between 0 and 1, whatever rare findings lie
    beyond."""
    images = prepare(cases, preparation.levels)
    blank = appearance(torch.zeros(0, *images.shape[1:]))
    levels, seen = np.empty(len(images), int), replace(blank, values=np.empty((len(images), len(blank.kinds))))
    for chosen, some in images.chunks():
        some = some.clamp(0, 1)
        flat = some.flatten(1)
        levels[chosen] = 2 * (flat.amax(1) - flat.amin(1) < FLAT).numpy()
        seen.values[chosen] = appearance(some).values
    return DomainCheck(levels, lambda row: _why("constant")), seen


@dataclass(frozen=True)
class _Saved:
    preparation: Preparation
    facts: TrainingImages


def load(folder: Path) -> DomainModel:
    """Reads what `DomainModel.save` wrote. Raises: UserError where a value or an array is not what it must be."""
    saved = facts_of(folder, _Saved)
    gaussians = _read(folder / _FILE, saved.preparation, saved.facts)
    domain = ImageDomain(saved.preparation, saved.facts, gaussians)
    return DomainModel(registry.load_part(folder, "model"), domain)


def _read(path: Path, preparation: Preparation, facts: TrainingImages) -> tuple[Gaussian, ...]:
    """The arrays, each of the shape that the preparation asks for and finite."""
    if not facts.usual:
        arrays_of(path, {})
        return ()
    blank = appearance(torch.zeros(0, preparation.channels, *preparation.size))
    counts = [len(blank.columns(*kinds)) for kinds in PARTS]
    names = (("mean", 1), ("scale", 1), ("precision", 2))
    shapes = {
        f"{part}.{name}": Shape("F32", (count,) * axes) for part, count in enumerate(counts) for name, axes in names
    }
    arrays = arrays_of(path, shapes)
    parts = tuple(Gaussian(*(arrays[f"{part}.{name}"] for name, _ in names)) for part in range(len(PARTS)))
    finite = all(np.isfinite(one).all() for one in arrays.values())
    if len(facts.usual) != len(PARTS) + 1 or not finite or any((one.scale <= 0).any() for one in parts):
        raise UserError("imaging.domain.damaged", path=path)
    return parts


# --- for a reader ----------------------------------------------------------------------------------------


def verdict_table(predictions: Predictions) -> list[Figure]:
    """How many of these cases are like the training images, and which are not; nothing where nobody judged them."""
    if "verdict" not in predictions.table.columns:
        return []
    judged = predictions.table.group_by("case_id", maintain_order=True).first().drop_nulls("verdict")
    outside = judged.filter(pl.col("verdict") != IN_DOMAIN).sort(pl.col("verdict") == BORDERLINE, maintain_order=True)
    counts = tuple(f"{(judged['verdict'] == one).sum()} {one}" for one in (IN_DOMAIN, BORDERLINE, OUT_OF_DOMAIN))
    key = "imaging.verdicts.first" if outside.height > LISTED else "imaging.verdicts.all"
    rows = tuple(outside.select("case_id", "verdict", "reason").head(LISTED).iter_rows())
    columns = tuple(named("imaging.verdicts", "case", "verdict", "reason").values())
    return [Table(Message("imaging.verdicts.title"), columns, rows, Message(key, counts=counts, listed=LISTED))]
