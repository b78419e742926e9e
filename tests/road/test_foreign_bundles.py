"""What a received file must not do: run code, write outside, end or stall the process, leave something behind. Each
attack is refused in one line."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as arrays_in
from safetensors.numpy import save as as_safetensors

import medeor
import tiny
from medeor.contracts import UserError
from medeor.road.bundle import Trained

Entries = dict[str, bytes]
MODEL, FOLD = "model/model/model.json", "model/model/fold-0/model.json"
WEIGHTS, DOMAIN = "model/model/fold-0/weights.safetensors", "model/domain.safetensors"


@pytest.fixture(scope="module")
def good(tiny_run: Path) -> Entries:
    """What an honest bundle holds, its manifest aside: five networks of images."""
    with zipfile.ZipFile(tiny_run / "tiny.medeor") as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, with a module `evil` that can be imported, and everything temporary below it; afterwards
    nothing was imported, and nothing is there but what the test made."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "evil.py").write_text("raise SystemExit('this code ran')\n")
    (tmp_path / "temporary").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.delenv("MEDEOR_TRUST", raising=False)
    yield tmp_path
    assert "evil" not in sys.modules
    assert {path.name for path in tmp_path.iterdir()} <= {"code", "temporary", "attack.medeor"}
    assert {path.name for path in (tmp_path / "code").iterdir()} <= {"evil.py"}
    assert not list((tmp_path / "temporary").iterdir())


def packed(path: Path, entries: Mapping[str, bytes], manifest: Mapping[str, object] | None = None) -> Path:
    """A bundle of these entries, with their true checksums."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in entries.items()}
    facts = {"schema": 2, "medeor": "0.1.0", "task": "image-classification", "sha256": sums, **(manifest or {})}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(facts))
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


def refused(path: Path, *words: str) -> None:
    """Opening this file, or asking the model in it, is refused in one line with these words."""
    images = np.random.default_rng(0).integers(0, 255, (2, tiny.SIDE, tiny.SIDE), dtype=np.uint8)
    with pytest.raises(UserError) as said:
        _close(medeor.load(path), images)
    text = str(said.value)
    assert "\n" not in text
    assert len(text) < 600
    assert str(path) in text or "targets.json" in text
    for word in words:
        assert word in text


def _close(trained: Trained, images: np.ndarray | None = None) -> None:
    """Asks an opened model, and removes what it stands on, as the end of the process would."""
    try:
        if images is not None:
            trained.predict(images)
    finally:
        shutil.rmtree(trained.folder)


def changed(entries: Entries, name: str, change: Callable[[Any], object]) -> Entries:
    """The entries with one JSON file changed in place, or replaced by what `change` returns."""
    value = json.loads(entries[name])
    new = change(value)
    return {**entries, name: json.dumps(value if new is None else new).encode()}


def test_an_honest_bundle_is_opened(good: Entries, tmp_path: Path) -> None:
    images = np.zeros((2, tiny.SIDE, tiny.SIDE), np.uint8)
    assert medeor.load(packed(tmp_path / "good.medeor", good)).predict(images).height == 2
    assert medeor.load(packed(tmp_path / "old.medeor", good, {"schema": 1})).predict(images).height == 2


# --- code ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["evil:Net", "os:abort", "os:_exit", "medeor.cache:clear", "builtins:exit", "torch.nn:Linear", ":x"],
)
def test_no_module_is_imported_because_a_bundle_names_it(name: str, good: Entries, room: Path) -> None:
    evil = changed(good, FOLD, lambda facts: facts["recipe"]["network_facts"].update(name=name))
    module = name.partition(":")[0]
    refused(packed(room / "attack.medeor", evil), f"--trust {module}" if module else "no name of a module")


@pytest.mark.parametrize("name", ["evil.part:Net", "evil_too:Net", "EVIL:Net"])
def test_a_module_is_trusted_exactly(name: str, good: Entries, room: Path) -> None:
    evil = changed(good, FOLD, lambda facts: facts["recipe"]["network_facts"].update(name=name))
    with pytest.raises(UserError, match="--trust"):
        medeor.load(packed(room / "attack.medeor", evil), trust=["evil"])


