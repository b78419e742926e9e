"""The cases of an image study: what the user gave, read once, as a case table and a store of images."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from medeor.contracts import Cases, Finding, Message, Sources, Study, Target, Text, UserError, in_turn, listed
from medeor.files import digest
from medeor.formats.images import lists, tables
from medeor.formats.images.arrays import ImageArray
from medeor.formats.images.folders import ImageFiles, find_all
from medeor.formats.images.image import BrokenImage, kind_of
from medeor.formats.images.lists import LABEL, Listing
from medeor.formats.images.store import ImageStore
from medeor.formats.images.tables import Places
from medeor.formats.tables.facts import TABLES
from medeor.formats.tables.read import read_table, set_apart, table_findings
from medeor.formats.values.targets import PARTS, TargetColumns, read_parts, read_targets
from medeor.imaging.read.geometry import geometry_told, lean_of
from medeor.imaging.read.identity import case_ids, identity, repeats, tied_groups
from medeor.imaging.read.patients import odd_groups, one_spelling, suspected
from medeor.machine import threads

__all__ = ["ImageStore", "read_cases"]

USUAL_TARGETS = ("label", "target", "class", "diagnosis")
"""Columns taken as the target of a table when the study names none."""
STRAY = 0.2
"""Share of flat images among volumes, or of volumes among flat images, up to which they are set aside; more are a study
of two kinds, which is for the user to part."""
MOST_PARTS = 20
"""Different values up to which a column that is called like a split may be meant as one."""
USUAL_PARTS = ("part", "split", "subset", "set")
"""Columns taken as the official split when the study names none, if they hold the names of parts."""


def read_cases(sources: Sources, study: Study) -> Cases:
    """The cases of a study and their `ImageStore`. Sources are one or more of: a MedMNIST-like .npz; a folder a class,
    also below train, validation and test; a folder or files beside a table of paths (`study.labels`), or such a table
    alone; images without labels; arrays (see `formats.arrays.layout_of`), followed by an array or a table of labels.

    The columns of the table, one row a case:

    - `case_id`: 12 hex digits: a digest of the study's own id (a column `case_id`, or that which `--option id` names),
      else of the DICOM identifier, else of the pixels; neither the path nor other cases change it, save that a further
      copy gets `-2`
    - `group`: the study's column; without one, cases of the same DICOM patient or examination or with the same pixels
      share a group
    - `site`, `time`: the study's columns, where it names them
    - `part`: train, validation or test of the official split, null where there is none
    - the targets; then the other columns of the user's table
    - `width`, `height`, `depth` (null for flat images), `channels`, `spacing` (mm per axis), `modality`
    - `header.*`: facts of acquisition and storage that differ between cases
    - `identifiers`: names of header fields by which a person can be found
    - `nonfinite`: pixels that were NaN or infinite; `content`: digest of the pixels
    - `images`: keys into the store, one channel image after another; `source`: what the user calls the case, which may
      identify
    - `broken`: why the case cannot be used, null where it can

    Raises: UserError where nothing can be read, flat images and volumes are mixed, a column is missing, or the target
    has one class alone."""
    listing = _gathered(sources, study)
    present = [name for name in sources.subgroups if name in listing.facts.columns]
    study = replace(study, subgroups=(*study.subgroups, *present))
    names = _targets(listing, study) if sources.labelled else ()
    for name in (study.group, study.site, study.time, *study.subgroups):
        if name and name not in listing.facts.columns:
            raise _no_column(name, listing)
    # What is wrong with the table is told before the images are read, which may take long.
    targets, answers, of_targets = _answers(listing, names, study, sources.targets)
    parts = _parts(listing, study)
    store = ImageStore(listing.files, listing.arrays)
    read = _read_all(store, listing.rows)
    read = _of_one_kind(read, listing.rows["source"])
    broken = [one.broken for one in read]
    if names:
        unknown = answers.select(pl.all_horizontal(pl.all().is_null())).to_series()
        broken = [
            why or (str(Message("imaging.cases.no-label")) if none else None) for why, none in zip(broken, unknown)
        ]
    identities = _identities(listing, study, read)
    named = _patients(listing, study)
    ids = case_ids(identities, named, listing.rows["source"].to_list())
    groups = _groups(named, read, ids) if study.group else tied_groups(_ties(read), ids)
    columns: list[pl.Series] = [
        pl.Series("case_id", ids),
        pl.Series("group", groups, pl.String),
        *(listing.facts[column].alias(name) for name, column in _roles(study) if column),
        parts,
        *answers,
        *_others(listing.facts, names, study),
        *_properties(read),
        *_headers([one.header for one in read]),
        listing.rows["images"],
        listing.rows["source"],
        pl.Series("broken", broken, pl.String),
    ]
    channels = {one.size[0] for one in read if one.size}
    complete = replace(store, channels=max(channels, default=0), digest=digest(*(one.content or "" for one in read)))
    here = _names_here(listing.facts.columns, study)
    subgroups = tuple(dict.fromkeys(here[name] for name in study.subgroups))
    is_study = sources.labelled and sources.model is None
    findings = [
        *(_guessed(study, names, targets, listing, read) if is_study else ()),
        *_of_tables(sources, study),
        *of_targets,
        *lists.findings_of(listing.passed),
        *repeats(ids, identities, [one.content for one in read]),
    ]
    findings += geometry_told([one.lean for one in read], [len(one.size) == 4 for one in read], ids)
    findings += _parts_told(listing, study) if is_study else []
    if is_study and study.group:
        there = [row for row, one in enumerate(read) if one.size]
        findings += odd_groups(study.group, [named[row] for row in there], [ids[row] for row in there])
    if is_study and not study.group:
        taken = (*names, study.site, study.time, study.split)
        findings += [found for found in [suspected(listing, taken, groups, ids)] if found]
    return Cases(pl.DataFrame(columns), targets, {"images": complete}, subgroups, findings=tuple(findings))


# What the user gave ------------------------------------------------------------------------------------------------


def _gathered(sources: Sources, study: Study) -> Listing:
    """All cases of all sources, of which none has been read."""
    if not sources.given:
        raise UserError("imaging.cases.no-source")
    tables = [_opened(item) for item in sources.given if _is_table(item)]
    if study.labels:
        tables.append(_opened(Path(study.labels)))
    arrays = [item for item in sources.given if isinstance(item, np.ndarray)]
    paths = [Path(item) for item in sources.given if isinstance(item, (str, Path)) and not _is_table(item)]
    for path in paths:
        if not path.exists():
            raise UserError("common.no-file", path=path)
    if arrays:
        if paths:
            raise UserError("imaging.cases.arrays-and-files")
        return _of_arrays(arrays, tables, study)
    archives = [path for path in paths if path.is_file() and kind_of(path) == "npz"]
    if tables and archives:
        raise UserError("imaging.cases.archive-and-table", path=archives[0])
    if tables:
        return lists.together([_of_table(*table, paths, study) for table in tables])
    listings = []
    for path, prefix in _prefixed(paths):
        if path in archives:
            listings.append(lists.of_archive(path, study.target or _classes(study), f"{prefix}{path.name}/"))
        elif path.is_dir():
            listings.append(lists.of_folder(path, prefix))
        else:
            listings.append(lists.of_images([ImageFiles(path.name, (path,))], prefix))
    return lists.together(listings)


def _prefixed(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Each source with what its cases' names begin with: nothing for the first, so that a study may move to another
    folder; for the others as many of the folders above as set them apart."""
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


