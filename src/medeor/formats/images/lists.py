"""Which images make the cases of a study, and what is known of each before any is read: from a folder a class, a
table of paths, an .npz archive, or arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from medeor.contracts import Finding, Message, Text, UserError, in_turn, listed
from medeor.formats.images.arrays import ImageArray, layout_of, member, members
from medeor.formats.images.folders import HOLDERS, UNREAD, Found, ImageFiles, find_all
from medeor.formats.values.targets import PARTS

LABEL = "label"
"""What labels are called that come without a name: those of class folders and of archives."""
ROWS = {"source": pl.String(), "images": pl.List(pl.String), "part": pl.String(), "problem": pl.String()}
_INDEX = "\0row"


@dataclass(frozen=True)
class Listing:
    """Cases before they are read."""

    rows: pl.DataFrame
    """Columns `source` (what the user calls the case), `images` (keys of its images), `part` (of an official split)
    and `problem` (why it cannot be used, null where it can)."""
    facts: pl.DataFrame
    """What the source says of each row, under the user's own names; the same height as `rows`."""
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    arrays: Mapping[str, ImageArray] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    """Columns of `facts` that the source itself holds as labels."""
    passed: Counter[tuple[str, Text]] = field(default_factory=Counter)
    """Files that are no cases, by why (`unread`, `aside`, `others`, `joined`, `separate`) and by what they are."""


def together(listings: Sequence[Listing]) -> Listing:
    """One after another; a column that only some have is null elsewhere.

    Raises: UserError where two images have one name."""
    if len(listings) == 1:
        return listings[0]
    # With an index, as a listing may have rows and no facts.
    facts = [one.facts.with_row_index(_INDEX) for one in listings]
    files: dict[str, tuple[str, ...]] = {}
    for one in listings:
        for key, found in one.files.items():
            if files.setdefault(key, found) != found:
                raise UserError("images.sources.one-name", name=key)
    return Listing(
        pl.concat([one.rows for one in listings]),
        pl.concat(facts, how="diagonal_relaxed").drop(_INDEX),
        files,
        {key: array for one in listings for key, array in one.arrays.items()},
        tuple(dict.fromkeys(name for one in listings for name in one.labels)),
        sum((one.passed for one in listings), Counter()),
    )


def of_images(images: Sequence[ImageFiles], prefix: str = "", problems: Sequence[Text | None] = ()) -> Listing:
    """Images of which nothing else is known."""
    files = {prefix + image.name: image.paths for image in images}
    return Listing(rows_of(list(files), problems=problems), pl.DataFrame(height=len(files)), files)


def of_folder(folder: Path, prefix: str = "") -> Listing:
    """The images below a folder. Folders named train, validation and test at the top are the official split; two or
    more folders of images (below those) with at least two images each on average are classes. A picture of a kind that
    is not read is listed with that problem.

    Raises: UserError where there is no image."""
    found = find_all(folder)
    if not found.images:
        raise UserError(none_in(folder, found))
    above = [image.name.split("/")[:-1] for image in found.images]
    while all(above) and len({folders[0] for folders in above}) == 1 and above[0][0].lower() not in PARTS:
        above = [folders[1:] for folders in above]
    part: list[str | None] = [None] * len(above)
    if all(folders and folders[0].lower() in PARTS for folders in above):
        part = [PARTS[folders[0].lower()] for folders in above]
        above = [folders[1:] for folders in above]
    classes = [folders[0] if folders else None for folders in above]
    named, loose = len(set(classes) - {None}), classes.count(None)
    least = 1 if len(set(part)) > 1 else 2
    labelled = named >= least and loose * 2 <= len(classes) and len(classes) - loose >= 2 * named
    problems = [None if name else Message("images.folder.no-class") for name in classes] if labelled else []
    plain = of_images(found.images, prefix, problems)
    listing = Listing(
        plain.rows.with_columns(pl.Series("part", part, pl.String)),
        pl.DataFrame({LABEL: classes}) if labelled else plain.facts,
        plain.files,
        labels=(LABEL,) if labelled else (),
        passed=passed_over(found),
    )
    if not found.unread:
        return listing
    images, kinds = zip(*found.unread)
    return together([listing, of_images(images, prefix, [Message("images.not-read", kind=kind) for kind in kinds])])


# What is no case ---------------------------------------------------------------------------------------------------


def none_in(folder: Path, found: Found) -> Message:
    """What to say of a folder without an image."""
    kinds = Counter(kind for _, kind in found.unread) + found.others
    key = "images.folder.others" if kinds else "images.folder.none-read"
    return Message(key, folder=folder, kinds=_counted(kinds))


def passed_over(found: Found) -> Counter[tuple[str, Text]]:
    """The files of a folder that are no cases, counted by why and by what they are."""
    counts: Counter[tuple[str, Text]] = Counter()
    for image, _ in found.unread:
        counts["unread", _ending(image.files[0])] += 1
    for image, role in found.aside:
        counts["aside", role] += len(image.files)
    for what, count in found.others.items():
        counts["unread" if what in HOLDERS else "others", what] += count
    for how, count in found.scattered.items():
        counts[how, "series"] += count
    return counts


