"""A model of others, brought to one's own compounds: what it gets wrong there is learnt, held out honestly, kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rdkit import Chem
from rdkit.Chem import Crippen

import medeor
import tiny
from medeor.contracts import Cases, Inputs, Predictions, Run, Sources, Split, Study, Target, UserError
from medeor.learning.domain import DomainMethod
from medeor.molecules.model import adapt
from medeor.molecules.model.adapt import Adapt, Correction
from medeor.molecules.model.domain import learned, sketch
from medeor.molecules.read.cases import read_cases
from medeor.statistics.split import split_cases
from medeor.testing import check_method

CORES = ("c1ccc({})cc1", "C1CCN({})CC1", "c1ccnc({})c1", "O=C(N){}", "CCOC(=O){}")
ENDS = ("C", "CC", "CCC", "CCO", "C(C)C", "CCCl", "CN(C)C", "CC#N", "CCCC", "COC")
OTHERS = ("CCBr", "CCS", "CC(F)F", "C1CC1", "CCOC", "CC=C", "CC(C)(C)C", "CCI")


def table(ends: tuple[str, ...], shift: float = 0.0) -> pl.DataFrame:
    smiles = [core.format(end) for core in CORES for end in ends]
    return pl.DataFrame(
        {"smiles": smiles, "logP": [Crippen.MolLogP(Chem.MolFromSmiles(one)) + shift for one in smiles]}
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over fifty compounds."""
    folder = tmp_path_factory.mktemp("base")
    table(ENDS).write_csv(folder / "table.csv")
    settings = ['parts=["trees"]', "trees.rounds=60", "schedule.epochs=1"]
    said = tiny.medeor(
        "train", folder / "table.csv", "--task", "molecule-property", "--target", "logP",
        *[word for one in settings for word in ("--set", one)], "--out", folder / "run",
        "--accept", "near-duplicates-across-parts",
    )  # fmt: skip
    assert said.code == 0, said.err
    return folder / "run"


def study(base: Path, given: pl.DataFrame) -> tuple[Cases, Split, Inputs]:
    asked = Study((given,), target=("logP",), split="cv")
    cases = read_cases(Sources((given,), {}), asked).usable
    return cases, split_cases(cases, asked), {"base": medeor.load(base)}