def _of_tables(sources: Sources, study: Study) -> tuple[Finding, ...]:
    paths = [item for item in sources.given if isinstance(item, (str, Path)) and _is_table(item)]
    return tuple(one for path in (*paths, study.labels) if path for one in table_findings(Path(path)))


def _is_table(item: object) -> bool:
    if isinstance(item, pl.DataFrame):
        return True
    return isinstance(item, (str, Path)) and Path(item).suffix.lower() in TABLES


def _opened(item: object) -> _Table:
    if isinstance(item, pl.DataFrame):
        return _Table(item, Message("imaging.cases.table"), Path())
    path = Path(str(item))
    return _Table(read_table(path), path.name, path.parent)


def _of_table(rows: pl.DataFrame, name: Text, beside: Path, paths: Sequence[Path], study: Study) -> Listing:
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
    places = Places(tuple(images), (*folders, beside), bool(folders), tuple(aside), tuple(unread), passed)
    return tables.of_table(rows, name, places, columns)


def _of_arrays(arrays: Sequence[np.ndarray], tables: Sequence[_Table], study: Study) -> Listing:
    """Images, and labels in a second array or in a table with a row for each image."""
    images, *others = arrays
    images = images[None] if images.ndim == 2 else images
    if len(others) > 1 or len(tables) > 1 or (others and tables):
        raise UserError("imaging.cases.one-array")
    array = ImageArray(images.shape, images.dtype, images)
    where = Message("imaging.cases.array")
    listing = lists.of_array(array, others[0] if others else None, where, "array", None, study.target)
    if not tables:
        return listing
    rows = tables[0].rows
    if rows.height != len(array):
        raise UserError("imaging.cases.rows", images=len(array), rows=rows.height)
    return replace(listing, facts=rows)


