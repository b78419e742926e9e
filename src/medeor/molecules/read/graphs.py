"""Molecules as plain arrays: codes of atoms and bonds one after another, so that any batch is one gather. RDKit is
asked a few questions a molecule, not a few an atom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolDescriptors, rdmolops, rdqueries

from medeor.learning.pool import in_chunks
from medeor.molecules.read.standardise import reread

VERSION = 1
"""Of the codes below: graphs kept on disk are known by it."""

ATOM_CODES: Mapping[str, int] = MappingProxyType(
    {
        "element": 119,  # atomic number
        "degree": 8,  # neighbours, hydrogens among them; 7: more than 6
        "charge": 7,  # formal charge + 3, at most 3 either way
        "hydrogens": 6,  # also those that are atoms of their own, as deuterium is; 5: more than 4
        "hybridisation": 3,  # sp3 and all others, sp, sp2
        "aromatic": 2,
        "ring": 9,  # atoms of the smallest ring; 0: none, 8: more than 7
        "chirality": 3,  # none, R, S
    }
)
"""How many codes each column of `MoleculeGraphs.atoms` may take."""
BOND_CODES: Mapping[str, int] = MappingProxyType(
    {
        "order": 5,  # other, single, double, triple, aromatic
        "ring": 2,
        "stereo": 3,  # of a double bond: none, Z, E
    }
)
"""How many codes each column of `MoleculeGraphs.bonds` may take."""

_ORDERS = {1.0: 1, 2.0: 2, 3.0: 3, 1.5: 4}
_SP, _SP2 = (Chem.MolFromSmarts(pattern) for pattern in ("[^1]", "[^2]"))
_HANDED = rdqueries.HasPropQueryAtom("_CIPCode")
_HANDS = {"R": 1, "S": 2}
_SIDES = {"STEREOZ": 1, "STEREOCIS": 1, "STEREOE": 2, "STEREOTRANS": 2}


class DirectedBonds(NamedTuple):
    """Several molecules as one graph, for message passing along directed bonds. Bond 2k and bond 2k + 1 are the two
    directions of one bond, so that the reverse of bond b is b ^ 1."""

    atoms: np.ndarray
    """Shape (atoms, len(ATOM_CODES)), uint8."""
    bonds: np.ndarray
    """Shape (2 bonds, len(BOND_CODES)), uint8."""
    source: np.ndarray
    """Shape (2 bonds,), int64: the atom that a directed bond leaves."""
    target: np.ndarray
    """Shape (2 bonds,), int64: the atom that it enters."""
    molecule: np.ndarray
    """Shape (atoms,), int64: the place in the batch of each atom's molecule."""


@dataclass(frozen=True, eq=False)
class MoleculeGraphs:
    """The graphs of n molecules, hydrogens left implicit; the atoms of molecule i are `atom_start[i]:atom_start[i+1]`,
    its bonds likewise."""

    atoms: np.ndarray
    """Shape (atoms, len(ATOM_CODES)), uint8: codes in the order of `ATOM_CODES`."""
    atom_start: np.ndarray
    """Shape (n + 1,), int64."""
    ends: np.ndarray
    """Shape (bonds, 2), uint16: the atoms of each bond, counted within their molecule."""
    bonds: np.ndarray
    """Shape (bonds, len(BOND_CODES)), uint8."""
    bond_start: np.ndarray
    """Shape (n + 1,), int64."""

    def __len__(self) -> int:
        return len(self.atom_start) - 1

    def batch(self, molecules: np.ndarray) -> DirectedBonds:
        """The molecules of these numbers, in this order."""
        atom_rows, atom_counts = _rows(self.atom_start, molecules)
        bond_rows, bond_counts = _rows(self.bond_start, molecules)
        before = np.cumsum(atom_counts) - atom_counts
        ends = self.ends[bond_rows].astype(np.int64) + np.repeat(before, bond_counts)[:, None]
        return DirectedBonds(
            self.atoms[atom_rows],
            np.repeat(self.bonds[bond_rows], 2, axis=0),
            ends.ravel(),
            ends[:, ::-1].ravel(),
            np.repeat(np.arange(len(molecules)), atom_counts),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All that there is, by name, as it is kept on disk."""
        return {name: getattr(self, name) for name in ("atoms", "atom_start", "ends", "bonds", "bond_start")}


def _rows(start: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the chosen molecules one after another, and how many each has."""
    first, counts = start[chosen], start[chosen + 1] - start[chosen]
    shift = first - (np.cumsum(counts) - counts)
    return np.repeat(shift, counts) + np.arange(counts.sum()), counts


def graphs(smiles: Sequence[str], workers: int = 0) -> MoleculeGraphs:
    """The graphs of standardised SMILES, on several processes where there are many.

    Raises: ValueError for a text that is no molecule: `standardise` sets those aside."""
    return joined(in_chunks(_chunk, smiles, workers=workers))


def joined(parts: Sequence[MoleculeGraphs]) -> MoleculeGraphs:
    """The molecules of all parts, one after another."""
    if not parts:
        return _chunk(())
    starts = []
    for name in ("atom_start", "bond_start"):
        counts = np.concatenate([np.diff(getattr(part, name)) for part in parts])
        starts.append(np.concatenate([[0], np.cumsum(counts)]))
    atoms, ends, bonds = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("atoms", "ends", "bonds")
    )
    return MoleculeGraphs(atoms, starts[0], ends, bonds, starts[1])


