"""Measured values as laboratories write them: `>10`, `< 0.1 µM`, `~5`, `1,200`: a number, on which side of it the truth
lies, and a unit."""

from __future__ import annotations

from typing import Literal, NamedTuple

import polars as pl

from medeor.formats.values.measured.units import in_one_unit

ABOVE, EXACT, BELOW = 1, 0, -1
"""Where the true value lies, seen from the number that was written: above it for `>10`, below it for `<0.1`."""

_SIGN = r"(<=|>=|<<|>>|<|>|≤|≥|⩽|⩾|=|~|≈|≃|±|ca\.?|approx\.?)?"
_SPACE = " \u00a0\u2009\u202f'’"
"""What else separates groups of three digits."""
_NUMBER = rf"([+−-]?(?:\d{{1,3}}(?:[{_SPACE}]\d{{3}})+(?:[.,]\d+)?|\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+−-]?\d+)?)"
_PATTERN = rf"^{_SIGN}\s*{_NUMBER}\s*([^\d\s.,;<>=~–—−-].*)?$"
_REMARKS = r"^(?:±|\+/-|\+-)\s*[\d.,]+(?:[eE][+−-]?\d+)?\s*|(?:^|\s)(?:\([^)]*\)|\[[^\]]*\])"
"""What may stand behind a number and says nothing of its size or unit: a spread, a remark in brackets."""
_POWER_OF_TEN = (
    r"^([<>=~≤≥+−-]*\s*[\d.,]*\d)\s*"
    r"(?:[x×*·⋅]\s*10(?:\^\(?([+−-]?\d{1,2})\)?|([+−-]\d{1,2}))|[eE]([+−-]\d{1,2}))($|[^\d.,].*)"
)
"""A number with a power of ten as it is printed: `1.2 × 10^-6`, `1.2x10-6`, `1.2 E-6`."""
_RAISED = "⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
_ANOTHER = r"^(?:to|bis|and|or|[x×*·/:])\s*\d|\s[–—−-]\s*\d|\p{L}[–—−-]\d+(?:[.,]\d+)*[\p{L}%]"
"""What follows the first number of a range or a product, with or without a unit of its own."""
_UNIT = r"^((?:\p{L}|[%°/]).*?)[\s.,;*†]*$"
_MORE_DIGITS = r"^[^\p{L}%°/].*\d"
"""Digits behind the number that are neither of its unit nor of a remark: `5٫25`, `3|6`, `2^8`."""
_DECIMAL_COMMA = r"^[+-]?(?:0?,|0\d*,|\d{4,},|\d+,(?:\d{1,2}|\d{4,})(?:[eE]|$)|\d{1,3}(?:\.\d{3})+,\d)"
_DECIMAL_POINT = r"^[+-]?(?:0?\.|0\d*\.|\d{4,}\.|\d+\.(?:\d{1,2}|\d{4,})(?:[eE]|$)|\d{1,3}(?:,\d{3})+\.\d)"
_THREE_AFTER_COMMA = r"^[+-]?[1-9]\d{0,2},\d{3}(?:[eE]|$)"
_THREE_AFTER_POINT = r"^[+-]?[1-9]\d{0,2}\.\d{3}(?:[eE]|$)"
_THOUSANDS = r"^[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,})(?:[eE]|$)"
_POINTED_THOUSANDS = r"^[+-]?\d{1,3}(?:(?:\.\d{3})+,\d+|(?:\.\d{3}){2,})(?:[eE]|$)"
_SIDES = {">": ABOVE, ">>": ABOVE, ">=": ABOVE, "≥": ABOVE, "⩾": ABOVE,
          "<": BELOW, "<<": BELOW, "<=": BELOW, "≤": BELOW, "⩽": BELOW}  # fmt: skip
_EXACTLY = "="
_VAGUE = ("~", "≈", "≃")


class Measured(NamedTuple):
    """A column of measurements, row by row."""

    values: pl.Series
    """Float64; null where unknown or unreadable."""
    sides: pl.Series
    """Int8: `ABOVE`, `EXACT` or `BELOW`; null with the value."""
    approximate: int
    """Values written with `~` or the like, taken as they stand."""
    units: pl.Series
    """String: the unit written behind each value; null where none is."""
    unreadable: pl.Series
    """Boolean: text that is no measurement (`not tested`), or no single one (`5-10`)."""
    ambiguous: tuple[str, ...] = ()
    """Values (`1,234`) whose comma may be a decimal sign or separate thousands, which nothing in the column shows."""


