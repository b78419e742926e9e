"""One compound, told: values with unit and interval, the verdict, the nearest measured compounds, and the picture."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rdkit import Chem
from rdkit.Chem import Crippen

import medeor
from medeor.contracts import Cases, Explanation, Explanations, Predictions, Result, Target, UserError
from medeor.molecules.model.domain import NEIGHBOURS
from medeor.molecules.questions.panel import _measured, _remarks, reasons
from medeor.targets import by_item
from tiny import medeor as command

CORES = ("c1ccc({})cc1", "C1CCN({})CC1", "c1ccnc({})c1", "O=C(N){}", "CCOC(=O){}")
ENDS = ("C", "CC", "CCC", "CCO", "C(C)C", "CCCl", "CN(C)C", "CC#N", "CCCC", "COC")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over fifty compounds: Crippen's logP, and whether they hold a ring."""
    folder = tmp_path_factory.mktemp("panel")
    smiles = [core.format(end) for core in CORES for end in ENDS]
    mols = [Chem.MolFromSmiles(text) for text in smiles]
    logp = [Crippen.MolLogP(mol) for mol in mols]
    ring = ["yes" if mol.GetRingInfo().NumRings() else "no" for mol in mols]
    pl.DataFrame({"smiles": smiles, "logP": logp, "ring": ring}).write_csv(folder / "table.csv")
    settings = ["schedule.epochs=2", "network.width=8", "trees.rounds=20", "analogues=true"]
    said = command(
        "train", folder / "table.csv", "--task", "molecule-property", "--target", "logP", "--target", "ring",
        *[word for one in settings for word in ("--set", one)], "--out", folder / "run",
        "--accept", "near-duplicates-across-parts",
    )  # fmt: skip
    assert said.code == 0, said.err
    return folder / "run"


def test_one_compound_is_told_on_the_screen(run: Path) -> None:
    said = command("predict", run, "OCc1ccccc1")
    assert said.code == 0, said.err
    logp, ring = (next(line for line in said.out.splitlines() if line.startswith(name)) for name in ("logP", "ring"))
    table = medeor.predict(run, "OCc1ccccc1")
    value, low, high = table.filter(pl.col("item") == "logP").select("value", "low", "high").row(0)
    assert [float(one) for one in re.findall(r"-?\d+\.?\d*", logp)[:3]] == pytest.approx([value, low, high], rel=0.01)
    assert "probability" in ring
    nearest = said.out[said.out.index("Nearest measured compounds") :].splitlines()[2 : 2 + NEIGHBOURS]
    known = pl.read_csv(run.parent / "table.csv")
    truth = {Chem.CanonSmiles(text): (logp, ring) for text, logp, ring in known.iter_rows()}
    for line in nearest:
        _, smiles, measured, closed = line.split()
        assert float(measured) == pytest.approx(truth[smiles][0], rel=0.01, abs=0.01)
        assert closed == truth[smiles][1]


def test_a_bundle_tells_analogues_only_where_they_were_let_go(run: Path) -> None:
    (bundle,) = run.glob("*.medeor")
    assert command("predict", bundle, "OCc1ccccc1").out == command("predict", run, "OCc1ccccc1").out


def test_the_page_holds_a_drawing(run: Path, tmp_path: Path) -> None:
    said = command("predict", run, "OCc1ccccc1", "--out", tmp_path / "page.html")
    assert said.code == 0, said.err
    page = (tmp_path / "page.html").read_text()
    assert "Nearest measured compounds" in page
    assert page.count('role="img"') >= 2


def test_nothing_is_chosen_of_what_is_unlike_all_training_compounds(run: Path) -> None:
    table = medeor.predict(run, "N[Pt](N)(Cl)Cl", "OCc1ccccc1")
    verdicts = table.filter(pl.col("item") == "ring").select("verdict", "chosen").rows()
    assert [verdict for verdict, _ in verdicts] == ["out of domain", "in domain"]
    assert verdicts[0][1] is None
    assert verdicts[1][1] is not None
    assert "no training compound holds Pt" in table["reason"][0]
    assert "No training compound holds Pt." in command("predict", run, "N[Pt](N)(Cl)Cl").out


def test_what_is_known_by_a_limit_alone_is_shown_as_such() -> None:
    hours = Target("hours", "continuous")
    shown = [_measured(24.0, hours, limit) for limit in (1, 0, -1, None)]
    assert shown == [">24", "24", "<24", "24"]
    assert _measured(30000.0, hours, 1) == ">30000"


def test_reasons_of_several_endpoints_are_told_with_their_endpoints() -> None:
    targets = (Target("logP", "continuous"), Target("ring", "binary"), Target("site", "multiclass", ("a", "b")))
    items = by_item(targets)

    def said(*reasons: str | None) -> str:
        return _remarks({}, pl.DataFrame({"item": list(items), "reason": reasons}), items)

    assert said("too far", "too far", "too far", "too far") == "Too far."
    assert said("too far", "a guess", None, None) == "logP: too far. ring: a guess."
    assert said("too far", None, "too far", "too far") == "logP, site: too far."


def test_a_row_that_is_no_molecule_is_told_as_such(run: Path) -> None:
    told = medeor.summarize(run, pl.DataFrame({"smiles": ["C1CC", "CCO"]}))
    assert "Not predicted" in str(told.figures[0].caption)
    assert told.figures[1].title == "CCO"


def test_many_compounds_stay_a_table_and_make_no_page(run: Path, tmp_path: Path) -> None:
    many = ["C" * count + "O" for count in range(1, 40)]
    assert command("predict", run, *many).out.startswith("case_id,")
    with pytest.raises(UserError, match="at most"):
        medeor.summarize(run, *many, out=tmp_path / "page.html")
    assert np.isfinite(medeor.predict(run, *many)["value"].to_numpy()).all()


def test_weights_of_other_things_than_atoms_are_not_drawn_on_them() -> None:
    """Five neighbours of a compound of five atoms."""
    target = Target("y", "continuous")
    weights = np.arange(5, dtype=np.float32)
    neighbours = tuple(f"neighbour {number}" for number in range(5))
    one = Explanation("c", "y", "neighbours", weights, neighbours, {"effect": 3.0})
    cases = Cases(pl.DataFrame({"case_id": ["c"], "smiles": ["CCCCO"], "y": [1.0]}), (target,))
    table = pl.DataFrame({"case_id": ["c"], "item": ["y"], "value": [1.2]})
    result = Result(cases, Predictions(table), Predictions(table), Explanations((one,), {}), {})
    (figure,) = reasons(result)
    assert "by other things than atoms" in str(figure.caption)