def findings_of(passed: Mapping[tuple[str, Text], int]) -> tuple[Finding, ...]:
    """What the audit says of files that are no cases. It fails where pictures may have been missed."""

    def of(why: str) -> Counter[Text]:
        return Counter({what: count for (reason, what), count in passed.items() if reason == why})

    findings = []
    if files := [
        Message(f"images.passed.{why}", count=counts.total(), kinds=_counted(counts))
        for why in ("unread", "aside", "others")
        if (counts := of(why))
    ]:
        findings.append(Finding("files-passed-over", "quality", "fail" if of("unread") else "pass", in_turn(files)))
    if joined := of("joined").total():
        message = Message("images.passed.joined", count=joined)
        findings.append(Finding("series-in-several-folders", "quality", "unknown", message))
    if separate := of("separate").total():
        message = Message("images.passed.separate", count=separate)
        findings.append(Finding("series-in-several-folders", "quality", "fail", message))
    if columns := sorted(map(str, of("column"))):
        message = Message("images.passed.columns", count=len(columns), columns=listed(map(repr, columns)))
        findings.append(Finding("image-columns", "quality", "unknown", message))
    return tuple(findings)


def _counted(counts: Mapping[Text, int]) -> tuple[Message, ...]:
    ordered = sorted(counts.items(), key=lambda one: (-one[1], str(one[0])))
    return tuple(Message("images.passed.of-kind", count=count, kind=kind) for kind, count in ordered)


def _ending(path: Path) -> str:
    name = path.name.lower()
    return next(ending for _, endings in UNREAD for ending in endings if name.endswith(ending))


# Arrays ------------------------------------------------------------------------------------------------------------

_IMAGES = ("images", "image", "imgs", "x", "data", "arr_0")
_LABELS = ("labels", "label", "y", "targets", "target", "arr_1")


def of_archive(path: Path, names: Sequence[str], prefix: str = "") -> Listing:
    """The images of an .npz archive: `train_images`, `train_labels`, `val_images`, … as MedMNIST has them, or
    `images` and `labels`. Labels (n,) or (n, 1) are one target, (n, k) are k; `names` names them where it fits.

    Raises: UserError where it holds no images, or labels that do not fit them."""
    inside = members(path)
    found = {name.lower(): name for name in inside}
    chosen: list[tuple[str, str | None, str | None]] = [
        (found[f"{word}_images"], found.get(f"{word}_labels"), part)
        for word, part in PARTS.items()
        if f"{word}_images" in found
    ]
    if not chosen:
        images, labels = (next((found[word] for word in words if word in found), None) for words in (_IMAGES, _LABELS))
        if images is None:
            raise UserError("images.archive.no-images", path=path, names=listed(sorted(found)))
        chosen = [(images, labels, None)]
    listings = []
    for images, labels, part in chosen:
        array = ImageArray(*inside[images], path=str(path), member=images)
        values = None if labels is None else member(str(path), labels)
        listings.append(of_array(array, values, f"{path}: {images}", prefix + images, part, names))
    return together(listings)


def of_array(
    array: ImageArray,
    labels: np.ndarray | None,
    where: Text,
    key: str,
    part: str | None = None,
    names: Sequence[str] = (),
) -> Listing:
    """Images of one array, see `arrays.layout_of`, and their labels (n,), (n, 1) or (n, k).

    Raises: UserError where the shape is no set of images or the labels do not fit."""
    layout_of(array.shape)
    if not len(array):
        raise UserError("images.array.empty", where=where, shape=array.shape)
    keys = [f"{key}/{index}" for index in range(len(array))]
    facts = pl.DataFrame(height=len(array))
    if labels is not None:
        if len(labels) != len(array):
            raise UserError("images.array.labels", where=where, images=len(array), labels=len(labels))
        facts = _label_columns(labels.reshape(len(labels), -1), names)
    return Listing(rows_of(keys, part=part), facts, {}, {key: array}, tuple(facts.columns))


def _label_columns(labels: np.ndarray, names: Sequence[str]) -> pl.DataFrame:
    count = labels.shape[1]
    if len(names) != count:
        names = [LABEL] if count == 1 else [f"{LABEL}_{index}" for index in range(count)]
    if labels.dtype.kind not in "biufU":
        raise UserError("images.array.label-type", dtype=labels.dtype)
    return pl.DataFrame({name: labels[:, index].tolist() for index, name in enumerate(names)})


def rows_of(
    sources: Sequence[str],
    images: Sequence[Sequence[str]] | None = None,
    part: str | None = None,
    problems: Sequence[Text | None] = (),
) -> pl.DataFrame:
    """The rows of a listing; without `images` each case is the one image of its own name."""
    count = len(sources)
    images = [[name] for name in sources] if images is None else images
    why = [None if problem is None else str(problem) for problem in problems] or [None] * count
    return pl.DataFrame({"source": sources, "images": images, "part": [part] * count, "problem": why}, schema=ROWS)
