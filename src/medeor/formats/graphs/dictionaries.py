"""Dictionaries of triples: numbers of entities and relations, as OpenKE (`entity2id.txt`), RotatE (`entities.dict`)
and DGL-KE write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from medeor.contracts import Finding, Message, UserError
from medeor.formats.graphs.tables import GraphTables
from medeor.formats.tables.encodings import as_utf8
from medeor.formats.tables.read import content_of

_NAME = re.compile(
    r"(?i)(ent|entity|entities|rel|relation|relations)(2|_to_|_)?(ids?|dict)?\.(txt|dict|tsv|csv|tab)(\.gz)?"
)


class Dictionary(NamedTuple):
    """Numbers and what they stand for."""

    name: str
    relations: bool
    numbers: pl.Series
    names: pl.Series


def read_dictionary(path: Path) -> Dictionary | None:
    """The dictionary in a file that is named and written as one: two columns, one of them whole numbers, each once."""
    if not _NAME.fullmatch(path.name):
        return None
    lines = as_utf8(content_of(path), path.name)[0].decode().splitlines()
    rows = [
        re.split(r"\t|,|;", line) if re.search(r"[\t,;]", line) else line.rsplit(" ", 1)
        for line in lines
        if line.strip()
    ]
    if rows and len(rows[0]) == 1 and rows[0][0].strip().isdecimal():
        rows = rows[1:]
    if not rows or any(len(row) != 2 for row in rows):
        return None
    columns = [[value.strip() for value in column] for column in zip(*rows)]
    for numbers, names in (columns, columns[::-1]):
        if all(value.isdecimal() for value in numbers) and len(set(numbers)) == len(numbers):
            relations = path.name.lower().startswith("rel")
            return Dictionary(path.name, relations, pl.Series(numbers), pl.Series(names))
    return None


def decoded(tables: Sequence[GraphTables], dictionaries: Sequence[Dictionary]) -> list[GraphTables]:
    """Edges with names in the place of numbers, where the dictionaries hold every one of these.

    Raises: UserError where edges have numbers of which some are in no dictionary."""
    found = list(tables)
    for relations in (False, True):
        own = [one for one in dictionaries if one.relations == relations]
        if not own:
            continue
        numbers, names = (pl.concat(list(columns)) for columns in zip(*((one.numbers, one.names) for one in own)))
        sides = ["relation"] if relations else ["head", "tail"]
        for i, table in enumerate(found):
            values = pl.concat([table.edges[side].unique().cast(pl.String) for side in sides]).unique()
            known = values.is_in(numbers.implode())
            if not values.str.contains(r"^\d+$").all() or values.is_in(names.implode()).all():
                continue
            if not known.all():
                number, file = values.filter(~known).sort()[0], own[0].name
                raise UserError("graphs.dictionaries.unknown-number", name=table.name, dictionary=file, number=number)
            spelt = [pl.col(side).cast(pl.String).replace_strict(numbers, names).cast(pl.Categorical) for side in sides]
            message = Message("graphs.dictionaries.spelt-out", name=table.name, dictionary=own[0].name)
            finding = Finding("numbers-spelt-out", "quality", "pass", message)
            found[i] = table._replace(edges=table.edges.with_columns(spelt)).noting(finding)
    return found
