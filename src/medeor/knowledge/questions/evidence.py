"""Evidence for an answer: how its score falls without some of the training triples, which relations contradict it, and
how far it is mere popularity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medeor.knowledge.model.network import Completer
from medeor.knowledge.model.scorers import compare, cubes, match
from medeor.knowledge.read.triples import both_ways

_MOST = 2048
"""Questions of each sort, and entities, in a refit; of more, as many at random, weighted up to all."""
_STEPS = 30
SURE = 10.0
"""Pairs that two relations would share by chance from which sharing none means that they exclude each other: by
chance that happens once in 22,000 (Poisson)."""


@dataclass(frozen=True)
class Refit:
    """Approximates leave-edges-out retraining by refitting only the head and tail embeddings of a triple.

    For ComplEx and DistMult each of the two vectors then minimises a convex function, which is minimised itself
    (L-BFGS from the fitted vectors), so that nothing is left of what was taken away but its trace in other entities.
    The objective is the cross-entropy of each answer among all entities with the plan's N3, without dropout, whatever
    loss the plan has. Edges that touch neither end have no effect: of a path of three, the middle one."""

    network: Completer
    training: Tensor
    """Shape (n, 3): the training triples of the model."""
    seed: int = 0

    @property
    def possible(self) -> bool:
        """Whether the network's answers depend on entities by their own vectors alone."""
        return self.network.messages is None and self.network.convolution is None

    def drops(self, asked: Sequence[int], without: Sequence[np.ndarray]) -> np.ndarray:
        """How far the mean log-probability of (head, relation, tail), of its tail and of its head among all entities,
        falls when the training triples of each row of numbers in `without` are unknown, shape (len(without),). The
        triple itself is taken to be unknown throughout."""
        parts = _Objective.of(self.network, self.training.cpu(), asked, without, self.seed)
        moving = parts.start.clone().requires_grad_()
        optimiser = torch.optim.LBFGS([moving], max_iter=_STEPS, history_size=10, line_search_fn="strong_wolfe")

        def objective() -> Tensor:
            optimiser.zero_grad()
            loss = parts.loss(moving)
            loss.backward()
            return loss

        optimiser.step(objective)
        with torch.inference_mode():
            found = parts.log_probability(moving)
        return (found[0] - found[1:]).double().cpu().numpy()


@dataclass(frozen=True)
class _Objective:
    """The part of a fit's objective in which two entities take part, for several sets of known triples at once."""

    network: Completer
    start: Tensor
    """Shape (variants, 2, d): the fitted vectors of head and tail; the first variant knows all but the triple."""
    others: Tensor
    """Shape (m, d): the candidates that stay as they are."""
    asked: Tensor
    """Shape (2, 3): the triple as two questions; ends are 0 (head) and 1 (tail) in columns 0 and 2."""
    moving: Tensor
    """Shape (q, 3): questions of the two ends: which end, relation, answer (place among others + ends)."""
    moving_weight: Tensor
    """Shape (variants, q)."""
    queries: Tensor
    """Shape (p, d): queries of entities that stay."""
    answer: Tensor
    """Shape (p,): 0 or 1 where an end is the answer, 2 where it is another entity."""
    own: Tensor
    """Shape (p,): logits of answers that stay."""
    rest: Tensor
    """Shape (p,): log-sum-exp of the logits of all that stay."""
    weight: Tensor
    """Shape (variants, p)."""
    scale: float
    """The number of questions of the two ends, by which the loss is a mean."""

    @classmethod
    @torch.no_grad()
    def of(
        cls, network: Completer, training: Tensor, asked: Sequence[int], without: Sequence[np.ndarray], seed: int
    ) -> _Objective:
        head, relation, tail = asked
        generator = np.random.default_rng((seed, head, relation, tail))
        questions = both_ways(training, network.relations)
        known, answer = questions[:, 0].numpy(), questions[:, 2].numpy()
        ends = np.array([head, tail])
        itself = np.flatnonzero((training == torch.tensor(asked)).all(1).numpy())
        gone = [np.concatenate((itself, rows)).astype(np.int64) for rows in (np.zeros(0), *without)]
        gone = [np.concatenate((rows, rows + len(training))) for rows in gone]
        always = np.unique(np.concatenate(gone))
        of_ends = np.isin(known, ends)
        chosen = _some(np.flatnonzero(of_ends), always, generator)
        to_ends = _some(np.flatnonzero(~of_ends & np.isin(answer, ends)), always, generator)
        others_only = _some(np.flatnonzero(~of_ends & ~np.isin(answer, ends)), np.zeros(0, np.int64), generator)
        fixed, fixed_weight = (np.concatenate(both) for both in zip(to_ends, others_only))
        pool = np.arange(len(network.entity))
        if len(pool) > _MOST:
            pool = np.union1d(generator.choice(pool, _MOST, replace=False), answer[np.r_[chosen[0], fixed]])
        pool = np.setdiff1d(pool, ends)

        def place(entity: np.ndarray) -> Tensor:
            """Where an answer stands: among those that stay, then the head, then the tail."""
            found = np.searchsorted(pool, entity)
            return torch.from_numpy(np.where(entity == head, len(pool), np.where(entity == tail, len(pool) + 1, found)))

        vectors = network.entities().detach()
        device = vectors.device
        own = questions[chosen[0]]
        moving = torch.stack(((own[:, 0] == tail).long(), own[:, 1], place(own[:, 2].numpy())), 1)
        kept = questions[fixed].to(device)
        queries = network.query(vectors[kept[:, 0]], network.related(kept[:, 1]))
        others = vectors[torch.from_numpy(pool).to(device)]
        rest = torch.cat([compare(q, others, network.scorer.distance).logsumexp(1) for q in queries.split(_MOST)])
        at = place(kept[:, 2].cpu().numpy()) - len(pool)
        return cls(
            network=network,
            start=vectors[torch.from_numpy(ends).to(device)].expand(len(gone), 2, -1).clone(),
            others=others,
            asked=torch.tensor([[0, relation, 1], [1, relation + network.relations, 0]], device=device),
            moving=moving.to(device),
            moving_weight=_weights(*chosen, gone).to(device),
            queries=queries,
            answer=torch.where(at < 0, 2, at).to(device),
            own=match(queries, vectors[kept[:, 2]], network.scorer.distance),
            rest=rest,
            weight=_weights(fixed, fixed_weight, gone).to(device),
            scale=float(len(chosen[0]) + len(to_ends[0])),
        )

    def loss(self, ends: Tensor) -> Tensor:
        """Of vectors of head and tail in each variant, shape (variants, 2, d), summed over the variants."""
        logits = self._logits(ends, self.moving[:, 0], self.moving[:, 1])
        answers = self.moving[:, 2].expand(len(ends), -1)
        lost = logits.logsumexp(2) - logits.gather(2, answers[..., None])[..., 0]
        total = (self.moving_weight * lost).sum()
        to_ends = compare(self.queries[None], ends, self.network.scorer.distance)
        rest = self.rest.expand(len(ends), -1)[..., None]
        own = torch.cat((to_ends, self.own.expand(len(ends), -1)[..., None]), 2)
        own = own.gather(2, self.answer.expand(len(ends), -1)[..., None])[..., 0]
        total = total + (self.weight * (torch.cat((to_ends, rest), 2).logsumexp(2) - own)).sum()
        if self.network.plan.n3:
            total = total + self.network.plan.n3 * (self._times * cubes(ends, self.network.scorer.pairs)).sum()
        return total / self.scale

    @property
    def _times(self) -> Tensor:
        """How many questions each end is part of, shape (variants, 2)."""
        places = len(self.others)
        times = []
        for end in (0, 1):
            moved = (self.moving[:, 0] == end).float() + (self.moving[:, 2] == places + end).float()
            times.append(self.moving_weight @ moved + self.weight @ (self.answer == end).float())
        return torch.stack(times, 1)

    def log_probability(self, ends: Tensor) -> Tensor:
        """Mean log-probability of the tail and of the head of the triple, shape (variants,)."""
        logits = self._logits(ends, self.asked[:, 0], self.asked[:, 1])
        answers = (self.asked[:, 2] + len(self.others)).expand(len(ends), -1)
        return (logits.gather(2, answers[..., None])[..., 0] - logits.logsumexp(2)).mean(1)

    def _logits(self, ends: Tensor, which: Tensor, relations: Tensor) -> Tensor:
        """Of questions of the ends against all candidates, shape (variants, q, m + 2)."""
        distance = self.network.scorer.distance
        related = self.network.related(relations).detach().expand(len(ends), -1, -1)
        queries = self.network.query(ends[:, which], related)
        return torch.cat((compare(queries, self.others, distance), compare(queries, ends, distance)), 2)


