"""What the nodes of several tables are called by each other: keys of a table of nodes, spaces of identifiers, and
identifiers that an ontology has replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from medeor.contracts import Finding, Message, Text
from medeor.formats.graphs.edges.tables import Edges, Nodes
from medeor.formats.graphs.tables import SYNONYMS, GraphTables


def translated(read: Sequence[Nodes | Edges], where: Mapping[str, str]) -> Iterator[GraphTables]:
    """Edges that call their nodes by the keys of a table of nodes get the identifiers; pairs without direction start
    at the kind that the user named as heads."""
    nodes = [table for table in read if isinstance(table, Nodes)]
    yield from (table.tables for table in nodes)
    keys = pl.concat([table.keys for table in nodes]) if nodes else pl.DataFrame()
    keys = keys.unique("key", keep="first", maintain_order=True) if keys.height else keys
    kinds = pl.concat([table.tables.nodes for table in nodes]).unique("id") if nodes else pl.DataFrame()
    for table in read:
        if isinstance(table, Nodes):
            continue
        tables = table.tables
        if keys.height:
            tables = _by_keys(tables, keys, kinds["id"], table.name)
        if not table.directed and nodes and "head_kind" in where:
            tables = _turned(tables, kinds, where["head_kind"])
        yield tables


def _by_keys(tables: GraphTables, keys: pl.DataFrame, ids: pl.Series, name: Text) -> GraphTables:
    """Edges with identifiers in the place of keys, where keys is what they have. One that no node has stays as it is,
    marked, and is told."""
    ends = pl.concat([tables.edges[side].unique().cast(pl.String) for side in ("head", "tail")]).unique()
    known = ends.is_in(keys["key"].implode())
    if not known.all() and (known.sum() <= ends.is_in(ids.implode()).sum() or 2 * known.sum() < len(ends)):
        return tables
    unseen = ends.filter(~known).sort()
    old = pl.concat([keys["key"], unseen])
    new = pl.concat([keys["id"], "index:" + unseen])
    sides = [pl.col(side).cast(pl.String).replace_strict(old, new) for side in ("head", "tail")]
    own = tables.nodes.with_columns(pl.col("id").replace(old, new))
    tables = tables._replace(edges=tables.edges.with_columns(sides), nodes=own)
    if not len(unseen):
        return tables
    message = Message(
        "graphs.ids.unknown-keys", name=name, count=len(unseen), all=len(ends), keys=tuple(unseen.head(3))
    )
    found = Finding("keys-without-node", "quality", "fail", message)
    return tables._replace(findings=(*tables.findings, found))


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
        message = Message("graphs.ids.no-end-of-kind", count=neither, kind=head_kind)
        found = (*found, Finding("pairs-without-direction", "quality", "fail", message))
    return tables._replace(edges=edges, nodes=tables.nodes.clear(), findings=found)


# --- spaces of identifiers -------------------------------------------------------------------------------


def apart_by_space(read: Sequence[Nodes | Edges]) -> list[Nodes | Edges]:
    """The tables with the space of an identifier before it (`Compound:1`), where two spaces share an identifier."""
    ids: dict[str, set[str]] = {}
    for table in read:
        for role, space in table.spaces.items():
            column = table.tables.nodes["id"] if role == "id" else table.tables.edges[role].unique().cast(pl.String)
            ids.setdefault(space, set()).update(column)
    every = [one for several in ids.values() for one in several]
    if len(every) == len(set(every)):
        return list(read)
    found: list[Nodes | Edges] = []
    for table in read:
        tables = table.tables
        for role, space in table.spaces.items():
            if role == "id":
                spelt = (pl.lit(f"{space}:") + pl.col("id")).alias("id")
                tables = tables._replace(
                    nodes=tables.nodes.with_columns(spelt), synonyms=tables.synonyms.with_columns(spelt)
                )
            else:
                spelt = (pl.lit(f"{space}:") + pl.col(role).cast(pl.String)).cast(pl.Categorical).alias(role)
                tables = tables._replace(edges=tables.edges.with_columns(spelt))
        found.append(table._replace(tables=tables))
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
        also = also.select(pl.col("id").replace(old, new), "name", language=pl.lit(None, pl.String)).cast(SYNONYMS)  # type: ignore[arg-type]
        nodes = table.nodes.with_columns(
            pl.col("id").replace(old, new),
            *(pl.when(before).then(None).otherwise(pl.col(one)).alias(one) for one in ("name", "kind")),
        )
        tables.append(
            table._replace(nodes=nodes, synonyms=pl.concat([table.synonyms, also.cast(table.synonyms.schema)]))
        )
    first = next(i for i, table in enumerate(tables) if table.alternatives.height)
    findings = tables[first].findings
    if len(several):
        message = Message("graphs.ids.shared-alternatives", count=len(several), example=several[0])
        findings = (*findings, Finding("ambiguous-alternatives", "quality", "fail", message))
    tables[first] = tables[first]._replace(synonyms=pl.concat([tables[first].synonyms, synonyms]), findings=findings)
    return tables
