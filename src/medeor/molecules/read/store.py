"""The molecules of a study: each compound once, and its graph when somebody asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from medeor import cache
from medeor.contracts import Text
from medeor.files import digest
from medeor.learning.pool import WORTHWHILE
from medeor.molecules.read.endpoints import Endpoint
from medeor.molecules.read.graphs import VERSION, MoleculeGraphs, graphs


@dataclass(frozen=True, eq=False)
class MoleculeStore:
    """Distinct molecules by their standardised SMILES, to which the case table's column `smiles` points."""

    smiles: pl.Series
    """String, each once."""
    mixed: tuple[Text, ...] = ()
    """Why values of a target could not all be put in one unit."""
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """What is known of the targets, by name, in their units."""
    assumed: tuple[str, ...] = ()
    """Targets of which no unit is written, so that the usual one of their endpoint is taken."""

    @cached_property
    def digest(self) -> str:
        return digest("\n".join(self.smiles.to_list()))

    @cached_property
    def graphs(self) -> MoleculeGraphs:
        """Molecule i is `smiles[i]`. Many are kept in the user's cache, known by their SMILES and the version of the
        codes."""
        from rdkit import rdBase

        texts = self.smiles.to_list()
        if len(texts) < WORTHWHILE or cache.folder() is None:
            return graphs(texts)
        key = digest(self.digest, str(VERSION), rdBase.rdkitVersion)
        path = cache.keep("molecules", f"{key}.npz", lambda new: _write(new, graphs(texts)))
        with np.load(path, allow_pickle=False) as file:
            return MoleculeGraphs(**{name: file[name] for name in file.files})

    def rows(self, smiles: pl.Series) -> np.ndarray:
        """The place in the store of each of these SMILES, shape (n,), int64. Raises: LookupError for one that is not
        there."""
        places = smiles.rename("smiles").to_frame().join(self._places, on="smiles", how="left", maintain_order="left")
        if places["place"].null_count():
            raise LookupError("a molecule is not in the store of these cases")
        return places["place"].to_numpy()

    @cached_property
    def _places(self) -> pl.DataFrame:
        return pl.DataFrame({"smiles": self.smiles, "place": np.arange(len(self.smiles))})


def _write(path: object, made: MoleculeGraphs) -> None:
    with open(str(path), "wb") as file:
        np.savez(file, **made.arrays())  # type: ignore[arg-type]
