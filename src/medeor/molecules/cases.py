"""The cases of a study of compounds: what the user gave, read and standardised once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from medeor.contracts import Cases, Finding, Sources, Study, Target, UserError
from medeor.files import exists
from medeor.formats.beside import Beside, beside, is_beside
from medeor.formats.measurements import is_measured, read_measurements
from medeor.formats.molecules import MoleculeRows, read_molecules
from medeor.formats.tables import set_apart, table_findings
from medeor.formats.targets import by_own_name, exclusive, names_cases, read_parts, read_target
from medeor.formats.units import OneUnit, in_one_unit
from medeor.molecules.endpoints import GENERIC, Endpoint, find_endpoint
from medeor.molecules.splits import WAYS, parts, units
from medeor.molecules.standardise import Rules, Standard, standardised
from medeor.molecules.store import MoleculeStore

_OWN = {
    "case_id", "group", "site", "time", "part", "source", "place", "given", "smiles", "content", "changes", "broken",
    "fold", "unread",
}  # fmt: skip


def read_cases(sources: Sources, study: Study) -> Cases:
    """The cases of a study and their `MoleculeStore`. Sources are tables, SDF, lists of SMILES, polars tables, or
    SMILES themselves. `where` may hold `smiles` (the column of structures), `kind`, `classes` and `positive` (see
    `formats.targets`), `tautomer=canonical` and `stereo=drop`.

    The columns of the table, one row a case:

    - `case_id`: 12 hex digits of the structure as given; no other case changes it
    - `group`: the study's column; by scaffold or cluster, that; else the compound without stereochemistry
    - `part`, where the study names a column of parts; `scaffold` and the like, where it asks for that split
    - the targets; beside a target with censored values `<target>.limit`: 1 where the truth lies above the value, -1
      below, 0 where it is the value
    - the other columns of the user's table; those that say relation or unit of a target (see `formats.beside`) under
      its name and theirs, `<target>.given <column>`, as they do not speak of the values in this table
    - `given`, `place`: the structure as it stood, and where; `source`: the first, or where there is none the second;
      `smiles`: as standardised; `content`: the same without
      stereochemistry; `changes`: what the standardisation did; `unread`: targets whose text is no measurement
    - `broken`: why the case cannot be used, null where it can

    Raises: UserError where nothing can be read or there is nothing to predict."""
    if not sources.given:
        raise UserError("no source is given: name a table, an SDF, a list of SMILES, or a SMILES")
    rows = _together([read_molecules(_source(item), study.where.get("smiles", "")) for item in sources.given])
    facts = rows.facts
    study = replace(study, subgroups=(*study.subgroups, *(name for name in sources.subgroups if name in facts.columns)))
    for name in (study.group, study.site, study.time, *study.subgroups):
        if name and name not in facts.columns:
            raise UserError(f"there is no column '{name}' in {rows.name}; it has {_listed(facts.columns)}")
    names = target_columns(rows, study) if sources.labelled else ()
    answers = _answers(facts, names, study, rows.name, sources.targets)
    facts = facts.rename(answers.beside)
    read = standardised(rows.structures.to_list(), rules(study))
    broken = [problem or one.problem for problem, one in zip(rows.problems, read)]
    if all(broken):
        raise UserError(f"none of the {len(broken)} rows of {rows.name} is a molecule; {rows.places[0]}: {broken[0]}")
    if names:
        unknown = answers.table.select(pl.all_horizontal(pl.col(t.name).is_null() for t in answers.targets)).to_series()
        broken = [why or ("it has no label" if none else None) for why, none in zip(broken, unknown)]
    table = pl.DataFrame(
        [
            pl.Series("case_id", _ids(rows.structures.to_list())),
            *([facts[study.site].alias("site")] if study.site else []),
            *([facts[study.time].alias("time")] if study.time else []),
            *_given_part(facts, study),
            *answers.table,
            *_others(facts, names, study),
            rows.structures.alias("given"),
            rows.structures.fill_null(rows.places).alias("source"),
            rows.places.alias("place"),
            *_columns(read),
            answers.unread.alias("unread"),
            pl.Series("broken", broken, pl.String),
        ]
    )
    table = _grouped(table, facts, study, sources.labelled)
    compounds = table["smiles"].drop_nulls().unique(maintain_order=True)
    store = MoleculeStore(compounds, (*rows.notes, *answers.notes), answers.left_out, answers.mixed)
    roles = {study.group: "group", study.site: "site", study.time: "time"} | {name: name for name in names}
    here = set_apart(facts.columns, _OWN.__contains__) | roles
    subgroups = tuple(here[name] for name in study.subgroups)
    return Cases(table, answers.targets, (store,), subgroups, findings=(*_of_tables(sources), *answers.findings))


def _of_tables(sources: Sources) -> tuple[Finding, ...]:
    paths = [Path(item) for item in sources.given if isinstance(item, (str, Path))]
    return tuple(one for path in paths if exists(path) for one in table_findings(path))


def rules(study: Study) -> Rules:
    """The rules of standardisation that a study asks for. Raises: UserError for what there is not."""
    allowed = {"tautomer": ("keep", "canonical"), "stereo": ("keep", "drop")}
    for key, values in allowed.items():
        if study.where.get(key, "keep") not in values:
            raise UserError(f"where {key}={study.where[key]}: it is {' or '.join(values)}")
    return Rules(study.where.get("tautomer") == "canonical", study.where.get("stereo") != "drop")


def target_columns(rows: MoleculeRows, study: Study) -> tuple[str, ...]:
    """The columns to predict: those that the study names, else those that the table of endpoints knows, else one of a
    usual name, else the only number or pair of classes there is."""
    facts = rows.facts
    if study.target:
        for name in study.target:
            if name not in facts.columns:
                raise UserError(f"target '{name}' is no column of {rows.name}; it has {_listed(facts.columns)}")
        return study.target
    free = [name for name in facts.columns if name not in _roles(study) and not is_beside(facts[name], facts.columns)]
    free = [name for name in free if is_measured(facts[name]) or not names_cases(facts[name])]
    known = [name for name in free if find_endpoint(name, rows.name) is not None]
    usual = [name for name in free if name.lower() in GENERIC]
    if found := (usual if len(usual) == 1 else known) or (free if len(free) == 1 else []):
        return tuple(found)
    if not free:
        return ()
    raise UserError(f"{rows.name}: say which columns to predict with --target; it has {_listed(free)}")


class _Answers(NamedTuple):
    table: pl.DataFrame
    targets: tuple[Target, ...]
    unread: pl.Series
    """List of text: the targets of each row whose text is no measurement."""
    left_out: tuple[str, ...]
    """Names of targets without two different values."""
    notes: tuple[str, ...]
    """How relations and units were found and values converted."""
    mixed: tuple[str, ...]
    """Why values of a target could not all be put in one unit."""
    beside: dict[str, str]
    """The columns that say relation or unit of a target, and what they are called beside it."""
    findings: tuple[Finding, ...] = ()
    """What of the target columns was not taken as it stands."""


def _answers(
    facts: pl.DataFrame, names: Sequence[str], study: Study, where: str, expected: Sequence[Target]
) -> _Answers:
    """The targets, with limits where values are censored. Of several, one without two different values is left out of
    the targets and stays a column, for the audit to name; unless it is `expected`."""
    wanted = {target.name: target for target in expected}
    targets: list[Target] = []
    columns: list[pl.Series] = []
    unread: dict[str, pl.Series] = {}
    left_out: list[str] = []
    notes: list[str] = []
    mixed: list[str] = []
    findings: list[Finding] = []
    speaking = _speaking(facts, names, study, where, wanted)
    several = len(names) > 1
    classes = tuple(name.strip() for name in study.where.get("classes", "").split("|") if name.strip())
    for name in names:
        column = facts[name]
        endpoint = find_endpoint(name, where)
        unit = wanted[name].unit if name in wanted else endpoint.measured_in if endpoint else ""
        if several and name not in wanted and column.drop_nulls().n_unique() < 2:
            left_out.append(name)
            columns.append(column)
            continue
        kind = _kind(name, endpoint, study, wanted)
        by = speaking.get(name)
        if by or (kind == "continuous" and column.dtype == pl.String) or (not kind and is_measured(column)):
            measured = read_measurements(column, *(facts[one] if one else None for one in by or ()))
            unread[name] = measured.unreadable
            converted = in_one_unit(measured.values, measured.units, unit)
            notes += [*_used(name, by), *_conversion(name, converted)]
            mixed += _mixture(name, converted, unit)
            column, kind, unit = converted.values, "continuous", converted.unit
            if (measured.sides != 0).any():
                columns.append(measured.sides.alias(Target(name, "continuous").limit))
        positive = study.where.get("positive", "")
        target, values, found = read_target(column, kind, () if several else classes, positive, wanted.get(name))
        findings += found
        if several and name not in wanted:
            target = by_own_name(target)
        if target.kind == "continuous" and name not in wanted:
            scale: Literal["linear", "log"] = "log" if endpoint is not None and endpoint.scale == "log" else "linear"
            target = Target(name, "continuous", (), unit, scale)
        if target.scale == "log" and (bad := int((values <= 0).sum())):
            raise UserError(
                f"{where}: {bad} values of '{name}' are 0 or below, and it is learned by its logarithm; "
                "take them out, or give a limit (<0.01)"
            )
        targets.append(target)
        columns.append(values)
    if names and not targets:
        raise UserError(f"none of the targets {_listed(names)} of {where} has two different values")
    flags = pl.DataFrame([flag.alias(name) for name, flag in unread.items()])
    rows = [[name for name, bad in row.items() if bad] for row in flags.iter_rows(named=True)] or [[]] * facts.height
    table = pl.DataFrame(columns) if columns else pl.DataFrame(height=facts.height)
    flagged = pl.Series(rows, dtype=pl.List(pl.String))
    free = [(name, one) for name, by in speaking.items() for one in by if one and one not in _roles(study)]
    here = {one: f"{name}.given {one}" for name, one in free}
    findings += exclusive(targets, table)
    return _Answers(table, tuple(targets), flagged, tuple(left_out), tuple(notes), tuple(mixed), here, tuple(findings))


def _kind(name: str, endpoint: Endpoint | None, study: Study, wanted: Mapping[str, Target]) -> str:
    """What kind of target a column is known to be before its values are looked at; empty where they decide."""
    if name in wanted:
        return "continuous" if wanted[name].kind == "continuous" else "classes"
    return study.where.get("kind", "") or (endpoint.kind if endpoint and endpoint.kind == "continuous" else "")


def _speaking(
    facts: pl.DataFrame, names: Sequence[str], study: Study, where: str, wanted: Mapping[str, Target]
) -> dict[str, Beside]:
    """The columns that say relation or unit of each measured target that has any. A relation counts where the target's
    own cells hold none; one of a general name not for a negative logarithm: it may be the concentration's, the other
    way round."""
    known = {name: find_endpoint(name, where) for name in names}
    measured = [name for name in names if _is_number(facts[name], _kind(name, known[name], study, wanted))]
    found = {}
    for name in measured:
        endpoint = known[name]
        alone = len(measured) == 1 and not (endpoint and endpoint.unit.startswith("-log10"))
        by = beside(facts.drop(set(names) - {name}), name, alone)
        if by.relations and (read_measurements(facts[name]).sides != 0).any():
            by = by._replace(relations="")
        if any(by):
            found[name] = by
    return found


def _is_number(column: pl.Series, kind: str) -> bool:
    if kind:
        return kind == "continuous"
    if column.dtype.is_numeric():
        return column.drop_nulls().n_unique() > 1 and read_target(column)[0].kind == "continuous"
    return is_measured(column)


def _used(name: str, by: Beside | None) -> list[str]:
    by = by or Beside()
    said = [f"relations of '{name}' in column '{by.relations}'"] if by.relations else []
    return said + ([f"units of '{name}' in column '{by.units}'"] if by.units else [])


def _conversion(name: str, one: OneUnit) -> list[str]:
    return [f"'{name}' in {one.unit}, converted where written in {_counted(one.converted)}"] if one.converted else []


def _mixture(name: str, one: OneUnit, known: str) -> list[str]:
    """What keeps values from being in one unit: a unit that is no multiple of the others', or none beside several,
    where the target's is not `known`."""
    said = []
    if one.foreign:
        into = f"in {one.unit}" if one.unit else "without a unit"
        said.append(f"'{name}' is read {into}, and of that no known multiple is {_counted(one.foreign)}")
    if one.converted and one.bare and not known:
        said.append(f"{one.bare} values of '{name}' stand without a unit among others in several; {one.unit} is taken")
    return said


