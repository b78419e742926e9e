"""Cases that are there twice: within a part, across parts, and which of them yields.

Tables have the part of each case in `in_part` (see `checks.divided`), and copies have equal values in `key`."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

YIELDS = {"train": 0, "validation": 1, "test": 2}
"""Of two copies, the one in the lesser part goes: the part that is scored last stays as it is."""


def within_parts(table: pl.DataFrame, key: str) -> pl.DataFrame:
    """The cases that have a copy in their own part, copies one after another."""
    return table.filter(pl.struct(key, "in_part").is_duplicated()).sort(key, maintain_order=True)


def across_parts(table: pl.DataFrame, key: str) -> pl.DataFrame:
    """The cases that have a copy in another part, copies one after another."""
    return table.filter(pl.col("in_part").n_unique().over(key) > 1).sort(key, maintain_order=True)


def rank() -> pl.Expr:
    """The place of each case's part in `YIELDS`; -1 for none."""
    return pl.col("in_part").replace_strict(YIELDS, default=-1, return_dtype=pl.Int8)


def yielding(table: pl.DataFrame, key: str | Sequence[str]) -> pl.Series:
    """Which rows go so that no copies are left, shape (n,): of each, that of the greatest part stays, of these the
    first."""
    rows = table.select(copy=pl.struct(key), rank=rank()).with_row_index("row")
    rows = rows.sort("rank", "row", descending=[True, False])
    return rows.select("row", goes=~pl.col("copy").is_first_distinct()).sort("row")["goes"]
