"""Ranks among all entities, filtered and by realistic ties, in one pass over the scores, within a bound on memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl
import torch
from torch import Tensor

from medeor.contracts import Predictions
from medeor.knowledge.read.triples import both_ways, ranges, seen

ScoreAll = Callable[[Tensor], Tensor]
"""Questions, shape (n, 2), to scores of every entity, shape (n, entities), which may be overwritten."""


@dataclass(frozen=True)
class Known:
    """Every known triple as answers of questions, and which entities fit where."""

    keys: Tensor
    """entity * 2 relations + relation of each known question, sorted, once an answer."""
    answers: Tensor
    typed: Tensor
    """Shape (2 relations, entities): 1 where the training triples have the entity as an answer of the relation."""

    @classmethod
    def of(cls, known: Tensor, training: Tensor, entities: int, relations: int) -> Known:
        """From all known triples and those of the training part, shapes (n, 3) and (m, 3)."""
        every = both_ways(known, relations)
        keys = torch.unique((every[:, 0] * (2 * relations) + every[:, 1]) * entities + every[:, 2])
        typed = torch.zeros(2 * relations, entities, device=known.device)
        typed[seen(training, entities, relations)] = 1
        return cls(keys // entities, keys % entities, typed)

    def other(self, questions: Tensor) -> tuple[Tensor, Tensor]:
        """Known answers of questions (entity, relation, answer) other than the answer itself: which question, and which
        entity."""
        keys = questions[:, 0] * len(self.typed) + questions[:, 1]
        begin = torch.searchsorted(self.keys, keys)
        which, places = ranges(begin, torch.searchsorted(self.keys, keys, right=True))
        entity = self.answers[places]
        others = entity != questions[which, 2]
        return which[others], entity[others]


class Ranks(NamedTuple):
    """Of one question each, shape (n,)."""

    score: Tensor
    rank: Tensor
    """1 is best. Known answers other than the one asked about do not count; of equal scores half count as better
    (Sun et al. 2020 and Berrendorf et al. 2020: realistic rank)."""
    typed: Tensor
    """The same among entities that were an answer of this relation in training."""


def ranks(score_all: ScoreAll, questions: Tensor, known: Known, memory: int) -> Ranks:
    """Ranks of the answers of questions (entity, relation, answer), shape (n, 3), int64.

    `memory` bounds the bytes of scores that are held at once."""
    entities = known.typed.shape[1]
    chunk = max(1, min(len(questions), memory // (2 * 4 * entities), _BATCH_SIZE))
    # Questions of one relation together share the column of entities that fit.
    order = torch.argsort(questions[:, 1], stable=True)
    found = [torch.stack(part) for part in _ranked(score_all, questions[order], known, chunk)]
    if not found:
        return Ranks(*torch.zeros(3, 0, dtype=torch.float64))
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    return Ranks(*torch.cat(found, 1)[:, back])


_BATCH_SIZE = 512
"""Questions whose scores are held at once: more are no faster."""


def _ranked(
    score_all: ScoreAll, questions: Tensor, known: Known, batch_size: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    entities = known.typed.shape[1]
    size = known.typed.sum(1)
    for part in questions.split(batch_size):
        scores = score_all(part[:, :2])
        own = scores.gather(1, part[:, 2:])
        # 1 where an entity is scored above the answer, 0 where alike, -1 below: (sign + 1) / 2 is its share of a rank.
        signs = scores.sub_(own).sign_()
        which, entity = known.other(part)
        taken = signs[which, entity] + 1
        relations, place = torch.unique_consecutive(part[:, 1], return_inverse=True)
        fit = known.typed[relations]
        above = signs.sum(1) + (entities - 1)
        above = above - torch.zeros_like(above).index_add_(0, which, taken)
        above_fit = (signs @ fit.T).gather(1, place[:, None])[:, 0] + size[part[:, 1]]
        above_fit = above_fit - known.typed[part[:, 1], part[:, 2]]
        above_fit = above_fit - torch.zeros_like(above).index_add_(
            0, which, taken * known.typed[part[which, 1], entity]
        )
        yield own[:, 0].double(), 1 + above.double() / 2, 1 + above_fit.double() / 2


def predictions(
    case_ids: Sequence[str], triples: Tensor, score_all: ScoreAll, known: Known, memory: int
) -> Predictions:
    """Predictions of triples, shape (n, 3): `holds`, a probability that waits to be calibrated, from the mean
    score of both sides; `rank/tail` and `rank/head` among all entities; `typed rank/tail` and `typed rank/head` among
    those that fit."""
    found = ranks(score_all, both_ways(triples, len(known.typed) // 2), known, memory)
    (tail, head), (rank_tail, rank_head), (typed_tail, typed_head) = (values.cpu().view(2, -1) for values in found)
    columns = {
        "holds": torch.sigmoid((tail + head) / 2),
        "rank/tail": rank_tail,
        "rank/head": rank_head,
        "typed rank/tail": typed_tail,
        "typed rank/head": typed_head,
    }
    wide = pl.DataFrame({"case_id": list(case_ids), **{name: values.numpy() for name, values in columns.items()}})
    return Predictions(wide.unpivot(index="case_id", variable_name="item", value_name="value"))
