"""Arrays of predictions are averaged as values are, kept with a run, and come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medeor import registry
from medeor.contracts import Cases, Fitted, Inputs, Predictions, Run, Split, Target, UserError
from medeor.files import read_json, write_json
from medeor.learning.folds import Ensemble, Folds, fit_or_load
from medeor.learning.predictions import load_predictions, save_predictions, write_array
from medeor.learning.stack import Stack, StackModel

NUMBER = Target("y", "continuous")
IDS = [f"c{i}" for i in range(6)]
CASES = Cases(pl.DataFrame({"case_id": IDS, "group": IDS, "y": [float(i) for i in range(6)]}), (NUMBER,))
SPLIT = Split(pl.DataFrame({"case_id": IDS, "part": "train", "fold": pl.Series([0, 1, 2] * 2, dtype=pl.Int32)}))
RAMP = np.arange(4.0, dtype=np.float32)


@dataclass(frozen=True)
class Curves:
    """Answers each case by its number times `by`, and with an array of as many ramps."""

    by: float

    def predict(self, cases: Cases, run: Run) -> Predictions:
        value = [self.by * int(case[1:]) for case in cases.ids]
        arrays = {case: write_array(run, case, one * RAMP) for case, one in zip(cases.ids, value)}
        return Predictions(pl.DataFrame({"case_id": cases.ids, "item": "y", "value": value}), arrays)

    def attribute(self, cases: Cases, items: object, run: Run) -> list:
        return []

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        return np.zeros(len(kept))

    holds_training_values = False

    def save(self, folder: Path) -> None:
        write_json(folder / "model.json", {"kind": "curves", "by": self.by})


def read_curves(folder: Path) -> Curves:
    return Curves(read_json(folder / "model.json")["by"])


@dataclass(frozen=True)
class CurveMethod:
    """Fits nothing: `by` is the run's seed and as much more."""

    more: float = 0.0

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        model = Curves(run.seed + self.more)
        return Fitted(model, model.predict(split.part(cases, "validation"), run))


@pytest.fixture(autouse=True)
def enrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.LOADERS, "curves", "learning.test_predictions:read_curves")


def arrays(predictions: Predictions) -> dict[str, list[float]]:
    return {case: np.load(path).tolist() for case, path in predictions.arrays.items()}


def ramps(*by: float, cases: list[str] = IDS) -> dict[str, list[float]]:
    """What the mean of such models answers."""
    return {case: (np.mean(by) * int(case[1:]) * RAMP).tolist() for case in cases}


def test_the_arrays_of_an_ensemble_are_the_mean_of_its_members(tmp_path: Path) -> None:
    found = Ensemble((Curves(1), Curves(2), Curves(6))).predict(CASES, Run(tmp_path))
    assert arrays(found) == ramps(3)
    assert found.table["value"].to_list() == [3.0 * i for i in range(6)]
    # Those of the members do not stay.
    assert {path.parent for path in tmp_path.rglob("*.npy")} == {tmp_path / "arrays"}


def test_held_out_arrays_come_back_after_a_stop(tmp_path: Path) -> None:
    first, second = (fit_or_load(Folds(CurveMethod()), CASES, SPLIT, {}, Run(tmp_path, seed=1)) for _ in range(2))
    expected = {case: (float(1 + i % 3) * i * RAMP).tolist() for i, case in enumerate(IDS)}
    assert arrays(first.held_out) == arrays(second.held_out) == expected
    assert isinstance(second.model, Ensemble)
    # Asked about the cases that it held out, the ensemble leaves what each member held out as it is.
    assert arrays(second.model.predict(CASES, Run(tmp_path))) == ramps(1, 2, 3)
    assert arrays(load_predictions(tmp_path / "held_out.parquet")) == expected


def test_the_arrays_of_a_stack_are_the_mean_of_its_parts(tmp_path: Path) -> None:
    method = Stack({"a": Folds(CurveMethod()), "b": Folds(CurveMethod(4))})
    fitted = fit_or_load(method, CASES, SPLIT, {}, Run(tmp_path, seed=1))
    assert isinstance(fitted.model, StackModel)
    assert arrays(fitted.held_out) == {case: (float(3 + i % 3) * i * RAMP).tolist() for i, case in enumerate(IDS)}
    assert arrays(fitted.model.predict(CASES, Run(tmp_path / "asked"))) == ramps(2, 6)


def test_an_array_of_decisions_is_no_array_of_predictions(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="values that can be averaged, not int64"):
        write_array(Run(tmp_path), "c1", np.array([0, 1]))


def test_ids_that_are_no_file_names_have_arrays_of_their_own(tmp_path: Path) -> None:
    ids = ["a/b", "a-b", "A-B", "..", "a" * 400, "病例"]
    paths = [write_array(Run(tmp_path), case, np.full(2, float(number))) for number, case in enumerate(ids)]
    assert len({path.name.lower() for path in paths}) == len(ids)
    assert {path.parent for path in paths} == {tmp_path / "arrays"}
    assert [np.load(path)[0] for path in paths] == [0, 1, 2, 3, 4, 5]


def test_arrays_from_elsewhere_are_copied_to_where_they_are_kept(tmp_path: Path) -> None:
    found = Curves(2).predict(CASES, Run(tmp_path / "elsewhere"))
    kept = save_predictions(found, tmp_path / "run" / "said.parquet")
    (tmp_path / "elsewhere").rename(tmp_path / "gone")
    (tmp_path / "run").rename(tmp_path / "moved")
    again = load_predictions(tmp_path / "moved" / "said.parquet")
    assert arrays(again) == ramps(2)
    assert again.table.equals(found.table)
    assert set(kept.arrays) == set(again.arrays)
    # Saved once more without arrays, none are read.
    save_predictions(Predictions(found.table), tmp_path / "moved" / "said.parquet")
    assert not load_predictions(tmp_path / "moved" / "said.parquet").arrays


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda array, index: array.write_bytes(array.read_bytes()[:-1] + b"\0"), "missing, or was damaged"),
        (lambda array, index: array.unlink(), "missing, or was damaged"),
        (lambda array, index: write_json(index, {"c1": ["../x.npy", "0"]}), r"arrays\.json is damaged"),
        (lambda array, index: write_json(index, {"c1": ["/x.npy", "0"]}), r"arrays\.json is damaged"),
        (lambda array, index: write_json(index, ["c1"]), r"arrays\.json is damaged"),
    ],
)
def test_damaged_arrays_are_not_believed(damage: Callable[[Path, Path], object], words: str, tmp_path: Path) -> None:
    kept = save_predictions(Curves(2).predict(CASES, Run(tmp_path)), tmp_path / "said.parquet")
    damage(kept.arrays["c1"], tmp_path / "said.arrays.json")
    with pytest.raises(UserError, match=words):
        load_predictions(tmp_path / "said.parquet")
