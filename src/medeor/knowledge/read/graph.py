"""A graph of medical knowledge: entities, relations, and edges that each keep where they come from. In memory edges are
integers; on disk they are Arrow files that are mapped, not read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from medeor.contracts import Finding, Message, UserError
from medeor.files import digest, read_json, replacing, write_json
from medeor.formats.graphs.read import read_tables
from medeor.formats.graphs.tables import FACTS, PARTS, TRIPLE, GraphTables

VERSION = 1
"""Of the folder that `Graph.save` writes."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Entities and the edges between them."""

    entities: pl.DataFrame
    """Row i is entity i: id (as in the source), name (the id where there is none), kind (`Disease`, `Gene`; null where
    unknown). In the order of the ids."""
    relations: pl.DataFrame
    """Row i is relation i: name."""
    triples: np.ndarray
    """Shape (edges, 3), int32: head, relation, tail of every edge of every part."""
    facts: pl.DataFrame
    """One row an edge: source, licence, release, part (train, validation, test), all of type Enum, null where unknown;
    then whatever else the source says of its edges."""
    synonyms: pl.DataFrame
    """Further names: entity (its row), name, language (`en`, `zh`, …; null where unknown)."""
    findings: tuple[Finding, ...] = ()
    """What was noticed while reading: encodings, excluded rows, ids with two kinds."""

    def __len__(self) -> int:
        return len(self.triples)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its entities, sorted."""
        return tuple(self.entities["kind"].drop_nulls().cast(pl.String).unique().sort())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, whatever the file it came from."""
        parts = (part for frame in self._frames().values() for part in _bytes(frame))
        return digest(np.ascontiguousarray(self.triples).data, *parts)

    def save(self, folder: Path) -> None:
        """Writes Arrow files and `graph.json` into `folder`, in the place of a graph that lay there."""
        with replacing(Path(folder)) as new:
            new.mkdir()
            triples = pl.Series("triple", self.triples, dtype=pl.Array(pl.Int32, 3)).to_frame()
            for name, frame in {**self._frames(), "triples": triples}.items():
                # One batch a file: only then are the rows of a mapped column side by side.
                frame.rechunk().write_ipc(new / f"{name}.arrow", record_batch_size=max(frame.height, 1))
            facts = {"version": VERSION, "digest": self.digest, "findings": [one.to_json() for one in self.findings]}
            write_json(new / "graph.json", facts)

    @classmethod
    def open(cls, folder: Path) -> Graph:
        """The graph in a folder. Its edges are mapped: pages of them come into memory when they are used.

        Raises: UserError where the folder holds no graph, a newer one, or one that was damaged."""
        folder = Path(folder)
        facts = read_json(folder / "graph.json")
        if not isinstance(facts, dict) or facts.get("version") != VERSION:
            raise UserError("knowledge.graph.other-version", path=folder / "graph.json")
        entities, relations, edges, synonyms, triples = (
            _mapped(folder / f"{name}.arrow") for name in ("entities", "relations", "facts", "synonyms", "triples")
        )
        findings = tuple(Finding.from_json(one) for one in facts["findings"])
        graph = cls(entities, relations, triples["triple"].to_numpy(), edges, synonyms, findings)
        if graph.digest != facts["digest"]:
            raise UserError("knowledge.graph.changed", folder=folder)
        return graph

    def _frames(self) -> dict[str, pl.DataFrame]:
        return {name: getattr(self, name) for name in ("entities", "relations", "facts", "synonyms")}


def read_graph(
    sources: Sequence[str | Path | np.ndarray | pl.DataFrame],
    where: Mapping[str, str] | None = None,
    memory: int | None = None,
    training: bool = False,
) -> Graph:
    """One graph from files, folders, tables, or triples of ids as an array of shape (n, 3).

    `where` names the columns of files whose layout medeor does not know (`formats.graphs.facts.OPTIONS` lists its
    keys); `memory` is the number of bytes that reading may use, by default what is free; `training` leaves out edges
    that are false or of unknown part (see `read_tables`).

    Raises: UserError where a source is missing, empty, broken, of an unknown layout, or larger than the memory."""
    given = [Path(source) if isinstance(source, str) else source for source in sources]
    if not given:
        raise UserError("knowledge.graph.no-source")
    if len(given) == 1 and isinstance(given[0], Path) and (given[0] / "graph.json").is_file():
        return Graph.open(given[0])
    graph = assemble(read_tables(given, where or {}, memory, training))
    if not len(graph):
        raise UserError("knowledge.graph.no-edges", sources=tuple(map(str, given)))
    return graph