def _chunk(smiles: Sequence[str]) -> MoleculeGraphs:
    with rdBase.BlockLogs():
        return of_molecules([reread(text) for text in smiles], smiles)


def of_molecules(mols: Sequence[Chem.Mol], smiles: Sequence[str]) -> MoleculeGraphs:
    """The graphs of parsed molecules; `smiles`, which they were parsed from, show which have stereochemistry."""
    sizes = [mol.GetNumAtoms() for mol in mols]
    first = [0, *accumulate(sizes)]
    total = first[-1]
    atoms = np.zeros((total, len(ATOM_CODES)), np.uint8)
    atoms[:, :4] = _kinds(mols, first)
    for code, query in ((1, _SP), (2, _SP2)):
        atoms[_matching(mols, first, query), 4] = code
    ends, orders, molecule = _bonds(mols, sizes)
    start = np.asarray(first)
    left, right = (ends + start[molecule][:, None]).T
    atoms[left[orders == 4], 5] = atoms[right[orders == 4], 5] = 1
    bonds = np.zeros((len(ends), len(BOND_CODES)), np.uint8)
    bonds[:, 0] = orders
    key = left * (total + 1) + right
    ring_key, ring_atom, ring_size = _rings(mols, first, total)
    bonds[:, 1] = np.isin(key, ring_key)
    smallest = np.full(total, 255, np.uint8)
    np.minimum.at(smallest, ring_atom, ring_size)
    atoms[:, 6] = np.where(smallest == 255, 0, smallest)
    _mark_stereo(mols, smiles, first, atoms, bonds, dict(zip(key.tolist(), range(len(key)))))
    counts = np.bincount(molecule, minlength=len(mols))
    return MoleculeGraphs(atoms, start, ends.astype(np.uint16), bonds, np.concatenate([[0], np.cumsum(counts)]))


_KINDS: dict[int, tuple[int, int, int, int]] = {}
"""Element, degree, charge and hydrogens of each kind of atom, by RDKit's invariant: a hash of 32 bits of these four,
isotope and ring membership. Of a thousand kinds two share a hash with a chance of 1 in 10,000."""


