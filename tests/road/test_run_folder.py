"""What was fitted stays until the user says `--again`: the run stops before it writes, and says what differs."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from safetensors.numpy import load_file

import medeor
import tiny
from medeor.contracts import UserError
from medeor.files import read_json, read_toml


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_hospital: Path) -> Path:
    """A run and beside it its source, named as from this folder: so that a copy of both is the same study."""
    room = tmp_path_factory.mktemp("claim") / "room"
    shutil.copytree(tiny_hospital, room / "h")
    tiny.plan_at(room / "r", parts=["trees"], **{"trees.rounds": 3})
    with contextlib.chdir(room):
        said = train()
    assert said.code == 0, said.err
    return room


@pytest.fixture
def room(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(finished, tmp_path / "room")
    monkeypatch.chdir(tmp_path / "room")
    return tmp_path / "room"


def train(*more: object) -> tiny.Said:
    return tiny.medeor("train", *tiny.labelled(Path("h")), "--out", "r", "--quiet", *more)


def trees(room: Path) -> Path:
    """The file of the fitted trees, wherever in the model it lies."""
    return next((room / "r" / "model").rglob("booster-0.safetensors"))


def edit_plan(room: Path) -> None:
    path = room / "r" / "plan.toml"
    path.write_text(path.read_text().replace("rounds = 3", "rounds = 5"))
    assert read_toml(path)["trees"]["rounds"] == 5


def edit_labels(column: str, change: Callable[[pl.Expr], pl.Expr]) -> Callable[[Path], None]:
    def edit(room: Path) -> None:
        table = pl.read_csv(room / "h" / "labels.csv")
        first = pl.int_range(pl.len()) == 0
        table = table.with_columns(pl.when(first).then(change(pl.col(column))).otherwise(column).alias(column))
        table.write_csv(room / "h" / "labels.csv")

    return edit


def edit_key(name: str, value: object, place: str = "model") -> Callable[[Path], None]:
    def edit(room: Path) -> None:
        path = room / "r" / place / "key.json"
        path.write_text(json.dumps({**read_json(path), name: value}))

    return edit


def old_key(room: Path) -> None:
    (room / "r" / "model" / "key.json").write_text('"0123456789abcdef"\n')


CHANGES: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "plan": (edit_plan, ["another plan", "trees.rounds was 3 and is 5"]),
    "data": (edit_labels("lesion", lambda old: 1 - old), ["other data"]),
    "split": (edit_labels("part", lambda old: old.replace("train", "validation")), ["another split"]),
    "threads": (edit_key("threads", 64), ["64 threads, not "]),
    "version": (edit_key("medeor", "0.0.9"), ["medeor 0.0.9"]),
    "seed": (edit_key("seed", 5), ["the seed 5, not 0"]),
    "an old key": (old_key, ["another version of medeor"]),
    "no key": (lambda room: (room / "r" / "model" / "key.json").unlink(), ["another version of medeor"]),
    "the baseline's": (edit_key("seed", 5, "baseline"), ["baseline", "the seed 5"]),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_run_that_was_fitted_otherwise_stops_and_stays_whole(what: str, room: Path) -> None:
    change, words = CHANGES[what]
    change(room)
    before = tiny.bits(room / "r", ())
    said = train()
    assert said.code == 2
    (complaint,) = said.complaints
    assert all(word in complaint for word in (*words, "--again")), complaint
    assert tiny.bits(room / "r", ()) == before
    medeor.load(room / "r")


def test_a_half_done_run_stops_too(room: Path) -> None:
    run = room / "r"
    for path in (run / "model" / "held_out.parquet", run / "model" / "model.json"):
        path.unlink()
    (run / "run.json").write_text(json.dumps({**read_json(run / "run.json"), "finished": False}))
    edit_plan(room)
    said = train()
    assert said.code == 2
    assert "another plan" in said.complaints[0]
    assert trees(room).exists()


def test_another_setting_is_named_and_again_obeys_it(room: Path) -> None:
    said = train("--set", "trees.rounds=7")
    assert said.code == 2
    assert "settings.trees.rounds was not set and is 7" in said.complaints[0]
    assert "--again" in said.complaints[0]
    before = trees(room).read_bytes()
    assert train("--set", "trees.rounds=7", "--again").code == 0
    assert trees(room).read_bytes() != before
    assert read_toml(room / "r" / "plan.toml")["trees"]["rounds"] == 7


def test_again_fits_by_the_plan_as_it_was_edited(room: Path) -> None:
    edit_plan(room)
    fields = {"labels": "h/labels.csv", "target": "lesion", "group": "patient_id", "split": "part"}
    with pytest.raises(UserError, match="--again"):
        medeor.train("h/images", out="r", **fields)
    medeor.train("h/images", out="r", again=True, **fields)
    assert len(load_file(trees(room))["leaves"]) == 5
    assert read_json(room / "r" / "baseline" / "key.json") == read_json(room / "r" / "model" / "key.json")
    assert train().code == 0


def test_a_comment_or_the_estimate_in_the_plan_changes_nothing(room: Path) -> None:
    path = room / "r" / "plan.toml"
    model = trees(room).stat().st_mtime_ns
    path.write_text("# mine\n" + path.read_text().replace("[estimate]", "[estimate]\nminutes = 99.0"))
    said = train()
    assert said.code == 0, said.err
    assert trees(room).stat().st_mtime_ns == model