def _counted(units: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{unit} ({count} rows)" for unit, count in units)


def _roles(study: Study) -> set[str]:
    return {study.group, study.site, study.time, study.split, *study.subgroups}


def endpoint_of(target: Target, cases: Cases) -> Endpoint | None:
    """What is known of a target: by its name, or the name of the file that its first case stood in."""
    place = cases.table["place"].first() if "place" in cases.table.columns else ""
    return find_endpoint(target.name, str(place).split(" of ", 1)[-1])


def _source(item: object) -> str | Path | pl.DataFrame:
    if isinstance(item, (str, Path, pl.DataFrame)):
        return item
    raise UserError(f"compounds are read from files, tables or SMILES, not from {type(item).__name__}")


def _together(listed: Sequence[MoleculeRows]) -> MoleculeRows:
    if len(listed) == 1:
        return listed[0]
    return MoleculeRows(
        pl.concat([one.structures.rename("structures") for one in listed]),
        pl.concat([one.facts for one in listed], how="diagonal_relaxed"),
        pl.concat([one.problems.rename("problems") for one in listed]),
        pl.concat([one.places.rename("places") for one in listed]),
        ", ".join(one.name for one in listed),
        tuple(note for one in listed for note in one.notes),
    )


def _columns(read: Sequence[Standard]) -> list[pl.Series]:
    return [
        pl.Series("smiles", [one.smiles for one in read], pl.String),
        pl.Series("content", [one.flat for one in read], pl.String),
        pl.Series("changes", [list(one.changes) for one in read], pl.List(pl.String)),
    ]


def _grouped(table: pl.DataFrame, facts: pl.DataFrame, study: Study, labelled: bool) -> pl.DataFrame:
    """With the independent unit of each case, and the parts that this modality alone can name."""
    usable = table["broken"].is_null()
    way = study.split if labelled else ""
    if way in WAYS and way not in facts.columns:
        chosen = table.filter(usable)
        unit = units(chosen["content"], way)
        divided = pl.DataFrame({"case_id": chosen["case_id"], "group": unit, way: parts(unit, way, study.seed)})
        table = table.join(divided, on="case_id", how="left", maintain_order="left")
    elif study.group:
        table = table.with_columns(facts[study.group].cast(pl.String).alias("group"))
    else:
        table = table.with_columns(pl.col("content").alias("group"))
    return table.with_columns(pl.col("group").fill_null(pl.col("case_id")))


def _given_part(facts: pl.DataFrame, study: Study) -> list[pl.Series]:
    """The column of parts that the study names, if its values are such."""
    if study.split not in facts.columns:
        return []
    try:
        return [read_parts(facts[study.split])]
    except UserError:
        return []


def _others(facts: pl.DataFrame, targets: Sequence[str], study: Study) -> list[pl.Series]:
    """The rest of the user's columns, under names that medeor does not use itself."""
    used = {*targets, study.group, study.site, study.time} - {""}
    names = set_apart(facts.columns, _OWN.__contains__)
    return [facts[name].alias(names[name]) for name in facts.columns if name not in used]


def _ids(structures: Sequence[str | None]) -> list[str]:
    """Pseudonyms: short digests of the structures; one that comes again is counted."""
    before: dict[str, int] = {}
    ids = []
    for text in structures:
        text = text or ""
        count = before[text] = before.get(text, 0) + 1
        ids.append(hashlib.sha256((text if count == 1 else f"{text}\0{count}").encode()).hexdigest()[:12])
    return ids


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:12]) + (", …" if len(names) > 12 else "")
