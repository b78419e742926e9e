"""Truth and predictions of one target side by side, as arrays: what every figure of merit starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from medeor.contracts import Cases, Predictions, Target, UserError
from medeor.statistics.scores import Array


@dataclass(frozen=True)
class Outcomes:
    """One row a case whose truth is known; `k` is the number of the target's items, `classes` that of its classes."""

    target: Target
    rows: Array
    """Shape (n,): the row of each in the case table."""
    groups: Array
    """Shape (n,): number of the group, over all cases."""
    truth: Array
    """Shape (n,): class index, or the number."""
    values: Array
    """Shape (n, k)."""
    raw: Array | None
    """Shape (n, k): before calibration."""
    chosen: Array | None
    """Shape (n, k), bool."""
    plausible: Array | None
    """Shape (n, classes), bool: the conformal sets."""
    low: Array | None
    """Shape (n,), of a continuous target."""
    high: Array | None
    spread: Array | None = None
    """Shape (n,), of a continuous target: how far the model says that its value is likely to be off."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def continuous(self) -> bool:
        return self.target.kind == "continuous"

    @property
    def classes(self) -> tuple[str, ...]:
        if self.target.kind == "binary":
            return self.target.classes or (f"not {self.target.name}", self.target.name)
        return self.target.items

    @property
    def probability(self) -> Array:
        """Shape (n, classes)."""
        return probabilities(self.target, self.values)

    @property
    def decision(self) -> Array:
        """Shape (n,): the class index that was decided; without decisions the most probable class."""
        if self.chosen is None:
            return self.probability.argmax(axis=1)
        if self.target.kind == "binary":
            return self.chosen[:, 0].astype(np.int64)
        return np.where(self.chosen.any(axis=1), self.chosen.argmax(axis=1), self.values.argmax(axis=1))

    def where(self, kept: Array) -> Outcomes:
        """Some of the cases: `kept` is a mask or an index."""

        def some(array: Array | None) -> Array | None:
            return None if array is None else array[kept]

        return Outcomes(
            self.target,
            self.rows[kept],
            self.groups[kept],
            self.truth[kept],
            self.values[kept],
            some(self.raw),
            some(self.chosen),
            some(self.plausible),
            some(self.low),
            some(self.high),
            some(self.spread),
        )


def probabilities(target: Target, values: Array) -> Array:
    """The probability of every class, shape (n, classes), from the values of the target's items, shape (n, k)."""
    return np.concatenate([1 - values, values], axis=1) if target.kind == "binary" else values


def group_codes(cases: Cases) -> tuple[Array, int]:
    """A number for the group of each case, shape (cases,), and how many groups there are. A case without a group is
    a group of its own."""
    table = cases.table
    group = pl.col("case_id").cast(pl.String)
    if "group" in table.columns:
        # The prefix keeps the id of a case without a group apart from the groups' names.
        known = pl.lit("g") + pl.col("group").cast(pl.String)
        group = pl.coalesce(known, pl.lit("c") + group)
    codes = table.select(group.rank("dense") - 1).to_series().to_numpy().astype(np.int64)
    return codes, int(codes.max(initial=-1)) + 1


def truth_of(table: pl.DataFrame, target: Target) -> pl.Series:
    """What is to be answered, Float64; null where it is not known, or only a limit of it is."""
    truth = table[target.name].cast(pl.Float64).fill_nan(None)
    if target.limit not in table.columns:
        return truth
    return pl.select(pl.when(table[target.limit].fill_null(0) == 0).then(truth)).to_series()


