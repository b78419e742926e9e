"""A folder of files as one file: an uncompressed zip with `manifest.json` first, which names each entry and its
checksum. It is read as something that anybody may have made: nothing is unpacked before every name and size was
checked, and no more than the file itself holds."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from medeor.contracts import UserError
from medeor.files import explained, replacing, sha256

MANIFEST = "manifest.json"
MOST_ENTRIES = 4096
MOST_OF_MANIFEST = 4 << 20
"""Bytes of the manifest, and of the list of entries at the end of the zip."""
MOST_OF_JSON = 256 << 20
"""Bytes of a JSON file: once parsed it takes about twenty times as much memory at worst."""
MOST_OF_TEXT = 4 << 20
"""Bytes of a plan, a question or a card."""
LONGEST = 240
"""Characters of an entry's name."""
BLOCK = 1 << 20


def pack(folder: Path, facts: Mapping[str, object], path: Path) -> None:
    """Writes all files below a folder into one, with `facts` in the manifest. The same files make the same bytes."""
    files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    manifest = {**facts, "sha256": {name: sha256(file) for name, file in files.items()}}
    with replacing(path) as new, zipfile.ZipFile(new, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST), json.dumps(manifest, indent=1))
        for name, file in files.items():
            entry = zipfile.ZipInfo(name)  # with a fixed date
            entry.file_size = file.stat().st_size
            with file.open("rb") as content, archive.open(entry, "w") as packed:
                shutil.copyfileobj(content, packed, BLOCK)


def unpack(path: Path, room: Path, allowed: re.Pattern[str], newest: int) -> Mapping[str, object]:
    """Writes the entries of a file into the empty folder `room` and returns its manifest. `allowed` matches the names
    that an entry may have; `newest` is the highest schema that can be read.

    Raises: UserError where the file cannot be read, is damaged, was written by a newer medeor, or holds anything but
    plain files of allowed names and sizes that its manifest lists."""
    with _opened(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        _check_entries(path, archive.infolist(), allowed)
        _check_rest(path, archive)
        manifest = _manifest(path, archive, newest)
        sums = manifest.get("sha256")
        if not isinstance(sums, dict) or set(entries) != {MANIFEST, *sums}:
            raise _refused(path, MANIFEST)
        for name, expected in sums.items():
            place = room / name
            with explained(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("xb") as file:
                    found = _copied(path, archive, entries[name], file)
            if found != expected:
                raise _refused(path, name)
    return manifest


class _Bounded(io.BufferedReader):
    """A file of which never more is read at once than a list of entries may take: `zipfile` reads that list whole."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > MOST_OF_MANIFEST:
            raise zipfile.BadZipFile(_LIST)
        return super().read(size)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.is_file():
        raise UserError("road.archive.no-file", path=path)
    try:
        file = _Bounded(io.FileIO(path))
    except OSError as error:
        raise UserError("files.read.cannot", path=path, error=error.strerror or error) from None
    with file:
        with _damage(path):
            archive = zipfile.ZipFile(file)
        with archive:
            yield archive


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Around calls of `zipfile` alone: what it raises where bytes are not what they should be."""
    try:
        yield
    except (zipfile.BadZipFile, RuntimeError, EOFError, ValueError, struct.error, OSError) as error:
        raise _refused(path, str(error) or type(error).__name__) from None


def _refused(path: Path, detail: str) -> UserError:
    return UserError("road.archive.damaged", path=path, detail=detail)


def _check_entries(path: Path, infos: list[zipfile.ZipInfo], allowed: re.Pattern[str]) -> None:
    """Every entry by what the list at the end of the zip says of it, before any is opened."""
    size = path.stat().st_size
    if len({info.filename.lower() for info in infos}) < len(infos) or len(infos) > MOST_ENTRIES:
        raise _refused(path, _LIST)
    # Entries that overlap would unpack to more than the file holds.
    if sum(info.file_size for info in infos) > size:
        raise _refused(path, _SIZES)
    for info in infos:
        name = info.filename
        known = info.orig_filename == name and len(name) <= LONGEST and (name == MANIFEST or allowed.fullmatch(name))
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        plain = not info.flag_bits & 1 and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
        most = MOST_OF_MANIFEST if name == MANIFEST else _MOST.get(Path(name).suffix, size)
        if not (known and stored and plain and info.file_size <= most):
            raise _refused(path, repr(name[:80]))


def _check_rest(path: Path, archive: zipfile.ZipFile) -> None:
    """The bytes that belong to no entry: the headers of each and the end of the list. More of them may hide what the
    manifest does not list. Beyond 2 GiB these headers have no fixed length."""
    infos = archive.infolist()
    headers = sum(_HEADERS + 2 * len(info.filename.encode()) for info in infos)
    rest = path.stat().st_size - sum(info.file_size for info in infos) - headers - _END
    if archive.comment or rest not in (range(len(infos) * 96) if path.stat().st_size > zipfile.ZIP64_LIMIT else (0,)):
        raise _refused(path, _REST)


_LIST, _SIZES, _REST = "list of entries", "sizes of entries", "bytes outside entries"
"""What is wrong with a zip, where it is none of its entries."""
_HEADERS, _END = 30 + 46, 22
"""Bytes of the two headers of an entry, its names aside, and of the end of a zip."""
_MOST = {".json": MOST_OF_JSON, ".toml": MOST_OF_TEXT, ".md": MOST_OF_TEXT}


def _manifest(path: Path, archive: zipfile.ZipFile, newest: int) -> dict[str, Any]:
    if MANIFEST not in archive.namelist():
        raise _refused(path, MANIFEST)
    with _damage(path):
        content = archive.read(MANIFEST)
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        raise _refused(path, MANIFEST) from None
    if not isinstance(manifest, dict):
        raise _refused(path, MANIFEST)
    schema, written = manifest.get("schema"), str(manifest.get("medeor"))[:40]
    if type(schema) is not int or not 1 <= schema <= newest:
        raise UserError("road.archive.newer", path=path, version=written, schema=str(schema)[:20], newest=newest)
    return manifest


def _copied(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: BinaryIO) -> str:
    """Writes an entry to a file, a block at a time, and returns its SHA-256."""
    total = hashlib.sha256()
    with _damage(path):
        packed = archive.open(entry)
    with packed:
        while True:
            with _damage(path):
                block = packed.read(BLOCK)
            if not block:
                return total.hexdigest()
            total.update(block)
            file.write(block)
