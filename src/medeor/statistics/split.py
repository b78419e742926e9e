"""Dividing cases into parts and folds without ever dividing a group."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import polars as pl

from medeor.contracts import Cases, Message, Split, Study, UserError

PARTS = ("train", "validation", "test")
WAYS = ("cv", "random", "group", "time")
"""Ways of splitting; any other word is a column."""
FOLDS = 5
_SLOTS = 5
"""Without an official split a fifth of the groups is the test part."""


def split_cases(cases: Cases, study: Study, strata: np.ndarray | None = None) -> Split:
    """The split a study asks for: a column that names parts, `cv` (folds only, no test part), `random` or `group` (by
    group, whatever the official split), `time` (the latest fifth is the test part), the name of any other column (its
    values stay together, e.g. `site`), or nothing: the official split where there is one, else at random by group,
    balanced over the `strata`, shape (cases,), as a target has them (`TargetKind.strata`).

    Raises: UserError when there are too few groups to divide."""
    table = cases.table
    way = "group" if study.split and study.split in (study.group, "random") else study.split
    official = "part" in table.columns and table["part"].null_count() < table.height
    if way and way not in WAYS and way not in table.columns:
        raise UserError("statistics.split.no-column", way=way, columns=table.columns)
    named = way in table.columns and table[way].dtype == pl.String and set(table[way].unique()) <= {*PARTS, None}
    units = table[way] if way in table.columns and not named and way not in ("time", "group") else table["group"]
    what = Message("statistics.split.group" if units.name == "group" else "statistics.split.value", column=units.name)
    if units.n_unique() < 2:
        raise UserError("statistics.split.one-group", count=table.height, what=what)
    strata = np.zeros(len(cases)) if strata is None else strata
    if named or (official and not way):
        part = table[way if named else "part"].cast(pl.String).fill_null("train").to_numpy().astype(object)
        if not (part == "train").any():
            raise UserError("statistics.split.no-training")
    elif way == "cv":
        part = np.full(table.height, "train", dtype=object)
    elif way == "time":
        part = _latest_last(table)
    else:
        slots = deal(units, strata, _SLOTS, study.seed + 1)
        part = np.where(slots == 0, "test", "train").astype(object)
    open_to_fit = part != "test"
    folds = min(FOLDS, int(units.filter(pl.Series(open_to_fit)).n_unique()))
    if folds < 2:
        raise UserError("statistics.split.one-training-group", what=what)
    fold = np.full(table.height, -1)
    fold[open_to_fit] = deal(units.filter(pl.Series(open_to_fit)), strata[open_to_fit], folds, study.seed)
    split = pl.DataFrame({"case_id": table["case_id"], "part": part.astype(str), "fold": fold})
    return Split(split.with_columns(pl.col("fold").replace(-1, None).cast(pl.Int32)))


def deal(units: pl.Series, strata: np.ndarray, slots: int, seed: int) -> np.ndarray:
    """A slot for each row, shape (n,): rows of one unit share a slot; slots hold as equal shares of every stratum as
    whole units allow, and depend on the seed and the set of units, not on the order of the rows."""
    rows = pl.DataFrame({"unit": units.cast(pl.String), "stratum": strata})
    by_unit = rows.group_by("unit").agg(pl.col("stratum").mean().round(6))
    shuffled = [blake2b(f"{seed} {unit}".encode(), digest_size=8).digest() for unit in by_unit["unit"]]
    by_unit = by_unit.with_columns(pl.Series("key", shuffled)).sort("stratum", "key")
    order = np.arange(by_unit.height)
    laps, places = np.divmod(order, slots)
    # Every lap deals its slots in another order, so that ragged ends do not always meet the same slot.
    generator = np.random.default_rng(seed)
    lap_orders = generator.permuted(np.tile(np.arange(slots), (laps.max() + 1, 1)), axis=1)
    by_unit = by_unit.with_columns(pl.Series("slot", lap_orders[laps, places]))
    return rows.join(by_unit, on="unit", how="left", maintain_order="left")["slot"].to_numpy()


def _latest_last(table: pl.DataFrame) -> np.ndarray:
    """Parts by time: groups whose last case is among the latest fifth are the test part."""
    if "time" not in table.columns or table["time"].null_count():
        raise UserError("statistics.split.no-time")
    last = table.group_by("group").agg(pl.col("time").max()).sort("time", "group")
    test = set(last.tail(max(1, last.height // _SLOTS))["group"])
    return np.array(["test" if group in test else "train" for group in table["group"]], dtype=object)
