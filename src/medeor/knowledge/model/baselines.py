"""Two ways to complete a graph without a network: how popular an entity is in its place, and rules read off the
training triples. The model is compared with the better of the two on the validation part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
import torch
from pydantic import Field
from torch import Tensor

from medeor.contracts import Cases, Fitted, Inputs, Message, Predictions, Run, Split, UserError
from medeor.knowledge.evaluation import mean_reciprocal_rank
from medeor.knowledge.model.processors import GraphProcessors
from medeor.knowledge.model.ranking import predictions
from medeor.knowledge.read.triples import both_ways, ranges
from medeor.learning.saved import Shape, arrays_of, check_places, facts_of, save_model

NAMES = ("degree", "rules")

_SUPPORT = 2
"""Training triples that a rule must explain."""
_CONFIDENCE = 0.05
_UNSEEN = 5
"""Failures added to each rule, so that two of two do not count as certain (AnyBURL; Meilicke et al. 2019)."""
_RULES = 100
"""Of a relation, the most confident ones."""
_MOST_STEPS = 20_000_000
"""Pairs of edges that the mining of compositions may follow."""


@dataclass(frozen=True)
class BaselineMethod:
    """Fits both and keeps the one that ranks the validation part better in front."""

    memory: int

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        processors = GraphProcessors.of(split.part(cases, "train"))
        model = GraphBaseline(processors, mined(processors), "degree", self.memory)
        held_out = split.part(cases, "validation")
        found = model.both(held_out)
        reached = {name: mean_reciprocal_rank(held_out, Predictions(found[name])) for name in NAMES}
        model = replace(model, chosen=max(NAMES, key=lambda name: reached[name]))
        figures = tuple(f"{name} {value:.3f}" for name, value in reached.items())
        run.progress(str(Message("knowledge.progress.baseline", figures=figures)), 1, 1, model.chosen)
        return Fitted(model, model.answer(found))


@dataclass(frozen=True)
class GraphBaseline:
    """Both baselines; `chosen` answers, and the ranks of both are kept under their names."""

    processors: GraphProcessors
    rules: pl.DataFrame
    """Columns relation, first, second (-1 for none), confidence: first(x, z) and second(z, y) speak for
    relation(x, y); numbers from `relations` on are inverse relations."""
    chosen: str
    memory: int

    def predict(self, cases: Cases, run: Run) -> Predictions:
        return self.answer(self.both(cases))

    def both(self, cases: Cases) -> dict[str, pl.DataFrame]:
        """The predictions of both, by name."""
        triples, known = self.processors.encode(cases), self.processors.known
        scores = {"degree": lambda questions: self._popularity[questions[:, 1]], "rules": self._by_rules}
        return {name: predictions(cases.ids, triples, scores[name], known, self.memory).table for name in NAMES}

    def answer(self, found: Mapping[str, pl.DataFrame]) -> Predictions:
        """The chosen one's, and the ranks of both under their names."""
        ranked = [
            table.filter(pl.col("item").str.starts_with("rank/")).with_columns(item=name + "/" + pl.col("item"))
            for name, table in found.items()
        ]
        return Predictions(pl.concat([found[self.chosen], *ranked]))

    @property
    def holds_training_values(self) -> bool:
        return self.processors.holds_training_values

    def save(self, folder: Path) -> None:
        facts = {
            "chosen": self.chosen,
            "memory": self.memory,
            "processors": self.processors.to_json(),
            "rules": self.rules.to_dict(as_series=False),
        }
        arrays = {"triples": self.processors.triples.numpy()}
        save_model(folder, "graph-baseline", facts, arrays, "triples.safetensors")

    @cached_property
    def _popularity(self) -> Tensor:
        """How often each entity answers each relation in training, log(1 + n), shape (2 relations, entities)."""
        entities, relations = len(self.processors.entities), len(self.processors.relations)
        every = both_ways(self.processors.training_triples, relations)
        count = torch.bincount(every[:, 1] * entities + every[:, 2], minlength=2 * relations * entities)
        return count.view(-1, entities).float().log1p()

    def _by_rules(self, questions: Tensor) -> Tensor:
        """-log of the chance that no rule is right (noisy or); popularity breaks ties."""
        tie_breaker = 1e-3 * self._popularity / self._popularity.max().clamp_min(1)
        scores = tie_breaker[questions[:, 1]]
        for relation in torch.unique(questions[:, 1]).tolist():
            rows = torch.nonzero(questions[:, 1] == relation)[:, 0]
            heads = questions[rows, 0].numpy()
            for first, second, weight in self._rules_of[relation]:
                reached = self._edges[first][heads]
                if second >= 0:
                    reached = reached @ self._edges[second]
                reached = reached.tocoo()
                scores[rows[reached.row], torch.from_numpy(reached.col).long()] += weight
        return scores

    @cached_property
    def _edges(self) -> list[Any]:
        return adjacency(self.processors)

    @cached_property
    def _rules_of(self) -> list[list[tuple[int, int, float]]]:
        found: list[list[tuple[int, int, float]]] = [[] for _ in range(2 * len(self.processors.relations))]
        for relation, first, second, confidence in self.rules.iter_rows():
            found[relation].append((first, second, -float(np.log1p(-confidence))))
        return found


