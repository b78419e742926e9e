"""Cases from a table: one row a case, with columns that name its images and say what is known of it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote

import polars as pl

from medeor.contracts import Message, Text, UserError, listed
from medeor.formats.images.facts import ENDINGS
from medeor.formats.images.folders import ImageFiles, slices_in
from medeor.formats.images.image import BrokenImage
from medeor.formats.images.lists import Listing, rows_of, together

FIRST_ROW = 2
"""The number by which a person knows the first row below the header."""
SAMPLE = 200
"""Values of a column that are looked up to find out whether it names images."""
UNLISTED = Message("images.table.unlisted")
"""The problem of an image that lies in the folder and stands in no row of the table."""

_MISSING = Message("images.table.missing")


class Places(NamedTuple):
    """Where the images that a table names may lie."""

    images: tuple[ImageFiles, ...]
    """Images found in the folders and files that were given."""
    folders: tuple[Path, ...]
    """Folders from which a path in the table may start."""
    complete: bool
    """Whether every image found should have a row: folders were given, so one without a row is listed as a problem."""
    aside: tuple[ImageFiles, ...] = ()
    """Images that accompany others, which the table may name all the same."""
    unread: tuple[tuple[ImageFiles, Text], ...] = ()
    """Pictures of a kind that is not read, and which."""
    passed: Mapping[tuple[str, Text], int] = MappingProxyType({})
    """Files that are no cases, as in `Listing.passed`."""


def of_table(table: pl.DataFrame, where: Text, places: Places, columns: Sequence[str] = ()) -> Listing:
    """The cases of a table. `columns` name the images of a case, one channel after another; without them it is the
    column most of whose values are images: paths, file names, or names without their ending, or the folder of a
    series. A row whose image is missing, a row given twice, and an image without a row are kept with that problem.

    Raises: UserError where a column is missing or no row names an image."""
    for name in columns:
        if name not in table.columns:
            raise UserError("images.table.no-column", where=where, name=name, columns=listed(table.columns))
    finder = _Finder(places)
    asked = bool(columns)
    columns = tuple(columns) or (_image_column(table, where, finder),)
    _refuse_no_header(table, where, columns[0], finder)
    texts = [table[name].cast(pl.String).to_list() for name in columns]
    finder.settle(value for text in texts for value in text)
    facts = table.drop(columns)
    sources: list[str] = []
    keys: list[list[str]] = []
    problems: list[Message | None] = []
    files: dict[str, tuple[str, ...]] = {}
    missing: list[Message] = []
    seen: dict[tuple[str, ...], list[tuple[int, tuple[object, ...]]]] = {}
    for number, values, known in zip(range(FIRST_ROW, FIRST_ROW + table.height), zip(*texts), _records(facts)):
        found = [finder.find(value) for value in values]
        why = next((why for why in found if isinstance(why, Message)), None)
        images = [image for image in found if isinstance(image, ImageFiles)]
        source = " + ".join(image.name for image in images) if why is None else " + ".join(map(str, values))
        problem = why and Message("images.table.row", row=number, where=where, why=why)
        if why is not None:
            missing.append(why)
        else:
            earlier = seen.setdefault(tuple(image.name for image in images), [])
            same = next((row for row, before in earlier if before == known), None)
            problem = Message("images.table.repeats", row=number, where=where, earlier=same) if same else None
            earlier.append((number, known))
            source += "" if len(earlier) == 1 else f" ({len(earlier)})"
        sources.append(source)
        keys.append([image.name for image in images] if problem is None else [])
        problems.append(problem)
        files |= {image.name: image.paths for image in images}
    if len(missing) == table.height:
        raise UserError("images.table.none", where=where, folders=places.folders, first=sources[0], why=missing[0])
    passed = Counter(places.passed)
    passed.update({("column", name): 1 for name in ([] if asked else _other_images(facts, finder, keys))})
    listing = Listing(rows_of(sources, keys, None, problems), facts, files, passed=passed)
    # Images that no row names are listed, so that the audit can count them.
    rest = [image.name for image in places.images if image.name not in files] if places.complete else []
    if not rest:
        return listing
    lost = rows_of(rest, [[]] * len(rest), None, [UNLISTED] * len(rest))
    return together([listing, Listing(lost, pl.DataFrame(height=len(rest)))])


def _records(facts: pl.DataFrame) -> list[tuple[object, ...]]:
    return facts.rows() if facts.width else [()] * facts.height


def _image_column(table: pl.DataFrame, where: Text, finder: _Finder) -> str:
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
        holds: Text = ""
        for name in texts:
            value = next(iter(table[name].drop_nulls()), None)
            if several := finder.stands_for(value):
                names = listed(several, 3)
                raise UserError(
                    "images.table.ambiguous", where=where, value=value, name=name, count=len(several), names=names
                )
            holds = holds or Message("images.table.holds", name=name, value=value)
        raise UserError("images.table.no-images", where=where, holds=holds, columns=listed(table.columns))
    return best


def _refuse_no_header(table: pl.DataFrame, where: Text, column: str, finder: _Finder) -> None:
    """Raises: UserError where what ought to be the heading of the images names one of them itself."""
    if "." in column and isinstance(finder.find(column), ImageFiles):
        raise UserError("images.table.no-header", where=where, row=listed(table.columns, 4))


def _other_images(facts: pl.DataFrame, finder: _Finder, keys: Sequence[Sequence[str]]) -> list[str]:
    """Further columns that name images, others than those of the rows' cases."""
    names = []
    for column in facts:
        values = column.to_list()[:SAMPLE] if column.dtype == pl.String else []
        named = [(value, own) for value, own in zip(values, keys) if value is not None and own]
        found = [(finder.find(value), own) for value, own in named]
        other = {one.name for one, own in found if isinstance(one, ImageFiles) and one.name not in own}
        if len(other) > 1 and 2 * len(other) > len(named):
            names.append(column.name)
    return names


