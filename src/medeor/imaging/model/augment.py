"""Random changes of images while training: drawn per case, then applied to a whole batch at once on its device.

Sampling the parameters is apart from applying them. They are keyed by (seed, epoch, case): see
`learning.networks.keyed`. All spatial steps fold into one affine map and so into one resampling.

    keys = case_keys(seed=0, epoch=3, cases=torch.tensor([17, 4]))
    images = apply(images, sample_params(Augmentation(rotation=(-10, 10)), keys, dimensions=2))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from medeor.contracts import UserError
from medeor.learning.networks.keyed import normal, uniform

Range = float | tuple[float, float]
"""A scalar is fixed, a pair is a range."""

AXES: tuple[Literal["depth", "height", "width"], ...] = ("depth", "height", "width")
"""Of a volume, in array order."""

Interpolation = Literal["bilinear", "nearest"]


@dataclass(frozen=True)
class Augmentation:
    """What may happen to an image. The defaults change nothing; a scalar is fixed, a pair `(low, high)` is a range.

    Ranges of factors (`scale`, `stretch`, `contrast`, `gamma`) are drawn evenly in their logarithm, so that
    `(1 / 1.2, 1.2)` enlarges as often as it shrinks; all others evenly. Intensities are in the units of the images
    as given: standard deviations if they have been standardised.
    """

    rotation: Range = 0.0
    """Degrees in the plane of the last two axes; positive is counter-clockwise as displayed, like `torch.rot90`."""
    tilt: Range = 0.0
    """Degrees in each of the two planes that hold the first axis of a volume; drawn anew for each plane."""
    scale: Range = 1.0
    """Enlargement of the content, alike along all axes."""
    stretch: Range = 1.0
    """Enlargement along each axis, drawn anew for each."""
    translation: Range = 0.0
    """Shift along each axis as a fraction of the side, drawn anew for each."""
    shear: Range = 0.0
    """Degrees by which the last axis leans along the one before it."""
    flips: tuple[float, ...] = ()
    """Probability of a mirror image along each axis, in the order of the axes; empty for none."""
    brightness: Range = 0.0
    """Added to the image."""
    contrast: Range = 1.0
    """Factor on the distance from the image's mean."""
    gamma: Range = 1.0
    """Exponent on the image rescaled to 0..1 between its own minimum and maximum; above 1 darkens."""
    curve: Range = 0.0
    """Strength, -1 to 1, of an S-shaped change of the same rescaled image; above 0 widens the middle grey values."""
    slope: Range = 0.0
    """Brightness gained from one end of each axis to the other, drawn anew for each axis: uneven exposure."""
    blur: Range = 0.0
    """Standard deviation of a Gaussian, in pixels."""
    noise: Range = 0.0
    """Standard deviation of Gaussian noise."""
    erase: Range = 0.0
    """Side of a box, as a fraction of the image's sides, that is replaced by the image's mean."""
    slices: Literal["", "depth", "height", "width"] = ""
    """The axis along which a volume has thick slices: it is turned, scaled and shifted within these alone, as nothing
    can be interpolated between them. Empty: along all axes."""

    def __post_init__(self) -> None:
        for name in _ranges(self):
            low, high = _bounds(getattr(self, name))
            if not low <= high:
                raise UserError("imaging.augmentation.order", name=name, low=low, high=high)
            floor, ceiling = _LIMITS.get(name, (-math.inf, math.inf))
            if low < floor or high > ceiling or (name in _FACTORS and low == 0):
                raise UserError("imaging.augmentation.range", name=name, low=low, high=high, limits=(floor, ceiling))
        if not all(0 <= probability <= 1 for probability in self.flips):
            raise UserError("imaging.augmentation.flips", flips=self.flips)


# The place of a name in this tuple is its counter in the hash: append, never reorder, or old runs draw anew.
_COUNTERS = (
    "rotation", "tilt", "scale", "stretch", "translation", "shear", "flips", "brightness", "contrast", "gamma",
    "curve", "slope", "blur", "noise", "erase", "place",
)  # fmt: skip
_FACTORS = {"scale", "stretch", "contrast", "gamma"}
_LIMITS = {
    **dict.fromkeys(_FACTORS, (0.0, math.inf)),
    "shear": (-80.0, 80.0),
    "curve": (-1.0, 1.0),
    "blur": (0.0, math.inf),
    "noise": (0.0, math.inf),
    "erase": (0.0, 1.0),
}


