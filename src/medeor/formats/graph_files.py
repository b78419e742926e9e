"""Which files make a graph: a table, an ontology, a folder of parts, the tables of a metathesaurus."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from medeor import machine
from medeor.contracts import Finding, UserError
from medeor.formats.edge_layouts import PART_NAMES, WHERE, columns_of, constants_of, unused
from medeor.formats.edge_tables import Edges, Nodes, read_text, understood
from medeor.formats.graph_tables import PARTS, GraphTables
from medeor.formats.ontology import read_obo
from medeor.formats.tables import read_table
from medeor.formats.umls_rrf import is_rrf, read_rrf

TEXT = (".tsv", ".csv", ".txt", ".sif", ".edgelist", ".tab", ".dict")
TABLES = (".parquet", ".pq", ".xlsx", ".xls")
PACKED = 8
"""How much larger than its gzip a table of text may be, where the gzip does not tell."""
GROWTH = 3
"""Bytes in use at once while reading, for each byte of text."""


class _File(NamedTuple):
    path: Path
    ending: str
    """Lower case, without `.gz`."""
    part: str
    """What its name says of the edges in it; empty where nothing."""


def read_tables(
    given: Sequence[Path | np.ndarray | pl.DataFrame], where: Mapping[str, str], memory: int | None = None
) -> list[GraphTables]:
    """Every table of the sources.

    Raises: UserError where a source is missing, broken, of an unknown layout, or too large for the memory."""
    if wrong := [key for key in where if key not in WHERE]:
        raise UserError(f"a graph does not ask for '{wrong[0]}'; --where takes {', '.join(WHERE)}")
    of = {file: i for i, source in enumerate(given) if isinstance(source, Path) for file in _files(source)}
    files = list(of)
    _fits(files, free_memory() if memory is None else memory)
    found: list[GraphTables] = []
    read: list[Nodes | Edges] = []
    seen: dict[str, list[str]] = {}
    used = {"part"} if any(file.part for file in files) else set()
    if rrf := [file for file in files if is_rrf(file.path)]:
        found.append(read_rrf([file.path for file in rrf], where)._replace(given=of[rrf[0]]))
        used |= {role for role in ("source", "licence", "release") if role in where}
    for file in files:
        if file.ending == ".obo":
            found.append(read_obo(file.path, where)._replace(given=of[file]))
            used |= set(constants_of({}, where))
        elif file.ending in TEXT:
            table, header = read_text(file.path, where, file.part)
            read.append(_from(of[file], table))
            used |= _used(where, header, table)
            seen[str(file.path)] = header or ["no header"]
        elif file.ending in TABLES:
            frame = read_table(file.path)
            read.append(_from(of[file], _given(frame, where, str(file.path), file.part)))
            used |= _used(where, frame.columns, read[-1])
            seen[str(file.path)] = frame.columns
    for number, source in enumerate(given):
        if isinstance(source, np.ndarray):
            if source.ndim != 2 or source.shape[1] != 3:
                raise UserError(f"triples as an array have the shape (n, 3): head, relation, tail; got {source.shape}")
            source = pl.DataFrame(source, schema=["head", "relation", "tail"])
        if isinstance(source, pl.DataFrame):
            read.append(_from(number, _given(source, where, "the table")))
            used |= _used(where, source.columns, read[-1])
            seen["the table"] = source.columns
    unused(where, used, seen)
    found += _translated(read, where)
    return found


def _from(number: int, table: Nodes | Edges) -> Nodes | Edges:
    return table._replace(tables=table.tables._replace(given=number))


def _used(where: Mapping[str, str], header: Sequence[str], table: Nodes | Edges) -> set[str]:
    """What the user said that this table has obeyed."""
    own = {role for role, name in where.items() if name in header}
    if isinstance(table, Nodes):
        return own
    edges = table.tables.edges
    one_valued = [role for role in ("relation", "source", "licence", "release") if role in where and role in edges]
    said = {role for role in one_valued if edges.select((pl.col(role) == where[role]).all()).item()}
    kinds = {role for role in ("head_kind", "tail_kind") if role in where and where[role] in table.tables.nodes["kind"]}
    return own | said | kinds


def _given(frame: pl.DataFrame, where: Mapping[str, str], name: str, part: str = "") -> Nodes | Edges:
    columns = columns_of(frame.columns, where)
    if columns is None:
        raise UserError(f"{name} has {', '.join(frame.columns)}; say which is which: --where head=… --where tail=…")
    kind = pl.Categorical(pl.Categories.random())
    return understood(frame.select(pl.all().cast(pl.String).cast(kind)), columns, where, part)


def _translated(read: Sequence[Nodes | Edges], where: Mapping[str, str]) -> Iterator[GraphTables]:
    """Edges that call their nodes by the keys of a table of nodes get the identifiers; pairs without direction start
    at the kind that the user named as heads."""
    nodes = [table for table in read if isinstance(table, Nodes)]
    yield from (table.tables for table in nodes)
    keys = pl.concat([table.keys for table in nodes]).unique("key") if nodes else pl.DataFrame()
    kinds = pl.concat([table.tables.nodes for table in nodes]).unique("id") if nodes else pl.DataFrame()
    for table in read:
        if isinstance(table, Nodes):
            continue
        tables = table.tables
        ends = pl.concat([tables.edges[side].unique().cast(pl.String) for side in ("head", "tail")]).unique()
        if keys.height and ends.is_in(keys["key"].implode()).all():
            sides = [pl.col(s).cast(pl.String).replace_strict(keys["key"], keys["id"]) for s in ("head", "tail")]
            own = tables.nodes.with_columns(pl.col("id").replace(keys["key"], keys["id"]))
            tables = tables._replace(edges=tables.edges.with_columns(sides), nodes=own)
        if not table.directed and nodes and "head_kind" in where:
            tables = _turned(tables, kinds, where["head_kind"])
        yield tables


def _turned(tables: GraphTables, kinds: pl.DataFrame, head_kind: str) -> GraphTables:
    """Pairs that all start at an entity of this kind, where one of the two is. What kind an end is the table of nodes
    knows better than its place in a pair."""
    starts = kinds.filter(pl.col("kind") == head_kind)["id"].implode()
    head, tail = pl.col("head").cast(pl.String), pl.col("tail").cast(pl.String)
    turn = ~head.is_in(starts) & tail.is_in(starts)
    edges = tables.edges.with_columns(
        head=pl.when(turn).then(tail).otherwise(head), tail=pl.when(turn).then(head).otherwise(tail)
    )
    neither = edges.select((~pl.col("head").is_in(starts)).sum()).item()
    found = tables.findings
    if neither:
        message = f"{neither} pairs have no end of the kind {head_kind} and stay as they stand"
        found = (*found, Finding("pairs-without-direction", "quality", "fail", message))
    return tables._replace(edges=edges, nodes=tables.nodes.clear(), findings=found)


def _files(path: Path) -> list[_File]:
    """The files of a graph at `path`; of a folder with train, validation and test files, these."""
    if not path.exists():
        raise UserError(f"{path} does not exist")
    if path.is_file():
        file = _file(path)
        if not file.ending and not is_rrf(path):
            known = ", ".join((*TEXT, ".obo", ".RRF", *TABLES))
            raise UserError(f"{path}: a graph is read from {known}; text may be packed as .gz")
        return [file._replace(part="")]
    every = [_file(Path(place, name)) for place, _, names in os.walk(path) for name in names if name[:1] != "."]
    every = sorted(file for file in every if file.ending or is_rrf(file.path))
    parts = [file for file in every if file.part]
    if {file.part for file in parts} >= {"train", "test"}:
        own = {file.path.parent for file in parts}
        order = ("", *PARTS)
        return sorted((file for file in every if file.path.parent in own), key=lambda file: order.index(file.part))
    if not every:
        raise UserError(f"{path} holds no file of a graph (triples, nodes, an ontology, .RRF)")
    return [file._replace(part="") for file in every]


def _file(path: Path) -> _File:
    name = path.name.lower().removesuffix(".gz")
    ending = next((one for one in (*TEXT, *TABLES, ".obo") if name.endswith(one)), "")
    aside = name.startswith(("readme", "license", "licence", "simulated"))
    return _File(path, "" if aside else ending, PART_NAMES.get(name.removesuffix(ending), ""))


def _fits(files: Sequence[_File], memory: int) -> None:
    needed = GROWTH * sum(map(_unpacked, (file.path for file in files)))
    if needed > memory:
        said = f"about {needed / 2**30:.1f} GiB of memory to be read, and {memory / 2**30:.1f} GiB are free"
        raise UserError(f"this graph ({len(files)} files) needs {said}; read a part of it, or use a larger machine")


def _unpacked(path: Path) -> int:
    """Bytes of text in a file, packed or not."""
    size = path.stat().st_size
    if path.suffix.lower() != ".gz":
        return size
    with path.open("rb") as file:
        file.seek(max(size - 4, 0))
        told = int.from_bytes(file.read(4), "little")
    # A gzip tells its length in 32 bits only.
    return told if told > size else PACKED * size


def free_memory() -> int:
    """Bytes of memory that a program may still take on this machine."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return machine.free_memory()
