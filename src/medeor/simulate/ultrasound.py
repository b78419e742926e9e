"""Breast ultrasound from a linear probe: skin, fat, glandular tissue, muscle and chest wall under speckle, with an
irregular dark lesion and the shadow behind it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

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

TRAITS = 6
"""Standard normal numbers that make one person differ from another."""
RADIUS = (0.13, 0.3)
"""Of a lesion, in half-widths."""
DYNAMIC_RANGE = 55.0
"""Decibels from black to white."""


def draw(
    traits: Array, patient: Array, pose: Pose, lesions: Lesions, size: tuple[int, int], seed: list[int]
) -> SimulatedImages:
    """Ultrasound images of the patients (n,) with these traits (patients, `TRAITS`)."""
    own = traits[patient]
    # The probe lies on the skin: nothing moves up or down, and nothing turns much.
    x, y = place_in_body(size, pose._replace(down=0 * pose.down, turn=0.5 * pose.turn))
    person = np.random.default_rng([*seed, 1])
    waves = smooth_noise(person, len(traits), size, (0.5, 0.28))[patient]
    lobules = smooth_noise(person, len(traits), size, (0.07, 0.16))[patient]
    streaks = smooth_noise(person, len(traits), size, (0.035, 0.35))[patient]
    image = np.random.default_rng([*seed, 2])

    fat, gland, muscle, bright, deep, dense = (each(np.clip(own[:, k], -2, 2), 2) for k in range(TRAITS))
    depth = (y + 1) / 2
    below_fat = depth - (0.26 + 0.05 * fat) - 0.035 * waves
    below_gland = depth - (0.68 + 0.04 * gland) - 0.03 * waves
    below_muscle = depth - (0.88 + 0.03 * muscle) - 0.015 * waves

    # Echo strength in decibels below white.
    level = -34 - 2 * lobules + 9 * bump(np.abs(lobules) - 1.0, 0.16)
    level = level + (11 + 2 * bright + 3.5 * lobules + 2 * streaks) * step(below_fat, 0.015)
    level = level + (-12 + 5 * streaks - 3.5 * lobules) * step(below_gland, 0.015)
    level = level + 9 * bump(below_gland, 0.012) + 6 * bump(below_fat, 0.012)
    level = level + 13 * bump(below_muscle, 0.014) - 16 * step(below_muscle - 0.03, 0.02)
    level = level + 14 * bump(depth - 0.015, 0.016) + 9 * bump(depth - 0.06, 0.01) - 4 * bump(depth - 0.038, 0.01)
    level = level - (4 + 2 * deep) * depth
    # Faint shadows of ligaments and of poor contact, straight down from the skin.
    level = level - 2.5 * np.clip(np.sin(5.3 * x + 3 * dense) + 0.4 * np.sin(11 * x - 5 * dense), 0, None) * depth

    inside = outline(lesions, *(offsets := _from_centre(x, y, lesions, fat)), stretch=1.25)
    seen = each(lesions.present * lesions.contrast, 2)
    within = step(inside, 0.03)
    shadow = step(each(lesions.radius, 2) * 0.85 - np.abs(offsets[0]), 0.06) * step(offsets[1], 0.06) * (1 - within)
    level = level + seen * (-18 * within - 9 * shadow + 3 * bump(inside + 0.04, 0.025))
    masks = (inside > 0) & each(lesions.present, 2).astype(bool)

    amplitude = 10 ** (level / 20) * _speckle(image, patient.shape[0], size)
    decibels = 20 * np.log10(amplitude + 1e-4)
    return SimulatedImages(np.clip(1 + (decibels + 2) / DYNAMIC_RANGE, 0, 1).astype(np.float32), masks)


def _speckle(rng: np.random.Generator, n: int, size: tuple[int, int]) -> Array:
    """Fully developed speckle: the magnitude of a complex normal field (Rayleigh), wider across than along the beam."""
    spread = (0, max(0.35, size[0] / 190), max(0.5, size[1] / 110))
    looks = max(1, round(90 / size[0]))  # a large pixel averages several speckles
    magnitude = np.zeros((n, *size), np.float32)
    for _ in range(looks):
        normal = rng.standard_normal((2, n, *size), np.float32)
        magnitude += np.hypot(*(ndimage.gaussian_filter(part, spread) for part in normal))
    return magnitude / magnitude.mean()


def _from_centre(x: Array, y: Array, lesions: Lesions, fat: Array) -> tuple[Array, Array]:
    """Offsets from the lesion's centre, which lies in the glandular tissue."""
    cx = -0.5 + lesions.place[:, 0]
    cy = -0.28 + 0.42 * lesions.place[:, 1]
    return x - each(cx, 2), y - each(cy, 2) - 0.05 * fat
