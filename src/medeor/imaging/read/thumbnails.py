"""Small grey pictures of images, by which the audit knows copies and shortcuts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SIDE = 32
"""Pixels of a thumbnail's side: enough to recognise a picture, too few to show its grain."""


def thumbnail(pixels: np.ndarray, side: int = SIDE) -> np.ndarray:
    """One image of shape (channels, *sides) as a small grey picture, shape (side, side), float32: the mean over
    channels and, in 3-D, over the first axis, then over areas. A NaN anywhere is a NaN in its picture."""
    flat = pixels.mean(axis=tuple(range(pixels.ndim - 2)), dtype=np.float32)
    with np.errstate(invalid="ignore"):
        return _areas(flat.shape[0], side) @ flat @ _areas(flat.shape[1], side).T


@lru_cache(maxsize=64)
def _areas(old: int, new: int) -> np.ndarray:
    """Shares of old pixels in each new one, shape (new, old): rows add up to one."""
    edges = np.linspace(0, old, new + 1)
    place = np.arange(old)
    overlap = np.minimum(edges[1:, None], place + 1) - np.maximum(edges[:-1, None], place)
    return (np.maximum(overlap, 0) * new / old).astype(np.float32)
