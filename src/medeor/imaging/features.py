"""Images as a few numbers each, for the simple baseline beside every network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from torch import nn
from torch.nn import functional

from medeor.contracts import Cases
from medeor.files import build
from medeor.imaging.prepare import Preparation, prepare

BINS = 16


@dataclass(frozen=True)
class ImageFeatures:
    """A thumbnail and the histogram of each channel: what can be said without looking for shapes."""

    preparation: Preparation
    kind: str = "image-features"

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> ImageFeatures:
        return build(cls, values, "model.json")

    def to_json(self) -> Mapping[str, object]:
        return {"preparation": asdict(self.preparation)}

    @property
    def _small(self) -> tuple[int, ...]:
        most = 14 if len(self.preparation.size) == 2 else 6
        return tuple(min(side, most) for side in self.preparation.size)

    def table(self, cases: Cases) -> np.ndarray:
        """Shape (cases, features), float32."""
        images = prepare(cases, self.preparation)
        pool = nn.AdaptiveAvgPool2d(self._small) if images.ndim == 4 else nn.AdaptiveAvgPool3d(self._small)
        rows = []
        for lot in images.split(512):
            lot = lot.float()
            small = pool(lot).flatten(1)
            # Standardised images lie within about three standard deviations; the others between 0 and 1.
            low, high = (-3.0, 3.0) if self.preparation.intensity == "image" else (0.0, 1.0)
            place = ((lot - low) / (high - low) * BINS).long().clamp(0, BINS - 1).flatten(2)
            counts = functional.one_hot(place, BINS).float().mean(2).flatten(1)
            spread = lot.flatten(2).std(2)
            rows.append(np.concatenate([small.numpy(), counts.numpy(), spread.numpy()], axis=1))
        return np.concatenate(rows)

    def names(self) -> tuple[str, ...]:
        channels = range(self.preparation.channels)
        thumbnail = [f"pixel {c}{list(place)}" for c in channels for place in np.ndindex(*self._small)]
        histogram = [f"histogram {c}[{b}]" for c in channels for b in range(BINS)]
        return (*thumbnail, *histogram, *(f"spread {c}" for c in channels))
