"""What images look like, as numbers that need no labels: how their grey levels are spread, their colours, their
texture, and where they are bright. Each number keeps its value or changes its sign when grey levels are inverted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medeor.imaging.model.grid import at_most

ImageStatistic = Literal["brightness", "colour", "texture", "layout"]

LARGEST = {2: 128, 3: 32}
"""Sides to which larger images are shrunk first, by the number of axes."""
THUMBNAIL = {2: 12, 3: 6}
"""Sides of the thumbnail that says where an image is bright."""
SCALES = 4
"""Sizes at which texture is measured, each half of the one before."""
SMALLEST = 6
"""Pixels along the shortest side of an image whose texture is measured."""
NUMBERS_AT_ONCE = 1 << 22
LEVEL = 4e-3
"""One grey level of 256: differences below it say nothing."""


class _Numbers(NamedTuple):
    kind: ImageStatistic
    sign: int
    """1 where inverted grey levels leave them as they are, -1 where they change the sign."""
    values: Tensor
    """Shape (n, k)."""


@dataclass(frozen=True, eq=False)
class Appearance:
    """Numbers of n images, in columns."""

    values: np.ndarray
    """Shape (n, columns), float64."""
    kinds: tuple[ImageStatistic, ...]
    """By column."""
    signs: np.ndarray
    """By column, see `_Numbers.sign`; shape (columns,)."""

    @property
    def inverted(self) -> np.ndarray:
        """The values of the same images with inverted grey levels, shape (n, columns)."""
        return self.values * self.signs

    def columns(self, *kinds: ImageStatistic) -> np.ndarray:
        """Places of the columns of these kinds."""
        return np.flatnonzero(np.isin(self.kinds, kinds))


def appearance(images: Tensor) -> Appearance:
    """The numbers of images of shape (n, channels, *size) with values between 0 and 1."""
    largest = LARGEST[images.ndim - 2]
    blank = list(_numbers(at_most(torch.zeros(1, *images.shape[1:]), largest)))
    kinds: list[ImageStatistic] = [one.kind for one in blank for _ in range(one.values.shape[1])]
    signs = np.array([one.sign for one in blank for _ in range(one.values.shape[1])], dtype=float)
    values = np.empty((len(images), len(kinds)))
    at_once = max(1, NUMBERS_AT_ONCE // max(1, math.prod(images.shape[1:])))
    for start in range(0, len(images), at_once):
        chunk = at_most(images[start : start + at_once].float(), largest)
        values[start : start + at_once] = torch.cat([one.values for one in _numbers(chunk)], 1).numpy()
    return Appearance(values, tuple(kinds), signs)


def _numbers(images: Tensor) -> Iterator[_Numbers]:
    yield from _brightness(images - 0.5)
    if images.shape[1] > 1:
        yield from _colours(images)
    grey = images.mean(1, keepdim=True)
    yield from _texture(grey)
    yield _layout(grey)


def _brightness(images: Tensor) -> Iterator[_Numbers]:
    """Of grey levels between -0.5 and 0.5, by channel: quantiles and moments."""
    flat = images.flatten(2)
    last = flat.shape[2] - 1
    lower = [round(share * last) for share in (0.02, 0.1, 0.25, 0.5)]
    upper = [last - place for place in lower]
    # Only these places need be in order, which takes a fifth of the time of sorting.
    ordered = torch.from_numpy(np.partition(flat.numpy(), sorted({*lower, *upper}), axis=2))
    low, high = ordered[..., lower], ordered[..., upper]
    yield _Numbers("brightness", -1, (high + low).flatten(1))
    yield _Numbers("brightness", 1, (high - low)[..., :-1].flatten(1))
    yield _Numbers("brightness", -1, flat.mean(2))
    yield _Numbers("brightness", 1, flat.std(2, correction=0))
    yield _Numbers("brightness", -1, _skewness(flat).clamp(-5, 5))
    yield _Numbers("brightness", 1, _peakedness(flat))


def _colours(images: Tensor) -> Iterator[_Numbers]:
    """How each channel goes with the next one."""
    flat = images.flatten(2)
    other = flat.roll(-1, 1) if flat.shape[1] > 2 else flat[:, 1:]
    flat = flat[:, : other.shape[1]]
    yield _Numbers("colour", 1, _correlation(flat, other))
    yield _Numbers("colour", -1, (flat - other).mean(2))
    yield _Numbers("colour", 1, (flat - other).std(2, correction=0))


def _texture(images: Tensor) -> Iterator[_Numbers]:
    """At each scale: how much neighbours differ along each axis and diagonally, and how unevenly; whether bright or
    dark points stand out, and whether bright or dark regions are the rougher ones (speckle grows with brightness)."""
    axes = images.ndim - 2
    for _ in range(SCALES):
        if min(images.shape[2:]) < SMALLEST:
            return
        flat = images.flatten(2)
        spread = flat.std(2, correction=0)
        for axis in range(axes):
            steps = images.diff(dim=axis + 2).flatten(2)
            yield _Numbers("texture", 1, ((_size(steps) + LEVEL) / (spread + LEVEL)).log())
            yield _Numbers("texture", 1, _peakedness(steps))
            yield _Numbers("texture", -1, _skewness(steps))
        corners = images
        for axis in range(axes):
            corners = corners.diff(dim=axis + 2)
        yield _Numbers("texture", 1, (_size(corners.flatten(2)) + LEVEL).log())
        yield _Numbers("texture", 1, _peakedness(corners.flatten(2)))
        yield _Numbers("texture", -1, _skewness(_curvature(images).flatten(2)))
        yield _Numbers("texture", -1, _skewness(flat))
        means = _halved(images)
        rough = (_halved(images.square()) - means.square()).clamp_min(0).sqrt()
        yield _Numbers("texture", -1, _correlation(means.flatten(2), (rough + LEVEL).log().flatten(2)))
        images = means


def _layout(images: Tensor) -> _Numbers:
    """A thumbnail of mean 0 and standard deviation 1."""
    small = at_most(images, THUMBNAIL[images.ndim - 2]).flatten(1)
    centred = small - small.mean(1, keepdim=True)
    return _Numbers("layout", -1, centred / centred.std(1, keepdim=True, correction=0).clamp_min(0.02))


def _halved(images: Tensor) -> Tensor:
    return (functional.avg_pool2d if images.ndim == 4 else functional.avg_pool3d)(images, 2)


def _curvature(images: Tensor) -> Tensor:
    """The discrete Laplacian inside the border."""
    axes = range(2, images.ndim)
    inside = images
    for axis in axes:
        inside = inside.narrow(axis, 1, images.shape[axis] - 2)
    total = -2 * len(axes) * inside
    for axis in axes:
        row = images
        for other in axes:
            row = row if other == axis else row.narrow(other, 1, images.shape[other] - 2)
        total = total + row.narrow(axis, 0, inside.shape[axis]) + row.narrow(axis, 2, inside.shape[axis])
    return total


def _size(values: Tensor) -> Tensor:
    """Root mean square over the last axis."""
    return values.square().mean(-1).sqrt()


def _skewness(values: Tensor) -> Tensor:
    centred = values - values.mean(-1, keepdim=True)
    square = centred * centred
    return (square * centred).mean(-1) / (square.mean(-1) ** 1.5 + 1e-6)


def _peakedness(values: Tensor) -> Tensor:
    """The logarithm of the kurtosis; 0 where all values are the same."""
    square = (values - values.mean(-1, keepdim=True)).square()
    return ((square.square().mean(-1) + 1e-8) / (square.mean(-1).square() + 1e-8)).log()


def _correlation(one: Tensor, other: Tensor) -> Tensor:
    one, other = one - one.mean(-1, keepdim=True), other - other.mean(-1, keepdim=True)
    return (one * other).mean(-1) / ((one.square().mean(-1) * other.square().mean(-1)).sqrt() + 1e-5)
