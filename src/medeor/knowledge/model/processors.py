"""What a model keeps of the graph it was fitted on: names, known triples, and which of them are training triples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated

import numpy as np
import polars as pl
import torch
from pydantic import Field
from torch import Tensor

from medeor.contracts import Cases, Message, UserError, listed
from medeor.knowledge.model.domain import TripleDomain
from medeor.knowledge.model.ranking import Known
from medeor.knowledge.model.similar_entities import Substitutes, substitutes_for
from medeor.knowledge.read.cases import triples_of, true_triples
from medeor.knowledge.read.graph import Graph
from medeor.knowledge.read.triples import from_keys, keys
from medeor.settings import build


@dataclass(frozen=True)
class GraphProcessors:
    """Names and triples, by which new triples are encoded and known answers left out of a ranking."""

    entities: tuple[str, ...]
    relations: tuple[str, ...]
    triples: Tensor
    """Shape (n, 3), int32: every known triple once, those of the training part first."""
    training: int
    """How many of them are of the training part."""
    substitutes: Substitutes = field(default_factory=Substitutes.none)
    """For the entities without training triples."""
    kinds: tuple[str | None, ...] = ()
    """Of the entities, None where unknown; empty where no entity's is known."""

    @classmethod
    def of(cls, cases: Cases) -> GraphProcessors:
        """From the training cases. Triples of the other parts are filtered out of rankings and never used for
        training."""
        graph = cases.store("graph", Graph)
        size = len(graph.entities), len(graph.relations)
        training = np.unique(keys(true_triples(cases), *size))
        rest = np.setdiff1d(keys(graph.triples, *size), training)
        triples = from_keys(np.concatenate((training, rest)), *size)
        names = tuple(graph.entities["id"]), tuple(graph.relations["name"])
        substitutes = substitutes_for(graph, triples[: len(training)])
        kinds = graph.entities["kind"].cast(pl.String)
        known = tuple(kinds) if kinds.null_count() < len(kinds) else ()
        return cls(*names, torch.from_numpy(triples), len(training), substitutes, known)

    @classmethod
    def restored(cls, values: Mapping[str, object]) -> GraphProcessors:
        """From `to_json`; the triples are zeros until they are read from their own file. Raises: UserError where it is
        damaged."""
        own = {key: value for key, value in values.items() if key != "training cases inside"}
        facts = build(_Saved, own, "model.json")
        kinds_fit = len(facts.kinds.of) in (0, len(facts.entities))
        if facts.training > facts.triples or facts.untaught > len(facts.entities) or not kinds_fit:
            raise UserError("knowledge.model.damaged", path="model.json")
        empty = torch.zeros(facts.triples, 3, dtype=torch.int32)
        kinds = tuple(facts.kinds.names[place] for place in facts.kinds.of)
        return cls(facts.entities, facts.relations, empty, facts.training, Substitutes.none(facts.untaught), kinds)

    @property
    def holds_training_values(self) -> bool:
        """A graph is completed by what it already holds."""
        return True

    def to_json(self) -> Mapping[str, object]:
        place = {kind: i for i, kind in enumerate(dict.fromkeys(self.kinds))}
        return {
            "entities": list(self.entities),
            "relations": list(self.relations),
            "triples": len(self.triples),
            "training": self.training,
            "untaught": len(self.substitutes.unseen),
            "kinds": {"names": list(place), "of": [place[kind] for kind in self.kinds]},
        }

    def domain(self, training: np.ndarray) -> TripleDomain:
        """Of the training triples, shape (n, 3). Restored processors leave them to the network."""
        names = [None, *dict.fromkeys(kind for kind in self.kinds if kind is not None)]
        place = {kind: i - 1 for i, kind in enumerate(names)}
        kinds = np.array([place[kind] for kind in self.kinds or (None,) * len(self.entities)], np.int64)
        return TripleDomain.of(training, len(self.entities), len(self.relations), kinds)

    def names_of(self, cases: Cases) -> pl.DataFrame:
        """Names of head, relation and tail of some cases, and the kinds of their ends: head_kind and tail_kind."""
        graph, triples = cases.store("graph", Graph), triples_of(cases)
        name, relation = graph.entities["name"], graph.relations["name"]
        kind = pl.Series(self.kinds or [None] * len(self.entities), dtype=pl.String)
        own = self.places(graph, triples)
        return pl.DataFrame(
            {
                "head": name[triples[:, 0]],
                "relation": relation[triples[:, 1]],
                "tail": name[triples[:, 2]],
                "head_kind": kind[own[:, 0]],
                "tail_kind": kind[own[:, 2]],
            }
        )

    @property
    def training_triples(self) -> Tensor:
        """The training triples, shape (m, 3), int32."""
        return self.triples[: self.training]

    @cached_property
    def known(self) -> Known:
        return Known.of(self.triples, self.training_triples, len(self.entities), len(self.relations))

    def encode(self, cases: Cases) -> Tensor:
        """The triples of cases as rows of these entities and relations, shape (cases, 3), int64.

        Raises: UserError for entities and relations that the model does not know."""
        graph, triples = cases.store("graph", Graph), triples_of(cases)
        found = self.places(graph, triples)
        for what, columns, given, known in (
            ("entity", [0, 2], graph.entities["id"], self.entities),
            ("relation", [1], graph.relations["name"], self.relations),
        ):
            if (found[:, columns] < 0).any():
                unseen = np.unique(triples[:, columns][found[:, columns] < 0])
                unknown = listed((Message(f"knowledge.names.{what}", name=name) for name in given[unseen]), 3)
                count = Message(f"common.count.{what}", count=len(known))
                examples = listed(known, 8)
                raise UserError("knowledge.names.unknown-all", names=unknown, known=count, examples=examples)
        return torch.from_numpy(found)

    def places(self, graph: Graph, triples: np.ndarray) -> np.ndarray:
        """Triples of any graph in these entities and relations, shape (n, 3), int64; -1 for what is not among them. An
        entity goes by its id, or by its name where that is one entity's alone."""
        ends, used = np.unique(triples[:, [0, 2]]), np.unique(triples[:, 1])
        entity = np.full(len(graph.entities), -1)
        relation = np.full(len(graph.relations), -1)
        given = graph.entities[ends]
        entity[ends] = _places(given["id"], given["name"], self.entities)
        names = graph.relations["name"][used]
        relation[used] = _places(names, names, self.relations)
        return np.stack((entity[triples[:, 0]], relation[triples[:, 1]], entity[triples[:, 2]]), 1).reshape(-1, 3)


