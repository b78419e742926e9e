"""What is said of work that takes long, elsewhere than on a terminal."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from medeor.console import WHOLE, Console
from medeor.contracts import Cases, Fitted, Inputs, Predictions, Run, Split
from medeor.learning.folds import Folds


def test_the_time_left_of_all_fits_follows_from_what_this_command_did(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    console = Console()
    # 20 % were there before; from then on 10 % take a minute.
    for seconds, done in ((0, 20), (9, 21), (60, 30), (63, 31), (300, 70), (480, 100)):
        now[0] = float(seconds)
        console(WHOLE, done, 100)
    said = capsys.readouterr().err.splitlines()
    assert said == ["whole fit: 30 %, about 7 min left", "whole fit: 70 %, about 3 min left"]


def test_the_time_left_is_that_of_the_whole_run_where_it_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A resumed run, half of which was there before: by its pace the fits last another 3 minutes, and 2 come after."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    console = Console()
    console.expect(3600.0, 120.0)
    for seconds, done in ((0, 50), (60, 60), (120, 70)):
        now[0] = float(seconds)
        console(WHOLE, done, 100)
    console.expect(30.0, 5.0)
    for seconds in (121, 140):
        now[0] = float(seconds)
        console("explain", 1, 6)
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith("60 %, about 6 min left in all")
    assert said[1].endswith("70 %, about 5 min left in all")
    assert said[2] == "explain: 1/6  less than a minute left in all"


class Counts:
    """Four epochs."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        for epoch in range(1, 5):
            run.progress(f"fit {run.folder.name}", epoch, 4)
        rows = split.part(cases, "validation").table.select("case_id", item=pl.lit("y"), value=pl.lit(1.0))
        return Fitted(self, Predictions(rows))  # type: ignore[arg-type]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)


def test_all_folds_together_come_to_the_whole(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    ids = ["a", "b"]
    split = Split(pl.DataFrame({"case_id": ids, "part": "train", "fold": pl.Series([0, 1], dtype=pl.Int32)}))
    run = Run(tmp_path, progress=lambda what, done, total, note="": heard.append((what, done, total)))
    Folds(Counts()).fit(Cases(pl.DataFrame({"case_id": ids, "group": ids})), split, {}, run)
    assert [done for what, done, _ in heard if what == WHOLE] == [12, 25, 37, 50, 62, 75, 87, 100]
    assert [what for what, *_ in heard if what != WHOLE] == ["fit fold-0"] * 4 + ["fit fold-1"] * 4
