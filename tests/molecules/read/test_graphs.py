"""The arrays say of every atom and bond what RDKit says, asked one by one; a batch is its molecules side by side."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rdkit import Chem

from medeor import __version__
from medeor.molecules.read.graphs import ATOM_CODES, BOND_CODES, MoleculeGraphs, graphs, joined, of_molecules
from medeor.molecules.read.standardise import molecule, standardised
from medeor.molecules.read.store import MoleculeStore

SMILES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "C[C@H](N)C(=O)O",
    "C/C=C/C#N",
    "C/C=C\\c1ccc2[nH]ccc2c1",
    "[NH4+]",
    "C",
    "N[Pt](N)(Cl)Cl",
    "C[N+](C)(C)CC(=O)[O-]",
    "C1CC1C1CCC2(CC1)CCCCCCCCC2",
    "O=[N+]([O-])c1ccccc1-c1ccccc1",
    "FS(F)(F)(F)(F)F",
    "[2H]C([2H])([2H])O",
]


def by_hand(smiles: str) -> tuple[list[tuple[int, ...]], dict[tuple[int, int], tuple[int, ...]]]:
    """Codes of the atoms and, by their ends, of the bonds, from RDKit's own answers."""
    mol = Chem.MolFromSmiles(smiles)
    hybrid = {"SP": 1, "SP2": 2}
    atoms = []
    for atom in mol.GetAtoms():
        sizes = [len(ring) for ring in mol.GetRingInfo().AtomRings() if atom.GetIdx() in ring]
        hand = {"R": 1, "S": 2}.get(atom.GetProp("_CIPCode"), 0) if atom.HasProp("_CIPCode") else 0
        atoms.append(
            (
                atom.GetAtomicNum(),
                min(atom.GetTotalDegree(), 7),
                atom.GetFormalCharge() + 3,
                min(atom.GetTotalNumHs(includeNeighbors=True), 5),
                hybrid.get(str(atom.GetHybridization()), 0),
                int(atom.GetIsAromatic()),
                min([*sizes, 8]) if sizes else 0,
                hand,
            )
        )
    bonds = {}
    for bond in mol.GetBonds():
        ends = tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())))
        order = {"SINGLE": 1, "DOUBLE": 2, "TRIPLE": 3, "AROMATIC": 4}[str(bond.GetBondType())]
        stereo = {"STEREOZ": 1, "STEREOE": 2}.get(str(bond.GetStereo()), 0)
        bonds[ends] = (order, int(bond.IsInRing()), stereo)
    return atoms, bonds


def check(smiles: list[str], made: MoleculeGraphs) -> None:
    for number, text in enumerate(smiles):
        atoms, bonds = by_hand(text)
        first, last = made.atom_start[number : number + 2]
        assert [tuple(row) for row in made.atoms[first:last].tolist()] == atoms, text
        first, last = made.bond_start[number : number + 2]
        ends, codes = made.ends[first:last].tolist(), made.bonds[first:last].tolist()
        assert {tuple(pair): tuple(code) for pair, code in zip(ends, codes)} == bonds, text


def test_codes_are_those_of_rdkit() -> None:
    made = graphs(SMILES)
    check(SMILES, made)
    assert (made.atoms < np.array(list(ATOM_CODES.values()))).all()
    assert (made.bonds < np.array(list(BOND_CODES.values()))).all()


def test_hydrogens_of_their_own_are_read_the_same_way_twice() -> None:
    given = [r"[H]/N=C(\N)c1ccccc1", "[2H]C([2H])([2H])NC", r"[2H]/C(C)=C/C", r"[H]/N=C(/[2H])C", "[H][H]", "[2H]Cl"]
    texts = [one.smiles for one in standardised(given) if one.smiles]
    assert len(texts) == len(given)
    made, usual = graphs(texts), of_molecules([molecule(text) for text in texts], texts)
    check(texts, made)
    for name, array in usual.arrays().items():
        assert np.array_equal(array, made.arrays()[name])
    assert np.array_equal(graphs([given[0]]).atoms, graphs([r"N=C(\N)c1ccccc1"]).atoms)


