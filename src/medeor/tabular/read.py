"""The cases of a study of a plain table: what the user gave, with one row a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from medeor.contracts import Cases, Message, Sources, Study, Target, Text, UserError, listed, named
from medeor.formats.tables.read import read_table, set_apart, table_findings
from medeor.formats.tables.rows import counted, digest_of, digests
from medeor.formats.values.columns import as_numbers
from medeor.formats.values.measured.measurements import read_limits
from medeor.formats.values.targets import PARTS, TargetColumns, read_parts, read_target, read_targets
from medeor.targets import of
from medeor.targets.survival import read_survival

USUAL_TARGETS = ("label", "target", "class", "diagnosis", "outcome", "y")
"""Columns taken as the target when the study names none."""
USUAL_PARTS = ("part", "split", "subset", "set")
"""Columns taken as the official split when the study names none, if they hold the names of parts."""
_OWN = {"case_id", "group", "site", "time", "part", "fold", "source", "content", "broken"}


def read_cases(sources: Sources, study: Study) -> Cases:
    """The cases of a study. Sources are tables, as files or in memory, whose rows are put together.

    The columns of the table, one row a case:

    - `case_id`: 12 hex digits: a digest of the study's own id (a column `case_id`, or that which `--option id` names),
      else of the row; no other case changes it, save that a further copy is counted
    - `group`: the study's column, else the case
    - `site`, `time`: the study's columns, where it names them; `part`: of the official split, where there is one
    - the targets; `<target>.limit` beside times until an event, and numbers with limits (see `Target.limit`)
    - the user's other columns as they were read, of which a model may be given `Cases.features`
    - `source`: what the user calls the case; `content`: a digest of its features
    - `broken`: why the case cannot be used, null where it can

    Raises: UserError where nothing can be read, a column is missing, or there is nothing to predict."""
    rows, name = _gathered(sources)
    there = listed(map(repr, rows.columns))
    no_value, no_label = (pl.lit(str(why)) for why in named("tabular.broken", "no-value", "no-label").values())
    study = replace(study, subgroups=(*study.subgroups, *(one for one in sources.subgroups if one in rows.columns)))
    if not sources.labelled or sources.model is not None:
        study = _present(study, rows.columns)
    names = _target_names(rows, study, name) if sources.labelled else ()
    own_id = study.options.get("id") or ("case_id" if "case_id" in rows.columns else "")
    roles = {study.group: "group", study.site: "site", study.time: "time"}
    dropped = _several(study.options.get("drop", ""))
    for column in (*names, *roles, *study.subgroups, own_id, *dropped, study.options.get("follow_up")):
        if column and column not in rows.columns:
            raise UserError("tabular.read.missing", column=column, table=name, columns=there)
    answers = _answers(rows, names, study, sources.targets)
    part = _part(rows, study)
    here = set_apart(rows.columns, _OWN.__contains__)
    others = [column for column in rows.columns if column not in {*names, *roles, *dropped} - {*study.subgroups}]
    apart = {*dropped, own_id, study.split, part, study.options.get("follow_up")}
    apart |= {target.name for target in sources.model.targets} if sources.model else set()
    # What cases are divided by is known of no case that is held out.
    features = [here[column] for column in others if column not in apart]
    rest = rows.select(pl.col(column).alias(here[column]) for column in others)
    if not features:
        raise UserError("tabular.read.no-feature", table=name, columns=there)
    content = digests(rest.select(features))
    called = rows[own_id].cast(pl.String).to_list() if own_id else [None] * rows.height
    ids = counted([digest_of(text) if text else alike for text, alike in zip(called, content)])
    table = rest.with_columns(
        *answers.values.get_columns(),
        *(rows[column].alias(role) for column, role in roles.items() if column and role != "group"),
        *([read_parts(rows[part])] if part else []),
        group=(rows[study.group].cast(pl.String) if study.group else pl.lit(None)),
        case_id=pl.Series(ids, dtype=pl.String),
        source=pl.Series([text or f"row {row}" for row, text in enumerate(called, 2)], dtype=pl.String),
        content=pl.Series(content, dtype=pl.String),
        broken=pl.when(pl.all_horizontal(pl.col(features).is_null())).then(no_value),
    ).with_columns(pl.col("group").fill_null(pl.col("case_id")))
    if answers.targets:
        unknown = pl.all_horizontal(pl.col(target.name).is_null() for target in answers.targets)
        table = table.with_columns(broken=pl.coalesce("broken", pl.when(unknown).then(no_label)))
    subgroups = tuple(roles.get(column) or here[column] for column in study.subgroups)
    paths = [Path(item) for item in sources.given if isinstance(item, str | Path)]
    findings = (*(one for path in paths for one in table_findings(path)), *answers.findings)
    return Cases(table, answers.targets, subgroups=subgroups, features=tuple(features), findings=findings)


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


def _present(study: Study, columns: Sequence[str]) -> Study:
    """The study without roles that its model's new cases do not have."""
    group, site, time, split = (
        name if name in columns else "" for name in (study.group, study.site, study.time, study.split)
    )
    options = {key: text for key, text in study.options.items() if key not in ("id", "follow_up") or text in columns}
    options["drop"] = "|".join(name for name in _several(options.get("drop", "")) if name in columns)
    subgroups = tuple(name for name in study.subgroups if name in columns)
    return replace(study, group=group, site=site, time=time, split=split, subgroups=subgroups, options=options)


