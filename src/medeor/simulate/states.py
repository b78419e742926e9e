"""A table of cases in the states in which a study can be met: what the conformance suite (`medeor.testing`) asks of the
example of each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl

State = Literal["whole", "missing targets", "one class", "no cases", "broken case"]


def in_state(
    table: pl.DataFrame, state: State, targets: Sequence[str], broken: Mapping[str, object] | None = None
) -> pl.DataFrame:
    """The whole table of an example as it is in this state: every third answer to each question is missing, all
    answers to the first question are that of the first row, there are no rows, or the first row holds `broken`, the
    values by column of a case that cannot be read."""
    row = pl.int_range(pl.len())
    if state == "missing targets":
        places = enumerate(targets)
        return table.with_columns(
            pl.when(row % 3 != place % 3).then(pl.col(name)).alias(name) for place, name in places
        )
    if state == "one class":
        return table.with_columns(pl.col(name).first() for name in targets[:1])
    if state == "no cases":
        return table.clear()
    if state == "broken case":
        spoilt = (broken or {}).items()
        return table.with_columns(
            pl.when(row > 0).then(pl.col(name)).otherwise(pl.lit(to)).alias(name) for name, to in spoilt
        )
    return table