@pytest.mark.data
def test_codes_are_those_of_rdkit_for_real_compounds(real_data: Path) -> None:
    texts = pl.read_csv(real_data / "molecules/moleculenet/sider.csv")["smiles"].head(700).to_list()
    smiles = [one.smiles for one in standardised(texts) if one.smiles]
    check(smiles, graphs(smiles))


def test_a_batch_is_its_molecules_side_by_side() -> None:
    made = graphs(SMILES)
    chosen = np.array([3, 0, 5, 3])
    batch = made.batch(chosen)
    alone = [made.batch(np.array([number])) for number in chosen]
    assert np.array_equal(batch.atoms, np.concatenate([one.atoms for one in alone]))
    assert np.array_equal(batch.bonds, np.concatenate([one.bonds for one in alone]))
    shift = np.cumsum([0, *(len(one.atoms) for one in alone)])
    assert np.array_equal(batch.source, np.concatenate([one.source + s for one, s in zip(alone, shift)]))
    assert np.array_equal(batch.molecule, np.repeat(np.arange(4), [len(one.atoms) for one in alone]))


def test_the_reverse_of_a_bond_is_its_neighbour() -> None:
    batch = graphs(SMILES).batch(np.arange(len(SMILES)))
    reverse = np.arange(len(batch.source)) ^ 1
    assert np.array_equal(batch.source[reverse], batch.target)
    assert np.array_equal(batch.bonds[reverse], batch.bonds)
    assert (batch.molecule[batch.source] == batch.molecule[batch.target]).all()


def test_the_order_of_writing_permutes_the_codes_only() -> None:
    mol = Chem.MolFromSmiles("C[C@H](N)c1ccc(/C=C/C#N)cc1")
    others = {Chem.MolToSmiles(mol, doRandom=True) for _ in range(20)}
    assert len(others) > 5
    rows = {str(sorted(graphs([text]).atoms.tolist())) for text in others}
    bonds = {str(sorted(graphs([text]).bonds.tolist())) for text in others}
    assert (len(rows), len(bonds)) == (1, 1)


def test_nothing_at_all_is_an_empty_graph() -> None:
    assert len(graphs([])) == 0
    assert len(joined([graphs([]), graphs(["CC"])])) == 1


def test_what_is_no_molecule_is_refused() -> None:
    with pytest.raises(ValueError, match="'c1cc' is no molecule"):
        graphs(["c1cc"])


def test_processes_agree_and_the_cache_gives_back_what_it_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE", str(tmp_path))
    monkeypatch.setattr("medeor.molecules.read.store.WORTHWHILE", 10)
    smiles = [f"{'C' * left}N{'C' * right}" for left in range(1, 27) for right in range(1, 27)]
    apart, together = graphs(smiles, workers=2), graphs(smiles, workers=1)
    for name, array in together.arrays().items():
        assert np.array_equal(array, apart.arrays()[name])
    first, second = (MoleculeStore(pl.Series(smiles)).graphs for _ in range(2))
    (kept,) = (tmp_path / "molecules").iterdir()
    assert kept.name.endswith(".npz-" + __version__)
    for name, array in together.arrays().items():
        assert np.array_equal(array, first.arrays()[name])
        assert np.array_equal(array, second.arrays()[name])


def test_the_store_finds_the_rows_of_its_molecules() -> None:
    store = MoleculeStore(pl.Series(["CC", "CCO", "CN"]))
    assert store.rows(pl.Series(["CN", "CC", "CN"])).tolist() == [2, 0, 2]
    with pytest.raises(LookupError):
        store.rows(pl.Series(["CCC"]))
    assert store.digest != MoleculeStore(pl.Series(["CC", "CN", "CCO"])).digest
