"""Edges and nodes from tables of text: triples with or without a header, Hetionet, PrimeKG, any CSV by its columns.

Values are read as categories, four bytes each, so that a table of millions of edges is small while it is read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from medeor.contracts import Finding, UserError
from medeor.formats.edge_layouts import PART_NAMES, Columns, columns_of, constants_of
from medeor.formats.encodings import as_utf8
from medeor.formats.graph_tables import FACTS, NODES, SYNONYMS, GraphTables
from medeor.formats.tables import content_of, typed


class Nodes(NamedTuple):
    """A table of nodes."""

    tables: GraphTables
    keys: pl.DataFrame
    """key, id: how tables of edges call a node, where that is not its identifier."""


class Edges(NamedTuple):
    """A table of edges."""

    tables: GraphTables
    directed: bool
    """False for a list of pairs."""


class _Text(NamedTuple):
    """A table of text before its columns are understood."""

    path: Path
    content: bytes
    separator: str
    quote: str | None
    header: list[str]
    """The values of its first row."""
    findings: tuple[Finding, ...]


def read_text(path: Path, where: Mapping[str, str], part: str = "") -> tuple[Nodes | Edges, list[str]]:
    """The table of nodes or edges in one file, and its column names (none without a header). `part` is what the name
    of the file says of all its edges.

    Raises: UserError naming the file and line of a row that is short of a value or has too many."""
    content, findings = as_utf8(content_of(path), path.name)
    first = content[: content.find(b"\n") + 1 or None].decode().rstrip("\r\n")
    if not content.strip():
        raise UserError(f"{path} is empty")
    if "\0" in first:
        raise UserError(f"{path} is not a table of text")
    separator = max("\t,;| ", key=lambda mark: min(first.count(mark), 2) if mark in "\t,;|" else 0.5 * (" " in first))
    quoted = f'{separator}"'.encode() in content[: 1 << 20] or content[:1] == b'"'
    quote = '"' if separator in ",;" or quoted else None
    _, header = next(_rows([first], separator, quote))
    text = _Text(path, content, separator, quote, [name.strip() for name in header], findings)
    columns = columns_of(text.header, where)
    if columns is None:
        return _headless(text, where, part), []
    frame = _frame(text, _distinct(text.header), below=1)
    return understood(frame, columns, where, part, text), text.header


def understood(
    frame: pl.DataFrame, columns: Columns, where: Mapping[str, str], part: str, text: _Text | None = None
) -> Nodes | Edges:
    """A table whose columns are known as nodes or edges."""
    findings = text.findings if text else ()
    if columns.nodes:
        return _nodes(frame, columns, findings)
    if "relation" not in {*columns.columns, *columns.constants}:
        place = text.path if text else "the table"
        raise UserError(f"{place} names no relation; name its column, or the one relation: --where relation=treats")
    return Edges(_edges(frame, columns, part, text), True)


def _headless(text: _Text, where: Mapping[str, str], part: str) -> Edges:
    width = len(text.header)
    if width not in (2, 3):
        said = ", ".join(text.header[:6])
        ask = "name its columns: --where head=… --where relation=… --where tail=…"
        raise UserError(f"{text.path} has {width} columns and no header that medeor knows ({said}); {ask}")
    if width == 2 and "relation" not in where:
        ask = "give a third, or say what all its pairs mean: --where relation=treats"
        raise UserError(f"{text.path}, line 1: two columns, and a triple has three (head, relation, tail); {ask}")
    names = ["head", "relation", "tail"] if width == 3 else ["head", "tail"]
    columns = {name: name for name in names}
    frame = _frame(text, names, below=0)
    edges = _edges(frame, Columns(columns, constants_of(columns, where)), part, text)
    return Edges(edges._replace(findings=(*edges.findings, *_lonely(edges.edges, text.path.name))), width == 3)


def _lonely(edges: pl.DataFrame, name: str) -> list[Finding]:
    """A first row that shares no value with another is perhaps a header that nobody knew."""
    if edges.height < 10:
        return []
    first = edges.row(0, named=True)
    alike = pl.any_horizontal(pl.col(column) == first[column] for column in ("head", "relation", "tail"))
    if edges.slice(1).select(alike.any()).item():
        return []
    said = ", ".join(str(first[column]) for column in ("head", "relation", "tail"))
    message = f"{name}: the first row ({said}) shares nothing with the others; if it is a header, name its columns"
    return [Finding("first-row", "quality", "unknown", f"{message} by --where", ("0",))]


def _rows(lines: Iterable[str], separator: str, quote: str | None) -> Iterator[tuple[int, list[str]]]:
    """Values of each row, with the number of the line on which it ends."""
    if quote is None:
        yield from ((i, line.rstrip("\r\n").split(separator)) for i, line in enumerate(lines, 1))
        return
    reader = csv.reader(lines, delimiter=separator, quotechar=quote)
    for row in reader:
        yield reader.line_num, row


def _distinct(header: Sequence[str]) -> list[str]:
    """Names of columns, also of those that have none or share one."""
    return [name if name and name not in header[:i] else f"{name or 'column'}_{i + 1}" for i, name in enumerate(header)]


def _frame(text: _Text, names: Sequence[str], below: int) -> pl.DataFrame:
    """The rows below the header, every value a category."""
    kind = pl.Categorical(pl.Categories.random())
    try:
        return pl.read_csv(
            io.BytesIO(text.content),
            has_header=False,
            skip_rows=below,
            missing_columns="insert",
            separator=text.separator,
            quote_char=text.quote,
            schema=dict.fromkeys(names, kind),
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        wrong = _wrong_line(text, len(names), ())
        raise UserError(wrong or f"{text.path}: {str(error).splitlines()[0]}") from None


def _wrong_line(text: _Text, width: int, needed: Sequence[int]) -> str:
    """What is wrong with the first row that has too many values, or none where one is needed; empty where none is."""
    lines = io.StringIO(text.content.decode(), newline="")
    for line, row in _rows(lines, text.separator, text.quote):
        if not any(row):
            continue
        if len(row) > width or len(row) <= max(needed, default=-1):
            count = {1: "one column", 2: "two columns"}.get(len(row), f"{len(row)} columns")
            return f"{text.path}, line {line}: {count} where there should be {width}; correct that line"
        if empty := [i for i in needed if not row[i]]:
            return f"{text.path}, line {line}: column {empty[0] + 1} is empty; complete that line or remove it"
    return ""


def _edges(frame: pl.DataFrame, known: Columns, part: str, text: _Text | None) -> GraphTables:
    columns = known.columns
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    needed = [columns[role] for role in ("head", "relation", "tail") if role in columns]
    if any(frame[name].null_count() for name in needed):
        places = [frame.columns.index(name) for name in needed]
        wrong = _wrong_line(text, frame.width, places) if text else ""
        raise UserError(wrong or f"the table has rows without a value for {' or '.join(needed)}; complete them")
    roles = {role: _plain(frame[name]) for role, name in columns.items()}
    for role, text_or_column in known.prefixes.items():
        roles[role] = _prefixed(roles[role], frame, text_or_column)
    for role, value in known.constants.items():
        roles[role] = pl.Series(role, [value], pl.Categorical).new_from_index(0, frame.height)
    if known.relations:
        roles["relation"] = roles["relation"].cast(pl.String).replace(known.relations)
    if part and "part" not in columns:
        roles["part"] = pl.Series("part", [part], pl.Categorical).new_from_index(0, frame.height)
    if "part" in roles:
        roles["part"] = _parts(roles["part"], text.path if text else None)
    edges = pl.DataFrame([roles[role].alias(role) for role in ("head", "relation", "tail", *FACTS) if role in roles])
    spent = {*columns.values(), *known.prefixes.values()}
    further = [_further(frame[name]) for name in frame.columns if name not in spent and not frame[name].is_null().all()]
    own = {*edges.columns}
    edges = edges.hstack([column.alias(f"{column.name}_given") if column.name in own else column for column in further])
    return GraphTables(edges, _ends(roles), findings=text.findings if text else ())


def _plain(column: pl.Series) -> pl.Series:
    """Values without spaces around them."""
    values = column.unique().cast(pl.String)
    return column if (values == values.str.strip_chars()).all() else column.cast(pl.String).str.strip_chars()


def _prefixed(column: pl.Series, frame: pl.DataFrame, prefix: str) -> pl.Series:
    """Identifiers with what stands in the column `prefix`, or the text itself, before them; pair by pair, not row by
    row."""
    before = pl.col(prefix) if prefix in frame.columns else pl.lit(prefix)
    pairs = frame.select(before.cast(pl.Categorical).alias("prefix"), column.alias("id"))
    joined = pairs.unique().with_columns(pl.format("{}:{}", "prefix", "id").cast(pl.Categorical).alias("joined"))
    return pairs.join(joined, on=["prefix", "id"], how="left", maintain_order="left")["joined"]


def _parts(column: pl.Series, path: Path | None) -> pl.Series:
    said = column.unique().drop_nulls().cast(pl.String)
    if wrong := [name for name in said if name.lower() not in PART_NAMES]:
        raise UserError(f"{path or 'the table'}: '{wrong[0]}' is no part; there are train, validation and test")
    return column.cast(pl.String).str.to_lowercase().replace(PART_NAMES)


def _further(column: pl.Series) -> pl.Series:
    """A column beyond the known roles: numbers where every value is one, else categories."""
    number = typed(column.unique().cast(pl.String)).dtype
    return column.cast(pl.String).cast(number) if number.is_numeric() else column.cast(pl.Categorical)


def _ends(roles: Mapping[str, pl.Series]) -> pl.DataFrame:
    """The nodes that edges themselves describe."""
    found = []
    for side in ("head", "tail"):
        known = {"id": roles[side]} | {
            name: roles[f"{side}_{name}"] for name in ("name", "kind") if f"{side}_{name}" in roles
        }
        if len(known) > 1:
            ends = pl.DataFrame([column.alias(name) for name, column in known.items()]).unique(maintain_order=True)
            found.append(ends.cast(pl.String))
    return pl.concat([pl.DataFrame(schema=NODES), *found], how="diagonal")


def _nodes(frame: pl.DataFrame, known: Columns, findings: tuple[Finding, ...]) -> Nodes:
    roles = {role: _plain(frame[name]).cast(pl.String).alias(role) for role, name in known.columns.items()}
    ids = roles["id"]
    if "prefix" in roles:
        ids = pl.select(pl.format("{}:{}", roles["prefix"], ids)).to_series().alias("id")
    table = pl.DataFrame([ids, *(roles[role] for role in roles if role not in ("id", "prefix"))])
    table = table.filter(pl.col("id").is_not_null())
    none = pl.lit(None, pl.String)
    nodes = table.select("id", *(pl.col(role) if role in roles else none.alias(role) for role in ("name", "kind")))
    synonyms = pl.DataFrame(schema=SYNONYMS)
    if "synonyms" in roles:
        language = pl.col("language") if "language" in roles else none.alias("language")
        synonyms = table.select("id", pl.col("synonyms").str.split("|").alias("name"), language).explode("name")
    keys = table.select("key", "id") if "key" in roles else pl.DataFrame(schema={"key": pl.String, "id": pl.String})
    no_edges = pl.DataFrame(schema=dict.fromkeys(("head", "relation", "tail"), pl.String))
    return Nodes(GraphTables(no_edges, nodes, synonyms, findings=findings), keys.filter(pl.col("key") != pl.col("id")))
