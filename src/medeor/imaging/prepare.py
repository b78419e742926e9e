"""From images as they were stored to one array that a network can take: denoised, enhanced, resized with the aspect
kept, intensities brought to one scale. Nothing here is fitted, so the result can be cached and shared by all folds."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from medeor import cache
from medeor.contracts import Cases, UserError, threads
from medeor.files import digest
from medeor.imaging.cases import ImageStore

VERSION = "1"
"""Of the arithmetic below: a change makes cached arrays stale."""
LARGEST = 1 << 27
"""Numbers of one prepared image: 512 x 512 x 512 voxels."""
LARGE = 1 << 22
"""Bytes of prepared images from which they are kept in the cache."""


@dataclass(frozen=True)
class Preparation:
    """How every image is prepared, at training and ever after."""

    size: Annotated[tuple[Annotated[int, Field(ge=4, le=4096)], ...], Field(min_length=2, max_length=3)]
    """Sides in pixels or voxels; two or three."""
    channels: Annotated[int, Field(ge=1, le=64)]
    intensity: Literal["range", "image", "window"] = "range"
    """`range`: 0 to 1 over what the file type can hold, or over the 0.5th to 99.5th percentile of other numbers;
    `image`: each image to mean 0 and standard deviation 1; `window`: 0 to 1 over `window`."""
    window: tuple[float, float] = (-1000.0, 1000.0)
    """Lowest and highest value shown, e.g. in Hounsfield units."""
    denoise: Literal["none", "median", "non-local means"] = "none"
    enhance: Literal["none", "clahe", "bias field"] = "none"
    """`clahe`: contrast-limited adaptive histogram equalisation (Zuiderveld 1994); `bias field`: division by a smooth
    field, a cubic polynomial fitted to the logarithm of the foreground."""

    def __post_init__(self) -> None:
        if self.channels * math.prod(self.size) > LARGEST:
            raise ValueError(f"size: an image has at most {LARGEST:,} numbers, channels counted; choose a smaller size")


def prepare(cases: Cases, preparation: Preparation) -> Tensor:
    """The images of these cases, shape (cases, channels, *size), float32 (float16 on disk where they are many)."""
    store = cases.store(ImageStore)
    rows = cases.table["images"].to_list()
    bytes_needed = len(rows) * preparation.channels * int(np.prod(preparation.size)) * 4
    if store.in_memory or bytes_needed < LARGE:
        out = np.empty((len(rows), preparation.channels, *preparation.size), np.float32)
        _fill(store, rows, preparation, out)
        return torch.from_numpy(out)
    key = digest(VERSION, repr(preparation), store.digest, "\n".join("|".join(row) for row in rows))
    path = cache.keep("images", key, lambda new: _write(store, rows, preparation, new))
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def prepare_one(pixels: np.ndarray, preparation: Preparation) -> np.ndarray:
    """One image of shape (channels, *sides) prepared, shape (channels, *size), float32.

    Raises: UserError where flat images are asked of a volume or the other way round, or other channels."""
    _check(pixels.shape, preparation)
    out = pixels.astype(np.float32, copy=False)
    out = np.nan_to_num(out, nan=float(np.nanmin(out)) if np.isfinite(out).any() else 0.0, copy=False)
    out = _to_unit(out, pixels.dtype, preparation)
    if preparation.denoise != "none" or preparation.enhance != "none":
        out = np.stack([_enhanced(channel, preparation) for channel in out])
    out = _resized(out, preparation.size)
    if preparation.intensity == "image":
        out = standardised(torch.from_numpy(out)[None])[0].numpy()
    return np.broadcast_to(out, (preparation.channels, *out.shape[1:]))


def standardised(images: Tensor) -> Tensor:
    """Images of shape (n, channels, *size) with each channel of each at mean 0 and standard deviation 1."""
    # Two plain means: torch.std_mean takes ten times as long on a CPU.
    flat = images.flatten(2)
    centred = flat - flat.mean(2, keepdim=True)
    return (centred / centred.square().mean(2, keepdim=True).sqrt().clamp_min(1e-6)).view_as(images)


def _check(shape: tuple[int, ...], preparation: Preparation) -> None:
    names = {2: "flat images", 3: "volumes"}
    asked, found = len(preparation.size), len(shape) - 1
    if asked != found:
        kinds = [names.get(count, f"images of {count} sides") for count in (asked, found)]
        raise UserError(f"the plan asks for {kinds[0]} (preparation.size), and these are {kinds[1]}")
    # Grey may stand for colour, but never T1 for both T1 and T2.
    if shape[0] != preparation.channels and (shape[0], preparation.channels) != (1, 3):
        raise UserError(
            f"the plan asks for images with {preparation.channels} channel(s) (preparation.channels), and one has "
            f"{shape[0]}"
        )


def _write(store: ImageStore, rows: list[list[str]], preparation: Preparation, path: Path) -> None:
    shape = (len(rows), preparation.channels, *preparation.size)
    with path.open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        # Taken at once: a disk that fills up under a mapped file ends the process without a word.
        length = start + 2 * int(np.prod(shape))
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, length)
        file.truncate(length)
    out = np.memmap(path, np.float16, "r+", start, shape)
    _fill(store, rows, preparation, out)
    out.flush()


def _fill(store: ImageStore, rows: list[list[str]], preparation: Preparation, out: np.ndarray) -> None:
    def one(index: int) -> None:
        out[index] = prepare_one(store.read(rows[index]).pixels, preparation)

    # Decoders and resizing release the interpreter lock; arrays in memory are faster without a pool.
    if store.in_memory:
        for index in range(len(rows)):
            one(index)
        return
    with ThreadPoolExecutor(threads()) as pool:
        list(pool.map(one, range(len(rows))))


def _to_unit(out: np.ndarray, stored: np.dtype, preparation: Preparation) -> np.ndarray:
    if preparation.intensity == "window":
        low, high = preparation.window
    elif stored == np.uint8:
        low, high = 0.0, 255.0
    else:
        low, high = (float(v) for v in np.percentile(out, [0.5, 99.5]))
    return np.clip((out - low) / max(high - low, 1e-6), 0, 1)


def _enhanced(channel: np.ndarray, preparation: Preparation) -> np.ndarray:
    from skimage import exposure, filters, restoration

    if preparation.denoise == "median":
        channel = filters.median(channel, np.ones((3,) * channel.ndim))
    elif preparation.denoise == "non-local means":
        sigma = _noise(channel)
        channel = restoration.denoise_nl_means(channel, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma)
    if preparation.enhance == "clahe":
        channel = exposure.equalize_adapthist(np.clip(channel, 0, 1), clip_limit=0.02)
    elif preparation.enhance == "bias field":
        channel = _without_bias(channel)
    return channel.astype(np.float32)


def _noise(channel: np.ndarray) -> float:
    """Standard deviation of the noise, by the median of the finest Haar details (Donoho and Johnstone 1994)."""
    for axis in range(channel.ndim):
        channel = np.diff(channel, axis=axis) / np.sqrt(2)
    return float(np.median(np.abs(channel)) / 0.6745)


def _without_bias(channel: np.ndarray) -> np.ndarray:
    foreground = channel > 0.1 * channel.max()
    if foreground.sum() < 100:
        return channel
    axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in channel.shape), indexing="ij")
    powers = [p for p in np.ndindex(*(4,) * channel.ndim) if 0 < sum(p) <= 3]
    terms = np.stack([np.prod([a**k for a, k in zip(axes, p)], axis=0) for p in powers], axis=-1)
    log = np.log(channel[foreground])
    design = np.column_stack([np.ones(len(log)), terms[foreground]])
    weights, *_ = np.linalg.lstsq(design, log, rcond=None)
    out = channel / np.exp(terms @ weights[1:])
    return np.clip(out / max(float(out.max()), 1e-6), 0, 1)


def _resized(out: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Resized with the aspect kept and the rest filled with the darkest value, shape (channels, *size). Shrinking
    averages, enlarging interpolates linearly."""
    sides = out.shape[1:]
    if sides == size:
        return out
    factor = min(new / old for new, old in zip(size, sides))
    fitted = tuple(max(1, min(new, round(old * factor))) for new, old in zip(size, sides))
    tensor = torch.from_numpy(np.ascontiguousarray(out))[None]
    if len(size) == 2:
        tensor = functional.interpolate(tensor, fitted, mode="bilinear", antialias=True, align_corners=False)
    elif factor < 1:
        tensor = functional.interpolate(tensor, fitted, mode="area")
    else:
        tensor = functional.interpolate(tensor, fitted, mode="trilinear", align_corners=False)
    before = [(new - old) // 2 for new, old in zip(size, fitted)]
    framed = np.full((len(out), *size), float(out.min()), np.float32)
    inside = tuple(slice(start, start + side) for start, side in zip(before, fitted))
    framed[(slice(None), *inside)] = tensor[0].numpy()
    return framed
