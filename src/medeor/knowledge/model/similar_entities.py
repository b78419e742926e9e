"""Substitutes for an entity without training triples: the trained entities of its kind with the most similar names."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor

from medeor.knowledge.read.graph import Graph
from medeor.knowledge.read.triples import degrees

NUMBER = 32
"""Substitutes of one entity."""
_PLAIN = 0.05
"""Weight of an entity of the same kind whose name has nothing in common, where an identical name has 1."""
_AT_ONCE = 512


class Substitutes(NamedTuple):
    """Entities without training triples, and the substitutes of each."""

    unseen: Tensor
    """Shape (u,): rows of the entities without training triples."""
    near: Tensor
    """Shape (u, k): rows of trained entities."""
    weight: Tensor
    """Shape (u, k): their shares, which add up to one; zero where fewer than k are of the kind."""

    @classmethod
    def none(cls, entities: int = 0) -> Substitutes:
        """Room for so many entities, to be filled from a file."""
        near = torch.zeros(entities, NUMBER)
        return cls(torch.zeros(entities, dtype=torch.long), near.long(), near)


def substitutes_for(graph: Graph, training: np.ndarray) -> Substitutes:
    """For each entity without training triples, shape (n, 3): the 32 trained entities of its kind (or of all) with the
    most similar names, by cosine of TF-IDF on character 3–5-grams; among equals those with most training triples."""
    count = degrees(training, len(graph.entities))
    unseen = np.flatnonzero((count == 0) & (degrees(graph.triples, len(count)) > 0))
    known = np.flatnonzero(count > 0)
    if not len(unseen) or not len(known):
        return Substitutes.none()
    kind = graph.entities["kind"].cast(pl.String).fill_null("").rank("dense").to_numpy()
    found = Substitutes.none(len(unseen))
    texts = _texts(graph)
    for one in np.unique(kind[unseen]):
        rows = np.flatnonzero(kind[unseen] == one)
        pool = known[kind[known] == one] if (kind[known] == one).any() else known
        near, weight = _nearest(texts, unseen[rows], pool, count[pool])
        found.near[rows, : near.shape[1]] = torch.from_numpy(near)
        found.weight[rows, : near.shape[1]] = torch.from_numpy(weight).float()
    return Substitutes(torch.from_numpy(unseen), found.near, found.weight)


def _texts(graph: Graph) -> np.ndarray:
    """Names in lower case; empty where an entity has only its identifier, whose letters mean nothing."""
    named = pl.when(pl.col("name") != pl.col("id").cast(pl.String)).then(pl.col("name").str.to_lowercase())
    return graph.entities.select(named.fill_null("")).to_series().to_numpy()


def _nearest(
    texts: np.ndarray, unseen: np.ndarray, pool: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, token_pattern=None)
    # One name that is no letter at all would leave no runs to count.
    every = grams.fit_transform([*texts[pool], *texts[unseen], "name"])
    own, others = every[len(pool) : -1], every[: len(pool)]
    tie = 1e-6 * np.log1p(count) / np.log1p(count.max())
    near, weight = [], []
    for begin in range(0, len(unseen), _AT_ONCE):
        alike = (own[begin : begin + _AT_ONCE] @ others.T).toarray() + tie
        place = np.argsort(-alike, axis=1, kind="stable")[:, :NUMBER]
        share = np.take_along_axis(alike, place, 1) + _PLAIN
        near.append(pool[place])
        weight.append(share / share.sum(1, keepdims=True))
    return np.concatenate(near), np.concatenate(weight)