def _ranges(augmentation: Augmentation) -> list[str]:
    return [field.name for field in fields(augmentation) if field.name not in ("flips", "slices")]


def _bounds(value: Range) -> tuple[float, float]:
    return (value, value) if isinstance(value, int | float) else (value[0], value[1])


# Drawing -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AugmentationParams:
    """What happens to each image of one batch of n; `None` where nothing does."""

    keys: Tensor
    """`(n,)`; the noise of each pixel is hashed from them."""
    matrix: Tensor | None = None
    """`(n, d, d)`, from an output position to the input position it shows, about the centre, axes in array order."""
    shift: Tensor | None = None
    """`(n, d)`, added to that input position; fractions of the sides. Present where `matrix` is."""
    flips: Tensor | None = None
    """`(n, d)`, true where mirrored, as far as `matrix` does not hold the flips too."""
    brightness: Tensor | None = None
    """`(n, 1)`."""
    contrast: Tensor | None = None
    """`(n, 1)`."""
    gamma: Tensor | None = None
    """`(n, 1)`."""
    curve: Tensor | None = None
    """`(n, 1)`."""
    slope: Tensor | None = None
    """`(n, d)`."""
    blur: Tensor | None = None
    """`(n, 1)`, in pixels."""
    noise: Tensor | None = None
    """`(n, 1)`."""
    box: Tensor | None = None
    """`(n, 2, d)`: first and last position of the erased box along each axis, as fractions of the sides."""
    across: int | None = None
    """The axis of a volume that `matrix` and `shift` leave out, as each of its slices is moved by itself."""