def test_another_laboratory_is_learnt_from_forty_compounds(base: Path, tmp_path: Path) -> None:
    """Every value of the other laboratory is higher by 2: a base that is off by as much is put right."""
    ours = table(OTHERS, shift=2.0)
    ours.write_csv(tmp_path / "ours.csv")
    options = ("--task", "molecule-property", "--target", "logP", "--split", "cv", "--set", f"inputs.base={base}")
    accepted = ("--accept", "near-duplicates-across-parts")
    said = tiny.medeor("train", tmp_path / "ours.csv", *options, *accepted, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    metrics = medeor.files.read_json(tmp_path / "run" / "metrics.json")["cv"]
    assert metrics["rmse"]["value"] < 0.5 * metrics["baseline/rmse"]["value"]
    new = table(("CCCO", "CCF", "C(C)CC"), shift=2.0)
    said = medeor.load(tmp_path / "run" / "run.medeor").predict(new.select("smiles"))
    assert float(np.abs(said["value"].to_numpy() - new["logP"].to_numpy()).mean()) < 1.0


def test_a_held_out_compound_does_not_know_its_own_value(base: Path, tmp_path: Path) -> None:
    given = table(OTHERS)
    cases, split, inputs = study(base, given)
    first = Adapt().fit(cases, split, inputs, Run(tmp_path)).held_out.table
    fold = split.table.filter(pl.col("fold") == 0)["case_id"].implode()
    changed = cases.table.with_columns(
        logP=pl.when(pl.col("case_id").is_in(fold)).then(pl.col("logP") + 7).otherwise("logP")
    )
    again = Adapt().fit(replace(cases, table=changed), split, inputs, Run(tmp_path)).held_out.table
    own = pl.col("case_id").is_in(fold)
    assert again.filter(own)["value"].to_list() == pytest.approx(first.filter(own)["value"].to_list())
    assert again.filter(~own)["value"].to_list() != pytest.approx(first.filter(~own)["value"].to_list())


def test_the_correction_is_that_of_a_gaussian_process(base: Path) -> None:
    """Against the solution written out, with the kernel that was found and the noise that follows from it."""
    cases, *_ = study(base, table(OTHERS))
    prints = sketch(cases)
    draw = np.random.default_rng(0)
    errors = (prints[:, :40].sum(1) + draw.normal(size=len(prints)))[:, None]
    made = adapt._fitted(cases.targets[0], prints, errors)
    kernel = made.alike * adapt._tanimoto(prints, prints) + made.common
    # The noise is what is missing for the weights to give the errors back.
    noise = ((errors - kernel @ made.weights) / made.weights).ravel()
    assert noise == pytest.approx(np.full(len(noise), noise.mean()), rel=1e-6)
    assert noise.mean() > 0
    expected = kernel @ np.linalg.solve(kernel + noise.mean() * np.eye(len(errors)), errors)
    assert made.of(prints) == pytest.approx(expected, rel=1e-6)


def test_without_errors_nothing_is_added(base: Path) -> None:
    cases, *_ = study(base, table(OTHERS))
    made = adapt._fitted(cases.targets[0], sketch(cases), np.zeros((len(cases), 1)))
    assert isinstance(made, Correction)
    assert not made.of(sketch(cases)).any()


def test_it_keeps_what_every_method_keeps(base: Path) -> None:
    for _, check in check_method(DomainMethod(Adapt(), partial(learned, False)), *study(base, table(OTHERS))):
        check()


def test_arrays_of_the_base_are_kept_for_the_cases_that_are_asked(base: Path) -> None:
    cases, *_ = study(base, table(OTHERS))
    before = medeor.load(base).predict_cases(cases)
    before = Predictions(before.table, {case: Path(f"{case}.npy") for case in cases.ids})
    few = cases.where(pl.col("case_id").is_in(cases.ids[:3]))
    learnt = adapt._learn(cases, before, sketch(cases))
    assert list(adapt._corrected(few, before, sketch(few), learnt).arrays) == few.ids


def test_a_base_that_answers_another_question_is_refused(base: Path, tmp_path: Path) -> None:
    table(OTHERS).rename({"logP": "logD"}).write_csv(tmp_path / "ours.csv")
    options = ("--task", "molecule-property", "--target", "logD", "--set", f"inputs.base={base}")
    said = tiny.medeor("train", tmp_path / "ours.csv", *options, "--out", tmp_path / "run")
    assert said.code == 2
    assert "does not predict 'logD'" in said.err
    said = tiny.medeor("train", tmp_path / "ours.csv", *options[:-1], "inputs.bass=x", "--out", tmp_path / "run")
    assert said.code == 2
    assert "takes no input 'bass'" in said.err
    said = tiny.medeor("train", tmp_path / "ours.csv", *options[:-1], 'parts=["base"]', "--out", tmp_path / "run")
    assert said.code == 2
    assert "inputs.base=RUN" in said.err
    with pytest.raises(UserError, match="no such run"):
        medeor.train(str(tmp_path / "ours.csv"), inputs={"base": str(tmp_path / "none")}, out=tmp_path / "r")


def test_a_base_whose_classes_mean_the_opposite_is_refused(tmp_path: Path) -> None:
    given = table(ENDS).with_columns(greasy=pl.when(pl.col("logP") > 1.5).then(pl.lit("yes")).otherwise(pl.lit("no")))
    asked = Study((given,), target=("logP", "greasy"), split="cv")
    cases = read_cases(Sources((given,), {}), asked)
    opposite = replace(cases.targets[1], values=("yes", "no"))

    @dataclass(frozen=True)
    class Base:
        targets: tuple[Target, ...]
        digest = study = model = run = ""
        read = predict_cases = print

    assert adapt.base_of(cases, {"base": Base(cases.targets)}).targets == cases.targets
    with pytest.raises(UserError, match=r"'greasy' \(no, yes\): it predicts .* greasy \(yes, no\)"):
        adapt.base_of(cases, {"base": Base((cases.targets[0], opposite))})
