"""The network that completes a graph: tables of entities and relations, a scorer, and where asked a graph network that
passes messages between neighbours first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from medeor.contracts import UserError
from medeor.knowledge.model.processors import GraphProcessors
from medeor.knowledge.model.ranking import Known
from medeor.knowledge.model.scorers import SCORERS, Convolution, compare, cubes, match
from medeor.knowledge.plan import Embedding
from medeor.learning.networks.devices import drawn
from medeor.learning.saved import check_places

DISTANCE = 9.0
"""Between an entity and a query, from where a triple is rather false."""


class Scored(NamedTuple):
    """The output of the network in training."""

    logits: Tensor
    """Shape (queries, candidates); minus infinity where a drawn candidate is the answer itself."""
    penalty: Tensor
    """Shape (queries,): N3 of each query and its answer, zero where none was asked."""


class Completer(nn.Module):
    """Scores of triples. Relations `relations` to `2 * relations - 1` are the inverse ones, so that every question is
    (entity, relation) → entity: a head is asked for as the tail of the inverse relation.

    Called with questions it scores all entities, called with chunks of triples (see `batches.NegativeSampling`) the
    answers and the drawn entities that each chunk shares."""

    triples: Tensor
    strange: Tensor  # entities without training triples, by the name of saved weights
    near: Tensor
    weight: Tensor

    def __init__(self, processors: GraphProcessors, plan: Embedding, chunk: int = 0) -> None:
        """`chunk` is the number of questions that share drawn entities, 0 where all entities are scored.

        Raises: UserError where the scorer does not go with the rest of the plan."""
        super().__init__()
        entities, relations = len(processors.entities), len(processors.relations)
        self.scorer = SCORERS[plan.scorer]
        if self.scorer.pairs and plan.dimension % 2:
            raise UserError("knowledge.model.odd-dimension", scorer=plan.scorer, dimension=plan.dimension)
        if self.scorer.inverse is None and not plan.reciprocal:
            raise UserError("knowledge.model.not-reciprocal", scorer=plan.scorer)
        self.relations, self.plan, self.chunk = relations, plan, chunk
        width = self.scorer.width(plan.dimension)
        # The usual distance at first is the one at which a triple is as likely true as false.
        spread = plan.spread or (DISTANCE / 2**0.5 if self.scorer.distance else 1) * plan.dimension**-0.5
        self.entity = drawn((entities, plan.dimension), lambda sides: torch.randn(sides) * spread)
        self.relation = drawn((relations * (1 + plan.reciprocal), width), lambda sides: torch.randn(sides) * spread)
        if self.scorer.distance and self.scorer.pairs:
            nn.init.uniform_(self.relation, -torch.pi, torch.pi)
        self.offset = nn.Parameter(torch.full((1,), DISTANCE)) if self.scorer.distance else None
        self.popularity = nn.Parameter(torch.zeros(entities)) if plan.scorer == "conve" else None
        self.convolution = Convolution(plan.dimension, plan.dropout) if plan.scorer == "conve" else None
        self.messages = Messages(plan.dimension, 2 * relations, plan) if plan.layers else None
        # Saved with the weights: answers to questions leave out the known triples.
        self.register_buffer("triples", processors.triples)
        self.training_count = processors.training
        self.substitutes = len(processors.substitutes.unseen)
        if self.substitutes:
            for name, values in zip(("strange", "near", "weight"), processors.substitutes):
                self.register_buffer(name, values)
        self.drop = nn.Dropout(plan.dropout)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Raises: UserError where triples or substitutes are of entities or relations that do not exist."""
        found = super().load_state_dict(state_dict, strict, assign)
        entities = len(self.entity)
        places = [(self.triples[:, [0, 2]].flatten(), entities), (self.triples[:, 1], self.relations)]
        if self.substitutes:
            places += [(self.strange, entities), (self.near.flatten(), entities)]
        for own, end in places:
            check_places(own, end, "weights.safetensors")
        return found

    def entities(self) -> Tensor:
        """Vectors of all entities, shape (entities, d); outside training, those of entities without training triples
        are the weighted means of their substitutes'."""
        vectors = self.entity
        if self.messages is not None:
            vectors = self.messages(vectors, self.training_triples, self.relations)
        if self.training or not self.substitutes:
            return vectors
        mean = torch.einsum("uk,ukd->ud", self.weight, vectors[self.near])
        return vectors.index_copy(0, self.strange, mean)

    @property
    def training_triples(self) -> Tensor:
        """Shape (m, 3), int32."""
        return self.triples[: self.training_count]

    @cached_property
    def known(self) -> Known:
        """The triples that a ranking leaves out."""
        return Known.of(self.triples, self.training_triples, len(self.entity), self.relations)

    def related(self, relation: Tensor) -> Tensor:
        """Vectors of relations or inverse relations, shape (...) to (..., w)."""
        if self.plan.reciprocal or self.scorer.inverse is None:
            return functional.embedding(relation, self.relation)
        found = functional.embedding(relation % self.relations, self.relation)
        return torch.where((relation >= self.relations)[..., None], self.scorer.inverse(found), found)

    def query(self, entity: Tensor, relation: Tensor) -> Tensor:
        """Vectors of entities and relations to query vectors."""
        return (self.convolution or self.scorer.query)(entity, relation)

    def candidate_scorer(self) -> Callable[[Tensor], Tensor]:
        """What scores every entity as the answer of (entity, relation), shapes (n, 2) to (n, entities)."""
        vectors = self.entities()

        def score_all(questions: Tensor) -> Tensor:
            queries = self.query(functional.embedding(questions[:, 0], vectors), self.related(questions[:, 1]))
            return self._shifted(compare(queries, vectors, self.scorer.distance))

        return score_all

    def score(self, triples: Tensor) -> Tensor:
        """Scores of triples, shape (n, 3) to (n,): the mean over tail and head as the answer."""
        vectors = self.entities()
        heads, tails = functional.embedding(triples[:, 0], vectors), functional.embedding(triples[:, 2], vectors)
        sides = (
            (heads, triples[:, 1], tails, triples[:, 2]),
            (tails, triples[:, 1] + self.relations, heads, triples[:, 0]),
        )
        scores = [
            self._shifted(match(self.query(known, self.related(relation)), answer, self.scorer.distance), entity)
            for known, relation, answer, entity in sides
        ]
        return (scores[0] + scores[1]) / 2

    def forward(self, inputs: Tensor) -> Scored:
        return self._against_drawn(inputs) if self.chunk else self._against_all(inputs)

    def _against_all(self, questions: Tensor) -> Scored:
        vectors = self.entities()
        heads = self.drop(functional.embedding(questions[:, 0], vectors))
        relations = self.drop(self.related(questions[:, 1]))
        queries = self.drop(self.query(heads, relations))
        logits = self._shifted(compare(queries, vectors, self.scorer.distance))
        return Scored(logits, self._penalty(heads, relations, functional.embedding(questions[:, 2], vectors)))

    def _against_drawn(self, chunks: Tensor) -> Scored:
        vectors = self.entities()
        triples, drawn = chunks[:, : 3 * self.chunk].unflatten(1, (-1, 3)), chunks[:, 3 * self.chunk :]
        # One look-up, so that the gradient of the table is made once.
        every = functional.embedding(torch.cat((triples[..., 0], triples[..., 2], drawn), 1), vectors)
        heads, tails, others = every.split((self.chunk, self.chunk, drawn.shape[1]), 1)
        heads, relations = self.drop(heads), self.drop(self.related(triples[..., 1]))
        queries = self.drop(self.query(heads, relations))
        right = self._shifted(match(queries, tails, self.scorer.distance), triples[..., 2])
        wrong = self._shifted(compare(queries, others, self.scorer.distance), drawn[:, None])
        wrong = wrong.masked_fill(drawn[:, None] == triples[..., 2:], -torch.inf)
        logits = torch.cat((right[..., None], wrong), -1).flatten(0, 1)
        return Scored(logits, self._penalty(heads, relations, tails).flatten())

    def _shifted(self, scores: Tensor, entities: Tensor | None = None) -> Tensor:
        if self.popularity is not None:
            scores = scores + (self.popularity if entities is None else self.popularity[entities])
        return scores if self.offset is None else scores + self.offset

    def _penalty(self, heads: Tensor, relations: Tensor, tails: Tensor) -> Tensor:
        if not self.plan.n3:
            return heads.new_zeros(heads.shape[:-1])
        pairs = self.scorer.pairs
        both = cubes(heads, pairs) + cubes(tails, pairs)
        return both if self.scorer.distance else both + cubes(relations, pairs)


