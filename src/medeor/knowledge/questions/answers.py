"""A question to a completed graph in words (which diseases does metformin treat?), answered with evidence for each
answer; and the embeddings of entities, as a table for other studies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from medeor.contracts import OUT_OF_DOMAIN, Answering, Answers, Cases, Message, Run, Text, UserError, named
from medeor.figures import Drawing, Figure, Table
from medeor.knowledge.draw import MOST_NAMED, edges, picture
from medeor.knowledge.model.fitted import graph_of, networks_of
from medeor.knowledge.model.network import Completer
from medeor.knowledge.model.processors import GraphProcessors
from medeor.knowledge.questions.evidence import Refit, excluding, realistic_places
from medeor.knowledge.questions.paths import Adjacency, between, nodes_on_path, random_walks
from medeor.knowledge.read import names
from medeor.knowledge.read.cases import HOLDS, in_words
from medeor.knowledge.read.graph import Graph
from medeor.knowledge.read.triples import keys

TOP, TESTED = 20, 3
"""How many answers there are, and of how many of the first the paths are tested, unless the query says otherwise."""
PATHS = 3
"""Paths that are shown of an answer."""
CONTROLS = 8
"""Random paths, and random edges at the same ends, with whose removal that of a path is compared."""
_COLUMNS = named(
    "knowledge.answers", "answer", "probability", "known", "by-degree", "contradicted-by", "verdict", "why"
)
_DROPS = ("drop", "drop_random_path", "drop_same_ends")
_PATH_COLUMNS = named("knowledge.answers", "path", "sources", "drop", "random-path", "same-ends")


@dataclass(frozen=True)
class Question:
    """What is asked: all tails of a head, all heads of a tail, or one triple."""

    given: int
    relation: int
    tails: bool
    """Whether the answers are tails."""
    answers: np.ndarray
    """Shape (n,): entities that may be the answer."""

    @property
    def triples(self) -> np.ndarray:
        """Every answer as a triple, shape (n, 3)."""
        given, relation = (np.full(len(self.answers), one) for one in (self.given, self.relation))
        return np.stack((given, relation, self.answers) if self.tails else (self.answers, relation, given), 1)


def answer(asked: Answering, where: Mapping[str, str]) -> Answers:
    """The most plausible answers to `where` (head or tail, relation, top, evidence, kind, excludes), by the mean score
    of both sides, one row an answer: the columns of predictions of `holds` (`value`: calibrated probability), `source`
    (the triple in words), `verdict` and `reason` (of an answer out of domain nothing is chosen), `answer` (id), `name`,
    `kind`, `known` (`in training data`, `held out`; null for a new one), `rank`, `rank_by_degree`, `contradictions`
    and `paths` (each with its edges as they stand in the source graph, and of the first answers with what these lose
    without it; null where the graph is not at hand).

    Raises: UserError for a name or relation that is not known, or a question that is none."""
    networks, processors = networks_of(asked.model)
    graph = graph_of(asked.run, processors)
    question, top, tested = _question(graph, where), _count(where, "top", TOP), _count(where, "evidence", TESTED)
    score = np.mean([_scores(network, question.triples) for network in networks], axis=0)
    best = np.argsort(-score, kind="stable")[:top]
    shown = question.triples[best]
    training = processors.training_triples.numpy()
    same_relation = training[training[:, 1] == question.relation]
    count = np.bincount(same_relation[:, 2 if question.tails else 0], minlength=len(graph.entities))
    by_degree = realistic_places(count[question.answers])[best]
    cases = Cases(in_words(graph, shown, first=1), (HOLDS,), {"graph": graph})
    table = asked.predict_cases(cases).table.filter(pl.col("item") == HOLDS.name)
    if "chosen" in table.columns:
        unseen = (pl.col("verdict") == OUT_OF_DOMAIN).fill_null(False)
        table = table.with_columns(pl.when(~unseen).then("chosen").alias("chosen"))
    found = graph.entities[question.answers[best]].select(answer="id", name="name", kind="kind")
    contradictions: list[Any] = [None] * len(best)
    paths: list[Any] = [None] * len(best)
    if len(graph):
        rivals = _rivals(graph, question.relation, where.get("excludes", ""))
        contradictions = [_contradictions(graph, triple, rivals) for triple in shown]
        paths = _paths(graph, training, networks, shown, tested, asked.run)
    found = found.with_columns(
        pl.Series("known", _known(shown, processors), dtype=pl.String),
        pl.Series("rank", np.arange(1, len(best) + 1)),
        pl.Series("rank_by_degree", by_degree),
        pl.Series("contradictions", contradictions, strict=False),
        pl.Series("paths", paths, strict=False),
    )
    table = cases.table.select("case_id", "source").hstack(found).join(table, on="case_id", maintain_order="left")
    return Answers(table, tuple(_figures(graph, question, table)))


def write_embeddings(asked: Answering, path: Path, options: Mapping[str, str]) -> str:
    """Writes the embedding of each entity: id, name, kind, vector. A model of several folds gives its vectors side by
    side. Numbers of ComplEx and RotatE are pairs of a real and an imaginary part. From a bundle names are ids."""
    networks, processors = networks_of(asked.model)
    graph = graph_of(asked.run, processors)
    with torch.inference_mode():
        vectors = torch.cat([network.entities() for network in networks], 1).float().cpu().numpy()
    column = pl.Series("vector", vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))
    table = graph.entities.select(pl.col("id").cast(pl.String), "name", "kind").with_columns(column)
    table.write_parquet(path)
    return ""


# --- the question ----------------------------------------------------------------------------------------


def _count(where: Mapping[str, str], name: str, usual: int) -> int:
    asked = where.get(name, str(usual))
    least = int(name == "top")
    if not asked.isdecimal() or int(asked) < least:
        raise UserError(f"knowledge.answers.{name}", asked=asked)
    return int(asked)


def _question(graph: Graph, where: Mapping[str, str]) -> Question:
    if "relation" not in where or not {"head", "tail"} & set(where):
        raise UserError("knowledge.answers.no-end")
    relation = names.relation(graph, where["relation"])
    tails = "head" in where
    given = names.entity(graph, where["head" if tails else "tail"])
    answers = np.delete(np.arange(len(graph.entities)), given)
    if tails and "tail" in where:
        answers = np.array([names.entity(graph, where["tail"])])
        if answers[0] == given:
            raise UserError("knowledge.answers.one-entity", name=where["head"])
    if "kind" in where:
        kinds = graph.entities["kind"]
        fits = (kinds.cast(pl.String).str.to_lowercase() == where["kind"].lower()).fill_null(False).to_numpy()
        answers = answers[fits[answers]]
        if not len(answers):
            there = graph.kinds or Message("knowledge.graph.no-kinds")
            raise UserError("knowledge.answers.no-kind", kind=where["kind"], kinds=there)
    return Question(given, relation, tails, answers)


def _rivals(graph: Graph, relation: int, asked: str) -> dict[int, str]:
    """Relations that contradict this one, and the reason for each."""
    why = str(Message("knowledge.answers.named"))
    chosen = {names.relation(graph, text.strip()): why for text in asked.split(",") if text.strip()}
    found = excluding(graph.triples, len(graph.entities), relation)
    never = {other: str(Message("knowledge.answers.never-together", times=times)) for other, times in found.items()}
    return never | chosen


def _scores(network: Completer, triples: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        chunks = torch.from_numpy(triples.astype(np.int64)).to(network.entity.device).split(1 << 16)
        return torch.cat([network.score(chunk) for chunk in chunks]).double().cpu().numpy()


def _known(triples: np.ndarray, processors: GraphProcessors) -> list[str | None]:
    every = processors.triples.numpy()
    return [
        None if not len(rows) else "in training data" if rows[0] < processors.training else "held out"
        for rows in (np.flatnonzero((every == triple).all(1)) for triple in triples)
    ]


# --- the evidence ----------------------------------------------------------------------------------------


def _contradictions(graph: Graph, triple: np.ndarray, rivals: Mapping[int, str]) -> list[dict[str, Any]]:
    """Edges between the same entities whose relation contradicts that of a triple."""
    joins = (graph.triples[:, 0] == triple[0]) & (graph.triples[:, 2] == triple[2])
    rows = np.flatnonzero(joins & np.isin(graph.triples[:, 1], list(rivals)))
    reasons = [rivals[relation] for relation in graph.triples[rows, 1].tolist()]
    return [{**edge, "why": reason} for edge, reason in zip(_with_facts(graph, rows), reasons, strict=True)]


def _paths(
    graph: Graph, training: np.ndarray, networks: Sequence[Completer], shown: np.ndarray, tested: int, run: Run
) -> list[list[dict[str, Any]]]:
    """The paths of each triple, with their edges, and of the first `tested` how far its log-probability falls without
    them."""
    place = training_places(graph, training)
    adjacency = Adjacency.of(graph.triples, len(graph.entities), np.flatnonzero(place >= 0))
    found = []
    for number, triple in enumerate(shown.tolist(), start=1):
        head, _, tail = triple
        itself = np.flatnonzero((graph.triples == triple).all(1))
        paths = between(adjacency, head, tail, PATHS, itself)
        drops: list[dict[str, float | None]] = [dict.fromkeys(_DROPS)] * len(paths)
        if number <= tested:
            drops = _drops(adjacency, place, networks, triple, paths, itself, run.seed)
            run.progress(str(Message("knowledge.progress.evidence")), number, min(tested, len(shown)))
        found.append(
            [
                {"edges": _with_facts(graph, np.array(path)), **drop, "words": _words(graph, path, head)}
                for path, drop in zip(paths, drops, strict=True)
            ]
        )
    return found


def training_places(graph: Graph, training: np.ndarray) -> np.ndarray:
    """The row of each edge of a graph among the training triples of a model, shape (edges,); -1 for other edges."""
    size, relations = len(graph.entities), len(graph.relations)
    known, own = (keys(triples, size, relations) for triples in (training, graph.triples))
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known[order], own), len(known) - 1)
    return np.where(known[order][at] == own, order[at], -1)


def _drops(
    adjacency: Adjacency,
    place: np.ndarray,
    networks: Sequence[Completer],
    triple: Sequence[int],
    paths: Sequence[tuple[int, ...]],
    itself: np.ndarray,
    seed: int,
) -> list[dict[str, float | None]]:
    """How far a triple's log-probability falls without each path (see `evidence.Refit`), and as a comparison the mean
    without random paths of the same length, half from either end, and without as many random edges at the same ends;
    None where there are none. NaN where a network's answers do not depend on the two ends alone (R-GCN, ConvE)."""
    if not paths:
        return []
    refits = [Refit(network, network.training_triples.cpu(), seed) for network in networks]
    if not all(refit.possible for refit in refits):
        return [{"drop": float("nan"), "drop_random_path": None, "drop_same_ends": None}] * len(paths)
    ends = triple[0], triple[2]
    generator = np.random.default_rng((seed, *map(int, triple)))
    controls = []
    for length in sorted({len(path) for path in paths}):
        half = CONTROLS // 2
        walks = [one for end in ends for one in random_walks(adjacency, end, length, half, itself, generator)]
        controls.append(((length, "drop_random_path"), walks))
        controls.append(((length, "drop_same_ends"), _at_ends(adjacency, ends, length, itself, generator)))
    sets = [*paths, *(one for _, several in controls for one in several)]
    training = [place[list(rows)] for rows in sets]
    drops = np.mean([refit.drops(triple, training) for refit in refits], axis=0)
    bounds = np.cumsum([len(paths), *(len(several) for _, several in controls)])
    own, *parts = np.split(drops, bounds[:-1])
    mean = {key: float(part.mean()) if len(part) else None for (key, _), part in zip(controls, parts, strict=True)}
    return [
        {"drop": float(drop), **{name: mean[len(path), name] for name in ("drop_random_path", "drop_same_ends")}}
        for path, drop in zip(paths, own, strict=True)
    ]


