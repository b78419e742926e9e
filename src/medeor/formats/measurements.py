"""Measured values as laboratories write them: `>10`, `< 0.1 µM`, `~5`, `1,200`: a number, on which side of it the truth
lies, and a unit."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

ABOVE, EXACT, BELOW = 1, 0, -1
"""Where the true value lies, seen from the number that was written: above it for `>10`, below it for `<0.1`."""

_SIGN = r"(<=|>=|<<|>>|<|>|≤|≥|⩽|⩾|=|~|≈|≃|±|ca\.?|approx\.?)?"
_NUMBER = r"([+−-]?(?:\d+(?:[.,]\d+)*|\.\d+)(?:[eE][+−-]?\d+)?)"
_PATTERN = rf"^{_SIGN}\s*{_NUMBER}\s*(%|[^\d\s.,;<>=~].*)?$"
_SIDES = {">": ABOVE, ">>": ABOVE, ">=": ABOVE, "≥": ABOVE, "⩾": ABOVE,
          "<": BELOW, "<<": BELOW, "<=": BELOW, "≤": BELOW, "⩽": BELOW}  # fmt: skip
_EXACTLY = "="


class Measured(NamedTuple):
    """A column of measurements, row by row."""

    values: pl.Series
    """Float64; null where unknown or unreadable."""
    sides: pl.Series
    """Int8: `ABOVE`, `EXACT` or `BELOW`; null with the value."""
    approximate: int
    """Values written with `~` or the like, taken as they stand."""
    units: tuple[str, ...]
    """Units written beside the values, the commonest first."""
    unreadable: pl.Series
    """Boolean: text that is no measurement (`not tested`)."""


def read_measurements(column: pl.Series) -> Measured:
    """Reads numbers, or text with signs, thousands separators and units. Of `1,234` the comma counts as a separator of
    thousands, of `1,5` as a decimal sign."""
    if column.dtype.is_numeric():
        values = column.cast(pl.Float64)
        values = values.set(~values.is_finite().fill_null(True), None)
        exact = values.is_not_null().replace_strict(True, EXACT, default=None, return_dtype=pl.Int8)
        unreadable = values.is_null() & column.is_not_null()
        if column.dtype.is_float():
            unreadable &= ~column.is_nan().fill_null(False)
        return Measured(values, exact, 0, (), unreadable)
    text = column.cast(pl.String).str.strip_chars().replace("", None).rename("text")
    parts = text.to_frame().select(
        sign=pl.col("text").str.extract(_PATTERN, 1),
        number=pl.col("text").str.extract(_PATTERN, 2).str.replace_all("−", "-"),
        unit=pl.col("text").str.extract(_PATTERN, 3).str.strip_chars(),
    )
    number = pl.col("number")
    thousands = number.str.contains(r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?([eE]|$)")
    plain = pl.when(thousands).then(number.str.replace_all(",", "")).otherwise(number.str.replace(",", "."))
    parts = parts.with_columns(
        value=plain.cast(pl.Float64, strict=False),
        side=pl.col("sign").replace_strict(_SIDES, default=EXACT, return_dtype=pl.Int8),
    ).with_columns(pl.when(pl.col("value").is_finite()).then("value"))
    parts = parts.with_columns(pl.when(pl.col("value").is_not_null()).then("side").alias("side"))
    read = parts.filter(pl.col("value").is_not_null())
    vague = read.filter(pl.col("sign").is_not_null() & ~pl.col("sign").is_in([*_SIDES, _EXACTLY])).height
    units = read["unit"].drop_nulls().value_counts(sort=True)["unit"].to_list()
    unreadable = text.is_not_null() & parts["value"].is_null()
    name = column.name
    return Measured(parts["value"].alias(name), parts["side"].alias(name), vague, tuple(units), unreadable.alias(name))


def is_measured(column: pl.Series) -> bool:
    """Whether most of a column's texts are measurements and at least one says more than a number: such a column is a
    number with limits, not a set of classes."""
    if column.dtype != pl.String:
        return False
    read = read_measurements(column)
    known = column.drop_nulls().str.strip_chars()
    count = read.values.len() - read.values.null_count()
    return count > 0 and 2 * count >= known.len() and read.values.n_unique() > 2
