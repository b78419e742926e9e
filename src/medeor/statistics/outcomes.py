"""Truth and predictions of one target side by side, as arrays: what every figure of merit starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import polars as pl

from medeor.contracts import Cases, Predictions, Target, UserError
from medeor.statistics.scores import Array


class _Rows:
    """A dataclass whose arrays have one row a case."""

    def where(self: R, kept: Array) -> R:
        """Some of the rows: `kept` is a mask or an index."""
        arrays = {name: own[kept] for name, own in vars(self).items() if isinstance(own, np.ndarray)}
        return replace(self, **arrays)  # type: ignore[type-var]


R = TypeVar("R", bound=_Rows)


@dataclass(frozen=True)
class Outcomes(_Rows):
    """One row a case whose truth is known; `k` is the number of the target's items, `classes` that of its classes."""

    target: Target
    rows: Array
    """Shape (n,): the row of each in the case table."""
    groups: Array
    """Shape (n,): number of the group, over all cases."""
    truth: Array
    """Shape (n,): class index, number, or time."""
    values: Array
    """Shape (n, k)."""
    raw: Array | None
    """Shape (n, k): before calibration."""
    chosen: Array | None
    """Shape (n, k), bool."""
    plausible: Array | None
    """Shape (n, classes), bool: the conformal sets."""
    low: Array | None
    """Shape (n,), of a number."""
    high: Array | None
    spread: Array | None = None
    """Shape (n,), of a number: the expected error."""
    side: Array | None = None
    """Shape (n,), of a time until an event: 1 where the truth lies after it, 0 where it is the truth."""

    def __len__(self) -> int:
        return len(self.rows)


def units(groups: Array) -> int:
    """How many independent groups there are, from their numbers, shape (n,)."""
    return int(np.count_nonzero(np.bincount(groups)))


def group_codes(cases: Cases) -> tuple[Array, int]:
    """A number for the group of each case, shape (cases,), and how many groups there are. A case without a group is
    a group of its own."""
    table = cases.table
    group = pl.col("case_id").cast(pl.String)
    if "group" in table.columns:
        # The prefix distinguishes the id of a case without a group from the groups' names.
        known = pl.lit("g") + pl.col("group").cast(pl.String)
        group = pl.coalesce(known, pl.lit("c") + group)
    codes = table.select(group.rank("dense") - 1).to_series().to_numpy().astype(np.int64)
    return codes, int(codes.max(initial=-1)) + 1


@dataclass(frozen=True)
class Arranged(_Rows):
    """The long table of predictions as arrays, one row a case and one column an item of the target."""

    predicted: Array
    """Shape (n,), bool: every item has a value."""
    values: Array
    raw: Array | None
    chosen: Array | None
    plausible: Array | None
    """1 where it is, 0 where not, NaN where the table says neither."""
    low: Array | None
    high: Array | None
    spread: Array | None


def arrange(case_ids: pl.Series, predictions: Predictions, items: Sequence[str], name: str) -> Arranged:
    """Predictions of the items of one target for these cases, in their order; its `name` is for messages.

    Raises: UserError when a prediction is no number or stands twice."""
    shape = (len(case_ids), len(items))
    places = pl.DataFrame({"case_id": case_ids.cast(pl.String), "row": np.arange(shape[0])})
    columns = pl.DataFrame({"item": items, "column": np.arange(shape[1])})
    long = predictions.table.with_columns(pl.col("case_id", "item").cast(pl.String))
    long = long.join(places, on="case_id").join(columns, on="item")
    flat = long["row"].to_numpy() * shape[1] + long["column"].to_numpy()
    twice = long.filter(long.select("case_id", "item").is_duplicated())
    if twice.height:
        raise UserError("statistics.outcomes.twice", item=twice["item"][0], case=twice["case_id"][0])
    broken = long.filter(~pl.col("value").cast(pl.Float64).is_finite().fill_null(False))
    if broken.height:
        case = broken["case_id"][0]
        raise UserError("statistics.outcomes.no-number", count=broken.height, target=name, case=case)

    def column(what: str) -> Array | None:
        """Shape (cases, items), NaN for null; None where the column is missing or empty."""
        if what not in long.columns or long[what].null_count() == long.height:
            return None
        array = np.full(shape[0] * shape[1], np.nan)
        array[flat] = long[what].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return array.reshape(shape)

    values = column("value")
    values = np.full(shape, np.nan) if values is None else values
    raw, chosen, plausible = column("raw"), column("chosen"), column("plausible")
    if plausible is None and raw is not None and "plausible" in long.columns:
        plausible = np.full(shape, np.nan)  # calibrated, and yet every case might be anything
    return Arranged(
        predicted=np.asarray(np.isfinite(values).all(axis=1)),
        values=values,
        raw=raw,
        chosen=None if chosen is None else chosen == 1,
        plausible=plausible,
        low=column("low"),
        high=column("high"),
        spread=column("spread"),
    )


def long_table(case_ids: Sequence[str] | pl.Series, items: Sequence[str], values: Array) -> pl.DataFrame:
    """The other way round: values of shape (cases, items) as `case_id, item, value`, one row a case and item."""
    return pl.DataFrame(
        {
            "case_id": np.repeat(np.array(case_ids, dtype=object), len(items)),
            "item": list(items) * len(case_ids),
            "value": np.asarray(values, dtype=float).ravel(),
        },
        schema={"case_id": pl.String, "item": pl.String, "value": pl.Float64},
    )
