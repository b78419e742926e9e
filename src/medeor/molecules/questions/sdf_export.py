"""What of the user's file goes with predictions of compounds, and an SDF of them, for programs of chemists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from medeor.formats.molecules.read import identifiers, write_sdf


def carried(columns: Sequence[str]) -> list[str]:
    """The columns of a table of compounds that a table of predictions keeps: what names a compound in the user's file,
    under the name that it has there, `smiles`, the standardised structure that was predicted, and `changes`, what the
    standardisation did."""
    return [*identifiers(columns), "smiles", "changes"]


def write(table: pl.DataFrame, path: Path) -> None:
    """An SDF with one record a compound as it was standardised, in the order of the predictions
    (`bundle.Trained.predict`), those that could not be read among them. What stands before `item` are properties of the
    compound. An item `logP` becomes the property `logP`, its interval `logP.low` and `logP.high`, and so on; a
    probability stands under the name of its class."""
    own = table.columns[: table.columns.index("item")]
    facts = table.select(own).unique("case_id", maintain_order=True)
    known = table.filter(pl.col("item").is_not_null())
    for column in table.columns[len(own) + 1 :]:
        if known[column].null_count() == known.height:
            continue
        wide = known.pivot("item", index="case_id", values=column)
        names = {item: item if column == "value" else f"{item}.{column}" for item in wide.columns[1:]}
        facts = facts.join(wide.rename(names), on="case_id", how="left", maintain_order="left")
    write_sdf(path, facts["smiles"].to_list(), facts)
