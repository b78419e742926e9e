"""Reading and writing the files of a run: atomic, never a pickle, and checked when they come from outside."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from medeor.contracts import Message, UserError

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a new path next to `path`; when the block ends well, what was written there (a file or a folder) takes
    the place of `path` at once, and when it fails nothing is left behind. It is on the disk before it takes that place:
    a power cut leaves the old or the new, never a name without its content."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_UNFINISHED, dir=path.parent))
    new = room / path.name
    try:
        with explained(path):
            yield new
            _sync(new)
            if path.is_dir() and new.is_dir():
                os.rename(path, room / "old")
            os.replace(new, path)
            _sync_alone(path.parent)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _sync(path: Path) -> None:
    """Waits until a file, or a folder with all that lies in it, is on the disk."""
    for inner in path.iterdir() if path.is_dir() else ():
        _sync(inner)
    _sync_alone(path)


def _sync_alone(path: Path) -> None:
    """The same of a file, or of the names in a folder, where a system can."""
    if path.is_dir() and os.name == "nt":
        return
    # Windows syncs only what may be written to.
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some network file systems do not sync names
            raise
    finally:
        os.close(handle)


def private_folder(path: Path) -> None:
    """Makes a folder that its owner alone may open (0700, POSIX), if there is none: runs and the cache hold cases,
    pixels and answers of patients, and on a shared machine the usual mode lets everybody read them. A folder that
    exists keeps its mode, as its owner may share it on purpose."""
    if path.is_dir():
        return
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # made by another process since; writing reports a file of this name
            path.mkdir(mode=0o700)
            # The umask may have taken a right of the owner's away.
            path.chmod(0o700)


_UNFINISHED = ".unfinished"
"""How the rooms of `replacing` end; only a killed process leaves one behind."""


def sweep(folder: Path) -> None:
    """Removes what a killed process left half-written below a folder that no other process writes to."""
    for room in list(folder.rglob(f".*{_UNFINISHED}")):
        shutil.rmtree(room, ignore_errors=True)


def exists(path: str | Path) -> bool:
    """Whether there is such a file or folder. What is too long for a name (a molecule in its SMILES) is none."""
    return os.path.exists(path)


def writable(path: Path) -> None:
    """Finds out before long work whether its result can be written. Raises: UserError where it cannot."""
    nearest = next(place for place in (path.parent, *path.parent.parents) if place.exists())
    if not nearest.is_dir():
        raise UserError("files.write.cannot", path=path, reason=_REFUSED[errno.ENOTDIR])
    if path.is_dir():
        raise UserError("files.write.cannot", path=path, reason=_REFUSED[errno.EISDIR])
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".", suffix=_UNFINISHED, dir=nearest))
    except OSError as error:
        reason = _REFUSED.get(error.errno or 0, _REFUSED[errno.EACCES])
        raise UserError("files.write.cannot", path=path, reason=reason) from error


_REFUSED = {
    errno.ENOSPC: Message("files.write.disk-full"),
    errno.EDQUOT: Message("files.write.quota"),
    errno.EFBIG: Message("files.write.too-large"),
    errno.EACCES: Message("files.write.forbidden"),
    errno.EPERM: Message("files.write.forbidden"),
    errno.EROFS: Message("files.write.read-only"),
    errno.EEXIST: Message("files.write.file-in-path"),
    errno.ENOTDIR: Message("files.write.file-in-path"),
    errno.EISDIR: Message("files.write.is-folder"),
    errno.ENAMETOOLONG: Message("files.write.long-name"),
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = _REFUSED.get(_number(error) or 0)
        if reason is None:
            raise
        raise UserError("files.write.cannot", path=path, reason=reason) from error


def _number(error: Exception) -> int | None:
    """The system's number of an error. Polars and safetensors give it in words alone, NumPy what was missing."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if named := re.search(r"\(os error (\d+)\)", str(error)):
        return int(named[1])
    return errno.ENOSPC if re.search(r"\d+ requested and \d+ written", str(error)) else None


_NO_MEMORY = re.compile(
    r"not enough memory|can.?t allocate memory|cannot allocate|unable to allocate|out of memory|bad[ _]alloc"
    r"|malloc .*fail",
    re.IGNORECASE,
)


@contextmanager
def enough_memory() -> Iterator[None]:
    """A lack of memory, which each library reports in its own way, becomes a message for the user. Also a decorator."""
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or not (isinstance(error, MemoryError) or _NO_MEMORY.search(str(error))):
            raise
        detail = next((line.strip() for line in str(error).splitlines() if _NO_MEMORY.search(line)), "")
        raise UserError("files.memory", detail=Message("files.detail", text=detail[:120]) if detail else "") from error


