"""The cases of a study of compounds: what the user gave, read and standardised once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from medeor.contracts import Cases, Finding, Message, Sources, Study, Target, UserError, listed
from medeor.files import exists
from medeor.formats.molecules.read import MoleculeRows, identifiers, read_molecules
from medeor.formats.tables.read import set_apart, table_findings
from medeor.formats.values.measured.measurements import is_measured
from medeor.formats.values.measured.unit_columns import qualifies
from medeor.formats.values.targets import PARTS, names_cases, read_parts
from medeor.molecules.read.endpoints import GENERIC, Endpoint, find_endpoint
from medeor.molecules.read.measured import known_endpoints, read_answers
from medeor.molecules.read.splits import WAYS, parts, units
from medeor.molecules.read.standardise import Rules, Standard, standardised
from medeor.molecules.read.store import MoleculeStore

_OWN = {
    "case_id", "group", "site", "time", "part", "source", "place", "given", "smiles", "content", "changes", "broken",
    "fold", "unread",
}  # fmt: skip
_USUAL_PARTS = ("part", "split", "subset", "set", "fold", "partition")
"""What a column of parts is usually called."""


def read_cases(sources: Sources, study: Study) -> Cases:
    """The cases of a study and their `MoleculeStore`. Sources are tables, SDF, lists of SMILES, polars tables, or
    SMILES themselves. `where` may hold `smiles` (the column of structures), `kind`, `classes` and `positive` (see
    `formats.targets`), `tautomer=canonical` and `stereo=drop`, and of numbers `scale`, `unit`, `endpoint` and `decimal`
    (see `molecules.answers`).

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
        raise UserError("molecules.read.no-source")
    rows = _together([read_molecules(_source(item), study.options.get("smiles", "")) for item in sources.given])
    facts = rows.facts
    study = replace(study, subgroups=(*study.subgroups, *(name for name in sources.subgroups if name in facts.columns)))
    for name in (study.group, study.site, study.time, *study.subgroups):
        if name and name not in facts.columns:
            raise UserError("molecules.read.no-column", column=name, name=rows.name, columns=listed(facts.columns))
    names = target_columns(rows, study) if sources.labelled else ()
    answers = read_answers(facts, names, study, rows.name, sources.targets, _roles(study), rows.decimal)
    facts = facts.rename(answers.beside)
    read = standardised(rows.structures.to_list(), rules(study))
    broken = [problem or one.problem for problem, one in zip(rows.problems, read)]
    if all(broken):
        first = {"place": rows.places[0], "problem": broken[0]}
        raise UserError("molecules.read.none-usable", count=len(broken), name=rows.name, **first)
    if names:
        unknown = answers.table.select(pl.all_horizontal(pl.col(t.name).is_null() for t in answers.targets)).to_series()
        no_label = str(Message("molecules.read.no-label"))
        broken = [why or (no_label if none else None) for why, none in zip(broken, unknown)]
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
    answered = sources.model.targets if sources.model else answers.targets
    endpoints = answers.endpoints if names else known_endpoints(answered, study)
    notes = (*rows.notes, *answers.notes)
    store = MoleculeStore(compounds, notes, answers.left_out, answers.mixed, endpoints, answers.assumed)
    roles = {study.group: "group", study.site: "site", study.time: "time"} | {name: name for name in names}
    here = set_apart(facts.columns, _OWN.__contains__) | roles
    subgroups = tuple(here[name] for name in study.subgroups)
    noticed = [replace(one.finding, cases=tuple(table["case_id"].gather(list(one.rows)))) for one in answers.findings]
    unused = _unused_parts(facts, study) if sources.labelled else ()
    found = (*_of_tables(sources), *rows.findings, *noticed, *unused)
    # What names a compound in the user's file, the standardised structure, and what the standardisation did.
    carried = (*identifiers(table.columns), "smiles", "changes")
    return Cases(table, answers.targets, {"molecules": store}, subgroups, findings=found, carried=carried)


