"""Edges and nodes from tables of text: triples with or without a header, Hetionet, PrimeKG, any CSV by its columns.

Values are read as categories, four bytes each, so that a table of millions of edges is small while it is read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from medeor.contracts import Finding, Message, Text, UserError
from medeor.formats.graphs.edges.layouts import PART_NAMES, Columns, columns_of, constants_of, headings, neo4j_header
from medeor.formats.graphs.edges.text import EdgeText, open_text
from medeor.formats.graphs.ntriples import read_ntriples
from medeor.formats.graphs.tables import FACTS, NAMELESS, NODES, TRIPLE, GraphTables
from medeor.formats.tables.read import typed

_NO = ("true", "t", "1", "yes", "y", "negated")
"""Values of a column that says whether an edge is negated; a qualifier says `NOT`."""
_WEIGHTS = ("weight", "weights", "w", "sign", "effect", "score", "value", "correlation")
_TRUTHS = ("label", "labels", "y", "positive", "is_positive", "truth", "is_true", "class", "holds")
"""Columns that say by 1 and 0 whether an edge holds."""


def read_text(path: Path, where: Mapping[str, str], part: str = "") -> tuple[GraphTables, list[str]]:
    """The table of nodes or edges in one file, and its column names (none without a header). `part` is the part of all
    its edges by the name of the file.

    Raises: UserError naming the file and line of a row that is short of a value or has too many."""
    text = open_text(path, lambda names: _known(names, where))
    if text.is_ntriples:
        tables = read_ntriples(text)
        in_part = [pl.lit(part, pl.Categorical).alias("part")] if part else []
        return tables._replace(edges=tables.edges.with_columns(in_part), name=path.name), []
    if not _known(text.header, where):
        return _headless(text, where, part)
    frame = _frame(text, _distinct(text.header), below=text.skipped + (not text.commented))
    return read_frame(frame, where, part, path, text), text.header


def _known(names: Sequence[str], where: Mapping[str, str]) -> bool:
    return columns_of(names, where) is not None or neo4j_header(names) is not None


def read_frame(
    frame: pl.DataFrame, where: Mapping[str, str], part: str, place: Path | Message, text: EdgeText | None = None
) -> GraphTables:
    """A table with a header as nodes or edges.

    Raises: UserError where the header does not say which is which."""
    name = place.name if isinstance(place, Path) else place
    spaces: Mapping[str, str] = {}
    if neo4j := neo4j_header(frame.columns):
        plain, spaces = neo4j
        renamed = dict(zip(frame.columns, plain))
        where = {role: renamed.get(column, column) for role, column in where.items()}
        frame = frame.rename(dict(zip(frame.columns, _distinct(plain))))
        frame = frame.select(column for column in frame.columns if not column.startswith(":ignore"))
    gaps = [column for column in frame.columns if frame[column].null_count()]
    columns = columns_of(frame.columns, where, gaps)
    if columns is None:
        names = tuple(column[:40] for column in frame.columns[:20])
        raise UserError("graphs.table.unknown-columns", place=place, names=names)
    if columns.nodes:
        tables = _nodes(frame, columns, name)
        return tables._replace(findings=(*(text.findings if text else ()), *tables.findings), spaces=spaces)
    if "relation" not in {*columns.columns, *columns.constants}:
        raise UserError("graphs.table.no-relation", place=place)
    of_nodes = pl.DataFrame(schema=NODES)
    if columns.columns["head"] == "_start" and "_id" in frame.columns:
        # An export of Neo4j (apoc.export.csv) holds nodes and edges in one table.
        described = columns_of([one for one in frame.columns if one not in ("_start", "_end", "_type")], {})
        if described:
            of_nodes = _nodes(frame.filter(pl.col("_start").is_null()), described, name).nodes
        frame = frame.filter(pl.col("_start").is_not_null())
    tables = _edges(frame, columns, part, text, name)
    return tables._replace(nodes=pl.concat([tables.nodes, of_nodes]), directed=columns.directed, spaces=spaces)


def _headless(text: EdgeText, where: Mapping[str, str], part: str) -> tuple[GraphTables, list[str]]:
    """Edges in the order head, relation, tail, or in that which the user states by the numbers of columns; with them
    the names by which the user may call the columns."""
    name = text.path.name
    width = len(text.header)
    plain = [f"column_{i}" for i in range(1, width + 1)]
    place = {str(i): column for i, column in enumerate(plain, 1)} | {column: column for column in plain}
    columns = {role: place[value] for role, value in where.items() if value in place}
    order = TRIPLE if width >= 3 else ("head", "tail")
    ordered = bool(columns.keys() & {*TRIPLE})
    weighed = not ordered and width == 4 and _is_number(text.header[3])
    if ordered:
        free = [column for column in plain if column not in columns.values()]
        for role in order if width <= 3 else ():
            if role not in columns and role not in constants_of(columns, where) and free:
                columns[role] = free.pop(0)
    elif width == 3 and text.counted and re.search(r"(?i)2id\.\w+(\.gz)?$", name):
        columns |= dict(zip(("head", "tail", "relation"), plain))  # the order of OpenKE
    elif width in (2, 3) or weighed:
        columns |= dict(zip(order, plain))
    constants = constants_of(columns, where)
    if not {"head", "tail"} <= columns.keys():
        first = tuple(value[:40] for value in text.header[:6])
        count = Message("common.count.column", count=width)
        raise UserError("graphs.table.no-header", path=text.path, columns=count, first=first)
    if "relation" not in {*columns, *constants}:
        raise UserError("graphs.table.two-columns", path=text.path, line=text.skipped + 1)
    frame = _frame(text, plain, below=text.skipped)
    found: list[Finding] = []
    # A value that stands again in its column is no heading.
    again = (column[0] in column.slice(1).unique().cast(pl.String) for column in frame if len(column))
    if headings(text.header) and not any(again):
        frame = frame.slice(1)
        message = Message("graphs.table.header-taken", name=name, values=tuple(text.header))
        found.append(Finding("first-row", "quality", "pass", message))
    if weighed:
        message = Message("graphs.table.four-columns", name=name)
        found.append(Finding("columns-without-header", "quality", "unknown", message))
    tables = _edges(frame, Columns(columns, constants), part, text, name)
    tables = tables.noting(*(found or _lonely(tables.edges, constants, name)))
    open_order = not ordered and width == 3 and not text.counted
    return tables._replace(directed=width >= 3, open_order=open_order), [*plain, *place] if ordered else []


def _is_number(value: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value) is not None


def _lonely(edges: pl.DataFrame, constants: Mapping[str, str], name: str) -> list[Finding]:
    """A first row that shares no value with another is perhaps a header that nobody knew."""
    if edges.height < 10:
        return []
    columns = [column for column in TRIPLE if column not in constants]
    first = dict(zip(columns, edges.select(columns).row(0)))
    rest = {column: edges[column].slice(1).unique().cast(pl.String) for column in columns}
    if len(columns) == 2:
        # Of pairs either end may come first.
        rest = dict.fromkeys(columns, pl.concat(list(rest.values())))
    if any(_is_number(first[column]) or first[column] in rest[column] for column in columns):
        return []
    message = Message("graphs.table.lonely-first-row", name=name, values=tuple(first.values()))
    return [Finding("first-row", "quality", "unknown", message, ("0",))]


def _rows(lines: Iterable[str], text: EdgeText) -> Iterator[tuple[int, list[str]]]:
    """Values of each row, with the number of the line on which it ends."""
    if text.quote is None:
        yield from ((i, line.rstrip("\r\n").split(text.separator)) for i, line in enumerate(lines, 1))
        return
    reader = csv.reader(lines, delimiter=text.separator, quotechar=text.quote)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error:
        most = csv.field_size_limit()
        raise UserError("graphs.table.long-value", path=text.path, line=reader.line_num, most=most) from None


def _distinct(header: Sequence[str]) -> list[str]:
    """Names of columns, also of those that have none or share one."""
    return [name if name and name not in header[:i] else f"{name or 'column'}_{i + 1}" for i, name in enumerate(header)]


def _frame(text: EdgeText, names: Sequence[str], below: int) -> pl.DataFrame:
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
        if wrong or text.quote is None:
            problem = str(error).splitlines()[0]
            raise UserError(wrong or Message("graphs.table.unreadable", path=text.path, problem=problem)) from None
        # Line ends within quotes can confuse a parser that divides a text among threads.
        lines = io.StringIO(text.content.decode(), newline="")
        rows = [row for _, row in _rows(lines, text) if any(row)][below - text.skipped :]
        full = [[value or None for value in row] + [None] * (len(names) - len(row)) for row in rows]
        return pl.DataFrame(full, schema=dict.fromkeys(names, pl.String), orient="row").cast(kind)


def _wrong_line(text: EdgeText, width: int, needed: Sequence[int]) -> Message | None:
    """What is wrong with the first row that has too many values, or none where one is needed; None where none is."""
    lines = io.StringIO(text.content.decode(), newline="")
    for line, row in _rows(lines, text):
        if not any(row):
            continue
        if len(row) > width or len(row) <= max(needed, default=-1):
            count = Message("common.count.column", count=len(row))
            return Message("graphs.table.wrong-width", path=text.path, line=line, columns=count, width=width)
        if empty := [i for i in needed if not row[i]]:
            return Message("graphs.table.empty-value", path=text.path, line=line, column=empty[0] + 1)
    return None


def _edges(frame: pl.DataFrame, known: Columns, part: str, text: EdgeText | None, name: Text) -> GraphTables:
    columns = known.columns
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    frame, findings = _asserted(frame, columns.get("negated", ""), name)
    needed = [columns[role] for role in TRIPLE if role in columns and not (role == "relation" and known.no_relation)]
    if any(frame[column].null_count() for column in needed):
        places = [frame.columns.index(column) for column in needed]
        wrong = _wrong_line(text, frame.width, places) if text else None
        raise UserError(wrong or Message("graphs.table.incomplete", columns=tuple(needed)))
    roles = {role: _plain(frame[column]) for role, column in columns.items() if role != "negated"}
    if known.no_relation:
        roles["relation"] = roles["relation"].fill_null(known.no_relation)
    for role, text_or_column in known.prefixes.items():
        roles[role] = _prefixed(roles[role], frame, text_or_column)
    constants = dict(known.constants) | ({"part": part} if part and "part" not in columns else {})
    for role, value in constants.items():
        roles[role] = pl.Series(role, [value], pl.Categorical).new_from_index(0, frame.height)
    if known.relations:
        roles["relation"] = roles["relation"].cast(pl.String).replace(known.relations)
    if "part" in roles:
        roles["part"] = _parts(roles["part"], text.path if text else NAMELESS)
    edges = pl.DataFrame([roles[role].alias(role) for role in (*TRIPLE, *FACTS) if role in roles])
    spent = {*(column for role, column in columns.items() if role != "negated"), *known.prefixes.values()}
    further = [_further(column) for column in frame if column.name not in spent and not column.is_null().all()]
    own = {*edges.columns}
    edges = edges.hstack([column.alias(f"{column.name}_given") if column.name in own else column for column in further])
    return GraphTables(edges, _ends(roles), findings=(*(text.findings if text else ()), *findings), name=name)


def _asserted(frame: pl.DataFrame, negated: str, name: Text) -> tuple[pl.DataFrame, list[Finding]]:
    """The rows of edges that hold, and findings on the others: those that a column negates (`negated`, a qualifier
    `NOT`), and those with the label 0 where others have 1."""
    signs = [(negated, _negative(frame[negated]))] if negated else []
    for column in frame.columns:
        if column.lower() in _TRUTHS and frame.height:
            value = frame[column].cast(pl.String).str.strip_chars().str.to_lowercase().str.replace(r"\.0$", "")
            kinds = set(value.unique().drop_nulls())
            if kinds in ({"0", "1"}, {"-1", "1"}, {"false", "true"}):
                signs.append((column, value.is_in(["0", "-1", "false"]).fill_null(False)))
    findings = _signed(frame, name)
    for column, sign in signs:
        if count := int(sign.sum()):
            message = Message("graphs.table.negated", name=name, count=count, column=column)
            findings.append(Finding("negated-edges", "quality", "pass", message))
    if not signs:
        return frame, findings
    gone = pl.DataFrame([sign.alias(str(i)) for i, (_, sign) in enumerate(signs)]).select(pl.any_horizontal("*"))
    return frame.filter(~gone.to_series()), findings


def _signed(frame: pl.DataFrame, name: Text) -> list[Finding]:
    """A finding on edges with a negative weight, which may mean that they do not hold, or of what kind they are."""
    for column in frame.columns:
        if column.lower() in _WEIGHTS:
            weights = frame[column].cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
            if count := int((weights < 0).sum()):
                message = Message("graphs.table.negative", name=name, count=count, column=column)
                return [Finding("negative-weights", "quality", "fail", message)]
    return []


def _negative(column: pl.Series) -> pl.Series:
    words = column.unique().drop_nulls().cast(pl.String)
    plain = words.str.strip_chars().str.to_lowercase()
    own = words.filter(plain.is_in(_NO) | plain.str.contains(r"(^|\|)not($|\|)"))
    return column.cast(pl.String).is_in(own.implode()).fill_null(False)


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


def _parts(column: pl.Series, place: Path | Message) -> pl.Series:
    names = column.unique().drop_nulls().cast(pl.String)
    if wrong := [name for name in names if name.lower() not in PART_NAMES]:
        raise UserError("graphs.table.unknown-part", place=place, part=wrong[0])
    return column.cast(pl.String).str.to_lowercase().replace(PART_NAMES)


def _further(column: pl.Series) -> pl.Series:
    """A column beyond the known roles: numbers where every value is one, else categories."""
    written = column.unique().drop_nulls().cast(pl.String)
    read = typed(written)
    if not read.dtype.is_numeric():
        return column.cast(pl.Categorical)
    return column.cast(pl.String).replace_strict(written, read, default=None)


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


def _nodes(frame: pl.DataFrame, known: Columns, name: Text) -> GraphTables:
    roles = {role: column for role, column in known.columns.items() if role != "negated"}
    table = pl.DataFrame([_plain(frame[column]).cast(pl.String).alias(role) for role, column in roles.items()])
    if "prefix" in roles:
        table = table.with_columns(id=pl.format("{}:{}", "prefix", "id")).drop("prefix")
    if roles.get("kind") in (":label", "_labels"):
        # Of several labels the first.
        table = table.with_columns(pl.col("kind").str.strip_chars(":").str.extract(r"^([^;|:]+)"))
    findings = _dubious_nodes(table, name)
    every = dict.fromkeys(("key", "id", "name", "kind", "synonyms", "language"), pl.String)
    table = pl.concat([pl.DataFrame(schema=every), table], how="diagonal").filter(pl.col("id").is_not_null())
    synonyms = table.drop_nulls("synonyms").select("id", pl.col("synonyms").str.split("|").alias("name"), "language")
    keys = table.select("key", "id").drop_nulls().filter(pl.col("key") != pl.col("id"))
    no_edges = pl.DataFrame(schema=dict.fromkeys(TRIPLE, pl.String))
    nodes = table.select(*NODES)
    return GraphTables(no_edges, nodes, synonyms.explode("name"), findings=tuple(findings), name=name, keys=keys)


def _dubious_nodes(table: pl.DataFrame, name: Text) -> list[Finding]:
    """Nodes without an identifier, and identifiers or keys that several different nodes have."""
    found = []
    rows = table.filter(~pl.all_horizontal(pl.all().is_null()))
    if count := rows["id"].null_count():
        message = Message("graphs.table.nodes-without-id", name=name, count=count)
        found.append(Finding("nodes-without-id", "quality", "fail", message))
    if "key" in rows.columns and len(twice := _ambiguous(rows, "key", "id")):
        message = Message("graphs.table.shared-keys", name=name, count=len(twice), example=twice[0])
        found.append(Finding("keys-of-several-nodes", "quality", "fail", message))
    elif "key" not in rows.columns and "name" in rows.columns and len(twice := _ambiguous(rows, "id", "name")):
        message = Message("graphs.table.several-names", name=name, count=len(twice), example=twice[0])
        found.append(Finding("nodes-of-several-names", "quality", "unknown", message))
    return found


def _ambiguous(rows: pl.DataFrame, column: str, other: str) -> pl.Series:
    """The values of one column that have several values in another, sorted."""
    known = rows.drop_nulls([column, other]).group_by(column).agg(pl.col(other).n_unique())
    return known.filter(pl.col(other) > 1)[column].sort()