def _some(rows: np.ndarray, always: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All needed rows and at most `_MOST` of the others at random, and the weight of each."""
    needed = np.intersect1d(rows, always)
    free = np.setdiff1d(rows, needed)
    drawn = np.sort(generator.choice(free, _MOST, replace=False)) if len(free) > _MOST else free
    weight = np.full(len(drawn), len(free) / max(len(drawn), 1))
    return np.concatenate((needed, drawn)), np.concatenate((np.ones(len(needed)), weight))


def _weights(rows: np.ndarray, weight: np.ndarray, gone: Sequence[np.ndarray]) -> Tensor:
    """Of questions in each variant, shape (variants, q): 0 where they are unknown there."""
    return torch.from_numpy(np.stack([np.where(np.isin(rows, out), 0.0, weight) for out in gone])).float()


# --- contradictions and popularity -------------------------------------------------------


def excluding(triples: np.ndarray, entities: int, relation: int) -> dict[int, float]:
    """Relations that never join two entities that `relation` joins, though chance would have it: relation to the
    number of pairs that they would share by chance, were each spread at random over the heads and tails that both
    have. `SURE` or more is taken as exclusion."""
    head, kind, tail = triples.T.astype(np.int64)
    pair = head * entities + tail

    def ends_of(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which entities are heads, and which are tails."""
        return np.bincount(head[edges], minlength=entities) > 0, np.bincount(tail[edges], minlength=entities) > 0

    own = kind == relation
    heads, tails = ends_of(own)
    shared = np.bincount(kind[np.isin(pair, pair[own])], minlength=kind.max(initial=0) + 1)
    found = {}
    for other in np.flatnonzero(shared == 0).tolist():
        theirs = kind == other
        their_heads, their_tails = ends_of(theirs)
        both_heads, both_tails = heads & their_heads, tails & their_tails
        cells = both_heads.sum() * both_tails.sum()
        if cells:
            mine, others = (len(np.unique(pair[mask & both_heads[head] & both_tails[tail]])) for mask in (own, theirs))
            expected = mine * others / cells
            if expected >= SURE:
                found[other] = float(expected)
    return found


def realistic_places(values: np.ndarray) -> np.ndarray:
    """The rank of each value among all, 1 the highest, of equal ones half before it: shape (n,)."""
    ordered = np.sort(values)
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return 1 + len(values) - up_to + (up_to - below - 1) / 2