def _target_names(rows: pl.DataFrame, study: Study, name: tuple[Text, ...]) -> tuple[str, ...]:
    """The columns to predict: those that the study names, else one of a usual name."""
    usual = [column for column in rows.columns if column.lower() in USUAL_TARGETS]
    if not study.target and len(usual) != 1:
        raise UserError("tabular.read.no-target", table=name, columns=listed(map(repr, rows.columns)))
    return study.target or (usual[0],)


def _answers(rows: pl.DataFrame, names: Sequence[str], study: Study, expected: Sequence[Target]) -> TargetColumns:
    """The targets with their columns of the case table."""
    if not names:
        return TargetColumns((), pl.DataFrame(height=rows.height))
    options, limits = study.options, []
    if "follow_up" in options:
        return _until_event(rows, names, options, expected)
    for column in [rows[name] for name in names if not options.get("kind")]:
        unit = next((target.unit for target in expected if target.name == column.name), "")
        if (read := read_limits(column, unit)) is not None:
            rows = rows.with_columns(read[0])
            limits.append(read[1].alias(f"{column.name}.limit"))
    kind, classes = options.get("kind", ""), _several(options.get("classes", ""))
    found = read_targets(rows, names, kind, classes, options.get("positive", ""), expected)
    targets = tuple(_scaled(target, found.values, options) for target in found.targets)
    return found._replace(targets=targets, values=found.values.with_columns(limits))


def _until_event(
    rows: pl.DataFrame, names: Sequence[str], options: Mapping[str, str], expected: Sequence[Target]
) -> TargetColumns:
    """The time until an event, of two columns: whether it has happened, and when, or when the case was last seen."""
    known = expected[0] if expected else None
    classes = known.values if known else _several(options.get("classes", ""))
    event = read_target(rows[names[0]], "classes", classes, options.get("positive", ""))
    words = of(event.target).words
    if len(names) > 1 or len(words) != 2:
        raise UserError("tabular.read.one-event")
    try:
        ends = [float(end) for end in (known.classes if known else _several(options.get("horizons", "")))]
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


def _part(rows: pl.DataFrame, study: Study) -> str:
    """The column of the official split: the one that the study names, or one of a usual name, if it holds parts."""
    usual = [name for name in rows.columns if name.lower() in USUAL_PARTS]
    for name in [study.split] if study.split in rows.columns else [] if study.split else usual:
        if rows[name].cast(pl.String).str.strip_chars().str.to_lowercase().is_in(list(PARTS)).any():
            return name
    return ""


def _several(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in text.split("|") if one.strip())
