"""Triples for a model that was fitted before: to be predicted, or to score it. They become the model's own entities and
relations, and are never divided."""

from __future__ import annotations

import numpy as np
import polars as pl

from medeor.contracts import Answering, Cases, Message, Sources, Study, UserError
from medeor.knowledge.model.fitted import graph_of, known_to
from medeor.knowledge.read.cases import COLD, HOLDS, asked_cases, degree, false_triples
from medeor.knowledge.read.graph import Graph, read_graph
from medeor.knowledge.read.identifiers import normalise
from medeor.knowledge.read.triples import degrees, keys, pairs


def read_others(sources: Sources, study: Study, asked: Answering) -> Cases:
    """The triples of some sources as cases of a model: `case_id`, `group`, `triple` (rows of the model's entities and
    relations), `source` (in words), `broken` (why it cannot be used, null where it can: a name that the model does not
    know; to score the model also that the triple is in its training data). To score it, `holds`, `degree` and false
    triples as `read_cases` gives them, drawn from what training has in that place; none is known to the model or
    stands here.

    Raises: UserError where nothing can be read, or no triple can be used."""
    processors, training = known_to(asked.model)
    own = graph_of(asked.run, processors)
    given = read_graph(sources.given, {key: value for key, value in study.options.items() if key != "mapping"})
    cases = asked_cases(given)
    triples = _respelt(own, given, processors.places(given, given.triples))
    unseen = (triples < 0).any(1)
    if unseen.all():
        processors.encode(cases)
    broken = np.full(len(given), None, object)
    for row in np.flatnonzero(unseen):
        broken[row] = _unknown(given, given.triples[row], triples[row])
    if sources.labelled:
        size = len(own.entities), len(own.relations)
        trained = ~unseen & np.isin(keys(triples, *size), keys(training, *size))
        if (unseen | trained).all():
            count = Message("common.count.triple", count=len(given))
            raise UserError("knowledge.cases.none-scores", triples=count)
        broken[trained] = str(Message("knowledge.cases.in-training"))
    written = pl.Series(triples.astype(np.int32), dtype=pl.Array(pl.Int32, 3))
    table = cases.table.with_columns(triple=written, broken=pl.Series(broken.tolist(), dtype=pl.String))
    if not sources.labelled:
        return Cases(table, stores={"graph": own})
    every = np.concatenate((processors.triples.numpy(), triples[~unseen]))
    cold = asked.study.split.startswith(COLD)
    usable = triples[~unseen & ~trained]
    true = table.filter(pl.col("broken").is_null()).with_columns(group=_units(own, usable, training), holds=1)
    wrong, of = false_triples(own, usable, training, every, cold, study.seed)
    false = true[of].with_columns(
        pl.col("case_id") + "-false",
        source=pl.lit(None, pl.String),
        triple=pl.Series(wrong, dtype=pl.Array(pl.Int32, 3)),
        holds=0,
    )
    table = pl.concat([true, false, table.filter(pl.col("broken").is_not_null())], how="diagonal_relaxed")
    table = table.with_columns(degree(training, table["triple"].to_numpy().reshape(-1, 3)))
    return Cases(table, (HOLDS,), {"graph": own}, ("degree", *study.subgroups))


def _respelt(own: Graph, given: Graph, places: np.ndarray) -> np.ndarray:
    """Places of triples, shape (n, 3), with those of entities that the model has under another spelling or synonym,
    where that is one entity's alone."""
    if (places[:, [0, 2]] >= 0).all():
        return places
    rows = pl.int_range(len(own.entities), eager=True, dtype=pl.Int32)
    spelt = pl.DataFrame({"name": normalise(own.entities["id"])["id"], "entity": rows})
    known = pl.concat([spelt, own.synonyms.select("name", "entity")]).unique()
    known = known.filter(~pl.col("name").is_duplicated())
    row = dict(known.iter_rows())
    ends = np.where(places[:, [0, 2]] < 0, given.triples[:, [0, 2]], -1)
    unseen = np.unique(ends[ends >= 0])
    ids = given.entities["id"][unseen]
    found = np.full(len(given.entities), -1)
    found[unseen] = [row.get(spelling, row.get(id_, -1)) for spelling, id_ in zip(normalise(ids)["id"], ids)]
    places[:, [0, 2]] = np.where(ends < 0, places[:, [0, 2]], found[ends])
    return places


def _unknown(given: Graph, triple: np.ndarray, place: np.ndarray) -> str:
    """What of a triple the model does not know."""
    entity, relation = given.entities["id"], given.relations["name"]
    what = (("entity", entity), ("relation", relation), ("entity", entity))
    unseen = dict.fromkeys(
        Message(f"knowledge.names.{kind}", name=names[int(row)])
        for (kind, names), row, at in zip(what, triple, place)
        if at < 0
    )
    return str(Message("knowledge.names.unknown", names=tuple(unseen)))


def _units(own: Graph, triples: np.ndarray, training: np.ndarray) -> pl.Series:
    """The independent unit of each triple, shape (n,): an entity without training triples, else its two entities."""
    met = degrees(training, len(own.entities)) > 0
    head, _, tail = triples.T.astype(np.int64)
    both = pairs(triples, len(met))
    return pl.Series(np.where(~met[head], -1 - head, np.where(~met[tail], -1 - tail, both))).cast(pl.String)
