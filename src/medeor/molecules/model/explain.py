"""The contribution of atoms and groups of a compound to its prediction, for any network over molecular graphs.
`trust.faithfulness` measures whether it is faithful."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import torch
from rdkit import Chem
from torch import Tensor

from medeor.molecules.model.network import Molecules
from medeor.molecules.read.standardise import molecule

METHODS = ("integrated-gradients", "occlusion")
NODES = 16
"""Points of the path from no atoms to all of them at which integrated gradients are taken."""
ATOMS_AT_ONCE = 1 << 13
"""Atoms of copies that pass the network together: gradients keep every layer in memory."""

Values = Callable[[Molecules], Tensor]
"""Asks a network for one number of each molecule, shape (molecules,)."""


class Copies(Protocol):
    """Makes copies of one molecule: one for each row of `kept`, shape (m, atoms), bool, in which nothing is known of
    the other atoms; `distinct`: see `environments`."""

    def __call__(self, kept: np.ndarray, distinct: bool = False) -> Molecules: ...


_MARKED = [
    Chem.MolFromSmarts(pattern) for pattern in ("[!#6]", "[#6;!a]=,#[!#6]", "[#6;!a]=,#[#6;!a]", "[CX4](-[!#6])-[!#6]")
]
"""Atoms of functional groups (Ertl 2017, doi:10.1186/s13321-017-0225-z): atoms other than carbon, carbon in double and
triple bonds outside of aromatic rings, carbon of acetals. What else a pattern matches is no carbon."""


def atom_weights(values: Values, copies: Copies, atoms: int, method: str) -> np.ndarray:
    """What each of so many atoms of one molecule adds to its value, shape (atoms,), by a method of `METHODS`.

    Integrated gradients (Sundararajan, Taly and Yan 2017, https://arxiv.org/abs/1703.01365) follow the share of what is
    known of every atom, and of the bonds between them, from none to all, and add up nearly to the difference between
    the two. Occlusion is the value less that of the molecule with an atom of which nothing is known."""
    if method == "occlusion":
        kept = np.concatenate([np.ones((1, atoms), bool), ~np.eye(atoms, dtype=bool)])
        with torch.inference_mode():
            chunks = np.array_split(kept, -(-kept.size // ATOMS_AT_ONCE))
            found = torch.cat([values(copies(chunk)) for chunk in chunks]).double().cpu().numpy()
        return found[0] - found[1:]
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    total = np.zeros(atoms)
    with torch.inference_mode(False), torch.enable_grad():
        for some in np.array_split(np.arange(NODES), -(-NODES * atoms // ATOMS_AT_ONCE)):
            many = copies(np.ones((len(some), atoms), bool), distinct=True)
            at = torch.tensor((nodes[some] + 1) / 2, dtype=torch.float32, device=many.atoms.device)
            share = at.repeat_interleave(atoms).requires_grad_()
            (slope,) = torch.autograd.grad(values(many.scaled(share)).sum(), share)
            total += weights[some] / 2 @ slope.double().cpu().numpy().reshape(-1, atoms)
    return total


# --- atoms and groups -------------------------------------------------------------------------------------


def atom_names(smiles: str) -> tuple[str, ...]:
    """Element and number of each atom, C1 to Cn, in the order in which the SMILES writes them."""
    return tuple(f"{atom.GetSymbol()}{atom.GetIdx() + 1}" for atom in molecule(smiles).GetAtoms())


class Groups(NamedTuple):
    """The atoms of a compound, each in one group: a ring system, a functional group, or carbon between them."""

    of_atom: np.ndarray
    """Shape (atoms,): number of the group."""
    names: tuple[str, ...]
    """SMILES of each."""

    def summed(self, weights: np.ndarray) -> np.ndarray:
        """What each group adds, shape (groups,), from what its atoms add."""
        return np.bincount(self.of_atom, weights, minlength=len(self.names))


def groups(smiles: str) -> Groups:
    """The ring systems (with what is double-bonded to them), functional groups and carbon chains of a compound."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    mol = molecule(smiles)
    kind = np.zeros(mol.GetNumAtoms(), int)
    for pattern in _MARKED:
        for matched in mol.GetSubstructMatches(pattern, maxMatches=100_000):
            kind[list(matched)] = 1
    ring = [atom.GetIdx() for atom in mol.GetAtoms() if atom.IsInRing()]
    attached = [
        bond.GetOtherAtomIdx(atom)
        for atom in ring
        for bond in mol.GetAtomWithIdx(atom).GetBonds()
        if bond.GetBondTypeAsDouble() == 2 and not bond.IsInRing()
    ]
    kind[[*ring, *attached]] = 2
    joined = [
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        for bond in mol.GetBonds()
        if kind[bond.GetBeginAtomIdx()] == kind[bond.GetEndAtomIdx()]
        and (kind[bond.GetBeginAtomIdx()] < 2 or bond.IsInRing() or bond.GetBondTypeAsDouble() == 2)
    ]
    one, other = np.array(joined, int).reshape(-1, 2).T
    bonds = coo_array((np.ones(len(one)), (one, other)), shape=(len(kind), len(kind)))
    of_atom = connected_components(bonds, directed=False)[1]
    names = tuple(
        Chem.MolFragmentToSmiles(mol, np.flatnonzero(of_atom == number).tolist(), isomericSmiles=False)
        for number in range(of_atom.max(initial=-1) + 1)
    )
    return Groups(of_atom, names)
