"""How a check of an audit ends."""

from __future__ import annotations

from typing import Literal

import polars as pl

from medeor.contracts import Cases, Finding, Split, Text

Kind = Literal["leakage", "quality", "shortcut", "labels", "identifiers"]


def found(check: str, kind: Kind, concerned: pl.Series | pl.DataFrame, bad: Text, good: Text) -> Finding:
    """A check that fails where it concerns any case: their ids, or rows of the case table."""
    ids = concerned["case_id"] if isinstance(concerned, pl.DataFrame) else concerned
    cases = tuple(ids.cast(pl.String))
    return Finding(check, kind, "fail" if cases else "pass", bad if cases else good, cases)


def such_as(concerned: pl.DataFrame, column: str) -> str:
    """The first of them, as the end of a sentence; empty where there is none."""
    return f", such as {concerned[column][0]}" if concerned.height else ""


def divided(cases: Cases, split: Split | None) -> pl.DataFrame:
    """The case table with the part of each case in `in_part`: by the split, else by the column `part`; null where there
    is neither."""
    if split is None:
        part = pl.col("part") if "part" in cases.table.columns else pl.lit(None, pl.String)
        return cases.table.with_columns(part.alias("in_part"))
    parts = split.table.select("case_id", pl.col("part").alias("in_part"))
    return cases.table.join(parts, on="case_id", how="left", maintain_order="left")
