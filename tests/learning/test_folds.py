"""What a fit has left behind is taken up only when it is whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from medeor.contracts import Cases, Fitted, Predictions, Run, Split
from medeor.learning.folds import finished, remembered

CASES = Cases(pl.DataFrame({"case_id": ["a", "b"]}))
SPLIT = Split(pl.DataFrame({"case_id": ["a", "b"], "part": ["train", "validation"], "fold": [0, 1]}))


@dataclass
class Unsaved:
    """A method whose model cannot be written the first time."""

    failures: int = 1
    fits: list[int] = field(default_factory=list)

    def fit(self, cases: Cases, split: Split, run: Run) -> Fitted:
        self.fits.append(len(self.fits))
        held_out = pl.DataFrame({"case_id": ["b"], "item": ["y"], "value": [0.5]})
        return Fitted(self, Predictions(held_out))  # type: ignore[arg-type]

    def save(self, folder: Path) -> None:
        if len(self.fits) <= self.failures:
            raise OSError("the disk is gone")


def test_a_fit_whose_model_was_not_written_is_not_finished(tmp_path: Path) -> None:
    method, run = Unsaved(), Run(tmp_path / "fold-0")
    with pytest.raises(OSError, match="gone"):
        remembered(method, CASES, SPLIT, run)
    assert not finished(run.folder)
    remembered(method, CASES, SPLIT, run)
    assert method.fits == [0, 1]
    assert finished(run.folder)