_Row = list[Annotated[int, Field(ge=-1, le=1 << 31)]]


@dataclass(frozen=True)
class _Rules:
    relation: _Row
    first: _Row
    second: _Row
    confidence: list[Annotated[float, Field(ge=0, lt=1)]]


@dataclass(frozen=True)
class _Saved:
    chosen: Literal["degree", "rules"]
    memory: Annotated[int, Field(ge=1)]
    processors: dict[str, Any]
    rules: _Rules


def load(folder: Path) -> GraphBaseline:
    """Reads what `GraphBaseline.save` wrote. Raises: UserError where it is damaged."""
    facts, where, path = facts_of(folder, _Saved), str(folder / "model.json"), folder / "triples.safetensors"
    with torch.device("meta"):  # the triples have a file of their own
        processors = GraphProcessors.restored(facts.processors)
    triples = torch.from_numpy(arrays_of(path, {"triples": Shape("I32", (len(processors.triples), 3))})["triples"])
    check_places(triples[:, [0, 2]].flatten(), len(processors.entities), str(path))
    check_places(triples[:, 1], len(processors.relations), str(path))
    columns = vars(facts.rules)
    if len({len(column) for column in columns.values()}) > 1:
        raise UserError("knowledge.model.damaged", path=where)
    rules = pl.DataFrame(columns, schema=_SCHEMA)
    both = 2 * len(processors.relations)
    for name, first in (("relation", 0), ("first", 0), ("second", -1)):
        check_places(rules[name].to_numpy() - first, both - first, where)
    processors = GraphProcessors(processors.entities, processors.relations, triples, processors.training)
    return GraphBaseline(processors, rules, facts.chosen, facts.memory)


_SCHEMA: Mapping[str, Any] = {"relation": pl.Int64, "first": pl.Int64, "second": pl.Int64, "confidence": pl.Float64}


def adjacency(processors: GraphProcessors) -> list[Any]:
    """Training edges of each relation and inverse relation as a sparse matrix of ones, shape (entities, entities)."""
    from scipy.sparse import csr_array

    entities, relations = len(processors.entities), len(processors.relations)
    every = both_ways(processors.training_triples, relations).numpy()
    every = every[np.argsort(every[:, 1], kind="stable")]
    bounds = np.searchsorted(every[:, 1], np.arange(2 * relations + 1))
    return [
        csr_array((np.ones(end - begin, np.float32), (every[begin:end, 0], every[begin:end, 2])), (entities, entities))
        for begin, end in pairwise(bounds)
    ]


def mined(processors: GraphProcessors) -> pl.DataFrame:
    """Rules with one or two edges in their body and their confidence: of the pairs that the body connects, the share
    that the relation connects too, a few failures added. Symmetric and inverse relations are rules of one edge. The
    cheapest compositions come first, until `_MOST_STEPS` are followed. Rules are only of relations, not of inverse
    ones, which follow by turning the body around."""
    edges = adjacency(processors)
    relations, entities = len(processors.relations), len(processors.entities)
    head, relation, tail = processors.training_triples.numpy().astype(np.int64).T
    pair = head * entities + tail
    order = np.argsort(pair, kind="stable")
    pair, relation_of_pair = pair[order], relation[order]
    ends = np.stack([np.asarray(edge.sum(0)).ravel() for edge in edges])
    starts = np.stack([np.asarray(edge.sum(1)).ravel() for edge in edges])
    steps = ends @ starts.T
    order = np.argsort(steps, axis=None, kind="stable")
    order = order[(np.cumsum(steps.ravel()[order]) <= _MOST_STEPS) & (steps.ravel()[order] >= _SUPPORT)]
    bodies = [(first, -1) for first in range(2 * relations)]
    bodies += [(int(pair) // len(edges), int(pair) % len(edges)) for pair in order]
    found: list[tuple[int, int, int, float]] = []
    for first, second in bodies:
        body = (edges[first] if second < 0 else edges[first] @ edges[second]).tocoo()
        connected = body.row.astype(np.int64) * entities + body.col
        begin, end = np.searchsorted(pair, connected), np.searchsorted(pair, connected, side="right")
        _, places = ranges(torch.from_numpy(begin), torch.from_numpy(end))
        support = np.bincount(relation_of_pair[places.numpy()], minlength=relations)
        confidence = support / (len(connected) + _UNSEEN)
        for relation in np.flatnonzero((support >= _SUPPORT) & (confidence >= _CONFIDENCE)):
            if (first, second) != (relation, -1):
                found.append((int(relation), first, second, float(confidence[relation])))
    rules = pl.DataFrame(found, schema=_SCHEMA, orient="row")
    kept = pl.col("confidence").rank("ordinal", descending=True).over("relation") <= _RULES
    rules = rules.filter(kept).sort("relation", "confidence", "first", "second", descending=[False, True, False, False])
    single = pl.col("second") < 0
    inverse_first, inverse_second = ((pl.col(name) + relations) % (2 * relations) for name in ("first", "second"))
    turned = rules.select(
        pl.col("relation") + relations,
        first=pl.when(single).then(inverse_first).otherwise(inverse_second),
        second=pl.when(single).then(-1).otherwise(inverse_first),
        confidence="confidence",
    )
    return pl.concat((rules, turned))
