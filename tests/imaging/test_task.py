"""The task of diagnosis from images: a plan from the training part alone, within its budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import medeor
import tiny
from medeor.contracts import Budget, Cases, Split, Study
from medeor.imaging import plan as planning
from medeor.imaging.model.gain import WithGain
from medeor.imaging.task import ImageTask
from medeor.learning.domain import DomainMethod
from medeor.learning.folds import Folds, SingleFit
from medeor.learning.networks import budget
from medeor.learning.networks.budget import Trial
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.rehearsal import FitTime, Line
from medeor.learning.stack import Stack
from medeor.learning.trees.method import TreeMethod
from medeor.statistics.split import split_cases


@pytest.fixture
def cases() -> Cases:
    draw = np.random.default_rng(0)
    return tiny.cases_of(draw.integers(0, 255, (60, 12, 12), np.uint8), np.arange(60) % 2)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Cases]:
    """A trial that would take 1.5 s a step, and trees that take no time; what the first was tried on."""
    seen: list[Cases] = []

    def trial(recipe: object, cases: Cases, schedule: object, run: object) -> Trial:
        seen.append(cases)
        return Trial(1.5, 10, 3 << 30)

    monkeypatch.setattr(budget, "trial", trial)
    monkeypatch.setattr(budget, "fit_time", lambda *_: FitTime(Line(), Line()))
    return seen


def test_the_plan_sees_the_training_part_alone(cases: Cases, measured: list[Cases]) -> None:
    split = split_cases(cases, Study())
    task = ImageTask()
    plan = task.plan(cases, split, Budget(None, 1 << 30, 1))
    others = set(split.part(cases, "test").ids)
    assert others
    assert not others & set(measured[0].ids)
    fewer = cases.where(~pl.col("case_id").is_in(list(others)))
    without = Split(split.table.filter(pl.col("part") != "test"))
    assert task.plan(fewer, without, Budget(None, 1 << 30, 1)) == plan


@pytest.mark.parametrize(("minutes", "epochs"), [(10.0, 10), (3.2, 3), (0.001, 1), (10_000.0, None)])
def test_minutes_become_epochs_by_the_trial(
    minutes: float, epochs: int | None, cases: Cases, measured: list[Cases]
) -> None:
    """Five folds of four fifths of ten steps of 1.5 s are a minute an epoch."""
    task, split = ImageTask(), split_cases(cases, Study())
    free = task.plan(cases, split, Budget(None, 1 << 30, 1))
    plan = task.plan(cases, split, Budget(minutes, 1 << 30, 1))
    expected = free.schedule.epochs if epochs is None else epochs
    assert plan.schedule.epochs == expected
    assert plan.estimate.minutes == pytest.approx(expected, abs=0.01)
    assert plan.estimate.memory_gib == 3.0


def test_the_minutes_hold_for_the_trees_too(
    cases: Cases, measured: list[Cases], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trees that take 24 s in each of five folds leave eight of ten minutes."""
    monkeypatch.setattr(budget, "fit_time", lambda *_: FitTime(Line(), Line(24.0)))
    plan = ImageTask().plan(cases, split_cases(cases, Study()), Budget(10.0, 1 << 30, 1))
    assert (plan.schedule.epochs, plan.estimate.minutes) == (8, pytest.approx(10))


