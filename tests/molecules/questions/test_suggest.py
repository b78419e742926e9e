"""What to make or measure next: the gain is that of the formula, nothing measured or strange is chosen, each is new."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from rdkit import Chem
from rdkit.Chem import Crippen
from scipy.integrate import quad
from scipy.stats import norm

import medeor
import tiny
from medeor.contracts import Target, UserError
from medeor.molecules.questions import suggest
from medeor.molecules.questions.suggest import SIGMAS, _diverse

CORES = ("c1ccc({})cc1", "C1CCN({})CC1", "c1ccnc({})c1", "O=C(N){}", "CCOC(=O){}")
ENDS = ("C", "CC", "CCC", "CCO", "C(C)C", "CCCl", "CN(C)C", "CC#N", "CCCC", "COC")
NEW = ("CCCCC", "CCCCCC", "CCCCl", "O", "N", "CO")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over fifty compounds: Crippen's logP, and whether they hold a ring."""
    folder = tmp_path_factory.mktemp("suggest")
    smiles = [core.format(end) for core in CORES for end in ENDS]
    mols = [Chem.MolFromSmiles(text) for text in smiles]
    ring = ["yes" if mol.GetRingInfo().NumRings() else "no" for mol in mols]
    logp = [Crippen.MolLogP(mol) for mol in mols]
    pl.DataFrame({"smiles": smiles, "logP": logp, "ring": ring}).write_csv(folder / "table.csv")
    library = [*smiles[:5], *(core.format(end) for core in CORES for end in NEW), "[Pt]", "no molecule"]
    pl.DataFrame({"smiles": library}).write_csv(folder / "library.csv")
    settings = ['parts=["trees"]', "trees.rounds=60", "schedule.epochs=1"]
    said = tiny.medeor(
        "train", folder / "table.csv", "--task", "molecule-property", "--target", "logP", "--target", "ring",
        *[word for one in settings for word in ("--set", one)], "--out", folder / "run",
        "--accept", "near-duplicates-across-parts",
    )  # fmt: skip
    assert said.code == 0, said.err
    return folder / "run"


def ask(run: Path, **where: str) -> pl.DataFrame:
    library = str(run.parent / "library.csv")
    return medeor.query(
        run, {"suggest": "6", "candidates": library, "endpoint": "logP", "better": "higher", **where}
    ).table


def test_the_gain_is_the_expected_improvement(run: Path) -> None:
    for row in ask(run, than="1.5").iter_rows(named=True):
        deviation = (row["high"] - row["low"]) / SIGMAS
        density = norm(row["value"], deviation).pdf
        expected, _ = quad(lambda y, density=density: (y - 1.5) * density(y), 1.5, 20)
        assert row["gain"] == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_value_to_beat_is_by_default_the_best_that_was_measured(run: Path) -> None:
    best = pl.read_parquet(run / "cases.parquet").join(pl.read_parquet(run / "split.parquet"), on="case_id")
    best = best.filter(pl.col("part_right" if "part_right" in best.columns else "part") != "test")["logP"].max()
    assert ask(run).equals(ask(run, than=repr(best)))


def test_the_value_to_beat_was_measured_and_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("y", "continuous")
    model, asked = SimpleNamespace(), SimpleNamespace(run=None)
    asked.model = model
    measured = pl.DataFrame({"y": [3.0, 12.0, 30000.0], "y.limit": [-1, 0, 1]})
    monkeypatch.setattr(suggest, "measured_of", lambda model, run: measured)
    assert suggest._reference({}, target, asked, "higher") == 12
    assert suggest._reference({}, target, asked, "lower") == 12
    monkeypatch.setattr(suggest, "measured_of", lambda model, run: measured.filter(pl.col("y.limit") != 0))
    with pytest.raises(UserError, match="than=VALUE"):
        suggest._reference({}, target, asked, "higher")


def test_candidates_come_back_with_the_names_of_the_file(run: Path) -> None:
    library = pl.read_csv(run.parent / "library.csv").with_row_index("Compound ID")
    library.write_csv(run.parent / "named.csv")
    chosen = ask(run, candidates=str(run.parent / "named.csv"))
    names = dict(library.select(pl.col("Compound ID").cast(pl.String), "smiles").rows())
    assert [names[name] for name in chosen["Compound ID"]] == chosen["source"].to_list()


def test_what_was_measured_what_is_broken_and_what_is_strange_is_not_chosen(run: Path) -> None:
    chosen = ask(run, suggest="40")
    taught = set(pl.read_parquet(run / "cases.parquet")["smiles"])
    split = pl.read_parquet(run / "split.parquet")
    tested = set(pl.read_parquet(run / "cases.parquet").join(split.filter(part="test"), on="case_id")["smiles"])
    assert not set(chosen["smiles"]) & (taught - tested)
    assert "[Pt]" not in chosen["smiles"].to_list()
    assert chosen["smiles"].is_unique().all()


def test_to_learn_the_most_uncertain_class_comes_first(run: Path) -> None:
    chosen = ask(run, endpoint="ring", aim="learn", suggest="100")
    doubt = (chosen["value"] - 0.5).abs().to_list()
    assert len(doubt) > 10
    assert doubt[0] == min(doubt)


def test_a_copy_of_what_was_chosen_comes_last() -> None:
    prints = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]], np.uint8)
    assert _diverse(np.array([3.0, 2.9, 0.1]), prints, 3).tolist() == [0, 2, 1]
    assert _diverse(np.array([3.0, 0.0, 0.1]), prints, 3).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"suggest": "none"}, "how many compounds"),
        ({"aim": "worst"}, "neither best nor learn"),
        ({"endpoint": "pKa"}, "one of logP, ring"),
        ({"better": "more"}, "better=higher, or lower"),
        ({"than": "much"}, "is no number"),
        ({"candidates": ""}, "candidates=library.csv"),
    ],
)
def test_a_question_that_is_none_is_refused(run: Path, where: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        ask(run, **where)


def test_a_bundle_is_told_what_to_beat(run: Path) -> None:
    (bundle,) = run.glob("*.medeor")
    with pytest.raises(UserError, match="than=VALUE"):
        ask(bundle.parent / bundle.name, candidates=str(run.parent / "library.csv"))
