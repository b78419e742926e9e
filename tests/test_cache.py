"""The cache keeps what was made, forgets the least recently used, and bears several processes."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medeor import cache
from medeor.contracts import UserError

KEY = "a" * 64


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDEOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MEDEOR_CACHE_LIMIT", raising=False)
    return tmp_path / "cache"


def of_size(size: int):
    return lambda path: path.write_bytes(b"x" * size)


def used_at(path: Path, seconds_ago: float) -> None:
    then = time.time() - seconds_ago
    os.utime(path, (then, then))


def test_makes_once_and_returns_the_same_entry(folder: Path) -> None:
    made = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("pixels")

    first = cache.keep("images", KEY, make)
    assert cache.keep("images", KEY, make) == first == cache.path_for("images", KEY)
    assert len(made) == 1
    assert made[0] != first
    assert first.read_text() == "pixels"
    assert first.is_relative_to(folder)


def test_keeps_a_folder() -> None:
    def make(path: Path) -> None:
        path.mkdir()
        (path / "0.npy").write_bytes(b"abc")
        (path / "deeper").mkdir()
        (path / "deeper" / "1.npy").write_bytes(b"de")

    path = cache.keep("volumes", KEY, make)
    assert (path / "deeper" / "1.npy").read_bytes() == b"de"
    (entry,) = cache.entries()
    assert (entry.kind, entry.key, entry.path, entry.size) == ("volumes", KEY, path, 5)


def test_what_fails_leaves_nothing(folder: Path) -> None:
    def make(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("decoder broke")

    with pytest.raises(RuntimeError, match="decoder broke"):
        cache.keep("images", KEY, make)
    assert list((folder / "images").iterdir()) == []
    assert cache.entries() == []


def test_another_version_is_another_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.path_for("images", KEY)
    download = cache.path_for(cache.DOWNLOADS, "set.npz")
    monkeypatch.setattr(cache, "__version__", "99.0")
    assert cache.path_for("images", KEY) != before
    assert cache.path_for(cache.DOWNLOADS, "set.npz") == download


def test_evicts_the_least_recently_used_until_the_limit_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE_LIMIT", "250")
    paths = [cache.keep("images", name, of_size(100)) for name in ("one", "two")]
    used_at(paths[0], 4000)
    used_at(paths[1], 5000)
    third = cache.keep("images", "three", of_size(100))
    assert paths[0].exists()
    assert not paths[1].exists()
    assert third.exists()
    assert [entry.size for entry in cache.entries()] == [100, 100]


def test_asking_for_an_entry_counts_as_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE_LIMIT", "250")
    older, newer = (cache.keep("images", name, of_size(100)) for name in ("older", "newer"))
    used_at(older, 5000)
    used_at(newer, 4000)
    cache.keep("images", "older", of_size(100))
    cache.keep("images", "third", of_size(100))
    assert older.exists()
    assert not newer.exists()


def test_what_was_just_used_stays_even_over_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE_LIMIT", "0")
    assert cache.keep("images", "one", of_size(100)).exists()
    cache.keep("images", "two", of_size(100))
    assert [entry.size for entry in cache.entries()] == [100, 100]


def test_downloads_are_not_evicted_but_can_be_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE_LIMIT", "0")
    download = cache.keep(cache.DOWNLOADS, "breastmnist.npz", of_size(500))
    used_at(download, 5000)
    cache.keep("images", "one", of_size(10))
    assert download.exists()
    cache.clear()
    assert cache.entries() == []


def test_describes_what_it_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.keep("images", "one", of_size(1536))
    cache.keep("images", "two", of_size(512))
    cache.keep(cache.DOWNLOADS, "breastmnist.npz", of_size(100))
    assert cache.describe() == [
        f"{folder}: 2.0 KiB of at most 10.0 GiB, downloads not counted",
        "  datasets: 1 entry, 100 B",
        "  images: 2 entries, 2.0 KiB",
    ]
    monkeypatch.setenv("MEDEOR_CACHE", "off")
    assert cache.describe() == ["the cache is off (MEDEOR_CACHE=off)"]


def test_sweeps_what_a_killed_process_left(folder: Path) -> None:
    left = folder / "images" / ".dead.123"
    left.mkdir(parents=True)
    used_at(left, 2 * cache.ABANDONED)
    fresh = folder / "images" / ".alive.124"
    fresh.mkdir()
    cache.keep("images", KEY, of_size(1))
    assert not left.exists()
    assert fresh.exists()


@pytest.mark.parametrize(
    ("written", "bytes_"),
    [("10 GiB", 10 * 2**30), ("500MB", 500_000_000), ("0", 0), ("1.5 kib", 1536), ("42", 42), ("2T", 2 * 10**12)],
)
def test_limit_reads_sizes(monkeypatch: pytest.MonkeyPatch, written: str, bytes_: int) -> None:
    monkeypatch.setenv("MEDEOR_CACHE_LIMIT", written)
    assert cache.limit() == bytes_


def test_a_limit_that_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE_LIMIT", "plenty")
    with pytest.raises(UserError, match="MEDEOR_CACHE_LIMIT=plenty"):
        cache.limit()


@pytest.mark.parametrize("key", ["../escape", "", ".hidden", "a/b", "x" * 200])
def test_a_key_that_is_no_file_name_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        cache.path_for("images", key)


def test_off_means_nothing_outside_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDEOR_CACHE", "off")
    with pytest.raises(UserError, match="MEDEOR_CACHE=off"):
        cache.keep("images", KEY, of_size(1))
    cache.clear()
    assert cache.entries() == []
    with cache.within(tmp_path / "run"):
        path = cache.keep("images", KEY, of_size(1))
        assert path.is_relative_to(tmp_path / "run")
    assert cache.folder() is None


def test_a_run_does_not_move_a_cache_that_is_on(folder: Path, tmp_path: Path) -> None:
    with cache.within(tmp_path / "run"):
        assert cache.folder() == folder


def test_without_a_word_it_is_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MEDEOR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform.startswith("linux"):
        assert cache.folder() == tmp_path / "medeor"


def test_a_folder_that_cannot_be_written_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MEDEOR_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="is a file, not a folder"):
        cache.keep("images", KEY, of_size(1))


_LINE = multiprocessing.get_context("fork").Barrier(4)
"""Where each maker waits for the others before its entry takes its place."""


def _race(number: int) -> bytes:
    def make(path: Path) -> None:
        path.mkdir()
        (path / "content").write_bytes(b"same")
        _LINE.wait(60)

    path = cache.keep("volumes", KEY, make)
    return (path / "content").read_bytes()


def test_processes_that_make_the_same_entry_agree(folder: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        got = pool.map(_race, range(4), chunksize=1)
    assert got == [b"same"] * 4
    assert [item.name for item in (folder / "volumes").iterdir()] == [cache.path_for("volumes", KEY).name]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_another_made_meanwhile_stays(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody may be reading it already."""

    def write(path: Path, content: str) -> None:
        if kind == "folder":
            path.mkdir()
        (path / "x" if kind == "folder" else path).write_text(content)

    def slow(path: Path) -> None:
        cache.keep("images", KEY, lambda new: write(new, "first"))
        write(path, "second")

    path = cache.keep("images", KEY, slow)
    monkeypatch.setattr(cache, "_checked", {})
    assert cache.keep("images", KEY, slow) == path
    assert (path / "x" if kind == "folder" else path).read_text() == "first"
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    assert not capsys.readouterr().err


