"""What a fitted model holds of its graph: its networks, the triples it knows, and the graph that its run keeps."""

from __future__ import annotations

import numpy as np
import polars as pl

from medeor.contracts import Model, Run, UserError
from medeor.knowledge.model.network import Completer
from medeor.knowledge.model.processors import GraphProcessors
from medeor.knowledge.read.graph import Graph
from medeor.learning.folds import Ensemble
from medeor.learning.networks.method import NetworkModel


def networks_of(model: Model) -> tuple[list[Completer], GraphProcessors]:
    """The networks of a model, one a fold, and the processors of the first."""
    networks, processors = zip(*_members(model))
    return list(networks), processors[0]


def known_to(model: Model) -> tuple[GraphProcessors, np.ndarray]:
    """The processors of a model (of one of its folds), and the training triples of all of them, shape (m, 3)."""
    every = [processors for _, processors in _members(model)]
    training = np.unique(np.concatenate([processors.training_triples.numpy() for processors in every]), axis=0)
    return every[0], training


def graph_of(run: Run, processors: GraphProcessors) -> Graph:
    """The graph that the run keeps; of a bundle, which carries none, the names alone, without an edge."""
    return kept_graph(run, processors) or _bare(processors)


def kept_graph(run: Run, processors: GraphProcessors) -> Graph | None:
    """The graph that the run keeps; None in a bundle.

    Raises: UserError where it is another than that of the model."""
    folder = run.kept.get("graph")
    if folder is None:
        return None
    graph = Graph.open(folder)
    if tuple(graph.entities["id"]) != processors.entities or tuple(graph.relations["name"]) != processors.relations:
        raise UserError("knowledge.model.other-graph", folder=folder)
    return graph


def _members(model: Model) -> list[tuple[Completer, GraphProcessors]]:
    found = []
    for member in model.members if isinstance(model, Ensemble) else (model,):
        if not isinstance(member, NetworkModel) or not isinstance(member.network, Completer):
            raise UserError("knowledge.model.no-network")
        # Restored processors leave their triples to the network's weights.
        triples = member.network.triples.cpu()
        given = member.processors
        assert isinstance(given, GraphProcessors)
        found.append((member.network, GraphProcessors(given.entities, given.relations, triples, given.training)))
    return found


def _bare(processors: GraphProcessors) -> Graph:
    entities = pl.DataFrame({"id": processors.entities, "name": processors.entities})
    entities = entities.with_columns(pl.lit(None, pl.String).alias("kind"))
    synonyms = pl.DataFrame(schema={"entity": pl.Int32, "name": pl.String, "language": pl.String})
    relations = pl.DataFrame({"name": processors.relations})
    return Graph(entities, relations, np.zeros((0, 3), np.int32), pl.DataFrame(), synonyms)
