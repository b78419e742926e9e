"""An SDF of predicted compounds, for programs of chemists."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from medeor.contracts import Answering, Cases, Predictions
from medeor.formats.molecules.read import write_sdf


def write(model: Answering, cases: Cases, predictions: Predictions, path: Path) -> None:
    """An SDF with one record a compound as it was standardised, in the order of the predictions
    (`bundle.Trained.predict`), those that could not be read among them. What stands before `item` are properties of the
    compound. An item `logP` becomes the property `logP`, its interval `logP.low` and `logP.high`, and so on; a
    probability stands under the name of its class."""
    table = predictions.table
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
