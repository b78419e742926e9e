"""The recipe of a graph completion: what the network is fed, how it is judged, and how triples are ranked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field
from torch import Tensor, nn

from medeor.contracts import Cases, Predictions, Run
from medeor.knowledge.model.batches import GraphBatch, NegativeSampling, OneVersusAll, SeveralVersusAll, batches_of
from medeor.knowledge.model.loss import graph_loss
from medeor.knowledge.model.network import Completer, Scored
from medeor.knowledge.model.processors import GraphProcessors
from medeor.knowledge.model.ranking import predictions
from medeor.knowledge.plan import Embedding, GraphPlan, GraphTraining
from medeor.learning.saved import AsJson


@dataclass(frozen=True)
class GraphRecipe(AsJson):
    """See `contracts.Recipe`."""

    joinable: ClassVar[bool] = False
    embedding: Embedding
    training: GraphTraining
    memory: Annotated[int, Field(ge=1)]
    """Bytes that the scores of a ranking may take."""
    kind: str = "graph-recipe"

    @classmethod
    def of(cls, plan: GraphPlan) -> GraphRecipe:
        return cls(plan.embedding, plan.training, int(plan.memory_gib * 2**30 / 4))

    def summaries(self, cases: Cases) -> GraphProcessors:
        return GraphProcessors.of(cases)

    def processors(self, summaries: GraphProcessors) -> GraphProcessors:
        return summaries

    def restore(self, processors: Mapping[str, object]) -> GraphProcessors:
        return GraphProcessors.restored(processors)

    def batches(
        self, cases: Cases, processors: GraphProcessors, seed: int
    ) -> OneVersusAll | SeveralVersusAll | NegativeSampling:
        return batches_of(
            processors.training_triples, len(processors.entities), len(processors.relations), self.training, seed
        )

    def network(self, processors: GraphProcessors) -> Completer:
        chunk = 0
        if self.training.scheme == "negatives":
            chunk = min(self.training.shared, self.training.batch, 2 * processors.training)
        return Completer(processors, self.embedding, chunk)

    def loss(self, outputs: Tensor | Scored, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        assert isinstance(outputs, Scored)
        return graph_loss(outputs, batch, self.training, self.embedding.n3)

    def infer(self, network: nn.Module, cases: Cases, processors: GraphProcessors, run: Run) -> Iterator[Predictions]:
        assert isinstance(network, Completer)
        triples = processors.encode(cases).to(network.entity.device)
        found = predictions(cases.ids, triples, network.candidate_scorer(), network.known, self.memory).table
        training = network.training_triples.cpu().numpy()
        verdicts = processors.domain(training).verdicts(triples.cpu().numpy(), processors.names_of(cases))
        verdicts = verdicts.with_columns(pl.Series("case_id", cases.ids, dtype=pl.String))
        yield Predictions(found.join(verdicts, on="case_id", how="left", maintain_order="left"))
