"""Distances are those of the compounds that taught the model that was asked; what is far, large or strange is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from medeor import registry
from medeor.contracts import Cases, Fitted, Predictions, Run, Sources, Split, Study, Target
from medeor.learning.domain import DomainMethod, DomainModel
from medeor.molecules.model import domain
from medeor.molecules.model.domain import (
    alike,
    analogues,
    learn,
    measured_in,
)
from medeor.molecules.model.neighbours import NeighbourMethod
from medeor.molecules.read.cases import read_cases
from medeor.statistics.split import split_cases
from medeor.trust.calibration import calibrate

ALCOHOLS = ["C" * n + "O" for n in range(1, 21)]
ACIDS = ["C" * n + "C(=O)O" for n in range(1, 21)]
RINGS = [f"c1ccc({'C' * n}N)cc1" for n in range(1, 21)]


def tanimoto(one: str, other: str) -> float:
    generator = rdFingerprintGenerator.GetMorganGenerator(2, fpSize=domain.BITS)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in (one, other)]
    return DataStructs.TanimotoSimilarity(*prints)


def study(smiles: list[str], values: list[float | None], **columns: list) -> tuple[Cases, Split]:
    table = pl.DataFrame({"smiles": smiles, "y": values, **columns})
    asked = Study((table,), target=("y", *columns), options={"kind": "continuous"}, split="cv")
    cases = read_cases(Sources((table,), {}), asked).usable
    return cases, split_cases(cases, asked)


def asked(smiles: list[str], targets: tuple[Target, ...]) -> Cases:
    cases = read_cases(Sources(tuple(smiles), {}, labelled=False), Study())
    return replace(cases, targets=targets).usable


def off_by(cases: Cases, error: np.ndarray) -> Predictions:
    """Predictions of the first target that are off by these errors."""
    name = cases.targets[0].name
    return Predictions(cases.table.select("case_id", item=pl.lit(name), value=pl.col(name) + pl.Series(error)))


@pytest.fixture(scope="module")
def chains() -> tuple[Cases, Split]:
    smiles = ALCOHOLS + ACIDS + RINGS
    return study(smiles, np.random.default_rng(0).normal(size=len(smiles)).tolist())


def test_similarity_is_that_of_an_independent_library(chains: tuple[Cases, Split]) -> None:
    cases, split = chains
    found, _ = learn(cases, split, off_by(cases, np.ones(len(cases))))
    questions = ["CCCCN", "Cc1ccccc1", "OCC(=O)O"]
    told = found.judge(asked(questions, cases.targets))
    best = [max(tanimoto(one, other) for other in cases.table["smiles"]) for one in questions]
    assert told["similarity"].to_list() == pytest.approx(best, abs=1e-6)


def test_a_held_out_compound_is_as_far_as_the_other_folds_are(chains: tuple[Cases, Split]) -> None:
    cases, split = chains
    _, held_out = learn(cases, split, off_by(cases, np.ones(len(cases))))
    rows = cases.table.join(split.table, on="case_id").select("smiles", "fold")
    for smiles, fold, told in zip(rows["smiles"], rows["fold"], held_out.table["similarity"]):
        others = rows.filter(pl.col("fold") != fold)["smiles"]
        assert told == pytest.approx(max(tanimoto(smiles, other) for other in others), abs=1e-6)


def test_where_one_part_alone_was_held_out_it_is_as_far_as_all_the_rest(chains: tuple[Cases, Split]) -> None:
    cases, split = chains
    part = cases.where(pl.col("case_id").is_in(split.table.filter(pl.col("fold") == 2)["case_id"].implode()))
    _, held_out = learn(cases, split, off_by(part, np.ones(len(part))))
    rest = cases.table.filter(~pl.col("case_id").is_in(part.table["case_id"].implode()))["smiles"]
    best = [max(tanimoto(smiles, other) for other in rest) for smiles in part.table["smiles"]]
    assert held_out.table["similarity"].to_list() == pytest.approx(best, abs=1e-6)


def test_a_compound_of_which_the_target_is_unknown_is_no_neighbour_for_it() -> None:
    smiles = ALCOHOLS + ACIDS
    half = [1.0 * n for n in range(20)] + [None] * 20
    cases, split = study(smiles, [1.0 * n for n in range(40)], z=half)
    held = off_by(cases, np.ones(40)).table
    z = cases.table.filter(pl.col("z").is_not_null()).select("case_id", item=pl.lit("z"), value=pl.col("z") + 1)
    found, _ = learn(cases, split, Predictions(pl.concat([held, z])))
    told = found.judge(asked(["CCCCCC(=O)O"], cases.targets))
    far = max(tanimoto("CCCCCC(=O)O", other) for other in ALCOHOLS)
    assert dict(told.select("item", "similarity").iter_rows()) == pytest.approx({"y": 1.0, "z": far}, abs=1e-6)


def test_a_few_nearest_are_averaged_and_fewer_where_there_are_fewer() -> None:
    bits = np.eye(4, 8, dtype=np.uint8) | np.eye(4, 8, 1, dtype=np.uint8)
    first, mean = alike(bits[:1], bits, np.array([[True, False]] * 2 + [[True, True]] * 2))
    # The first shares all with itself, one of three bits with the second, nothing with the others.
    assert first[0].tolist() == pytest.approx([1, 0])
    assert mean[0].tolist() == pytest.approx([(1 + 1 / 3) / 3, 0])


def test_the_expected_error_is_the_line_that_was_planted(chains: tuple[Cases, Split]) -> None:
    cases, split = chains
    found, held_out = learn(cases, split, off_by(cases, np.ones(len(cases))))
    fold = cases.table.join(split.table, on="case_id", how="left", maintain_order="left")["fold"].to_numpy()
    mean = np.empty(len(cases))
    for number in range(split.folds):
        own = fold == number
        mean[own] = alike(found.sketches[own], found.sketches[~own], found.known[~own])[1][:, 0]
    error = 0.3 + 2 * (1 - mean)
    found, held_out = learn(cases, split, off_by(cases, error))
    assert (found.reaches[0].near, found.reaches[0].slope) == pytest.approx((0.3, 2), abs=1e-4)
    assert held_out.table["spread"].to_numpy() == pytest.approx(error, abs=1e-4)
    assert calibrate(cases, held_out).targets[0].method == "spread"


def test_the_expected_error_of_what_is_learnt_by_its_logarithm_is_a_factor(chains: tuple[Cases, Split]) -> None:
    cases, split = chains
    target = replace(cases.targets[0], scale="log")
    powers = replace(cases, table=cases.table.with_columns(y=10 ** pl.col("y")), targets=(target,))
    told = off_by(cases, np.full(len(cases), 0.3)).table.with_columns(value=10 ** pl.col("value"))
    found, held_out = learn(powers, split, Predictions(told))
    assert held_out.table["spread"].to_numpy() == pytest.approx(10**0.3, abs=1e-4)
    assert found.judge(asked(["CCCCN"], (target,)))["spread"].to_list() == pytest.approx([10**0.3], abs=1e-4)


def test_what_is_strange_large_or_far_is_told_with_its_reason(chains: tuple[Cases, Split]) -> None:
    cases, split = chains
    found, _ = learn(cases, split, off_by(cases, np.ones(len(cases))))
    questions = ["CCCCCO", "N[Pt](N)(Cl)Cl", "C" * 60 + "O", "C" * 30 + "O", "FC1(F)C(F)(F)C(Cl)(Cl)C1(F)F"]
    table = found.judge(asked(questions, cases.targets))
    told = dict(zip(questions, table.select("verdict", "reason").rows()))
    assert told["CCCCCO"] == ("in domain", None)
    # Pt and Cl are both new; the lighter is named.
    assert told["N[Pt](N)(Cl)Cl"] == ("out of domain", "no training compound holds Cl")
    largest = max(Chem.MolFromSmiles(text).GetNumAtoms() for text in cases.table["smiles"])
    assert told["C" * 60 + "O"] == ("out of domain", f"it has 61 atoms, the largest training compound {largest}")
    assert told["C" * 30 + "O"] == ("borderline", f"it has 31 atoms, the largest training compound {largest}")
    assert told["FC1(F)C(F)(F)C(Cl)(Cl)C1(F)F"][0] == "out of domain"


def test_a_labelled_hydrogen_is_no_strange_element(chains: tuple[Cases, Split]) -> None:
    cases, split = chains
    found, _ = learn(cases, split, off_by(cases, np.ones(len(cases))))
    table = found.judge(asked(["[2H]C(C)CCCO", "[2H]C(Br)CCCO"], cases.targets))
    reasons = table["reason"].to_list()
    assert "holds" not in (reasons[0] or "")
    assert reasons[1] == "no training compound holds Br"


def test_no_better_than_a_guess_is_unknown(chains: tuple[Cases, Split]) -> None:
    cases, split = chains
    plain, held = learn(cases, split, off_by(cases, np.zeros(len(cases))))
    far = held.table["similarity"].to_numpy() < np.quantile(held.table["similarity"], 0.2)
    found, _ = learn(cases, split, off_by(cases, np.where(far, 5.0, 0.0)))
    assert not plain.reaches[0].guess
    assert found.reaches[0].guess
    assert found.reaches[0].unknown > plain.reaches[0].unknown


def test_with_hardly_a_held_out_compound_nothing_is_said_of_errors_and_nothing_is_inside() -> None:
    cases, split = study(ALCOHOLS[:8], [1.0 * n for n in range(8)])
    found, held_out = learn(cases, split, off_by(cases, np.ones(8)))
    assert held_out.table["spread"].null_count() == 8
    told = found.judge(asked(["CCCO"], cases.targets))
    assert told.select("verdict", "reason").rows() == [("out of domain", "the model was tested on only 8 compounds")]


# --- on the road -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counted:
    """A model that notes how many cases it is asked at once, and answers each with an array too."""

    sizes: list[int]

    def predict(self, cases: Cases, run: Run) -> Predictions:
        self.sizes.append(len(cases))
        arrays = {case: Path(f"{case}.npy") for case in cases.ids}
        return Predictions(cases.table.select("case_id", item=pl.lit("y"), value=pl.lit(1.0)), arrays)

    def save(self, folder: Path) -> None:
        raise AssertionError


def test_many_compounds_are_predicted_in_batches_and_keep_their_arrays(
    chains: tuple[Cases, Split], monkeypatch
) -> None:
    cases, split = chains
    found, _ = learn(cases, split, off_by(cases, np.ones(len(cases))))
    monkeypatch.setattr(domain, "BATCH_SIZE", 25)
    counted = Counted([])
    whole = asked(cases.table["smiles"].to_list(), cases.targets)
    table, arrays = vars(DomainModel(counted, found).predict(whole, Run(Path()))).values()
    assert counted.sizes == [25, 25, 10]
    assert list(arrays) == whole.ids
    assert table["case_id"].to_list() == whole.ids
    assert table.select("spread", "similarity", "verdict").equals(
        found.judge(whole).select("spread", "similarity", "verdict")
    )


def fitted(cases: Cases, split: Split, folder: Path, shared: bool) -> Fitted:
    from medeor.learning.folds import Folds

    method = DomainMethod(Folds(NeighbourMethod()), partial(domain.learned, shared))
    return method.fit(cases, split, {}, Run(folder))


@pytest.mark.parametrize("shared", [False, True])
def test_a_saved_model_says_the_same_and_carries_compounds_only_when_asked(
    chains: tuple[Cases, Split], tmp_path: Path, shared: bool
) -> None:
    cases, split = chains
    model = fitted(cases, split, tmp_path / "run", shared).model
    model.save(tmp_path / "model")
    again = registry.load_model(tmp_path / "model")
    question = asked(["CCCCCCN", "OCCO"], cases.targets)
    run = Run(tmp_path / "elsewhere")
    assert again.predict(question, run).table.equals(model.predict(question, run).table)
    assert again.holds_training_values  # by its neighbours, whether they are shared by name or not
    assert [path.name for path in (tmp_path / "model").glob("ana*")] == ["analogues.json"] * shared
    # Where they stood names a file of the user's.
    told = measured_in(cases, split).drop("place")
    assert shared == (again.domain.measured is not None and again.domain.measured.equals(told))


def test_measured_compounds_keep_the_limits_of_their_values() -> None:
    table = pl.DataFrame({"smiles": ALCOHOLS, "y": [f">{n}" if n % 5 == 0 else f"{n}.5" for n in range(20)]})
    study = Study((table,), target=("y",), options={"kind": "continuous"}, split="cv")
    cases = read_cases(Sources((table,), {}), study).usable
    measured = measured_in(cases, split_cases(cases, study))
    limits = {Chem.CanonSmiles(text): int(said.startswith(">")) for text, said in table.rows()}
    assert dict(measured.select("smiles", "y.limit").rows()) == {one: limits[one] for one in measured["smiles"]}
    assert set(measured["y.limit"]) == {0, 1}


def test_analogues_are_the_most_alike_with_their_values(chains: tuple[Cases, Split]) -> None:
    cases, split = chains
    found, _ = learn(cases, split, off_by(cases, np.ones(len(cases))))
    question = "CCCCCCC(=O)OC"
    table = analogues(found, asked([question], cases.targets), measured_in(cases, split))
    ranked = sorted((tanimoto(question, one) for one in cases.table["smiles"]), reverse=True)
    assert table["similarity"].to_list() == pytest.approx(ranked[: domain.NEIGHBOURS], abs=1e-6)
    truth = dict(cases.table.select("smiles", "y").iter_rows())
    assert [truth[one] for one in table["smiles"]] == table["y"].to_list()
