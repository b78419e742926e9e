"""The cases of a graph completion: every triple of the graph, and with those that are held out (and some of the
others) a false triple of the same kind, so that a probability can be calibrated and judged."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl
import torch

from medeor.contracts import Cases, Finding, Message, Sources, Study, Target, UserError
from medeor.knowledge.read.graph import Graph
from medeor.knowledge.read.identifiers import read_joined
from medeor.knowledge.read.triples import degrees, keys, pairs, seen
from medeor.statistics.split import PARTS

HOLDS = Target("holds", "binary")
"""Whether the triple is one of the graph's."""

COLD = "cold:"
"""`split=cold:Disease` holds whole entities of a kind out."""

_HELD_OUT = 0.1
"""Share of triples (or of cold entities) in the validation part, and in the test part."""
_MOST_HELD_OUT = 10_000
"""Triples that either part has at most: enough for an interval of a hundredth."""
_MOST_FALSE = 20_000
"""False triples in each part at most."""
UNDIVIDED = Finding("nothing-held-out", "quality", "fail", Message("knowledge.cases.undivided"))
_TRIES = 16
_TRAIN, _VALIDATION, _TEST = range(3)
_DEGREES = (3, 10, 30, 100)


class Parts(NamedTuple):
    """How the triples are divided."""

    part: np.ndarray | None
    """Shape (n,), int8: places in `PARTS`; None where the road divides the triples."""
    group: np.ndarray
    """Shape (n,): number of the independent unit."""
    undivided: bool = False
    """Whether nothing can be held out."""


def read_cases(sources: Sources, study: Study) -> Cases:
    """The triples of some sources and their `Graph`, one row a triple: `case_id`, `group`, `part` (official, or drawn
    so that no entity is without a training triple, and where none can be held out so, all `train` with a finding; or
    the column `cold:KIND` where the study splits so), `triple` (head, relation and tail, rows of the graph's tables),
    `holds` (0 for a false triple), `degree` (training triples of the rarer of its two entities).

    A false triple has the head or the tail of a true one replaced by another entity that training has in that place
    of that relation; no part of the graph holds it. It shares the true one's part and group.

    Raises: UserError where nothing can be read, a part has an unknown name, or no entity is of the kind held out."""
    graph = read_joined(sources.given, study.options, training=sources.labelled)
    if not sources.labelled:
        return asked_cases(graph)
    divided = _divided(graph, study)
    if divided.undivided:
        graph = replace(graph, findings=(*graph.findings, UNDIVIDED))
    training = np.ones(len(graph), bool) if divided.part is None else divided.part == _TRAIN
    if not training.any():
        raise UserError("knowledge.cases.no-training")
    chosen = _chosen(divided.part, len(graph), study.seed)
    cold = study.split.startswith(COLD)
    wrong, of = false_triples(graph, graph.triples[chosen], graph.triples[training], graph.triples, cold, study.seed)
    of = chosen[of]
    triples = np.concatenate((graph.triples, wrong))
    rows = np.concatenate((np.arange(len(graph)), of))
    false_ids = pl.Series(of, dtype=pl.Int64).cast(pl.String) + "-false"
    columns = [
        pl.concat((pl.int_range(len(graph), eager=True).cast(pl.String), false_ids)).alias("case_id"),
        pl.Series("group", divided.group[rows]).cast(pl.String),
        pl.Series("triple", triples, dtype=pl.Array(pl.Int32, 3)),
        pl.Series("holds", np.arange(len(triples)) < len(graph), dtype=pl.Int8),
        degree(graph.triples[training], triples),
    ]
    if divided.part is not None:
        part = pl.Series(study.split if cold else "part", divided.part[rows])
        columns.append(part.replace_strict(range(len(PARTS)), PARTS, return_dtype=pl.String))
    subgroups = ("degree", *study.subgroups)
    return Cases(pl.DataFrame(columns), (HOLDS,), {"graph": graph}, subgroups, findings=graph.findings)


def asked_cases(graph: Graph) -> Cases:
    """The triples of a graph as cases of which nothing is known."""
    return Cases(in_words(graph, graph.triples), stores={"graph": graph}, findings=graph.findings)


def in_words(graph: Graph, triples: np.ndarray, first: int = 0) -> pl.DataFrame:
    """Triples, shape (n, 3), as a table of cases numbered from `first`: case_id, group, triple, source (in words)."""
    name, (head, relation, tail) = graph.entities["name"], triples.T
    written = pl.DataFrame({"h": name[head], "r": graph.relations["name"][relation], "t": name[tail]})
    ids = [str(row) for row in range(first, first + len(triples))]
    return pl.DataFrame(
        {
            "case_id": ids,
            "group": ids,
            "triple": pl.Series(triples.astype(np.int32), dtype=pl.Array(pl.Int32, 3)),
            "source": written.select(pl.concat_str("h", "r", "t", separator=" | ")).to_series(),
        }
    )


def triples_of(cases: Cases) -> np.ndarray:
    """Shape (cases, 3), int32: rows of the graph's tables."""
    return cases.table["triple"].to_numpy().reshape(-1, 3)


def true_triples(cases: Cases) -> np.ndarray:
    """Those that hold, shape (n, 3)."""
    table = cases.table
    return triples_of(cases.where(pl.col("holds") == 1) if "holds" in table.columns else cases)


# --- parts -----------------------------------------------------------------------------------------------


