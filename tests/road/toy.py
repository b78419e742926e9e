"""What the toys share: members of a task and a model that have nothing to say, and cases made in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medeor.files import digest


class PlainTask:
    """A task whose data are never at fault."""

    def audit(self, cases, split):
        return []

    def clean(self, cases, findings, split):
        return cases.table

    def show(self, result):
        return []


class PlainModel:
    """A model that holds no training values."""

    holds_training_values = False


class PlainRecipe:
    """A recipe without processors."""

    joinable = True

    def summaries(self, cases):
        return 0

    def processors(self, summaries):
        return NoProcessors()

    def restore(self, processors):
        return NoProcessors()


@dataclass(frozen=True)
class Numbers:
    """A store of named arrays."""

    arrays: Mapping[str, np.ndarray]

    @property
    def digest(self) -> str:
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
