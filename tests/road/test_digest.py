"""A table is known by its columns: their names, types, values and order, and nothing else."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from medeor.road.walk.reading import table_digest

TABLE = pl.DataFrame(
    {
        "text": ["x", None, "yz", ""],
        "number": [1.5, None, float("nan"), 0.0],
        "whole": [1, 2, None, 0],
        "known": [True, None, False, True],
        "class": pl.Series(["u", "v", None, "u"], dtype=pl.Categorical),
        "day": [dt.date(2020, 1, 1), None, dt.date(2021, 1, 1), dt.date(2020, 1, 1)],
        "amount": pl.Series(["1.5", "2", None, "3"]).cast(pl.Decimal(10, 2)),
        "images": [["a"], [], None, ["b", "c"]],
        "empty": [None] * 4,
    }
)


def test_chunks_and_slices_do_not_count() -> None:
    expected = table_digest(TABLE)
    assert table_digest(pl.concat([TABLE[:1], TABLE[1:]], rechunk=False)) == expected
    assert table_digest(pl.concat([TABLE, TABLE])[4:]) == expected
    # What lies below a null is not seen.
    hidden = pl.when(pl.col("whole").is_not_null()).then(pl.col("whole").fill_null(7))
    assert table_digest(TABLE.with_columns(whole=hidden)) == expected


@pytest.mark.parametrize(
    "other",
    [
        TABLE.rename({"text": "words"}),
        TABLE[::-1],
        TABLE[:3],
        TABLE.select(TABLE.columns[::-1]),
        TABLE.with_columns(pl.col("number").fill_nan(None)),
        TABLE.with_columns(pl.col("whole").fill_null(0)),
        TABLE.with_columns(pl.col("whole").cast(pl.Int32)),
        TABLE.with_columns(text=pl.Series(["xy", None, "z", ""])),
        TABLE.with_columns(text=pl.Series(["x", "", "yz", None])),
        TABLE.with_columns(images=pl.Series([["a"], None, [], ["b", "c"]])),
    ],
)
def test_any_other_table_has_another_digest(other: pl.DataFrame) -> None:
    assert table_digest(other) != table_digest(TABLE)