def assemble(tables: Sequence[GraphTables]) -> Graph:
    """One graph from what the readers gave: ids that are alike become one entity, and its second name a synonym."""
    nodes = pl.concat([table.nodes for table in tables]).unique(maintain_order=True)
    ids = pl.concat([*(table.ends() for table in tables), nodes["id"]]).drop_nulls().unique().sort().alias("id")
    relations = pl.concat([table.edges["relation"].unique().cast(pl.String) for table in tables]).unique().sort()
    place, relation = pl.Enum(ids), pl.Enum(relations)
    triples = np.concatenate([_triples(table.edges, place, relation) for table in tables])
    named = nodes.group_by("id").agg(pl.col("name", "kind").drop_nulls().first())
    entities = ids.to_frame().join(named, on="id", how="left", maintain_order="left")
    entities = entities.with_columns(pl.col("name").fill_null(pl.col("id")))
    further = nodes.select("id", "name", pl.lit(None, pl.String).alias("language"))
    synonyms = (
        pl.concat([*(table.synonyms for table in tables), further])
        .filter(pl.col("name").is_not_null() & pl.col("id").is_in(ids.implode()))
        .unique(["id", "name"], keep="first", maintain_order=True)
        .join(entities, on=["id", "name"], how="anti", maintain_order="left")
        .select(pl.col("id").cast(place).to_physical().cast(pl.Int32).alias("entity"), "name", "language")
        .sort("entity", maintain_order=True)
    )
    facts = pl.concat([_facts(table.edges) for table in tables], how="diagonal_relaxed")
    facts = facts.with_columns(_enum(column) for column in facts if column.dtype == pl.Categorical)
    findings = [finding for table in tables for finding in table.findings]
    findings += _two_kinds(nodes)
    return Graph(entities, relations.alias("name").to_frame(), triples, facts, synonyms, tuple(findings))


def _triples(edges: pl.DataFrame, place: pl.Enum, relation: pl.Enum) -> np.ndarray:
    triples = np.empty((edges.height, 3), np.int32)
    for i, (column, kind) in enumerate(zip(TRIPLE, (place, relation, place))):
        triples[:, i] = edges[column].cast(kind).to_physical().to_numpy()
    return triples


def _facts(edges: pl.DataFrame) -> pl.DataFrame:
    kinds = {name: pl.Enum(PARTS) if name == "part" else pl.Categorical for name in FACTS}
    known = [
        pl.col(name).cast(kind) if name in edges.columns else pl.lit(None, kind).alias(name)
        for name, kind in kinds.items()
    ]
    return edges.with_columns(known).select(*kinds, pl.exclude(*TRIPLE, *FACTS))


def _enum(column: pl.Series) -> pl.Series:
    """Categories in the order of their names: the same codes whatever was read before."""
    return column.cast(pl.Enum(column.unique().drop_nulls().cast(pl.String).sort()))


def _two_kinds(nodes: pl.DataFrame) -> list[Finding]:
    twice = nodes.drop_nulls("kind").group_by("id").agg(pl.col("kind").unique(maintain_order=True))
    twice = twice.filter(pl.col("kind").list.len() > 1).sort("id")
    if not twice.height:
        return []
    (name, kinds), *_ = twice.rows()
    message = Message("knowledge.graph.two-kinds", count=twice.height, id=name, kinds=tuple(kinds))
    return [Finding("entities-of-two-kinds", "quality", "fail", message)]


def _mapped(path: Path) -> pl.DataFrame:
    import pyarrow as pa

    try:
        frame = pl.from_arrow(pa.ipc.open_file(pa.memory_map(str(path))).read_all())
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError("knowledge.graph.unreadable", path=path, problem=error) from None
    assert isinstance(frame, pl.DataFrame)
    return frame


def _bytes(frame: pl.DataFrame) -> Iterable[bytes | memoryview]:
    """The content of a table, independent of how it is held in memory."""
    for column in frame:
        yield column.name.encode()
        if isinstance(column.dtype, pl.Enum):
            yield "\0".join(column.dtype.categories).encode()
            yield column.to_physical().fill_null(0).to_numpy().data
            yield column.is_null().to_numpy().data
        elif column.dtype == pl.String:
            yield column.str.len_bytes().fill_null(2**32 - 1).to_numpy().data
            yield column.drop_nulls().str.join("").item().encode()
        else:
            yield str(column.dtype).encode()
            yield column.is_null().to_numpy().data
            yield column.drop_nulls().to_numpy().data
