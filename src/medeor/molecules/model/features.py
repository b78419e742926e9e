"""Compounds as rows of numbers, for boosted trees: counts of substructures, and descriptors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
from pydantic import Field

from medeor.contracts import Cases
from medeor.learning.saved import AsJson
from medeor.molecules.model import descriptors
from medeor.molecules.read.fingerprints import fingerprints
from medeor.molecules.read.store import MoleculeStore

KEPT = 20_000
"""Compounds up to which the rows of a whole store are kept; they take 90 MB."""


@lru_cache(maxsize=1)
def _rows(smiles: tuple[str, ...], size: int, radius: int) -> np.ndarray:
    counts = fingerprints(smiles, size, radius)
    return np.concatenate([counts, descriptors.descriptors(smiles)], axis=1, dtype=np.float32)


@dataclass(frozen=True)
class MoleculeFeatures(AsJson):
    """ECFP counts and descriptors."""

    size: Annotated[int, Field(ge=16, le=65536)] = 1024
    """Numbers that the fingerprint is folded to."""
    radius: Annotated[int, Field(ge=0, le=8)] = 2
    kind: str = "molecule-features"

    def table(self, cases: Cases) -> np.ndarray:
        """Shape (cases, features), float32; NaN where a descriptor does not exist. A compound that stands in several
        cases is looked at once, and so is one that several folds ask for."""
        store = cases.store("molecules", MoleculeStore)
        if len(store.smiles) <= KEPT:
            return _rows(tuple(store.smiles), self.size, self.radius)[store.rows(cases.table["smiles"])]
        distinct, place = np.unique(cases.table["smiles"].to_numpy().astype(str), return_inverse=True)
        return _rows(tuple(distinct.tolist()), self.size, self.radius)[place]

    def names(self) -> tuple[str, ...]:
        return (*(f"substructure {bit}" for bit in range(self.size)), *descriptors.names())
