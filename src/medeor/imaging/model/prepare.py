"""From an image as it was stored to one that a network can take: each channel brought to one scale of intensities,
denoised, enhanced, and put on one grid by millimetres. Nothing here is fitted, so the result can be kept and shared by
all folds (`prepared`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from medeor.contracts import UserError
from medeor.imaging.model import grid
from medeor.learning.saved import AsJson
from medeor.settings import build

LARGEST = 1 << 27
"""Numbers of one prepared image: 512 x 512 x 512 voxels."""
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
    arithmetic: Literal[1, 2, 3] = 3
    """3: pixels stored as integers are so again once they lie on the grid, rounded; 2: they were not, in models of the
    first half of 0.2; 1: as medeor 0.1 prepared images, by numbers of pixels and cut at the percentiles."""

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


def prepare_one(pixels: np.ndarray, preparation: Preparation, spacing: Sequence[float] | None = None) -> Prepared:
    """One image of shape (channels, *sides), prepared.

    Args:
        spacing: millimetres between neighbours along each axis; None where they are not known.

    Raises: UserError where flat images are asked of a volume or the other way round, or other channels."""
    _check(pixels.shape, preparation)
    out = pixels.astype(np.float32, copy=False)
    out = np.nan_to_num(out, nan=float(np.nanmin(out)) if np.isfinite(out).any() else 0.0, copy=False)
    old, bytes_stored = preparation.arithmetic == 1, pixels.dtype == np.uint8
    out, units = _as_in_0_1(out, bytes_stored, preparation) if old else _to_unit(out, bytes_stored, preparation)
    if preparation.denoise != "none" or preparation.enhance != "none":
        out = np.stack([_enhanced(channel, preparation) for channel in out])
    darkest = [float(out.min())] * len(out) if old or bytes_stored else [max(float(c.min()), -1.0) for c in out]
    out = _on_grid(out, preparation, spacing, darkest)
    scales = np.tile(np.array([0, 1, 0, 1], np.float32), (len(out), 1))
    if preparation.arithmetic < 3:
        out = _standardised_alone(out, preparation)
    else:
        if np.issubdtype(pixels.dtype, np.integer) and pixels.dtype.itemsize <= 2:
            shape, limits = (-1, *[1] * (out.ndim - 1)), np.iinfo(pixels.dtype)
            levels = np.rint(out * units[:, 1].reshape(shape) + units[:, 0].reshape(shape))
            out = np.clip(levels, limits.min, limits.max).astype(pixels.dtype)
            scales[:, :2] = units
        flat = out.reshape(len(out), -1)
        scales[:, 2] = flat.mean(1, dtype=np.float64)
        scales[:, 3] = np.maximum(flat.std(1, dtype=np.float64), 1e-6 * scales[:, 1])
    shape = (preparation.channels, *out.shape[1:])
    return Prepared(np.broadcast_to(out, shape), np.broadcast_to(scales, (preparation.channels, 4)))


class Prepared(NamedTuple):
    """An image on the grid of a network, in the numbers that it was stored in."""

    pixels: np.ndarray
    """Shape (channels, *size): integers of up to 16 bits stay what they were, rounded once; others are float32."""
    scales: np.ndarray
    """Shape (channels, 4), float32: what to subtract from the pixels and what to divide them by so that they run from 0
    to 1; and so that they have mean 0 and standard deviation 1."""

    def values(self, preparation: Preparation) -> np.ndarray:
        """The image at its scale, shape (channels, *size), float32."""
        low, span = chosen_scales(self.scales, preparation).T.reshape(2, -1, *[1] * (self.pixels.ndim - 1))
        return (self.pixels.astype(np.float32) - low) / span


def chosen_scales(scales: np.ndarray, preparation: Preparation) -> np.ndarray:
    """Of `Prepared.scales` those that each channel takes, shape (..., channels, 2)."""
    first = np.array([2 if one == "image" else 0 for one in preparation.intensities])
    return np.stack([scales[..., np.arange(len(first)), first + place] for place in (0, 1)], axis=-1)


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


def _standardised_alone(out: np.ndarray, preparation: Preparation) -> np.ndarray:
    """Each channel that is to be standardised by itself at mean 0 and standard deviation 1."""
    each = [one == "image" for one in preparation.intensities[: len(out)]]
    if not any(each):
        return out
    alike = standardised(torch.from_numpy(out)[None])[0].numpy()
    return alike if all(each) else np.where(np.reshape(each, (-1, *[1] * (out.ndim - 1))), alike, out)


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


def _to_unit(out: np.ndarray, bytes_stored: bool, preparation: Preparation) -> tuple[np.ndarray, np.ndarray]:
    """Each channel by its own numbers: 0 to 1 over its window, over what a byte can hold, or over its percentiles; and
    what 0 was in it and how far from it 1, shape (channels, 2)."""
    channels, units = [], []
    for channel, intensity, window in zip(out, preparation.intensities, preparation.windows):
        low, span = 0.0, 255.0
        if intensity == "window":
            low, span = window[0], max(window[1] - window[0], 1e-6)
            unit = np.clip((channel - low) / span, 0, 1)
        elif bytes_stored:
            unit = channel / 255
        else:
            low, span = _by_percentiles(channel)
            unit = _without_faults((channel - low) / span)
        channels.append(unit)
        units.append((low, span))
    return np.stack(channels), np.array(units, np.float32)


def _by_percentiles(channel: np.ndarray) -> tuple[float, float]:
    """0 to 1 from the 0.5th to the 99.5th percentile, or from 0 where that is a natural bottom, as in 8 bits."""
    low, high = (float(v) for v in np.percentile(channel, [0.5, 99.5]))
    if channel.min() >= 0 and low <= high / 2:
        low = 0.0
    if high <= low:
        low, high = float(channel.min()), float(channel.max())
    return low, (high - low) or 1.0


def _without_faults(unit: np.ndarray) -> np.ndarray:
    """What lies beyond 0 and 1 stays, as small findings do; but a few pixels far beyond all others are the detector's,
    and are cut so that they do not set the scale."""
    if unit.size <= 2 * FEW:
        return unit
    ordered = np.partition(unit, (FEW - 1, unit.size - FEW), axis=None)
    lowest, highest = float(ordered[FEW - 1]), float(ordered[-FEW])
    return np.clip(unit, max(min(lowest, -FAR), -HIGHEST), min(max(highest, FAR), HIGHEST))


def _as_in_0_1(out: np.ndarray, bytes_stored: bool, preparation: Preparation) -> tuple[np.ndarray, np.ndarray]:
    if preparation.intensity == "window":
        low, high = preparation.windows[0]
    elif bytes_stored:
        low, high = 0.0, 255.0
    else:
        low, high = (float(v) for v in np.percentile(out, [0.5, 99.5]))
    span = max(high - low, 1e-6)
    return np.clip((out - low) / span, 0, 1), np.tile(np.array([low, span], np.float32), (len(out), 1))


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
