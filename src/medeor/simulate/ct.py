"""Small volumes of lung from chest CT: air, branching vessels, the chest wall at one side, and a round nodule."""

from __future__ import annotations

import numpy as np

from medeor.simulate.images import Array, Lesions, Pose, SimulatedImages, axes_of, each, smooth_noise, step

TRAITS = 7
"""Standard normal numbers that make one person differ from another."""
RADIUS = (0.18, 0.38)
"""Of a nodule, in half-widths."""
VESSELS = 4


def draw(
    traits: Array, patient: Array, pose: Pose, lesions: Lesions, size: tuple[int, int, int], seed: list[int]
) -> SimulatedImages:
    """Volumes (n, depth, height, width) of the patients (n,) with these traits (patients, `TRAITS`)."""
    own = np.clip(traits[patient], -2, 2)
    z, y, x = (axis[None] for axis in axes_of(size))
    x = (x - each(pose.right, 3)) / each(pose.zoom, 3)
    y = (y - each(pose.down, 3)) / each(pose.zoom, 3)
    z = z / each(pose.zoom, 3)
    person = np.random.default_rng([*seed, 1])
    tissue = smooth_noise(person, len(traits), size, 0.12)[patient]

    lung = 0.14 + 0.012 * each(own[:, 0], 3) + 0.02 * tissue + 0.03 * y
    density = lung + 0.5 * _vessels(person, len(traits), patient, x, y, z)
    # The chest wall stands at an angle of its own in each patient, often out of sight.
    angle = each(np.pi * own[:, 1], 3)
    wall = x * np.cos(angle) + y * np.sin(angle) - 0.2 * z * each(own[:, 2], 3) - 1.05 - 0.2 * each(own[:, 3], 3)
    wall = step(wall + 0.25 * (x**2 + y**2), 0.05)
    density = density * (1 - wall) + (0.62 + 0.03 * tissue) * wall
    rib = step(0.12 - np.abs(wall - 0.9), 0.05) * step(np.cos(6 * z + each(own[:, 4], 3)), 0.3)
    density = density + 0.2 * rib * wall

    centre = -0.32 + 0.64 * lesions.place
    dx, dy, dz = (axis - each(centre[:, k], 3) for k, axis in enumerate((x, y, z)))
    distance = np.sqrt(dx**2 + dy**2 + dz**2)
    bulge = each(lesions.lobes[:, 1], 3) * np.cos(3 * np.arctan2(dy, dx) + each(lesions.phase[:, 1], 3))
    inside = each(lesions.radius, 3) * (1 + bulge) - distance
    seen = each(lesions.present * lesions.contrast, 3)
    density = density + seen * step(inside, 0.05) * np.clip(0.62 - density, 0, None)
    masks = (inside > 0) & each(lesions.present, 3).astype(bool)
    return SimulatedImages(np.clip(density, 0, 1).astype(np.float32), masks)


def _vessels(rng: np.random.Generator, patients: int, patient: Array, x: Array, y: Array, z: Array) -> Array:
    """Straight tubes through the volume, thinner the farther they run from their root."""
    result = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
    for _ in range(VESSELS):
        through = rng.uniform(-0.8, 0.8, (patients, 3))[patient]
        along = rng.standard_normal((patients, 3))[patient]
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        width = each(rng.uniform(0.05, 0.12, patients)[patient], 3)
        offsets = [axis - each(through[:, k], 3) for k, axis in enumerate((x, y, z))]
        run = sum(offset * each(along[:, k], 3) for k, offset in enumerate(offsets))
        distance = np.sqrt(np.clip(sum(offset**2 for offset in offsets) - run**2, 0, None))
        result = np.maximum(result, step(width * (1 - 0.25 * run) - distance, 0.05))
    return result
