"""Which files make a graph: a table, an ontology, a folder of parts, the tables of a metathesaurus."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from medeor import machine
from medeor.contracts import Finding, Message, Text, UserError
from medeor.formats.graphs.dictionaries import Dictionary, decoded, read_dictionary
from medeor.formats.graphs.edges.layouts import constants_of, unused
from medeor.formats.graphs.edges.order import in_order
from medeor.formats.graphs.edges.tables import read_frame, read_text
from medeor.formats.graphs.facts import LINES, OPTIONS, TABLES, TEXT
from medeor.formats.graphs.folders import chosen_files
from medeor.formats.graphs.ids import current, translated, with_spaces
from medeor.formats.graphs.ontology import read_obo
from medeor.formats.graphs.tables import NAMELESS, TRIPLE, GraphTables
from medeor.formats.graphs.umls_rrf import is_rrf, read_rrf
from medeor.formats.tables.read import content_of, read_table

PACKED = 8
"""How much larger than its gzip a table of text may be, where the gzip does not state it."""
GROWTH = 3
"""Bytes in use at once while reading, for each byte of text."""


def read_tables(
    given: Sequence[Path | np.ndarray | pl.DataFrame],
    where: Mapping[str, str],
    memory: int | None = None,
    training: bool = False,
) -> list[GraphTables]:
    """Every table of the sources. For `training`, files of false edges, and edges without a part where others have
    train and test, are left out, and a finding lists them.

    Raises: UserError where a source is missing, broken, of an unknown layout, or too large for the memory."""
    if wrong := [key for key in where if key not in OPTIONS]:
        raise UserError("graphs.read.unknown-option", option=wrong[0], options=OPTIONS)
    numbers = [i for i, source in enumerate(given) if isinstance(source, Path)]
    files, findings = chosen_files([source for source in given if isinstance(source, Path)], training)
    files = [file._replace(source=numbers[file.source]) for file in files]
    _fits([file.path for file in files], free_memory() if memory is None else memory)
    found: list[GraphTables] = []
    read: list[GraphTables] = []
    dictionaries: list[Dictionary] = []
    seen: dict[Text, Sequence[Text]] = {}
    used = {"part"} if any(file.part for file in files) else set()

    def add(source: int, place: Text, table: GraphTables, header: Sequence[str]) -> None:
        read.append(table._replace(source=source))
        used.update(_used(where, header, table))
        seen[place] = header or [Message("graphs.columns.no-header")]

    if rrf := [file for file in files if is_rrf(file.path)]:
        found.append(read_rrf([file.path for file in rrf], where)._replace(source=rrf[0].source))
        used |= {role for role in ("source", "licence", "release") if role in where}
    for file in files:
        if file.ending == ".obo":
            found.append(read_obo(file.path, where)._replace(source=file.source))
            used |= set(constants_of({}, where))
        elif len(files) > 1 and (dictionary := read_dictionary(file.path)) is not None:
            dictionaries.append(dictionary)
        elif file.ending in TEXT:
            add(file.source, str(file.path), *read_text(file.path, where, file.part))
        elif file.ending in TABLES:
            frame = _lines(file.path) if file.ending in LINES else read_table(file.path)
            add(file.source, str(file.path), _given(frame, where, file.path, file.part), frame.columns)
    for number, source in enumerate(given):
        if isinstance(source, np.ndarray):
            if source.ndim != 2 or source.shape[1] != 3:
                raise UserError("graphs.read.wrong-shape", shape=str(source.shape))
            source = pl.DataFrame(source, schema=TRIPLE)
        if isinstance(source, pl.DataFrame):
            add(number, NAMELESS, _given(source, where, NAMELESS), source.columns)
    unused(where, used, seen)
    read = decoded(_in_order(read), dictionaries)
    found = current([*found, *translated(with_spaces(read), where)])
    if training:
        found = _with_parts(found)
    if findings and found:
        found[0] = found[0]._replace(findings=(*findings, *found[0].findings))
    return found


def _in_order(read: Sequence[GraphTables]) -> list[GraphTables]:
    """The tables with their relation in its place; those of one source have one order."""
    found = list(read)
    for source in {table.source for table in read}:
        places = [i for i, table in enumerate(read) if table.source == source]
        for i, table in zip(places, in_order([read[i] for i in places])):
            found[i] = table
    return found


def _lines(path: Path) -> pl.DataFrame:
    """JSON lines, as KGX writes them: lists as text separated by |."""
    try:
        frame = pl.read_ndjson(io.BytesIO(content_of(path)), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise UserError("graphs.read.not-json-lines", path=path, problem=str(error).splitlines()[0]) from None
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    nested = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Struct)]
    return frame.drop(nested).with_columns(pl.col(name).cast(pl.List(pl.String)).list.join("|") for name in lists)


def _with_parts(found: Sequence[GraphTables]) -> list[GraphTables]:
    """Where tables have parts, the tables without the edges of those that have none: nobody knows how they were kept
    from the test part. Rows without a part in a table that has parts are for training, which a finding states."""
    parted = [table.edges.height > 0 and "part" in table.edges.columns for table in found]
    if not any(parted):
        return list(found)
    kept = []
    for table, own in zip(found, parted):
        silent = table.edges["part"].null_count() if own else table.edges.height
        if silent:
            key = "graphs.read.kept-without-part" if own else "graphs.read.excluded-without-part"
            message = Message(key, name=table.name, count=silent)
            finding = Finding("edges-without-part", "quality", "unknown" if own else "fail", message)
            table = table._replace(edges=table.edges if own else table.edges.clear()).noting(finding)
        kept.append(table)
    return kept


def _used(where: Mapping[str, str], header: Sequence[str], table: GraphTables) -> set[str]:
    """The options that this table has obeyed."""
    own = {role for role, name in where.items() if name in header}
    if table.keys is not None:
        return own
    edges = table.edges
    constants = [role for role in ("relation", "source", "licence", "release") if role in where and role in edges]
    own |= {role for role in constants if edges.select((pl.col(role) == where[role]).all()).item()}
    return own | {role for role in ("head_kind", "tail_kind") if role in where and where[role] in table.nodes["kind"]}


def _given(frame: pl.DataFrame, where: Mapping[str, str], place: Path | Message, part: str = "") -> GraphTables:
    kind = pl.Categorical(pl.Categories.random())
    return read_frame(frame.select(pl.all().cast(pl.String).cast(kind)), where, part, place)


def _fits(files: Sequence[Path], memory: int) -> None:
    needed = GROWTH * sum(map(_unpacked, files))
    if needed > memory:
        count = Message("common.count.file", count=len(files))
        raise UserError("graphs.read.too-large", files=count, needed=needed / 2**30, free=memory / 2**30)


def _unpacked(path: Path) -> int:
    """Bytes of text in a file, packed or not."""
    size = path.stat().st_size
    if path.suffix.lower() != ".gz":
        return size
    with path.open("rb") as file:
        file.seek(max(size - 4, 0))
        unpacked = int.from_bytes(file.read(4), "little")
    # A gzip states its length in 32 bits only.
    return unpacked if unpacked > size else PACKED * size


def free_memory() -> int:
    """Bytes of memory that a program may still take on this machine."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return machine.free_memory()
