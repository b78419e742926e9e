"""What a fit has left behind is read back where it is whole, else fitted again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.test_stack import Columns
from medeor import registry
from medeor.contracts import Cases, Fitted, Inputs, Predictions, Run, Split, Target
from medeor.files import write_parquet
from medeor.learning.folds import Shift, finished, fit_or_load, out_of_fold, shifts
from medeor.learning.trees.method import Boosting, TreeMethod


@dataclass
class Counted:
    """Trees, and how often they were fitted."""

    times: int = 0

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        self.times += 1
        return TreeMethod(Columns(("a",)), Boosting(rounds=3)).fit(cases, split, inputs, run)


def lost(path: Path) -> None:
    write_parquet(path, pl.DataFrame({"case_id": ["c0"]}))


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("case_id,item,value"),
    "columns lost": lost,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_fold_whose_predictions_cannot_be_read_is_fitted_again(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(registry.LOADERS, "columns", "learning.test_stack:Columns")
    a = np.random.default_rng(0).normal(size=40)
    ids = [f"c{i}" for i in range(40)]
    cases = Cases(pl.DataFrame({"case_id": ids, "group": ids, "a": a, "y": a}), (Target("y", "continuous"),))
    parts = {"case_id": ids, "part": ["train"] * 40, "fold": pl.Series(np.arange(40) % 2, dtype=pl.Int32)}
    split, method, run = Split(pl.DataFrame(parts)), Counted(), Run(tmp_path)
    _, first = out_of_fold(method, cases, split, {}, run)
    _, second = out_of_fold(method, cases, split, {}, run)
    assert method.times == 2
    assert not capsys.readouterr().err
    DAMAGE[damage](tmp_path / "fold-1" / "held_out.parquet")
    _, third = out_of_fold(method, cases, split, {}, run)
    assert method.times == 3
    (said,) = capsys.readouterr().err.splitlines()
    assert "fold-1" in said
    assert "fitted again" in said
    assert first.table.equals(second.table)
    assert first.table.equals(third.table)
    assert finished(tmp_path / "fold-1")


CASES = Cases(pl.DataFrame({"case_id": ["a", "b"]}))
SPLIT = Split(pl.DataFrame({"case_id": ["a", "b"], "part": ["train", "validation"], "fold": [0, 1]}))


@dataclass
class Unsaved:
    """A method whose model cannot be written the first time."""

    failures: int = 1
    fits: list[int] = field(default_factory=list)

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        self.fits.append(len(self.fits))
        held_out = pl.DataFrame({"case_id": ["b"], "item": ["y"], "value": [0.5]})
        return Fitted(self, Predictions(held_out))  # type: ignore[arg-type]

    def save(self, folder: Path) -> None:
        if len(self.fits) <= self.failures:
            raise OSError("the disk is gone")


def test_a_fit_whose_model_was_not_written_is_not_finished(tmp_path: Path) -> None:
    method, run = Unsaved(), Run(tmp_path / "fold-0")
    with pytest.raises(OSError, match="gone"):
        fit_or_load(method, CASES, SPLIT, {}, run)
    assert not finished(run.folder)
    fit_or_load(method, CASES, SPLIT, {}, run)
    assert method.fits == [0, 1]
    assert finished(run.folder)


def makespan(plan: list[Shift], workers: int) -> float:
    """When the last of the workers ends who take these shifts in turn, a fold never at two places at once."""
    free, ended, done = [0.0] * workers, dict[int, float](), dict[int, float]()
    for shift in plan:
        worker = free.index(min(free))
        begins = max(free[worker], ended.get(shift.fold, 0.0))
        free[worker] = ended[shift.fold] = begins + shift.until - done.get(shift.fold, 0.0)
        done[shift.fold] = shift.until
    assert set(done.values()) == {1.0}
    return max(free)


@given(st.integers(1, 30), st.integers(2, 16))
def test_workers_end_together_however_many_folds_there_are(folds: int, workers: int) -> None:
    assert makespan(shifts(range(folds), workers), workers) == pytest.approx(max(1, folds / workers))


def test_five_folds_on_two_workers_are_two_and_a_half_fits_long() -> None:
    assert shifts([0, 1, 2, 3, 4], 2) == [Shift(2, 0.5), Shift(0), Shift(1), Shift(3), Shift(4), Shift(2)]