def write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as new:
        new.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def write_json(path: Path, value: object) -> None:
    """A dataclass is written as its fields. Numbers that JSON does not know (NaN, infinity) are refused: write None
    where there is no value."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=dataclasses.asdict)
    write_text(path, text + "\n")


def write_parquet(path: Path, table: pl.DataFrame) -> None:
    """By way of memory: written straight to a full disk, Polars does not say what went wrong."""
    content = io.BytesIO()
    table.write_parquet(content)
    write_bytes(path, content.getvalue())


def read_json(path: Path) -> Any:
    return _parsed(path, "JSON", partial(json.loads, parse_constant=_finite, parse_float=_finite))


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is no number of JSON")
    return number


def write_toml(path: Path, value: object) -> None:
    """A frozen dataclass as TOML that its reader may edit. None is left out: TOML has no null."""
    import tomli_w

    write_text(path, tomli_w.dumps(plain(dataclasses.asdict(value))))  # type: ignore[call-overload]


def read_toml(path: Path) -> dict[str, Any]:
    return _parsed(path, "TOML", tomllib.loads)


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turns what Polars says of a damaged file into a message for the user: an error, or a panic of its own, which
    passes by `except Exception` and prints pages.

    Raises: UserError naming the file and the `kind` that it is not."""
    import polars as pl

    with _quiet() as words:
        try:
            yield
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            if isinstance(error, pl.exceptions.PanicException):
                words.clear()  # of use to nobody but the authors of Polars
                raise UserError("files.read.unreadable", path=path, kind=kind, detail="") from None
            raise unreadable(path, kind, error) from None


@contextmanager
def _quiet() -> Iterator[list[bytes]]:
    """Holds back what libraries write to standard error until the block ends; the list that is given is cleared where
    it shall not be printed at all."""
    words = [b""]
    try:
        sys.stderr.flush()
        before = os.dup(2)
    except (OSError, ValueError, AttributeError):  # there is none
        yield words
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield words
        finally:
            os.dup2(before, 2)
            os.close(before)
            held.seek(0)
            if words and (content := held.read()):
                os.write(2, content)


def read_parquet(path: Path, columns: Sequence[str] = ()) -> pl.DataFrame:
    """A table with at least these columns. Raises: UserError where the file holds none."""
    import polars as pl

    if not path.exists():
        raise UserError("files.read.missing", path=path)
    with reading(path, "Parquet"):
        table = pl.read_parquet(path)
    if missing := set(columns) - set(table.columns):
        raise UserError("files.read.no-column", path=path, column=min(missing))
    return table


def read_text(path: Path, most: int) -> str:
    """A text of at most so many bytes. Raises: UserError where it is none."""
    if path.exists() and path.stat().st_size > most:
        raise UserError("files.read.too-large", path=path)
    return _parsed(path, "UTF-8", str)


def _parsed(path: Path, kind: str, parse: Callable[[str], T]) -> T:
    """What a text file holds. Raises: UserError where it cannot be read, or is not of this kind."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise unreadable(path, kind, error) from None
    except (FileNotFoundError, NotADirectoryError):
        raise UserError("files.read.missing", path=path) from None
    except IsADirectoryError:
        raise UserError("files.read.folder", path=path) from None
    except PermissionError:
        raise UserError("files.read.forbidden", path=path) from None
    except OSError as error:
        raise UserError("files.read.cannot", path=path, error=error.strerror or error) from None


def unreadable(path: Path, kind: str, error: BaseException) -> UserError:
    """A file that is not of this kind, with the first line of what the library says."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError("files.read.unreadable", path=path, kind=kind, detail=Message("files.detail", text=line[:150]))


def digest(*parts: bytes | memoryview | str | Path) -> str:
    """SHA-256 of these, one after another; a path stands for the content of its file."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with part.open("rb") as file:
                while block := file.read(1 << 20):
                    total.update(block)
        else:
            total.update(part.encode() if isinstance(part, str) else part)
        total.update(b"\0")
    return total.hexdigest()


def content_digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files below a folder; empty where there is none."""
    if path.is_file():
        return digest(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest(*(part for file in files for part in (file.relative_to(path).as_posix(), file))) if files else ""


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(value: Any) -> Any:
    """Nested dictionaries and lists as TOML takes them: without None, tuples as lists."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value
