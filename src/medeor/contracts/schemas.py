"""The tables that rooms hand to each other, column by column. A table may hold other columns too; these mean the same
everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import polars as pl

TEXT = ("String", "Categorical", "Enum")
WHOLE = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
NUMBER = ("Float32", "Float64", *WHOLE)
YES_NO = ("Boolean",)


class Column(NamedTuple):
    """One column of a table. Its type is free where no row has a value."""

    types: tuple[str, ...]
    """Names of Polars types."""
    required: bool = False
    """Whether it must be there, without nulls."""


Schema = Mapping[str, Column]

CASES: Schema = {
    "case_id": Column(("String",), required=True),
    "group": Column(TEXT),
    "site": Column(TEXT),
    "part": Column(TEXT),
    "broken": Column(TEXT),
}
"""One row a case. `group`: the independent unit; `broken`: why the case cannot be used."""

SPLIT: Schema = {
    "case_id": Column(("String",), required=True),
    "part": Column(TEXT, required=True),
    "fold": Column(WHOLE),
}

PREDICTIONS: Schema = {
    "case_id": Column(("String",), required=True),
    "item": Column(TEXT),
    "value": Column(NUMBER),
    "low": Column(NUMBER),
    "high": Column(NUMBER),
    "raw": Column(NUMBER),
    "spread": Column(NUMBER),
    "chosen": Column(YES_NO),
    "plausible": Column(YES_NO),
    "verdict": Column(TEXT),
    "reason": Column(TEXT),
}
"""One row a case and item; see `Predictions`. A case that cannot be answered has one row without an item."""


def check(table: pl.DataFrame, schema: Schema, what: str) -> None:
    """Raises: TypeError where a column is missing or of another type; it says of what, for who wrote the code."""
    for name, column in schema.items():
        if name not in table.columns:
            if column.required:
                raise TypeError(f"{what} has no column '{name}'; it has {', '.join(table.columns) or 'none'}")
            continue
        found = str(table.schema[name].base_type())
        if found not in column.types and table[name].null_count() < table.height:
            raise TypeError(f"{what}: the column '{name}' is {found}, not {' or '.join(column.types)}")
        if column.required and table[name].null_count():
            raise TypeError(f"{what}: the column '{name}' has {table[name].null_count()} nulls")