@pytest.mark.parametrize("name", ["os:abort", "os:getcwd", "pathlib:Path", "os:environ", "os:absent"])
def test_even_a_trusted_module_gives_nothing_but_networks(name: str, good: Entries, room: Path) -> None:
    evil = changed(good, FOLD, lambda facts: facts["recipe"]["network_facts"].update(name=name))
    with pytest.raises(UserError, match=r"no subclass of torch.nn.Module|has no 'absent'"):
        medeor.load(packed(room / "attack.medeor", evil), trust=["os", "pathlib"])


@pytest.mark.parametrize("trust", ["evil:Net", "../evil", "", "a b"])
def test_only_names_of_modules_can_be_trusted(trust: str, tiny_run: Path) -> None:
    with pytest.raises(UserError, match="--trust"):
        medeor.load(tiny_run, trust=[trust])


def test_a_study_and_a_plan_name_no_module_either(tiny_hospital: Path, room: Path) -> None:
    folder = tiny.plan_at(room / "temporary" / "run")
    (folder / "plan.toml").write_text((folder / "plan.toml").read_text().replace("small-cnn", "evil:Net"))
    said = tiny.medeor("train", *tiny.labelled(tiny_hospital), "--out", folder)
    assert (said.code, len(said.complaints)) == (2, 1)
    assert "--trust evil" in said.complaints[0]
    study = room / "temporary" / "study.toml"
    study.write_text('[settings]\n"network.name" = "evil:Net"\n')
    for verb in ("plan", "train"):
        out = room / "temporary" / verb
        said = tiny.medeor(verb, *tiny.labelled(tiny_hospital), "--study", study, "--out", out)
        assert (said.code, len(said.complaints)) == (2, 1)
        assert "--trust evil" in said.complaints[0]
    for path in sorted((room / "temporary").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


# --- the file --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt", "/tmp/evil.txt", "..\\evil.txt", "C:\\evil.txt", "C:/evil.txt", "model/../../evil.txt",
        "a/./b/../../../evil", "model//model.json", "./model/model.json", "card.md/x", "model/model.json/x.json", "",
        "d/", "model/", "m" * 300 + ".json", "model/" + "a/" * 60 + "a.json", "model/code.py", "__main__.py",
        "cases.parquet", "stores/graph/graph.json", "model/other.parquet", "MODEL/model.json", "Card.md",
        "model/a\x00.json", "model/a\u202e.json", "model/é.json", "model/a:b.json", "model/.hidden.json",
    ],
)  # fmt: skip
def test_an_entry_of_any_other_name_is_refused(name: str, good: Entries, room: Path) -> None:
    refused(packed(room / "attack.medeor", {**good, name: b"{}"}))


def _zip(path: Path, entries: Entries, change: Callable[[zipfile.ZipInfo], None]) -> Path:
    """A bundle with one entry described in another way, its content the same."""
    packed(path, entries)
    content = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            entry = zipfile.ZipInfo(info.filename)
            if info.filename == "card.md":
                change(entry)
            new.writestr(entry, old.read(info), compress_type=entry.compress_type)
    return path


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_a_link_or_a_device_is_refused(kind: int, good: Entries, room: Path) -> None:
    refused(_zip(room / "attack.medeor", good, lambda entry: setattr(entry, "external_attr", (kind | 0o777) << 16)))


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_entry_is_refused(how: int, good: Entries, room: Path) -> None:
    refused(_zip(room / "attack.medeor", good, lambda entry: setattr(entry, "compress_type", how)))


