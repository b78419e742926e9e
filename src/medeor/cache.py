"""The user's cache folder: decoded inputs, which can be made again, and downloaded data sets; nothing that was fitted.
`MEDEOR_CACHE` names another folder, or `off` where a site keeps all data in the run folder. Only its owner may open it
(`files.private_folder`). Each entry has a digest, so that a damaged one is made again and never believed."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from medeor import __version__
from medeor.console import aside
from medeor.contracts import Message, UserError
from medeor.files import content_digest, explained, private_folder, replacing

LIMIT = "10 GiB"
"""What decoded inputs may take together, unless `MEDEOR_CACHE_LIMIT` says otherwise."""
DOWNLOADS = "datasets"
"""The kind of entries that the limit does not touch: they cost a download, and go only by `clear`."""
GRACE = 600.0
"""Seconds after its last use in which no entry is evicted: another process may be about to open it."""
ABANDONED = 86_400.0
"""Seconds after which what a killed process left half-written is removed."""

_DIGESTS = ".digests"
"""The folder below the cache in which the digest of each entry lies, by its kind and name."""

_UNITS = {"": 1, "k": 1, "m": 2, "g": 3, "t": 4}
_checked: dict[Path, tuple[int, int, int]] = {}
"""Entries that this process has found whole, and what they looked like then."""
_run_folder: ContextVar[Path | None] = ContextVar("run_folder", default=None)


class Entry(NamedTuple):
    """One thing in the cache."""

    kind: str
    key: str
    path: Path
    size: int
    """Bytes on disk."""
    used: float
    """When it was last asked for, seconds since 1970."""


def folder() -> Path | None:
    """Where the cache lies. None when it is off and no run has lent its folder (`within`)."""
    asked = os.environ.get("MEDEOR_CACHE", "").strip()
    if asked.lower() == "off":
        return _run_folder.get()
    if asked:
        return Path(asked).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("medeor", appauthor=False))


@contextmanager
def within(run_folder: Path) -> Iterator[None]:
    """While this block runs, a cache that is off outside the run folder lies inside it."""
    token = _run_folder.set(run_folder / "cache")
    try:
        yield
    finally:
        _run_folder.reset(token)


def make_root() -> None:
    root = folder()
    if root is None:
        return
    if root == _run_folder.get():
        private_folder(root.parent)
    private_folder(root)


def limit() -> int:
    """Bytes that decoded inputs may take together. Raises UserError when `MEDEOR_CACHE_LIMIT` is not a size."""
    asked = os.environ.get("MEDEOR_CACHE_LIMIT", "") or LIMIT
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", asked.strip().lower())
    if match is None:
        raise UserError("cache.limit", value=asked)
    number, unit, binary = match.groups()
    if not unit:
        return int(float(number))
    return int(float(number) * (1024 if binary else 1000) ** _UNITS[unit])


def path_for(kind: str, key: str) -> Path:
    """Where an entry lies, whether it exists or not. `key` is a digest of the content it was made from; entries of
    another version of medeor are other entries, except downloads, which are known by their file name.

    Raises: UserError when the cache is off; ValueError for a name that is no plain file name."""
    for name in (kind, key):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,150}", name):
            raise ValueError(f"{name!r} cannot name a cache entry")
    root = folder()
    if root is None:
        raise UserError("cache.off-outside-run")
    return root / kind / (key if kind == DOWNLOADS else f"{key}-{__version__}")


def keep(kind: str, key: str, make: Callable[[Path], object]) -> Path:
    """The entry, made now if there is none: `make` writes a file or a folder at the path it is given. What `make`
    raises passes through and leaves nothing behind. Of several processes that make the same entry, the first to end
    is kept. It is not evicted as long as this process lives.

    The digest of an entry is checked when a process first opens it, and when it has changed since; one that was damaged
    is made anew, and the user hears of it."""
    path = path_for(kind, key)
    if path.exists() and not _whole(path):
        aside(Message("cache.damaged", entry=f"{kind}/{path.name[:12]}"))
        with explained(path):
            _remove(path)
    if not _touch(path):
        with _making(path) as new:
            make(new)
        _evict()
    with suppress(FileNotFoundError):  # another process evicted it meanwhile
        _checked[path] = _look(path)
    _start_touching()
    return path


@lru_cache(maxsize=1)
def _start_touching() -> None:
    """From now on marks all that this process has opened as used, as long as it lives: no other process evicts it."""

    def touch() -> None:
        while True:
            time.sleep(GRACE / 3)
            for path in list(_checked):
                _touch(path)

    threading.Thread(target=touch, name="cache", daemon=True).start()


def entries() -> list[Entry]:
    """Everything in the cache, the least recently used first."""
    root = folder()
    found = []
    for kind in _listed(root) if root is not None else ():
        for item in _listed(kind):
            with suppress(FileNotFoundError):  # another process evicted it meanwhile
                key = item.name if kind.name == DOWNLOADS else item.name.removesuffix(f"-{__version__}")
                found.append(Entry(kind.name, key, item, _bytes(item), item.stat().st_mtime))
    return sorted(found, key=lambda entry: entry.used)


def describe() -> list[str]:
    """Where the cache lies, what it holds and how full it may get, as lines of text."""
    root = folder()
    if root is None:
        return [str(Message("cache.off"))]
    held = entries()
    total = sum(entry.size for entry in held if entry.kind != DOWNLOADS)
    lines = [Message("cache.whole", root=root, size=_readable(total), limit=_readable(limit()))]
    for kind in sorted({entry.kind for entry in held}):
        sizes = [entry.size for entry in held if entry.kind == kind]
        lines.append(Message("cache.kind", kind=kind, count=len(sizes), size=_readable(sum(sizes))))
    return [str(line) for line in lines]


def clear() -> None:
    for entry in entries():
        _remove(entry.path)
    _sweep(time.time())


@contextmanager
def _making(path: Path) -> Iterator[Path]:
    """Like `files.replacing`, but an entry that another process has put in place meanwhile stays: it has the same
    content, and somebody may be reading it."""
    mine = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        make_root()
        with replacing(mine) as new:
            yield new
        made = content_digest(mine)
        if not _touch(path):
            _digest_of(path).parent.mkdir(parents=True, exist_ok=True)
            with replacing(_digest_of(path)) as new:
                new.write_text(made)
            try:
                os.rename(mine, path)
            except OSError:  # a folder put in place since
                if not path.exists():
                    raise
    finally:
        _delete(mine)


def _whole(path: Path) -> bool:
    """Whether an entry is what it was when it was made. One without a digest was made by an older medeor: nobody knows
    then, and it is made anew."""
    try:
        if _checked.get(path) == _look(path):
            return True
        same = _digest_of(path).read_text() == content_digest(path)
    except FileNotFoundError:
        same = False
    # Between the two looks another process may have taken the entry away.
    return same or not path.exists()


def _look(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written to or replaced."""
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _digest_of(path: Path) -> Path:
    return path.parent.parent / _DIGESTS / path.parent.name / path.name


