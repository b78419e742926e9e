"""Compounds of which less is known than a prediction needs: what standardisation took from them, and configurations
that are left open where a model tells them apart."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl
from rdkit import Chem, rdBase

from medeor.contracts import Message
from medeor.molecules.read.standardise import DOUBTFUL, molecule

ENOUGH = 5
"""Training compounds of which the configuration is stated below which nobody can say that a model knows it."""
MOST = 0.5
"""Share of the training compounds that have several configurations of which it has to be stated."""


class Doubts(NamedTuple):
    """Why a prediction may be of another compound, by case id."""

    changed: dict[str, str]
    undefined: dict[str, str]


def doubts(table: pl.DataFrame, stereo: bool) -> Doubts:
    """What is doubtful of cases (`case_id`, `smiles`, `changes`); with `stereo`, also which leave their configuration
    open."""
    rows = table.select("case_id", "smiles", "changes").iter_rows()
    changed, undefined = {}, {}
    for case_id, smiles, changes in rows:
        if why := [DOUBTFUL[change] for change in changes or () if change in DOUBTFUL]:
            changed[case_id] = "; ".join(map(str, why))
        if stereo and (left := open_stereo(smiles)):
            undefined[case_id] = str(Message("molecules.doubt.undefined", open=_counted(*left)))
    return Doubts(changed, undefined)


def distinguishes(smiles: pl.Series) -> bool:
    """Whether compounds tell stereoisomers apart: of those that have some, most state which they are. Similarity, which
    looks at atoms and bonds alone, does not see it."""
    marked = smiles.str.contains(r"[@/\\]")
    stated = len(smiles.filter(marked))
    if stated < ENOUGH:
        return False
    open_ = sum(open_stereo(text) is not None for text in smiles.filter(~marked))
    return stated >= MOST * (stated + open_)


def open_stereo(smiles: str) -> tuple[int, int] | None:
    """How many centres and double bonds of a compound have no configuration though they could; None where none. Those
    that a proton's way moves (amidines, phosphoric acids) do not count."""
    with rdBase.BlockLogs():
        mol = molecule(smiles)
        found = [one for one in Chem.FindPotentialStereo(mol) if one.specified != _STATED]
    moving = {place for match in mol.GetSubstructMatches(_MOVING) for place in match} if found else set()
    bonds = centres = 0
    for one in found:
        if one.type == Chem.StereoType.Bond_Double:
            bonds += mol.GetBondWithIdx(one.centeredOn).GetEndAtomIdx() not in moving
        elif one.type == Chem.StereoType.Atom_Tetrahedral:
            centres += one.centeredOn not in moving
    return (centres, bonds) if centres or bonds else None


_MOVING = Chem.MolFromSmarts("[$([NX2]=[CX3][N,O,S]),$([CX3](=N)[N,O,S]),$([P]([OH])=O)]")
_STATED = Chem.StereoSpecified.Specified


def _counted(centres: int, bonds: int) -> list[Message]:
    counts = {"molecules.doubt.centres": centres, "molecules.doubt.double-bonds": bonds}
    return [Message(key, count=count) for key, count in counts.items() if count]