def each(drawn: AugmentationParams, what: Tensor | torch.device) -> AugmentationParams:
    """Some rows of a draw, or all of it on another device."""

    def change(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value[what] if isinstance(what, Tensor) else value.to(what, non_blocking=True)

    values: dict[str, Any] = {field.name: getattr(drawn, field.name) for field in fields(drawn)}
    return replace(drawn, **{name: change(value) for name, value in values.items() if value is not None})


def sample_params(augmentation: Augmentation, keys: Tensor, dimensions: int) -> AugmentationParams:
    """What `augmentation` does to each of the cases behind `keys` (see `case_keys`), for 2-D or 3-D images."""

    def chance(name: str, count: int = 1) -> Tensor:
        return uniform(keys, _COUNTERS.index(name), count)

    def value(name: str, count: int = 1) -> Tensor | None:
        low, high = _bounds(getattr(augmentation, name))
        if low == high == (1.0 if name in _FACTORS else 0.0):
            return None
        if name in _FACTORS:
            return torch.exp(math.log(low) + (math.log(high) - math.log(low)) * chance(name, count))
        return low + (high - low) * chance(name, count)

    flips = None
    if any(augmentation.flips):
        if len(augmentation.flips) != dimensions:
            raise UserError("imaging.augmentation.axes", count=len(augmentation.flips), dimensions=dimensions)
        flips = chance("flips", dimensions) < torch.tensor(augmentation.flips, device=keys.device)
    across = AXES.index(augmentation.slices) if augmentation.slices and dimensions == 3 else None
    axes = [axis for axis in range(dimensions) if axis != across]
    shift, stretch = value("translation", dimensions), value("stretch", dimensions)
    matrix = _matrix(
        len(axes),
        rotation=value("rotation"),
        tilt=value("tilt", 2) if len(axes) == 3 else None,
        scale=value("scale"),
        stretch=None if stretch is None else stretch[:, axes],
        shear=value("shear"),
    )
    if matrix is not None or shift is not None:
        if matrix is None:
            matrix = torch.eye(len(axes), device=keys.device).repeat(len(keys), 1, 1)
        if shift is None:
            shift = torch.zeros(len(keys), dimensions, device=keys.device)
        shift = -shift[:, axes]  # the output shows what lay that much before
        if flips is not None:
            sign = 1.0 - 2.0 * flips[:, axes]
            matrix, shift = sign[:, :, None] * matrix, sign * shift
            left = [axis == across for axis in range(dimensions)]
            flips = flips & torch.tensor(left, device=keys.device) if across is not None else None

    box = None
    side = value("erase")
    if side is not None:
        first = chance("place", dimensions) * (1 - side)
        box = torch.stack([first, first + side], dim=1)
    return AugmentationParams(
        keys=keys,
        matrix=matrix,
        shift=shift,
        flips=flips,
        brightness=value("brightness"),
        contrast=value("contrast"),
        gamma=value("gamma"),
        curve=value("curve"),
        slope=value("slope", dimensions),
        blur=value("blur"),
        noise=value("noise"),
        box=box,
        across=across,
    )


def _matrix(
    dimensions: int,
    *,
    rotation: Tensor | None,
    tilt: Tensor | None,
    scale: Tensor | None,
    stretch: Tensor | None,
    shear: Tensor | None,
) -> Tensor | None:
    """The maps `(n, d, d)` from output to input position: each step is the inverse of what it does to the content."""
    steps: list[Tensor] = []
    if rotation is not None:
        steps.append(_turn(rotation[:, 0], dimensions, dimensions - 2, dimensions - 1))
    if tilt is not None:
        steps += [_turn(tilt[:, 0], dimensions, 0, 1), _turn(tilt[:, 1], dimensions, 0, 2)]
    if shear is not None:
        lean = torch.eye(dimensions, device=shear.device).repeat(len(shear), 1, 1)
        lean[:, -1, -2] = -torch.tan(torch.deg2rad(shear[:, 0]))
        steps.append(lean)
    if stretch is not None:
        steps.append(torch.diag_embed(1 / stretch))
    if scale is not None:
        steps.append(torch.diag_embed((1 / scale).expand(-1, dimensions)))
    if not steps:
        return None
    matrix = steps[0]
    for step in steps[1:]:
        matrix = matrix @ step
    return matrix


def _turn(degrees: Tensor, dimensions: int, first: int, second: int) -> Tensor:
    """Rotations `(n, d, d)` of the content from axis `second` towards axis `first`, as maps from output to input."""
    sine, cosine = torch.sin(torch.deg2rad(degrees)), torch.cos(torch.deg2rad(degrees))
    turn = torch.eye(dimensions, device=degrees.device).repeat(len(degrees), 1, 1)
    turn[:, first, first], turn[:, first, second] = cosine, sine
    turn[:, second, first], turn[:, second, second] = -sine, cosine
    return turn


# Applying ------------------------------------------------------------------------------------------------------------


def apply(images: Tensor, drawn: AugmentationParams, spacing: Sequence[float] | None = None) -> Tensor:
    """The images `(n, channels, *size)`, moved and then shaded as drawn; the input is left as it is."""
    return shade(move(images, drawn, spacing), drawn)


def move(
    images: Tensor,
    drawn: AugmentationParams,
    spacing: Sequence[float] | None = None,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """The spatial part of a draw. Beyond the border the nearest pixel is repeated.

    Args:
        images: `(n, channels, *size)`; also masks, with `interpolation="nearest"`.
        drawn: what to do.
        spacing: distance between pixels along each axis, in any unit, so that a turn of a volume with thick slices
            stays a turn; alike along all axes by default.
        interpolation: `bilinear` (trilinear in 3-D) or `nearest`.
    """
    if drawn.flips is not None:
        for axis, flip in enumerate(drawn.flips.unbind(1)):
            images = torch.where(_like(flip, images), images.flip(axis + 2), images)
    if drawn.matrix is None or drawn.shift is None:
        return images
    if drawn.across is not None:
        moved = images.movedim(drawn.across + 2, 2)
        within = None if spacing is None else [*spacing[: drawn.across], *spacing[drawn.across + 1 :]]
        slices = move(moved.flatten(1, 2), replace(drawn, flips=None, across=None), within, interpolation)
        return slices.view(moved.shape).movedim(2, drawn.across + 2)
    # `grid_sample` counts positions from -1 to 1 across each side and lists the axes from last to first.
    size = torch.tensor(images.shape[2:], dtype=torch.float32)
    half = (size * torch.tensor(spacing or [1.0] * len(size)) / 2).to(images.device)
    matrix = drawn.matrix * half / half[:, None]
    theta = torch.cat([matrix.flip(1, 2), 2 * drawn.shift.flip(1)[:, :, None]], dim=2)
    grid = _grid(theta, images.shape[2:])
    return functional.grid_sample(
        images, grid.to(images.dtype), mode=interpolation, padding_mode="border", align_corners=False
    )


def _grid(theta: Tensor, size: Sequence[int]) -> Tensor:
    """`functional.affine_grid` as one product of matrices instead of one an image: an eighth of the time on a CPU."""
    axes = [(torch.arange(side, device=theta.device) * 2 + 1) / side - 1 for side in size]
    ones = torch.ones(*size, device=theta.device)
    places = torch.stack([*reversed(torch.meshgrid(*axes, indexing="ij")), ones])
    grid = theta.reshape(-1, len(size) + 1) @ places.flatten(1)
    return grid.view(len(theta), len(size), *size).movedim(1, -1)


def shade(images: Tensor, drawn: AugmentationParams) -> Tensor:
    """The part of a draw that changes grey values: blur, tone curve, contrast, brightness, slope, noise and box."""
    space = tuple(range(1, images.ndim))
    if drawn.blur is not None:
        images = _blurred(images, drawn.blur[:, 0])
    if drawn.gamma is not None or drawn.curve is not None:
        low, high = images.amin(space, keepdim=True), images.amax(space, keepdim=True)
        grey = (images - low) / (high - low).clamp_min(1e-12)
        if drawn.gamma is not None:
            grey = grey ** _like(drawn.gamma, images)
        if drawn.curve is not None:
            # Monotone for strengths up to 1: the slope is 1 - strength * cos(2 pi grey).
            grey = grey - _like(drawn.curve, images) / (2 * math.pi) * torch.sin(2 * math.pi * grey)
        images = low + (high - low) * grey
    if drawn.contrast is not None:
        mean = images.mean(space, keepdim=True)
        images = mean + (images - mean) * _like(drawn.contrast, images)
    if drawn.brightness is not None:
        images = images + _like(drawn.brightness, images)
    if drawn.slope is not None:
        for axis, gain in enumerate(drawn.slope.unbind(1)):
            ramp = _along(torch.linspace(-0.5, 0.5, images.shape[axis + 2], device=images.device), axis, images)
            images = images + _like(gain, images) * ramp
    if drawn.noise is not None:
        grain = normal(drawn.keys, _COUNTERS.index("noise") + (1 << 10), images[0].numel())
        images = images + _like(drawn.noise, images) * grain.to(images.dtype).reshape(images.shape)
    if drawn.box is not None:
        images = torch.where(_inside(drawn.box, images), images.mean(space, keepdim=True), images)
    return images


def _like(values: Tensor, images: Tensor) -> Tensor:
    """One value per image, shaped to act on the images."""
    values = values if values.dtype == torch.bool else values.to(images.dtype)
    return values.reshape(-1, *[1] * (images.ndim - 1))


def _along(values: Tensor, axis: int, images: Tensor) -> Tensor:
    """One value per position of a spatial axis, or one row of them per image, shaped to act on the images."""
    shape = [1] * images.ndim
    shape[0], shape[axis + 2] = -1, images.shape[axis + 2]
    return values.reshape(shape)


def _inside(box: Tensor, images: Tensor) -> Tensor:
    """True `(n, 1, *size)` for the pixels whose centre lies in the box of their image."""
    inside = torch.ones((), dtype=torch.bool, device=images.device)
    for axis, side in enumerate(images.shape[2:]):
        centre = (torch.arange(side, device=images.device) + 0.5) / side
        within = (centre >= box[:, :1, axis]) & (centre < box[:, 1:, axis])
        inside = inside & _along(within, axis, images)
    return inside


def _blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Each image smoothed by a Gaussian of its own width, axis by axis, cut off beyond three standard deviations."""
    reaches = torch.ceil(3 * sigma)[:, None]
    span = int(reaches.max())
    offsets = torch.arange(-span, span + 1, device=images.device)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-3)[:, None]) ** 2) * (offsets.abs() <= reaches)
    weights = (weights / weights.sum(1, keepdim=True)).to(images.dtype)
    for axis in range(2, images.ndim):
        side = images.shape[axis]
        index = (torch.arange(-span, side + span, device=images.device)).clamp(0, side - 1)
        padded = images.index_select(axis, index)
        images = sum(
            (_like(weights[:, k], images) * padded.narrow(axis, k, side) for k in range(len(offsets))),
            start=torch.zeros_like(images),
        )
    return images
