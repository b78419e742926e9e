"""A graph of compounds, genes and diseases whose truth is known: which edges follow from others, which answers were
leaked, which gene is a hub, and what everything is called in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from medeor.contracts import Message, UserError
from medeor.files import replacing, write_text
from medeor.formats.graphs.tables import GraphTables
from medeor.simulate.write import NOTICE

LICENCES = {"Simulated Atlas": "CC BY 4.0", "Simulated Trials": "CC0 1.0"}
_CHINESE = {"Compound": "药物", "Gene": "基因", "Disease": "疾病"}


@dataclass(frozen=True)
class KnownGraph:
    """A simulated graph and what is true of it."""

    tables: GraphTables
    """Edges with source, licence, release and part; nodes; synonyms in two languages."""
    implied: pl.DataFrame
    """head, relation, tail, through: the `treats` edges that the rule implies, each with one gene that it rests on. All
    of them are edges; the other `treats` edges are noise."""
    leaked: pl.DataFrame
    """head, relation, tail: held-out `treats` edges whose inverse (`treated_by`) stands in training."""
    hub: str
    """The gene that most compounds inhibit, whatever they treat."""


def knowledge(
    compounds: int = 60, genes: int = 80, diseases: int = 40, seed: int = 0, noise: float = 0.05, leaks: float = 0.2
) -> KnownGraph:
    """Compounds that inhibit genes, genes that cause diseases, genes that interact (in both directions), and `treats`,
    which holds wherever a compound inhibits a gene that causes the disease: treats = inhibits then causes.

    Args:
        noise: false `treats` edges for each true one.
        leaks: share of the held-out `treats` edges whose inverse is put into training.

    A tenth of the `treats` edges is the validation part and a tenth the test part; all other edges train."""
    if min(compounds, genes, diseases) < 5:
        raise UserError("simulate.knowledge.few")
    generator = np.random.default_rng(seed)
    inhibits = generator.random((compounds, genes)) < 2.5 / genes
    causes = generator.random((genes, diseases)) < 2.5 / diseases
    inhibits[:, 0] |= generator.random(compounds) < 0.6
    causes[0] = False
    paths = inhibits.astype(int) @ causes.astype(int)
    wrong = (paths == 0) & (generator.random(paths.shape) < noise * (paths > 0).mean())
    interacts = np.triu(generator.random((genes, genes)) < 2 / genes, 1)
    names = {
        "Compound": _ids("DB9", compounds, 4), "Gene": _ids("ENSG9", genes, 10), "Disease": _ids("DOID:9", diseases, 5),
    }  # fmt: skip
    treats = _edges("Compound", paths > 0, "Disease", "treats", names)
    every = pl.concat([treats, _edges("Compound", wrong, "Disease", "treats", names)])
    part = np.full(every.height, "train", dtype=object)
    held = generator.permutation(every.height)[: every.height // 5]
    part[held[::2]], part[held[1::2]] = "test", "validation"
    leaked = every[np.sort(held[: round(leaks * len(held))])]
    inverse = leaked.select(head="tail", relation=pl.lit("treated_by"), tail="head")
    others = pl.concat(
        [
            _edges("Compound", inhibits, "Gene", "inhibits", names),
            _edges("Gene", causes, "Disease", "causes", names),
            _edges("Gene", interacts | interacts.T, "Gene", "interacts_with", names),
            inverse,
            every.filter(pl.Series(part == "train")).select(head="tail", relation=pl.lit("treated_by"), tail="head"),
        ]
    )
    parts = pl.Series("part", [*part, *["train"] * others.height], dtype=pl.String)
    edges = pl.concat([every, others]).with_columns(parts)
    source = pl.when(pl.col("relation").is_in(["treats", "treated_by"])).then(pl.lit("Simulated Trials"))
    edges = edges.with_columns(source=source.otherwise(pl.lit("Simulated Atlas")), release=pl.lit("simulated"))
    edges = edges.with_columns(licence=pl.col("source").replace(LICENCES))
    c, d = np.nonzero(paths)
    through = (inhibits[c] & causes[:, d].T).argmax(1)
    implied = treats.with_columns(through=pl.Series([names["Gene"][g] for g in through.tolist()], dtype=pl.String))
    return KnownGraph(GraphTables(edges, _nodes(names), _synonyms(names)), implied, leaked, names["Gene"][0])


def large_graph(edges: int = 5_000_000, entities: int = 50_000, relations: int = 20, seed: int = 0) -> GraphTables:
    """A graph of the size of the great ones, for measurements: distinct edges between entities whose popularity falls
    as a power of their rank."""
    generator = np.random.default_rng(seed)
    if edges > entities * entities * relations // 4:
        raise UserError("simulate.knowledge.edges", entities=entities, relations=relations, edges=edges)
    keys = np.empty(0, np.int64)
    while len(keys) < edges:
        more = int(1.2 * (edges - len(keys))) + 1000
        head, tail = (np.floor(entities * generator.random(more) ** 2).astype(np.int64) for _ in range(2))
        drawn = (head * relations + generator.integers(relations, size=more)) * entities + tail
        keys = pl.Series(np.concatenate([keys, drawn[head != tail]])).unique().sort().to_numpy()
    keys = generator.permutation(keys)[:edges]
    codes = {"head": keys // (relations * entities), "relation": keys // entities % relations, "tail": keys % entities}
    own = {"relation": _ids("relation_", relations, len(str(relations)))}
    others = _ids("E", entities, len(str(entities)))
    columns = [
        pl.Series(name, names, dtype=pl.Enum(names)).gather(code)
        for name, code, names in ((name, code, own.get(name, others)) for name, code in codes.items())
    ]
    return GraphTables(pl.DataFrame(columns))


def write_graph(graph: KnownGraph, folder: Path) -> Path:
    """The tables of a simulated graph as a folder that every reader of graphs takes, with the notice that it is
    simulated."""
    with replacing(Path(folder)) as new:
        new.mkdir()
        graph.tables.edges.write_csv(new / "edges.tsv", separator="\t")
        named = graph.tables.synonyms.group_by("id", maintain_order=True).agg(pl.col("name").alias("synonyms"))
        named = named.with_columns(pl.col("synonyms").list.join("|"))
        nodes = graph.tables.nodes.join(named, on="id", how="left", maintain_order="left")
        nodes.write_csv(new / "nodes.tsv", separator="\t")
        write_text(new / NOTICE, f"{Message('simulate.knowledge.notice')}\n")
    return Path(folder)


def _ids(prefix: str, count: int, digits: int) -> list[str]:
    return [f"{prefix}{number:0{digits}d}" for number in range(count)]


def _edges(start: str, held: np.ndarray, end: str, relation: str, names: dict[str, list[str]]) -> pl.DataFrame:
    head, tail = np.nonzero(held)
    ends = pl.DataFrame({"head": pl.Series(names[start])[head], "tail": pl.Series(names[end])[tail]})
    return ends.select("head", pl.lit(relation).alias("relation"), "tail")


def _nodes(names: dict[str, list[str]]) -> pl.DataFrame:
    return pl.concat(
        pl.DataFrame({"id": ids, "name": [f"Simulated {kind.lower()} {i}" for i in range(len(ids))]}).with_columns(
            kind=pl.lit(kind)
        )
        for kind, ids in names.items()
    )


def _synonyms(names: dict[str, list[str]]) -> pl.DataFrame:
    rows = []
    for kind, ids in names.items():
        for i, id_ in enumerate(ids):
            rows += [(id_, f"{kind[0]}-{i} (simulated)", "en"), (id_, f"模拟{_CHINESE[kind]}{i}号", "zh")]
    return pl.DataFrame(rows, schema=["id", "name", "language"], orient="row")
