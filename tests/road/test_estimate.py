"""The time of a whole run, stated beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import medeor
from medeor.cli import app
from medeor.files import read_toml
from medeor.road.walk.estimate import left

STEPS = ["reading", "audit", "planning", "training", "baseline", "evaluation", "explanation", "report"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    age = draw.normal(60, 10, 200)
    ill = np.where(age + draw.normal(0, 5, 200) > 60, "yes", "no")
    path = tmp_path / "ward.csv"
    pl.DataFrame({"age": age, "pulse": draw.normal(70, 9, 200), "ill": ill}).write_csv(path)
    return path


FAST = {"schedule.epochs": "2", "trees.rounds": "5"}


def test_the_plan_states_each_step_and_their_sum_in_json(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [word for name, value in FAST.items() for word in ("--set", f"{name}={value}")]
    app.app(["plan", str(table), "--target", "ill", "--json", *settings], standalone_mode=False)
    seconds = json.loads(capsys.readouterr().out)["estimate"]["seconds"]
    assert list(seconds) == [*STEPS, "whole"]
    assert seconds["whole"] == pytest.approx(sum(seconds[name] for name in STEPS), abs=0.5)


def test_train_says_it_before_it_begins_and_resumes_with_another_estimate(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    fields = {"target": "ill", "settings": FAST, "out": out}
    medeor.train(table, **fields)
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("expected:")]
    assert all(name in said for name in STEPS)
    before = (out / "metrics.json").read_bytes()
    assert read_toml(out / "plan.toml")["estimate"]["seconds"]["whole"] > 0
    (out / "report.html").unlink()
    medeor.train(table, **fields)
    assert "expected:" not in capsys.readouterr().err
    assert (out / "metrics.json").read_bytes() == before
    # The linear part of the model is the baseline, too.
    both = (out / "model" / "linear" / "held_out.parquet", out / "baseline" / "held_out.parquet")
    assert both[0].read_bytes() == both[1].read_bytes()


def test_what_is_left_is_looked_up_by_step() -> None:
    seconds = {"training": 60.0, "baseline": 2.0, "evaluation": 3.0, "explanation": 5.0, "report": 1.0}
    assert left(seconds, ["fit", "calibrate", "evaluate", "explain", "report"]) == [60, 0, 5, 5, 1]
