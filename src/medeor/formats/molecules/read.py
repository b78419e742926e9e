"""Molecules as people keep them: a table with a column of SMILES or InChI, an SDF, a list of SMILES. Rows are read as
they stand; whether a structure is one, `medeor.molecules.read.standardise` says."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from medeor.contracts import Finding, Message, Text, UserError, listed
from medeor.files import exists
from medeor.formats.molecules.facts import LISTS, NAMES, SDF
from medeor.formats.molecules.sdf import records, write_sdf
from medeor.formats.molecules.structures import is_structure, of_inchi, share, skeleton
from medeor.formats.molecules.tables import identifiers, is_headless, named, read_text_table
from medeor.formats.tables.facts import TABLES, TEXTS, WORKBOOKS
from medeor.formats.tables.read import content_of, decoded, read_table, text_of, typed
from medeor.formats.values.measured.measurements import Decimal

__all__ = ["MoleculeRows", "identifiers", "read_molecules", "structure_column", "write_sdf"]

SAMPLE = 60
"""Values of a column that are parsed to find out whether it holds structures."""
_MOST = 0.8
"""Share of the sample that has to be structures: the rest may be broken."""
_WITHOUT_HEADER = Message("molecules.read.without-header")


class MoleculeRows(NamedTuple):
    """The rows of one source, of which none has been checked."""

    structures: pl.Series
    """SMILES as text; null where there is none."""
    facts: pl.DataFrame
    """The other columns."""
    problems: pl.Series
    """Why a record holds no structure, where the file's own form shows it; else null."""
    places: pl.Series
    """Where each row stands: `row 5 of x.csv`, `record 3 of x.sdf`."""
    name: str
    """The file's name."""
    notes: tuple[Text, ...] = ()
    """What was inferred rather than stated: the column of structures, the separator."""
    findings: tuple[Finding, ...] = ()
    """What the user has to know: columns of structures that are not read."""
    decimal: Decimal = ""
    """The sign that the file writes before decimals, where it is known."""


def read_molecules(source: str | Path | pl.DataFrame, column: str = "") -> MoleculeRows:
    """The rows of a table (CSV of any separator, TSV, Parquet, Excel), an SDF, or a list of SMILES, each also as .gz;
    a polars table; or one SMILES. `column` names the column of SMILES; without it, it is found by its name, else by
    parsing.

    Raises: UserError where nothing can be read, or no column holds structures."""
    if isinstance(source, pl.DataFrame):
        return _of_table(source, str(Message("molecules.place.table")), column)
    path = Path(source)
    if isinstance(source, str) and not exists(path) and not _kind(path) and is_structure(source):
        return _of_list([source], [None], str(Message("molecules.place.command")), 1)
    kind = _kind(path)
    if kind and not path.is_file():
        raise UserError("files.read.folder" if path.exists() else "common.no-file", path=path)
    if kind in SDF:
        return _of_sdf(path)
    if kind in LISTS or (kind == ".txt" and _is_list(path)):
        return _of_lines(path, column)
    if kind not in TABLES:
        raise UserError("molecules.read.neither", source=source)
    return _of_text(path, column) if kind in TEXTS else _of_book(path, column)


def structure_column(table: pl.DataFrame, name: str) -> str:
    """The column of structures: by its name, else the one whose values parse.

    Raises: UserError where none does, several do, or the header is itself a molecule."""
    for column in table.columns:
        if len(column) >= 3 and is_headless([column], [_texts(table[column])]):
            raise UserError("molecules.read.no-header", name=name, column=column)
    called = {column.strip().lower().replace(" ", "_"): column for column in reversed(table.columns)}
    texts = [column for column in table.columns if table[column].dtype == pl.String]
    usual = [called[known] for known in NAMES if known in called and called[known] in texts]
    usual += [column for column in texts if "smiles" in column.lower() and column not in usual]
    for column in usual:
        if _share(table[column]) >= 0.5:
            return column
    found = [column for column in texts if _share(table[column]) >= _MOST and _heavy(table[column])]
    if len(found) == 1:
        return found[0]
    if bare := [column for column in table.columns if is_structure(column) and len(column) >= 8]:
        raise UserError("molecules.read.no-header", name=name, column=bare[0])
    if found:
        raise UserError("molecules.read.several-columns", name=name, columns=found)
    if usual:
        example = table[usual[0]].drop_nulls().head(1).to_list()
        why = "molecules.read.not-smiles" if example else "molecules.read.empty-column"
        raise UserError(why, column=usual[0], name=name, example=(*example, "")[0])
    raise UserError("molecules.read.no-smiles", name=name, columns=listed(table.columns))


