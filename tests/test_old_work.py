"""Work of medeor 0.1: bundles and finished runs open and answer as they did; no fit goes on in a folder of 0.1, which
stays as it is. The fixtures and the answers were made by 0.1 (`old/make.py`)."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import medeor
import tiny
from medeor.console import Console
from medeor.contracts import Explanation, UserError
from medeor.registry import LOADERS, load_model

OLD = Path(__file__).parent / "old"
ANSWERS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(OLD.glob("*.json"))
}
RUNS = [(room, name) for room, said in ANSWERS.items() for name in said["runs"]]
EXPLAINED = [(room, name) for room, name in RUNS if "explanations" in ANSWERS[room]["runs"][name]]
QUESTIONS = [(room, place) for room, said in ANSWERS.items() for place in range(len(said.get("questions", ())))]
SENTENCES = ("reason", "broken", "changes")
"""Columns whose words may be bettered; whether there are any may not change."""

LATER = ("table-features", "table-recipe")
"""Classes of models that came after 0.1."""
STOPPED = (("images", "stopped/default"), ("molecules", "stopped/default"), ("graphs", "stopped/complex"))
FINISHED = (("images", "runs/default"), ("molecules", "runs/adapted"), ("graphs", "runs/complex"))

Room = Callable[[str], Path]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """The folder of a room, by its name."""

    @cache
    def unpack(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        with tarfile.open(OLD / f"{name}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
        return folder

    return unpack


@pytest.fixture
def enter(unpacked: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Makes a room the working folder: its studies name their sources as from there."""
    monkeypatch.setenv("MEDEOR_CACHE", str(tmp_path / "cache"))

    def enter(name: str) -> Path:
        monkeypatch.chdir(unpacked(name))
        return unpacked(name)

    return enter


@pytest.mark.parametrize(("room", "name"), RUNS)
def test_a_bundle_answers_as_before(room: str, name: str, enter: Room) -> None:
    enter(room)
    said = ANSWERS[room]["runs"][name]
    same(medeor.predict(f"runs/{name}/{name}.medeor", *said["asked"]), said["from the bundle"])


@pytest.mark.parametrize(("room", "name"), RUNS)
def test_a_finished_run_answers_as_before(room: str, name: str, enter: Room) -> None:
    enter(room)
    said = ANSWERS[room]["runs"][name]
    trained = medeor.load(f"runs/{name}")
    same(trained.predict(*said["asked"]), said["predictions"])
    with trained.at_work():
        run = replace(trained.run, folder=Path("runs", name, "baseline"))
        same(load_model(run.folder).predict(trained.read(*said["asked"]).usable, run).table, said["baseline"])


@pytest.mark.parametrize(("room", "name"), EXPLAINED)
def test_a_finished_run_gives_the_same_reasons(room: str, name: str, enter: Room) -> None:
    enter(room)
    said = ANSWERS[room]["runs"][name]
    found = medeor.explain(f"runs/{name}", *said["explained"])
    for one, before in zip(found.cases, said["explanations"], strict=True):
        facts = (one.case_id, one.item, one.method, one.shown, bool(one.reason))
        assert facts == (*(before[key] for key in ("case_id", "item", "method", "shown")), bool(before["reason"]))
        assert list(differences(dict(one.scores), before["scores"])) == []
        same_weights(one, before)
    summary = {name: measure._asdict() for name, measure in found.summary.items()}
    assert list(differences(summary, said["summary"])) == []


@pytest.mark.parametrize(("room", "place"), QUESTIONS)
def test_questions_are_answered_as_before(room: str, place: int, enter: Room) -> None:
    enter(room)
    said = ANSWERS[room]["questions"][place]
    paths = {"evidence": "20"} if "relation" in said["where"] else {}  # 0.1 tested those of all answers
    same(medeor.query(said["of"], said["where"] | paths).table, said["answers"])


@pytest.mark.parametrize("room", ANSWERS)
def test_finished_runs_are_compared_as_before(room: str, enter: Room) -> None:
    enter(room)
    said = ANSWERS[room]["compare"]
    rows = [row._asdict() for row in medeor.compare(said["ours"], said["theirs"])]
    assert list(differences(rows, said["rows"])) == []


@pytest.mark.parametrize(("room", "run"), STOPPED)
def test_an_interrupted_run_is_refused_by_name_and_left_alone(room: str, run: str, enter: Room) -> None:
    enter(room)
    before = content(Path(run))
    assert any(path.endswith(("checkpoint.safetensors", "held_out.parquet")) for path in before)
    words = r"was begun by medeor 0\.1 and cannot go on.*; start again with --again or in another folder"
    for verb in (train, plan, medeor.load):
        with pytest.raises(UserError, match=words) as said:
            verb(run)
        assert run in str(said.value)
    assert content(Path(run)) == before


@pytest.mark.parametrize(("room", "run"), FINISHED)
def test_a_finished_run_is_not_fitted_again_unasked(room: str, run: str, enter: Room) -> None:
    enter(room)
    before = content(Path(run))
    for verb in (train, plan):
        with pytest.raises(UserError, match=r"was finished by medeor 0\.1 and is not fitted .*--again"):
            verb(run)
    assert content(Path(run)) == before


def test_the_command_line_says_it_in_one_line(enter: Room) -> None:
    enter("graphs")
    said = tiny.medeor("train", "--study", "stopped/complex/study.toml", "--out", "stopped/complex")
    assert (said.code, len(said.complaints)) == (2, 1)
    assert "medeor 0.1" in said.complaints[0]


