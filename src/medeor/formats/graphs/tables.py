"""What every reader of graphs gives: named nodes, edges between them, synonyms, and what was noticed on the way."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from medeor.contracts import Finding, Message, Text

NODES = {"id": pl.String, "name": pl.String, "kind": pl.String}
SYNONYMS = {"id": pl.String, "name": pl.String, "language": pl.String}
REFERENCES = {"from": pl.String, "to": pl.String}
FACTS = ("source", "licence", "release", "part")
"""What each edge says of itself in every graph, null where the file is silent."""
PARTS = ("train", "validation", "test")
NAMELESS = Message("graphs.table.nameless")
"""What a table that no file holds is called."""


class GraphTables(NamedTuple):
    """One file or set of files, as read; ids are those of the source."""

    edges: pl.DataFrame
    """One row an edge: head, relation, tail (text or categories), then what the source says of it."""
    nodes: pl.DataFrame = pl.DataFrame(schema=NODES)
    """One row a node that the source describes: id, name, kind."""
    synonyms: pl.DataFrame = pl.DataFrame(schema=SYNONYMS)
    """id, name, language (`en`, `zh` or another two-letter code; null where unknown)."""
    references: pl.DataFrame = pl.DataFrame(schema=REFERENCES)
    """The same thing under another identifier: from, to."""
    findings: tuple[Finding, ...] = ()
    """What was set aside or had to be guessed."""
    given: int = 0
    """Which of the sources it was read from, in their order."""
    alternatives: pl.DataFrame = pl.DataFrame(schema=REFERENCES)
    """Other identifiers of the same term within its ontology: from, to."""
    name: Text = ""
    """Of the file."""
