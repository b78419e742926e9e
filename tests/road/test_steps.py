"""Each step is done once: an interrupted walk goes on after the last one, and a change does over what depends on it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import medeor
import tiny
from medeor.console import Console
from medeor.contracts import Explanation, Explanations, Finding, Measure, Message, Predictions, Stopped, UserError
from medeor.files import read_json
from medeor.road.walk import results
from medeor.road.walk.scoring import ScoredPart
from medeor.road.walk.step import RoadStep, Walk
from medeor.road.walk.steps import json_digest
from medeor.road.walk.walk import walk

ALL = ["read", "split", "audit", "plan", "fit", "calibrate", "labels", "evaluate", "explain", "report", "bundle"]
FIELDS = {"labels": "h/labels.csv", "target": "lesion", "group": "patient_id", "split": "part"}
BUT = ("run.json", "report.html", "card.md")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_hospital: Path) -> Path:
    """A run and beside it its source, named as from this folder: so that a copy of both is the same study."""
    room = tmp_path_factory.mktemp("steps") / "room"
    shutil.copytree(tiny_hospital, room / "h")
    tiny.plan_at(room / "r", parts=["trees"], **{"trees.rounds": 3})
    with contextlib.chdir(room):
        train()
    return room


@pytest.fixture
def room(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(finished, tmp_path / "room")
    monkeypatch.chdir(tmp_path / "room")
    return tmp_path / "room"


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that were done, in their order."""
    names: list[str] = []
    do = Walk.do

    def noted(self: Walk, step: RoadStep[Any]) -> None:
        do(self, step)
        names.append(step.name)

    monkeypatch.setattr(Walk, "do", noted)
    return names


def train(**more: Any) -> medeor.Trained:
    return medeor.train("h/images", out="r", console=Console(quiet=True), **{**FIELDS, **more})


def without_its_end(room: Path) -> Path:
    """The same run before it was begun, with its plan."""
    shutil.copy(room / "r" / "plan.toml", room / "plan.toml")
    shutil.rmtree(room / "r")
    (room / "r").mkdir()
    shutil.move(room / "plan.toml", room / "r" / "plan.toml")
    return room / "r"


