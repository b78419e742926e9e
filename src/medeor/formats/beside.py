"""Columns that say of the measurements in another one on which side the truth lies (`standard_relation`) and in which
unit they are (`standard_units`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from medeor.formats.measurements import holds_relations
from medeor.formats.units import is_unit

_RELATION = ("relation", "operator", "qualifier", "modifier")
_UNIT = ("units", "unit")


class Beside(NamedTuple):
    """The names of the columns that speak of one target; empty where there is none."""

    relations: str = ""
    units: str = ""


def is_beside(column: pl.Series, names: list[str]) -> bool:
    """Whether a column is named after another of `names`, or in general, as one that says a relation or a unit, and
    holds such."""
    subjects = {_plain(name) for name in names if name != column.name} | {"", "standard"}
    stems = {stem for name in subjects for stem in (name, _stem(name))}
    for words, holds in ((_RELATION, holds_relations), (_UNIT, _holds_units)):
        if holds(column) and _plain(column.name) in {f"{stem}_{word}".strip("_") for stem in stems for word in words}:
            return True
    return False


def beside(facts: pl.DataFrame, target: str, alone: bool) -> Beside:
    """The columns that say relation and unit of a target: those that are named after it (`IC50_relation`, and
    `standard_relation` of `standard_value`), else, where it is the only one measured (`alone`), those of a general
    name, unless that is another column's (`standard_units`, where there is a `standard_value`)."""
    found = {_plain(name): name for name in reversed(facts.columns) if name != target}
    own = _plain(target)
    stems = dict.fromkeys(stem for stem in (own, _stem(own)) if stem)
    if alone:
        others = {_stem(name) for name in found if name == "value" or name.endswith("_value")}
        stems |= dict.fromkeys(stem for stem in ("standard", "") if stem not in others)

    def first(words: tuple[str, ...], holds: Callable[[pl.Series], bool]) -> str:
        names = (found.get(f"{stem}_{word}".strip("_"), "") for stem in stems for word in words)
        return next((name for name in names if name and holds(facts[name])), "")

    return Beside(first(_RELATION, holds_relations), first(_UNIT, _holds_units))


def _holds_units(column: pl.Series) -> bool:
    return column.dtype == pl.String and any(is_unit(text) for text in column.drop_nulls().unique())


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.strip().lower()).strip("_")


def _stem(name: str) -> str:
    """A column's name without the word value or its unit: of `standard_value` `standard`, of `ic50_nm` `ic50`."""
    rest, _, last = name.rpartition("_")
    return rest if last in ("value", "values") or is_unit(last) else name
