"""Where an image lies on the grid of pixels or voxels that a network is given, and how it is brought there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Spacing = Sequence[float] | None
"""Millimetres between neighbours along each axis; None where they are not known."""


def covered(sides: Sequence[int], spacing: Spacing, size: Sequence[int], grid: Spacing) -> tuple[int, ...]:
    """Sides of that part of a grid which an image takes up.

    Args:
        sides: of the image, in its own pixels or voxels.
        spacing: of the image.
        size: sides of the grid.
        grid: spacing of the grid; None where it has none.

    Millimetres count wherever both are known: a sphere stays a sphere, whatever the slice thickness. An image larger
    than the grid is shrunk as a whole. Otherwise a flat image keeps its aspect and touches two borders, its pixels
    taken for squares where they are not known, and each axis of a volume fills the grid by itself: to keep the aspect
    in voxels would cost most of the thick slices."""
    if spacing is None or grid is None:
        if len(size) == 3:
            return tuple(size)
        spacing = (1.0, 1.0) if spacing is None or alike(spacing) else spacing
        lengths = [side * own for side, own in zip(sides, spacing)]
        factor = min(new / length for new, length in zip(size, lengths))
    else:
        lengths = [side * own / one for side, own, one in zip(sides, spacing, grid)]
        factor = min(1.0, *(new / length for new, length in zip(size, lengths)))
    return tuple(max(1, min(new, round(length * factor))) for new, length in zip(size, lengths))


def covered_by_count(sides: Sequence[int], size: Sequence[int]) -> tuple[int, ...]:
    """As `covered`, by numbers of pixels or voxels alone: how medeor 0.1 placed images."""
    factor = min(new / old for new, old in zip(size, sides))
    return tuple(max(1, min(new, round(old * factor))) for new, old in zip(size, sides))


def alike(spacing: Sequence[float]) -> bool:
    """Whether neighbours lie equally far apart along all axes, to a hundredth."""
    return max(spacing) <= 1.01 * min(spacing)


def slice_axis(spacing: Spacing) -> int | None:
    """The axis of a volume along which slices lie at least twice as far apart as pixels along any other; None where
    there is none."""
    if spacing is None or len(spacing) != 3:
        return None
    axis = max(range(3), key=lambda one: spacing[one])
    return axis if spacing[axis] >= 2 * max(own for one, own in enumerate(spacing) if one != axis) else None


def resized(pixels: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """An image of shape (channels, *old sides) with new sides: shrinking averages, enlarging interpolates linearly; of
    volumes, each axis by itself."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels))
    if len(sides) == 2:
        options = {"mode": "bilinear", "antialias": True, "align_corners": False}
        return functional.interpolate(tensor[None], list(sides), **options)[0].numpy()  # type: ignore[arg-type]
    # What shrinks most goes first: less is left for the others.
    for axis in sorted(range(1, tensor.ndim), key=lambda axis: sides[axis - 1] / tensor.shape[axis]):
        tensor = _along(tensor, axis, sides[axis - 1])
    return tensor.contiguous().numpy()


def resized_by_blocks(pixels: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """As `resized`, with all axes of a volume averaged over whole voxels or all interpolated: as medeor 0.1 did."""
    if len(sides) == 2:
        return resized(pixels, sides)
    tensor = torch.from_numpy(np.ascontiguousarray(pixels))[None]
    if min(new / old for new, old in zip(sides, pixels.shape[1:])) < 1:
        return functional.interpolate(tensor, list(sides), mode="area")[0].numpy()
    return functional.interpolate(tensor, list(sides), mode="trilinear", align_corners=False)[0].numpy()


def at_most(images: Tensor, side: int) -> Tensor:
    """Images of shape (n, channels, *size) as means over boxes, so that no side is longer."""
    sides = [min(side, one) for one in images.shape[2:]]
    return images if max(images.shape[2:]) <= side else box_means(images, sides)


def box_means(images: Tensor, sides: Sequence[int]) -> Tensor:
    """Images of shape (n, channels, *size) as means over so many boxes along each axis."""
    pool = functional.adaptive_avg_pool2d if len(sides) == 2 else functional.adaptive_avg_pool3d
    return pool(images, tuple(sides))  # type: ignore[arg-type]


def framed(pixels: np.ndarray, size: Sequence[int], fill: Sequence[float]) -> np.ndarray:
    """An image of shape (channels, *sides) in the middle of a grid, float32, the rest filled with one value a
    channel."""
    out = np.empty((len(pixels), *size), np.float32)
    out[...] = np.reshape(fill, (-1, *[1] * len(size)))
    starts = [(new - old) // 2 for new, old in zip(size, pixels.shape[1:])]
    out[(slice(None), *(slice(start, start + side) for start, side in zip(starts, pixels.shape[1:])))] = pixels
    return out


def _along(tensor: Tensor, axis: int, side: int) -> Tensor:
    """A tensor with a new length along one axis."""
    if tensor.shape[axis] == side:
        return tensor
    weights = _weights(tensor.shape[axis], side).to(tensor.dtype)
    return torch.movedim(torch.movedim(tensor, axis, -1) @ weights.T, -1, axis)


def _weights(old: int, new: int) -> Tensor:
    """How much each old place counts for each new one, shape (new, old): the share of the new place that it covers
    where places grow larger, else by linear interpolation between centres."""
    step = old / new
    first = torch.arange(new, dtype=torch.float64)[:, None] * step
    place = torch.arange(old, dtype=torch.float64)[None]
    if step > 1:
        return (torch.minimum(first + step, place + 1) - torch.maximum(first, place)).clamp_min(0) / step
    centre = (first + step / 2 - 0.5).clamp(0, old - 1)
    return (1 - (centre - place).abs()).clamp_min(0)


# --- sizes -----------------------------------------------------------------------------------------------


def affordable(extents: Sequence[float], finest: Sequence[float], most: int, longest: int) -> list[float]:
    """Spacings of a grid over `extents` with at most `most` voxels and `longest` along an axis: as fine as can be, and
    nowhere finer than `finest`. An axis whose slices lie far apart keeps its own spacing while the others give way, as
    in nnU-Net (Isensee et al. 2021): interpolated slices hold nothing new, and averaged ones lose small findings."""
    limit = [max(own, extent / longest) for own, extent in zip(finest, extents)]

    def spacings(least: float) -> list[float]:
        return [max(own, least) for own in limit]

    def voxels(least: float) -> float:
        return math.prod(max(1.0, extent / one) for extent, one in zip(extents, spacings(least)))

    low, high = min(limit), max(*extents, *limit)
    if voxels(low) <= most:
        return spacings(low)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if voxels(middle) <= most else (middle, high)
    return spacings(high)