def _of_tables(sources: Sources) -> tuple[Finding, ...]:
    paths = [Path(item) for item in sources.given if isinstance(item, (str, Path))]
    return tuple(one for path in paths if exists(path) for one in table_findings(path))


def rules(study: Study) -> Rules:
    """The rules of standardisation that a study asks for. Raises: UserError for what there is not."""
    allowed = {"tautomer": ("keep", "canonical"), "stereo": ("keep", "drop")}
    for key, values in allowed.items():
        if study.options.get(key, "keep") not in values:
            raise UserError("molecules.option.choice", key=key, value=study.options[key], allowed=values)
    return Rules(study.options.get("tautomer") == "canonical", study.options.get("stereo") != "drop")


def target_columns(rows: MoleculeRows, study: Study) -> tuple[str, ...]:
    """The columns to predict: those that the study names, else those that the table of endpoints knows, else one of a
    usual name, else the only number or pair of classes there is."""
    facts = rows.facts
    if study.target:
        for name in study.target:
            if name not in facts.columns:
                raise UserError("molecules.read.no-column", column=name, name=rows.name, columns=listed(facts.columns))
        return study.target
    free = [name for name in facts.columns if name not in _roles(study) and not qualifies(facts[name], facts.columns)]
    free = [name for name in free if is_measured(facts[name]) or not names_cases(facts[name])]
    known = [name for name in free if find_endpoint(name, rows.name) is not None]
    usual = [name for name in free if name.lower() in GENERIC]
    if found := (usual if len(usual) == 1 else known) or (free if len(free) == 1 else []):
        return tuple(found)
    if not free:
        return ()
    raise UserError("molecules.read.no-target", name=rows.name, columns=listed(free))


def _roles(study: Study) -> set[str]:
    return {study.group, study.site, study.time, study.split, *study.subgroups}


def endpoint_of(target: Target, cases: Cases) -> Endpoint | None:
    """What is known of a target, in its unit."""
    return cases.store("molecules", MoleculeStore).endpoints.get(target.name)


def _source(item: object) -> str | Path | pl.DataFrame:
    if isinstance(item, (str, Path, pl.DataFrame)):
        return item
    raise UserError("molecules.read.other-type", type=type(item).__name__)


def _together(every: Sequence[MoleculeRows]) -> MoleculeRows:
    if len(every) == 1:
        return every[0]
    return MoleculeRows(
        pl.concat([one.structures.rename("structures") for one in every]),
        pl.concat([one.facts for one in every], how="diagonal_relaxed"),
        pl.concat([one.problems.rename("problems") for one in every]),
        pl.concat([one.places.rename("places") for one in every]),
        ", ".join(one.name for one in every),
        tuple(note for one in every for note in one.notes),
        tuple(finding for one in every for finding in one.findings),
        every[0].decimal if len({one.decimal for one in every}) == 1 else "",
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
    """The column of parts that the study names; none where its values do not name parts and stay together instead.
    Raises: UserError for a slip among parts, or in all of them."""
    if study.split not in facts.columns:
        return []
    column = facts[study.split]
    known = set(column.cast(pl.String).str.strip_chars().str.to_lowercase().drop_nulls())
    slips = study.split.lower() in _USUAL_PARTS and all(get_close_matches(text, PARTS, 1, 0.7) for text in known)
    return [read_parts(column)] if known & set(PARTS) or (known and slips) else []


def _unused_parts(facts: pl.DataFrame, study: Study) -> tuple[Finding, ...]:
    """A word on a column of parts that a study without a split of its own leaves aside."""
    for name in facts.columns if not study.split else ():
        column = facts[name]
        if name.lower() in _USUAL_PARTS and column.dtype == pl.String:
            known = set(column.str.strip_chars().str.to_lowercase().drop_nulls())
            if len(known) > 1 and known <= set(PARTS):
                text = Message("molecules.read.parts-not-used", column=name)
                return (Finding("parts-not-used", "quality", "unknown", text),)
    return ()


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
