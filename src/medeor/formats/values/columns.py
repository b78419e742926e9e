"""What the columns of a plain table hold: numbers, days, categories, or what no model can use."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import polars as pl

from medeor.contracts import Message, Text, UserError
from medeor.formats.values.dates import are_days, are_written_days, read_times
from medeor.formats.values.measured.measurements import read_measurements
from medeor.formats.values.measured.units import OneUnit, in_one_unit, is_unit
from medeor.formats.values.missing import as_texts, blanked, is_known, plain
from medeor.formats.values.targets import names_cases

ColumnKind = Literal["number", "date", "category"]

READABLE = 0.95
"""Share of the known values that are to be measurements in a column of numbers."""
_NAMING = re.compile(
    r"(?:^|[\W_])(?:id|ids|nr|no|number|key|index|uid|uuid|row)$|(?<=[a-z])(?-i:ID|Id)$|^unnamed|编号|序号",
    re.IGNORECASE,
)
_LEADING_ZERO = r"^[+−-]?0\d"
_FEWEST_IDS = 5
"""Different numbers from which they can be names of rows."""
_WORDS = 4
"""Words of a value from which it is free text."""


class Meaning(NamedTuple):
    """What a column can be used as."""

    kind: ColumnKind | None
    why: Text = ""
    """Why it cannot be used, where it has no kind."""
    lost: bool = False
    """Whether it may hold something to learn from all the same."""


def meaning(column: pl.Series) -> Meaning:
    """What a column holds. Text is numbers where nearly all of it is measurements in known units (`5,2 mg/dL`); days
    where all of it is, in one order; else categories. Numbers are no categories, however few: their order may count.

    Names of rows (text that hardly comes again, running numbers), free text, one value alone, and lists are none."""
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        return Meaning(None, Message("values.column.nested"), lost=True)
    known = known_texts(column) if column.dtype == pl.String else column.drop_nulls()
    if column.dtype.is_float():
        known = known.drop_nans()
    distinct = known.n_unique()
    if not distinct:
        return Meaning(None, Message("values.column.empty"))
    if distinct == 1 and len(known) == len(column):
        return Meaning(None, Message("values.column.constant"))
    if column.dtype in (pl.Date, pl.Datetime):
        return Meaning("date")
    if column.dtype in (pl.Boolean, pl.Categorical, pl.Enum):
        return Meaning("category")
    if column.dtype != pl.String:
        return _of_numbers(column.name, known.to_physical(), distinct)
    return _of_text(known.alias(column.name))


def _of_numbers(name: str, known: pl.Series, distinct: int) -> Meaning:
    if known.dtype.is_integer() and are_written_days(known.unique().to_list()):
        return Meaning("date")
    whole = known.dtype.is_integer() or bool((known == known.round()).all())
    if whole and distinct == len(known) > _FEWEST_IDS:
        low, high = known.min(), known.max()
        if _NAMING.search(name) or not name or high - low + 1 == distinct:  # type: ignore[operator]
            return Meaning(None, Message("values.column.running"))
    return Meaning("number")


def _of_text(known: pl.Series) -> Meaning:
    if not known.str.contains(_LEADING_ZERO).any():
        read = read_measurements(known)
        units = read.units.drop_nulls().unique()
        # Of `<30` and `>=30` the number alone says nothing.
        exact = 2 * (read.sides.fill_null(0) != 0).sum() <= len(known)
        if exact and read.unreadable.sum() <= (1 - READABLE) * len(known) and all(map(is_unit, units)):
            return Meaning("number")
    try:
        if are_days(known.unique()) and read_times(known):
            return Meaning("date")
    except UserError as error:
        return Meaning(None, error.message, lost=True)
    if names_cases(known):
        if known.str.count_matches(r"\s\S").mean() >= _WORDS - 1:  # type: ignore[operator]
            return Meaning(None, Message("values.column.free-text"), lost=True)
        return Meaning(None, Message("values.column.names"))
    return Meaning("category")


def known_texts(column: pl.Series) -> pl.Series:
    """A column of text without what says unknown (`?`, `not done`, `未知`)."""
    texts = column.str.strip_chars().drop_nulls()
    return texts.filter(texts.is_in(list(filter(is_known, texts.unique()))))


def as_numbers(column: pl.Series, unit: str = "") -> OneUnit:
    """Any column as numbers (Float64, null where a value is none), in the `unit`, or where none is asked in the one
    that most are written in."""
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        read = read_measurements(column)
        return in_one_unit(read.values, read.units, unit)
    values = column.to_physical().cast(pl.Float64)
    return OneUnit(values.set(~values.is_finite().fill_null(True), None), unit, (), (), len(values))


def as_days(column: pl.Series) -> pl.Series:
    """Days since 1970 (Float64, with the time of day as a fraction), null where a value is no day."""
    if column.dtype.is_numeric():
        column = column.cast(pl.Int64, strict=False).cast(pl.String)
    if column.dtype == pl.String:
        read = read_times(column.set(~column.is_in(known_texts(column).unique().implode()), None))
        column = read.column if read else pl.Series(column.name, [None] * len(column), pl.Date)
    if column.dtype not in (pl.Date, pl.Datetime):
        return pl.Series(column.name, [None] * len(column), pl.Float64)
    return column.cast(pl.Datetime("us")).dt.epoch("us").cast(pl.Float64) / 86_400e6


def as_levels(column: pl.Series) -> pl.Series:
    """Any column as text by which spellings of one category are the same (`Yes`, `yes `, `1.0` and `1`); null where it
    is unknown."""
    texts = as_texts(blanked(column, column.is_infinite()) if column.dtype.is_float() else column)
    forms = {text: plain(text) for text in texts.unique().drop_nulls() if is_known(text)}
    return texts.replace_strict(forms, default=None, return_dtype=pl.String).alias(column.name)
