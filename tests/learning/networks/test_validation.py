"""What is measured on the held-out part during a fit."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

import tiny
from medeor import registry
from medeor.contracts import Cases, Fitted, Inputs, Predictions, Run, Split, Target
from medeor.files import read_toml, write_json
from medeor.imaging.model.recipe import ImageRecipe
from medeor.imaging.plan import ImagePlan
from medeor.learning.folds import Folds
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.networks.validation import figures
from medeor.settings import build


def test_the_last_line_of_a_log_scores_what_the_fold_held_out(tiny_run: Path) -> None:
    truth = dict(pl.read_parquet(tiny_run / "cases.parquet").select("case_id", "lesion").iter_rows())
    for folder in sorted((tiny_run / "model").rglob("fold-*")):
        held_out = pl.read_parquet(folder / "held_out.parquet")
        labels, values = [truth[case] for case in held_out["case_id"]], held_out["value"].to_numpy()
        last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
        assert last["held_out_loss"] == pytest.approx(sk.log_loss(labels, values.clip(1e-6, 1)), abs=2e-6)
        assert last["held_out_auroc"] == pytest.approx(sk.roc_auc_score(labels, values), abs=2e-6)


def test_several_targets_are_measured_where_their_truth_is_known() -> None:
    sick, size = Target("sick", "binary"), Target("size", "continuous")
    table = pl.DataFrame(
        {"case_id": ["a", "b", "c"], "group": ["a", "b", "c"], "sick": [1, 0, None], "size": [2.0, None, 5.0]}
    )
    rows = [("a", "sick", 0.8), ("b", "sick", 0.4), ("c", "sick", 0.9), ("a", "size", 2.5), ("b", "size", 9.0)]
    predictions = Predictions(pl.DataFrame([*rows, ("c", "size", 4.0)], ["case_id", "item", "value"], orient="row"))
    found = figures(predictions, Cases(table, (sick, size)))
    log_loss, squares = -(np.log(0.8) + np.log(0.6)) / 2, (0.5**2 + 1.0**2) / 2
    assert found["loss"] == pytest.approx((log_loss + squares) / 2)
    assert found["auroc/sick"] == 1.0


@pytest.mark.parametrize("patience", [2, 0])
def test_patience_without_a_held_out_part_is_told_of(
    patience: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "schedule.patience cannot end the fit"
    images = np.random.default_rng(0).integers(0, 255, (8, 12, 12), np.uint8)
    cases = tiny.cases_of(images, np.arange(8) % 2)
    parts = Split(pl.DataFrame({"case_id": cases.ids, "part": "train", "fold": pl.Series([None] * 8, dtype=pl.Int32)}))
    plan = build(ImagePlan, read_toml(tiny.plan_at(tmp_path) / "plan.toml"), "test")
    schedule = replace(plan.schedule, epochs=1, patience=patience)
    NetworkMethod(ImageRecipe.of(plan), schedule).fit(cases, parts, {}, Run(tmp_path))
    assert (told in capsys.readouterr().err) == (patience > 0)


# --- loggers ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Nothing:
    """A model that learned nothing."""

    def save(self, folder: Path) -> None:
        write_json(folder / "model.json", {"kind": "nothing"})


def load(folder: Path) -> Nothing:
    return Nothing()


@dataclass(frozen=True)
class Logs:
    """A fit of two epochs, of which loggers hear."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        for epoch in (1, 2):
            for logger in run.loggers:
                logger.on_epoch(run.folder, {"epoch": epoch, "loss": 0.5 / epoch})
        rows = split.part(cases, "validation").table.select("case_id", item=pl.lit("y"), value=pl.lit(1.0))
        return Fitted(Nothing(), Predictions(rows))  # type: ignore[arg-type]


def test_loggers_hear_of_folds_in_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.LOADERS, "nothing", f"{__name__}:load")
    heard: list[tuple[Path, float | None, float | None]] = []

    class Ears:
        def on_epoch(self, folder: Path, record: dict[str, float | None]) -> None:
            heard.append((folder, record["epoch"], record["loss"]))

    ids = [f"c{i}" for i in range(4)]
    fold = pl.Series([0, 0, 1, 1], dtype=pl.Int32)
    split = Split(pl.DataFrame({"case_id": ids, "part": ["train"] * 4, "fold": fold}))
    run = Run(tmp_path, threads=2, loggers=(Ears(),))
    Folds(Logs(), 2).fit(Cases(pl.DataFrame({"case_id": ids, "group": ids})), split, {}, run)
    expected = [(tmp_path / f"fold-{number}", epoch, 0.5 / epoch) for number in (0, 1) for epoch in (1, 2)]
    assert sorted(heard) == expected  # type: ignore[type-var]
