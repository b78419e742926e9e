"""From images as they were stored to one array that a network can take: each channel brought to one scale of
intensities, denoised, enhanced, and put on one grid by millimetres. Nothing here is fitted, so the result can be cached
and shared by all folds."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from medeor import cache
from medeor.contracts import Cases, UserError
from medeor.files import digest
from medeor.imaging.model import grid
from medeor.imaging.read.cases import ImageStore
from medeor.learning.saved import AsJson
from medeor.machine import threads
from medeor.settings import build

VERSION = "2"
"""Of the arithmetic below: a change makes cached arrays stale."""
LARGEST = 1 << 27
"""Numbers of one prepared image: 512 x 512 x 512 voxels."""
LARGE = 1 << 22
"""Bytes of prepared images from which they are kept in the cache."""
FAR = 20
"""Distances between the 0.5th and the 99.5th percentile beyond which a value may be a fault of the detector."""
FEW = 5
"""Pixels that a finding has at least; what fewer show, and lies far off, is cut."""
HIGHEST = 6e4
"""What half precision can hold."""

T = TypeVar("T")
Intensity = Literal["range", "image", "window"]
Window = tuple[float, float]


@dataclass(frozen=True)
class Preparation:
    """How every image is prepared, at training and ever after."""

    size: Annotated[tuple[Annotated[int, Field(ge=4, le=4096)], ...], Field(min_length=2, max_length=3)]
    """Sides in pixels or voxels; two or three."""
    channels: Annotated[int, Field(ge=1, le=64)]
    intensity: Intensity | tuple[Intensity, ...] = "range"
    """One for all channels, or one a channel. `image`: each image to mean 0 and standard deviation 1; `window`: 0 to 1
    over `window`, cut beyond; `range`: 0 to 1 over what 8 bits can hold, or over the 0.5th to 99.5th percentile of
    other numbers, where small findings may lie beyond."""
    window: Window | tuple[Window, ...] = (-1000.0, 1000.0)
    """Lowest and highest value shown, e.g. in Hounsfield units; one for all channels, or one a channel."""
    denoise: Literal["none", "median", "non-local means"] = "none"
    enhance: Literal["none", "clahe", "bias field"] = "none"
    """`clahe`: contrast-limited adaptive histogram equalisation (Zuiderveld 1994); `bias field`: division by a smooth
    field, a cubic polynomial fitted to the logarithm of the foreground."""
    spacing: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """Millimetres from one pixel or voxel of the network's grid to the next, along each axis; a larger image is shrunk
    as a whole. Without it each axis of a volume fills `size` by itself, and a flat image keeps its aspect."""
    arithmetic: Literal[1, 2] = 2
    """1: as medeor 0.1 prepared images, by numbers of pixels and cut at the percentiles; its models keep to it."""

    def __post_init__(self) -> None:
        for name, values in (("intensity", self.intensities), ("window", self.windows)):
            if len(values) != self.channels:
                raise UserError("imaging.preparation.each", name=name, count=len(values), channels=self.channels)
        if self.spacing is not None and len(self.spacing) != len(self.size):
            raise UserError("imaging.preparation.spacing", count=len(self.spacing), axes=len(self.size))
        if self.channels * math.prod(self.size) > LARGEST:
            raise ValueError(f"size: an image has at most {LARGEST:,} numbers, channels counted; choose a smaller size")

    @property
    def intensities(self) -> tuple[Intensity, ...]:
        """One a channel."""
        return (self.intensity,) * self.channels if isinstance(self.intensity, str) else self.intensity

    @property
    def levels(self) -> Preparation:
        """The same with no image standardised by itself: that one no longer says how bright it was."""
        kept: tuple[Intensity, ...] = tuple("range" if one == "image" else one for one in self.intensities)
        return replace(self, intensity=kept[0] if len(set(kept)) == 1 else kept)

    @property
    def windows(self) -> tuple[Window, ...]:
        """One a channel."""
        shared = not isinstance(self.window[0], tuple)
        return (self.window,) * self.channels if shared else self.window  # type: ignore[return-value]


class PreparedAsJson(AsJson):
    """`AsJson` with a preparation; in models of medeor 0.1 it does not state its arithmetic."""

    @classmethod
    def from_json(cls: type[T], values: Mapping[str, Any]) -> T:
        preparation = build(Preparation, {"arithmetic": 1, **values["preparation"]}, "model.json")
        return build(cls, {**values, "preparation": preparation}, "model.json")


def prepare(cases: Cases, preparation: Preparation) -> Tensor:
    """The images of these cases, shape (cases, channels, *size), float32 (float16 on disk where they are many)."""
    store = cases.store("images", ImageStore)
    rows = cases.table["images"].to_list()
    bytes_needed = len(rows) * preparation.channels * int(np.prod(preparation.size)) * 4
    if store.in_memory or bytes_needed < LARGE:
        out = np.empty((len(rows), preparation.channels, *preparation.size), np.float32)
        _fill(store, rows, preparation, out)
        return torch.from_numpy(out)
    spacings = repr(cases.table["spacing"].to_list()) if "spacing" in cases.table.columns else ""
    key = digest(VERSION, repr(preparation), store.digest, spacings, "\n".join("|".join(row) for row in rows))
    path = cache.keep("images", key, lambda new: _write(store, rows, preparation, new))
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def prepare_one(pixels: np.ndarray, preparation: Preparation, spacing: Sequence[float] | None = None) -> np.ndarray:
    """One image of shape (channels, *sides) prepared, shape (channels, *size), float32.

    Args:
        spacing: millimetres between neighbours along each axis; None where they are not known.

    Raises: UserError where flat images are asked of a volume or the other way round, or other channels."""
    _check(pixels.shape, preparation)
    out = pixels.astype(np.float32, copy=False)
    out = np.nan_to_num(out, nan=float(np.nanmin(out)) if np.isfinite(out).any() else 0.0, copy=False)
    old, bytes_stored = preparation.arithmetic == 1, pixels.dtype == np.uint8
    out = (_as_in_0_1 if old else _to_unit)(out, bytes_stored, preparation)
    if preparation.denoise != "none" or preparation.enhance != "none":
        out = np.stack([_enhanced(channel, preparation) for channel in out])
    darkest = [float(out.min())] * len(out) if old or bytes_stored else [max(float(c.min()), -1.0) for c in out]
    out = _on_grid(out, preparation, spacing, darkest)
    each = [one == "image" for one in preparation.intensities[: len(out)]]
    if any(each):
        alike = standardised(torch.from_numpy(out)[None])[0].numpy()
        out = alike if all(each) else np.where(np.reshape(each, (-1, *[1] * (out.ndim - 1))), alike, out)
    return np.broadcast_to(out, (preparation.channels, *out.shape[1:]))


def _on_grid(
    out: np.ndarray, preparation: Preparation, spacing: Sequence[float] | None, darkest: Sequence[float]
) -> np.ndarray:
    """Shape (channels, *size); what the image does not cover is filled with the darkest value of its channel."""
    sides, size = out.shape[1:], preparation.size
    old = preparation.arithmetic == 1
    inner = grid.covered_by_count(sides, size) if old else grid.covered(sides, spacing, size, preparation.spacing)
    if sides == size and (old or inner == size):
        return out
    return grid.framed((grid.resized_by_blocks if old else grid.resized)(out, inner), size, darkest)


def standardised(images: Tensor) -> Tensor:
    """Images of shape (n, channels, *size) with each channel of each at mean 0 and standard deviation 1."""
    # Two plain means: torch.std_mean takes ten times as long on a CPU.
    flat = images.flatten(2)
    centred = flat - flat.mean(2, keepdim=True)
    return (centred / centred.square().mean(2, keepdim=True).sqrt().clamp_min(1e-6)).view_as(images)


def _check(shape: tuple[int, ...], preparation: Preparation) -> None:
    if len(preparation.size) != len(shape) - 1:
        raise UserError("imaging.preparation.flat" if len(preparation.size) == 2 else "imaging.preparation.volumes")
    # Grey may stand for colour, but never T1 for both T1 and T2.
    if shape[0] != preparation.channels and (shape[0], preparation.channels) != (1, 3):
        raise UserError("imaging.preparation.channels", count=preparation.channels, found=shape[0])


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
        image = store.read(rows[index])
        out[index] = prepare_one(image.pixels, preparation, image.spacing)

    # Decoders and resizing release the interpreter lock; arrays in memory are faster without a pool.
    if store.in_memory:
        for index in range(len(rows)):
            one(index)
        return
    with ThreadPoolExecutor(threads()) as pool:
        list(pool.map(one, range(len(rows))))


def _to_unit(out: np.ndarray, bytes_stored: bool, preparation: Preparation) -> np.ndarray:
    """Each channel by its own numbers: 0 to 1 over its window, over what a byte can hold, or over its percentiles."""
    channels = []
    for channel, intensity, window in zip(out, preparation.intensities, preparation.windows):
        if intensity == "window":
            low, high = window
            channels.append(np.clip((channel - low) / max(high - low, 1e-6), 0, 1))
        elif bytes_stored:
            channels.append(channel / 255)
        else:
            channels.append(_by_percentiles(channel))
    return np.stack(channels)


def _by_percentiles(channel: np.ndarray) -> np.ndarray:
    """0 to 1 from the 0.5th to the 99.5th percentile, or from 0 where that is a natural bottom, as in 8 bits. What lies
    beyond stays, as small findings do; but a few pixels far beyond all others are the detector's, and are cut so that
    they do not set the scale."""
    low, high = (float(v) for v in np.percentile(channel, [0.5, 99.5]))
    if channel.min() >= 0 and low <= high / 2:
        low = 0.0
    if high <= low:
        low, high = float(channel.min()), float(channel.max())
    unit = (channel - low) / ((high - low) or 1.0)
    if unit.size <= 2 * FEW:
        return unit
    ordered = np.partition(unit, (FEW - 1, unit.size - FEW), axis=None)
    lowest, highest = float(ordered[FEW - 1]), float(ordered[-FEW])
    return np.clip(unit, max(min(lowest, -FAR), -HIGHEST), min(max(highest, FAR), HIGHEST))


def _as_in_0_1(out: np.ndarray, bytes_stored: bool, preparation: Preparation) -> np.ndarray:
    if preparation.intensity == "window":
        low, high = preparation.windows[0]
    elif bytes_stored:
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
