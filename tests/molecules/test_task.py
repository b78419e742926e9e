"""The road from a table of compounds to a bundle: unknown and censored answers, what comes back, and bad input."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from rdkit import Chem
from rdkit.Chem import Crippen, Descriptors

import medeor
from medeor.contracts import Sources, Study
from medeor.files import read_json
from medeor.molecules.read.cases import read_cases
from tiny import Said
from tiny import medeor as command

CORES = ("c1ccc({})cc1", "C1CCN({})CC1", "c1ccnc({})c1", "O=C(N){}", "CCOC(=O){}", "C1CC1{}")
ENDS = ("C", "CC", "CCC", "CCO", "C(C)C", "CCCl", "CN(C)C", "CC#N", "CCCC", "COC")
SMILES = [core.format(end) for core in CORES for end in ENDS]
MOLS = [Chem.MolFromSmiles(text) for text in SMILES]
HEAVY = [Descriptors.HeavyAtomMolWt(mol) for mol in MOLS]
QUICK = ("schedule.epochs=3", "network.width=8", "trees.rounds=20")


def train(source: Path, out: Path, *more: object) -> Said:
    settings = [word for one in QUICK for word in ("--set", one)]
    return command(
        "train", source, "--task", "molecule-property", *settings, "--accept", "near-duplicates-across-parts",
        "--out", out, "--quiet", *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two endpoints of sixty compounds: whether there is a ring, unknown for every third, and a half-life that is
    learnt by its logarithm, of which some values are limits."""
    folder = tmp_path_factory.mktemp("task")
    ring = [None if i % 3 == 0 else "yes" if mol.GetRingInfo().NumRings() else "no" for i, mol in enumerate(MOLS)]
    hours = [10 ** (1 + Crippen.MolLogP(mol) / 2) for mol in MOLS]
    said = [f">{value:.3f}" if i % 10 == 0 else f"{value:.3f}" for i, value in enumerate(hours)]
    pl.DataFrame({"smiles": SMILES, "ring": ring, "half_life": said}).write_csv(folder / "table.csv")
    ended = train(folder / "table.csv", folder / "run", "--target", "ring", "--target", "half_life")
    assert ended.code == 0, ended.err
    return folder / "run"


def test_every_step_leaves_its_file(run: Path) -> None:
    left = {path.name for path in run.iterdir()}
    tables = {"cases.parquet", "split.parquet", "predictions.parquet"}
    assert left >= tables | {"audit.json", "plan.toml", "model", "calibration.json", "metrics.json", "explanations"}
    assert left >= {"report.html", "card.md", "run.medeor"}
    page = (run / "report.html").read_text()
    assert "How much each part contributes" in page
    endpoints = page[page.index("Endpoints") :]
    assert "Half-life in plasma" in endpoints
    assert f"{read_json(run / 'metrics.json')['test']['fold_error/half_life']['value']:.3g}" in endpoints


def test_a_skewed_endpoint_is_scored_as_fold_error_without_its_limits(run: Path) -> None:
    found = read_json(run / "metrics.json")["test"]
    parts = pl.read_parquet(run / "split.parquet").filter(pl.col("part") == "test")
    tested = pl.read_parquet(run / "cases.parquet").join(parts, on="case_id", how="semi")
    said = pl.read_parquet(run / "predictions.parquet").filter(item="half_life", model="model")
    both = tested.filter(pl.col("half_life.limit") == 0).join(said, on="case_id")
    apart = (both["value"].log10() - both["half_life"].log10()).abs()
    assert found["fold_error/half_life"]["value"] == pytest.approx(10 ** apart.mean())  # type: ignore[operator]
    assert found["fold_error/half_life"]["n"] == both.height < tested.height


def test_other_compounds_are_judged_by_the_questions_that_were_learnt(run: Path) -> None:
    """All with a ring, and half-lives of whole hours: neither one class alone nor classes."""
    rings = [text for text, mol in zip(SMILES, MOLS) if mol.GetRingInfo().NumRings()]
    hours = [1 + i % 3 for i in range(len(rings))]
    table = pl.DataFrame({"smiles": rings, "ring": "yes", "half_life": hours, "batch": "a"})
    found = medeor.evaluate(run, table)
    said = medeor.predict(run, *rings)
    value = said.filter(item="half_life")["value"].to_list()
    apart = [abs(math.log10(v / hour)) for v, hour in zip(value, hours)]
    assert found["fold_error/half_life"].value == pytest.approx(10 ** (sum(apart) / len(apart)))
    # What is chosen of a compound unlike those that taught the model is withheld from users, and counts here.
    chosen = medeor.load(run).predict_cases(medeor.load(run).read(*rings)).table.filter(item="ring")["chosen"]
    assert found["accuracy/ring"].value == pytest.approx(chosen.mean())


