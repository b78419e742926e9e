"""Texts that are structures of molecules: SMILES and InChI."""

from __future__ import annotations

from collections.abc import Sequence


def share(values: Sequence[str]) -> float:
    """The share of texts that are written as structures are; whether such a molecule can be is not asked."""
    return sum(map(is_structure, values)) / len(values) if values else 0.0


def is_structure(text: str) -> bool:
    """Whether a text is written as SMILES or InChI are."""
    from rdkit import Chem, rdBase

    text = text.strip()
    if is_inchi(text):
        return True
    if not text or " " in text:
        return False
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(text, sanitize=False)
    return mol is not None and mol.GetNumAtoms() > 0


def is_inchi(text: str) -> bool:
    return text.startswith("InChI=1")


def of_inchi(text: str) -> str | None:
    """An InChI as SMILES; None where it is none."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        mol = Chem.MolFromInchi(text)
    return None if mol is None else str(Chem.MolToSmiles(mol))


def skeleton(text: str) -> str:
    """What a structure is without stereochemistry, by which two ways of writing one are the same; the text itself where
    it is no molecule."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        mol = Chem.MolFromInchi(text) if is_inchi(text) else Chem.MolFromSmiles(text)
    return text if mol is None else str(Chem.MolToSmiles(mol, isomericSmiles=False))