# Questions and roles -----------------------------------------------------------------------------------------------


def _targets(listing: Listing, study: Study) -> tuple[str, ...]:
    if study.target:
        for name in study.target:
            if name not in listing.facts.columns:
                raise _no_column(name, listing)
        return study.target
    if listing.labels:
        return listing.labels
    usual = [name for name in listing.facts.columns if name.lower() in USUAL_TARGETS]
    if len(usual) == 1:
        return (usual[0],)
    taken = {study.group, study.site, study.time, study.split, *study.subgroups}
    free = [name for name in listing.facts.columns if name not in taken]
    if len(free) == 1:
        return (free[0],)
    if study.labels:
        raise UserError("imaging.cases.no-target", table=study.labels, columns=listed(free))
    return ()


def _are_folders(listing: Listing) -> bool:
    """Whether the labels are the names of folders."""
    return bool(listing.files) and listing.labels == (LABEL,)


def _no_column(name: str, listing: Listing) -> UserError:
    key = "imaging.cases.no-column" if listing.facts.columns else "imaging.cases.no-table"
    return UserError(key, name=name, columns=listed(listing.facts.columns))


def _classes(study: Study) -> tuple[str, ...]:
    """Names of the classes, set apart by `|` or, where there is none, by commas."""
    text = study.options.get("classes", "")
    return tuple(name.strip() for name in text.split("|" if "|" in text else ",") if name.strip())


def _answers(listing: Listing, names: Sequence[str], study: Study, expected: Sequence[Target]) -> TargetColumns:
    if not names:
        return TargetColumns((), pl.DataFrame(height=listing.rows.height))
    where = study.options
    classes, positive = _classes(study), where.get("positive", "")
    # A row without an image, such as a sum below the table, makes no class.
    there = pl.lit(listing.rows["problem"].is_null())
    facts = listing.facts.with_columns(pl.when(there).then(name).alias(name) for name in names)
    return read_targets(facts, names, where.get("kind", ""), classes, positive, expected)


def _roles(study: Study) -> tuple[tuple[str, str], ...]:
    return ("site", study.site), ("time", study.time)


def _parts(listing: Listing, study: Study) -> pl.Series:
    columns = listing.facts.columns
    if study.split in columns and _names_parts(listing.facts[study.split]):
        return read_parts(listing.facts[study.split])
    if listing.rows["part"].null_count() < listing.rows.height or study.split:
        return listing.rows["part"]
    for name in columns:
        values = listing.facts[name]
        if (
            name.lower() in USUAL_PARTS
            and values.dtype == pl.String
            and {v.strip().lower() for v in values.drop_nulls()} <= {*PARTS}
        ):
            return read_parts(values)
    return listing.rows["part"]


def _parts_told(listing: Listing, study: Study) -> list[Finding]:
    """What is told of a column that is called like an official split and is none."""
    for name in listing.facts.columns:
        values = listing.facts[name].cast(pl.String).drop_nulls().unique().sort().to_list()
        if name.lower() not in USUAL_PARTS or study.split not in ("", name) or not 1 < len(values) <= MOST_PARTS:
            continue
        if {value.strip().lower() for value in values} <= {*PARTS} or name in study.target:
            continue
        key = "imaging.cases.split-by-value" if study.split else "imaging.cases.no-split"
        message = Message(key, column=name, values=listed(map(repr, values), 5))
        return [Finding("official-split", "quality", "unknown", message)]
    return []


