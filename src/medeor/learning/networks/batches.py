"""Training cases in batches, whatever a batch holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

B = TypeVar("B")
R = TypeVar("R", bound="Rows")


class Rows:
    """A dataclass of which every tensor and array has one row an example: a batch that is divided among processes and
    moved to a device."""

    def shard(self: R, rank: int, world: int) -> R:
        """The share of one process."""
        if world == 1:
            return self
        own = {name: value[rank::world] for name, value in vars(self).items() if isinstance(value, Tensor | np.ndarray)}
        return replace(self, **own)  # type: ignore[type-var]

    def to(self: R, device: torch.device) -> R:
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: one.to(device, non_blocking=True) for name, one in tensors.items()})  # type: ignore[type-var]


@dataclass(frozen=True)
class ShuffledBatches(Generic[B]):
    """Every training case once an epoch, in an order of its own; a last batch smaller than half is left out."""

    cases: int
    size: int
    seed: int
    take: Callable[[Tensor], B]
    """The batch of these cases, from their places, shape (n,)."""

    def __len__(self) -> int:
        return count(self.cases, self.size)

    def batch(self, epoch: int, index: int) -> B:
        return self.take(rows(self.cases, self.size, self.seed, epoch, index))


def count(cases: int, size: int) -> int:
    """Batches in an epoch."""
    whole, rest = divmod(cases, size)
    return whole + (rest > size // 2) if whole else 1


def rows(cases: int, size: int, seed: int, epoch: int, index: int, batches: int = 1) -> Tensor:
    """The places of the cases in so many batches from `index` on, shape (n,)."""
    return _order(cases, seed, epoch)[index * size : (index + batches) * size]


@lru_cache(maxsize=2)
def _order(cases: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(cases, generator=torch.Generator().manual_seed((seed * 1_000_003 + epoch) & 0x7FFFFFFF))
