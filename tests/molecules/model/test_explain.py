"""What atoms add is what the formula says of a network whose answer is known, and groups are those of a chemist."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from medeor.molecules.model.explain import METHODS, Copies, Values, atom_names, atom_weights, groups
from medeor.molecules.model.network import DirectedMessages, Molecules
from medeor.molecules.read.graphs import graphs

DRUGS = ("CC(=O)Nc1ccc(O)cc1", "CC(C)NCC(O)COc1ccc(CCOC)cc1", "FC(F)(F)c1ccccc1S(N)(=O)=O", "C", "[Na+].[Cl-]")


def copies_of(smiles: str) -> Copies:
    known = graphs([smiles])

    def copies(kept: np.ndarray, distinct: bool = False) -> Molecules:
        return Molecules.of(known.batch(np.zeros(len(kept), int)), len(kept), 3, distinct, kept.ravel())

    return copies


def atoms_of(smiles: str) -> int:
    return Chem.MolFromSmiles(smiles).GetNumAtoms()


def whole(smiles: str) -> Molecules:
    return copies_of(smiles)(np.ones((1, atoms_of(smiles)), bool), distinct=True)


def additive(weights: torch.Tensor) -> Values:
    """The sum over a molecule's atoms of what its codes are worth."""

    def value(molecules: Molecules) -> torch.Tensor:
        return torch.zeros(len(molecules.sizes)).index_add(
            0, molecules.molecule, (molecules.atoms @ weights)[molecules.atom]
        )

    return value


@pytest.mark.parametrize("smiles", DRUGS)
@pytest.mark.parametrize("method", METHODS)
def test_of_a_sum_over_atoms_each_atom_adds_its_term(smiles: str, method: str) -> None:
    molecule = whole(smiles)
    weights = torch.randn(molecule.atoms.shape[1], generator=torch.Generator().manual_seed(0))
    found = atom_weights(additive(weights), copies_of(smiles), atoms_of(smiles), method)
    assert found == pytest.approx((molecule.atoms @ weights).numpy(), abs=1e-5)


def test_integrated_gradients_of_a_product_share_it_and_occlusion_gives_it_to_each() -> None:
    def carbon_times_oxygen(molecules: Molecules) -> torch.Tensor:
        # Columns of the one-hot codes of elements: 6 is carbon, 8 oxygen.
        known = molecules.atoms[molecules.atom]
        count = torch.zeros(len(molecules.sizes), 2).index_add(0, molecules.molecule, known[:, [6, 8]])
        return count.prod(1)

    molecule = copies_of("CO")
    assert atom_weights(carbon_times_oxygen, molecule, 2, "integrated-gradients") == pytest.approx([0.5, 0.5], abs=1e-6)
    assert atom_weights(carbon_times_oxygen, molecule, 2, "occlusion") == pytest.approx([1, 1], abs=1e-6)


def test_integrated_gradients_add_up_in_a_network() -> None:
    torch.manual_seed(0)
    network = DirectedMessages(1, width=16).eval()
    copies = copies_of(DRUGS[1])
    found = atom_weights(lambda seen: network(seen)[:, 0], copies, atoms_of(DRUGS[1]), "integrated-gradients")
    with torch.inference_mode():
        all_known, none_known = (network(copies(np.full((1, len(found)), known))) for known in (True, False))
    assert found.sum() == pytest.approx(float(all_known - none_known), abs=2e-3)


# --- groups ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("CC(=O)Nc1ccc(O)cc1", {"C", "NC=O", "c1ccccc1", "O"}),
        ("FC(F)(F)c1ccccc1S(N)(=O)=O", {"FC(F)F", "c1ccccc1", "NS(=O)=O"}),
        ("O=C1CCCN1CC#N", {"O=C1CCCN1", "C", "C#N"}),
        ("c1ccc2[nH]ccc2c1", {"c1ccc2[nH]ccc2c1"}),
        ("c1ccccc1-c1ccccc1", {"c1ccccc1"}),
        ("C", {"C"}),
    ],
)
def test_groups_are_rings_functional_groups_and_chains(smiles: str, expected: set[str]) -> None:
    assert set(groups(smiles).names) == expected


def test_two_rings_that_share_no_atom_are_two_groups() -> None:
    assert len(groups("c1ccccc1-c1ccccc1").names) == 2


@given(st.sampled_from(DRUGS), st.integers(0, 1000))
def test_groups_share_out_all_that_atoms_add(smiles: str, seed: int) -> None:
    found = groups(smiles)
    weights = np.random.default_rng(seed).normal(size=len(found.of_atom))
    assert len(found.of_atom) == Chem.MolFromSmiles(smiles).GetNumAtoms()
    assert set(found.of_atom) == set(range(len(found.names)))
    assert found.summed(weights).sum() == pytest.approx(weights.sum())


def test_atoms_are_named_in_the_order_of_the_smiles() -> None:
    assert atom_names("OCCl") == ("O1", "C2", "Cl3")
