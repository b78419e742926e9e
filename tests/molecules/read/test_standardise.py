"""Each compound is written in one way, each change is named, and what is no small molecule is refused."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from medeor.molecules.read import standardise as room
from medeor.molecules.read.standardise import Rules, standardise, standardised

DRUGS = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "C[C@H](N)C(=O)O",
    "C/C=C/C(=O)Nc1ccc(cc1)[N+](=O)[O-]",
    "CN(C)CCCN1c2ccccc2CCc2ccccc21",
    "O=S(=O)(N)c1cc2c(cc1Cl)NC(Cl)NS2(=O)=O",
    "[O-][n+]1ccccc1",
    "C[N+](C)(C)CCO",
]


@pytest.mark.parametrize(
    ("given", "expected", "change"),
    [
        ("CC(=O)Oc1ccccc1C(=O)[O-].[Na+]", "CC(=O)Oc1ccccc1C(=O)O", {room.SALT, room.CHARGE}),
        ("CC(=O)Oc1ccccc1C(=O)O[Na]", "CC(=O)Oc1ccccc1C(=O)O", {room.SALT, room.CHARGE}),
        ("CNCCC(Oc1ccc(cc1)C(F)(F)F)c1ccccc1.Cl", "CNCCC(Oc1ccc(cc1)C(F)(F)F)c1ccccc1", {room.SALT}),
        ("C[NH2+]CCO.[Cl-]", "CNCCO", {room.SALT, room.CHARGE}),
        ("CCO.O", "CCO", {room.SALT}),
        ("c1ccccc1.c1ccccc1", "c1ccccc1", {room.SALT}),
        ("CC[S+]([O-])CC", "CCS(=O)CC", {room.FORM}),
        ("C[P+]([O-])(C)C", "CP(C)(C)=O", {room.FORM}),
        ("c1ccccc1N(=O)=O", "O=[N+]([O-])c1ccccc1", set()),
        ("C[N+](C)(C)CC(=O)[O-]", "C[N+](C)(C)CC(=O)[O-]", set()),
        ("OC(=O)CC[NH3+]", "NCCC(=O)O", {room.CHARGE}),
        ("N[Pt](N)(Cl)Cl", "N[Pt](N)(Cl)Cl", set()),
        ("[H]C([H])([H])O[H]", "CO", set()),
        (r"[H]/N=C(\N)c1ccccc1", "N=C(N)c1ccccc1", set()),
        ("[2H]C([2H])([2H])NC", "[2H]C([2H])([2H])NC", set()),
        ("C[C@H](O)c1ccccc1 |&1:1|", "C[C@H](O)c1ccccc1", {room.RACEMATE}),
        ("C[NH2+]CCO.[Cl-] |lp:1:2|", "CNCCO", {room.SALT, room.CHARGE}),
    ],
)
def test_a_compound_is_written_as_the_rules_say(given: str, expected: str, change: set[str]) -> None:
    made = standardise(given)
    assert made.problem is None
    assert made.smiles == Chem.CanonSmiles(expected)
    assert set(made.changes) == change


def test_of_a_mixture_the_largest_part_counts_and_it_is_said() -> None:
    made = standardise("CC(=O)Oc1ccccc1C(=O)O.CN1C=NC2=C1C(=O)N(C(=O)N2C)C")
    assert made.smiles == Chem.CanonSmiles("CN1C=NC2=C1C(=O)N(C(=O)N2C)C")
    assert made.changes == (room.MIXTURE,)


def test_a_metal_that_is_lost_is_named() -> None:
    made = standardise("[Pt+2].NC1CCCCC1N.[O-]C(=O)C(=O)[O-]")
    assert room.METAL in made.changes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no structure"),
        ("  ", "no structure"),
        ("c1ccc", "not valid SMILES"),
        ("aspirin", "not valid SMILES"),
        ("CN(C)(C)(C)C", "valence.*N, 5"),
        ("c1cccc1", "kekulize"),
        ("C*C", "pattern"),
        ("NCC(=O)" * 250 + "O", "1,001 atoms.*not a small molecule"),
    ],
)
def test_what_is_no_small_molecule_is_refused_with_its_reason(text: str | None, said: str) -> None:
    made = standardise(text)
    assert made.smiles is None
    assert re.search(said, made.problem or "")


def test_tautomers_and_stereochemistry_are_told_apart_unless_asked_otherwise() -> None:
    hydroxypyridine, pyridone = "Oc1ccccn1", "O=c1cccc[nH]1"
    assert standardise(hydroxypyridine).smiles != standardise(pyridone).smiles
    both = {standardise(text, Rules(tautomer=True)).smiles for text in (hydroxypyridine, pyridone)}
    assert len(both) == 1
    left, right = "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"
    assert standardise(left).smiles != standardise(right).smiles
    assert standardise(left).flat == standardise(right).flat == Chem.CanonSmiles("CC(N)C(=O)O")
    dropped = standardise(left, Rules(stereo=False))
    assert dropped.smiles == Chem.CanonSmiles("CC(N)C(=O)O")
    assert dropped.changes == (room.STEREO,)


@pytest.mark.parametrize(
    ("labelled", "plain"),
    [
        ("[2H]C([2H])([2H])NC", "CNC"),
        ("[2H]O[2H]", "O"),
        (r"C/C=C/[2H]", "C=CC"),
        ("[3H]c1ccccc1[13CH3]", "Cc1ccccc1"),
        ("[2H][C@](C)(N)O", "CC(N)O"),
        (r"[H]/N=C(\N)C[2H]", "CC(N)=N"),
    ],
)
def test_without_isotopes_a_compound_has_no_hydrogens_of_its_own(labelled: str, plain: str) -> None:
    made = standardise(labelled)
    assert made.flat == standardise(plain).flat == Chem.CanonSmiles(plain)
    assert made.smiles != made.flat


@given(st.sampled_from(DRUGS), st.integers(0, 10_000))
def test_the_order_in_which_atoms_are_written_does_not_matter(smiles: str, seed: int) -> None:
    mol = Chem.MolFromSmiles(smiles)
    order = list(range(mol.GetNumAtoms()))
    random.Random(seed).shuffle(order)
    other = Chem.MolToSmiles(Chem.RenumberAtoms(mol, order), canonical=False)
    assert standardise(other)[:2] == standardise(smiles)[:2]


@given(st.sampled_from(DRUGS))
def test_what_is_standard_stays(smiles: str) -> None:
    once = standardise(smiles)
    again = standardise(once.smiles)
    assert (again.smiles, again.flat, again.changes) == (once.smiles, once.flat, ())


def test_several_processes_give_the_same_in_the_same_order() -> None:
    texts = [*DRUGS, None, "c1ccc"] * 120
    assert standardised(texts, workers=2) == standardised(texts, workers=1)