def test_again_begins_an_old_run_anew(enter: Room, tmp_path: Path) -> None:
    room = enter("graphs")
    run = shutil.copytree(room / "stopped" / "complex", tmp_path / "run")
    train(run, again=True, settings={"schedule.epochs": 1})
    assert not list(run.rglob("checkpoint.safetensors"))
    assert json.loads((run / "run.json").read_text())["medeor"] == medeor.__version__
    train(run, settings={"schedule.epochs": 1})
    assert medeor.load(run).predict("new/asked.tsv")["value"].is_not_null().any()


def test_a_run_of_before_is_still_adapted(enter: Room, tmp_path: Path) -> None:
    """As the input of a new study, which says what the old study of the same compounds said."""
    room = enter("molecules")
    run = shutil.copytree(room / "runs" / "adapted", tmp_path / "run")
    train(run, again=True)
    said = ANSWERS["molecules"]["runs"]["adapted"]
    same(medeor.predict(run, *said["asked"]), said["predictions"])


@pytest.mark.parametrize("version", ["9.9.0", "0.10", "1.0.0rc1", "next", "", 5, None])
def test_a_run_of_a_later_or_unknown_version_is_refused_by_name(version: object, enter: Room, tmp_path: Path) -> None:
    room = enter("graphs")
    run = of_version(shutil.copytree(room / "runs" / "transe", tmp_path / "run"), version)
    with pytest.raises(UserError, match=rf"was finished by medeor {version}; {medeor.__version__} is too old"):
        medeor.load(run)
    with pytest.raises(UserError, match=f"was finished by medeor {version} and is not fitted"):
        train(run)
    of_version(run, version, finished=False)
    for verb in (train, medeor.load):
        with pytest.raises(UserError, match=f"was begun by medeor {version} and cannot go on"):
            verb(run)


def test_a_finished_run_of_the_same_release_opens(enter: Room, tmp_path: Path) -> None:
    room = enter("graphs")
    run = shutil.copytree(room / "runs" / "transe", tmp_path / "run")
    of_version(run, medeor.__version__.rpartition(".")[0] + ".99")
    said = ANSWERS["graphs"]["runs"]["transe"]
    same(medeor.predict(run, *said["asked"]), said["predictions"])


def test_every_class_of_models_is_among_them(unpacked: Room) -> None:
    """So that none is forgotten whose code moves. What 0.1 did not have is no old work: it belongs into `LATER`."""
    assert {kind for room in ANSWERS for kind in kinds(unpacked(room) / "runs")} == set(LOADERS) - set(LATER)


def kinds(folder: Path) -> Iterator[str]:
    """What the models below a folder say that they and their parts are."""
    for path in folder.rglob("model.json"):
        facts = json.loads(path.read_text())
        for one in (facts, *facts.values()):
            if isinstance(one, dict) and "kind" in one:
                yield one["kind"]


def train(run: str | Path, **fields: Any) -> None:
    """The command that began this run."""
    medeor.train(out=run, study=Path(run) / "study.toml", console=Console(quiet=True), **fields)


def plan(run: str | Path) -> None:
    medeor.plan(out=run, study=Path(run) / "study.toml", console=Console(quiet=True))


def of_version(run: Path, version: object, **facts: object) -> Path:
    """A run as if this version had begun it."""
    state = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**state, "medeor": version, **facts}))
    return run


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, and every folder in it."""
    return {path.as_posix(): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def same(found: pl.DataFrame, before: Mapping[str, list[Any]]) -> None:
    """All that was in a table is in it still."""
    now = found.to_dict(as_series=False)
    assert set(before) <= set(now)
    for name in SENTENCES:
        if name in before:
            assert [text is None for text in now[name]] == [text is None for text in before[name]], name
    kept = [name for name in before if name not in SENTENCES]
    assert list(differences({name: now[name] for name in kept}, {name: before[name] for name in kept})) == []


NEAR = {"randomised weights": 0.05, "effect": 1e-4}


def differences(found: Any, before: Any, place: str = "") -> Iterator[str]:
    """Where two values differ, numbers by more than 1e-6; but by .05 where they are ranks of weights, of which two that
    nearly tie are ranked the other way round by processors of another make, and by 1e-4 where they are areas under
    curves of answers in bfloat16, which round by the shape of a batch."""
    if isinstance(before, dict) and isinstance(found, dict) and set(before) == set(found):
        for key, value in before.items():
            yield from differences(found[key], value, f"{place}/{key}")
    elif isinstance(before, list) and isinstance(found, list | tuple) and len(before) == len(found):
        for number, value in enumerate(before):
            yield from differences(found[number], value, f"{place}/{number}")
    elif isinstance(before, float) and isinstance(found, float):
        near = next((near for name, near in NEAR.items() if name in place), 1e-6)
        if found != pytest.approx(before, rel=1e-6, abs=near, nan_ok=True):
            yield f"{place}: {found} was {before}"
    elif found != before or type(found) is not type(before):
        yield f"{place}: {found!r} was {before!r}"


def same_weights(found: Explanation, before: Mapping[str, Any]) -> None:
    """The same attribution; of named elements, of which there are many, those that counted were kept."""
    assert list(np.shape(found.attribution)) == before["shape"]
    weights = np.asarray(found.attribution, float).ravel()
    expected = np.zeros(len(weights))
    for number, name, weight in before.get("named", ()):
        assert found.elements[number] == name
        expected[number] = weight
    np.testing.assert_allclose(weights, before.get("weights", expected), rtol=1e-6, atol=1e-6)
