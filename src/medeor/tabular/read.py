"""The cases of a study of a plain table: what the user gave, with one row a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from medeor.contracts import Cases, Message, Sources, Study, Target, Text, UserError, listed
from medeor.formats.cases import (
    CaseColumns,
    case_columns,
    class_names,
    findings_of_tables,
    pseudonym,
    several,
    target_columns,
    why_broken,
)
from medeor.formats.tables.read import read_table
from medeor.formats.tables.rows import counted, digests
from medeor.formats.values.columns import as_numbers
from medeor.formats.values.measured.measurements import read_limits
from medeor.formats.values.targets import TargetColumns, read_target
from medeor.targets import of
from medeor.targets.survival import read_survival

USUAL_TARGETS = ("label", "target", "class", "diagnosis", "outcome", "y")
"""Columns taken as the target when the study names none."""


def read_cases(sources: Sources, study: Study) -> Cases:
    """The cases of a study. Sources are tables, as files or in memory, whose rows are put together.

    The columns of the table, one row a case:

    - `case_id`: 12 hex digits: a digest of the study's own id (a column `case_id`, or that which `--option id` names),
      else of the row; no other case changes it, save that a further copy is counted
    - `group`: the study's column, else the case
    - `site`, `time`: the study's columns, where it names them; `part`: of the official split, where there is one
    - the targets; `<target>.limit` of times until an event, and of numbers with limits (see `Target.limit`)
    - the user's other columns as they were read, of which a model may be given `Cases.features`
    - `source`: what the user calls the case; `content`: a digest of its features
    - `broken`: why the case cannot be used, null where it can

    Raises: UserError where nothing can be read, a column is missing, or there is nothing to predict."""
    rows, where = _gathered(sources)
    columns = case_columns(rows, sources, study, where, ("id", "follow_up", "drop"))
    columns = columns.predicting(_target_names(columns) if sources.labelled else ())
    study, split = columns.study, columns.split
    dropped, follow_up = several(study.options.get("drop", "")), study.options.get("follow_up", "")
    called = columns.ids
    columns.require(*dropped, follow_up)
    answers = _answers(columns, sources.targets)
    others = columns.others({*dropped} - {*study.subgroups})
    # What cases are divided by is known of no case that is held out.
    known = {*dropped, columns.id_column, study.split, split.column, follow_up}
    known |= {target.name for target in sources.model.targets} if sources.model else set()
    features = [column.name for name, column in others.items() if name not in known]
    if not features:
        raise UserError("tabular.read.no-feature", table=where, columns=listed(map(repr, rows.columns)))
    rest = pl.DataFrame(list(others.values()))
    content = digests(rest.select(features))
    ids = counted([pseudonym(text) if text else alike for text, alike in zip(called, content)])
    no_value = str(Message("tabular.broken.no-value"))
    empty = rest.select(pl.when(pl.all_horizontal(pl.col(features).is_null())).then(pl.lit(no_value))).to_series()
    table = rest.with_columns(
        *answers.values.get_columns(),
        *columns.roles,
        *([] if split.part is None else [split.part]),
        columns.groups,
        pl.Series("case_id", ids, pl.String),
        pl.Series("source", [text or f"row {row}" for row, text in enumerate(called, 2)], pl.String),
        pl.Series("content", content, pl.String),
        why_broken(empty, answers.values, answers.targets),
    ).with_columns(pl.col("group").fill_null(pl.col("case_id")))
    is_study = sources.labelled and sources.model is None
    findings = (*findings_of_tables(sources.given), *answers.findings, *(split.findings if is_study else ()))
    return Cases(table, answers.targets, subgroups=columns.subgroups, features=tuple(features), findings=findings)


def _gathered(sources: Sources) -> tuple[pl.DataFrame, tuple[Text, ...]]:
    """The rows of all sources, and what to call them in a message."""
    if not sources.given:
        raise UserError("tabular.read.no-source")
    tables, names = [], list[Text]()
    for item in sources.given:
        if not isinstance(item, str | Path | pl.DataFrame):
            raise UserError("tabular.read.source", type=type(item).__name__)
        tables.append(item if isinstance(item, pl.DataFrame) else read_table(Path(item)))
        names.append(Message("tabular.read.table") if isinstance(item, pl.DataFrame) else Path(item).name)
    return pl.concat(tables, how="diagonal_relaxed") if len(tables) > 1 else tables[0], tuple(names)


def _target_names(columns: CaseColumns) -> tuple[str, ...]:
    """The columns to predict: those that the study names, else one of a usual name."""
    usual = [name for name in columns.facts.columns if name.lower() in USUAL_TARGETS]
    if not columns.study.target and len(usual) != 1:
        raise UserError("cases.no-target", table=columns.where, columns=listed(columns.facts.columns))
    return columns.study.target or (usual[0],)


def _answers(columns: CaseColumns, expected: Sequence[Target]) -> TargetColumns:
    """The targets with their columns of the case table."""
    rows, names, options = columns.facts, columns.targets, columns.study.options
    limits = []
    if names and "follow_up" in options:
        return _until_event(rows, names, options, expected)
    for column in [rows[name] for name in names if not options.get("kind")]:
        unit = next((target.unit for target in expected if target.name == column.name), "")
        if (read := read_limits(column, unit)) is not None:
            rows = rows.with_columns(read[0])
            limits.append(read[1].alias(f"{column.name}.limit"))
    found = target_columns(rows, names, options, expected)
    targets = tuple(_scaled(target, found.values, options) for target in found.targets)
    return found._replace(targets=targets, values=found.values.with_columns(limits))


def _until_event(
    rows: pl.DataFrame, names: Sequence[str], options: Mapping[str, str], expected: Sequence[Target]
) -> TargetColumns:
    """The time until an event, of two columns: whether it has happened, and when, or when the case was last seen."""
    known = expected[0] if expected else None
    classes = known.values if known else class_names(options)
    event = read_target(rows[names[0]], "classes", classes, options.get("positive", ""))
    words = of(event.target).words
    if len(names) > 1 or len(words) != 2:
        raise UserError("tabular.read.one-event")
    try:
        ends = [float(end) for end in (known.classes if known else several(options.get("horizons", "")))]
    except ValueError:
        raise UserError("tabular.read.horizons", horizons=options["horizons"]) from None
    time = as_numbers(rows[options["follow_up"]])
    target, values = read_survival(names[0], event.values, time.values, ends, time.unit)
    return TargetColumns((replace(target, values=words),), values, event.findings)


def _scaled(target: Target, values: pl.DataFrame, options: Mapping[str, str]) -> Target:
    scale = options.get("scale", "linear")
    if scale == "linear":
        return target
    if scale != "log" or target.classes or (values[target.name].drop_nulls() <= 0).any():
        raise UserError("tabular.read.scale", scale=scale)
    return replace(target, scale="log")
