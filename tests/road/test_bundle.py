"""The one file: whole or refused, complete, and silent about the cases that it was fitted on."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

import tiny
from medeor.contracts import Study, UserError
from medeor.files import read_json, sha256
from medeor.road import bundle
from medeor.road.bundle import load, write_bundle
from medeor.road.study_file import study_from, study_values


@pytest.fixture(scope="module")
def packed(tiny_run: Path) -> Path:
    return tiny_run / "tiny.medeor"


def test_it_opens_with_its_manifest_and_holds_what_it_lists(packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
        assert names[0] == "manifest.json"
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        manifest = json.loads(archive.read("manifest.json"))
        archive.extractall(tmp_path)
    assert {name: sha256(tmp_path / name) for name in names[1:]} == manifest["sha256"]
    assert manifest["task"] == "image-classification"
    assert manifest["training cases inside"] is False
    endings = {Path(name).suffix for name in names}
    assert endings == {".json", ".toml", ".md", ".safetensors"}


def test_it_says_nothing_of_the_cases_it_was_fitted_on(packed: Path, tiny_run: Path, tiny_hospital: Path) -> None:
    content = packed.read_bytes()
    cases = [case["case_id"] for case in read_json(tiny_run / "explanations" / "explanations.json")["cases"]]
    for told in (str(tiny_hospital), "labels.csv", "P000", "case-000", *cases):
        assert told.encode() not in content


def test_predictions_begin_with_what_is_known_of_the_case(tiny_run: Path, tiny_hospital: Path) -> None:
    """Images carry the name of the case alone; none of their targets has a unit."""
    table = load(tiny_run).predict(tiny_hospital / "images")
    assert table.columns[:5] == ["case_id", "source", "broken", "item", "value"]
    assert "unit" not in table.columns


def test_the_same_model_is_the_same_file(packed: Path, tiny_run: Path, tmp_path: Path) -> None:
    write_bundle(tiny_run, tmp_path / "again.medeor")
    assert (tmp_path / "again.medeor").read_bytes() == packed.read_bytes()


def test_what_a_fit_left_beside_the_model_stays_behind(tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    shutil.copytree(tiny_run, folder)
    shutil.copytree(folder / "model" / "model" / "fold-0", folder / "model" / "without" / "fold-0")
    (folder / "model" / "notes.json").write_text("{}")
    write_bundle(folder, folder / "r.medeor")
    assert (folder / "r.medeor").read_bytes() == (tiny_run / "tiny.medeor").read_bytes()


def test_a_flipped_byte_is_told_wherever_it_lies(packed: Path, tmp_path: Path) -> None:
    """Of the parts that carry something: of a file's date or rights in the archive nothing is read."""
    whole = packed.read_bytes()
    regions: dict[str, range] = {}
    with zipfile.ZipFile(packed) as archive:
        for info in archive.infolist():
            start = info.header_offset + 30 + len(info.filename)
            regions[info.filename] = range(start, start + info.file_size)
        regions["names"] = range(30, 30 + len("manifest.json"))
        regions["directory"] = range(archive.start_dir + 46, archive.start_dir + 46 + len("manifest.json"))
        regions["end"] = range(len(whole) - 22, len(whole) - 18)
    damaged = tmp_path / "damaged.medeor"
    for places in regions.values():
        for place in np.unique(np.linspace(places.start, places.stop - 1, 12).astype(int)):
            for bit in (1, 8, 128):
                damaged.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
                with pytest.raises(UserError, match="damaged or no medeor bundle"):
                    load(damaged)