def line_up(cases: Cases, predictions: Predictions, target: Target) -> Outcomes:
    """The cases whose truth is known, and not only a limit of it, and that were predicted, in the table's order.

    Raises: UserError when the target is missing, a truth is no class, a prediction is no number or stands twice."""
    table = cases.table
    if target.name not in table.columns:
        raise UserError(f"the case table has no column '{target.name}'; it has {', '.join(table.columns)}")
    truth = truth_of(table, target)
    columns = arrange(table["case_id"], predictions, target)
    everyone = Outcomes(
        target,
        np.arange(table.height),
        group_codes(cases)[0],
        truth.to_numpy(),
        columns.values,
        columns.raw,
        columns.chosen,
        columns.plausible,
        None if columns.low is None else columns.low[:, 0],
        None if columns.high is None else columns.high[:, 0],
        None if columns.spread is None else columns.spread[:, 0],
    )
    answers = everyone.where(np.flatnonzero(truth.is_not_null().to_numpy() & columns.predicted))
    if answers.raw is not None and not np.isfinite(answers.raw).all():
        answers = replace(answers, raw=None)
    if not answers.continuous:
        wrong = np.flatnonzero((answers.truth % 1 != 0) | (answers.truth < 0) | (answers.truth >= len(answers.classes)))
        if len(wrong):
            value, case = answers.truth[wrong[0]], table["case_id"][int(answers.rows[wrong[0]])]
            raise UserError(
                f"'{target.name}' is {value:g} in case {case}, but only 0 to {len(answers.classes) - 1} are classes: "
                f"{', '.join(answers.classes)}"
            )
        answers = replace(answers, truth=answers.truth.astype(np.int64))
    return answers


@dataclass(frozen=True)
class Arranged:
    """The long table of predictions as arrays, one row a case and one column an item of the target."""

    predicted: Array
    """Shape (n,), bool: every item has a value."""
    values: Array
    raw: Array | None
    chosen: Array | None
    plausible: Array | None
    """Shape (n, classes). A binary target has one item: its null says that both classes are plausible."""
    low: Array | None
    high: Array | None
    spread: Array | None


def arrange(case_ids: pl.Series, predictions: Predictions, target: Target) -> Arranged:
    """Predictions of one target for these cases, in their order.

    Raises: UserError when a prediction is no number or stands twice."""
    items = target.items
    shape = (len(case_ids), len(items))
    places = pl.DataFrame({"case_id": case_ids.cast(pl.String), "row": np.arange(shape[0])})
    columns = pl.DataFrame({"item": items, "column": np.arange(shape[1])})
    long = predictions.table.with_columns(pl.col("case_id", "item").cast(pl.String))
    long = long.join(places, on="case_id").join(columns, on="item")
    flat = long["row"].to_numpy() * shape[1] + long["column"].to_numpy()
    twice = long.filter(long.select("case_id", "item").is_duplicated())
    if twice.height:
        raise UserError(
            f"'{twice['item'][0]}' is predicted twice for case {twice['case_id'][0]}: targets that share a class name "
            "cannot be told apart; give the classes of each target their own names"
        )
    broken = long.filter(~pl.col("value").cast(pl.Float64).is_finite().fill_null(False))
    if broken.height:
        raise UserError(
            f"{broken.height} predictions of '{target.name}' are no numbers, the first for case {broken['case_id'][0]};"
            " the model has diverged or its inputs hold NaN"
        )

    def column(name: str) -> Array | None:
        """Shape (cases, items), NaN for null; None where the column is missing or empty."""
        if name not in long.columns or long[name].null_count() == long.height:
            return None
        array = np.full(shape[0] * shape[1], np.nan)
        array[flat] = long[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return array.reshape(shape)

    values = column("value")
    values = np.full(shape, np.nan) if values is None else values
    raw, chosen, plausible = column("raw"), column("chosen"), column("plausible")
    if target.kind == "binary":
        if plausible is None and raw is not None and "plausible" in long.columns:
            plausible = np.full(shape, np.nan)  # calibrated, and yet every case might be either
        if plausible is not None:
            plausible = np.concatenate([plausible != 1, plausible != 0], axis=1)
    return Arranged(
        predicted=np.asarray(np.isfinite(values).all(axis=1)),
        values=values,
        raw=raw,
        chosen=None if chosen is None else chosen == 1,
        plausible=None if plausible is None else plausible == 1,
        low=column("low"),
        high=column("high"),
        spread=column("spread"),
    )
