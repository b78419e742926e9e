"""Reading and writing: whole or not at all, and every refusal of a file system in words."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import medeor
import tiny
from medeor import files
from medeor.contracts import UserError

# --- writing ---------------------------------------------------------------------------------------------


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(ZeroDivisionError):
        _half(path, ZeroDivisionError())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def _half(path: Path, error: Exception) -> None:
    with files.replacing(path) as new:
        new.write_text("half")
        raise error


def test_a_folder_takes_the_place_of_a_folder_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    for content in ("1", "2"):
        with files.replacing(path) as new:
            new.mkdir()
            (new / content).write_text(content)
            assert not (path / content).exists()
    assert [file.name for file in path.iterdir()] == ["2"]
    assert not tiny.strays(tmp_path)


REFUSED = {
    errno.ENOSPC: "disk is full",
    errno.EDQUOT: "quota",
    errno.EACCES: "may not be written to",
    errno.EPERM: "may not be written to",
    errno.EROFS: "read-only",
    errno.EFBIG: "larger than the system allows",
    errno.ENAMETOOLONG: "too long",
}


@pytest.mark.parametrize("number", REFUSED)
@pytest.mark.parametrize("told", ["by number", "in words"])
def test_a_refusal_is_told_in_words_and_leaves_nothing(number: int, told: str, tmp_path: Path) -> None:
    """Polars and safetensors tell of the system's error number in words alone."""
    error: Exception = OSError(number, os.strerror(number))
    if told == "in words":
        error = RuntimeError(f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})")
    path = tmp_path / "a.txt"
    with pytest.raises(UserError, match=REFUSED[number]) as said:
        _half(path, error)
    assert str(path) in str(said.value)
    assert not list(tmp_path.iterdir())


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        _half(tmp_path / "a", ConnectionError(errno.ECONNRESET, "reset"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["file", "file/below", "folder"])
def test_a_place_that_cannot_be_written_is_told_before_and_after(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "x.txt").mkdir(parents=True)
    path = tmp_path / place / "x.txt"
    with pytest.raises(UserError, match="cannot write"):
        files.writable(path)
    with pytest.raises(UserError, match="cannot write"):
        files.write_text(path, "x")
    assert not tiny.strays(tmp_path / "folder")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even the superuser cannot write to")
def test_a_folder_where_nothing_can_be_made_is_told_before(tmp_path: Path) -> None:
    files.writable(tmp_path / "new" / "deep" / "x.txt")
    with pytest.raises(UserError, match="may not be written to"):
        files.writable(Path("/proc/new/deep/x.txt"))


LIMITED = """
import resource, sys, numpy, polars
from pathlib import Path
from safetensors.numpy import save_file
from medeor import files
from medeor.contracts import UserError
folder = Path(sys.argv[1])
numbers = numpy.random.default_rng(0).random(20_000)
table = polars.DataFrame({"a": numbers})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

writers = {
    "text": lambda path: path.write_text("x" * 99_999),
    "parquet": table.write_parquet,
    "csv": table.write_csv,
    "json": table.write_json,
    "array": lambda path: numpy.save(path.open("wb"), numbers),
    "tensors": lambda path: save_file({"a": numbers}, path),
}
for name, write in writers.items():
    try:
        with files.replacing(folder / name) as new:
            write(new)
        print(name, "was written")
    except UserError as error:
        print(error)
"""


def test_every_writer_tells_of_a_full_disk(tmp_path: Path) -> None:
    """The system itself refuses, by a limit on the size of a file: so each library's own way to fail is met."""
    said = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    lines = said.stdout.splitlines()
    assert len(lines) == 6
    # NumPy says only how much was not written, which is taken for a full disk.
    assert all("cannot write" in line and ("larger than" in line or "disk is full" in line) for line in lines), lines
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from medeor import files\n"
        "with files.replacing(Path(sys.argv[1])) as new:\n"
        "    new.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "deep" / "a.txt")], check=False)
    (tmp_path / ".mine").write_text("stays")
    assert tiny.strays(tmp_path / "deep")
    files.sweep(tmp_path)
    assert not list((tmp_path / "deep").iterdir())
    assert (tmp_path / ".mine").exists()


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o377])
def test_a_private_folder_is_its_owners_alone(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        files.private_folder(tmp_path / "r")
    finally:
        os.umask(before)
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o700
    (tmp_path / "r").chmod(0o755)
    files.private_folder(tmp_path / "r")
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_written_is_on_the_disk_before_it_has_its_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order: the content, the name, the folder that holds the name."""
    done: list[object] = []
    fsync, rename = os.fsync, os.replace
    names = {}

    def synced(handle: int) -> None:
        done.append(names.get(os.fstat(handle).st_ino, "another"))
        fsync(handle)

    def renamed(old: Path, new: Path) -> None:
        done.append("renamed")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    with files.replacing(tmp_path / "x") as new:
        inner = new
        if kind == "folder":
            new.mkdir()
            inner = new / "inner"
            names[new.stat().st_ino] = "folder"
        inner.write_text("content")
        names |= {inner.stat().st_ino: "content", tmp_path.stat().st_ino: "above"}
    assert done == ["content", *(["folder"] if kind == "folder" else []), "renamed", "above"]


MEMORY = [
    MemoryError(),
    MemoryError("Unable to allocate 298. GiB for an array with shape (200000, 200000) and data type float64"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried to …"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 40000000000 bytes."),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("std::bad_alloc"),
    OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    pl.exceptions.ComputeError("out of memory"),
]


@pytest.mark.parametrize("error", MEMORY, ids=range(len(MEMORY)))
def test_want_of_memory_is_told_in_a_line(error: Exception) -> None:
    @files.enough_memory()
    def work() -> None:
        raise error

    with pytest.raises(UserError, match=r"not enough memory.*training\.batch") as said:
        work()
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("error", [ValueError("no"), UserError("out of memory"), KeyboardInterrupt()])
def test_other_errors_are_not_taken_for_want_of_memory(error: BaseException) -> None:
    with pytest.raises(type(error)) as said, files.enough_memory():
        raise error
    assert said.value is error


# --- reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [files.read_json, files.read_toml])
@pytest.mark.parametrize("content", [None, "folder", b"\xff\xfe\x00", b"{ 'a' = [", b"\x89PNG"])
def test_what_cannot_be_read_is_told_with_its_name(read, content: object, tmp_path: Path) -> None:
    path = tmp_path / "strange"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(UserError, match="strange"):
        read(path)


def test_json_knows_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())


plain = st.none() | st.booleans() | st.integers() | st.text()
nested = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(nested)
def test_json_comes_back_as_it_went(tmp_path_factory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    files.write_json(path, value)
    assert files.read_json(path) == value


def test_a_table_comes_back_as_it_went(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [[1.5], []]})
    files.write_parquet(tmp_path / "t.parquet", table)
    assert pl.read_parquet(tmp_path / "t.parquet").equals(table)


PANICS = Path(__file__).parent / "panics.parquet"
"""Its header promises more than it holds, on which Polars panics: no `except Exception` hears of it."""


def test_a_table_on_which_polars_panics_is_refused_in_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    for read in (files.read_parquet, lambda path: medeor.read(path, target="y")):
        with pytest.raises(UserError, match=r"panics\.parquet is not readable Parquet") as said:
            read(PANICS)
        assert "\n" not in str(said.value)
    assert capfd.readouterr().err == ""


def test_what_others_say_while_a_table_is_read_is_not_lost(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with files.reading(tmp_path / "x", "Parquet"):
        os.write(2, b"a word\n")
    with pytest.raises(ZeroDivisionError), files.reading(tmp_path / "x", "Parquet"):
        os.write(2, b"another\n")
        raise ZeroDivisionError
    assert capfd.readouterr().err == "a word\nanother\n"


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"a,b\n1,2\n"])
def test_a_table_that_is_none_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"t\.parquet"):
        files.read_parquet(tmp_path / "t.parquet")


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    files.write_parquet(tmp_path / "t.parquet", pl.DataFrame({"a": [1]}))
    with pytest.raises(UserError, match="no column 'b'"):
        files.read_parquet(tmp_path / "t.parquet", ["a", "b"])


def test_digests_are_those_of_hashlib(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(3 << 20)
    (tmp_path / "big").write_bytes(content)
    assert files.sha256(tmp_path / "big") == hashlib.sha256(content).hexdigest()
    assert files.digest("a", b"b", tmp_path / "big") == hashlib.sha256(b"a\0b\0" + content + b"\0").hexdigest()
    assert files.digest("ab", "c") != files.digest("a", "bc")