def test_any_flipped_byte_is_told_or_changes_nothing(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    expected = _unpacked(packed)
    damaged = tmp_path / "damaged.medeor"
    for place in np.random.default_rng(0).integers(0, len(whole), 150):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = _unpacked(damaged)
        except UserError:
            found = expected
        assert found == expected, place


@pytest.mark.parametrize("kept", [0, 1, 100, -1, -30])
def test_a_file_cut_short_is_told(kept: int, packed: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.medeor"
    cut.write_bytes(packed.read_bytes()[:kept])
    said = tiny.medeor("predict", cut, "x.png")
    assert said.code == 2
    assert len(said.complaints) == 1
    assert str(cut) in said.complaints[0]
    assert "get a fresh copy" in said.complaints[0]


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"schema": bundle.SCHEMA + 1, "medeor": "9.9"}, "was written by medeor 9.9"),
        ({"schema": None}, "this medeor reads"),
        ({"schema": "1"}, "this medeor reads"),
        ({"sha256": {}}, r"no medeor bundle \(manifest\.json\)"),
        ({"sha256": 3}, "damaged"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused_by_name(
    changed: dict[str, Any], word: str, packed: Path, tmp_path: Path
) -> None:
    path = _rewritten(packed, tmp_path / "other.medeor", manifest=changed)
    with pytest.raises(UserError, match=word):
        load(path)


def test_an_entry_beside_the_manifest_is_refused(packed: Path, tmp_path: Path) -> None:
    path = _rewritten(packed, tmp_path / "more.medeor", extra={"model/more.json": b"{}"})
    with pytest.raises(UserError, match=r"no medeor bundle \(manifest\.json\)"):
        load(path)


def test_nothing_is_written_outside(packed: Path, tmp_path: Path) -> None:
    evil = {"../../evil.json": b"{}"}
    path = _rewritten(packed, tmp_path / "a" / "b" / "evil.medeor", extra=evil, listed=True)
    with pytest.raises(UserError, match=r"no medeor bundle \(.*evil\.json"):
        load(path)
    assert not list(tmp_path.rglob("evil.json"))


def test_weights_that_do_not_fit_their_network_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    shutil.copytree(tiny_run, folder)
    facts = read_json(folder / "model" / "model" / "fold-0" / "model.json")
    facts["recipe"]["network_facts"]["widths"] = [4, 8]
    (folder / "model" / "model" / "fold-0" / "model.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"weights.safetensors does not fit"):
        load(folder)
    (folder / "model" / "model" / "fold-0" / "model.json").write_text('{"kind": "sorcery"}')
    with pytest.raises(UserError, match="sorcery"):
        load(folder)


@pytest.mark.parametrize("missing", ["run.json", "model/model.json", "targets.json", "study.toml"])
def test_a_run_that_is_not_whole_is_refused(missing: str, tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    shutil.copytree(tiny_run, folder)
    (folder / missing).unlink()
    with pytest.raises(UserError, match=r"no finished run|is missing"):
        load(folder)


names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
studies = st.builds(
    Study,
    sources=st.lists(names, max_size=3).map(tuple),
    labels=names,
    target=st.lists(names, max_size=3).map(tuple),
    options=st.dictionaries(names, names, max_size=2),
    settings=st.dictionaries(names, names, max_size=2),
    seed=st.integers(0, 2**31 - 1),
    minutes=st.none() | st.floats(0.1, 1e6),
    threshold=st.sampled_from(["", "youden", "accuracy", "prevalence", "sensitivity=0.95", "0.3"]),
)


@given(studies)
def test_a_study_is_read_as_it_was_written(study: Study) -> None:
    import tomllib

    assert study_from(tomllib.loads(tomli_w.dumps(study_values(study))), "here") == study


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"seed": True}, "seed"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": float("nan")}, "minutes"),
        ({"threshold": "best"}, "youden"),
        ({"target": 3}, "target"),
        ({"options": "x"}, "options"),
        ({"where": "x"}, "options"),
        ({"labels": 1}, "labels"),
        ({"colour": "red"}, "no 'colour'"),
    ],
)
def test_an_impossible_study_is_refused_before_anything_is_read(values: dict[str, Any], word: str) -> None:
    with pytest.raises(UserError, match=word):
        study_from(values, "study.toml")


def _unpacked(path: Path) -> dict[str, bytes]:
    """The files that an opened bundle stands on."""
    room = load(path).folder
    return {file.relative_to(room).as_posix(): file.read_bytes() for file in room.rglob("*") if file.is_file()}


def _rewritten(
    packed: Path,
    path: Path,
    manifest: dict[str, Any] | None = None,
    extra: dict[str, bytes] | None = None,
    listed: bool = False,
) -> Path:
    """The same bundle with another manifest or with more entries."""
    import hashlib

    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(path, "w") as new:
        facts = {**json.loads(old.read("manifest.json")), **(manifest or {})}
        if listed:
            facts["sha256"] |= {name: hashlib.sha256(content).hexdigest() for name, content in (extra or {}).items()}
        new.writestr("manifest.json", json.dumps(facts))
        for name in old.namelist()[1:]:
            new.writestr(name, old.read(name))
        for name, content in (extra or {}).items():
            new.writestr(name, content)
    return path
