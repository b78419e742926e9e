"""Trees on features of compounds and the nearest neighbours meet the road as any method does."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from medeor import registry
from medeor.contracts import Cases, Run, Sources, Split, Study
from medeor.learning.folds import Folds
from medeor.learning.trees.method import Boosting, TreeMethod
from medeor.molecules.model.features import MoleculeFeatures
from medeor.molecules.model.neighbours import NeighbourMethod
from medeor.molecules.read.cases import read_cases
from medeor.statistics.split import split_cases

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
    fitted = Folds(method).fit(cases, split, {}, run)
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
    again = registry.load_model(tmp_path).predict(test, run).table
    assert again.equals(said)


def test_a_compound_that_was_measured_is_its_own_nearest_neighbour(cases: Cases, tmp_path: Path) -> None:
    split = split_cases(cases, Study())
    model = NeighbourMethod(k=1).fit(cases, split, {}, Run(tmp_path)).model
    train = split.part(cases, "train").where(pl.col("smiles").str.len_chars() < 12)
    said = model.predict(train, Run(tmp_path)).table.filter(pl.col("item") == "acid")["value"]
    assert said.to_list() == train.table["acid"].cast(pl.Float64).to_list()


def test_the_likest_that_are_known_count_by_the_square_of_their_likeness(tmp_path: Path) -> None:
    """Likeness by RDKit; what nobody measured is no neighbour, and what is not alike at all counts a little."""
    smiles = [*SMILES[:40:2], "[Pt]", "[Xe]"]
    values = [number**1.5 if number % 3 else None for number in range(len(smiles))]
    values[-2:] = [900.5, -50.0]
    asked = [*SMILES[1:40:5], "FS(F)(F)(F)(F)F"]
    table = pl.DataFrame({"smiles": smiles + asked, "y": values + [1.0] * len(asked)})
    cases = read_cases(Sources((table,), {}), Study(target=("y",)))
    training = len(smiles)
    parts = pl.Series(["train"] * training + ["test"] * len(asked))
    folds = pl.Series([0] * training + [None] * len(asked), dtype=pl.Int32)
    split = Split(pl.DataFrame({"case_id": cases.ids, "part": parts, "fold": folds}))
    model = NeighbourMethod(k=4).fit(cases, split, {}, Run(tmp_path)).model
    found = model.predict(split.part(cases, "test"), Run(tmp_path)).table["value"]
    generator = rdFingerprintGenerator.GetMorganGenerator(2, fpSize=2048)
    known = [(generator.GetFingerprint(Chem.MolFromSmiles(t)), v) for t, v in zip(smiles, values) if v is not None]
    for text, value in zip(asked, found, strict=True):
        query = generator.GetFingerprint(Chem.MolFromSmiles(text))
        likeness = np.array([DataStructs.TanimotoSimilarity(query, bits) for bits, _ in known])
        best = np.argsort(-likeness, kind="stable")[:4]
        weights = np.maximum(likeness[best], 0.01) ** 2
        assert value == pytest.approx(np.average([known[row][1] for row in best], weights=weights), rel=1e-5)


def test_neighbours_left_out_leave_the_mean_of_the_others(cases: Cases, tmp_path: Path) -> None:
    split = split_cases(cases, Study())
    run = Run(tmp_path)
    model = NeighbourMethod(k=4).fit(cases, split, {}, run).model
    one = cases.where(pl.col("smiles") == cases.table["smiles"][5])
    whole = model.predict(one, run).table.filter(pl.col("item") == "length")["value"][0]
    all_kept, first = np.ones((1, 4), bool), np.array([[True, False, False, False]])
    assert model.ablate(one, "length", all_kept, run)[0] == pytest.approx(whole)
    nearest = NeighbourMethod(k=1).fit(cases, split, {}, run).model
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
