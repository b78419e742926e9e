"""Rows of a plain table as numbers for trees and networks: what is fitted of each column on training rows, and the
methods that learn from columns. The same for tables, and for whatever else is laid out as one row a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from medeor.contracts import Cases, Fitted, Inputs, Run, Split, UserError
from medeor.formats.values.columns import ColumnKind, as_days, as_levels, as_numbers
from medeor.formats.values.missing import without_missing_numbers
from medeor.learning.saved import AsJson
from medeor.learning.trees.method import Boosting, TreeMethod
from medeor.settings import build

RAREST = 5
"""Training rows that a category needs to count as one of its own."""
MOST_LEVELS = 64
"""Categories of a column that a network distinguishes, the commonest; trees distinguish all."""
MOST_INPUTS = 4096
"""Inputs of a network up to which numbers are laid out in several pieces."""
_FARTHEST = 4.0
"""Standard deviations beyond which a network is not shown how far a number lies."""


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers or days, as the training rows have it."""

    name: str
    kind: ColumnKind
    unit: str = ""
    codes: tuple[float, ...] = ()
    """Numbers that stand for none, such as -999."""
    median: float = 0.0
    mean: float = 0.0
    deviation: Annotated[float, Field(gt=0)] = 1.0
    edges: tuple[float, ...] = ()
    """Ascending quantiles between which a network is shown where a number lies."""
    missing: bool = False
    """Whether some training row lacks it."""

    def values(self, table: pl.DataFrame) -> np.ndarray:
        """Shape (rows,), float64; NaN where missing."""
        values, _ = _floats(_column(table, self.name), self.kind, self.unit)
        return np.where(np.isin(values, self.codes), np.nan, values) if self.codes else values

    @property
    def width(self) -> int:
        return max(1, len(self.edges)) + self.missing

    def inputs(self, values: np.ndarray) -> np.ndarray:
        """What a network is shown, shape (rows, width), NaN where missing: the standardised number, then for each
        interval between edges how much of it lies below the number (piecewise linear encoding; Gorishniy, Rubachev
        and Babenko 2022, https://arxiv.org/abs/2203.05556), then whether it is missing."""
        standard = ((values - self.mean) / self.deviation).clip(-_FARTHEST, _FARTHEST)
        low, high = np.array(self.edges[:-1]), np.array(self.edges[1:])
        pieces = ((values[:, None] - low) / (high - low)).clip(0, 1)
        flag = np.isnan(values)[:, None] if self.missing else np.empty((len(values), 0))
        return np.concatenate([standard[:, None], pieces, flag], axis=1)


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories, as the training rows have it."""

    name: str
    levels: tuple[str, ...] = ()
    """Those that at least `RAREST` training rows have, the commonest first."""
    rare: bool = False
    """Whether some training row has another."""
    missing: bool = False

    def values(self, table: pl.DataFrame) -> np.ndarray:
        """The place of each row's category among the levels, as many as there are for one that is rare or new, shape
        (rows,), float64; NaN where missing."""
        levels = as_levels(_column(table, self.name))
        places = dict(zip(self.levels, range(len(self.levels))))
        found = levels.replace_strict(places, default=len(places), return_dtype=pl.Float64)
        return found.set(levels.is_null(), None).fill_null(np.nan).to_numpy()

    @property
    def median(self) -> float:
        """The commonest."""
        return 0.0

    @property
    def others(self) -> bool:
        """Whether the last input for a level stands for all the rest."""
        return self.rare or len(self.levels) > MOST_LEVELS

    @property
    def width(self) -> int:
        return min(len(self.levels), MOST_LEVELS) + self.others + self.missing

    def inputs(self, values: np.ndarray) -> np.ndarray:
        """As of `NumberColumn`: one number a level, 1 for the row's own; NaN where missing or new."""
        levels = self.width - self.missing
        places = np.minimum(values, levels - 1) if self.others else values
        one_hot = (places[:, None] == np.arange(levels)).astype(float)
        one_hot[~(places < levels)] = np.nan
        flag = np.isnan(values)[:, None] if self.missing else np.empty((len(values), 0))
        return np.concatenate([one_hot, flag], axis=1)