def test_compounds_on_the_command_line_become_a_table(run: Path, tmp_path: Path) -> None:
    said = command("predict", run, "CCO", "c1ccccc1O", "--out", tmp_path / "p.csv")
    assert said.code == 0, said.err
    table = pl.read_csv(tmp_path / "p.csv")
    assert table.select("source", "item").rows() == [
        (text, item) for text in ("CCO", "c1ccccc1O") for item in ("ring", "half_life")
    ]
    assert table.filter(pl.col("item") == "ring")["value"].is_between(0, 1).all()
    assert (table["low"] <= table["value"]).all()


def test_predictions_go_into_an_sdf_with_what_could_not_be_read(run: Path, tmp_path: Path) -> None:
    (tmp_path / "new.smi").write_text("CCO ethanol\nnot_a_molecule x\nc1ccccc1O phenol\n")
    said = command("predict", run, tmp_path / "new.smi", "--out", tmp_path / "new.sdf")
    assert said.code == 0, said.err
    first, bad, last = Chem.SDMolSupplier(str(tmp_path / "new.sdf"))
    assert [Chem.MolToSmiles(first), bad.GetNumAtoms(), Chem.MolToSmiles(last)] == ["CCO", 0, "Oc1ccccc1"]
    assert "SMILES" in bad.GetProp("broken")
    table = medeor.predict(run, tmp_path / "new.smi")
    hours = table.filter((pl.col("item") == "half_life") & (pl.col("source") == "CCO"))
    for name, column in (("half_life", "value"), ("half_life.low", "low"), ("half_life.high", "high")):
        assert float(first.GetProp(name)) == pytest.approx(hours[column][0], rel=1e-4)


def test_predictions_carry_what_names_a_compound_its_standardised_structure_and_units(run: Path) -> None:
    given = pl.DataFrame(
        {"smiles": ["CC(=O)[O-].[Na+]", "no molecule"], "Compound ID": ["C-1", "C-2"], "value": [1, 2], "half_life": 3}
    )
    table = medeor.predict(run, given)
    assert table.columns[:6] == ["case_id", "source", "Compound ID", "smiles", "changes", "broken"]
    assert "value (table)" not in table.columns
    assert table["changes"][0] == "salt or solvent removed; charge neutralised"
    facts = table.select("source", "Compound ID", "smiles", "item", "unit").rows()
    assert facts == [
        ("CC(=O)[O-].[Na+]", "C-1", "CC(=O)O", "ring", None),
        ("CC(=O)[O-].[Na+]", "C-1", "CC(=O)O", "half_life", "h"),
        ("no molecule", "C-2", None, None, None),
    ]