def _divided(graph: Graph, study: Study) -> Parts:
    official = graph.facts["part"] if "part" in graph.facts.columns else pl.Series([None] * len(graph))
    if study.split.startswith(COLD):
        return _cold(graph, study.split, study.seed)
    if not study.split and official.null_count() < len(graph):
        part = official.cast(pl.String).fill_null("train")
        part = part.replace_strict(PARTS, range(len(PARTS)), return_dtype=pl.Int8)
        return Parts(part.to_numpy(), np.arange(len(graph)))
    # Two relations between the same entities are often one fact stated twice: they stay together.
    _, pair = np.unique(pairs(graph.triples, len(graph.entities)), return_inverse=True)
    if study.split:
        return Parts(None, pair)
    drawn = _random(graph.triples, pair, study.seed)
    undivided = bool((drawn == _TRAIN).all())
    return Parts(drawn, np.arange(len(drawn)) if undivided else pair, undivided)


def _random(triples: np.ndarray, pair: np.ndarray, seed: int) -> np.ndarray:
    """A tenth of the pairs for the test part and a tenth for validation, after one triple of every entity (on either
    side) and relation is kept for training; all for training where fewer than two are left."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(triples))
    kept = np.zeros(pair.max() + 1, bool)
    ends, relation = triples[order][:, [0, 2]].ravel(), triples[order, 1]
    for first in (np.unique(ends, return_index=True)[1] // 2, np.unique(relation, return_index=True)[1]):
        kept[pair[order[first]]] = True
    free = generator.permutation(np.flatnonzero(~kept))
    part = np.full(len(kept), _TRAIN, np.int8)
    if len(free) < 2:
        return part[pair]
    wanted = max(1, min(round(_HELD_OUT * len(kept)), _MOST_HELD_OUT, len(free) // 2))
    part[free[:wanted]], part[free[wanted : 2 * wanted]] = _TEST, _VALIDATION
    return part[pair]


def _cold(graph: Graph, way: str, seed: int) -> Parts:
    """Some entities of a kind are never trained on: their triples are the test part, those of others validate."""
    kinds = graph.entities["kind"]
    own = np.flatnonzero((kinds.str.to_lowercase() == way.removeprefix(COLD).lower()).fill_null(False).to_numpy())
    head, _, tail = graph.triples.T
    own = np.intersect1d(own, np.union1d(head, tail))
    if len(own) < 5:
        known = graph.kinds or Message("knowledge.graph.no-kinds")
        raise UserError("knowledge.cases.few-of-kind", way=way, count=len(own), kinds=known)
    share = max(1, round(_HELD_OUT * len(own)))
    mixed = np.random.default_rng(seed).permutation(own)
    place = np.zeros(len(graph.entities), np.int8)
    place[mixed[share : 2 * share]], place[mixed[:share]] = _VALIDATION, _TEST
    part = np.maximum(place[head], place[tail])
    is_own = np.zeros(len(place), bool)
    is_own[own] = True
    unit = np.where(place[head] >= place[tail], np.where(is_own[head], head, tail), tail)
    return Parts(part, unit)


# --- false triples ---------------------------------------------------------------------------------------


def _chosen(part: np.ndarray | None, triples: int, seed: int) -> np.ndarray:
    """Rows of the triples for which a false one is made."""
    generator = np.random.default_rng((seed, 1))
    parts = [np.arange(triples)] if part is None else [np.flatnonzero(part == one) for one in np.unique(part)]
    most = len(parts[0]) if part is None else _MOST_FALSE
    return np.concatenate([np.sort(generator.permutation(rows)[:most]) for rows in parts])


def false_triples(
    graph: Graph, true: np.ndarray, training: np.ndarray, known: np.ndarray, cold: bool, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """False triples, shape (m, 3), and the row of the true one, shape (n, 3), that each was made from; a triple for
    which none was found in several draws has none. What replaces an end is drawn from what `training` has in its
    place; none is among the `known`. Where entities are `cold`, one without training triples stays."""
    entities, relations = len(graph.entities), len(graph.relations)
    generator = np.random.default_rng((seed, 2))
    relation, pool = (found.numpy() for found in seen(torch.from_numpy(training), entities, relations))
    first = np.searchsorted(relation, np.arange(2 * relations + 1))
    true = true.astype(np.int64)
    tail = generator.random(len(true)) < 0.5
    if cold:
        # What is asked is which known entity belongs to it.
        met = degrees(training, entities) > 0
        tail = np.where(met[true[:, 0]] == met[true[:, 2]], tail, met[true[:, 2]])
    asked = np.where(tail, true[:, 1], true[:, 1] + relations)
    size = first[asked + 1] - first[asked]
    place = first[asked, None] + (generator.random((len(true), _TRIES)) * size[:, None]).astype(np.int64)
    drawn = pool[np.minimum(place, len(pool) - 1)]
    tried = np.repeat(true[:, None], _TRIES, 1)
    tried[..., 2] = np.where(tail[:, None], drawn, tried[..., 2])
    tried[..., 0] = np.where(tail[:, None], tried[..., 0], drawn)
    good = ~np.isin(keys(tried, entities, relations), keys(known, entities, relations)) & (size[:, None] > 0)
    pick = good.argmax(1)
    found = good.any(1)
    return tried[np.arange(len(true)), pick][found].astype(np.int32), np.flatnonzero(found)


def degree(training: np.ndarray, triples: np.ndarray) -> pl.Series:
    """How many training triples the rarer entity of each triple has, in classes."""
    rarer = degrees(training, int(triples.max(initial=0)) + 1)[triples[:, [0, 2]]].min(1)
    names = ["0", *(f"{low + 1} to {high}" for low, high in zip((0, *_DEGREES), _DEGREES)), f"over {_DEGREES[-1]}"]
    place = np.where(rarer == 0, 0, 1 + np.searchsorted(_DEGREES, rarer))
    return pl.Series("degree", place).replace_strict(list(range(len(names))), names, return_dtype=pl.Enum(names))