def _evict() -> None:
    """Removes the least recently used entries until the limit holds."""
    now = time.time()
    held = [entry for entry in entries() if entry.kind != DOWNLOADS]
    excess = sum(entry.size for entry in held) - limit()
    for entry in held:
        if excess <= 0 or entry.used > now - GRACE:
            break
        _remove(entry.path)
        excess -= entry.size
    _sweep(now)


def _sweep(now: float) -> None:
    """Removes what killed processes left half-written."""
    root = folder()
    for kind in _listed(root) if root is not None else ():
        for item in kind.glob(".*"):
            with suppress(FileNotFoundError):
                if item.stat().st_mtime < now - ABANDONED:
                    _delete(item)


def _remove(path: Path) -> None:
    """Takes an entry away at once, so that nobody sees the half of it."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}.gone")
    with suppress(FileNotFoundError):
        os.rename(path, hidden)
        _delete(hidden)
    _delete(_digest_of(path))


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def _touch(path: Path) -> bool:
    """Marks an entry as used now; False when there is none."""
    try:
        os.utime(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:  # a cache shared read-only is as good to read
        return path.exists()
    return True


def _listed(path: Path) -> list[Path]:
    """What lies in a folder, without what is being written; nothing when there is no such folder."""
    try:
        return sorted(item for item in path.iterdir() if not item.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _readable(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.{0 if unit == 'B' else 1}f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _bytes(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
