"""What can be wrong with a plain table before anything is fitted: columns that cannot be used or know the outcome, rows
of one patient that nobody named, the same row twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from medeor.contracts import Cases, Finding, Message, Split, Text, listed
from medeor.formats.values.columns import as_numbers, known_texts, meaning
from medeor.formats.values.later import is_follow_up, speaks_of_later
from medeor.formats.values.missing import without_missing_numbers
from medeor.formats.values.people import names_people
from medeor.statistics.copies import equal_by_chance
from medeor.targets import of
from medeor.trust.audits.checks import Kind, divided, found
from medeor.trust.audits.copies import across_parts, within_parts, yielding
from medeor.trust.shortcuts import reached

GIVES_AWAY = 0.98
"""AUROC of a single column from which it may be the outcome under another name."""


def audit_table(cases: Cases, split: Split) -> list[Finding]:
    """Every check of the table. What its columns hold and know is learned without the test part."""
    table = divided(cases, split)
    learned_from = split.part(cases, "train", "validation")
    aside = table.filter(pl.col("broken").is_not_null())
    text = Message("tabular.audit.aside", count=aside.height)
    return [
        *_columns(learned_from),
        _outcome(learned_from),
        _later(cases),
        found("rows-set-aside", "labels", aside, text, Message("tabular.audit.labelled")),
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
    reasons = {Message("tabular.removed.disputed"): disputed, Message("tabular.removed.copy"): repeated}
    reason = pl.coalesce("broken", *(pl.when(holds).then(pl.lit(str(why))) for why, holds in reasons.items()))
    return table.with_columns(removed=reason).drop("in_part", "source", "content", "broken")


# --- columns ---------------------------------------------------------------------------------------------


def _columns(cases: Cases) -> Iterator[Finding]:
    """Columns that no model is given, and cells that are read as missing."""
    unused: dict[Text, list[str]] = {}
    lost = False
    odd: dict[str, list[Text]] = {"number-codes": [], "unread-cells": [], "mixed-units": []}
    for name in cases.features:
        column, meant = cases.table[name], meaning(cases.table[name])
        if meant.kind is None:
            unused.setdefault(meant.why, []).append(name)
            lost |= meant.lost
        elif meant.kind == "number":
            read = as_numbers(column)
            unread = len(known_texts(column)) - read.values.count() if column.dtype == pl.String else 0
            odd["number-codes"] += [f"'{name}': {code}" for code in without_missing_numbers(read.values).codes]
            odd["unread-cells"] += [f"'{name}': {unread}"] * (unread > 0)
            units = (Message("tabular.audit.units", column=name, unit=one, other=read.unit) for one, _ in read.foreign)
            odd["mixed-units"] += units
    each = tuple(
        Message("tabular.audit.because", columns=listed(map(repr, names)), why=why) for why, names in unused.items()
    )
    text = Message("tabular.audit.not-used", columns=each) if each else Message("tabular.audit.used")
    yield Finding("columns-not-used", "quality", "fail" if lost else "pass", text)
    for check, cells in odd.items():
        text = Message(f"tabular.audit.{check}" if cells else f"tabular.audit.no-{check}", cells=tuple(cells))
        yield Finding(check, "quality", "fail" if cells else "pass", text)


def _outcome(cases: Cases) -> Finding:
    """Columns, each of which alone answers nearly perfectly."""
    check = "outcome-in-a-column"
    used = cases.table.select(name for name in cases.features if meaning(cases.table[name]).kind)
    telling = [name for name, auroc in reached(used, cases).items() if auroc >= GIVES_AWAY]
    if not telling:
        return Finding(check, "leakage", "pass", Message("tabular.audit.no-outcome"))
    text = Message("tabular.audit.outcome", columns=listed(map(repr, telling)), drop="|".join(telling))
    return Finding(check, "leakage", "fail", text)


def _later(cases: Cases) -> Finding:
    """Columns whose headings speak of the outcome, or of what comes after the prediction."""
    check = "recorded-after-the-outcome"
    targets = [target.name for target in cases.targets]
    late = [name for name in cases.features if speaks_of_later(name, targets)]
    if not late:
        return Finding(check, "shortcut", "pass", Message("tabular.audit.not-later"))
    text = Message("tabular.audit.later", columns=listed(map(repr, late)), drop="|".join(late))
    times = [name for name in late if is_follow_up(name)]
    if times and len(cases.targets) == 1 and len(of(cases.targets[0]).items) == 1:
        text = Message("tabular.audit.follow-up", later=text, time=times[0], target=targets[0])
    return Finding(check, "shortcut", "fail", text)


# --- rows ------------------------------------------------------------------------------------------------


def _people(table: pl.DataFrame) -> Finding:
    """A column that identifies patients, some of whom have several rows, where no group is named."""
    check = "repeated-ids"
    named = [name for name in table.columns if names_people(name) and not table[name].dtype.is_float()]
    for name in named if (table["group"] == table["case_id"]).all() else ():
        known = table.filter(pl.col(name).is_not_null())
        people, torn = known[name].n_unique(), across_parts(known, name)
        if people < known.height:
            patients = Message("common.count.patient", count=people)
            rows, several = Message("common.count.row", count=known.height), torn[name].n_unique()
            text = Message("tabular.audit.people", column=name, patients=patients, rows=rows, count=several)
            return Finding(check, "leakage", "fail" if torn.height else "unknown", text, tuple(torn["case_id"]))
    return Finding(check, "leakage", "pass", Message("tabular.audit.no-people"))


def _copies(cases: Cases, table: pl.DataFrame) -> list[Finding]:
    """The same row twice, where that is no chance."""
    copies, none = table.filter(pl.col("content").is_duplicated()), Message("tabular.audit.no-copies")
    if copies.height and equal_by_chance(table.select(cases.features)):
        none = Message("tabular.audit.by-chance", count=copies.height)
        copies = copies.clear()
    differ = [pl.col(target.name).n_unique().over("content") > 1 for target in cases.targets]
    within, across = within_parts(copies, "content"), across_parts(copies, "content")
    disputed = copies.filter(pl.any_horizontal(differ)) if differ else copies.clear()
    checks: dict[str, tuple[Kind, pl.DataFrame]] = {
        "duplicates-within-parts": ("quality", within),
        "duplicates-across-parts": ("leakage", across),
        "conflicting-labels": ("labels", disputed),
    }
    return [
        found(check, kind, rows, Message(f"tabular.audit.{check}", count=rows.height), none)
        for check, (kind, rows) in checks.items()
    ]