def test_bombs_are_refused_before_they_are_unpacked(good: Entries, room: Path) -> None:
    path = room / "attack.medeor"
    for name in ("manifest.json", "model/a.json"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            if name != "manifest.json":
                archive.writestr("manifest.json", json.dumps({"schema": 2, "sha256": {}}))
            with archive.open(name, "w") as entry:
                for _ in range(64):
                    entry.write(bytes(1 << 20))
        assert path.stat().st_size < 1 << 20
        refused(path, "sizes of entries")


def test_entries_that_share_their_bytes_are_refused(good: Entries, room: Path) -> None:
    """A thousand names of one megabyte would unpack to a gigabyte."""
    path = packed(room / "attack.medeor", {**good, "model/a-000.json": b" " * (1 << 20)})
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    end = whole.index(b"PK\x05\x06", start)
    place = whole.index(b"model/a-000.json", start) - 46
    header = whole[place : place + 46 + len("model/a-000.json")]
    more = b"".join(header.replace(b"a-000", b"a-%03d" % number) for number in range(1, 1000))
    counts = struct.unpack("<HH", whole[end + 8 : end + 12])[0] + 999
    size = end - start + len(more)
    tail = whole[end : end + 8] + struct.pack("<HHII", counts, counts, size, start) + whole[end + 20 :]
    path.write_bytes(whole[:end] + more + tail)
    refused(path, "sizes of entries")


def test_a_manifest_and_a_list_of_entries_have_a_limit(good: Entries, room: Path) -> None:
    refused(packed(room / "attack.medeor", good, {"notes": "x" * (5 << 20)}), "manifest.json")
    refused(
        packed(room / "attack.medeor", {**good, **{f"model/a-{n}.json": b"{}" for n in range(5000)}}), "list of entries"
    )
    refused(
        packed(room / "attack.medeor", {**good, **{"model/" + f"a{n}/" * 200: b"" for n in range(5000)}}),
        "list of entries",
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("again", ["card.md", "CARD.md", "manifest.json"])
def test_two_entries_of_one_name_are_refused(again: str, good: Entries, room: Path) -> None:
    path = packed(room / "attack.medeor", good)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(again, "{}")
    refused(path, "list of entries")


@pytest.mark.parametrize("where", ["before", "behind", "comment", "between", "of an entry"])
def test_bytes_that_no_entry_lists_are_refused(where: str, good: Entries, room: Path) -> None:
    """They may be anything, such as the training cases."""
    path = packed(room / "attack.medeor", good)
    if where == "before":
        path.write_bytes(b"a row of the training table\n" + path.read_bytes())
    elif where == "behind":
        path.write_bytes(path.read_bytes() + b"x")
    elif where == "comment":
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"a row of the training table"
    else:
        infos = zipfile.ZipFile(path).infolist()
        with zipfile.ZipFile(path, "w") as archive:
            for info in infos:
                content = good.get(info.filename) or _manifest_of(good)
                entry = zipfile.ZipInfo(info.filename)
                if where == "of an entry":
                    entry.comment = b"a value"
                elif archive.fp is not None:
                    archive.fp.write(b"a value")
                    archive.start_dir = archive.fp.tell()
                archive.writestr(entry, content)
    refused(path, "bytes outside entries")


def _manifest_of(entries: Entries) -> bytes:
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in entries.items()}
    return json.dumps({"schema": 2, "medeor": "0.1.0", "task": "image-classification", "sha256": sums}).encode()


def test_what_a_file_says_gives_a_terminal_no_orders(good: Entries, room: Path) -> None:
    path = packed(room / "attack.medeor", good, {"schema": 99, "medeor": "\x1b[2J\x1b]0;evil\x07"})
    with pytest.raises(UserError) as said:
        medeor.load(path)
    assert str(said.value).isprintable()


def test_content_that_is_not_that_of_the_manifest_is_refused(good: Entries, room: Path) -> None:
    """The sums of the zip itself are right."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in good.items()}
    other = {**good, "card.md": good["card.md"] + b"x"}
    refused(packed(room / "attack.medeor", other, {"sha256": sums}), "(card.md)")


@pytest.mark.parametrize(
    "manifest",
    [b"[" * 100_000, b"[]", b"3", b"{}", b"\xff", b'{"schema": 2}', b'{"schema": 2, "sha256": ["a"]}',
     b'{"schema": true, "sha256": {}}', b'{"schema": 0, "sha256": {}}', b'{"schema": 1e9, "sha256": {}}',
     b'{"schema": 2, "sha256": {"card.md": 1}}', b'{"schema": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_a_manifest_of_any_other_kind_is_refused(manifest: bytes, good: Entries, room: Path) -> None:
    path = room / "attack.medeor"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", manifest)
        for name, content in good.items():
            archive.writestr(name, content)
    refused(path)


# --- what it says ----------------------------------------------------------------------------------------

DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, content) for name in ("targets.json", "calibration.json", MODEL, FOLD) for content in
          (b"", b"[]", b"{}", b"null", b"3", b'"x"', b"[1]", b"[[]]", DEEP, b"\xff", b"NaN", b'{"kind": NaN}')),
        ("targets.json", b'[{"name": 1}]'),
        ("targets.json", b'[{"name": "lesion", "kind": "binary", "classes": ["0"]}]'),
        ("targets.json", b'[{"name": "lesion", "kind": "multiclass", "classes": []}]'),
        ("targets.json", b'[{"name": "other", "kind": "binary"}]'),
        ("targets.json", b'[{"name": "lesion", "kind": "magic"}]'),
        ("calibration.json", b'{"coverage": "x"}'),
        ("calibration.json", b'{"coverage": 0.9, "targets": [{"target": "other", "kind": "binary", "items": ["1"]}]}'),
        ("calibration.json", b'{"coverage": 0.9, "targets": [{"target": "lesion", "kind": "binary", "items": ["1"], '
                             b'"cases": 9}]}'),
        ("study.toml", b"task = 3"),
        ("study.toml", b'task = "nope"'),
        ("study.toml", b"\xff\xfe"),
        ("study.toml", b""),
        ("study.toml", b"x = " + DEEP),
        ("study.toml", b'task = "graph-completion"'),
        ("study.toml", b'task = "molecule-property"'),
        ("study.toml", b'task = "image-classification"\n[where]\nroot = "/etc"'),
        *((MODEL, json.dumps({"kind": kind}).encode()) for kind in
          ("stack", "folds", "trees", "network", "image-recipe", "image-features", "molecule-domain", "sorcery", "os:x",
           ["network"], None, 3)),
        *((MODEL, json.dumps({"kind": "folds", "members": members}).encode()) for members in
          (10**9, 10**30, 0, -1, 2.5, None, [1], {}, "many")),
    ],
)  # fmt: skip
def test_values_of_another_kind_are_refused(name: str, content: bytes, good: Entries, room: Path) -> None:
    refused(packed(room / "attack.medeor", {**good, name: content}))


def test_places_that_a_bundle_names_are_forgotten(good: Entries, room: Path) -> None:
    named = b'task = "image-classification"\nsources = ["/etc"]\nlabels = "/etc/passwd"\n[inputs]\nbase = "/etc"'
    trained = medeor.load(packed(room / "attack.medeor", {**good, "study.toml": named}))
    assert (trained.study.sources, trained.study.labels, trained.study.inputs) == ((), "", {})
    _close(trained)


@pytest.mark.parametrize(
    "part", ["/etc", "../fold-0", "../../../../etc", ".", "..", "", "fold-0/../fold-0", "fold-0\\..", "C:", "FOLD-0", 3]
)
def test_a_part_lies_in_a_folder_of_its_own(part: object, good: Entries, room: Path) -> None:
    facts = {
        "kind": "stack", "pool": "log-odds", "targets": json.loads(good["targets.json"]), "parts": [part, "fold-1"],
        "weights": {"lesion": [0.5, 0.5]}, "earned": [],
    }  # fmt: skip
    honest = {**good, MODEL: json.dumps({**facts, "parts": ["fold-0", "fold-1"]}).encode()}
    _close(medeor.load(packed(room / "attack.medeor", honest)))
    refused(packed(room / "attack.medeor", {**good, MODEL: json.dumps(facts).encode()}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("recipe", "kind"), "trees"),
        (("recipe", "kind"), "image-features"),
        (("recipe", "kind"), "graph-recipe"),
        (("recipe", "kind"), "os:abort"),
        (("recipe", "network_facts", "name"), ["resnet"]),
        (("recipe", "network_facts", "widths"), [10**7] * 4),
        (("recipe", "network_facts", "widths"), [16384] * 12),
        (("recipe", "network_facts", "widths"), []),
        (("recipe", "network_facts", "widths"), "wide"),
        (("recipe", "network_facts", "blocks"), [10**9] * 4),
        (("recipe", "network_facts", "dropout"), 2),
        (("recipe", "preparation", "size"), [200_000, 200_000]),
        (("recipe", "preparation", "size"), [4096, 4096, 4096]),
        (("recipe", "preparation", "size"), [12]),
        (("recipe", "preparation", "size"), [24, 24]),
        (("recipe", "preparation", "channels"), 64),
        (("recipe", "preparation", "channels"), -1),
        (("recipe", "mirrored"), "perhaps"),
        (("recipe",), 3),
        (("processors",), []),
        (("processors", "heads"), None),
        (("processors", "heads", "scales"), []),
        (("processors", "heads", "scales"), [[0, 0]]),
        (("processors", "heads", "weights"), [[1.0]]),
        (("processors", "heads", "targets"), []),
        (("processors", "heads", "targets"), [{"name": "other", "kind": "binary"}]),
        (("processors", "heads", "targets"), [{"name": "a", "kind": "multiclass", "classes": ["a", "b", "c"]}]),
        (("processors", "mean"), []),
        (("processors", "spread"), [0.0]),
        (("processors", "spread"), [-1.0]),
        (("processors", "mean"), [10**400]),
    ],
)
def test_settings_that_no_network_has_are_refused(
    path: tuple[str, ...], value: object, good: Entries, room: Path
) -> None:
    """In every fold, so that what is refused is the value and not the difference."""

    def change(facts: Any) -> None:
        for key in path[:-1]:
            facts = facts[key]
        facts[path[-1]] = value

    evil = dict(good)
    for number in range(5):
        evil = changed(evil, FOLD.replace("0", str(number)), change)
    refused(packed(room / "attack.medeor", evil))


def _header(facts: object, data: bytes = b"") -> bytes:
    content = json.dumps(facts).encode()
    return struct.pack("<Q", len(content)) + content + data


def _arrays(change: Callable[[dict[str, np.ndarray]], None]) -> Callable[[bytes], bytes]:
    def made(content: bytes) -> bytes:
        arrays = dict(arrays_in(content))
        change(arrays)
        return as_safetensors(arrays)

    return made


def _first(arrays: dict[str, np.ndarray], value: Callable[[np.ndarray], np.ndarray]) -> None:
    name = min(arrays)
    arrays[name] = np.ascontiguousarray(value(arrays[name]))


@pytest.mark.parametrize("name", [WEIGHTS, DOMAIN])
@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content[:-5],
        lambda content: content + b"x",
        lambda content: struct.pack("<Q", 1 << 60) + b"{}",
        lambda content: _header({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}),
        lambda content: _header({"a": {"dtype": "F32", "shape": [1 << 62, 4], "data_offsets": [0, 0]}}),
        lambda content: _header({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        lambda content: _header([]),
        lambda content: _header({}),
        _arrays(lambda arrays: arrays.update(evil=np.zeros(3))),
        _arrays(lambda arrays: arrays.__delitem__(min(arrays))),
        _arrays(lambda arrays: _first(arrays, lambda one: one * np.nan)),
        _arrays(lambda arrays: _first(arrays, lambda one: one + np.inf)),
        _arrays(lambda arrays: _first(arrays, lambda one: one.astype(np.float64))),
        _arrays(lambda arrays: _first(arrays, lambda one: one.astype(np.int32))),
        _arrays(lambda arrays: _first(arrays, lambda one: one[..., None])),
        _arrays(lambda arrays: _first(arrays, lambda one: np.zeros(0, one.dtype))),
    ],
)
def test_arrays_that_are_not_those_of_the_model_are_refused(
    change: Callable[[bytes], bytes], name: str, good: Entries, room: Path
) -> None:
    refused(packed(room / "attack.medeor", {**good, name: change(good[name])}))


def test_a_run_folder_with_a_link_in_it_leads_nowhere_else(tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    fold = (folder / FOLD).parent
    shutil.move(fold, tmp_path / "elsewhere")
    fold.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="damaged, or is another file"):
        medeor.load(folder)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.medeor")
    with pytest.raises(UserError, match="no file"):
        medeor.load(tmp_path / "pipe.medeor")
