"""The cells of a column as numbers, or as classes: what says unknown among them, spellings of one class, and what is
neither."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from medeor.contracts import Finding, Message, UserError, listed
from medeor.formats.values.dates import are_days, are_written_days
from medeor.formats.values.measured.measurements import read_measurements
from medeor.formats.values.missing import (
    Missing,
    as_texts,
    blanked,
    is_known,
    plain,
    says_unknown,
    without_accents,
    without_missing_classes,
    without_missing_numbers,
)
from medeor.formats.values.positive import answer_of

FEW = 20
"""Whole numbers with more different values than this are measured, not classes."""
_NUMBER = r"^[+−-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+−-]?\d+)?\s*(?:[\p{L}%°/µμ][^\d,;]*)?$"
"""A number, perhaps with a unit; not `007`, which is a name."""
_CLOCK = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?")
SHOWN = 5
"""Values that a message lists."""


class ColumnCells(NamedTuple):
    """See `targets.common.kind.Cells`."""

    column: pl.Series

    def numbers(self) -> tuple[pl.Series, tuple[Finding, ...]]:
        numbers = numbers_of(self.column, True)
        if numbers is None:
            raise UserError("values.target.no-number", target=self.column.name, value=no_number(self.column))
        return numbers.column.cast(pl.Float64), codes_found(self.column.name, numbers, True)

    def classes(self, words: Sequence[str], grades: bool) -> tuple[pl.Series, tuple[Finding, ...]]:
        texts = texts_of(self.column, grades, words)
        values, spellings = one_spelling(texts.column, words)
        _, place = named(self.column.name, values.drop_nulls().unique().to_list(), words)
        indices = values.replace_strict(list(place), list(place.values()), default=None, return_dtype=pl.Int64)
        return indices, (*codes_found(self.column.name, texts), *spellings)


def texts_of(column: pl.Series, grades: bool, classes: Sequence[str]) -> Missing:
    """The cells as texts, without those that say unknown unless the user names them among the `classes`."""
    finite = without_missing_numbers(column)
    missing = _without_codes(finite.column, grades, classes)
    return Missing(as_texts(missing.column), {**finite.codes, **missing.codes})


# Numbers -----------------------------------------------------------------------------------------------------------


def is_measured(known: pl.Series) -> bool:
    whole = not known.dtype.is_float() or bool((known == known.round()).all())
    return not (whole and known.n_unique() <= FEW)


def numbers_of(column: pl.Series, asked: bool) -> Missing | None:
    """The numbers of a column, also of text, as with decimal commas or among words for unknown; None where some value
    is none. Raises: UserError for days and for limits (`>10`), which are no single numbers."""
    refuse_days(column)
    if column.dtype.is_numeric():
        return without_missing_numbers(column)
    if column.dtype != pl.String:
        return Missing(column.cast(pl.Float64), {}) if asked and column.dtype == pl.Boolean else None
    texts = column.str.strip_chars().replace("", None)
    counts = texts.drop_nulls().value_counts().iter_rows()
    unknown = {text: count for text, count in counts if says_unknown(text) or _is_infinite(text)}
    texts = blanked(texts, texts.is_in(list(unknown)))
    known = texts.drop_nulls()
    if not len(known):
        return None
    measured = read_measurements(texts)
    if asked and (measured.sides.fill_null(0) != 0).any():
        limit = texts.filter(measured.sides.fill_null(0) != 0)[0]
        raise UserError("values.target.limit", target=column.name, value=limit)
    units = measured.units.drop_nulls()
    one_unit = not len(units) or (len(units) == len(known) and units.n_unique() == 1)
    plain_numbers = known.str.contains(_NUMBER).all() and not known.str.contains(r"^[+−-]?0\d").any()
    if not plain_numbers or not one_unit or measured.unreadable.any():
        return None
    found = without_missing_numbers(measured.values.alias(column.name))
    return found._replace(codes={**unknown, **found.codes})


def _is_infinite(text: str) -> bool:
    """Whether a text is written as a number and is beyond all of them: `1e400`, `-inf`, `∞`."""
    try:
        return math.isinf(float(text.replace("∞", "inf").replace("−", "-")))
    except ValueError:
        return False


def no_number(column: pl.Series) -> object:
    """The first value of a column that is no number, or a number in another unit than others."""
    texts = column.cast(pl.String).drop_nulls()
    bad = texts.filter(~texts.str.contains(_NUMBER))
    return next((text for text in bad if not says_unknown(text)), column.drop_nulls()[0])


def refuse_days(column: pl.Series) -> None:
    known = column.drop_nulls()
    days = known.dtype.is_temporal()
    if known.dtype == pl.String:
        texts = list(filter(is_known, known.unique()))
        days = are_days(texts) or (bool(texts) and all(map(_CLOCK.fullmatch, map(str.strip, texts))))
    elif known.dtype.is_numeric():
        days = are_written_days(known.unique().to_list())
    if days:
        raise UserError("values.target.days", target=column.name, value=known[0])


# Classes -----------------------------------------------------------------------------------------------------------


def _without_codes(column: pl.Series, grades: bool, classes: Sequence[str]) -> Missing:
    """Without what says unknown, unless the user names it as a class."""
    found = without_missing_classes(column, grades=grades)
    named = {plain(one) for one in classes}
    if not classes or not named & {plain(code) for code in found.codes}:
        return found
    texts = as_texts(column)
    free = {code: count for code, count in found.codes.items() if plain(code) not in named}
    return Missing(blanked(texts, texts.is_in(list(free))), free)


def one_spelling(values: pl.Series, classes: Sequence[str]) -> tuple[pl.Series, tuple[Finding, ...]]:
    """Values that differ in case, spaces, full-width forms or punctuation behind them alone as one: that which is named
    among the `classes`, else the most frequent. So are words that all say no or yes (`no`, `n`, `0`). Where all would
    become one class, as genotypes may (`AA`, `Aa`), they stay what they are."""
    counts = values.drop_nulls().value_counts().sort(["count", values.name], descending=[True, False])
    written = {plain(one): one for one in classes}
    if len(written) < len(classes):
        return values, ()
    spelt: dict[str, list[tuple[str, int]]] = {}
    for text, count in counts.iter_rows():
        spelt.setdefault(_class_form(text), []).append((text, count))
    if len(spelt) == 1 and counts.height > 1 and not classes:
        return values, ()
    if len(spelt) > 2 and not classes and all(answer_of(form) is not None for form in spelt):
        spelt = {
            str(answer): [one for form, variants in spelt.items() if answer_of(form) == answer for one in variants]
            for answer in (0, 1)
        }
    name_of = {
        text: written.get(form, " ".join(variants[0][0].split()))
        for form, variants in spelt.items()
        for text, _ in variants
    }
    merged = [variants for variants in spelt.values() if len({name.strip() for name, _ in variants}) > 1]
    same = tuple(" = ".join(f"{text!r} ({count})" for text, count in variants) for variants in merged)
    message = Message("values.cells.spellings", column=values.name, spellings=same)
    finding = (Finding("class-spellings", "labels", "fail", message),) if merged else ()
    return values.replace_strict(list(name_of), list(name_of.values()), default=None, return_dtype=pl.String), finding


def _class_form(text: str) -> str:
    """As `missing.plain`, without accents and with one sign between words; whole numbers without their decimals, as
    spreadsheets add them."""
    form = plain(text)
    bare = without_accents(form)
    form = re.sub(r"(?<=[a-z])[\s_-]+(?=[a-z])", " ", bare if bare.isascii() else form)
    return re.sub(r"^([+-]?(?:0|[1-9]\d*))\.0+$", r"\1", form)


def codes_found(name: str, missing: Missing, measured: bool = False) -> tuple[Finding, ...]:
    if not missing.codes:
        return ()
    check = "number-codes" if measured else "class-codes"
    each = (Message("values.cells.code", code=code, count=count) for code, count in missing.codes.items())
    text = Message(f"values.cells.{check}", column=name, codes=listed(each, SHOWN))
    return (Finding(check, "labels", "fail", text),)


def sorted_classes(values: list[str]) -> list[str]:
    """Class names by number where all are numbers, else by the alphabet."""
    try:
        return sorted(values, key=int)
    except ValueError:
        return sorted(values)


def named(name: str, found: list[str], classes: Sequence[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """The names of the classes, and the index of each value found."""
    if not classes:
        return tuple(found), {value: index for index, value in enumerate(found)}
    if len(set(classes)) < len(classes):
        raise UserError("values.target.class-twice", classes="|".join(classes))
    if set(found) <= set(classes):
        return tuple(classes), {value: index for index, value in enumerate(classes)}
    counted = {str(index): index for index in range(len(classes))}
    if set(found) <= set(counted):
        return tuple(classes), counted
    raise UserError("values.target.no-class", target=name, value=min(set(found) - set(classes)), classes=classes)
