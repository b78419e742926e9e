"""Images as a few hundred numbers each, for boosted trees: brightness and colour, where it lies, edges and texture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from medeor.contracts import Cases
from medeor.imaging.model.grid import at_most, box_means, slice_axis
from medeor.imaging.model.prepare import Preparation, PreparedAsJson
from medeor.imaging.model.prepared import PreparedImages, prepare

THUMBNAIL = {2: 7, 3: 4}
"""Sides of the thumbnail, by the number of axes."""
SPOTS = (0.7, 1.0, 1.5, 2.5, 4.0)
"""Standard deviations, in pixels of a slice, of the Gaussians by which spots are looked for."""
LARGEST = {2: 128, 3: 32}
"""Sides to which larger images are shrunk first."""
SCALES = 3
"""Sizes at which edges and patterns are counted, each half of the one before."""
PIXELS_AT_ONCE = 1 << 22
VOXELS_AT_ONCE = 1 << 19
KEPT = 20_000
"""Images up to which the numbers of a store are kept for the next fold; they take some 40 MB."""


@dataclass(frozen=True)
class ImageFeatures(PreparedAsJson):
    """Numbers of an image that need no learned shapes; chosen by cross-validation on public sets."""

    preparation: Preparation
    spots: bool = False
    """Whether the brightest and darkest spots of a volume are looked for; models of medeor 0.1 did not."""
    kind: str = "image-features"

    def table(self, cases: Cases) -> np.ndarray:
        """Shape (cases, features), float32. An image that several folds ask for is looked at once."""
        images = prepare(cases, self.preparation.levels)
        known = _known(images.key, self) if images.key and len(images) <= KEPT else {}
        missing = np.array([row not in known for row in images.rows], bool)
        if missing.any():
            known |= zip(images.rows[missing].tolist(), self._look(replace(images, rows=images.rows[missing])))
        return np.stack([known[row] for row in images.rows])

    def names(self) -> tuple[str, ...]:
        blank = torch.zeros(1, self.preparation.levels.channels, *self.preparation.levels.size)
        return tuple(
            f"{name} {channel}[{number}]"
            for name, found in self._found(blank)
            for channel in range(found.shape[1])
            for number in range(found.shape[2])
        )

    def _look(self, images: PreparedImages) -> np.ndarray:
        table = np.empty((len(images), len(self.names())), np.float32)
        for chosen, some in images.chunks(PIXELS_AT_ONCE if images.flat else VOXELS_AT_ONCE):
            table[chosen] = torch.cat([found.flatten(1) for _, found in self._found(some)], 1).numpy()
        return table

    def _found(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        yield from _features(at_most(images, LARGEST[images.ndim - 2]))
        if self.spots:
            yield from _spots(images.movedim(2 + (slice_axis(self.preparation.spacing) or 0), 2))


@lru_cache(maxsize=4)
def _known(images: str, features: ImageFeatures) -> dict[int, np.ndarray]:
    """The numbers of the images of a store that were looked at before, by `PreparedImages.rows`."""
    return {}


def _features(images: Tensor) -> Iterator[tuple[str, Tensor]]:
    """By name, each of shape (n, channels, numbers), of images of shape (n, channels, *size) between 0 and 1."""
    axes, channels = images.ndim - 2, images.shape[1]
    yield "pixel", at_most(images, THUMBNAIL[axes]).flatten(2)
    yield "level", _shares(_steps(images, 16), 16)
    yield "level in the middle", _shares(_steps(_middle(images), 8), 8)
    yield "quantile", _quantiles(images, (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99))
    if channels == 3:
        red, green, blue = _steps(images, 8).unbind(1)
        yield "colour", _shares(((red * 8 + green) * 8 + blue)[:, None], 8**3)
    for scale in range(SCALES):
        if min(images.shape[2:]) < 4:
            return
        slopes = torch.stack([_moved(images, axis, 1) - _moved(images, axis, -1) for axis in range(axes)])
        edges = slopes.square().sum(0).sqrt()
        yield f"edge, mean at scale {scale}", edges.flatten(2).mean(2, keepdim=True)
        yield f"edge, spread at scale {scale}", edges.flatten(2).std(2, correction=0)[..., None]
        yield f"edge, quantile at scale {scale}", _quantiles(edges, (0.5, 0.9, 0.99))
        yield f"edge by axis at scale {scale}", slopes.abs().flatten(3).mean(3).permute(1, 2, 0)
        yield f"pattern at scale {scale}", _shares(_patterns(images), 4**axes)
        images = box_means(images, [side // 2 for side in images.shape[2:]])


def _steps(images: Tensor, levels: int) -> Tensor:
    return (images * levels).long().clamp(0, levels - 1)


def _shares(codes: Tensor, count: int) -> Tensor:
    """How often each code occurs in an image, shape (n, channels, count)."""
    codes = codes.flatten(2)
    shares = torch.zeros(*codes.shape[:2], count)
    return shares.scatter_add_(2, codes, torch.full(codes.shape, 1 / codes.shape[2]))


def _quantiles(values: Tensor, at: tuple[float, ...]) -> Tensor:
    """Shape (n, channels, len(at)); the nearest value below."""
    ordered = values.flatten(2).sort(2).values
    return ordered[..., [int(share * (ordered.shape[2] - 1)) for share in at]]


def _middle(images: Tensor) -> Tensor:
    """The middle third along each axis."""
    for axis in range(2, images.ndim):
        side = images.shape[axis]
        images = images.narrow(axis, side // 3, side - 2 * (side // 3))
    return images


def _moved(images: Tensor, axis: int = 0, step: int = 0) -> Tensor:
    """All pixels but the border, or their neighbours one step along an axis."""
    for one in range(images.ndim - 2):
        first = 1 + (step if one == axis else 0)
        images = images.narrow(one + 2, first, images.shape[one + 2] - 2)
    return images


def _patterns(images: Tensor) -> Tensor:
    """Which of its neighbours along the axes are at least as bright as a pixel, as one code (local binary patterns;
    Ojala et al. 2002)."""
    centre = _moved(images)
    code = torch.zeros(centre.shape, dtype=torch.long)
    for place, (axis, step) in enumerate((axis, step) for axis in range(images.ndim - 2) for step in (-1, 1)):
        code += (_moved(images, axis, step) >= centre).long() << place
    return code


def _spots(images: Tensor) -> Iterator[tuple[str, Tensor]]:
    """How far the brightest and the darkest spots of volumes stand out, in standard deviations of all spots: by the
    difference of two Gaussians (Marr and Hildreth 1980) within slices, and the same less what the slices above and
    below show there, as a small finding may lie in one slice alone."""
    for width in SPOTS:
        within = _smoothed(images, width) - _smoothed(images, 2 * width)
        neighbours = (within.roll(1, 2) + within.roll(-1, 2)) / 2
        for name, spots in (("within slices", within), ("in one slice", within - neighbours)):
            flat = spots.flatten(2)
            spread = flat.std(2, correction=0, keepdim=True).clamp_min(1e-9)
            extremes = torch.cat([flat.amax(2, keepdim=True), flat.amin(2, keepdim=True)], 2) / spread
            yield f"spot of {width} {name}, brightest and darkest", extremes


def _smoothed(images: Tensor, width: float) -> Tensor:
    """Each slice of volumes, shape (n, channels, slices, rows, columns), smoothed by a Gaussian cut at three standard
    deviations; beyond its border a slice goes on as it ends."""
    rows, columns = (_gaussian(side, width) for side in images.shape[-2:])
    return rows @ images @ columns.T


@lru_cache(maxsize=32)
def _gaussian(side: int, width: float) -> Tensor:
    """How much each place of an axis counts for each smoothed one, shape (side, side)."""
    span = math.ceil(3 * width)
    offsets = torch.arange(-span, span + 1)
    weights = torch.exp(-0.5 * (offsets / width) ** 2)
    places = (torch.arange(side)[:, None] + offsets).clamp(0, side - 1)
    return torch.zeros(side, side).scatter_add(1, places, (weights / weights.sum()).expand(side, -1))
