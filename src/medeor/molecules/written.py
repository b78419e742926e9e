"""Predictions of compounds as a file that chemistry programs open."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from medeor.formats.molecules import write_sdf


def write(table: pl.DataFrame, path: Path) -> None:
    """An SDF with one record a compound, in the order of the predictions (`bundle.Trained.predict`), those that could
    not be read among them. An item `logP` becomes the property `logP`, its interval `logP.low` and `logP.high`, and so
    on; a probability stands under the name of its class."""
    facts = table.select("case_id", "source", "broken").unique("case_id", maintain_order=True)
    known = table.filter(pl.col("item").is_not_null())
    for column in table.columns:
        if column in ("case_id", "source", "broken", "item") or known[column].null_count() == known.height:
            continue
        wide = known.pivot("item", index="case_id", values=column)
        names = {item: item if column == "value" else f"{item}.{column}" for item in wide.columns[1:]}
        facts = facts.join(wide.rename(names), on="case_id", how="left", maintain_order="left")
    write_sdf(path, facts["source"].to_list(), facts)
