"""What stands in for an entity of which nothing was taught: those of its kind whose names are most like its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor

from medeor.knowledge.read.graph import Graph

KIN = 32
"""Entities that stand in for one."""
_PLAIN = 0.05
"""Weight of an entity of the same kind whose name has nothing in common, where a name just alike has 1."""
_AT_ONCE = 512


class Substitutes(NamedTuple):
    """Entities that nothing was taught of, and who stands in for each."""

    strange: Tensor
    """Shape (u,): rows of the untaught."""
    near: Tensor
    """Shape (u, k): rows of entities that were taught."""
    weight: Tensor
    """Shape (u, k): their shares, which add up to one; zero where fewer than k are of the kind."""

    @classmethod
    def none(cls, strangers: int = 0) -> Substitutes:
        """Room for so many, to be filled from a file."""
        near = torch.zeros(strangers, KIN)
        return cls(torch.zeros(strangers, dtype=torch.long), near.long(), near)


def substitutes_for(graph: Graph, taught: np.ndarray) -> Substitutes:
    """Of each entity on no taught triple, shape (n, 3), those of its kind (or of all) with the most
    letters in a row in common with its name, by cosine of TF-IDF of runs of three to five; among equals the best known.
    """
    count = np.bincount(taught[:, [0, 2]].ravel(), minlength=len(graph.entities))
    ends = np.bincount(graph.triples[:, [0, 2]].ravel(), minlength=len(graph.entities))
    unseen = np.flatnonzero((count == 0) & (ends > 0))
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
    """Names in lower case; nothing where an entity has but its identifier, whose letters mean nothing."""
    named = pl.when(pl.col("name") != pl.col("id").cast(pl.String)).then(pl.col("name").str.to_lowercase())
    return graph.entities.select(named.fill_null("")).to_series().to_numpy()


def _nearest(
    texts: np.ndarray, strange: np.ndarray, pool: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, token_pattern=None)
    # One name that is no letter at all would leave no runs to count.
    every = grams.fit_transform([*texts[pool], *texts[strange], "name"])
    own, others = every[len(pool) : -1], every[: len(pool)]
    tie = 1e-6 * np.log1p(count) / np.log1p(count.max())
    near, weight = [], []
    for begin in range(0, len(strange), _AT_ONCE):
        alike = (own[begin : begin + _AT_ONCE] @ others.T).toarray() + tie
        place = np.argsort(-alike, axis=1, kind="stable")[:, :KIN]
        share = np.take_along_axis(alike, place, 1) + _PLAIN
        near.append(pool[place])
        weight.append(share / share.sum(1, keepdims=True))
    return np.concatenate(near), np.concatenate(weight)