class _Finder:
    """Finds images by what a table calls them; each name is looked up once.

    Names are compared without regard to how letters with marks are composed (macOS stores them in parts). Of a path the
    longest ending that belongs to one image counts, so that it may begin on another machine."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.known: dict[str | None, ImageFiles | Message] = {}
        self.loose: dict[str, str] = {}
        """Values whose image lies in folders of other names."""
        self.indices = [_Index(places.images), _Index(places.aside)]
        self.unread = _Index([image for image, _ in places.unread])
        self.kinds = {image.name: kind for image, kind in places.unread}

    def find(self, value: str | None) -> ImageFiles | Message:
        """The image, or why there is none."""
        if value not in self.known:
            self.known[value] = self._found(value)
        return self.known[value]

    def settle(self, values: Iterable[str | None]) -> None:
        """Looks up all values of a table. An image in folders of other names than a value says is not taken for it
        where another value names that image as well."""
        claims = Counter(found.name for found in map(self.find, dict.fromkeys(values)) if isinstance(found, ImageFiles))
        for value, name in self.loose.items():
            if claims[name] > 1:
                self.known[value] = _MISSING

    def stands_for(self, value: str | None) -> list[str]:
        """The names of the images that a value may mean, where these are several."""
        return [image.name for image in self.indices[0].ambiguous(plain_name(value or ""))]

    def _found(self, value: str | None) -> ImageFiles | Message:
        name = plain_name(value or "")
        if not name:
            return Message("images.table.blank")
        spellings = [name, unquote(name)] if "%" in name else [name]
        for index in self.indices:
            for spelling in spellings:
                for folder in self.places.folders:
                    below = spelling.removeprefix(_composed(folder.resolve().name) + "/")
                    if below in index.by_name:
                        return index.by_name[below]
                found, loose = index.find(spelling)
                if found is not None:
                    if loose:
                        self.loose[value or ""] = found.name
                    return found
            if index.ambiguous(name):
                break  # A mask is not meant by what stands for several images.
        for folder in self.places.folders:
            path = folder / (value or "").strip().replace("\\", "/").removeprefix("./").rstrip("/")
            try:
                if path.is_file():
                    return ImageFiles(name, (path,))
                if path.is_dir():
                    return ImageFiles(name, slices_in(path))
            except BrokenImage as error:
                return Message("images.table.folder", reason=error.reason)
            except (OSError, ValueError):
                continue
        several = len(self.indices[0].ambiguous(name))
        if several:
            return Message("images.table.several", count=several)
        unread, _ = self.unread.find(name)
        if unread is not None:
            return Message("images.not-read", kind=self.kinds[unread.name])
        return _MISSING


class _Index:
    """Images by every ending of their path, with and without the ending of the file, and by the folders above them."""

    def __init__(self, images: Sequence[ImageFiles]) -> None:
        self.by_name = {_composed(image.name): image for image in images}
        self.by_ending: dict[str, list[ImageFiles]] = {}
        self.by_folder: dict[str, list[ImageFiles]] = {}
        for name, image in self.by_name.items():
            plain = name.partition("#")[0]
            for ending in {*_endings_of(name), *_endings_of(plain), *_endings_of(without_ending(plain))}:
                self.by_ending.setdefault(ending, []).append(image)
            for folder in {ending for above in _folders_of(plain) for ending in _endings_of(above)}:
                self.by_folder.setdefault(folder, []).append(image)

    @cached_property
    def folded(self) -> dict[str, list[ImageFiles]]:
        """By the same endings in small letters."""
        found: dict[str, list[ImageFiles]] = {}
        for ending, images in self.by_ending.items():
            found.setdefault(ending.casefold(), []).extend(images)
        return found

    def find(self, name: str) -> tuple[ImageFiles | None, bool]:
        """The one image that a name means, None where there is none or several; and whether the folders above it have
        other names."""
        if name in self.by_name:
            return self.by_name[name], False
        # A case's folder stands for its image where that is the only one below it.
        for index, ending, found in self._candidates(name):
            if len(found) == 1:
                path = _composed(found[0].name)
                whole = {path, path.partition("#")[0]}
                whole |= {without_ending(one) for one in whole}
                if index is self.by_folder:
                    whole |= {folder for one in whole for folder in _folders_of(one)}
                whole_name = ending.casefold() in {one.casefold() for one in whole}
                return found[0], ending.count("/") < name.count("/") and not whole_name
        return None, False

    def ambiguous(self, name: str) -> list[ImageFiles]:
        """The images of which a name may mean any."""
        return next((found for _, _, found in self._candidates(name) if len(found) > 1), [])

    def _candidates(self, name: str) -> Iterator[tuple[dict[str, list[ImageFiles]], str, list[ImageFiles]]]:
        """For each way of looking it up the images that the longest known ending of a name may mean."""
        for index, spelled in ((self.by_folder, name), (self.by_ending, name), (self.folded, name.casefold())):
            if ending := next((one for one in _spellings(spelled) if one in index), ""):
                yield index, ending, list({image.name: image for image in index[ending]}.values())


def _spellings(name: str) -> Iterator[str]:
    """The endings of a path, the longest first, each with and without the ending of the file."""
    for ending in _endings_of(name):
        yield ending
        if (short := without_ending(ending)) != ending:
            yield short


def plain_name(value: str) -> str:
    """A name from a table as the path of an image below its folder: parted by `/`, composed, without spaces around."""
    name = _composed(value.strip().strip("\"'").replace("\\", "/"))
    name = name.removeprefix("file://")
    return "/".join(part.strip() for part in name.split("/") if part.strip() not in ("", "."))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _endings_of(name: str) -> list[str]:
    """A path and what is left of it without the folders at its start, the longest first."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def without_ending(name: str) -> str:
    """A path without the ending of an image."""
    ending = next((e for e in sorted(ENDINGS, key=len, reverse=True) if name.lower().endswith(e)), "")
    return name[: len(name) - len(ending)]


def _folders_of(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
