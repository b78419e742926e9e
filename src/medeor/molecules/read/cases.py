"""The cases of a study of compounds: what the user gave, read and standardised once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from medeor.contracts import Cases, Finding, Message, Sources, Study, Target, Text, UserError, listed
from medeor.formats.cases import OWN, CaseColumns, case_columns, findings_of_tables, why_broken
from medeor.formats.molecules.read import MoleculeRows, identifiers, read_molecules
from medeor.formats.tables.rows import digest_of
from medeor.formats.values.measured.measurements import is_measured
from medeor.formats.values.measured.unit_columns import qualifies
from medeor.formats.values.targets import names_cases
from medeor.molecules.read.endpoints import GENERIC, Endpoint, find_endpoint
from medeor.molecules.read.measured import known_endpoints, read_answers
from medeor.molecules.read.splits import WAYS, parts, units
from medeor.molecules.read.standardise import Rules, Standard, standardised
from medeor.molecules.read.store import MoleculeStore

_OWN = OWN | {"place", "given", "smiles", "changes", "unread"}


def read_cases(sources: Sources, study: Study) -> Cases:
    """The cases of a study and their `MoleculeStore`. Sources are tables, SDF, lists of SMILES, polars tables, or
    SMILES themselves. Options: `smiles` (the column of structures), `kind`, `classes` and `positive` (see
    `formats.values.targets`), `tautomer=canonical` and `stereo=drop`, and for numbers `scale`, `unit`, `endpoint` and
    `decimal` (see `read_answers`).

    The columns of the table, one row a case:

    - `case_id`: 12 hex digits of the structure as given; no other case changes it
    - `group`: the study's column; by scaffold or cluster, that; else the compound without stereochemistry
    - `part`, where the study names a column of parts; `scaffold` and the like, where it asks for that split
    - the targets; for a target with censored values also `<target>.limit` (see `Target.limit`)
    - the other columns of the user's table; relations and units of a target (see `unit_columns`) under its name and
      theirs, `<target>.given <column>`, as they do not describe the values in this table
    - `given`, `place`: the structure as it stood, and where; `source`: the first, or where there is none the second;
      `smiles`: as standardised; `content`: the same without stereochemistry; `changes`: what the standardisation did;
      `unread`: targets whose text is no measurement
    - `broken`: why the case cannot be used, null where it can

    Raises: UserError where nothing can be read or there is nothing to predict."""
    if not sources.given:
        raise UserError("molecules.read.no-source")
    rows = _together([read_molecules(_source(item), study.options.get("smiles", "")) for item in sources.given])
    columns = case_columns(rows.facts, sources, study, rows.name)
    # Compounds are divided by what they are: a split that the study does not name may tear near copies apart.
    columns = replace(columns, own=_OWN, unnamed_split="reported")
    columns = columns.predicting(_target_columns(columns) if sources.labelled else ())
    study, names = columns.study, columns.targets
    roles = set(rows.facts.columns) - set(columns.free)
    answers = read_answers(rows.facts, names, study, rows.name, sources.targets, roles, rows.decimal)
    columns = replace(columns, facts=rows.facts.rename(answers.renamed))
    read = standardised(rows.structures.to_list(), rules(study))
    broken = [problem or one.problem for problem, one in zip(rows.problems, read)]
    if all(broken):
        first = {"place": rows.places[0], "problem": broken[0]}
        raise UserError("molecules.read.none-usable", count=len(broken), name=rows.name, **first)
    table = pl.DataFrame(
        [
            pl.Series("case_id", _ids(rows.structures.to_list())),
            *columns.roles,
            *([] if columns.split.part is None else [columns.split.part]),
            *answers.table,
            *columns.others().values(),
            rows.structures.alias("given"),
            rows.structures.fill_null(rows.places).alias("source"),
            rows.places.alias("place"),
            *_series(read),
            answers.unread.alias("unread"),
            why_broken(broken, answers.table, answers.targets),
        ]
    )
    table = _grouped(table, columns, study.split if sources.labelled else "")
    compounds = table["smiles"].drop_nulls().unique(maintain_order=True)
    answered = sources.model.targets if sources.model else answers.targets
    endpoints = answers.endpoints if names else known_endpoints(answered, study)
    noticed = [replace(one.finding, cases=tuple(table["case_id"].gather(list(one.rows)))) for one in answers.findings]
    findings = (
        _as_read(table.height, len(compounds), (*rows.notes, *answers.notes)),
        *findings_of_tables(sources.given),
        *rows.findings,
        *noticed,
        *(columns.split.findings if sources.labelled and sources.model is None else ()),
    )
    # What names a compound in the user's file, the standardised structure, and what the standardisation did.
    carried = (*identifiers(table.columns), "smiles", "changes")
    store = MoleculeStore(compounds, answers.mixed, endpoints, answers.assumed)
    return Cases(table, answers.targets, {"molecules": store}, columns.subgroups, findings=findings, carried=carried)


def _as_read(rows: int, compounds: int, notes: Sequence[Text]) -> Finding:
    """How the sources were read, where that was inferred rather than stated."""
    counts = {
        "rows": Message("common.count.row", count=rows),
        "compounds": Message("molecules.read.different", count=compounds),
    }
    text = Message("molecules.read.as-read-how" if notes else "molecules.read.as-read", **counts, notes=notes)
    return Finding("as-read", "quality", "pass", text)


def rules(study: Study) -> Rules:
    """The rules of standardisation that a study asks for. Raises: UserError for what there is not."""
    allowed = {"tautomer": ("keep", "canonical"), "stereo": ("keep", "drop")}
    for key, values in allowed.items():
        if study.options.get(key, "keep") not in values:
            raise UserError("molecules.option.choice", key=key, value=study.options[key], allowed=values)
    return Rules(study.options.get("tautomer") == "canonical", study.options.get("stereo") != "drop")


def _target_columns(columns: CaseColumns) -> tuple[str, ...]:
    """The columns to predict: those that the study names, else those that the table of endpoints knows, else one of a
    usual name, else the only number or pair of classes there is."""
    if columns.study.target:
        return columns.study.target
    facts, where = columns.facts, str(columns.where)
    free = [name for name in columns.free if not qualifies(facts[name], facts.columns)]
    free = [name for name in free if is_measured(facts[name]) or not names_cases(facts[name])]
    known = [name for name in free if find_endpoint(name, where) is not None]
    usual = [name for name in free if name.lower() in GENERIC]
    if found := (usual if len(usual) == 1 else known) or (free if len(free) == 1 else []):
        return tuple(found)
    if not free:
        return ()
    raise UserError("cases.no-target", table=where, columns=listed(free))


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


def _series(read: Sequence[Standard]) -> list[pl.Series]:
    return [
        pl.Series("smiles", [one.smiles for one in read], pl.String),
        pl.Series("content", [one.flat for one in read], pl.String),
        pl.Series("changes", [list(one.changes) for one in read], pl.List(pl.String)),
    ]


def _grouped(table: pl.DataFrame, columns: CaseColumns, way: str) -> pl.DataFrame:
    """With the independent unit of each case, and the parts that this modality alone can name."""
    if way in WAYS and way not in columns.facts.columns:
        chosen = table.filter(pl.col("broken").is_null())
        unit = units(chosen["content"], way)
        divided = {"case_id": chosen["case_id"], "group": unit, way: parts(unit, way, columns.study.seed)}
        table = table.join(pl.DataFrame(divided), on="case_id", how="left", maintain_order="left")
    else:
        table = table.with_columns(columns.groups if columns.study.group else pl.col("content").alias("group"))
    return table.with_columns(pl.col("group").fill_null(pl.col("case_id")))


def _ids(structures: Sequence[str | None]) -> list[str]:
    """Pseudonyms: short digests of the structures; one that comes again is counted."""
    before: dict[str, int] = {}
    ids = []
    for text in structures:
        text = text or ""
        count = before[text] = before.get(text, 0) + 1
        ids.append(digest_of(text if count == 1 else f"{text}\0{count}"))
    return ids
