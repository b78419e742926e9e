"""What kinds of target have in common, and those whose answer is a quantity, which may be censored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from medeor.contracts import Finding, Target, Text
from medeor.statistics.scores import Array
from medeor.statistics.statistic import Statistic
from medeor.targets.common.kind import Cells


def weighted(values: Array, weights: Array) -> Array:
    """The weighted sum of the parts of `values`, shape (parts, ...): one after another, as a product of matrices rounds
    differently by how many cases it is given."""
    total = weights[0] * values[0]
    for weight, part in zip(weights[1:], values[1:], strict=True):
        total = total + weight * part
    return total


@dataclass(frozen=True)
class Base:
    """See `TargetKind`: what holds of a kind that does not say otherwise."""

    target: Target

    STATISTICS: ClassVar[tuple[Statistic, ...]] = ()
    comparable: ClassVar[bool] = True

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        return self.STATISTICS

    @property
    def by_own_name(self) -> Target:
        return self.target

    @property
    def positive(self) -> Text:
        return ""

    @property
    def logarithmic(self) -> bool:
        return False

    def written(self, columns: Sequence[str]) -> pl.Expr:
        return pl.col(self.target.name)

    def scored(self, truth: Array) -> Array:
        return np.asarray(~np.isnan(truth[:, 0]))

    def learned(self, values: Array) -> Array:
        return values

    def stated(self, values: Array) -> Array:
        return values


@dataclass(frozen=True)
class Quantity(Base):
    """The answer is no class."""

    columns: ClassVar[int] = 2
    margins: ClassVar[int] = 1
    sums_to_one: ClassVar[bool] = True
    classes: ClassVar[tuple[Text, ...]] = ()
    words: ClassVar[tuple[str, ...]] = ()

    def class_name(self, index: int) -> str:
        return self.target.name

    def read(self, cells: Cells) -> tuple[pl.Series, tuple[Finding, ...]]:
        return cells.numbers()

    def sets(self, plausible: Array | None) -> Array | None:
        return None
