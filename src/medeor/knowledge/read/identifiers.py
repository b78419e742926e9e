"""Identifiers of medicine: which system one belongs to, its one canonical spelling, and graphs of different systems
joined through cross references, with how much of them was joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from medeor.contracts import Finding, Message, UserError
from medeor.formats.graphs.ontology import read_obo
from medeor.formats.graphs.read import read_tables
from medeor.formats.graphs.tables import NAMELESS, REFERENCES, GraphTables
from medeor.formats.graphs.umls_rrf import is_rrf, read_rrf
from medeor.formats.tables.read import read_table
from medeor.knowledge.read.graph import Graph, assemble, read_graph


class System(NamedTuple):
    """One way of naming things."""

    prefix: str
    """How its canonical identifiers begin: `DRUGBANK:DB00331`."""
    aliases: str
    """How others write the prefix, in lower case."""
    pattern: str
    """What follows the prefix, in upper case."""
    plain: str = ""
    """What is recognised without a prefix; empty where that would be a guess."""

    @property
    def spellings(self) -> list[str]:
        """Of the prefix, in lower case."""
        return [*self.aliases.split(), self.prefix.lower()]


SYSTEMS = (
    System("INCHIKEY", "inchikey inchi-key", r"[A-Z]{14}-[A-Z]{10}-[A-Z]", r"[A-Z]{14}-[A-Z]{10}-[A-Z]"),
    System("ENSEMBL", "ensembl ensembl.gene", r"ENS[A-Z]*[EGPRT]\d{11}", r"ENS[A-Z]*[EGPRT]\d{11}(?:\.\d+)?"),
    System("DRUGBANK", "drugbank drugbank.drug db", r"DB\d{5}", r"DB\d{5}"),
    System("UMLS", "umls umls_cui cui umlscui", r"C\d{7}", r"C\d{7}"),
    System("MESH", "mesh msh mesh_id", r"[CD](?:\d{6}|\d{9})|[A-Z]\d{2}(?:\.\d{3})+", r"[CD](?:\d{6}|\d{9})"),
    System("ATC", "atc whocc", r"[A-V](?:\d{2}(?:[A-Z](?:[A-Z](?:\d{2})?)?)?)?", r"[A-V]\d{2}[A-Z]{2}(?:\d{2})?"),
    System("ICD10", "icd10 icd-10 icd10who", r"[A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?", r"[A-Z]\d{2}(?:\.\d{1,2})?"),
    System("ICD10CM", "icd10cm icd-10-cm", r"[A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?", r"[A-Z]\d{2}\.[0-9A-Z]{3,4}"),
    System(
        "ICD9CM", "icd9 icd9cm icd-9 icd-9-cm", r"(?:\d{3}|V\d{2})(?:\.\d{1,2})?|E\d{3}(?:\.\d)?", r"\d{3}\.\d{1,2}"
    ),
    System("NCBIGene", "ncbigene gene entrez entrezgene entrez_gene geneid ncbi_gene ncbi gene", r"\d+"),
    System("SNOMEDCT", "snomedct snomedct_us snomed sctid", r"\d{6,18}"),
)
"""In the order in which an identifier without a prefix is compared. Sources: UMLS Reference Manual; ATC/DDD Index;
ICD-10 and ICD-9-CM tabular lists; bioregistry.io for the prefixes."""


def normalise(ids: pl.Series, system: str = "") -> pl.DataFrame:
    """The canonical spelling of identifiers: columns `id` (`DRUGBANK:DB00331`, `ICD10:E11.9`) and `system`.

    Prefixes are read in any common spelling (`MSH:`, `Gene::`, an OBO address); without one, an identifier is
    recognised where its form leaves no doubt, or where `system` names its system. What is not recognised stays as it
    is, with a null system.

    Raises: UserError where no system has this name."""
    names = {one.prefix.lower(): one for one in SYSTEMS}
    if system and system.lower() not in names:
        there = tuple(one.prefix for one in SYSTEMS)
        raise UserError("knowledge.identifiers.unknown-system", system=system, systems=there)
    text = ids.cast(pl.String).str.strip_chars().alias("given")
    table = text.unique().to_frame().with_columns(rest=pl.col("given").str.replace(r"^https?://\S+[/#]", ""))
    # A knowledge graph may put the kind before: `Compound::DB00014`, `Gene::9021`.
    kind = pl.col("rest").str.extract(r"^([A-Za-z ]+)::")
    rest = pl.col("rest").str.replace(r"^[A-Za-z ]+::", "")
    table = table.with_columns(kind=kind.str.to_lowercase(), rest=rest)
    table = table.with_columns(
        prefix=pl.coalesce(
            pl.col("rest").str.extract(r"^([A-Za-z][\w.-]*?)(?::|_(?:\d+$))"),
            pl.when(pl.col("kind") == "gene").then(pl.lit("gene")),
        ).str.to_lowercase(),
        local=pl.col("rest").str.replace(r"^[A-Za-z][\w.-]*?(?::|_(\d+$))", "$1").str.strip_chars(),
    )
    found = pl.lit(None, pl.String)
    for one in reversed(SYSTEMS):
        local = _local(one)
        own = pl.col("prefix").is_in(one.spellings)
        if one.plain:
            own |= pl.col("prefix").is_null() & pl.col("local").str.to_uppercase().str.contains(f"^(?:{one.plain})$")
        if one.prefix.lower() == system.lower():
            own |= pl.col("prefix").is_null()
        fits = local.str.contains(f"^(?:{one.pattern})$")
        found = pl.when(own & fits).then(pl.concat_str(pl.lit(f"{one.prefix}:"), local)).otherwise(found)
    # An ontology's own identifiers: `DOID:2531`, `doid_2531`, `GO:0008150`.
    ontology = pl.col("prefix").str.contains(r"^[a-z]+$") & pl.col("local").str.contains(r"^[A-Z]{0,2}\d{2,}$")
    known = {alias for one in SYSTEMS for alias in one.spellings}
    ontology &= ~pl.col("prefix").is_in(known)
    curie = pl.concat_str(pl.col("prefix").str.to_uppercase(), pl.lit(":"), "local")
    found = found.fill_null(pl.when(ontology).then(curie))
    table = table.select("given", id=found.fill_null(pl.col("given")), system=found.str.extract(r"^(\w+):"))
    return text.to_frame().join(table, on="given", how="left", maintain_order="left", nulls_equal=True).drop("given")


def _local(system: System) -> pl.Expr:
    """The part behind the prefix in its canonical form."""
    local = pl.col("local").str.to_uppercase()
    if system.prefix == "ENSEMBL":
        return local.str.replace(r"\.\d+$", "")
    # Files often leave out the dot of a code: after three characters, in ICD-9's E codes after four.
    if system.prefix == "ICD9CM":
        return local.str.replace(r"^(E\d{3}|\d{3}|V\d{2})(\d{1,2})$", "$1.$2")
    if system.prefix in ("ICD10", "ICD10CM"):
        return local.str.replace(r"^(\w{3})(\w{1,4})$", "$1.$2")
    return local


def references(source: str | Path | pl.DataFrame) -> pl.DataFrame:
    """Cross references (from, to) of an ontology (its xrefs, alternative and replaced ids), of MRCONSO with its
    MRREL, or of a table: its columns `from` and `to`, `subject_id` and `object_id` (SSSOM), else its first two.

    Raises: UserError where there are none."""
    if isinstance(source, pl.DataFrame):
        table = source
    else:
        path = Path(source)
        if path.name.lower().removesuffix(".gz").endswith(".obo"):
            return read_obo(path, {}).references
        if is_rrf(path):
            return read_rrf(sorted(one for one in path.parent.iterdir() if is_rrf(one)), {}).references
        table = read_table(path)
    for pair in (("from", "to"), ("subject_id", "object_id"), table.columns[:2]):
        if len(pair) == 2 and set(pair) <= set(table.columns):
            names = zip(pair, ("from", "to"))
            return table.select(pl.col(name).cast(pl.String).alias(role) for name, role in names).drop_nulls()
    raise UserError("knowledge.identifiers.one-column", place=NAMELESS if isinstance(source, pl.DataFrame) else source)


def read_joined(
    sources: Sequence[str | Path | np.ndarray | pl.DataFrame],
    where: Mapping[str, str],
    memory: int | None = None,
    training: bool = True,
) -> Graph:
    """The graph of one source as `read_graph` gives it; of several their graphs, joined as `merge` does it by the file
    that `where` names as `mapping` and by the cross references that the sources have themselves.

    Raises: UserError where `read_graph` does, or there is a mapping and nothing to join by it."""
    mapping = where.get("mapping", "")
    where = {key: value for key, value in where.items() if key != "mapping"}
    if len(sources) < 2 and not mapping:
        return read_graph(sources, where, memory, training)
    links = [references(mapping)] if mapping else []
    tables = read_tables([Path(one) if isinstance(one, str) else one for one in sources], where, memory, training)
    several = _by_source(tables)
    if len(several) < 2 and mapping:
        raise UserError("knowledge.identifiers.one-source", mapping=mapping)
    if len(several) < 2:
        return assemble(tables) if several else read_graph(sources, where, memory, training)
    links += [table.references for table in tables if table.references.height]
    graphs = [assemble(one) for one in several]
    numbers = sorted({table.source for table in tables if table.edges.height})
    return _by_name(merge(graphs, pl.concat(links) if links else None), graphs, [sources[i] for i in numbers])


def _by_name(graph: Graph, graphs: Sequence[Graph], sources: Sequence[object]) -> Graph:
    """The joined graph with its edges in the order of the names of their files, so that a triple has the same number
    in whatever order these were given."""
    if not all(isinstance(source, str | Path) for source in sources):
        return graph
    order = sorted(range(len(sources)), key=lambda i: str(sources[i]))
    ends = np.cumsum([len(one) for one in graphs])
    rows = np.concatenate([np.arange(ends[i] - len(graphs[i]), ends[i]) for i in order])
    if (rows == np.arange(len(rows))).all():
        return graph
    return replace(graph, triples=graph.triples[rows], facts=graph.facts[rows])


def _by_source(tables: Sequence[GraphTables]) -> list[list[GraphTables]]:
    """The tables of each source that has edges. Nodes without edges go with the source that names most of them."""
    of: dict[int, list[GraphTables]] = {i: [] for i in sorted({table.source for table in tables if table.edges.height})}
    ends = {i: pl.concat([table.ends() for table in tables if table.source == i]).implode() for i in of}
    for table in tables:
        if table.source in of:
            of[table.source].append(table)
        elif of:
            ids = table.nodes["id"]
            of[max(ends, key=lambda number: ids.is_in(ends[number]).sum())].append(table)
    return list(of.values())


def merge(graphs: Sequence[Graph], mapping: pl.DataFrame | None = None) -> Graph:
    """One graph of several. An entity of a later graph joins one of an earlier where their identifiers are the same
    canonically, else where the references of `mapping` (from, to; read both ways) lead to exactly one of the earlier.
    The earlier identifier stays, the later becomes a synonym; edges keep their facts. A finding for each graph from the
    second on counts how its entities met the others."""
    kept = graphs[0].entities.select("id", normalise(graphs[0].entities["id"])["id"].alias("canonical"))
    tables = [_tables(graphs[0], graphs[0].entities["id"])]
    links = _links(mapping)
    found = []
    for number, graph in enumerate(graphs[1:], 2):
        joined = _joined(graph, kept, links)
        found.append(_finding(number, joined["way"]))
        tables.append(_tables(graph, joined["to"]))
        new = joined.filter(pl.col("way").is_in(["ambiguous", "unmapped"])).select("canonical", id="to")
        kept = pl.concat([kept, new.select("id", "canonical")])
    graph = assemble(tables)
    noticed = (finding for one in graphs for finding in one.findings)
    return replace(graph, findings=(*noticed, *graph.findings, *found))


def _links(mapping: pl.DataFrame | None) -> pl.DataFrame:
    """References both ways between canonical identifiers."""
    if mapping is None:
        return pl.DataFrame(schema=REFERENCES)
    pairs = references(mapping)
    there = pl.DataFrame({"from": normalise(pairs["from"])["id"], "to": normalise(pairs["to"])["id"]})
    back = there.select(pl.col("to").alias("from"), pl.col("from").alias("to"))
    return pl.concat([there, back]).unique(maintain_order=True)


def _joined(graph: Graph, kept: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """For each entity of a graph: canonical, `to` (the identifier it goes by from now on), way (same identifier, mapped
    through one reference, ambiguous where references lead to several, unmapped)."""
    own = graph.entities.select("id", normalise(graph.entities["id"])["id"].alias("canonical"))
    # Spellings that one graph keeps separate meet by themselves, any other by the first of them.
    earlier = kept.unique("canonical", keep="first", maintain_order=True).rename({"id": "earlier"})
    alike = pl.when(pl.col("id").is_in(kept["id"].implode())).then("id")
    ways = (
        links.rename({"from": "canonical"})
        .join(earlier.rename({"canonical": "to"}), on="to")
        .group_by("canonical")
        .agg(pl.col("earlier").unique().sort())
        .select("canonical", linked=pl.col("earlier").list.first(), count=pl.col("earlier").list.len())
    )
    table = own.join(earlier, on="canonical", how="left", maintain_order="left")
    table = table.with_columns(pl.coalesce(alike, "earlier").alias("earlier"))
    table = table.join(ways, on="canonical", how="left", maintain_order="left")
    way = (
        pl.when(pl.col("earlier").is_not_null()).then(pl.lit("same"))
        .when(pl.col("count") == 1).then(pl.lit("mapped"))
        .when(pl.col("count") > 1).then(pl.lit("ambiguous"))
        .otherwise(pl.lit("unmapped"))
    )  # fmt: skip
    only = pl.when(pl.col("count") == 1).then(pl.col("linked"))
    return table.select("canonical", way.alias("way"), to=pl.coalesce("earlier", only, "id"))


def _tables(graph: Graph, ids: pl.Series) -> GraphTables:
    """A graph as its readers gave it, with other identifiers."""
    # The same text may now stand for several entities, so places become categories by way of the text.
    text = ids.cast(pl.Categorical(pl.Categories.random()))
    head, relation, tail = graph.triples.T
    names = graph.relations["name"].cast(pl.Categorical)
    edges = pl.DataFrame({"head": text[head], "relation": names[relation], "tail": text[tail]})
    facts = graph.facts.with_columns(pl.col(pl.Enum).cast(pl.Categorical))
    nodes = graph.entities.with_columns(ids.alias("id"))
    former = pl.DataFrame({"id": ids, "name": graph.entities["id"]}).filter(pl.col("id") != pl.col("name"))
    former = former.with_columns(pl.lit(None, pl.String).alias("language"))
    synonyms = graph.synonyms.select(ids.gather(graph.synonyms["entity"]).alias("id"), "name", "language")
    return GraphTables(edges.hstack(facts), nodes, pl.concat([synonyms, former]))


def _finding(number: int, ways: pl.Series) -> Finding:
    counts = {way: int((ways == way).sum()) for way in ("same", "mapped", "ambiguous", "unmapped")}
    entities = Message("common.count.entity", count=len(ways))
    message = Message("knowledge.identifiers.joined", graph=number, entities=entities, **counts)
    met = counts["same"] + counts["mapped"]
    return Finding("identifiers-joined", "quality", "pass" if met and not counts["ambiguous"] else "fail", message)