@dataclass(frozen=True)
class TableFeatures(AsJson):
    """The columns of a table, fitted on training rows: a table of numbers for boosted trees (`trees.method.Features`)
    and, with one or more inputs a column, for networks."""

    numbers: tuple[NumberColumn, ...]
    categories: tuple[CategoryColumn, ...]
    means: tuple[float, ...]
    """Of each input of a network over the training rows; what is missing lies there."""
    kind: str = "table-features"

    @classmethod
    def of(cls, cases: Cases, columns: Mapping[str, ColumnKind], pieces: int = 1) -> TableFeatures:
        """Fitted on these cases. `columns`: what each is read as; `pieces`: into how many a number is laid out for a
        network."""
        table, kinds = cases.table, columns.items()
        pieces = max(1, min(pieces, MOST_INPUTS // max(1, len(columns))))
        numbers = tuple(_number(table, name, kind, pieces) for name, kind in kinds if kind != "category")
        categories = tuple(_category(table, name) for name, kind in kinds if kind == "category")
        laid_out = cls(numbers, categories, ())._laid_out(table)
        known = ~np.isnan(laid_out)
        means = np.where(known, laid_out, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return cls(numbers, categories, tuple(means.tolist()))

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> TableFeatures:
        """Raises: UserError where the values describe no columns."""
        made = build(cls, values, "model.json")
        if len(made.means) != sum(column.width for column in made.columns):
            raise UserError("files.damaged.at", path="model.json", detail="means")
        return made

    @property
    def columns(self) -> Sequence[NumberColumn | CategoryColumn]:
        return (*self.numbers, *self.categories)

    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def table(self, cases: Cases) -> np.ndarray:
        """Shape (cases, columns), float32, NaN where missing: numbers less their median and places of categories, the
        commonest first, so that a column of which nothing is known, which trees without missing training values take
        for 0, counts as what is usual."""
        rows = [column.values(cases.table) - column.median for column in self.columns]
        return np.stack(rows, axis=1).astype(np.float32) if rows else np.empty((len(cases), 0), np.float32)

    def inputs(self, cases: Cases) -> np.ndarray:
        """What a network is shown, shape (cases, inputs), float32: less the mean of the training rows, 0 where missing
        or new."""
        return np.nan_to_num(self._laid_out(cases.table) - np.array(self.means)).astype(np.float32)

    @cached_property
    def owner(self) -> np.ndarray:
        """The column of each input of a network, shape (inputs,)."""
        return np.repeat(np.arange(len(self.columns)), [column.width for column in self.columns])

    def _laid_out(self, table: pl.DataFrame) -> np.ndarray:
        parts = [column.inputs(column.values(table)) for column in self.columns]
        return np.concatenate(parts, axis=1) if parts else np.empty((table.height, 0))


@dataclass(frozen=True)
class TableTrees:
    """Boosted trees on the columns of a table, which are fitted on the same rows."""

    columns: Mapping[str, ColumnKind]
    boosting: Boosting

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        features = TableFeatures.of(split.part(cases, "train"), self.columns)
        return TreeMethod(features, self.boosting).fit(cases, split, inputs, run)


def _number(table: pl.DataFrame, name: str, kind: ColumnKind, pieces: int) -> NumberColumn:
    values, unit = _floats(_column(table, name), kind, "")
    # Codes are whole numbers, below zero or of nines; most columns have none, which is seen at once.
    suspects = (values == np.round(values)) & ((values < 0) | (values >= 9))
    coded = without_missing_numbers(pl.Series(values)).codes if suspects.any() else {}
    codes = tuple(float(code) for code in coded)
    known = values[~np.isnan(values) & ~np.isin(values, codes)]
    missing = len(known) < table.height
    if not len(known):
        return NumberColumn(name, kind, unit, codes, missing=missing)
    distinct = np.unique(known)
    edges = np.quantile(known, (np.arange(pieces + 1) + 0.5) / (pieces + 1))
    edges = distinct if len(distinct) <= pieces + 1 else np.unique(edges)
    median, mean, deviation = float(np.median(known)), float(known.mean()), float(known.std()) or 1.0
    edges = tuple(edges.tolist()) if pieces > 1 else ()
    return NumberColumn(name, kind, unit, codes, median, mean, deviation, edges, missing)


def _floats(column: pl.Series, kind: ColumnKind, unit: str) -> tuple[np.ndarray, str]:
    """A column of numbers or days, NaN where missing, and the unit that it is in."""
    if kind == "date":
        return as_days(column).fill_null(np.nan).to_numpy(), ""
    if column.dtype.is_numeric():
        values = column.cast(pl.Float64).to_numpy()
        return np.where(np.isfinite(values), values, np.nan), unit
    read = as_numbers(column, unit)
    return read.values.fill_null(np.nan).to_numpy(), read.unit


def _category(table: pl.DataFrame, name: str) -> CategoryColumn:
    levels = as_levels(_column(table, name))
    counts = levels.drop_nulls().rename("level").value_counts().sort(["count", "level"], descending=[True, False])
    common = counts.filter(pl.col("count") >= RAREST)["level"].to_list()
    return CategoryColumn(name, tuple(common), len(common) < counts.height, levels.null_count() > 0)


def _column(table: pl.DataFrame, name: str) -> pl.Series:
    # To ask for all names takes time that grows with their number, for every column again.
    found = table.get_column(name, default=None)
    if found is None:
        raise UserError("learning.tables.no-column", name=name)
    return found
