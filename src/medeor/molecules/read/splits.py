"""Which compounds stay together, and which of them are held out: by scaffold, by cluster. The road divides the rest."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import polars as pl
from rdkit import Chem, DataStructs, rdBase
from rdkit.SimDivFilters import rdSimDivPickers

from medeor.learning.pool import in_chunks
from medeor.molecules.read.fingerprints import fingerprints
from medeor.molecules.read.standardise import molecule

WAYS = ("scaffold", "scaffold-deepchem", "cluster")
"""Ways of splitting that only this modality knows, by the word for `--split`: no Bemis-Murcko scaffold in two parts, a
fifth tested; the same scaffolds as DeepChem divides them; no cluster of like compounds in two parts, a fifth tested."""

ALIKE = 0.35
"""Tanimoto similarity to the centre of a cluster from which a compound belongs to it."""
TESTED = 0.2
"""The share of compounds that `scaffold` and `cluster` hold out."""


def scaffolds(flat: Sequence[str], workers: int = 0) -> list[str]:
    """The Bemis-Murcko scaffold (rings and what links them; Bemis and Murcko 1996) of each SMILES, as SMILES without
    stereochemistry; empty for a molecule without a ring."""
    return [one for part in in_chunks(_scaffolds, flat, workers=workers) for one in part]


def _scaffolds(smiles: Sequence[str]) -> list[str]:
    with rdBase.BlockLogs():
        return [Chem.MolToSmiles(Chem.MurckoDecompose(molecule(text)), isomericSmiles=False) for text in smiles]


def clusters(flat: Sequence[str], alike: float = ALIKE) -> np.ndarray:
    """The cluster of each SMILES, shape (n,): centres are picked in the order of the texts, each less alike than
    `alike` to those before (sphere exclusion; Taylor 1995); every compound goes to the centre most like it."""
    distinct = sorted(set(flat))
    counts = fingerprints(distinct)
    bits = [DataStructs.CreateFromBitString("".join(row)) for row in np.where(counts > 0, "1", "0")]
    centres = list(rdSimDivPickers.LeaderPicker().LazyBitVectorPick(bits, len(bits), 1 - alike))
    leaders = [bits[centre] for centre in centres]
    belongs = {
        text: int(np.argmax(DataStructs.BulkTanimotoSimilarity(bit, leaders))) for text, bit in zip(distinct, bits)
    }
    return np.array([belongs[text] for text in flat], np.int64)


def units(flat: pl.Series, way: str) -> pl.Series:
    """What stays together by this way, as text; a molecule without a ring is a scaffold of its own, but for DeepChem,
    which holds all of them for one family."""
    if way == "cluster":
        return pl.Series([f"cluster {number}" for number in clusters(flat.to_list()).tolist()], dtype=pl.String)
    found = pl.Series(scaffolds(flat.to_list()), dtype=pl.String)
    if way == "scaffold-deepchem":
        return found.replace("", "no ring")
    return pl.select(pl.when(found == "").then(flat).otherwise(found)).to_series()


def parts(units: pl.Series, way: str, seed: int) -> pl.Series:
    """The part of each row, given its unit."""
    return largest_first(units) if way == "scaffold-deepchem" else balanced(units, TESTED, seed)


def largest_first(units: pl.Series, train: float = 0.8, validation: float = 0.1) -> pl.Series:
    """As DeepChem's ScaffoldSplitter: units from the largest to the smallest (of equals the one that begins last) fill
    train, those that do not fit validation, and the rest test."""
    table = pl.DataFrame({"unit": units, "row": np.arange(len(units))})
    ordered = table.group_by("unit").agg(pl.len().alias("size"), pl.col("row").min().alias("first"))
    ordered = ordered.sort("size", "first", descending=True)
    limits = train * len(units), (train + validation) * len(units)
    filled = {"train": 0, "validation": 0}
    part = {}
    for unit, size in ordered.select("unit", "size").iter_rows():
        if filled["train"] + size <= limits[0]:
            part[unit] = "train"
        elif filled["train"] + filled["validation"] + size <= limits[1]:
            part[unit] = "validation"
        else:
            part[unit] = "test"
            continue
        filled[part[unit]] += size
    return units.replace_strict(part, return_dtype=pl.String)


def balanced(units: pl.Series, tested: float, seed: int) -> pl.Series:
    """Units in an order that the seed draws (and the order of rows does not touch) fill the test part until it holds
    the share `tested`; a unit of more than half of that trains, so that no family makes up the test alone."""
    sizes = units.value_counts(name="size")
    wanted = tested * len(units)
    drawn = sorted(sizes.iter_rows(), key=lambda one: blake2b(f"{seed} {one[0]}".encode(), digest_size=8).digest())
    test, held = [], 0
    for unit, size in drawn:
        if size <= max(1, wanted / 2) and held + size <= max(1, wanted):
            test.append(unit)
            held += size
    return units.is_in(test).replace_strict({True: "test", False: "train"}, return_dtype=pl.String)
