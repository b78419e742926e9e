"""What all targets have in common whose answer is no class but a quantity, which may be censored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from medeor.contracts import Finding, Target, Text
from medeor.statistics.scores import Array
from medeor.targets.common.kind import Cells


@dataclass(frozen=True)
class Quantity:
    """See `TargetKind`."""

    target: Target

    columns: ClassVar[int] = 2
    margins: ClassVar[int] = 1
    sums_to_one: ClassVar[bool] = True
    classes: ClassVar[tuple[Text, ...]] = ()
    words: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[Text] = ""

    @property
    def by_own_name(self) -> Target:
        return self.target

    def class_name(self, index: int) -> str:
        return self.target.name

    def read(self, cells: Cells) -> tuple[pl.Series, tuple[Finding, ...]]:
        return cells.numbers()

    def learned(self, values: Array) -> Array:
        return values

    def stated(self, values: Array) -> Array:
        return values

    def sets(self, plausible: Array | None) -> Array | None:
        return None
