"""Count, mean and spread of columns, which add up over shards and sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medeor.statistics.scores import Array


@dataclass(frozen=True)
class Moments:
    """Of each of k columns, shape (k,), float64. Those of two parts add up to those of the whole (Chan, Golub and
    LeVeque 1979, http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf)."""

    count: Array
    mean: Array
    squares: Array
    """Sum of squared deviations from the mean."""

    @classmethod
    def of(cls, *columns: Array) -> Moments:
        """Of the known values of each column, each of shape (n,)."""
        known = [column[~np.isnan(column)] for column in columns]
        means = [column.mean() if len(column) else 0.0 for column in known]
        squares = [((column - mean) ** 2).sum() for column, mean in zip(known, means)]
        return cls(np.array([float(len(column)) for column in known]), np.array(means), np.array(squares))

    @classmethod
    def counted(cls, counts: Array) -> Moments:
        """How often each of k things is there."""
        return cls(np.asarray(counts, float), np.zeros(len(counts)), np.zeros(len(counts)))

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        share = other.count / np.maximum(count, 1.0)
        shift = other.mean - self.mean
        squares = self.squares + other.squares + shift**2 * self.count * share
        return Moments(count, self.mean + shift * share, squares)

    @property
    def deviation(self) -> Array:
        """Standard deviation, shape (k,); 0 where there is no value."""
        return np.sqrt(self.squares / np.maximum(self.count, 1.0))

    def to_json(self) -> dict[str, list[float]]:
        return {"count": self.count.tolist(), "mean": self.mean.tolist(), "squares": self.squares.tolist()}

    @classmethod
    def from_json(cls, values: Mapping[str, list[float]]) -> Moments:
        return cls(*(np.array(values[name], float) for name in ("count", "mean", "squares")))