Decimal = Literal["", "comma", "point"]
"""The sign before decimals; empty where the column itself shows it."""


def read_measurements(
    column: pl.Series, relations: pl.Series | None = None, units: pl.Series | None = None, decimal: Decimal = ""
) -> Measured:
    """Reads numbers, or text with signs, separators of thousands and units; `relations` (`>`, `'='`) and `units` are
    columns of text that say of each value what its own cell does not.

    Of `3.0 ± 0.5` the value is 3.0, and its spread is left aside; a range (`5-10`) is unreadable. Of `1,234` the comma
    is a decimal sign where `decimal` says so, or the column holds a comma that cannot separate thousands (`1,5`,
    `0,244`); else it separates thousands, and is among the `ambiguous` unless the column writes decimal points."""
    name = column.name
    ambiguous: tuple[str, ...] = ()
    if column.dtype.is_numeric():
        parts = _of_numbers(column)
    else:
        parts, ambiguous = _of_text(column.cast(pl.String), decimal)
    for part, stated in (("sign", relations), ("unit", units)):
        if stated is not None:
            parts = parts.with_columns(pl.coalesce(part, _unquoted(stated)).alias(part))
    parts = parts.with_columns(
        pl.when(pl.col("value").is_not_null()).then(part)
        for part in (pl.col("sign").replace_strict(_SIDES, default=EXACT, return_dtype=pl.Int8).alias("side"), "unit")
    )
    read = parts.filter(pl.col("value").is_not_null())
    vague = read.filter(pl.col("sign").is_not_null() & ~pl.col("sign").is_in([*_SIDES, _EXACTLY])).height
    value, side, unit, unreadable = (parts[part].alias(name) for part in ("value", "side", "unit", "unreadable"))
    return Measured(value, side, vague, unit, unreadable, ambiguous)


def holds_relations(column: pl.Series) -> bool:
    """Whether a column holds relations (`>`, `'='`), as `read_measurements` takes them, and nothing else."""
    if column.dtype != pl.String:
        return False
    texts = _unquoted(column).drop_nulls()
    return len(texts) > 0 and texts.is_in([*_SIDES, _EXACTLY, *_VAGUE]).all()


def decimal_sign(column: pl.Series) -> Decimal:
    """The sign that a column of numbers as text writes before decimals; empty where it shows none, or both."""
    if column.dtype != pl.String:
        return ""
    numbers = column.str.strip_chars().str.extract(_PATTERN, 2).drop_nulls()
    if not len(numbers) or 2 * len(numbers) < len(column) - column.null_count():
        return ""
    comma, point = (bool(numbers.str.contains(one).any()) for one in (_DECIMAL_COMMA, _DECIMAL_POINT))
    return "" if comma == point else "comma" if comma else "point"


def with_decimal_points(column: pl.Series) -> pl.Series:
    """A column of text that is known to write decimal commas: in measurements they become points."""
    if not is_measured(column):
        return column
    number = column.str.strip_chars().str.extract(_PATTERN, 2)
    changed = number.str.contains(r"^[+−-]?\d+,\d+(?:[eE]|$)").fill_null(False)
    return column.str.replace(",", ".", literal=True).zip_with(changed, column)


def is_measured(column: pl.Series) -> bool:
    """Whether most of a column's texts are measurements and at least one says more than a number: such a column is a
    number with limits, not a set of classes."""
    if column.dtype != pl.String:
        return False
    read = read_measurements(column)
    known = column.drop_nulls().str.strip_chars()
    count = read.values.len() - read.values.null_count()
    return count > 0 and 2 * count >= known.len() and read.values.n_unique() > 2