def _kind(path: Path) -> str:
    """How a file's name ends, `.gz` aside, in lower case; empty where it is no ending that is known."""
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    return ending if ending in (*SDF, *LISTS, *TABLES) else ""


def _head(path: Path) -> list[str]:
    """The first lines of a text file, which may be compressed."""
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        lines = decoded(file.read(1 << 16)).splitlines()
    return [line for line in lines[:SAMPLE] if line.strip()]


def _is_list(path: Path) -> bool:
    """Whether a text file begins with a molecule and has no columns: a list of SMILES, not a table."""
    first = next(iter(_head(path)), "").split()
    return bool(first) and first[0].lower() not in NAMES and is_structure(first[0]) and len(first[0]) > 3


def _places(what: str, numbers: range, name: str) -> pl.Series:
    """Where each row stands: its number, as one of `molecules.place`."""
    texts = [str(Message(f"molecules.place.{what}", number=number, name=name)) for number in numbers]
    return pl.Series(texts, dtype=pl.String)


# Tables --------------------------------------------------------------------------------------------------


def _of_text(path: Path, column: str, names: Sequence[str] = ()) -> MoleculeRows:
    read = read_text_table(path, names)
    rows = _of_table(read.table, path.name, column, read.first)
    bare = () if read.first == 2 else (_WITHOUT_HEADER,)
    separator = Message("molecules.read.separator", mark=read.mark)
    return rows._replace(notes=(*rows.notes, separator, *bare), decimal=read.decimal)


def _of_book(path: Path, column: str) -> MoleculeRows:
    """Parquet or Excel. A sheet without a header is read as one."""
    table = read_table(path)
    if _kind(path) in WORKBOOKS and is_headless(table.columns, list(map(_texts, table))):
        table = named(pl.read_excel(path, engine="calamine", infer_schema_length=None, has_header=False))
        table = table.select(typed(one) if one.dtype == pl.String else one for one in table)
        rows = _of_table(table, path.name, column, 1)
        return rows._replace(notes=(*rows.notes, _WITHOUT_HEADER))
    return _of_table(table, path.name, column)


def _of_table(table: pl.DataFrame, name: str, column: str, first: int = 2) -> MoleculeRows:
    if column and column not in table.columns:
        raise UserError("molecules.read.no-column", column=column, name=name, columns=listed(table.columns))
    chosen = column or structure_column(table, name)
    places = _places("row", range(first, table.height + first), name)
    structures, problems = _as_smiles(table[chosen].cast(pl.String).str.strip_chars())
    notes = () if column else (Message("molecules.read.column", column=chosen),)
    findings = _other_structures(table, chosen, name, bool(column))
    return MoleculeRows(structures, table.drop(chosen), problems, places, name, notes, findings)


