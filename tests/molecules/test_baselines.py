"""Trees on features of compounds and the nearest neighbours meet the road as any method does."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medeor import tasks
from medeor.contracts import Cases, Run, Sources, Study
from medeor.learning.folds import Folds
from medeor.learning.split import split_cases
from medeor.learning.trees import Boosting, TreeMethod
from medeor.molecules.cases import read_cases
from medeor.molecules.features import MoleculeFeatures
from medeor.molecules.neighbours import NeighbourMethod

CORES = ("c1ccncc1", "C(=O)Nc1ccco1", "S(=O)(=O)N1CCOCC1", "C(=O)O", "N", "c1ccc(F)cc1")
SMILES = [f"{'C' * n}{branch}{core}" for n in range(1, 8) for branch in ("", "C(C)", "OC") for core in CORES]


@pytest.fixture(scope="module")
def cases() -> Cases:
    """The value is the number of carbons in the chain; the class is whether there is an acid."""
    acids = [int(text.endswith("C(=O)O")) for text in SMILES]
    lengths = [float(text.count("C")) + 0.01 * number for number, text in enumerate(SMILES)]
    colours = [("red", "green", "blue")[text.count("C") % 3] for text in SMILES]
    table = pl.DataFrame({"smiles": SMILES, "length": lengths, "acid": acids, "colour": colours})
    return read_cases(Sources((table,), {}), Study(target=("length", "acid", "colour")))


@pytest.mark.parametrize("method", [TreeMethod(MoleculeFeatures(size=256), Boosting(rounds=60)), NeighbourMethod(k=3)])
def test_a_method_fits_saves_and_is_read_back(cases: Cases, tmp_path: Path, method) -> None:
    split = split_cases(cases, Study())
    run = Run(tmp_path)
    fitted = Folds(method).fit(cases, split, run)
    test = split.part(cases, "test")
    said = fitted.model.predict(test, run).table
    assert said.height == len(test) * 5  # one length, one chance of an acid, three colours
    assert said["value"].is_finite().all()
    wide = said.pivot("item", index="case_id", values="value")
    assert np.allclose(wide.select("red", "green", "blue").sum_horizontal(), 1)
    truth = test.table["acid"].to_numpy()
    chance = wide["acid"].to_numpy()
    assert chance[truth == 1].mean() > 0.5 > chance[truth == 0].mean()
    fitted.model.save(tmp_path)
    again = tasks.load_model(tmp_path).predict(test, run).table
    assert again.equals(said)


def test_a_compound_that_was_measured_is_its_own_nearest_neighbour(cases: Cases, tmp_path: Path) -> None:
    split = split_cases(cases, Study())
    model = NeighbourMethod(k=1).fit(cases, split, Run(tmp_path)).model
    train = split.part(cases, "train").where(pl.col("smiles").str.len_chars() < 12)
    said = model.predict(train, Run(tmp_path)).table.filter(pl.col("item") == "acid")["value"]
    assert said.to_list() == train.table["acid"].cast(pl.Float64).to_list()


def test_neighbours_left_out_leave_the_mean_of_the_others(cases: Cases, tmp_path: Path) -> None:
    split = split_cases(cases, Study())
    run = Run(tmp_path)
    model = NeighbourMethod(k=4).fit(cases, split, run).model
    one = cases.where(pl.col("smiles") == cases.table["smiles"][5])
    whole = model.predict(one, run).table.filter(pl.col("item") == "length")["value"][0]
    all_kept, first = np.ones((1, 4), bool), np.array([[True, False, False, False]])
    assert model.ablate(one, "length", all_kept, run)[0] == pytest.approx(whole)
    nearest = NeighbourMethod(k=1).fit(cases, split, run).model
    assert model.ablate(one, "length", first, run)[0] == pytest.approx(
        nearest.predict(one, run).table.filter(pl.col("item") == "length")["value"][0]
    )
    (reason,) = model.attribute(one, ["length"], run)
    assert reason.values.shape == (4,)
    assert reason.values.sum() == pytest.approx(0, abs=1e-5)


def test_features_have_names_and_one_row_a_case(cases: Cases) -> None:
    features = MoleculeFeatures(size=128)
    table = features.table(cases)
    assert table.shape == (len(cases), len(features.names()))
    assert table.dtype == np.float32
    assert MoleculeFeatures.from_json(features.to_json()) == features
    twice = features.table(cases.where(pl.col("case_id") == cases.ids[7]))
    assert np.array_equal(twice[0], table[7], equal_nan=True)
