"""A question to a completed graph in words (which diseases does metformin treat?), answered with what each answer rests
on; and what was learnt of each entity, as a table for other studies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from medeor.knowledge.read.cases import HOLDS
from medeor.knowledge.read.graph import Graph
from medeor.knowledge.read.triples import keys

TOP = 20
PATHS = 3
"""Paths that are shown of an answer."""
CONTROLS = 8
"""Random paths, and random edges at the same ends, against which the removal of a path is held."""
_COLUMNS = named(
    "knowledge.answers", "answer", "probability", "known", "by-degree", "contradicted-by", "verdict", "why"
)
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


@dataclass(frozen=True)
class Removed:
    """How far an answer's log-probability falls without a path, and without what is as large."""

    path: float
    random_path: float | None
    """Mean over random paths of the same length, half from either end; None where there are none."""
    same_ends: float | None
    """Mean over as many random edges, one at each end (of one, at either) and further ones anywhere."""


def answer(asked: Answering, where: Mapping[str, str]) -> Answers:
    """The most plausible answers to `where` (head or tail, relation, top, kind, excludes), by the mean score of both
    sides, one row an answer: the columns of predictions of `holds` (`value`: calibrated probability), `source` (the
    triple in words), `verdict` and `reason` (of an answer out of domain nothing is chosen), `answer` (id), `name`,
    `kind`, `known` (`in training data`, `held out`; null for a new one), `rank`, `rank_by_degree`, `contradictions`
    and `paths` (each with its edges as they stand in the source graph; null where the graph is not at hand).

    Raises: UserError for a name or relation that is not known, or a question that is none."""
    networks, processors = networks_of(asked.model)
    graph = graph_of(asked.run, processors)
    question, top = _question(graph, where)
    score = np.mean([_scores(network, question.triples) for network in networks], axis=0)
    best = np.argsort(-score, kind="stable")[:top]
    shown = question.triples[best]
    training = processors.taught.numpy()
    count = np.bincount(
        training[training[:, 1] == question.relation, 2 if question.tails else 0], minlength=len(graph.entities)
    )
    by_degree = realistic_places(count[question.answers])[best]
    cases = _cases(graph, shown)
    table = asked.predict_cases(cases).table.filter(pl.col("item") == HOLDS.name)
    if "chosen" in table.columns:
        unseen = (pl.col("verdict") == OUT_OF_DOMAIN).fill_null(False)
        table = table.with_columns(pl.when(~unseen).then("chosen").alias("chosen"))
    known = _known(shown, processors)
    found = graph.entities[question.answers[best]].select(answer="id", name="name", kind="kind")
    evidence = [[None, None]] * len(best)
    if len(graph):
        rivals = _rivals(graph, question.relation, where.get("excludes", ""))
        evidence = _evidence(graph, training, networks, shown, rivals, asked.run)
    told = found.with_columns(
        pl.Series("known", known, dtype=pl.String),
        pl.Series("rank", np.arange(1, len(best) + 1)),
        pl.Series("rank_by_degree", by_degree),
        pl.Series("contradictions", [one for one, _ in evidence], strict=False),
        pl.Series("paths", [several for _, several in evidence], strict=False),
    )
    table = cases.table.select("case_id", "source").hstack(told).join(table, on="case_id", maintain_order="left")
    return Answers(table, tuple(_figures(graph, question, table)))


