"""Where a data set lies on this machine; and when it lies nowhere, its official address."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from medeor import cache
from medeor.catalogue.facts import Facts, facts, names
from medeor.contracts import Message, Progress, Text, UserError
from medeor.files import exists, sha256

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

BLOCK = 1 << 22


def locate(name: str, progress: Progress) -> Path:
    """The file or folder of a data set: below the folder `MEDEOR_DATA` by its name, then in the user's cache, then
    from its official address, because the user asked for it by name. A file is returned only after its checksum.

    Raises: UserError when it is unknown, damaged, or nowhere to be found."""
    known = facts(name)
    given = os.environ.get("MEDEOR_DATA", "")
    if given and not Path(given).expanduser().is_dir():
        raise UserError("catalogue.find.no-folder", folder=given)
    found = _below(Path(given).expanduser(), known, progress) if given else None
    if found is not None:
        return found
    if not known.address:
        looked = Message("catalogue.find.below" if given else "catalogue.find.not-set", folder=given)
        kind = "catalogue.find.folder" if known.folder else "catalogue.find.file"
        what = Message(kind, name=known.folder or known.file, holds=known.holds)
        raise UserError("catalogue.find.no-address", name=name, looked=looked, what=what)
    if cache.folder() is None:
        raise UserError("catalogue.find.cache-off", file=known.file, address=known.address)
    place = cache.path_for(cache.DOWNLOADS, known.file)
    if not place.is_file() or not matches(place, known, progress):
        from medeor.catalogue.download import download

        cache.make_root()
        download(known.address, place, lambda path: matches(path, known, progress), progress, known.checksums)
    return place


def opened(source: object, progress: Progress) -> str | Path | np.ndarray | pl.DataFrame:
    """A source as a task reads it: a path, an array or a table as it stands; the name of a known data set becomes the
    path of its file.

    Raises: UserError for anything else, and for a name that is nearly one of the known."""
    import numpy as np
    import polars as pl

    if isinstance(source, (Path, np.ndarray, pl.DataFrame)):
        return source
    if not isinstance(source, str):
        raise UserError("catalogue.find.no-source", kind=type(source).__name__)
    if exists(source):
        return source
    if source in names():
        return locate(source, progress)
    if similar := near(source):
        raise UserError("catalogue.find.neither", source=source, near=similar)
    return source


def near(name: str) -> Text:
    """The end of a message about an unknown name: the known data set that it resembles, if any."""
    found = difflib.get_close_matches(name, names(), 1, 0.8)
    return Message("catalogue.find.near", name=found[0]) if found else ""


def matches(path: Path, known: Facts, progress: Progress) -> bool:
    """Whether a file has one of the known checksums of a data set."""
    sums = {"sha256": {known.sha256, *(copy.sha256 for copy in known.copies)} - {""}, "md5": {known.md5} - {""}}
    # MD5 finds damage, which is all it is used for here; a set without a recorded SHA-256 has nothing else.
    running = {kind: hashlib.new(kind, usedforsecurity=False) for kind, expected in sums.items() if expected}
    total, done = path.stat().st_size, 0
    what = Message("catalogue.find.checking", file=path.name)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            for one in running.values():
                one.update(block)
            done += len(block)
            progress(what, done // 1000, max(total // 1000, 1), "kB")
    return any(one.hexdigest() in sums[kind] for kind, one in running.items())


def _below(root: Path, known: Facts, progress: Progress) -> Path | None:
    if known.folder:
        folders = (path for path in _named(root, known.folder) if all((path / name).exists() for name in known.holds))
        for folder in folders:
            wrong = next((name for name, own in known.files.items() if sha256(folder / name) != own), "")
            if wrong:
                raise _another(folder / wrong, known.title, (f"sha256 {known.files[wrong]}",), folder)
            return folder
        return None
    found = [path for path in _named(root, known.file) if path.is_file()]
    for path in found:
        if matches(path, known, progress):
            return path
    if found:
        raise _another(found[0], known.title, known.checksums, found[0])
    return None


def _another(path: Path, title: str, known: tuple[str, ...], moved: Path) -> UserError:
    return UserError("catalogue.find.other-file", path=path, title=title, found=sha256(path), known=known, moved=moved)


def _named(root: Path, name: str) -> Iterator[Path]:
    """Every file or folder of this name at or below `root`, nearest first within a folder, in a fixed order."""
    if root.name == name:
        yield root
    for folder, folders, files in os.walk(root):
        folders.sort()
        if name in files or name in folders:
            yield Path(folder) / name