def _as_smiles(structures: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Structures with every InChI written as SMILES, and why one could not be."""
    problems = pl.Series([None] * len(structures), dtype=pl.String)
    inchi = structures.str.starts_with("InChI=").fill_null(False)
    if not inchi.any():
        return structures, problems
    made = [of_inchi(text) if text.startswith("InChI=") else text for text in structures.fill_null("")]
    smiles = pl.Series([text or None for text in made], dtype=pl.String)
    return smiles, problems.set(inchi & smiles.is_null(), str(Message("molecules.structure.inchi")))


def _other_structures(table: pl.DataFrame, chosen: str, name: str, asked: bool) -> tuple[Finding, ...]:
    """Columns of structures that are not read, unless they write the same molecules another way."""
    found = []
    for column in table.columns:
        if column == chosen or table[column].dtype != pl.String or not _holds_structures(table[column]):
            continue
        both = table.select(chosen, column).drop_nulls().head(SAMPLE).cast(pl.String)
        same = [skeleton(one.strip()) == skeleton(other.strip()) for one, other in both.iter_rows()]
        if sum(same) < 0.9 * len(same):
            found.append(column)
    if not found:
        return ()
    hint = "" if asked else Message("molecules.read.choose-column")
    text = Message(
        "molecules.read.other-structures", count=len(found), columns=found, name=name, chosen=chosen, hint=hint
    )
    return (Finding("other-structures", "quality", "pass" if asked else "fail", text),)


# Lists ---------------------------------------------------------------------------------------------------


def _of_lines(path: Path, column: str) -> MoleculeRows:
    """A list: a SMILES a line and what follows as its name, or the other way round; with tabs, commas or a header, a
    table."""
    head = _head(path)
    if not head:
        raise UserError("molecules.read.no-molecule", path=path)
    first = head[0].split()
    titled = any(word.lower() in NAMES or word.lower().endswith("smiles") for word in first)
    columns = next((mark for mark in "\t,;" if mark in head[0] and all(mark in line for line in head)), "")
    if columns and (titled or not is_structure(first[0]) or columns == "\t"):
        return _of_text(path, column, () if titled else ("name",))
    lines = [(number, line.split(None, 1)) for number, line in enumerate(text_of(path).splitlines(), 1) if line.strip()]
    order = (0, 1)
    ways = [[line[place].split()[0] for _, line in lines[titled : SAMPLE + 1] if len(line) > place] for place in (0, 1)]
    notes: tuple[Text, ...] = ()
    if ways[1] and share(ways[0]) < 0.5 and share(ways[1]) >= _MOST:
        order, notes = (1, 0), (Message("molecules.read.second-word"),)
    lines = lines[1:] if titled else lines
    if not lines:
        raise UserError("molecules.read.no-molecule", path=path)
    smiles = [line[order[0]].split()[0] if len(line) > order[0] else "" for _, line in lines]
    names = [line[order[1]] if len(line) > order[1] else None for _, line in lines]
    rows = _of_list(smiles, names, path.name, lines[0][0])
    return rows._replace(notes=notes)


def _of_list(smiles: Sequence[str], names: Sequence[str | None], where: str, first: int) -> MoleculeRows:
    facts = pl.DataFrame({"name": pl.Series(names, dtype=pl.String)})
    facts = facts if any(names) else facts.drop("name")
    places = _places("line", range(first, len(smiles) + first), where)
    structures, problems = _as_smiles(pl.Series(smiles, dtype=pl.String))
    return MoleculeRows(structures, facts, problems, places, where)


# SDF -----------------------------------------------------------------------------------------------------


def _of_sdf(path: Path) -> MoleculeRows:
    found = records(decoded(content_of(path)))
    if not found:
        raise UserError("molecules.read.no-molecule", path=path)
    names = list(dict.fromkeys(name for one in found for name in one.data))
    titles = [one.title for one in found]
    columns = [pl.Series("name", titles, pl.String)] if any(titles) and "name" not in names else []
    for name in names:
        texts = pl.Series(name, [one.data.get(name) for one in found], pl.String).str.strip_chars().replace("", None)
        columns.append(texts if identifiers([name]) else typed(texts))
    places = _places("record", range(1, len(found) + 1), path.name)
    flat, bad = sum(one.flat for one in found), sum(one.problem is not None for one in found)
    note = Message("molecules.read.dimensions", flat=flat, solid=len(found) - flat - bad)
    structures = pl.Series([one.smiles for one in found], dtype=pl.String)
    problems = pl.Series([one.problem and str(one.problem) for one in found], dtype=pl.String)
    known = pl.DataFrame(columns) if columns else pl.DataFrame(height=len(found))
    return MoleculeRows(structures, known, problems, places, path.name, (note,))


# Finding the column --------------------------------------------------------------------------------------


def _texts(column: pl.Series) -> list[str]:
    """The first values of a column, as text."""
    return [text.strip() for text in column.drop_nulls().head(SAMPLE).cast(pl.String)]


def _share(column: pl.Series) -> float:
    """The share of the first values that are structures."""
    return share(_texts(column))


def _heavy(column: pl.Series) -> bool:
    """Whether the texts are too long to be words that happen to be SMILES (`CON`, `NO`)."""
    texts = _texts(column)
    return bool(texts) and sum(map(len, texts)) / len(texts) >= 6


def _holds_structures(column: pl.Series) -> bool:
    called = column.name.strip().lower().replace(" ", "_")
    return _share(column) >= _MOST and (_heavy(column) or called in NAMES or "smiles" in called)