def _names_parts(column: pl.Series) -> bool:
    """Whether a column names parts, be it with a slip; else its values are what stays together in a split."""
    return bool(column.cast(pl.String).str.strip_chars().str.to_lowercase().is_in(list(PARTS)).any())


def _others(facts: pl.DataFrame, targets: Sequence[str], study: Study) -> list[pl.Series]:
    """The rest of the user's columns, kept for subgroups and shortcuts."""
    rest = [name for name in facts.columns if name not in targets and name != study.group]
    same = {name for name, column in (*_roles(study), ("part", study.split)) if name == column}
    names = set_apart(facts.columns, partial(_is_own, study=study))
    return [facts[name].alias(names[name]) for name in rest if name not in same]


_OWN = {
    "case_id", "group", "site", "time", "part", "width", "height", "depth", "channels", "spacing", "modality",
    "identifiers", "nonfinite", "content", "images", "source", "broken", "fold",
}  # fmt: skip


def _is_own(name: str, study: Study) -> bool:
    """Whether medeor uses this name itself; a split by `site` or `time` means the user's."""
    users = name not in _OWN or (name == study.split and name in ("site", "time"))
    return not users or name.startswith("header.")


def _names_here(columns: Sequence[str], study: Study) -> dict[str, str]:
    """What the user's columns are called in the case table."""
    roles = {study.group: "group", study.split: "part", study.site: "site", study.time: "time"}
    targets = {name: name for name in study.target}
    return set_apart(columns, partial(_is_own, study=study)) | targets | roles


# One look at every image -------------------------------------------------------------------------------------------


class _Read(NamedTuple):
    """What is kept of an image after it has been looked at."""

    broken: str | None = None
    message: Text = ""
    size: tuple[int, ...] = ()
    """Channels, then the spatial axes; empty for an image that cannot be read."""
    content: str | None = None
    spacing: tuple[float, ...] | None = None
    modality: str | None = None
    nonfinite: int | None = None
    header: Mapping[str, str] = {}
    identifiers: tuple[str, ...] = ()
    patient: str = ""
    study: str = ""
    uid: str = ""
    lean: float | None = None
    """Degrees by which its slices lean; None where its place is unknown."""


def _read_all(store: ImageStore, rows: pl.DataFrame) -> list[_Read]:
    """Reads every image once, several at a time. Raises: UserError where none can be read."""
    with ThreadPoolExecutor(threads()) as pool:
        read = list(pool.map(partial(_look, store), rows["images"].to_list(), rows["problem"].to_list()))
    if not any(one.size for one in read):
        first = next((one.message for one in read if one.message), str(read[0].broken))
        raise UserError(Message("imaging.cases.none", count=len(read), first=first))
    return read


def _look(store: ImageStore, keys: Sequence[str], problem: str | None) -> _Read:
    if problem is not None:
        return _Read(problem)
    try:
        image = store.read(keys)
    except BrokenImage as error:
        return _Read(str(error.reason), error.message)
    except MemoryError:
        reason = Message("imaging.cases.memory")
        return _Read(str(reason), Message("images.broken", path=keys[0], reason=reason))
    pixels = image.pixels
    content = hashlib.blake2b(f"{pixels.dtype.str}{pixels.shape}".encode(), digest_size=16)
    content.update(pixels.data)
    return _Read(
        None, "", pixels.shape, content.hexdigest(), image.spacing, image.modality or None, image.nonfinite,
        image.header, image.identifiers, image.patient, image.study, image.uid, lean_of(image.affine),
    )  # fmt: skip


def _of_one_kind(read: list[_Read], sources: pl.Series) -> list[_Read]:
    """Sets aside images with another number of channels than most; grey among colour is taken as colour.

    Raises: UserError where flat images and volumes are mixed."""
    flat = [index for index, one in enumerate(read) if len(one.size) == 3]
    solid = [index for index, one in enumerate(read) if len(one.size) == 4]
    few, _ = sorted((flat, solid), key=len)
    if len(few) > STRAY * len(read):
        such = {"first": sources[flat[0]], "second": sources[solid[0]]}
        raise UserError("imaging.cases.mixed", flat=len(flat), volumes=len(solid), **such)
    read = list(read)
    for index in few:
        read[index] = _Read(str(Message("imaging.cases.volume" if few is solid else "imaging.cases.flat")))
    counts = [one.size[0] for one in read if one.size]
    usual = 3 if set(counts) == {1, 3} else max(sorted(set(counts)), key=counts.count)
    allowed = {1, 3} if usual in (1, 3) and {1, 3} <= set(counts) else {usual}
    return [
        one
        if not one.size or one.size[0] in allowed
        else _Read(str(Message("imaging.cases.channels", count=one.size[0], usual=usual)))
        for one in read
    ]