def _at_ends(
    adjacency: Adjacency, ends: Sequence[int], length: int, without: np.ndarray, generator: np.random.Generator
) -> list[tuple[int, ...]]:
    """Random edges, as many as a path has: one at each end (of one, at either), further ones anywhere."""
    pools = [np.setdiff1d(adjacency.around(np.array([end]))[2], without) for end in ends]
    found = []
    for number in range(CONTROLS):
        drawn = [pools[number % 2]] if length == 1 else [*pools, *[adjacency.row] * (length - 2)]
        if all(len(pool) for pool in drawn):
            found.append(tuple(int(generator.choice(pool)) for pool in drawn))
    return found


def _with_facts(graph: Graph, rows: np.ndarray) -> list[dict[str, Any]]:
    """Edges as they stand in the graph: row, both ends, relation, and all its facts."""
    table = edges(graph, rows).select(pl.all().cast(pl.String))
    return [{"row": int(row), **edge} for row, edge in zip(rows, table.to_dicts(), strict=True)]


def _words(graph: Graph, path: Sequence[int], start: int) -> str:
    """`aspirin —inhibits→ PTGS2 ←marker of— pain`"""
    name, relation = graph.entities["name"], graph.relations["name"]
    words = name[start]
    steps = pairwise(nodes_on_path(graph.triples, tuple(path), start))
    for (head, kind, _), (at, to) in zip(graph.triples[list(path)].tolist(), steps, strict=True):
        words += f" —{relation[kind]}→ {name[to]}" if head == at else f" ←{relation[kind]}— {name[to]}"
    return words