def test_interrupted_after_every_step_it_ends_in_the_same_bits_and_does_none_twice(
    room: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny.bits(room / "r", BUT)
    folder = without_its_end(room)
    study = medeor.api.asked("h/images", **FIELDS)
    for number, name in enumerate(ALL, start=1):
        with contextlib.suppress(Stopped):
            walk(study, folder, Console(quiet=True), stopping=lambda: len(done) >= number)  # noqa: B023
        assert done == ALL[:number], name
        assert read_json(folder / "run.json")["finished"] == (name == "bundle")
    found = tiny.bits(folder, BUT)
    assert {name for name in whole if whole[name] != found.get(name)} <= {"bundle/card.md"}
    assert set(found) == set(whole)


def test_a_finished_run_says_so_and_repeats_nothing(
    room: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tiny.bits(room / "r", ())
    monkeypatch.setattr("medeor.imaging.task.read_cases", lambda *given: pytest.fail("the cases were read again"))
    said = tiny.medeor("train", *tiny.labelled(Path("h")), "--out", "r")
    assert said.code == 0
    assert said.err.splitlines() == ["r is finished: report r/report.html"]
    assert "auroc" in said.out
    assert not done
    assert tiny.bits(room / "r", ()) == before


def comment(room: Path) -> dict[str, Any]:
    path = room / "r" / "plan.toml"
    path.write_text("# mine\n" + path.read_text())
    return {}


def without(name: str) -> Callable[[Path], dict[str, Any]]:
    def remove(room: Path) -> dict[str, Any]:
        path = room / "r" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return {}

    return remove


def damaged(room: Path) -> dict[str, Any]:
    (room / "r" / "calibration.json").write_text('{"tar')
    return {}


def touched(room: Path) -> dict[str, Any]:
    for path in (room / "h").rglob("*.*"):
        os.utime(path, (1, 1))
    return {}


def other_line_ends(room: Path) -> dict[str, Any]:
    """Another file of the same rows."""
    path = room / "h" / "labels.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return {}


def evaluated_elsewhere(room: Path) -> dict[str, Any]:
    assert "other" not in read_json(room / "r" / "metrics.json")
    medeor.evaluate("r", "h/images", labels="h/labels.csv", group="patient_id", console=Console(quiet=True))
    assert "other" in read_json(room / "r" / "metrics.json")
    return {}


def with_fields(**fields: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda room: fields


CHANGES: dict[str, tuple[Callable[[Path], dict[str, Any]], set[str]]] = {
    "a subgroup": (with_fields(subgroups="sex"), {"read", "evaluate", "report", "bundle"}),
    "the threshold": (with_fields(threshold="0.3"), {"calibrate", "labels", "evaluate", "report", "bundle"}),
    "a prevalence": (with_fields(prevalence=[0.2]), {"evaluate", "report", "bundle"}),
    "what is accepted": (with_fields(accept="label-errors"), {"labels", "report", "bundle"}),
    "a comment in the plan": (comment, {"plan"}),
    "no explanations": (without("explanations"), {"explain"}),
    "no baseline": (without("baseline"), {"evaluate"}),
    "no audit": (without("audit.json"), {"audit", "labels"}),
    "a damaged calibration": (damaged, {"calibrate"}),
    "dates of files": (touched, set()),
    "ends of lines in the labels": (other_line_ends, {"read"}),
    "results on other data": (evaluated_elsewhere, set()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_does_over_the_steps_that_depend_on_it_and_no_others(what: str, room: Path, done: list[str]) -> None:
    change, expected = CHANGES[what]
    before = tiny.bits(room / "r", ("bundle",))
    fields = change(room)
    train(**fields)
    assert set(done) == expected
    assert done == [name for name in ALL if name in expected]
    after = tiny.bits(room / "r", ("bundle",))
    assert {name: after[name] for name in after if name.startswith("model/")} == {
        name: before[name] for name in before if name.startswith("model/")
    }
    if not fields and "bundle" not in expected and what != "results on other data":
        assert {name for name in before if before[name] != after.get(name)} <= {"run.json"}
    done.clear()
    train(**fields)
    assert not done


def test_a_threshold_is_obeyed_without_another_fit(room: Path) -> None:
    train(threshold="0.3")
    rows = pl.read_parquet(room / "r" / "predictions.parquet").filter(model="model")
    assert rows["chosen"].to_list() == (rows["value"] >= 0.3).to_list()
    assert medeor.load("r").study.threshold == "0.3"


def test_what_was_accepted_and_is_no_longer_stops_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.hospital(Path("h"), plant=medeor.simulate.Planted(leaked_patients=2))
    tiny.plan_at(Path("r"), parts=["trees"], **{"trees.rounds": 3})
    train(accept="groups-across-parts")
    before = tiny.bits(Path("r"), ())
    with pytest.raises(UserError, match="stopped: groups-across-parts"):
        train()
    assert tiny.bits(Path("r"), ()) == before
    medeor.load("r")


def test_a_change_of_images_that_a_table_names_elsewhere_is_noticed(
    room: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pl.read_csv("h/labels.csv")
    places = [str(next((room / "h").rglob(Path(name).name))) for name in table["image"]]
    table.with_columns(image=pl.Series(places)).write_csv("table.csv")
    fields = {name: value for name, value in FIELDS.items() if name != "labels"}
    tiny.plan_at(room / "s", parts=["trees"], **{"trees.rounds": 3})
    medeor.train("table.csv", out="s", console=Console(quiet=True), **fields)
    done.clear()
    medeor.train("table.csv", out="s", console=Console(quiet=True), **fields)
    assert not done
    Image.fromarray(255 - np.asarray(Image.open(places[0]))).save(places[0])
    with pytest.raises(UserError, match="other data"):
        medeor.train("table.csv", out="s", console=Console(quiet=True), **fields)


# --- what a step wrote is read back as it was ------------------------------------------------------------


def test_findings_are_read_back(tmp_path: Path) -> None:
    findings = [
        Finding("a", "leakage", "fail", 'ü; "x"', ("c1", "c2"), True),
        Finding("b", "quality", "unknown", ""),
        Finding("c", "quality", "fail", Message("{value:.1f} of {names}", value=0.25, names=("a", "b"))),
    ]
    results.write_findings(tmp_path, findings)
    assert results.read_findings(tmp_path) == findings


def test_a_digest_is_the_same_in_whatever_language_a_message_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    message = Message("road.walk.finished", folder=Path("r"))
    before = str(message), json_digest([message])
    monkeypatch.setattr("medeor.messages.template", lambda key, language: "{folder} ist fertig")
    assert str(message) == "r ist fertig" != before[0]
    assert json_digest([message]) == before[1]


def test_predictions_and_measures_are_read_back(tmp_path: Path) -> None:
    ours = pl.DataFrame(
        {"case_id": ["a", "b"], "item": "x", "value": [1 / 3, 0.1], "plausible": [None, None], "chosen": [True, False]},
        schema_overrides={"plausible": pl.Boolean},
    )
    theirs = pl.DataFrame({"case_id": ["a", "b"], "item": "x", "value": [0.2, 1e-17], "plausible": [True, None]})
    measures = {"auroc": Measure(1 / 3, None, 0.7, 12), "baseline/auroc": Measure(None)}
    scored = ScoredPart("cv", Predictions(ours), Predictions(theirs), measures)
    results.write_scored(tmp_path, scored)
    found = results.read_scored(tmp_path, [ours.columns, theirs.columns])
    assert found.predictions.table.equals(ours)
    assert found.predictions.table.schema == ours.schema
    assert found.baseline.table.equals(theirs)
    assert (found.part, found.measures) == ("cv", measures)


def test_explanations_are_read_back_with_their_arrays(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    shown = Explanation("c1", "x", "map", draw.random((2, 3)), scores={"p": 0.05, "effect": 1 / 3})
    named = Explanation("c2", "x", "atoms", draw.random(2).astype(np.float32), ("C1", "O2"))
    kept_back = Explanation("c3", "x", "map", draw.random((2, 3)), shown=False, reason="no better than random")
    held_back = Explanation("c4", "x", "map", draw.random(2), shown=False, reason=Message("p = {p:.2f}", p=0.35))
    summary = {"map/shown": Measure(0.5, n=2)}
    results.write_explanations(tmp_path / "e", Explanations((shown, named, kept_back, held_back), summary))
    found = results.read_explanations(tmp_path / "e")
    for one, same in zip(found.cases, (shown, named, kept_back, held_back), strict=True):
        facts = ("case_id", "item", "method", "elements", "scores", "shown", "reason")
        assert [getattr(one, name) for name in facts] == [getattr(same, name) for name in facts]
    for one, same in zip(found.cases[:2], (shown, named), strict=True):
        assert one.attribution.dtype == same.attribution.dtype
        assert np.array_equal(one.attribution, same.attribution)
    assert not found.cases[2].attribution.size
    assert found.summary == summary