def write_embeddings(asked: Answering, path: Path, options: Mapping[str, str]) -> str:
    """Writes what was learnt of each entity: id, name, kind, vector. A model of several folds gives its vectors side by
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


def _question(graph: Graph, where: Mapping[str, str]) -> tuple[Question, int]:
    if "relation" not in where or not {"head", "tail"} & set(where):
        raise UserError("knowledge.answers.no-end")
    text = where.get("top", str(TOP))
    if not text.isdecimal() or not int(text):
        raise UserError("knowledge.answers.top", top=text)
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
    return Question(given, relation, tails, answers), int(text)


def _rivals(graph: Graph, relation: int, asked: str) -> dict[int, str]:
    """Relations that contradict this one, and why they are taken to."""
    why = str(Message("knowledge.answers.named"))
    chosen = {names.relation(graph, text.strip()): why for text in asked.split(",") if text.strip()}
    found = excluding(graph.triples, len(graph.entities), relation)
    never = {other: str(Message("knowledge.answers.never-together", times=times)) for other, times in found.items()}
    return never | chosen


def _scores(network: Completer, triples: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        chunks = torch.from_numpy(triples.astype(np.int64)).to(network.entity.device).split(1 << 16)
        return torch.cat([network.score(chunk) for chunk in chunks]).double().cpu().numpy()


def _cases(graph: Graph, triples: np.ndarray) -> Cases:
    head, relation, tail = triples.T
    name = graph.entities["name"]
    said = pl.DataFrame({"h": name[head], "r": graph.relations["name"][relation], "t": name[tail]})
    ids = [str(number) for number in range(1, len(triples) + 1)]
    table = pl.DataFrame(
        {
            "case_id": ids,
            "group": ids,
            "triple": pl.Series(triples.astype(np.int32), dtype=pl.Array(pl.Int32, 3)),
            "source": said.select(pl.concat_str("h", "r", "t", separator=" | ")).to_series(),
        }
    )
    return Cases(table, (HOLDS,), {"graph": graph})


def _known(triples: np.ndarray, processors: GraphProcessors) -> list[str | None]:
    every = processors.triples.numpy()
    return [
        None if not len(rows) else "in training data" if rows[0] < processors.training else "held out"
        for rows in (np.flatnonzero((every == triple).all(1)) for triple in triples)
    ]


# --- the evidence ----------------------------------------------------------------------------------------


def _evidence(
    graph: Graph,
    taught: np.ndarray,
    networks: Sequence[Completer],
    shown: np.ndarray,
    rivals: Mapping[int, str],
    run: Run,
) -> list[list[Any]]:
    """Of each answer its contradictions and its paths, as plain values."""
    place = taught_places(graph, taught)
    adjacency = Adjacency.of(graph.triples, len(graph.entities), np.flatnonzero(place >= 0))
    found = []
    for number, triple in enumerate(shown.tolist(), start=1):
        head, _, tail = triple
        itself = np.flatnonzero((graph.triples == triple).all(1))
        paths = between(adjacency, head, tail, PATHS, itself)
        drops = removed(graph, adjacency, place, networks, triple, paths, run.seed)
        told = [
            {"edges": _said(graph, np.array(path)), "drop": drop.path, "drop_random_path": drop.random_path,
             "drop_same_ends": drop.same_ends, "words": _words(graph, path, head)}
            for path, drop in zip(paths, drops, strict=True)
        ]  # fmt: skip
        joins = (graph.triples[:, 0] == head) & (graph.triples[:, 2] == tail)
        against = np.flatnonzero(joins & np.isin(graph.triples[:, 1], list(rivals)))
        why = [rivals[relation] for relation in graph.triples[against, 1].tolist()]
        spoken = [{**edge, "why": one} for edge, one in zip(_said(graph, against), why, strict=True)]
        found.append([spoken, told])
        run.progress(str(Message("knowledge.progress.evidence")), number, len(shown))
    return found


def taught_places(graph: Graph, taught: np.ndarray) -> np.ndarray:
    """Where each edge of a graph stands among the triples that taught a model, shape (edges,); -1 where it does not."""
    size, relations = len(graph.entities), len(graph.relations)
    known, own = (keys(triples, size, relations) for triples in (taught, graph.triples))
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known[order], own), len(known) - 1)
    return np.where(known[order][at] == own, order[at], -1)


def removed(
    graph: Graph,
    adjacency: Adjacency,
    place: np.ndarray,
    networks: Sequence[Completer],
    triple: Sequence[int],
    paths: Sequence[tuple[int, ...]],
    seed: int,
) -> list[Removed]:
    """What each path is worth to a triple's score (see `evidence.Refit`), beside what is as large. Where a network's
    answers do not depend on the two ends alone (R-GCN, ConvE) nothing is measured, and NaN is said."""
    head, _, tail = triple
    itself = np.flatnonzero((graph.triples == np.asarray(triple)).all(1))
    generator = np.random.default_rng((seed, *map(int, triple)))
    lengths = sorted({len(path) for path in paths})
    controls: dict[int, tuple[list[tuple[int, ...]], list[tuple[int, ...]]]] = {}
    for length in lengths:
        half = CONTROLS // 2
        walks = [one for end in (head, tail) for one in random_walks(adjacency, end, length, half, itself, generator)]
        controls[length] = walks, _at_ends(adjacency, (head, tail), length, itself, generator)
    sets = [*paths, *(one for pair in controls.values() for several in pair for one in several)]
    training = [place[list(rows)] for rows in sets]
    refits = [Refit(network, network.triples[: network.training_triples].cpu(), seed) for network in networks]
    if not paths:
        return []
    if not all(refit.possible for refit in refits):
        return [Removed(float("nan"), None, None)] * len(paths)
    drops = np.mean([refit.drops(tuple(triple), training) for refit in refits], axis=0)
    own, rest = drops[: len(paths)], drops[len(paths) :]
    means: dict[int, tuple[float | None, ...]] = {}
    for length, pair in controls.items():
        sizes = [len(several) for several in pair]
        cut = np.split(rest[: sum(sizes)], [sizes[0]])
        means[length] = tuple(float(values.mean()) if len(values) else None for values in cut)
        rest = rest[sum(sizes) :]
    return [Removed(float(drop), *means[len(path)]) for path, drop in zip(paths, own, strict=True)]


def _at_ends(
    adjacency: Adjacency, ends: tuple[int, int], length: int, without: np.ndarray, generator: np.random.Generator
) -> list[tuple[int, ...]]:
    """Random edges, as many as a path has: one at each end (of one, at either), further ones anywhere."""
    pools = [np.setdiff1d(adjacency.around(np.array([end]))[2], without) for end in ends]
    found = []
    for number in range(CONTROLS):
        drawn = [pools[number % 2]] if length == 1 else [*pools, *[adjacency.row] * (length - 2)]
        if all(len(pool) for pool in drawn):
            found.append(tuple(int(generator.choice(pool)) for pool in drawn))
    return found


def _said(graph: Graph, rows: np.ndarray) -> list[dict[str, Any]]:
    """Edges as they stand in the graph: row, both ends, relation, and all its facts."""
    table = edges(graph, rows).select(pl.all().cast(pl.String))
    return [{"row": int(row), **edge} for row, edge in zip(rows, table.to_dicts(), strict=True)]


def _words(graph: Graph, path: Sequence[int], start: int) -> str:
    """`aspirin —inhibits→ PTGS2 ←marker of— pain`"""
    name, relation = graph.entities["name"], graph.relations["name"]
    said = name[start]
    for (head, kind, _), at, to in zip(
        graph.triples[list(path)].tolist(), *_pairs(nodes_on_path(graph.triples, tuple(path), start)), strict=True
    ):
        said += f" —{relation[kind]}→ {name[to]}" if head == at else f" ←{relation[kind]}— {name[to]}"
    return said


def _pairs(entities: list[int]) -> tuple[list[int], list[int]]:
    return entities[:-1], entities[1:]


# --- for a reader ----------------------------------------------------------------------------------------


def _figures(graph: Graph, question: Question, table: pl.DataFrame) -> list[Figure]:
    given, relation = graph.entities["name"][question.given], graph.relations["name"][question.relation]
    title = f"{given} | {relation} | ?" if question.tails else f"? | {relation} | {given}"
    columns: tuple[Text, ...] = ("", *_COLUMNS.values())
    if table["reason"].null_count() == len(table):
        columns = columns[:-1]
    new = Message("knowledge.answers.new")
    shown = (
        (row["rank"], row["name"], row["value"], row["known"] or new, row["rank_by_degree"],
         ", ".join(sorted({one["relation"] for one in row["contradictions"] or []})) or None,
         row["verdict"], row["reason"])
        for row in table.iter_rows(named=True)
    )  # fmt: skip
    rows = tuple(row[: len(columns)] for row in shown)
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