# --- for a reader ----------------------------------------------------------------------------------------


def _figures(graph: Graph, question: Question, table: pl.DataFrame) -> list[Figure]:
    given, relation = graph.entities["name"][question.given], graph.relations["name"][question.relation]
    title = f"{given} | {relation} | ?" if question.tails else f"? | {relation} | {given}"
    columns: tuple[Text, ...] = ("", *_COLUMNS.values())
    if table["reason"].null_count() == len(table):
        columns = columns[:-1]
    new = Message("knowledge.answers.new")
    rows = tuple(
        (row["rank"], row["name"], row["value"], row["known"] or new, row["rank_by_degree"],
         ", ".join(sorted({one["relation"] for one in row["contradictions"] or []})) or None,
         row["verdict"], row["reason"])[: len(columns)]
        for row in table.iter_rows(named=True)
    )  # fmt: skip
    caption = Message("knowledge.answers.caption")
    if not len(graph):
        return [Table(title, columns, rows, Message("knowledge.answers.no-paths", caption=caption))]
    reasons = tuple(
        (row["rank"], path["words"], _cited(path["edges"]), path["drop"], path["drop_random_path"],
         path["drop_same_ends"])
        for row in table.iter_rows(named=True)
        for path in row["paths"]
    )  # fmt: skip
    heads: tuple[Text, ...] = ("", *_PATH_COLUMNS.values())
    paths = Table(Message("knowledge.answers.paths"), heads, reasons, Message("knowledge.answers.paths-caption"))
    return [Table(title, columns, rows, caption), paths, *_drawn(graph, question, table)]


