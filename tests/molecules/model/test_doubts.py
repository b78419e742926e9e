"""A compound of which less is known than a prediction needs is borderline at best, and its table says why."""

from pathlib import Path

import polars as pl
import pytest

import medeor
from medeor.contracts import BORDERLINE, IN_DOMAIN
from medeor.molecules.model.doubts import distinguishes, open_stereo
from medeor.molecules.read.standardise import ION, MAPS, METAL, MIXTURE, RACEMATE, standardise
from medeor.road.bundle import Trained

ENDS = ("OC", "CC", "Br", "C#N", "F", "Cl", "C(F)(F)F", "N(C)C", "C(C)C", "S(C)(=O)=O")
QUICK = {"parts": '["trees"]', "trees.rounds": "40"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Alcohols of which one hand is 2.5 units stronger than the other, and fluoroethanol without any."""
    rows = [
        (f"O[{hand}H]({'C' * (1 + i % 8)})c1ccc({end})cc1", (7.5 if hand == "C@" else 5.0) + 0.05 * (i % 8))
        for i in range(8)
        for end in ENDS
        for hand in ("C@", "C@@")
    ]
    table = pl.DataFrame(rows, schema=["smiles", "pKi"], orient="row")
    accept = ("duplicates-across-parts", "near-duplicates-across-parts")
    out = tmp_path_factory.mktemp("stereo") / "run"
    return medeor.train(table, out=out, target="pKi", accept=accept, settings=QUICK)


def test_what_standardisation_takes_away_is_told_in_every_table(run: Trained, tmp_path: Path) -> None:
    good = "O[C@H](CC)c1ccc(F)cc1"
    given = {
        good: "",
        f"{good}.O[C@H](CC)c1ccc(Cl)cc1": "several compounds",
        f"[Fe+2].{good}": "metal",
        f"{good}.[Li]F": "counter-ion",
        f"{good} |&1:1|": "racemate",
    }
    table = run.predict(pl.DataFrame({"smiles": list(given)}))
    for row, reason in zip(table.iter_rows(named=True), given.values(), strict=True):
        assert row["verdict"] == (BORDERLINE if reason else IN_DOMAIN), row
        assert reason in (row["reason"] or "")
        assert (row["changes"] is not None) == bool(reason)
    medeor.predict(run, pl.DataFrame({"smiles": list(given)}), out=tmp_path / "new.csv")
    written = pl.read_csv(tmp_path / "new.csv")
    assert written["changes"].to_list() == table["changes"].to_list()
    assert written["reason"].to_list() == table["reason"].to_list()


def test_a_configuration_left_open_is_borderline_where_the_model_tells_hands_apart(run: Trained) -> None:
    table = run.predict(
        pl.DataFrame({"smiles": ["OC(CC)c1ccc(F)cc1", "O[C@H](CC)c1ccc(F)cc1", "CC[C@H](O)c1ccc(F)cc1"]})
    )
    assert table["verdict"].to_list() == [BORDERLINE, IN_DOMAIN, IN_DOMAIN]
    assert "1 stereocentre is undefined" in table["reason"][0]
    again = medeor.load(run.folder).predict(pl.DataFrame({"smiles": ["OC(CC)c1ccc(F)cc1"]}))
    assert again["verdict"].to_list() == [BORDERLINE]


@pytest.mark.parametrize(
    ("smiles", "left"),
    [
        ("CCO", None),
        ("O[C@H](CC)C", None),
        ("OC(CC)C", (1, 0)),
        ("CC=CC", (0, 1)),
        ("C/C=C/C", None),
        ("C[C@H](O)C(O)CC", (1, 0)),
        ("CC=CC(O)CC", (1, 1)),
        ("CC(N)=NO", None),
        ("C1CCCCC1", None),
    ],
)
def test_centres_and_bonds_without_a_configuration_are_counted(smiles: str, left: tuple[int, int] | None) -> None:
    assert open_stereo(smiles) == left


def test_compounds_distinguish_stereoisomers_where_most_say_which_they_are() -> None:
    stated, open_ = ["O[C@H](CC)C"] * 6, ["OC(CC)C"] * 6
    assert distinguishes(pl.Series([*stated, "CCO"]))
    assert not distinguishes(pl.Series([*stated, *open_, "OC(CC)CCC"]))
    assert distinguishes(pl.Series(stated[:5] + open_[:5]))
    assert not distinguishes(pl.Series(stated[:5] + open_))
    assert not distinguishes(pl.Series(stated[:4]))
    assert not distinguishes(pl.Series(["CCO"] * 20))


@pytest.mark.parametrize(
    ("given", "change"),
    [
        ("[CH3:1][OH:2]", MAPS),
        ("CC(=O)Oc1ccccc1C(=O)O.Cn1c(=O)c2c(ncn2C)n(C)c1=O", MIXTURE),
        ("[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1", METAL),
        ("[Li+].[Li+].[O-]C(=O)[O-]", ION),
        ("[Na+].[F-]", ION),
        ("C[C@H](O)c1ccccc1 |o1:1|", RACEMATE),
    ],
)
def test_changes_that_change_the_question_are_named(given: str, change: str) -> None:
    assert change in standardise(given).changes


@pytest.mark.parametrize("given", ["CC(=O)[O-].[Na+]", "C[NH3+].[Cl-]", "CCO.O", "C[n+]1ccccc1.F[B-](F)(F)F"])
def test_usual_counter_ions_are_left_out_without_a_doubt(given: str) -> None:
    assert not {ION, MIXTURE, METAL} & set(standardise(given).changes)


def test_numbers_of_an_atom_map_make_no_other_compound() -> None:
    from rdkit import Chem

    for text in ("CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O", "C/C=C/Cl", "[H]OC"):
        mol = Chem.MolFromSmiles(text)
        for atom in mol.GetAtoms():
            atom.SetAtomMapNum(7 + atom.GetIdx())
        mapped, plain = standardise(Chem.MolToSmiles(mol)), standardise(text)
        assert (mapped.smiles, mapped.flat) == (plain.smiles, plain.flat)
    assert standardise("[2H:1][CH2:2]O").smiles == standardise("[2H]CO").smiles
    rows = [(f"{'C' * (1 + i // 5)}c1ccc({ENDS[i % 5]})cc1", 3 + i / 10) for i in range(20)]
    mapped = [
        (text.replace("c1", "[cH:3]1", 0).replace("C", "[CH3:1]", 1) if text.startswith("Cc") else text, y)
        for text, y in rows
    ]
    parts = ["train"] * 20 + ["test"] * 20
    table = pl.DataFrame({"smiles": [t for t, _ in rows + mapped], "y": [y for _, y in rows + mapped], "split": parts})
    found = {one.check: one for one in medeor.read(table, target="y", split="split").findings}
    assert found["duplicates-across-parts"].stops
    assert len(found["duplicates-across-parts"].cases) == 40
