"""Mahalanobis distances of images to the training images (Lee et al. 2018), of plain image statistics and not of the
network's features, so that what the network ignores is seen as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medeor.imaging.model.appearance import Appearance, ImageStatistic

PARTS: tuple[tuple[ImageStatistic, ...], ...] = (("brightness", "colour", "texture"), ("layout",))
"""Numbers that are measured together: those of the layout are many and say little of each other's."""
RIDGE = 1e-3
"""Added to every variance, in units of it: no direction is without."""
LEAST = 0.01
"""Standard deviation below which a number counts as constant: what all training images share must not make the smallest
departure infinite."""


@dataclass(frozen=True, eq=False)
class Gaussian:
    """The mean and the covariance of some numbers of training images."""

    mean: np.ndarray
    """Shape (k,), float32."""
    scale: np.ndarray
    """Standard deviations, shape (k,), float32."""
    precision: np.ndarray
    """The inverse covariance of the numbers over their scale, shape (k, k), float32."""

    @classmethod
    def of(cls, values: np.ndarray) -> Gaussian:
        """Estimated from values of shape (n, k)."""
        from sklearn.covariance import ledoit_wolf

        mean, scale = values.mean(axis=0), np.maximum(values.std(axis=0), LEAST)
        standard = (values - mean) / scale
        # Where images are few, the sample's own covariance takes chance for structure (Ledoit and Wolf 2004).
        covariance = ledoit_wolf(standard, assume_centered=True)[0] + RIDGE * np.eye(standard.shape[1])
        precision = np.linalg.inv(covariance)
        return cls(mean.astype(np.float32), scale.astype(np.float32), precision.astype(np.float32))

    def shares(self, values: np.ndarray) -> np.ndarray:
        """What each number adds to the squared distance, shape (n, k): the sum over k is about 1 for most."""
        standard = (values - self.mean) / self.scale
        return standard * (standard @ self.precision) / values.shape[1]

    def distance(self, values: np.ndarray) -> np.ndarray:
        """Mahalanobis distance over the root of the number of numbers, shape (n,)."""
        return np.sqrt(np.maximum(self.shares(values).sum(axis=1), 0))


class Distances(NamedTuple):
    """How far each of n images is from the training images."""

    parts: np.ndarray
    """By part (see `PARTS`), shape (n, parts)."""
    inverted: np.ndarray
    """The same of the image with inverted grey levels."""


def distances(gaussians: Sequence[Gaussian], seen: Appearance) -> Distances:
    places = [seen.columns(*kinds) for kinds in PARTS]
    both = (
        np.column_stack([one.distance(values[:, own]) for one, own in zip(gaussians, places, strict=True)])
        for values in (seen.values, seen.inverted)
    )
    return Distances(*both)


def evidence(gaussians: Sequence[Gaussian], seen: Appearance, found: Distances, usual: Sequence[float]) -> list[str]:
    """What speaks most against each image: a kind of numbers, or `inverted` where the image with inverted grey levels
    lies nearer."""
    kinds = list(PARTS[0])
    places = seen.columns(*kinds)
    shares = gaussians[0].shares(seen.values[:, places])
    own = np.array(seen.kinds)[places]
    strongest = np.stack([shares[:, own == kind].sum(axis=1) for kind in kinds]).argmax(axis=0)
    farthest = ratios(found, usual)
    farthest[:, -1] = np.where(turned(found, usual) > 1, farthest[:, -1], 0)
    return [
        kinds[kind] if place == 0 else "layout" if place == 1 else "inverted"
        for place, kind in zip(farthest.argmax(axis=1).tolist(), strongest.tolist(), strict=True)
    ]


def turned(found: Distances, usual: Sequence[float]) -> np.ndarray:
    """How far each image is, over how far it would be with inverted grey levels, shape (n,)."""
    size, other = (np.linalg.norm(one / usual[: len(PARTS)], axis=1) for one in found)
    return size / np.maximum(other, 1e-6)


def ratios(found: Distances, usual: Sequence[float]) -> np.ndarray:
    """Distances by part, and last what `turned` gives, over what is usual; shape (n, parts + 1)."""
    return np.column_stack([found.parts / usual[: len(PARTS)], turned(found, usual) / usual[len(PARTS)]])
