"""What all simulated images share: places in the body, soft edges, smooth noise, lesions, and the scanner at the end.

Lengths are in half-widths of the image: -1 is its left or upper border, 1 the right or lower one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy import ndimage

Array = np.ndarray


class Pose(NamedTuple):
    """How the body lies in each image, each of shape (n,)."""

    right: Array
    down: Array
    turn: Array
    """Radians."""
    zoom: Array

    @classmethod
    def draw(cls, rng: np.random.Generator, zoom: Array) -> Pose:
        """Positioning differs a little from image to image; `zoom` (n,) is the scanner's own."""
        n = len(zoom)
        right, down = rng.normal(0, 0.035, (2, n))
        return cls(right, down, rng.normal(0, 0.035, n), zoom * rng.normal(1, 0.025, n))


@dataclass(frozen=True)
class Lesions:
    """What is to be seen, or not, in each of n images."""

    present: Array
    """Shape (n,), bool."""
    place: Array
    """Shape (n, 3), 0 to 1: where among the places at which it may lie."""
    radius: Array
    """Shape (n,)."""
    contrast: Array
    """Shape (n,): conspicuity; 1 is plain to see."""
    lobes: Array
    """Shape (n, 3): how the outline departs from a circle, in 2, 3 and 5 lobes."""
    phase: Array
    """Shape (n, 3), radians: where the lobes point."""


class SimulatedImages(NamedTuple):
    """Images before the scanner."""

    pixels: Array
    """Shape (n, *size), float32, 0 to 1."""
    masks: Array
    """Shape (n, *size), bool: the lesion."""


@dataclass(frozen=True)
class Scanner:
    """What a site does to its images."""

    gain: float = 1.0
    gamma: float = 1.0
    noise: float = 0.02
    """Standard deviation, of a range of 1."""
    blur: float = 0.0
    """Standard deviation in hundredths of the image's side."""
    vignetting: float = 0.1
    """Share of brightness lost in the corners."""
    border: float = 0.0
    """Collimated (black) margin, as a share of the side."""
    zoom: float = 1.0
    margin: int = 0
    """Black pixels that the site adds on every side of its files, so that their sizes differ between sites."""


SCANNERS = (
    Scanner(noise=0.015, vignetting=0.08),
    Scanner(gain=1.1, gamma=0.85, noise=0.03, blur=0.5, zoom=1.06, margin=2),
    Scanner(gain=0.9, gamma=1.2, noise=0.022, blur=0.9, vignetting=0.2, border=0.03, zoom=0.95, margin=4),
    Scanner(gain=1.0, gamma=1.05, noise=0.04, border=0.015, zoom=1.02),
)


def scan(pixels: Array, site: Array, scanners: tuple[Scanner, ...], rng: np.random.Generator) -> Array:
    """Images (n, *size) as the scanners of their sites (n,) record them: uint8."""
    sides = pixels.shape[1:]
    far = np.sqrt(sum(axis**2 for axis in axes_of(sides)) / len(sides))
    inside = reduce(np.maximum, [np.abs(axis) for axis in axes_of(sides)])
    result = np.empty(pixels.shape, np.uint8)
    for number, scanner in enumerate(scanners):
        mine = site == number
        seen = pixels[mine]
        if scanner.blur:
            width = scanner.blur * max(sides) / 100
            seen = ndimage.gaussian_filter(seen, (0, *(width,) * len(sides)))
        exposure = rng.normal(1, 0.04, (len(seen),) + (1,) * len(sides))
        seen = scanner.gain * exposure * np.clip(seen, 0, None) ** scanner.gamma
        seen = seen * (1 - scanner.vignetting * far**2)
        # Fewer photons, relatively more noise: its spread grows with the square root of the signal.
        seen = seen + scanner.noise * np.sqrt(0.3 + seen) * rng.standard_normal(seen.shape, np.float32)
        seen = np.where(inside > 1 - 2 * scanner.border, 0, seen)
        result[mine] = np.clip(np.rint(255 * seen), 0, 255)
    return result


def axes_of(size: tuple[int, ...]) -> list[Array]:
    """Coordinates of the pixel centres along each axis, ready to broadcast over one image."""
    lines = [((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1) for side in size]
    return list(np.meshgrid(*lines, indexing="ij", sparse=True))


def place_in_body(size: tuple[int, int], pose: Pose) -> tuple[Array, Array]:
    """For every pixel of n images the place in the body that it shows: x and y, each (n, height, width)."""
    y, x = axes_of(size)
    x, y = x[None] - each(pose.right, 2), y[None] - each(pose.down, 2)
    cos, sin = each(np.cos(pose.turn), 2), each(np.sin(pose.turn), 2)
    zoom = each(pose.zoom, 2)
    return (x * cos + y * sin) / zoom, (y * cos - x * sin) / zoom


def each(values: Array, dimensions: int) -> Array:
    """Values (n,) ready to broadcast over n images."""
    return values.reshape(-1, *(1,) * dimensions).astype(np.float32)


def step(distance: Array, width: float) -> Array:
    """A soft edge: 0 well outside (negative distance), 1 well inside, half at the edge."""
    return 0.5 + 0.5 * np.tanh(distance / width)


def bump(distance: Array, width: float | Array) -> Array:
    """A soft ridge of height 1 where the distance is 0."""
    return np.exp(-0.5 * (distance / width) ** 2)


def smooth_noise(rng: np.random.Generator, n: int, size: tuple[int, ...], width: float | tuple[float, ...]) -> Array:
    """Fields (n, *size) of mean 0 and standard deviation 1, correlated over `width` (in half-widths)."""
    widths = width if isinstance(width, tuple) else (width,) * len(size)
    field = rng.standard_normal((n, *size), np.float32)
    field = ndimage.gaussian_filter(field, (0, *(w * s / 2 for w, s in zip(widths, size))), mode="wrap")
    return field / (field.std() + 1e-12)


def outline(lesions: Lesions, dx: Array, dy: Array, stretch: float = 1.0) -> Array:
    """Distance from the lesion's edge, positive inside, for the offsets (n, h, w) from its centre. A `stretch` above 1
    makes it wider than tall."""
    dy = dy * stretch
    angle = np.arctan2(dy, dx)
    radius = each(lesions.radius, 2)
    edge = np.ones_like(angle)
    for lobe, count in enumerate((2, 3, 5)):
        edge += each(lesions.lobes[:, lobe], 2) * np.cos(count * angle + each(lesions.phase[:, lobe], 2))
    return radius * edge - np.hypot(dx, dy)