def _kinds(mols: Sequence[Chem.Mol], first: Sequence[int]) -> np.ndarray:
    """Shape (atoms, 4), uint8. Each kind of atom is looked at once, when it is first met."""
    invariants = [rdMolDescriptors.GetConnectivityInvariants(mol) for mol in mols]
    hashes = np.fromiter(chain.from_iterable(invariants), np.uint32, first[-1])
    distinct, where, kind = np.unique(hashes, return_index=True, return_inverse=True)
    molecule = np.searchsorted(first, where, side="right") - 1
    for value, place, number in zip(distinct.tolist(), where.tolist(), molecule.tolist()):
        if value not in _KINDS:
            atom = mols[number].GetAtomWithIdx(place - first[number])
            _KINDS[value] = (
                atom.GetAtomicNum(),
                min(atom.GetTotalDegree(), 7),
                min(max(atom.GetFormalCharge() + 3, 0), 6),
                min(atom.GetTotalNumHs(includeNeighbors=True), 5),
            )
    table = np.array([_KINDS[value] for value in distinct.tolist()], np.uint8).reshape(-1, 4)
    return table[kind]


def _matching(mols: Sequence[Chem.Mol], first: Sequence[int], query: Chem.Mol) -> np.ndarray:
    """Numbers of the atoms that match a query of one atom."""
    found = [mol.GetSubstructMatches(query, uniquify=False, maxMatches=100_000) for mol in mols]
    counts = [len(matches) for matches in found]
    flat = np.fromiter(chain.from_iterable(chain.from_iterable(found)), np.int64, sum(counts))
    return flat + np.repeat(np.asarray(first[:-1], np.int64), counts)


def _bonds(mols: Sequence[Chem.Mol], sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends (bonds, 2) within the molecule, the smaller first; codes of orders (bonds,); the molecule of each bond. From
    RDKit's adjacency matrices with bond orders, laid flat one behind another."""
    flat = [rdmolops.GetAdjacencyMatrix(mol, useBO=True).ravel() for mol in mols]
    values = np.concatenate(flat) if flat else np.zeros(0)
    place = np.flatnonzero(values)
    squares = np.asarray(sizes, np.int64) ** 2
    before = np.cumsum(squares) - squares
    molecule = np.searchsorted(before + squares, place, side="right")
    size = np.asarray(sizes, np.int64)[molecule]
    row, column = np.divmod(place - before[molecule], size)
    upper = row < column
    orders = values[place[upper]]
    codes = np.zeros(len(orders), np.uint8)
    for order, code in _ORDERS.items():
        codes[orders == order] = code
    return np.column_stack([row[upper], column[upper]]), codes, molecule[upper]


def _rings(mols: Sequence[Chem.Mol], first: Sequence[int], total: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keys of the bonds in rings; the atoms in rings, once a ring; and the code of that ring's size."""
    rings = [mol.GetRingInfo().AtomRings() for mol in mols]
    sizes = np.fromiter((len(ring) for found in rings for ring in found), np.int64)
    per_molecule = [sum(map(len, found)) for found in rings]
    flat = np.fromiter(chain.from_iterable(chain.from_iterable(rings)), np.int64, sum(per_molecule))
    flat = flat + np.repeat(np.asarray(first[:-1], np.int64), per_molecule)
    after = np.arange(len(flat)) + 1
    ends = np.cumsum(sizes)
    after[ends - 1] = ends - sizes  # the last atom of a ring is bound to its first
    one, other = flat, flat[after]
    keys = np.minimum(one, other) * (total + 1) + np.maximum(one, other)
    return keys, flat, np.repeat(np.minimum(sizes, 8), sizes).astype(np.uint8)


def _mark_stereo(
    mols: Sequence[Chem.Mol],
    smiles: Sequence[str],
    first: Sequence[int],
    atoms: np.ndarray,
    bonds: np.ndarray,
    number: Mapping[int, int],
) -> None:
    """Writes chirality and double-bond stereo into the codes; most SMILES have neither mark and cost nothing."""
    total = first[-1]
    for mol, text, start in zip(mols, smiles, first):
        if "@" in text:
            for atom in mol.GetAtomsMatchingQuery(_HANDED):
                atoms[start + atom.GetIdx(), 7] = _HANDS.get(atom.GetProp("_CIPCode"), 0)
        if "/" in text or "\\" in text:
            for bond in mol.GetBonds():
                if code := _SIDES.get(bond.GetStereo().name):
                    low, high = sorted((bond.GetBeginAtomIdx() + start, bond.GetEndAtomIdx() + start))
                    bonds[number[low * (total + 1) + high], 2] = code
