"""Folds fitted apart: each with its own share of the threads, whatever else is left to do."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from medeor import registry, trusted
from medeor.contracts import Cases, Fitted, Inputs, Predictions, Run, Split
from medeor.files import read_json, write_json
from medeor.learning.folds import Folds


@dataclass(frozen=True)
class Told:
    """A model that knows with how many threads it was fitted."""

    threads: int

    def save(self, folder: Path) -> None:
        write_json(folder / "model.json", {"kind": "told", "threads": self.threads})


def load(folder: Path) -> Told:
    return Told(read_json(folder / "model.json")["threads"])


@dataclass(frozen=True)
class Tell:
    """Learns the number of threads that it was given."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        rows = split.part(cases, "validation").table.select("case_id", item=pl.lit("y"), value=pl.lit(1.0))
        return Fitted(Told(run.threads), Predictions(rows))  # type: ignore[arg-type]


@dataclass(frozen=True)
class TellTrust:
    """Learns how many of two modules it may import."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        rows = split.part(cases, "validation").table.select("case_id", item=pl.lit("y"), value=pl.lit(1.0))
        return Fitted(Told(len(trusted.modules() & {"ours", "theirs.nets"})), Predictions(rows))  # type: ignore[arg-type]


def test_a_fold_in_a_process_of_its_own_trusts_the_same_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.LOADERS, "told", f"{__name__}:load")
    monkeypatch.setenv("MEDEOR_TRUST", "ours")
    ids = [f"c{i}" for i in range(4)]
    cases = Cases(pl.DataFrame({"case_id": ids, "group": ids}))
    fold = pl.Series([0, 0, 1, 1], dtype=pl.Int32)
    split = Split(pl.DataFrame({"case_id": ids, "part": ["train"] * 4, "fold": fold}))
    with trusted.trusting("theirs.nets"):
        model = Folds(TellTrust(), 2).fit(cases, split, {}, Run(tmp_path, threads=2)).model
    assert [member.threads for member in model.members] == [2, 2]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("threads", "workers", "share"), [(2, 2, 1), (8, 2, 4), (16, 16, 5)])
def test_a_fold_has_the_same_share_alone_as_among_others(
    threads: int, workers: int, share: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.LOADERS, "told", f"{__name__}:load")
    ids = [f"c{i}" for i in range(9)]
    cases = Cases(pl.DataFrame({"case_id": ids, "group": ids}))
    fold = pl.Series([i % 3 for i in range(9)], dtype=pl.Int32)
    split = Split(pl.DataFrame({"case_id": ids, "part": ["train"] * 9, "fold": fold}))
    method, run = Folds(Tell(), workers), Run(tmp_path, threads=threads)
    first = method.fit(cases, split, {}, run).model
    shutil.rmtree(tmp_path / "fold-2")
    again = method.fit(cases, split, {}, run).model
    for model in (first, again):
        assert [member.threads for member in model.members] == [share] * 3  # type: ignore[attr-defined]
