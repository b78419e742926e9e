"""Molecules as numbers that chemists know: size, polarity, charge, shape, and counts of groups. Those that cost more
than a fingerprint and add nothing to one (QED, E-state, Balaban) are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors, rdMolDescriptors

from medeor.learning.pool import in_chunks
from medeor.molecules.read.standardise import molecule

_ACID = Chem.MolFromSmarts("[$([CX3](=O)[OX2H1]),$([SX4](=O)(=O)[OX2H1]),$(P(=O)[OX2H1]),$(c1nnn[nH]1),$(c1nn[nH]n1)]")
_BASE = Chem.MolFromSmarts("[NX3;H2,H1,H0;!$(N-C=[!#6]);!$(N-S=[!#6]);!$(N-a);!$(N-[!#6;!#1]);!$(N-C#N)]")


def _count(pattern: Chem.Mol) -> Callable[[Chem.Mol], int]:
    return lambda mol: len(mol.GetSubstructMatches(pattern))


def _rotatable(mol: Chem.Mol) -> int:
    """Single bonds outside of rings between atoms that have further neighbours: RDKit's strict definition, which asks
    for far more, takes as long as everything else."""
    return rdMolDescriptors.CalcNumRotatableBonds(mol, rdMolDescriptors.NumRotatableBondsOptions.NonStrict)


def _crippen(place: int) -> Callable[[Chem.Mol], float]:
    return lambda mol: rdMolDescriptors.CalcCrippenDescriptors(mol)[place]


_NUMBERS: dict[str, Callable[[Chem.Mol], float]] = {
    "molecular weight": rdMolDescriptors.CalcExactMolWt,
    "heavy atoms": rdMolDescriptors.CalcNumHeavyAtoms,
    "logP (Crippen)": _crippen(0),
    "molar refractivity (Crippen)": _crippen(1),
    "polar surface area": rdMolDescriptors.CalcTPSA,
    "accessible surface (Labute)": rdMolDescriptors.CalcLabuteASA,
    "hydrogen-bond donors": rdMolDescriptors.CalcNumHBD,
    "hydrogen-bond acceptors": rdMolDescriptors.CalcNumHBA,
    "rotatable bonds": _rotatable,
    "rings": rdMolDescriptors.CalcNumRings,
    "aromatic rings": rdMolDescriptors.CalcNumAromaticRings,
    "aliphatic rings": rdMolDescriptors.CalcNumAliphaticRings,
    "aromatic heterocycles": rdMolDescriptors.CalcNumAromaticHeterocycles,
    "saturated heterocycles": rdMolDescriptors.CalcNumSaturatedHeterocycles,
    "spiro atoms": rdMolDescriptors.CalcNumSpiroAtoms,
    "bridgehead atoms": rdMolDescriptors.CalcNumBridgeheadAtoms,
    "stereocentres": rdMolDescriptors.CalcNumAtomStereoCenters,
    "amide bonds": rdMolDescriptors.CalcNumAmideBonds,
    "heteroatoms": rdMolDescriptors.CalcNumHeteroatoms,
    "fraction of sp3 carbon": rdMolDescriptors.CalcFractionCSP3,
    "formal charge": Chem.GetFormalCharge,
    "chi 0v": rdMolDescriptors.CalcChi0v,
    "chi 1v": rdMolDescriptors.CalcChi1v,
    "kappa 1": rdMolDescriptors.CalcKappa1,
    "acids": _count(_ACID),
    "basic amines": _count(_BASE),
    "largest partial charge": Descriptors.MaxPartialCharge,
    "smallest partial charge": Descriptors.MinPartialCharge,
}
_SERIES: dict[str, tuple[Callable[[Chem.Mol], Sequence[float]], int]] = {
    "surface by logP": (rdMolDescriptors.SlogP_VSA_, 12),
    "surface by refractivity": (rdMolDescriptors.SMR_VSA_, 10),
    "surface by charge": (rdMolDescriptors.PEOE_VSA_, 14),
}
"""Descriptors of several numbers, and of how many."""


def names() -> tuple[str, ...]:
    """What each column of `descriptors` is."""
    series = (f"{name} [{place}]" for name, (_, length) in _SERIES.items() for place in range(length))
    return (*_NUMBERS, *series)


def descriptors(smiles: Sequence[str]) -> np.ndarray:
    """Shape (n, len(names())), float32; NaN where a descriptor does not exist for a molecule (partial charges of a
    metal) or is beyond what float32 holds."""
    parts = in_chunks(_chunk, smiles)
    return np.concatenate(parts) if parts else np.zeros((0, len(names())), np.float32)


def _chunk(smiles: Sequence[str]) -> np.ndarray:
    with rdBase.BlockLogs():
        rows = [_row(molecule(text)) for text in smiles]
    values = np.array(rows, np.float64).reshape(len(smiles), -1)
    # Gasteiger charges of elements without parameters are NaN or infinite.
    values[~np.isfinite(values) | (np.abs(values) > 1e30)] = np.nan
    return values.astype(np.float32)


def _row(mol: Chem.Mol) -> list[float]:
    every = [(lambda mol, of=of: [float(of(mol))], 1) for of in _NUMBERS.values()]
    row: list[float] = []
    for of, length in (*every, *_SERIES.values()):
        try:
            row += of(mol)
        except (ValueError, RuntimeError, ZeroDivisionError, OverflowError):
            # RDKit raises for molecules that a descriptor was not made for.
            row += [np.nan] * length
    return row
