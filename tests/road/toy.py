"""What the toys share: a way down the road without files to read, and cases made in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medeor import registry


@dataclass(frozen=True)
class Numbers:
    """A store of named arrays."""

    arrays: Mapping[str, np.ndarray]

    @property
    def digest(self) -> str:
        from medeor.files import digest

        return digest(*(part for name, array in self.arrays.items() for part in (name, array.tobytes())))


@dataclass(frozen=True)
class NoProcessors:
    """Nothing was fitted."""

    holds_training_values = False

    def to_json(self) -> Mapping[str, object]:
        return {}


@dataclass(frozen=True)
class TensorBatch:
    """Inputs and truth side by side."""

    inputs: Tensor
    truth: Tensor

    def shard(self, rank: int, world: int) -> TensorBatch:
        return TensorBatch(self.inputs[rank::world], self.truth[rank::world])

    def to(self, device: torch.device) -> TensorBatch:
        return TensorBatch(self.inputs.to(device), self.truth.to(device))


def enrol(monkeypatch, name: str, lives: str, **loaders: str) -> None:
    """Puts a toy into the registry for the length of a test."""
    facts = registry.TaskFacts(
        name, "a toy", lives, "", "arrays", {"steps": "how long to search"}, inputs={"goal": "a bundle"}
    )
    monkeypatch.setitem(registry.TASKS, name, facts)
    for kind, place in loaders.items():
        monkeypatch.setitem(registry.LOADERS, kind, place)
