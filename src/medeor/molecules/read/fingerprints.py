"""Molecules as counts of circular substructures (ECFP; Rogers and Hahn 2010), and how alike two molecules are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from rdkit import rdBase
from rdkit.Chem import rdFingerprintGenerator

from medeor.learning.pool import in_chunks
from medeor.molecules.read.standardise import molecule

RADIUS = 2
"""Bonds from its middle to the edge of a substructure: ECFP4."""
SIZE = 2048
BLOCK = 512
"""Molecules that are compared with all others at once."""


def fingerprints(smiles: Sequence[str], size: int = SIZE, radius: int = RADIUS, workers: int = 0) -> np.ndarray:
    """How often each hashed substructure occurs, at most 255 times; shape (n, size), uint8."""
    parts = in_chunks(_chunk, smiles, size, radius, workers=workers)
    return np.concatenate(parts) if parts else np.zeros((0, size), np.uint8)


def _chunk(smiles: Sequence[str], size: int, radius: int) -> np.ndarray:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius, fpSize=size)
    with rdBase.BlockLogs():
        counts = [generator.GetCountFingerprintAsNumPy(molecule(text)) for text in smiles]
    return np.minimum(np.stack(counts), 255).astype(np.uint8)


class Nearest(NamedTuple):
    """The most alike of a set of references, best first."""

    places: np.ndarray
    """Shape (queries, k), int64: rows of the references; of equals the first."""
    similarity: np.ndarray
    """Shape (queries, k), float32: Tanimoto, 0 to 1."""


def nearest(queries: np.ndarray, references: np.ndarray, k: int) -> Nearest:
    """The k references whose substructures are most like each query's (Tanimoto of presence); fewer where there
    are fewer."""
    k = min(k, len(references))
    places = np.zeros((len(queries), k), np.int64)
    similarity = np.zeros((len(queries), k), np.float32)
    for start, alike in blocks(queries, references):
        best = np.argsort(-alike, axis=1, kind="stable")[:, :k]
        places[start : start + len(alike)] = best
        similarity[start : start + len(alike)] = np.take_along_axis(alike, best, axis=1)
    return Nearest(places, similarity)


def blocks(queries: np.ndarray, references: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Tanimoto similarity of some queries to all references at a time: the first row, and shape (rows, references)."""
    present = (references > 0).astype(np.float32)
    count = present.sum(axis=1)
    for start in range(0, len(queries), BLOCK):
        some = (queries[start : start + BLOCK] > 0).astype(np.float32)
        common = some @ present.T
        union = some.sum(axis=1)[:, None] + count - common
        yield start, np.divide(common, union, out=np.ones_like(common), where=union > 0)
