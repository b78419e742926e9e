"""Mistakes that are made in the pixels: copies that were saved anew, empty images, shortcuts."""

from __future__ import annotations

import numpy as np
import polars as pl

from medeor.simulate.images import Array

BRIGHTER = 28
"""Grey values that the shortcut `brightness` adds."""


def alter(images: Array, masks: Array, rows: pl.DataFrame, rng: np.random.Generator) -> None:
    """Changes near duplicates and constant images in place. No two constant images are alike."""
    near = np.flatnonzero((rows["copy"] == "near-duplicate").fill_null(False).to_numpy())
    saved = 255 * (images[near] / 255) ** 0.95 + rng.normal(0, 1.5, images[near].shape)
    images[near] = np.clip(np.rint(saved), 0, 255)
    empty = np.flatnonzero(rows["constant"].to_numpy())
    images[empty] = (np.arange(len(empty)) % 256).reshape(-1, *(1,) * (images.ndim - 1))
    masks[empty] = False


def mark(images: Array, carries: Array, shortcut: str) -> None:
    """Draws the shortcut into the images (n, *size) that carry it, in place."""
    side = images.shape[-1]
    wide = max(2, side // 12)
    chosen = images[carries]
    if shortcut == "marker":  # a lead letter's bright bar in the upper corner
        chosen[..., 1 : 1 + 2 * wide, -1 - wide : -1] = 250
    elif shortcut == "border":
        frame = np.ones(images.shape[-2:], bool)
        frame[wide // 2 : -(wide // 2), wide // 2 : -(wide // 2)] = False
        chosen[..., frame] = 200
    elif shortcut == "brightness":
        chosen = np.clip(chosen.astype(np.int16) + BRIGHTER, 0, 255).astype(np.uint8)
    images[carries] = chosen
