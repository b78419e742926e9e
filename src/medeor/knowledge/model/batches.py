"""Training triples as questions in batches. A triple (h, r, t) asks twice: (h, r) → t, and (t, inverse of r) → h, where
the inverse of relation r is number `relations + r`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from medeor.knowledge.plan import GraphTraining
from medeor.knowledge.read.triples import asked, both_ways, ranges, seen
from medeor.learning.networks.batches import Rows


@dataclass(frozen=True)
class GraphBatch(Rows):
    """Questions with what is true of them."""

    inputs: Tensor
    """Against all entities: shape (n, 3), entity, relation, answer. Against drawn ones: shape (chunks, 3 c + k), the c
    questions of a chunk one after another and then the k entities drawn for them."""
    truth: Tensor
    """Shape (n,), the place of the answer among the candidates, or (n, entities), 1 for every answer."""


def batches_of(
    triples: Tensor, entities: int, relations: int, training: GraphTraining, seed: int
) -> OneVersusAll | SeveralVersusAll | NegativeSampling:
    """Batches of training triples, shape (n, 3), in the scheme of the plan."""
    if training.scheme == "one-versus-all":
        return OneVersusAll(triples, relations, training.batch, seed)
    if training.scheme == "k-versus-all":
        return SeveralVersusAll.of(triples, entities, relations, training.batch, seed)
    return NegativeSampling.of(triples, entities, relations, training, seed)


@dataclass(frozen=True)
class OneVersusAll:
    """Each question with one answer, against all entities."""

    triples: Tensor
    relations: int
    size: int
    seed: int

    def __len__(self) -> int:
        return -(-2 * len(self.triples) // self.size)

    def batch(self, epoch: int, index: int) -> GraphBatch:
        rows = _order(2 * len(self.triples), self.seed, epoch)[index * self.size : (index + 1) * self.size]
        questions = asked(self.triples, rows, self.relations)
        return GraphBatch(questions, questions[:, 2])


@dataclass(frozen=True)
class SeveralVersusAll:
    """Each distinct question once, with all its answers."""

    questions: Tensor
    """Shape (n, 3): entity, relation and the first of the answers."""
    first: Tensor
    """Shape (n + 1,): where the answers of each question begin."""
    answers: Tensor
    entities: int
    size: int
    seed: int

    @classmethod
    def of(cls, triples: Tensor, entities: int, relations: int, size: int, seed: int) -> SeveralVersusAll:
        every = both_ways(triples, relations)
        keys, order = torch.sort(every[:, 0] * (2 * relations) + every[:, 1], stable=True)
        counts = torch.unique_consecutive(keys, return_counts=True)[1]
        first = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
        sorted_triples = every[order]
        return cls(sorted_triples[first[:-1]], first, sorted_triples[:, 2], entities, size, seed)

    def __len__(self) -> int:
        return -(-len(self.questions) // self.size)

    def batch(self, epoch: int, index: int) -> GraphBatch:
        rows = _order(len(self.questions), self.seed, epoch)[index * self.size : (index + 1) * self.size].long()
        which, places = ranges(self.first[rows], self.first[rows + 1])
        truth = torch.zeros(len(rows), self.entities)
        truth[which, self.answers[places]] = 1
        return GraphBatch(self.questions[rows], truth)


@dataclass(frozen=True)
class NegativeSampling:
    """Each question with entities drawn at random. The questions of a batch are ordered by relation and cut into
    chunks that share what was drawn; the last chunk is filled up with the first questions of the epoch."""

    triples: Tensor
    entities: int
    relations: int
    training: GraphTraining
    seed: int
    pool: Tensor
    """Entities seen as an answer to each relation, one relation after another; empty where all are drawn from."""
    first: Tensor
    """Shape (2 relations + 1,): where the pool of each relation begins."""

    @classmethod
    def of(cls, triples: Tensor, entities: int, relations: int, training: GraphTraining, seed: int) -> NegativeSampling:
        pool = first = torch.zeros(0, dtype=torch.long)
        if training.typed:
            relation, pool = seen(triples, entities, relations)
            first = torch.searchsorted(relation, torch.arange(2 * relations + 1))
        return cls(triples, entities, relations, training, seed, pool, first)

    @property
    def chunk(self) -> int:
        """Questions that share their drawn entities."""
        return min(self.training.shared, self.training.batch, 2 * len(self.triples))

    @property
    def _chunks(self) -> int:
        """Chunks in a batch."""
        return max(1, self.training.batch // self.chunk)

    def __len__(self) -> int:
        return -(-2 * len(self.triples) // (self._chunks * self.chunk))

    def batch(self, epoch: int, index: int) -> GraphBatch:
        total, size = 2 * len(self.triples), self._chunks * self.chunk
        begin = index * size
        # Whole chunks: what is missing in the last one is taken from the beginning.
        end = min(begin + size, -(-total // self.chunk) * self.chunk)
        places = torch.arange(begin, end) % total
        questions = asked(self.triples, _order(total, self.seed, epoch)[places], self.relations)
        questions = questions[torch.argsort(questions[:, 1], stable=True)]
        chunks = questions.view(-1, self.chunk, 3)
        inputs = torch.cat((chunks.flatten(1), self._draw(chunks, epoch, index)), 1)
        return GraphBatch(inputs, torch.zeros(len(questions), dtype=torch.long).view(len(chunks), -1))

    def _draw(self, chunks: Tensor, epoch: int, index: int) -> Tensor:
        """Entities for each chunk, shape (chunks, k)."""
        generator = torch.Generator().manual_seed(_mixed(self.seed, epoch, index + 1))
        wanted = self.training.negatives
        chance = torch.rand(len(chunks), wanted, dtype=torch.float64, generator=generator)
        if not len(self.pool):
            return (chance * self.entities).long()
        # Spread over the questions of the chunk, so that each of its relations has its share.
        relation = chunks[:, torch.arange(wanted) * self.chunk // wanted % self.chunk, 1]
        begin = self.first[relation]
        return self.pool[begin + (chance * (self.first[relation + 1] - begin)).long()]


@lru_cache(maxsize=2)
def _order(questions: int, seed: int, epoch: int) -> Tensor:
    generator = torch.Generator().manual_seed(_mixed(seed, epoch, 0))
    kind = torch.int32 if questions < 1 << 31 else torch.int64
    return torch.randperm(questions, generator=generator, dtype=kind)


def _mixed(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