class Messages(nn.Module):
    """A relational graph convolution (R-GCN; Schlichtkrull et al. 2018, https://arxiv.org/abs/1703.06103) with basis
    decomposition: each entity adds to itself the mean message of its neighbours by each relation and direction."""

    def __init__(self, dimension: int, relations: int, plan: Embedding) -> None:
        super().__init__()
        self.kept = 1 - plan.edge_dropout
        weights, shares = (plan.layers, plan.bases, dimension, dimension), (plan.layers, relations, plan.bases)
        self.weight = drawn(weights, lambda sides: torch.randn(sides) * dimension**-0.5)
        self.share = drawn(shares, lambda sides: torch.randn(sides) * plan.bases**-0.5)
        self.own = nn.Parameter(torch.zeros(plan.layers, dimension, dimension))
        with torch.no_grad():
            self.own.diagonal(dim1=1, dim2=2).fill_(1)

    def forward(self, entity: Tensor, edges: Tensor, relations: int) -> Tensor:
        if self.training and self.kept < 1:
            # An edge that is asked for must not always be there to be read off.
            edges = edges[torch.rand(len(edges), device=edges.device) < self.kept]
        head, relation, tail = edges.long().unbind(1)
        source, target = torch.cat((head, tail)), torch.cat((tail, head))
        relation = torch.cat((relation, relation + relations))
        met = target * (2 * relations) + relation
        _, place, count = torch.unique(met, return_inverse=True, return_counts=True)
        mean = 1 / count[place].to(entity.dtype)
        for layer in range(len(self.weight)):
            new = entity @ self.own[layer]
            share = functional.embedding(relation, self.share[layer]) * mean[:, None]
            for basis, weight in enumerate(self.weight[layer]):
                message = functional.embedding(source, entity) * share[:, basis, None]
                new = new + torch.zeros_like(entity).index_add_(0, target, message) @ weight
            entity = torch.relu(new) if layer + 1 < len(self.weight) else new
        return entity
