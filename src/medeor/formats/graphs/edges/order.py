"""Which of three columns without a header is the relation: most files have head, relation, tail, and some do not."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from medeor.contracts import Finding, Message
from medeor.formats.graphs.tables import TRIPLE, GraphTables

FEWEST = 10
"""Rows below which nothing is concluded from how often values stand where."""
TIMES = 2
"""How many times as many values the second column must have as another for the order to be doubted."""


def in_order(tables: Sequence[GraphTables]) -> list[GraphTables]:
    """Tables of one source, with the relation in its place. The entities of a graph are heads and tails: where the
    second column shares its values with one of the others, and the third (or the first), which has fewer of them,
    shares none, this is the relation. Where it only has fewer, a finding doubts the order, and it stays."""
    open_ = [table for table in tables if table.open_order]
    if sum(table.edges.height for table in open_) < FEWEST:
        return list(tables)
    head, relation, tail = (
        pl.concat([table.edges[role].unique().cast(pl.String) for table in open_]).unique() for role in TRIPLE
    )
    if head.is_in(tail.implode()).any() and not relation.is_in(pl.concat([head, tail]).implode()).any():
        return list(tables)
    names = tuple(table.name for table in open_)
    for order, place, kind, other in (
        (("head", "tail", "relation"), "third", tail, head),
        (("relation", "head", "tail"), "first", head, tail),
    ):
        alone = not relation.is_in(kind.implode()).any() and not other.is_in(kind.implode()).any()
        if len(kind) < len(relation) and alone and relation.is_in(other.implode()).any():
            values = Message("common.count.value", count=len(kind))
            message = Message(f"graphs.order.{place}-read", names=names, values=values)
            found = Finding("column-order", "quality", "pass", message)
            return [_reordered(table, order, found) if table.open_order else table for table in tables]
        if len(kind) * TIMES <= len(relation):
            values = Message("common.count.value", count=len(relation))
            message = Message(f"graphs.order.{place}-doubted", names=names, values=values, fewer=len(kind))
            found = Finding("column-order", "quality", "fail", message)
            return [table.noting(found) if table is open_[0] else table for table in tables]
    return list(tables)


def _reordered(table: GraphTables, order: tuple[str, str, str], found: Finding) -> GraphTables:
    """The table with its three columns named in another order."""
    edges = table.edges.rename(dict(zip(TRIPLE, order))).select(*TRIPLE, pl.exclude(*TRIPLE))
    findings = tuple(one for one in table.findings if one.check != "first-row")
    return table._replace(edges=edges, nodes=table.nodes.clear(), findings=(*findings, found))
