"""Whether a comma or a point before three digits is a decimal sign or separates thousands."""

from __future__ import annotations

import numpy as np
import polars as pl

from medeor.contracts import Finding, Message, UserError
from medeor.formats.values.headings import read_heading
from medeor.formats.values.measured.measurements import Decimal, Measured, decimal_sign, read_measurements
from medeor.molecules.read.endpoints import Endpoint, in_unit

_SIGNS: tuple[Decimal, ...] = ("", "comma", "point")
_FITS = 0.9
"""Share of values that have to be plausible, read in one way and not in the other, to settle what commas mean."""


def measured_numbers(
    facts: pl.DataFrame,
    name: str,
    sources: tuple[pl.Series | None, pl.Series | None],
    endpoint: Endpoint | None,
    asked: str,
    usual: Decimal,
) -> tuple[Measured, list[Finding]]:
    """The column as numbers. Where it leaves open whether a comma or a point before three digits is a decimal sign,
    the plausible range of its endpoint decides, else the file's other columns (`usual`), else the user; where none
    does, commas separate thousands, and a finding asks."""
    column = facts[name]
    if asked not in ("", "comma", "point"):
        raise UserError("molecules.option.choice", key="decimal", value=asked, allowed=_SIGNS[1:])
    read, comma, point = (read_measurements(column, *sources, one) for one in _SIGNS)
    if comma.values.equals(point.values) or (not asked and not read.ambiguous and decimal_sign(column)):
        return read, []
    others = {decimal_sign(facts[other]) for other in facts.columns if other != name} | {usual}
    fits = [_plausible(one.values, endpoint, name) for one in (comma, point)]
    if asked:
        sign, because = asked, "asked"
    elif max(fits) >= _FITS > min(fits):
        sign, because = ("comma" if fits[0] > fits[1] else "point"), "plausible"
    elif len(others - {""}) == 1:
        (sign,), because = others - {""}, "others"
    elif read.ambiguous:
        count, example = len(read.ambiguous), read.ambiguous[0]
        text = Message("molecules.decimal.open", name=name, count=count, example=example)
        return read, [Finding("decimal-commas", "quality", "fail", text)]
    else:
        return read, []
    row = int((comma.values != point.values).fill_null(False).arg_max() or 0)
    taken = comma if sign == "comma" else point
    text = Message(f"molecules.decimal.{because}", text=column[row], name=name, value=taken.values[row])
    return taken, [Finding("decimal-commas", "quality", "pass", text)]


def _plausible(values: pl.Series, endpoint: Endpoint | None, name: str) -> float:
    """The share of values that may be what the column measures; -1 where anything may."""
    low, high = -np.inf, np.inf
    heading = read_heading(name)
    if endpoint is not None and (own := in_unit(endpoint, heading.measured_in)) is not None:
        low, high = own.low, own.high
    elif heading.logarithm:
        low, high = -20.0, 20.0
    elif heading.unit == "%":
        low, high = -100.0, 300.0
    known = values.drop_nulls()
    if not np.isfinite(high) or not len(known):
        return -1.0
    return float(((known >= low) & (known <= high)).mean() or 0.0)  # type: ignore[arg-type]
