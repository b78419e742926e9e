"""Units as laboratories write them (`nM`, `µg/mL`, `mL.min-1.kg-1`), and columns of values in several of them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

import polars as pl

_SCALES = {
    "amount": {"mol": "1", "mmol": "1e-3", "umol": "1e-6", "nmol": "1e-9", "pmol": "1e-12", "fmol": "1e-15"},
    "mass": {"kg": "1e3", "g": "1", "mg": "1e-3", "ug": "1e-6", "mcg": "1e-6", "ng": "1e-9", "pg": "1e-12"},
    "volume": {"L": "1", "dL": "1e-1", "mL": "1e-3", "uL": "1e-6", "nL": "1e-9"},
    "length": {"m": "1", "cm": "1e-2", "mm": "1e-3", "um": "1e-6", "nm": "1e-9"},
    "time": {"s": "1", "sec": "1", "min": "60", "mins": "60", "minutes": "60", "h": "3600", "hr": "3600",
             "hrs": "3600", "hours": "3600", "d": "86400", "day": "86400", "days": "86400"},
    "energy": {"kJ": "1", "kcal": "4.184"},
    "share": {"fraction": "1", "%": "1e-2"},
    "amount/volume": {"M": "1", "mM": "1e-3", "uM": "1e-6", "nM": "1e-9", "pM": "1e-12", "fM": "1e-15"},
    "number": {"1": "1"},
}  # fmt: skip
_WORDS = {
    "molar": "M", "millimolar": "mM", "micromolar": "uM", "nanomolar": "nM", "picomolar": "pM", "percent": "%",
    "percentage": "%", "prozent": "%", "pct": "%", "hour": "h", "minute": "min", "minuten": "min", "stunden": "h",
    "second": "s", "seconds": "s", "sekunden": "s", "tage": "d", "moles": "mol", "mols": "mol", "liter": "L",
    "litre": "L", "liters": "L", "litres": "L", "gram": "g", "grams": "g", "microgram": "ug", "micrograms": "ug",
    "milligram": "mg", "milligrams": "mg", "nanogram": "ng", "nanograms": "ng", "kilogram": "kg", "lit": "L",
    "摩尔": "mol", "毫摩尔": "mmol", "微摩尔": "umol", "纳摩尔": "nmol", "皮摩尔": "pmol", "升": "L", "毫升": "mL",
    "微升": "uL", "克": "g", "毫克": "mg", "微克": "ug", "纳克": "ng", "千克": "kg", "公斤": "kg", "小时": "h",
    "分钟": "min", "分": "min", "秒": "s", "天": "d", "百分比": "%", "厘米": "cm",
}  # fmt: skip
"""Units that are written out, in lower case."""
_SIGNED = ("energy", "share", "number")
"""What a number may be of that is 0 or below (a free energy), or has an upper end (a share)."""
_KNOWN = {unit: (Fraction(scale), family) for family, units in _SCALES.items() for unit, scale in units.items()}
_ANY_CASE = {low: found[0] for low in {unit.lower() for unit in _KNOWN}
             if len(found := [unit for unit in _KNOWN if unit.lower() == low]) == 1}  # fmt: skip
_TEN = re.compile(r"^[x×*·]?(?:10(?:\^\(?([+-]?\d{1,2})\)?|([+-]\d{1,2}))|10?[eE]([+-]?\d{1,2}))[x×*·]?(?=[^\W\d]|%)")
"""A power of ten before a unit, without blanks: of `10^-6 cm/s` and `x1E-6cm/s`."""
_POWER = re.compile(r"[\s.·*]+([^\s.·*/]+?)\^?-1(?=$|[\s.·*/])")
_PLAIN = str.maketrans("µμ％（）／⁻−–⁰¹²³⁴⁵⁶⁷⁸⁹", "uu%()/---0123456789")


class OneUnit(NamedTuple):
    """A column of values that are in one unit, as far as their units are known."""

    values: pl.Series
    unit: str
    """Empty where none is known."""
    converted: tuple[tuple[str, int], ...]
    """Units that were converted, each with its number of values."""
    foreign: tuple[tuple[str, int], ...]
    """Units that are no known multiples of `unit`, each with its number of values, which stand as they were written."""
    bare: int
    """Values without a unit, taken to be in `unit`."""


def plain_unit(text: str) -> str:
    """A unit with `u` for the micro sign, whichever of the two it was, and plain digits for raised ones."""
    return text.strip().translate(_PLAIN)


def is_positive(unit: str) -> bool:
    """Whether a number in this unit is above 0 by its nature: a concentration, a clearance, a time, and no energy."""
    found = _meaning(unit)
    return found is not None and found[1] not in _SIGNED


def usual_unit(text: str) -> str:
    """A unit as it is usually written: by its sign where it is written out (`nanomolar`, `微克/毫升`)."""
    plain = re.sub(r"\s+(?:per|pro|je)\s+", "/", plain_unit(text), flags=re.IGNORECASE)
    return "/".join(_WORDS.get(part.strip().lower(), part.strip()) for part in plain.split("/"))


def is_unit(text: str) -> bool:
    """Whether a text is a unit whose size is known."""
    return _meaning(text) is not None


def factor(unit: str, into: str) -> Fraction | None:
    """What a value in `unit` has to be multiplied by to be in `into`; None where they are not known multiples."""
    if plain_unit(unit) == plain_unit(into):
        return Fraction(1)
    one, other = _meaning(unit), _meaning(into)
    return one[0] / other[0] if one and other and one[1:] == other[1:] else None


def in_one_unit(values: pl.Series, units: pl.Series, wanted: str = "") -> OneUnit:
    """Values (Float64) written in `units` (String, null where none is), all in the unit `wanted`, or where that is
    empty, in the one that most are written in."""
    known = len(values) - values.null_count()
    if units.null_count() == len(units):
        return OneUnit(values, wanted, (), (), known)
    names = {unit: usual_unit(unit) for unit in units.drop_nulls().unique()}
    written = units.replace_strict(names, return_dtype=pl.String).set(values.is_null(), None).rename("unit")
    counted = written.drop_nulls().value_counts().sort("count", "unit", descending=[True, False])
    counts = dict(counted.iter_rows())
    common = next((unit for unit, count in counts.items() if is_unit(unit) or 2 * count >= known), "")
    unit = wanted or common
    factors = {one: factor(one, unit) for one in counts}
    sizes = {one: size for one, size in factors.items() if size is not None}
    above, below = (
        written.replace_strict({one: part(size) for one, size in sizes.items()}, default=1.0, return_dtype=pl.Float64)
        for part in (lambda size: float(size.numerator), lambda size: float(size.denominator))
    )
    return OneUnit(
        (values * above / below).alias(values.name),
        unit,
        tuple((one, counts[one]) for one, size in sizes.items() if size != 1),
        tuple((one, counts[one]) for one, size in factors.items() if size is None),
        known - sum(counts.values()),
    )


def _meaning(text: str) -> tuple[Fraction, str, tuple[str, ...]] | None:
    """The size of a unit, of what it is (`mass`), and per what; None where the first is not known. What it is per
    (`10^6 cells`) need not be known: it is then itself."""
    plain = re.sub(r"\s+(?:per|pro|je)\s+", "/", plain_unit(text), flags=re.IGNORECASE)
    plain = re.sub(r"\s", "", _POWER.sub(r"/\1", plain))
    times = _TEN.match(plain)
    first, *rest = plain[times.end() if times else 0 :].split("/")
    found = _known(first.strip("()"))
    if found is None:
        return None
    scale, family = found
    scale *= Fraction(10) ** int(times[1] or times[2] or times[3]) if times else 1
    family, *per = family.split("/")
    for part in rest:
        name = part.strip("()")
        size, known = _known(name) or (Fraction(1), name)
        scale /= size
        per.append(known)
    return scale, family, tuple(sorted(per))


def _known(name: str) -> tuple[Fraction, str] | None:
    name = _WORDS.get(name.lower(), name)
    return _KNOWN.get(name) or _KNOWN.get(_ANY_CASE.get(name.lower(), ""))