def test_imports_no_numerical_library() -> None:
    code = "import sys, medeor.cache; print([m for m in ('numpy', 'torch', 'polars') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# --- damaged entries, and who may look ---------------------------------------------------------------------

DAMAGE = {
    "changed": lambda content: content[:50] + bytes(20) + content[70:],
    "cut": lambda content: content[:-30],
    "empty": lambda content: b"",
    "longer": lambda content: content + b"x",
    "another": lambda content: b"garbage" + content[7:],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("seen", ["in this process", "before it"])
def test_a_damaged_entry_is_made_anew_with_a_word(
    damage: str, seen: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cache.keep("images", KEY, of_size(100))
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    if seen == "before it":
        used_at(path, 50)
        monkeypatch.setattr(cache, "_checked", {})
    assert cache.keep("images", KEY, of_size(100)).read_bytes() == b"x" * 100
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "images/aaaaaaaaaaaa" in said[0]
    assert "made anew" in said[0]
    cache.keep("images", KEY, of_size(100))
    assert not capsys.readouterr().err


@pytest.mark.parametrize("damage", ["content", "a file more", "a file less", "another name"])
def test_a_damaged_folder_is_made_anew(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(path: Path) -> None:
        path.mkdir()
        for name in ("0.npy", "1.npy"):
            (path / name).write_bytes(name.encode())

    path = cache.keep("volumes", KEY, make)
    if damage == "content":
        (path / "0.npy").write_bytes(b"1.npy")
    elif damage == "a file more":
        (path / "2.npy").write_bytes(b"")
    elif damage == "a file less":
        (path / "1.npy").unlink()
    else:
        (path / "1.npy").rename(path / "2.npy")
    monkeypatch.setattr(cache, "_checked", {})
    again = cache.keep("volumes", KEY, make)
    assert {item.name: item.read_bytes() for item in again.iterdir()} == {"0.npy": b"0.npy", "1.npy": b"1.npy"}


def test_an_entry_without_a_digest_is_made_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cache.path_for("images", KEY)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"of an older medeor")
    assert cache.keep("images", KEY, of_size(3)).read_bytes() == b"xxx"


def test_an_entry_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    path = cache.keep("images", KEY, of_size(100))
    monkeypatch.setattr(cache, "_checked", {})
    looked = []
    whole = cache.content_digest
    monkeypatch.setattr(cache, "content_digest", lambda path: looked.append(path) or whole(path))
    for _ in range(3):
        cache.keep("images", KEY, of_size(100))
    assert looked == [path]


def test_what_goes_takes_its_digest_along(folder: Path) -> None:
    cache.keep("images", KEY, of_size(100))
    assert [item.size for item in cache.entries()] == [100]
    cache.clear()
    assert not [item for item in folder.rglob("*") if item.is_file()]


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o377])
def test_only_its_owner_may_open_the_cache(umask: int, folder: Path) -> None:
    before = os.umask(umask)
    try:
        cache.make_root()
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o750)  # shared on purpose
    cache.keep("images", KEY, of_size(1))
    assert folder.stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_only_its_owner_may_open_a_run_whose_cache_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDEOR_CACHE", "off")
    with cache.within(tmp_path / "runs" / "r"):
        cache.keep("images", KEY, of_size(1))
    assert (tmp_path / "runs" / "r").stat().st_mode & 0o777 == 0o700


def test_what_a_living_process_has_opened_is_not_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys, time; from medeor import cache; cache.GRACE = 0.3\n"
        "cache.keep('images', 'held', lambda new: new.write_bytes(bytes(100)))\n"
        "print('open', flush=True); sys.stdin.read()\n"
    )
    monkeypatch.setenv("MEDEOR_CACHE_LIMIT", "150")
    monkeypatch.setattr(cache, "GRACE", 1.0)
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        time.sleep(1.5)
        cache.keep("images", "another", of_size(100))
        held = cache.path_for("images", "held")
        assert held.exists()
        other.communicate()
    used_at(held, 5000)
    used_at(cache.path_for("images", "another"), 4000)
    cache.keep("images", "third", of_size(100))
    assert not held.exists()
