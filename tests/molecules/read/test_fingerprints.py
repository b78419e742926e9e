"""Fingerprints and likeness are those of RDKit; descriptors are those that are published."""

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from medeor.molecules.model.descriptors import descriptors, names
from medeor.molecules.read.fingerprints import blocks, fingerprints, nearest

ASPIRIN, CAFFEINE = "CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"
SMILES = [ASPIRIN, "OC(=O)c1ccccc1O", CAFFEINE, "CCCCCCCC", ASPIRIN + "C"]


def test_counts_are_those_of_rdkit() -> None:
    generator = rdFingerprintGenerator.GetMorganGenerator(2, fpSize=2048)
    expected = [generator.GetCountFingerprint(Chem.MolFromSmiles(text)).GetNonzeroElements() for text in SMILES]
    for row, counts in zip(fingerprints(SMILES), expected, strict=True):
        assert {int(bit): int(row[bit]) for bit in np.flatnonzero(row)} == counts


def test_likeness_is_tanimoto() -> None:
    generator = rdFingerprintGenerator.GetMorganGenerator(2, fpSize=2048)
    bits = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in SMILES]
    prints = fingerprints(SMILES)
    ((start, alike),) = blocks(prints, prints)
    assert start == 0
    expected = [DataStructs.BulkTanimotoSimilarity(bit, bits) for bit in bits]
    np.testing.assert_allclose(alike, expected, rtol=1e-6)


def test_the_nearest_are_the_most_alike() -> None:
    prints = fingerprints(SMILES)
    found = nearest(prints, prints, 2)
    assert found.places[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert found.places[0, 1] == 4
    np.testing.assert_allclose(found.similarity[:, 0], 1)
    assert (found.similarity[:, 1] < 1).all()
    assert nearest(prints, prints[:2], 9).places.shape == (5, 2)


def test_descriptors_of_aspirin_are_those_of_pubchem() -> None:
    """PubChem, compound 2244."""
    row = dict(zip(names(), descriptors(SMILES[:1])[0].tolist(), strict=True))
    assert row["molecular weight"] == pytest.approx(180.04225873, abs=1e-4)
    assert row["polar surface area"] == pytest.approx(63.6, abs=0.05)
    assert row["heavy atoms"] == 13
    assert row["hydrogen-bond donors"] == 1
    assert row["formal charge"] == 0
    assert row["acids"] == 1
    assert row["basic amines"] == 0


def test_amides_and_anilines_are_no_bases() -> None:
    place = names().index("basic amines")
    smiles = ["CCN", "CC(=O)N", "Nc1ccccc1", "CS(=O)(=O)NC", "C1CCNCC1", "CC#N"]
    assert descriptors(smiles)[:, place].tolist() == [1, 0, 0, 0, 1, 0]


def test_descriptors_are_numbers_or_unknown_whatever_the_molecule() -> None:
    odd = ["[Pt]", "N[Pt](N)(Cl)Cl", "[NH4+]", "C", "[2H]O[2H]", "C" * 400, "FS(F)(F)(F)(F)F", "C1CC1" * 100]
    values = descriptors(odd)
    assert values.shape == (8, len(names()))
    assert len(set(names())) == len(names())
    assert not np.isinf(values).any()
    assert np.isnan(values[1]).any()  # no partial charges are known of platinum
    assert not np.isnan(descriptors(SMILES)).any()


def test_nothing_at_all() -> None:
    assert fingerprints([]).shape == (0, 2048)
    assert descriptors([]).shape == (0, len(names()))