def _drawn(graph: Graph, question: Question, table: pl.DataFrame) -> Iterator[Drawing]:
    """The paths of the first answers, as many as can be read in one picture."""
    rows: set[int] = set()
    place = dict(zip(graph.entities["id"], range(len(graph.entities))))
    marked = [question.given]
    for answer, paths in table.select("answer", "paths").iter_rows():
        more = rows | {edge["row"] for path in paths for edge in path["edges"]}
        if len(np.unique(graph.triples[sorted(more)][:, [0, 2]])) > MOST_NAMED:
            break
        rows = more
        marked.append(place[answer])
    if rows:
        caption = Message("knowledge.answers.picture-caption", count=len(marked) - 1)
        yield picture(graph, np.array(sorted(rows)), Message("knowledge.answers.picture"), marked, caption)


def _cited(edges: Sequence[Mapping[str, str | None]]) -> Message:
    """Where the edges of a path come from, each origin once."""
    origins: list[Text] = []
    for edge in edges:
        source = edge["source"] or Message("knowledge.answers.no-source")
        terms = tuple(value for value in (edge["licence"], edge["release"]) if value)
        origins.append(Message("knowledge.answers.origin", source=source, terms=terms) if terms else source)
    return Message("knowledge.answers.origins", origins=tuple(dict.fromkeys(origins)))
