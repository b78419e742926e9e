"""Frontal chest X-rays, drawn as the sum of what the beam passes: chest wall, lungs, heart, ribs, vessels, a nodule."""

from __future__ import annotations

import numpy as np

from medeor.simulate.images import (
    Array,
    Lesions,
    Pose,
    SimulatedImages,
    bump,
    each,
    outline,
    place_in_body,
    smooth_noise,
    step,
)

TRAITS = 10
"""Standard normal numbers that make one person differ from another."""
RADIUS = (0.11, 0.24)
"""Of a nodule, in half-widths."""


def draw(
    traits: Array, patient: Array, pose: Pose, lesions: Lesions, size: tuple[int, int], seed: list[int]
) -> SimulatedImages:
    """Chest X-rays of the patients (n,) with these traits (patients, `TRAITS`)."""
    own = traits[patient]
    x, y = place_in_body(size, pose)
    # The anatomy belongs to the patient: all images of one show the same vessels and the same soft tissue.
    person = np.random.default_rng([*seed, 1])
    tissue = smooth_noise(person, len(traits), size, 0.16)[patient]
    branching = smooth_noise(person, len(traits), size, 0.055)[patient]
    grain = smooth_noise(np.random.default_rng([*seed, 2]), len(patient), size, 0.03)

    wide, tall, heart_size, dome, slope, spacing, dense, fat, shoulder, rib = (
        each(np.clip(own[:, k], -2.2, 2.2), 2) for k in range(TRAITS)
    )
    x = x / (1 + 0.05 * wide)
    y = y / (1 + 0.05 * tall)
    side = np.abs(x)

    heart = _heart(x, y, heart_size)
    lungs = _lungs(x, y, dome) * (1 - 0.72 * heart)
    chest = step(0.93 + 0.03 * fat - 0.12 * np.clip(y, 0, None) ** 2 - side, 0.03)
    shoulders = step(y + 0.99 - 0.62 * np.clip(side - 0.2, 0, None) ** 1.4 + 0.04 * shoulder, 0.04)
    body = chest * shoulders * (1 - 0.9 * step(-0.8 - y, 0.03) * step(side - 0.26, 0.04) * step(side - 0.9 - y, 0.1))

    shadow = 0.56 + 0.03 * fat + 0.02 * tissue
    shadow = shadow - (0.44 + 0.02 * dense) * lungs
    shadow = shadow + 0.10 * step(y - 0.45, 0.25) * lungs
    middle = bump(x, 0.13 + 0.03 * step(y, 0.3))
    shadow = shadow + 0.2 * np.maximum(middle, 0.75 * heart)
    shadow = shadow + 0.05 * bump(x, 0.09) * (1 + np.cos(2 * np.pi * y / 0.15) * bump(x, 0.08))
    shadow = shadow - 0.17 * bump(x - 0.015, 0.05) * step(-0.22 - y, 0.12)
    shadow = shadow + _bones(x, y, side, slope, spacing, rib, lungs)
    shadow = shadow + _vessels(x, y, side, branching, lungs)
    shadow = shadow + 0.1 * step(y - _dome(x, dome) - 0.02, 0.03) * (1 - lungs) * (1 - 0.6 * middle)
    shadow = shadow + 0.012 * grain

    inside = outline(lesions, *_from_centre(x, y, lesions))
    seen = each(lesions.present * lesions.contrast, 2)
    shadow = shadow + 0.42 * seen * step(inside, 0.02)
    masks = (inside > 0) & each(lesions.present, 2).astype(bool)
    return SimulatedImages(np.clip(shadow * body + 0.02, 0, 1).astype(np.float32), masks)


def _dome(x: Array, dome: Array) -> Array:
    """Height of the diaphragm; the liver lifts the patient's right side, on the left of the image."""
    side = np.abs(x)
    return 0.50 + 0.03 * dome - 0.05 * (x < 0) + 0.9 * np.clip(side - 0.36, 0, None) ** 2 + 0.15 * (side - 0.36) ** 2