def test_an_sdf_comes_back_with_its_titles_and_the_compounds_that_were_predicted(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mol = Chem.MolFromSmiles("CC(=O)[O-].[Na+]")
    mol.SetProp("_Name", "CPD-7")
    with Chem.SDWriter(str(tmp_path / "in.sdf")) as writer:
        writer.write(mol)
    (tmp_path / "bad.smi").write_text("CCO\nnot_a_molecule x\n")
    medeor.predict(run, tmp_path / "in.sdf", tmp_path / "bad.smi", out=tmp_path / "out.sdf")
    back = list(Chem.SDMolSupplier(str(tmp_path / "out.sdf")))
    assert [one.GetProp("_Name") for one in back] == ["CPD-7", "", "x"]
    assert Chem.MolToSmiles(back[0]) == back[0].GetProp("smiles") == "CC(=O)O"
    assert back[0].GetProp("half_life.unit") == "h"
    assert "SMILES Parse Error" not in capfd.readouterr().err


def test_a_file_that_cannot_be_written_is_told_with_every_ending_that_can(run: Path, tmp_path: Path) -> None:
    with pytest.raises(medeor.UserError, match=r"ending in \.csv, \.parquet, \.json, \.sdf, \.html$"):
        medeor.predict(run, "CCO", out=tmp_path / "o.xlsx")
    medeor.predict(run, "CCO", out=tmp_path / "o.html")
    assert "half_life" in (tmp_path / "o.html").read_text()


def test_unlike_compounds_come_to_no_harm(run: Path) -> None:
    """A peptide of 2,000 atoms, a metal complex, a salt and a single atom are answered or refused, each by itself."""
    peptide = "N" + "C(C)C(=O)N" * 400
    complex_ = "[Cl-].[Cl-].[NH3+][Pt-2]([NH3+])"
    table = medeor.predict(run, peptide, complex_, "CC(=O)[O-].[Na+]", "C")
    assert table["source"].unique(maintain_order=True).to_list() == [peptide, complex_, "CC(=O)[O-].[Na+]", "C"]
    refused = table.filter(pl.col("broken").is_not_null())
    assert refused["source"].to_list() == [peptide]
    assert "2,001 atoms" in refused["broken"][0]
    answered = table.filter(pl.col("broken").is_null())
    assert answered["value"].is_finite().all()
    assert answered.filter(pl.col("source") == complex_)["verdict"].unique().to_list() == ["out of domain"]


def rows(**columns: list[object]) -> pl.DataFrame:
    return pl.DataFrame({"smiles": SMILES, **columns})


BAD = {
    "an empty column": (rows(y=[None] * len(SMILES)), "'y'"),
    "one value alone": (rows(y=[1.5] * len(SMILES)), "'y'"),
    "no molecule": (pl.DataFrame({"smiles": ["hello", "world", "???"], "y": [1, 0, 1]}), "SMILES"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_what_cannot_be_learnt_is_one_clear_error(name: str, tmp_path: Path) -> None:
    table, said = BAD[name]
    table.write_csv(tmp_path / "bad.csv")
    ended = train(tmp_path / "bad.csv", tmp_path / "run", "--target", "y")
    assert ended.code == 2
    (line,) = ended.complaints
    assert said in line
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_delimiter_is_read_as_it_is(mark: str, tmp_path: Path) -> None:
    table = rows(y=[math.sin(i) for i in range(len(SMILES))])
    table.write_csv(tmp_path / "table.csv", separator=mark)
    found = {one.check: one for one in medeor.audit(tmp_path / "table.csv", task="molecule-property", target="y")}
    assert str(found["as-read"].message).startswith(f"{len(SMILES)} rows")
    assert found["unreadable-molecules"].status == "pass"


def test_a_column_in_another_unit_is_told(tmp_path: Path) -> None:
    rows(half_life=[1e6 + i for i in range(len(SMILES))]).write_csv(tmp_path / "table.csv")
    found = {one.check: one for one in medeor.audit(tmp_path / "table.csv", target="half_life")}
    assert found["units"].status == "fail"
    assert "half_life" in str(found["units"].message)


def test_a_repaired_table_says_classes_and_limits_as_they_were_written(tmp_path: Path) -> None:
    given = pl.DataFrame(
        {
            "smiles": ["C" * n + "O" for n in range(1, 9)],
            "ic50_nm": ["1.5", ">30000", "<0.1", "12", "40", None, "7", "8"],
            "herg": ["active", "inactive", "active", None, "inactive", "active", "inactive", "active"],
        }
    )
    given.write_csv(tmp_path / "given.csv")
    medeor.audit(tmp_path / "given.csv", target=("ic50_nm", "herg"), clean=tmp_path / "clean.csv", split="cv")
    clean = pl.read_csv(tmp_path / "clean.csv", infer_schema=False)
    assert clean["herg"].to_list() == given["herg"].to_list()
    assert clean["ic50_nm"].to_list()[:3] == ["1.5", ">30000.0", "<0.1"]
    again = read_cases(Sources((tmp_path / "clean.csv",), {}), Study(target=("ic50_nm", "herg")))
    assert again.table["ic50_nm.limit"].to_list()[:4] == [0, 1, -1, 0]
    assert "ic50_nm.limit" not in clean.columns


def test_a_repaired_table_can_be_repaired_again(tmp_path: Path) -> None:
    tables = [tmp_path / f"{number}.csv" for number in range(3)]
    rows(y=[math.sin(i) for i in range(len(SMILES))], source=["a", "b"] * 30).write_csv(tables[0])
    for before, after in pairwise(tables):
        medeor.audit(before, task="molecule-property", target="y", clean=after)
        assert pl.read_csv(after)["smiles"].n_unique() == len(SMILES)
