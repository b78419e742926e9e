"""One file from its official address: resumed where it was cut off, checked before it is used, put in place at once."""

from __future__ import annotations

import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from medeor import __version__
from medeor.contracts import Message, Progress, UserError
from medeor.files import explained

BLOCK = 1 << 18
TIMEOUT = 30.0
"""Seconds without a byte after which the connection counts as cut."""
PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds to wait after each failure in a row; a row ends when more has come than ever before."""


class _Cut(Exception):
    """The connection ended before the file did, or the server asks to come again."""


def download(
    address: str,
    place: Path,
    right: Callable[[Path], bool],
    progress: Progress,
    checksums: tuple[str, ...] = (),
    pauses: tuple[float, ...] = PAUSES,
) -> None:
    """Brings `address` to `place`. What a cut connection left (`.part`) is continued, now or in a later call, if the
    server still has the same file; `right` judges the whole before it takes its place.

    Raises: UserError when the address cannot be reached or is gone, or the checksum is wrong; then only a resumable
    `.part` may be left, never a wrong file."""
    part = place.with_name(f"{place.name}.part")
    with explained(place), _alone(place.parent):
        if place.is_file() and right(place):
            return
        while True:
            resumed = part.exists()
            _fetch(address, part, progress, pauses)
            if right(part):
                break
            _forget(part)
            if not resumed:  # a part may have been of another file; what came in one piece is what is offered
                known = checksums or Message("catalogue.download.no-checksum")
                raise UserError("catalogue.download.wrong-checksum", address=address, known=known)
        part.replace(place)
        _forget(part)


def _fetch(address: str, part: Path, progress: Progress, pauses: tuple[float, ...]) -> None:
    """Reads until the whole file is in `part`, as often as the server keeps giving something."""
    failures, most = 0, _size(part)
    while True:
        try:
            return _read(address, part, progress)
        except urllib.error.HTTPError as error:
            if error.code == 416 and part.exists():  # nothing beyond it: the part is whole, or of another file
                return
            reason = f"{error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 425, 429):
                raise UserError("catalogue.download.gone", address=address, reason=reason) from None
        except urllib.error.URLError as error:
            reason = str(error.reason)
            if isinstance(error.reason, socket.gaierror):  # no name service: no use in waiting
                failures = len(pauses)
        except (_Cut, HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        if _size(part) > most:
            failures, most = 0, _size(part)
        if failures >= len(pauses):
            raise UserError("catalogue.download.cannot", address=address, reason=reason, folder=part.parent)
        time.sleep(pauses[failures])
        failures += 1


def _read(address: str, part: Path, progress: Progress) -> None:
    """One request: the rest of the file if the server continues it, else all of it."""
    have = _size(part)
    request = urllib.request.Request(address, headers={"User-Agent": f"medeor/{__version__}"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        validator = _validator(part)
        if validator.exists():
            request.add_header("If-Range", validator.read_text())
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if not (answer.status == 206 and _starts_at(answer) == have):
            have = 0
        # Only a strong validator may be sent back in If-Range (RFC 9110, 13.1.5).
        tag = answer.headers.get("ETag", "")
        if tag and not tag.startswith("W/"):
            _validator(part).write_text(tag)
        elif not have:
            _validator(part).unlink(missing_ok=True)
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else 0
        what = Message("catalogue.download.progress", file=part.stem)
        with part.open("ab" if have else "wb") as file:
            while block := answer.read(BLOCK):
                file.write(block)
                have += len(block)
                progress(what, have // 1000, max(total, have + 1000 * (not total)) // 1000, "kB")
    if have < total:
        raise _Cut(Message("catalogue.download.cut", done=have, total=total))


def _starts_at(answer: HTTPResponse) -> int | None:
    """The offset in `Content-Range: bytes 100-999/1000`."""
    text = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(text) if text.isdigit() else None


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _validator(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator(part).unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One download at a time in this folder, so that two processes never write the same part."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ModuleNotFoundError:  # no such lock on this system; the checksum still guards
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
