"""What every reader of graphs gives: named nodes, edges between them, synonyms, and what was noticed on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from medeor.contracts import Finding, Message, Text

NODES = {"id": pl.String, "name": pl.String, "kind": pl.String}
SYNONYMS = {"id": pl.String, "name": pl.String, "language": pl.String}
REFERENCES = {"from": pl.String, "to": pl.String}
TRIPLE = ("head", "relation", "tail")
FACTS = ("source", "licence", "release", "part")
"""Columns that each edge has in every graph, null where the file is silent."""
PARTS = ("train", "validation", "test")
NAMELESS = Message("graphs.table.nameless")
"""The name of a table that no file holds."""


class GraphTables(NamedTuple):
    """One file or set of files, as read; ids are those of the source."""

    edges: pl.DataFrame
    """One row an edge: head, relation, tail (text or categories), then further columns of the source."""
    nodes: pl.DataFrame = pl.DataFrame(schema=NODES)
    """One row a node that the source describes: id, name, kind."""
    synonyms: pl.DataFrame = pl.DataFrame(schema=SYNONYMS)
    """id, name, language (`en`, `zh` or another two-letter code; null where unknown)."""
    references: pl.DataFrame = pl.DataFrame(schema=REFERENCES)
    """The same thing under another identifier: from, to."""
    findings: tuple[Finding, ...] = ()
    """What was excluded or had to be guessed."""
    source: int = 0
    """Its source, by number."""
    alternatives: pl.DataFrame = pl.DataFrame(schema=REFERENCES)
    """Other identifiers of the same term within its ontology: from, to."""
    name: Text = NAMELESS
    keys: pl.DataFrame | None = None
    """Of a table of nodes: key, id of each node that tables of edges call by another key than its identifier."""
    directed: bool = True
    """False for a list of pairs."""
    spaces: Mapping[str, str] = {}
    """By role (head, tail, id): the space in which identifiers hold."""
    open_order: bool = False
    """Whether nothing says which of its three columns is the relation."""

    def noting(self, *findings: Finding) -> GraphTables:
        """The same with further findings."""
        return self._replace(findings=(*self.findings, *findings))

    def ends(self) -> pl.Series:
        """The identifiers of all heads and tails, once each."""
        return pl.concat([self.edges[side].unique().cast(pl.String) for side in ("head", "tail")]).unique()
