"""What can be wrong with a plain table before anything is fitted: columns that cannot be used or know the outcome, rows
of one patient that nobody named, the same row twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from medeor.contracts import Cases, Finding, Split
from medeor.formats.tables.rows import listed
from medeor.formats.values.columns import as_numbers, known_texts, meaning
from medeor.formats.values.later import is_follow_up, speaks_of_later
from medeor.formats.values.missing import without_missing_numbers
from medeor.formats.values.people import names_people
from medeor.statistics.copies import equal_by_chance
from medeor.targets import of
from medeor.trust.audits.checks import divided, found
from medeor.trust.audits.copies import across_parts, within_parts, yielding
from medeor.trust.shortcuts import reached

GIVES_AWAY = 0.98
"""AUROC of a single column from which it may be the outcome under another name."""


def audit_table(cases: Cases, split: Split) -> list[Finding]:
    """Every check of the table. What its columns hold and know is learned without the test part."""
    table = divided(cases, split)
    learned_from = split.part(cases, "train", "validation")
    aside = table.filter(pl.col("broken").is_not_null())
    text = f"{aside.height} rows have no label, or nothing else, and are set aside"
    return [
        *_columns(learned_from),
        _outcome(learned_from),
        _later(cases),
        found("rows-set-aside", "labels", aside, text, "every row has a label"),
        _people(table),
        *_copies(cases, table.filter(pl.col("broken").is_null())),
    ]


def clean(cases: Cases, findings: Sequence[Finding], split: Split) -> pl.DataFrame:
    """The case table with a column `removed` that says why a case should go, null for those that stay: copies of one
    row with different labels all go, and of other copies one stays, that of the part that is scored last."""
    failed = {finding.check: list(finding.cases) for finding in findings if finding.status == "fail"}
    copies = failed.get("duplicates-within-parts", []) + failed.get("duplicates-across-parts", [])
    table = divided(cases, split)
    disputed = pl.col("case_id").is_in(failed.get("conflicting-labels", []))
    repeated = pl.col("case_id").is_in(copies) & yielding(table, "content")
    reasons = {"a copy of another row with another label": disputed, "a copy of another row": repeated}
    reason = pl.coalesce("broken", *(pl.when(holds).then(pl.lit(why)) for why, holds in reasons.items()))
    return table.with_columns(removed=reason).drop("in_part", "source", "content", "broken")


# --- columns ---------------------------------------------------------------------------------------------


def _columns(cases: Cases) -> Iterator[Finding]:
    """Columns that no model is given, and cells that are read as missing."""
    unused: dict[str, list[str]] = {}
    odd: dict[str, list[str]] = {"number-codes": [], "unread-cells": [], "mixed-units": []}
    for name in cases.features:
        column, meant = cases.table[name], meaning(cases.table[name])
        if meant.kind is None:
            unused.setdefault(meant.why, []).append(name)
        elif meant.kind == "number":
            read = as_numbers(column)
            unread = len(known_texts(column)) - read.values.count() if column.dtype == pl.String else 0
            odd["number-codes"] += [f"'{name}': {code}" for code in without_missing_numbers(read.values).codes]
            odd["unread-cells"] += [f"'{name}': {unread}"] * (unread > 0)
            odd["mixed-units"] += [f"'{name}': {unit} besides {read.unit}" for unit, _ in read.foreign]
    text = "not given to a model: " + "; ".join(f"{listed(names)}: {why}" for why, names in unused.items())
    # One value in every row, and names of rows, hold nothing to learn from.
    lost = any("row" not in why for why in unused)
    yield Finding("columns-not-used", "quality", "fail" if lost else "pass", text if unused else "every column is used")
    for check, what, none in (
        ("number-codes", "numbers that are no measurement, read as missing", "no number stands for an unknown one"),
        ("unread-cells", "cells with text among numbers, read as missing", "every cell was read"),
        ("mixed-units", "units that cannot be converted, whose numbers stand as written", "each column has one unit"),
    ):
        text = f"{what}: {'; '.join(odd[check])}" if odd[check] else none
        yield Finding(check, "quality", "fail" if odd[check] else "pass", text)


def _outcome(cases: Cases) -> Finding:
    """Columns, each of which alone answers nearly perfectly."""
    check = "outcome-in-a-column"
    used = cases.table.select(name for name in cases.features if meaning(cases.table[name]).kind)
    telling = [name for name, auroc in reached(used, cases).items() if auroc >= GIVES_AWAY]
    if not telling:
        return Finding(check, "leakage", "pass", "no column alone gives the outcome away")
    text = f"each alone predicts the outcome nearly perfectly and may be it under another name: {listed(telling)}"
    return Finding(check, "leakage", "fail", f"{text}; leave out what is: --option drop='{'|'.join(telling)}'")


def _later(cases: Cases) -> Finding:
    """Columns whose headings speak of the outcome, or of what comes after the prediction."""
    check = "recorded-after-the-outcome"
    targets = [target.name for target in cases.targets]
    named = [name for name in cases.features if speaks_of_later(name, targets)]
    if not named:
        return Finding(check, "shortcut", "pass", "no heading speaks of what is known only later")
    text = f"by their headings, these may be known only after the outcome: {listed(named)}"
    text += f"; leave out what is: --option drop='{'|'.join(named)}'"
    times = [name for name in named if is_follow_up(name)]
    if times and len(cases.targets) == 1 and len(of(cases.targets[0]).items) == 1:
        text += f". If '{times[0]}' is the time until '{cases.targets[0].name}' or the last visit, it can be learned: "
        text += f"--option follow_up={times[0]}"
    return Finding(check, "shortcut", "fail", text)


# --- rows ------------------------------------------------------------------------------------------------


def _people(table: pl.DataFrame) -> Finding:
    """A column that tells patients apart, some of whom have several rows, where no group is named."""
    check = "repeated-ids"
    named = [name for name in table.columns if names_people(name) and not table[name].dtype.is_float()]
    for name in named if (table["group"] == table["case_id"]).all() else ():
        known = table.filter(pl.col(name).is_not_null())
        people, torn = known[name].n_unique(), across_parts(known, name)
        if people < known.height:
            text = (
                f"column '{name}' names {people} patients in {known.height} rows; {torn[name].n_unique()} of them are "
            )
            text += f"in two parts: --group {name} keeps the rows of each together"
            return Finding(check, "leakage", "fail" if torn.height else "unknown", text, tuple(torn["case_id"]))
    return Finding(check, "leakage", "pass", "no column names patients with several rows")


def _copies(cases: Cases, table: pl.DataFrame) -> list[Finding]:
    """The same row twice, where that is no chance."""
    copies, none = table.filter(pl.col("content").is_duplicated()), "no row is a copy of another"
    if copies.height and equal_by_chance(table.select(cases.features)):
        none = f"{copies.height} rows are equal to another, as chance explains"
        copies = copies.clear()
    differ = [pl.col(target.name).n_unique().over("content") > 1 for target in cases.targets]
    within, across = within_parts(copies, "content"), across_parts(copies, "content")
    disputed = copies.filter(pl.any_horizontal(differ)) if differ else copies.clear()
    here, there = f"{within.height} rows have a copy in their part", f"{across.height} rows have a copy in another part"
    return [
        found("duplicates-within-parts", "quality", within, here, none),
        found("duplicates-across-parts", "leakage", across, there, none),
        found("conflicting-labels", "labels", disputed, f"{disputed.height} copies have different labels", none),
    ]
