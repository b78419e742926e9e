"""Tables of molecules as text: with a header or without one, with quotes or without, with their identifiers as they are
written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl

from medeor.contracts import Message, Text, UserError
from medeor.formats.molecules.facts import NAMES
from medeor.formats.molecules.structures import is_structure, share
from medeor.formats.tables.read import delimiter, rows_of, text_frame, text_of, typed
from medeor.formats.values.measured.measurements import Decimal, decimal_sign
from medeor.formats.values.measured.units import is_unit, usual_unit

IDENTIFIERS = (
    "name", "id", "compoundid", "compoundname", "compound", "moleculeid", "moleculename", "chemblid",
    "moleculechemblid", "drugid",
)  # fmt: skip
"""What a column that names compounds is usually called, in lower case and without marks, the likeliest first."""
_NAMING = re.compile(r"(?:^|[\W_])(?:ids?|barcode|plate|well|cas|batch|lot)$|(?<=[a-z])ID$|编号|条码", re.IGNORECASE)
_LONG = r"^\d{17,}$"
"""Digits too many for a number to keep."""
_POINTED = r"^[+-]?\d{1,3}(?:\.\d{3})+$"
_NUMBER = re.compile(r"^[<>=~]*\s*[+-]?(?:\d+(?:[.,]\d+)?|[.,]\d+)(?:[eE][+-]?\d+)?$")
_LOOKED_AT = 20
"""First rows that show whether there is a header."""
MARKS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blank"}


class TextTable(NamedTuple):
    """A table that was text."""

    table: pl.DataFrame
    first: int
    """Line of the first row: 2 below a header, 1 without one."""
    decimal: Decimal
    """The sign that the file writes before decimals, where its columns agree."""
    mark: Text
    """What separates values."""


def identifiers(columns: Sequence[str]) -> list[str]:
    """The columns that name compounds (`name`, `Compound ID`, …), the likeliest first; none where no column is so
    called."""
    plain = {column: re.sub(r"[\W_]", "", column.lower()) for column in columns}
    return [column for known in IDENTIFIERS for column in columns if plain[column] == known]


def read_text_table(path: Path, names: Sequence[str] = ()) -> TextTable:
    """A table of text as `read_table` has it. Where the first row is a molecule there is no header: the
    column of structures is `smiles`, and the others are called by `names`, then `column_2` and so on. A quote counts
    where quotes enclose values, and stands for itself where they do not.

    Raises: UserError where the file is empty, or has rows of different lengths."""
    text, above = _below_comments(text_of(path))
    asked = re.match(r"(?i)sep=([^\n])\s*$", above[-1]) if above else None
    separator = asked[1] if asked else _separator(text)
    quote = quoting(text, separator, str(path))
    every = (row for _, row in rows_of(text, separator, str(path), quote) if row)
    header, *rows = islice(every, _LOOKED_AT)
    below = [[row[place].strip() for row in rows if place < len(row)] for place in range(len(header))]
    bare = is_headless(header, below)
    table = text_frame(text, separator, path, quote, has_header=not bare)
    if bare:
        table = named(table, names)
    table = table.rename({name: name.strip() for name in table.columns if name != name.strip()}, strict=False)
    table, described = _without_descriptions(table)
    signs = {decimal_sign(column) for column in table} - {""}
    decimal: Decimal = signs.pop() if len(signs) == 1 else ""
    columns = [_typed(column, decimal, separator == ";" and decimal != "point") for column in table]
    first = len(above) + described + (1 if bare else 2)
    mark = Message(f"molecules.mark.{MARKS[separator]}") if separator in MARKS else repr(separator)
    return TextTable(pl.DataFrame(columns), first, decimal, mark)


def _below_comments(text: str) -> tuple[str, list[str]]:
    """A table without the lines above it that are no rows, and these: `sep=;`, and comments (`# exported by …`) that do
    not hold as many values as the first row."""
    lines = text.splitlines(keepends=True)
    begins = next((place for place, line in enumerate(lines) if line.strip() and line[0] != "#"), 0)
    if re.match(r"(?i)sep=.\s*$", lines[begins]):
        begins += 1
    elif begins and any(lines[begins].count(mark) == lines[begins - 1].count(mark) > 0 for mark in MARKS):
        begins -= 1
    return "".join(lines[begins:]), lines[:begins]


def _without_descriptions(table: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """A table of PubChem's without the rows that describe its columns, and how many there were; the units that they
    name stand behind the values instead."""
    tag = next((name for name in table.columns if name.upper() == "PUBCHEM_RESULT_TAG"), "")
    if not tag:
        return table, 0
    describes = pl.col(tag).str.starts_with("RESULT_").fill_null(False)
    rows, described = table.filter(~describes), table.filter(describes)
    units = described.filter(pl.col(tag) == "RESULT_UNIT").to_dicts()
    named = {name: unit for row in units for name, unit in row.items() if unit and name != tag and is_unit(unit)}
    return rows.with_columns(pl.col(name) + f" {usual_unit(unit)}" for name, unit in named.items()), described.height


def _separator(text: str) -> str:
    """What separates values: of several signs in the first row the one between which structures stand, as a heading
    (`IC50, nM`) and decimals may hold the others."""
    usual = delimiter(text)
    lines = [line for line in text[: 1 << 16].splitlines() if line.strip()][:_LOOKED_AT]
    marks = [mark for mark in MARKS if mark in lines[0] and mark != " "]
    if len(marks) < 2:
        return usual

    def held(mark: str) -> int:
        rows = (line.split(mark) for line in lines[1:] or lines)
        return sum(any(is_structure(cell.strip().strip('"')) for cell in row) for row in rows)

    return max((usual, *marks), key=held)


def is_headless(header: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether the first row of a table is a row like the others: it holds a structure above structures, or a number
    above numbers, and the name of no column of structures. `below`: the first values of each column."""
    if any(cell.strip().lower() in NAMES or "smiles" in cell.lower() for cell in header):
        return False
    below = [[value for value in values if value] for values in below]
    for cell, values in zip(header, below):
        cell = cell.strip()
        if is_structure(cell) and (share(values) >= 0.5 if values else len(cell) >= 3):
            return True
    structures = any(values and share(values) >= 0.5 and max(map(len, values)) > 3 for values in below)
    numbers = any(
        values and _NUMBER.match(cell.strip()) and all(map(_NUMBER.match, values))
        for cell, values in zip(header, below)
    )
    return structures and numbers