_Count = Annotated[int, Field(ge=0, le=1 << 33)]


@dataclass(frozen=True)
class _Kinds:
    names: tuple[str | None, ...] = ()
    of: tuple[_Count, ...] = ()
    """The place among the names, entity by entity; empty in graphs without kinds."""

    def __post_init__(self) -> None:
        if any(place >= len(self.names) for place in self.of):
            raise ValueError("a kind has no name")


@dataclass(frozen=True)
class _Saved:
    entities: Annotated[tuple[str, ...], Field(min_length=1)]
    relations: Annotated[tuple[str, ...], Field(min_length=1)]
    triples: _Count
    training: _Count
    untaught: _Count = 0
    kinds: _Kinds = _Kinds()


def _places(ids: pl.Series, names: pl.Series, known: tuple[str, ...]) -> np.ndarray:
    """Where these ids, or else these names, stand among the known ids; -1 where they do not."""
    place = pl.DataFrame({"id": known, "place": np.arange(len(known))})
    table = pl.DataFrame({"id": ids.cast(pl.String), "name": names.cast(pl.String)})
    table = table.join(place, on="id", how="left", maintain_order="left")
    table = table.join(place, left_on="name", right_on="id", how="left", maintain_order="left", suffix=" by name")
    return table.select(pl.coalesce("place", "place by name").fill_null(-1)).to_series().to_numpy()
