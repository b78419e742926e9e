"""Triples as integers. A triple (h, r, t) asks twice: (h, r) → t, and (t, inverse of r) → h, where the inverse of
relation r is number `relations + r`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def keys(triples: np.ndarray, entities: int, relations: int) -> np.ndarray:
    """A number for each triple, shape (..., 3) to (...)."""
    wide = triples.astype(np.int64)
    return (wide[..., 0] * relations + wide[..., 1]) * entities + wide[..., 2]


def pairs(triples: np.ndarray, entities: int) -> np.ndarray:
    """A number for the two entities of each triple, whichever is the head: shape (n, 3) to (n,)."""
    head, _, tail = triples.T.astype(np.int64)
    return np.minimum(head, tail) * entities + np.maximum(head, tail)


def degrees(triples: np.ndarray, entities: int) -> np.ndarray:
    """How often each entity is an end of triples, shape (n, 3) to (entities,)."""
    return np.bincount(triples[:, [0, 2]].ravel(), minlength=entities)


def from_keys(keys: np.ndarray, entities: int, relations: int) -> np.ndarray:
    """The triples of some keys: shape (n,) to (n, 3), int32."""
    rest, tail = np.divmod(keys, entities)
    head, relation = np.divmod(rest, relations)
    return np.stack((head, relation, tail), 1).astype(np.int32)


def asked(triples: Tensor, rows: Tensor, relations: int) -> Tensor:
    """The questions numbered `rows`, shape (m, 3) int64: number i below the number of triples asks for the tail of
    triple i, the others ask for heads."""
    inverse = rows >= len(triples)
    head, relation, tail = triples[rows - inverse * len(triples)].long().unbind(1)
    return torch.stack(
        (torch.where(inverse, tail, head), relation + inverse * relations, torch.where(inverse, head, tail)), 1
    )


def both_ways(triples: Tensor, relations: int) -> Tensor:
    """All questions of some triples: shape (n, 3) to (2 n, 3), int64."""
    return asked(triples, torch.arange(2 * len(triples), device=triples.device), relations)


def seen(triples: Tensor, entities: int, relations: int) -> tuple[Tensor, Tensor]:
    """Which entities answered which relation or inverse relation: distinct pairs, sorted."""
    every = both_ways(triples, relations)
    pairs = torch.unique(every[:, 1] * entities + every[:, 2])
    return pairs // entities, pairs % entities


def ranges(begin: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """All numbers of some ranges, one after another, and which range each belongs to (first)."""
    counts = end - begin
    which = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    before = counts.cumsum(0) - counts
    return which, begin[which] + torch.arange(len(which), device=counts.device) - before[which]