def named(table: pl.DataFrame, names: Sequence[str] = ()) -> pl.DataFrame:
    """A table without a header, with names for its columns."""
    table = table.rename({column: f"column_{place}" for place, column in enumerate(table.columns, 1)})
    texts = {
        column: [text.strip() for text in table[column].cast(pl.String).drop_nulls().head(60)]
        for column in table.columns
    }
    structures = max(table.columns, key=lambda column: share(texts[column]))
    rest = [column for column in table.columns if column != structures]
    return table.rename({structures: "smiles", **dict(zip(rest, names))})


def quoting(text: str, separator: str, name: str) -> str | None:
    """The sign that encloses values, or None where it stands for itself: the lines hold as many values each when it
    does, and it opens or closes inside of a value, or encloses the end of one line and the beginning of the next.

    Raises: UserError where a quote that opens swallows lines and none of the two readings holds."""
    if '"' not in text:
        return '"'
    lines = [line for line in text.splitlines() if line.strip()]
    width = lines[0].count(separator)
    even = all(line.count(separator) == width for line in lines)
    if even and any(not _encloses(value) for line in lines if '"' in line for value in line.split(separator)):
        return None
    for last, row in rows_of(text, separator, name):
        for value in row:
            boundaries = value.count("\n")
            if boundaries and width and value.count(separator) == boundaries * width and _holds_structure(value):
                raise UserError("molecules.read.open-quote", name=name, line=last - boundaries, last=last)
    return '"'


def _holds_structure(value: str) -> bool:
    return any(len(word) >= 3 and is_structure(word) for word in re.split(r"[\s,;|\"]+", value))


def _encloses(value: str) -> bool:
    """Whether quotes enclose a value, those inside of it doubled; or it has none."""
    value = value.strip()
    if '"' not in value:
        return True
    return len(value) > 1 and value[0] == value[-1] == '"' and '"' not in value[1:-1].replace('""', "")


def _typed(column: pl.Series, decimal: Decimal, decimal_comma: bool) -> pl.Series:
    """A column of text as what it is; names and, where commas are decimal signs, numbers with points for thousands stay
    text."""
    text = column.str.strip_chars()
    known = text.drop_nulls()
    if identifiers([column.name]) or _NAMING.search(column.name) or known.str.contains(_LONG).any():
        return text
    if len(known) and (decimal == "comma" or decimal_comma) and known.str.contains(_POINTED).all():
        return text
    return typed(column, decimal_comma=decimal_comma)