def _lungs(x: Array, y: Array, dome: Array) -> Array:
    """1 in the lung fields: narrow at the apex, wide at the base."""
    side = np.abs(x)
    down = np.clip((y + 0.82) / 1.35, 0, 1)
    outer = 0.36 + 0.42 * np.sin(0.5 * np.pi * np.sqrt(down)) ** 1.2
    inner = 0.11 + 0.05 * bump(y + 0.02, 0.2)
    apex = -0.84 + 1.5 * (side - 0.3) ** 2
    return step(outer - side, 0.025) * step(side - inner, 0.03) * step(_dome(x, dome) - y, 0.025) * step(y - apex, 0.03)


def _heart(x: Array, y: Array, heart_size: Array) -> Array:
    """1 in the heart, which lies to the right of the image, and half that in the knob of the aorta."""
    large = 1 + 0.1 * heart_size
    across, down = (x - 0.15) / (0.34 * large), (y - 0.30) / (0.33 * large)
    heart = step(1 - np.hypot(across - 0.3 * down, down), 0.1)
    right = step(1 - np.hypot((x + 0.08) / 0.17, (y - 0.25) / 0.27), 0.15)
    knob = step(1 - np.hypot((x - 0.13) / 0.11, (y + 0.32) / 0.11), 0.2)
    return np.maximum.reduce([heart, 0.8 * right, 0.5 * knob])


def _bones(x: Array, y: Array, side: Array, slope: Array, spacing: Array, rib: Array, lungs: Array) -> Array:
    """Ribs (posterior ones falling outwards, anterior ones rising), and the collar bones."""
    gap = 0.2 + 0.012 * spacing
    fall = 0.30 + 0.06 * slope
    posterior = 0.5 + 0.5 * np.cos(2 * np.pi * (y - fall * side**1.5 + 0.02 * rib) / gap)
    anterior = 0.5 + 0.5 * np.cos(2 * np.pi * (y + 0.75 * np.clip(side - 0.3, 0, None) + 0.03 * rib) / (1.15 * gap))
    cage = step(0.86 - side, 0.05) * (0.35 + 0.65 * lungs) * step(side - 0.1, 0.05) * step(y + 0.85, 0.05)
    ribs = cage * (0.10 * posterior**3 * step(0.55 - y, 0.1) + 0.06 * anterior**4 * step(side - 0.35, 0.1))
    height = -0.62 - 0.18 * (side - 0.1) / 0.6 + 0.05 * np.sin(4 * side) + 0.012 * slope
    collar = 0.13 * bump(y - height, 0.032) * step(side - 0.08, 0.03) * step(0.8 - side, 0.05)
    return ribs + collar


def _vessels(x: Array, y: Array, side: Array, branching: Array, lungs: Array) -> Array:
    """The hila and what branches from them, fading towards the edge of the lung."""
    distance = np.hypot((side - 0.2) / 0.5, (y + 0.02) / 0.62)
    branches = np.clip(1 - np.abs(branching) / 0.35, 0, None) * np.exp(-1.6 * distance)
    hila = bump(np.hypot((side - 0.2) / 0.8, (y + 0.02 + 0.05 * np.sign(x)) / 1.3), 0.075)
    return lungs * (0.16 * branches + 0.14 * hila)


def _from_centre(x: Array, y: Array, lesions: Lesions) -> tuple[Array, Array]:
    """Offsets from the lesion's centre, which lies in a lung field, clear of the heart and of the edge."""
    first, second = lesions.place[:, 0], lesions.place[:, 1]
    left = first < 0.55  # the left half of the image has the larger field: no heart in it
    along = np.where(left, first / 0.55, (first - 0.55) / 0.45)
    low = np.where(left, 0.36, 0.0)
    cy = -0.5 + (low + 0.5) * second
    span = 0.42 + 0.2 * np.clip((cy + 0.5) / 0.6, 0, 1)
    cx = np.where(left, -1, 1) * (0.27 + (span - 0.27) * along)
    return x - each(cx, 2), y - each(cy, 2)