def read_limits(column: pl.Series, unit: str = "") -> tuple[pl.Series, pl.Series] | None:
    """The numbers of a column of measurements some of which are limits (`>10`, `<0.1 mg/dL`), in one `unit` (see
    `units.in_one_unit`), and on which side of each the truth lies; None where no value is a limit."""
    read = read_measurements(column) if is_measured(column) else None
    if read is None or not (read.sides.fill_null(0) != 0).any():
        return None
    return in_one_unit(read.values, read.units, unit).values, read.sides


def _of_numbers(column: pl.Series) -> pl.DataFrame:
    """As `_of_text`."""
    values = column.cast(pl.Float64)
    values = values.set(~values.is_finite().fill_null(True), None)
    unreadable = values.is_null() & column.is_not_null()
    if column.dtype.is_float():
        unreadable &= ~column.is_nan().fill_null(False)
    nothing = pl.lit(None, pl.String)
    return pl.DataFrame({"value": values, "unreadable": unreadable}).with_columns(sign=nothing, unit=nothing)


def _of_text(column: pl.Series, decimal: Decimal) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The columns value, sign and unit of each cell, null where it has none, and unreadable; and the ambiguous."""
    text = _plainly(column.str.strip_chars()).replace("", None).rename("text")
    parts = text.to_frame().select(
        sign=pl.col("text").str.extract(_PATTERN, 1),
        number=pl.col("text").str.extract(_PATTERN, 2).str.replace_all("−", "-").str.replace_all(f"[{_SPACE}]", ""),
        tail=pl.col("text").str.extract(_PATTERN, 3).str.replace_all(_REMARKS, "").str.strip_chars(),
    )
    alone = ~parts["tail"].str.contains(f"{_ANOTHER}|{_MORE_DIGITS}").fill_null(False)
    numbers, ambiguous = _numbers(parts["number"], decimal)
    value = numbers.cast(pl.Float64, strict=False)
    value = value.set(~(value.is_finite() & alone).fill_null(False), None)
    parts = parts.select(
        "sign", unit=pl.col("tail").str.extract(_UNIT, 1), value=value, unreadable=text.is_not_null() & value.is_null()
    )
    return parts, ambiguous


def _plainly(text: pl.Series) -> pl.Series:
    """Texts with printed powers of ten as `1.2e-6`, and without the apostrophe by which spreadsheets mark text."""
    text = text.str.replace(r"^'([\d<>=~≤≥+−.-])", "$1")
    raised = text.str.contains(f"10[{_RAISED}]").fill_null(False)
    plain = text.str.replace(f"10([{_RAISED}])", "10^$1").str.replace_many(list(_RAISED), list("+-0123456789"))
    return plain.zip_with(raised, text).str.replace(_POWER_OF_TEN, "${1}e$2$3$4$5")


def _unquoted(column: pl.Series) -> pl.Series:
    return column.str.strip_chars(" '\"").replace("", None)


def _numbers(column: pl.Series, decimal: Decimal) -> tuple[pl.Series, tuple[str, ...]]:
    """Numbers with decimal points and without separators of thousands, and those of which it is not known which sign
    is which."""
    comma, point = (bool(column.str.contains(one).any()) for one in (_DECIMAL_COMMA, _DECIMAL_POINT))
    number, never = pl.col("number"), pl.lit(False)
    after_comma, after_point = number.str.contains(_THREE_AFTER_COMMA), number.str.contains(_THREE_AFTER_POINT)
    point |= bool(column.str.contains(_THOUSANDS).any())
    decimal_comma, decimal_point = decimal == "comma" or comma, decimal == "point" or point
    # Three digits behind a comma are thousands unless commas are decimal signs here; behind a point they are decimals
    # unless commas are and points are not.
    thousands = number.str.contains(_THOUSANDS) | (never if decimal_comma else after_comma)
    pointed = number.str.contains(_POINTED_THOUSANDS)
    pointed |= after_point if decimal_comma and not decimal_point else never
    known = decimal_comma != decimal_point
    open_ = column.clear() if known else column.filter(column.str.contains(_THREE_AFTER_COMMA).fill_null(False))
    numbers = column.to_frame("number").select(
        pl.when(thousands)
        .then(number.str.replace_all(",", "", literal=True))
        .when(pointed)
        .then(number.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True))
        .otherwise(number.str.replace(",", ".", literal=True))
    )["number"]
    return numbers, tuple(open_)
