"""Identifiers across several tables: keys of a table of nodes, spaces of identifiers, and identifiers that an ontology
has replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from medeor.contracts import Finding, Message
from medeor.formats.graphs.tables import GraphTables


def translated(tables: Sequence[GraphTables], where: Mapping[str, str]) -> Iterator[GraphTables]:
    """Tables of nodes, then those of edges: ends that are keys of a table of nodes become its identifiers, and pairs
    without direction start at the kind that the user named as heads."""
    nodes = [table for table in tables if table.keys is not None]
    yield from nodes
    keys = pl.concat([table.keys for table in nodes if table.keys is not None]) if nodes else pl.DataFrame()
    keys = keys.unique("key", keep="first", maintain_order=True) if keys.height else keys
    kinds = pl.concat([table.nodes for table in nodes]).unique("id") if nodes else pl.DataFrame()
    for table in tables:
        if table.keys is not None:
            continue
        if keys.height:
            table = _by_keys(table, keys, kinds["id"])
        if not table.directed and nodes and "head_kind" in where:
            table = _directed(table, kinds, where["head_kind"])
        yield table


def _by_keys(table: GraphTables, keys: pl.DataFrame, ids: pl.Series) -> GraphTables:
    """Edges with identifiers in the place of keys, where they have keys. A key that no node has stays as it is, marked,
    and a finding counts it."""
    ends = table.ends()
    known = ends.is_in(keys["key"].implode())
    if not known.all() and (known.sum() <= ends.is_in(ids.implode()).sum() or 2 * known.sum() < len(ends)):
        return table
    unseen = ends.filter(~known).sort()
    old = pl.concat([keys["key"], unseen])
    new = pl.concat([keys["id"], "index:" + unseen])
    sides = [pl.col(side).cast(pl.String).replace_strict(old, new) for side in ("head", "tail")]
    own = table.nodes.with_columns(pl.col("id").replace(old, new))
    table = table._replace(edges=table.edges.with_columns(sides), nodes=own)
    if not len(unseen):
        return table
    counts = {"count": len(unseen), "all": len(ends)}
    message = Message("graphs.ids.unknown-keys", name=table.name, **counts, keys=tuple(unseen.head(3)))
    return table.noting(Finding("keys-without-node", "quality", "fail", message))


def _directed(table: GraphTables, kinds: pl.DataFrame, head_kind: str) -> GraphTables:
    """Pairs that all start at an entity of this kind, where one of the two is. The kind of an end is that in the table
    of nodes, not that of its place in a pair."""
    starts = kinds.filter(pl.col("kind") == head_kind)["id"].implode()
    head, tail = pl.col("head").cast(pl.String), pl.col("tail").cast(pl.String)
    turn = ~head.is_in(starts) & tail.is_in(starts)
    edges = table.edges.with_columns(
        head=pl.when(turn).then(tail).otherwise(head), tail=pl.when(turn).then(head).otherwise(tail)
    )
    neither = edges.select((~pl.col("head").is_in(starts)).sum()).item()
    table = table._replace(edges=edges, nodes=table.nodes.clear())
    if not neither:
        return table
    message = Message("graphs.ids.no-end-of-kind", count=neither, kind=head_kind)
    return table.noting(Finding("pairs-without-direction", "quality", "fail", message))


# --- spaces of identifiers -------------------------------------------------------------------------------


def with_spaces(tables: Sequence[GraphTables]) -> list[GraphTables]:
    """The tables with the space of an identifier before it (`Compound:1`), where two spaces share an identifier."""
    ids: dict[str, set[str]] = {}
    for table in tables:
        for role, space in table.spaces.items():
            column = table.nodes["id"] if role == "id" else table.edges[role].unique().cast(pl.String)
            ids.setdefault(space, set()).update(column)
    every = [one for several in ids.values() for one in several]
    if len(every) == len(set(every)):
        return list(tables)
    found = []
    for table in tables:
        for role, space in table.spaces.items():
            spelt = (pl.lit(f"{space}:") + pl.col(role).cast(pl.String)).alias(role)
            if role == "id":
                nodes, synonyms = table.nodes.with_columns(spelt), table.synonyms.with_columns(spelt)
                table = table._replace(nodes=nodes, synonyms=synonyms)
            else:
                table = table._replace(edges=table.edges.with_columns(spelt.cast(pl.Categorical)))
        found.append(table)
    return found


# --- identifiers that an ontology has replaced ------------------------------------------------------------


def current(found: Sequence[GraphTables]) -> list[GraphTables]:
    """The tables with the identifier of a term in the place of its alternative ones, whichever file names them; these
    become synonyms of the term. An alternative of several terms, or one that is a term itself, stays."""
    alternatives = pl.concat([table.alternatives for table in found]).unique(maintain_order=True)
    living = [table.nodes["id"] for table in found if table.alternatives.height]
    if not living:
        return list(found)
    alternatives = alternatives.filter(~pl.col("from").is_in(pl.concat(living).implode()))
    several = alternatives.filter(pl.col("from").is_duplicated())["from"].unique().sort()
    plain = alternatives.filter(~pl.col("from").is_in(several.implode()))
    old, new = plain["from"], plain["to"]
    synonyms = plain.select(id="to", name="from", language=pl.lit(None, pl.String))
    tables = []
    for table in found:
        ends = [pl.col(side).cast(pl.String).replace(old, new).cast(pl.Categorical) for side in ("head", "tail")]
        if any(table.edges[side].cast(pl.String).is_in(old.implode()).any() for side in ("head", "tail")):
            table = table._replace(edges=table.edges.with_columns(ends))
        # The term keeps its own name, whichever file is read first; that of the old identifier is a synonym of it.
        before = table.nodes["id"].is_in(old.implode())
        also = table.nodes.filter(before & table.nodes["name"].is_not_null())
        also = also.select(pl.col("id").replace(old, new), "name", language=pl.lit(None, pl.String))
        nodes = table.nodes.with_columns(
            pl.col("id").replace(old, new),
            *(pl.when(before).then(None).otherwise(pl.col(one)).alias(one) for one in ("name", "kind")),
        )
        also = also.cast(table.synonyms.schema)
        tables.append(table._replace(nodes=nodes, synonyms=pl.concat([table.synonyms, also])))
    first = next(i for i, table in enumerate(tables) if table.alternatives.height)
    tables[first] = tables[first]._replace(synonyms=pl.concat([tables[first].synonyms, synonyms]))
    if len(several):
        message = Message("graphs.ids.shared-alternatives", count=len(several), example=several[0])
        tables[first] = tables[first].noting(Finding("ambiguous-alternatives", "quality", "fail", message))
    return tables
