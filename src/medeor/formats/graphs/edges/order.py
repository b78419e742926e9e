"""Which of three columns without a header is the relation: most files say head, relation, tail, and some do not."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from medeor.contracts import Finding, Message
from medeor.formats.graphs.edges.tables import Edges

FEWEST = 10
"""Rows below which nothing is concluded from how often values stand where."""
TIMES = 2
"""How many times as many values the second column must have as another for the order to be doubted."""
_ROLES = ("head", "relation", "tail")


def in_order(tables: Sequence[Edges]) -> list[Edges]:
    """Tables without a header that belong together, with the relation where it stands. The entities of a graph are
    heads and tails: where the second column shares its values with one of the others, and the third (or the first),
    which has fewer of them, shares none, this is the relation. Where it only has fewer, the order is doubted in a
    finding, and stays."""
    open_ = [table for table in tables if table.open_order]
    rows = sum(table.tables.edges.height for table in open_)
    if rows < FEWEST:
        return list(tables)
    head, relation, tail = (
        pl.concat([table.tables.edges[role].unique().cast(pl.String) for table in open_]).unique() for role in _ROLES
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
            return [_turned(table, order, found) if table.open_order else table for table in tables]
        if len(kind) * TIMES <= len(relation):
            values = Message("common.count.value", count=len(relation))
            message = Message(f"graphs.order.{place}-doubted", names=names, values=values, fewer=len(kind))
            found = Finding("column-order", "quality", "fail", message)
            first = next(i for i, table in enumerate(tables) if table.open_order)
            return [_with(table, found) if i == first else table for i, table in enumerate(tables)]
    return list(tables)


def _turned(table: Edges, order: tuple[str, str, str], found: Finding) -> Edges:
    """The table with its three columns named in another order."""
    edges = table.tables.edges.rename(dict(zip(_ROLES, order)))
    edges = edges.select(*_ROLES, pl.exclude(*_ROLES))
    findings = tuple(one for one in table.tables.findings if one.check != "first-row")
    return table._replace(
        tables=table.tables._replace(edges=edges, nodes=table.tables.nodes.clear(), findings=(*findings, found))
    )


def _with(table: Edges, found: Finding) -> Edges:
    return table._replace(tables=table.tables._replace(findings=(*table.tables.findings, found)))
