"""What the user gave as images: folders, files, tables of paths, archives and arrays, as one listing of cases of which
none has been read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from medeor.contracts import Message, Sources, Study, Text, UserError
from medeor.formats.cases import class_names, is_table
from medeor.formats.images import lists, tables
from medeor.formats.images.arrays import ImageArray
from medeor.formats.images.folders import ImageFiles, find_all
from medeor.formats.images.image import kind_of
from medeor.formats.images.lists import Listing
from medeor.formats.images.tables import Places
from medeor.formats.tables.read import read_table


def gathered(sources: Sources, study: Study) -> tuple[Listing, Text | tuple[Text, ...]]:
    """All cases of all sources, and what to call their table in a message.

    Raises: UserError where there is no source, or sources do not go together."""
    if not sources.given:
        raise UserError("imaging.cases.no-source")
    opened = [_opened(item) for item in sources.given if is_table(item)]
    if study.labels:
        opened.append(_opened(Path(study.labels)))
    return _listed(sources, study, opened), tuple(table.name for table in opened) or Message("imaging.cases.no-table")


def _listed(sources: Sources, study: Study, opened: Sequence[_Table]) -> Listing:
    arrays = [item for item in sources.given if isinstance(item, np.ndarray)]
    paths = [Path(item) for item in sources.given if isinstance(item, (str, Path)) and not is_table(item)]
    for path in paths:
        if not path.exists():
            raise UserError("common.no-file", path=path)
    if arrays:
        if paths:
            raise UserError("imaging.cases.arrays-and-files")
        return _of_arrays(arrays, opened, study)
    archives = [path for path in paths if path.is_file() and kind_of(path) == "npz"]
    if opened and archives:
        raise UserError("imaging.cases.archive-and-table", path=archives[0])
    if opened:
        return lists.together([_of_table(*table, paths, study) for table in opened])
    listings = []
    for path, prefix in _prefixed(paths):
        if path in archives:
            listings.append(lists.of_archive(path, study.target or class_names(study.options), f"{prefix}{path.name}/"))
        elif path.is_dir():
            listings.append(lists.of_folder(path, prefix))
        else:
            listings.append(lists.of_images([ImageFiles(path.name, (path,))], prefix))
    return lists.together(listings)


def _prefixed(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Each source with what its cases' names begin with: nothing for the first, so that a study may move to another
    folder; for the others as many of the folders above as distinguish them."""
    taken = {paths[0].name if paths and paths[0].is_file() else ""}
    prefixed = [(path, "") for path in paths[:1]]
    for path in paths[1:]:
        parts = (path if path.is_dir() else path.parent).resolve().parts
        prefixes = ["/".join(parts[-depth:]) + "/" for depth in range(1, len(parts))]
        name = "" if path.is_dir() else path.name
        prefix = next((prefix for prefix in prefixes if prefix + name not in taken), prefixes[-1])
        taken.add(prefix + name)
        prefixed.append((path, prefix))
    return prefixed


class _Table(NamedTuple):
    rows: pl.DataFrame
    name: Text
    folder: Path


def _opened(item: object) -> _Table:
    if isinstance(item, pl.DataFrame):
        return _Table(item, Message("imaging.cases.table"), Path())
    path = Path(str(item))
    return _Table(read_table(path), path.name, path.parent)


def _of_table(rows: pl.DataFrame, name: Text, folder: Path, paths: Sequence[Path], study: Study) -> Listing:
    images: list[ImageFiles] = []
    folders = [path for path in paths if path.is_dir()]
    aside: list[ImageFiles] = []
    unread: list[tuple[ImageFiles, Text]] = []
    passed: Counter[tuple[str, Text]] = Counter()
    for path, prefix in _prefixed(paths):
        if not path.is_dir():
            images.append(ImageFiles(prefix + path.name, (path,)))
            continue
        found = find_all(path)
        if not found.images and len(paths) == 1:
            raise UserError(lists.none_in(path, found))
        images += [image._replace(name=prefix + image.name) for image in found.images]
        aside += [image._replace(name=prefix + image.name) for image, _ in found.aside]
        unread += [(image._replace(name=prefix + image.name), kind) for image, kind in found.unread]
        passed += lists.passed_over(found)
    if paths and not images:
        raise UserError("images.folder.none-read", folder=paths[0])
    columns = [column.strip() for column in study.options.get("image", "").split(",") if column.strip()]
    places = Places(tuple(images), (*folders, folder), bool(folders), tuple(aside), tuple(unread), passed)
    return tables.of_table(rows, name, places, columns)


def _of_arrays(arrays: Sequence[np.ndarray], opened: Sequence[_Table], study: Study) -> Listing:
    """Images, and labels in a second array or in a table with a row for each image."""
    images, *others = arrays
    images = images[None] if images.ndim == 2 else images
    if len(others) > 1 or len(opened) > 1 or (others and opened):
        raise UserError("imaging.cases.one-array")
    array = ImageArray(images.shape, images.dtype, images)
    where = Message("imaging.cases.array")
    listing = lists.of_array(array, others[0] if others else None, where, "array", None, study.target)
    if not opened:
        return listing
    rows = opened[0].rows
    if rows.height != len(array):
        raise UserError("imaging.cases.rows", images=len(array), rows=rows.height)
    return replace(listing, facts=rows)