def _properties(read: Sequence[_Read]) -> list[pl.Series]:
    def axis(place: int) -> list[int | None]:
        """The length of a spatial axis counted from the last, 1."""
        return [one.size[-place] if len(one.size) > place else None for one in read]

    return [
        pl.Series("width", axis(1), pl.Int64),
        pl.Series("height", axis(2), pl.Int64),
        pl.Series("depth", axis(3), pl.Int64),
        pl.Series("channels", [one.size[0] if one.size else None for one in read], pl.Int64),
        pl.Series("spacing", [None if one.spacing is None else list(one.spacing) for one in read], pl.List(pl.Float64)),
        pl.Series("modality", [one.modality for one in read], pl.String),
        pl.Series("nonfinite", [one.nonfinite for one in read], pl.Int64),
        pl.Series("content", [one.content for one in read], pl.String),
        pl.Series("identifiers", [list(one.identifiers) for one in read], pl.List(pl.String)),
    ]


def _headers(headers: Sequence[Mapping[str, str]]) -> list[pl.Series]:
    """Facts that differ between cases: a fact that all share can be no shortcut."""
    names = dict.fromkeys(name for header in headers for name in header)
    columns = [pl.Series(f"header.{name}", [header.get(name) for header in headers], pl.String) for name in names]
    readable = pl.Series([bool(header) for header in headers])
    return [column for column in columns if column.filter(readable).n_unique() > 1]


# Who is who --------------------------------------------------------------------------------------------------------


def _identities(listing: Listing, study: Study, read: Sequence[_Read]) -> list[str]:
    column = study.options.get("id", "")
    if column and column not in listing.facts.columns:
        raise _no_column(column, listing)
    column = column or ("case_id" if "case_id" in listing.facts.columns else "")
    given = listing.facts[column].cast(pl.String).to_list() if column else [None] * len(read)
    files = [[file for key in keys for file in listing.files.get(key, ())] for keys in listing.rows["images"].to_list()]
    return [
        identity((name or "").strip() or None, one.uid, one.content, paths, source)
        for name, one, paths, source in zip(given, read, files, listing.rows["source"].to_list())
    ]


def _patients(listing: Listing, study: Study) -> list[str | None]:
    """The patient of each case, as the study's column names it."""
    if not study.group:
        return [None] * listing.rows.height
    names = listing.facts[study.group].cast(pl.String).to_list()
    return [one_spelling(name) or None if name is not None else None for name in names]


def _groups(named: Sequence[str | None], read: Sequence[_Read], ids: Sequence[str]) -> list[str]:
    """The study's own; a case of which no patient is known counts as one of its own."""
    return [name if name is not None else own for name, own in zip(named, ids)]


def _ties(read: Sequence[_Read]) -> list[list[str | None]]:
    """What ties cases to one patient: equal pixels, the patient and the examination of DICOM. A patient that all cases
    share is taken for a placeholder."""
    ties = [[one.content for one in read]]
    for known in ([one.patient for one in read], [one.study for one in read]):
        if len({value for value, one in zip(known, read) if one.size} - {""}) > 1:
            ties.append([value or None for value in known])
    return ties


def _guessed(
    study: Study, names: Sequence[str], targets: Sequence[Target], listing: Listing, read: Sequence[_Read]
) -> list[Finding]:
    """What the study leaves open and medeor decided: the first thing that the user should check."""
    said = []
    if names and not study.target:
        key = "imaging.guessed.folders" if _are_folders(listing) else "imaging.guessed.target"
        said.append(Message(key, targets=names, folders=listed(targets[0].classes, 6)))
    if not study.group:
        known = any(one.patient or one.study for one in read)
        said.append(Message("imaging.guessed.dicom-patient" if known else "imaging.guessed.no-group"))
    return [Finding("guessed", "quality", "unknown", in_turn(said))] if said else []
