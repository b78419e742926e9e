"""Cases from a table: one row a case, with columns that name its images and say what is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from medeor.contracts import UserError
from medeor.formats.folders import ImageFiles, slices_in
from medeor.formats.image_lists import Listing, rows_of
from medeor.formats.images import ENDINGS, BrokenImage

FIRST_ROW = 2
"""The number by which a person knows the first row below the header."""
SAMPLE = 200
"""Values of a column that are looked up to find out whether it names images."""
UNLISTED = "no row of"
"""How the problem of an image begins that lies in the folder and stands in no row of the table."""


class Places(NamedTuple):
    """Where the images that a table names may lie."""

    images: tuple[ImageFiles, ...]
    """Images found in the folders and files that were given."""
    folders: tuple[Path, ...]
    """Folders from which a path in the table may start."""
    beside: bool
    """Whether every image found ought to stand in the table: folders were given, so that one without a row is told."""


def of_table(table: pl.DataFrame, where: str, places: Places, columns: Sequence[str] = ()) -> Listing:
    """The cases of a table. `columns` name the images of a case, one channel after another; without them it is the
    column most of whose values are images: paths, file names, or names without their ending, or the folder of a
    series. A row whose image is missing, a row given twice, and an image without a row are kept with that problem.

    Raises: UserError where a column is missing or no row names an image."""
    for name in columns:
        if name not in table.columns:
            raise UserError(f"{where} has no column '{name}'; it has {listed(table.columns)}")
    finder = _Finder(places)
    columns = tuple(columns) or (_image_column(table, where, finder),)
    texts = [table[name].cast(pl.String).to_list() for name in columns]
    facts = table.drop(columns)
    sources: list[str] = []
    keys: list[list[str]] = []
    problems: list[str | None] = []
    files: dict[str, tuple[str, ...]] = {}
    missing: list[int] = []
    seen: dict[tuple[str, ...], list[tuple[int, tuple[object, ...]]]] = {}
    for number, values, known in zip(range(FIRST_ROW, FIRST_ROW + table.height), zip(*texts), _records(facts)):
        found = [finder.find(value) for value in values]
        problem = next((f"row {number} of {where}: {why}" for why in found if isinstance(why, str)), None)
        images = [image for image in found if isinstance(image, ImageFiles)]
        source = " + ".join(image.name for image in images) if problem is None else " + ".join(map(str, values))
        if problem is not None:
            missing.append(number)
        else:
            earlier = seen.setdefault(tuple(image.name for image in images), [])
            same = next((row for row, before in earlier if before == known), None)
            problem = None if same is None else f"row {number} of {where} repeats row {same}"
            earlier.append((number, known))
            source += "" if len(earlier) == 1 else f" (row {len(earlier)} of this image)"
        sources.append(source)
        keys.append([image.name for image in images] if problem is None else [])
        problems.append(problem)
        files |= {image.name: tuple(str(file) for file in image.files) for image in images}
    if len(missing) == table.height:
        looked = " and ".join(str(folder) for folder in places.folders) or "the files given"
        raise UserError(f"{where}: no row names an image that exists; the first, '{sources[0]}', is not in {looked}")
    listing = Listing(rows_of(sources, keys, None, problems), facts, files)
    return _with_the_rest(listing, where, places)


def _with_the_rest(listing: Listing, where: str, places: Places) -> Listing:
    """The same with the images that no row names, so that the audit can count them."""
    rest = [image.name for image in places.images if image.name not in listing.files] if places.beside else []
    if not rest:
        return listing
    lost = rows_of(rest, [[] for _ in rest], None, [f"{UNLISTED} {where} names this image"] * len(rest))
    empty = pl.DataFrame({name: [None] * len(rest) for name in listing.facts.columns}, schema=listing.facts.schema)
    facts = listing.facts.vstack(empty) if listing.facts.width else pl.DataFrame(height=len(rest) + listing.rows.height)
    return Listing(listing.rows.vstack(lost), facts, listing.files)


def _records(facts: pl.DataFrame) -> list[tuple[object, ...]]:
    return facts.rows() if facts.width else [()] * facts.height


def _image_column(table: pl.DataFrame, where: str, finder: _Finder) -> str:
    """The column with the most different values that are images; of equals, the first."""
    best, most = "", 0
    for name in table.columns:
        if not (table[name].dtype == pl.String or table[name].dtype.is_integer()):
            continue
        values = table[name].cast(pl.String).drop_nulls().unique(maintain_order=True).head(SAMPLE)
        count = len({found.name for found in map(finder.find, values) if isinstance(found, ImageFiles)})
        if count > most:
            best, most = name, count
    if not best:
        texts = [name for name in table.columns if table[name].dtype == pl.String]
        first = f"; '{texts[0]}' holds {table[texts[0]].drop_nulls().first()!r}" if texts else ""
        raise UserError(
            f"{where}: no column names images{first}. Give the folder they lie in as the source, "
            f"or name the column with --where image=COLUMN; it has {listed(table.columns)}"
        )
    return best


class _Finder:
    """Finds images by what a table calls them; each name is looked up once."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.known: dict[str | None, ImageFiles | str] = {}
        self.by_name = {image.name: image for image in places.images}
        self.by_last = _unique((image.name.rsplit("/", 1)[-1], image) for image in places.images)
        self.by_stem = _unique((stem(image.name), image) for image in places.images)
        # A case's folder stands for its image where that is the only one below it.
        self.by_folder = _unique(
            (folder, image) for image in places.images for folder in _folders_of(image.name.partition("#")[0])
        )

    def find(self, value: str | None) -> ImageFiles | str:
        """The image, or why there is none."""
        if value not in self.known:
            self.known[value] = self._found(value)
        return self.known[value]

    def _found(self, value: str | None) -> ImageFiles | str:
        if value is None or not value.strip():
            return "it names no image"
        name = value.strip().replace("\\", "/").removeprefix("./").rstrip("/")
        if name in self.by_name:
            return self.by_name[name]
        for folder in self.places.folders:
            below = name.removeprefix(folder.resolve().name + "/")
            if below in self.by_name:
                return self.by_name[below]
        for index, part in (
            (self.by_folder, name),
            (self.by_last, name.rsplit("/", 1)[-1]),
            (self.by_stem, stem(name)),
        ):
            if part in index:
                return index[part]
        for path in [folder / name for folder in self.places.folders]:
            if path.is_file():
                return ImageFiles(name, (path,))
            if path.is_dir():
                try:
                    return ImageFiles(name, slices_in(path))
                except BrokenImage as error:
                    return f"the folder that it names {error.reason}"
        return "the image that it names does not exist"


def stem(name: str) -> str:
    """The last part of a path without the ending of an image."""
    last = name.rsplit("/", 1)[-1]
    ending = next((e for e in sorted(ENDINGS, key=len, reverse=True) if last.lower().endswith(e)), "")
    return last[: len(last) - len(ending)]


def _folders_of(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def _unique(pairs: Iterable[tuple[str, ImageFiles]]) -> dict[str, ImageFiles]:
    """By name, where one image alone has it."""
    found: dict[str, ImageFiles | None] = {}
    for name, image in pairs:
        found[name] = None if name in found else image
    return {name: image for name, image in found.items() if image is not None}


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names in a message, not all of very many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
