"""One look at every image of a study: what can be read, its size, what its header says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import polars as pl

from medeor.contracts import Message, Text, UserError
from medeor.formats.images.image import BrokenImage
from medeor.formats.images.store import ImageStore, content_of
from medeor.imaging.read.geometry import lean_of
from medeor.imaging.read.thumbnails import SIDE, thumbnail
from medeor.machine import threads

STRAY = 0.2
"""Share of flat images among volumes, or of volumes among flat images, up to which they are set aside; more are a study
of two kinds, which is for the user to part."""


class Examined(NamedTuple):
    """What is kept of an image after it has been looked at."""

    broken: str | None = None
    message: Text = ""
    size: tuple[int, ...] = ()
    """Channels, then the spatial axes; empty for an image that cannot be read."""
    dtype: str = ""
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


def examine_all(store: ImageStore, rows: pl.DataFrame, thumbnails: bool) -> tuple[list[Examined], np.ndarray | None]:
    """Reads every image once, several at a time, and where `thumbnails` are asked for gives them with it, shape (cases,
    SIDE, SIDE), NaN where there is no picture. Raises: UserError where none can be read."""
    small = np.full((rows.height, SIDE, SIDE), np.nan, np.float32) if thumbnails else None

    def look(row: int, keys: Sequence[str], problem: str | None) -> Examined:
        return _look(store, keys, problem, None if small is None else small[row])

    with ThreadPoolExecutor(threads()) as pool:
        read = list(pool.map(look, range(rows.height), rows["images"].to_list(), rows["problem"].to_list()))
    if not any(one.size for one in read):
        first = next((one.message for one in read if one.message), str(read[0].broken))
        raise UserError(Message("imaging.cases.none", count=len(read), first=first))
    return read, small


def _look(store: ImageStore, keys: Sequence[str], problem: str | None, small: np.ndarray | None) -> Examined:
    if problem is not None:
        return Examined(problem)
    try:
        image = store.read(keys)
    except BrokenImage as error:
        return Examined(str(error.reason), error.message)
    except MemoryError:
        reason = Message("imaging.cases.memory")
        return Examined(str(reason), Message("images.broken", path=keys[0], reason=reason))
    pixels = image.pixels
    if small is not None:
        small[:] = thumbnail(pixels)
    return Examined(
        None, "", pixels.shape, pixels.dtype.str, content_of(pixels), image.spacing, image.modality or None,
        image.nonfinite, image.header, image.identifiers, image.patient, image.study, image.uid, lean_of(image.affine),
    )  # fmt: skip


def of_one_kind(read: list[Examined], sources: pl.Series) -> list[Examined]:
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
        read[index] = Examined(str(Message("imaging.cases.volume" if few is solid else "imaging.cases.flat")))
    counts = [one.size[0] for one in read if one.size]
    usual = 3 if set(counts) == {1, 3} else max(sorted(set(counts)), key=counts.count)
    allowed = {1, 3} if usual in (1, 3) and {1, 3} <= set(counts) else {usual}
    return [
        one
        if not one.size or one.size[0] in allowed
        else Examined(str(Message("imaging.cases.channels", count=one.size[0], usual=usual)))
        for one in read
    ]


def properties(read: Sequence[Examined]) -> list[pl.Series]:
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


def headers(every: Sequence[Mapping[str, str]]) -> list[pl.Series]:
    """Facts that differ between cases: a fact that all share can be no shortcut."""
    names = dict.fromkeys(name for header in every for name in header)
    columns = [pl.Series(f"header.{name}", [header.get(name) for header in every], pl.String) for name in names]
    readable = pl.Series([bool(header) for header in every])
    return [column for column in columns if column.filter(readable).n_unique() > 1]