def test_held_out_cases_are_asked_in_the_minutes(cases: Cases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of five networks answers 12 cases, of .5 s each, after every eighth epoch, the last, and once more."""
    monkeypatch.setattr(budget, "trial", lambda *_: Trial(0.0, 10, 0, 0.5))
    monkeypatch.setattr(budget, "fit_time", lambda *_: FitTime(Line(), Line()))
    plan = ImageTask().plan(cases, split_cases(cases, Study()), Budget(None, 1 << 30, 1, {"schedule.epochs": "9"}))
    assert plan.estimate.minutes == pytest.approx(3 * 48 * 0.5 / 60)


def test_what_the_user_fixed_is_tried_and_estimated(cases: Cases, measured: list[Cases]) -> None:
    """An epoch of five folds is a minute, of one network a fifth of that; fixed epochs go before minutes."""
    task, split = ImageTask(), split_cases(cases, Study())
    long = task.plan(cases, split, Budget(10.0, 1 << 30, 1, {"schedule.epochs": "5000"}))
    assert (long.schedule.epochs, long.estimate.minutes) == (5000, pytest.approx(5000))
    alone = task.plan(cases, split, Budget(4.1, 1 << 30, 1, {"members": "single", "training.batch": "7"}))
    assert (alone.members, alone.training.batch, alone.schedule.epochs) == ("single", 7, 20)
    assert alone.estimate.minutes == pytest.approx(4)


def test_without_a_test_part_every_case_is_tested_out_of_fold(
    cases: Cases, measured: list[Cases], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "FEW", 3)
    task = ImageTask()
    many = task.plan(cases, split_cases(cases, Study()), Budget(None, 1, 1))
    assert many.members == "single"
    assert many.parts == ("network",)
    assert task.plan(cases, split_cases(cases, Study(split="cv")), Budget(None, 1, 1)).members == "folds"


def test_the_plan_names_the_method_and_its_baseline(cases: Cases, measured: list[Cases]) -> None:
    from dataclasses import replace

    task = ImageTask()
    plan = task.plan(cases, split_cases(cases, Study()), Budget(None, 1, 1))
    judged = task.method(plan)
    assert isinstance(judged, DomainMethod)
    plan = replace(plan, domain=False)
    stack = task.method(plan)
    assert stack == judged.method
    assert isinstance(stack, Stack)
    assert list(stack.parts) == ["network", "trees"]
    assert isinstance(stack.parts["network"].method, NetworkMethod)  # type: ignore[attr-defined]
    alone = replace(plan, parts=("network",))
    assert isinstance(task.method(alone), Folds)
    assert isinstance(task.method(replace(alone, members="single")), SingleFit)
    assert isinstance(task.baseline(plan).method, TreeMethod)  # type: ignore[attr-defined]
    enhanced = replace(plan, preparation=replace(plan.preparation, enhance="clahe"))
    method = task.method(enhanced)
    assert isinstance(method, WithGain)
    assert method.step == "clahe"
    assert method.without == task.method(plan)


def test_denoising_and_enhancement_say_what_they_gain(tiny_hospital: Path, tmp_path: Path) -> None:
    from medeor.files import read_json

    folder = tiny.plan_at(tmp_path / "r", **{"preparation.denoise": "median"})
    said = tiny.medeor("train", *tiny.labelled(tiny_hospital), "--out", folder)
    assert said.code == 0, said.err
    gain = read_json(folder / "model" / "gain.json")
    assert gain["step"] == "median"
    held = pl.read_parquet(folder / "model" / "held_out.parquet")["case_id"]
    (row,) = gain["rows"]
    assert row["n"] <= len(held)
    assert row["difference"] == pytest.approx(row["ours"] - row["theirs"])
    assert "median" in (folder / "report.html").read_text()


@pytest.mark.parametrize("parts", [["network", "trees"], ["trees"]])
def test_a_network_and_trees_travel_the_road_together_or_trees_alone(
    parts: list[str], tiny_hospital: Path, tmp_path: Path
) -> None:
    folder = tiny.plan_at(tmp_path / "r", parts=parts, **{"trees.rounds": 5})
    said = tiny.medeor("train", *tiny.labelled(tiny_hospital), "--out", folder)
    assert said.code == 0, said.err
    report = (folder / "report.html").read_text()
    assert ("How much each part contributes" in report) == (len(parts) > 1)
    table = medeor.load(folder / "r.medeor").predict(tiny_hospital / "images")
    kept = pl.read_parquet(folder / "predictions.parquet").filter(pl.col("model") == "model")
    both = kept.join(table, on="case_id", suffix="_again")
    assert both.height == kept.height
    assert both["value_again"].to_numpy() == pytest.approx(both["value"].to_numpy(), abs=1e-6)
    out = tmp_path / "why.html"
    why = tiny.medeor("explain", folder, next((tiny_hospital / "images").glob("*.png")), "--out", out)
    assert why.code == 0, why.err
    exported = tiny.medeor("export", folder, "--as", "onnx", tmp_path / "model.onnx")
    assert exported.code == (0 if "network" in parts else 2), exported.err
    assert ("network alone" in exported.err) == (len(parts) > 1)
    assert (tmp_path / "model.onnx").exists() == ("network" in parts)
