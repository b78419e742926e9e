"""The shortest paths between two entities of a graph, along edges in either direction, past as few hubs as possible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

LONGEST = 3
"""Edges of a path: longer ones join almost everything with everything."""
_BREADTH = 2000
"""Neighbours of either end, those with fewest edges, between which an edge is looked for."""


@dataclass(frozen=True)
class Adjacency:
    """Which edges lie at each entity, as compressed rows."""

    first: np.ndarray
    """Shape (entities + 1,): where the edges at each entity begin."""
    other: np.ndarray
    """Shape (2 edges,), int32: the entity at the far end."""
    row: np.ndarray
    """Shape (2 edges,): row of the edge in the graph."""

    @classmethod
    def of(cls, triples: np.ndarray, entities: int, rows: np.ndarray) -> Adjacency:
        """Of the edges `rows` of `triples`, shape (n, 3); an edge from an entity to itself is on no path."""
        rows = rows[triples[rows, 0] != triples[rows, 2]]
        here = triples[rows][:, [0, 2]].T.ravel()
        order = np.argsort(here, kind="stable")
        first = np.concatenate(([0], np.cumsum(np.bincount(here, minlength=entities))))
        return cls(first, triples[rows][:, [2, 0]].T.ravel()[order], np.tile(rows, 2)[order])

    @property
    def degree(self) -> np.ndarray:
        return np.diff(self.first)

    def around(self, entities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The edges at some entities: which of the entities (its place among those given), far end, row."""
        size = self.first[entities + 1] - self.first[entities]
        which = np.repeat(np.arange(len(entities)), size)
        place = np.arange(size.sum()) + np.repeat(self.first[entities] - (np.cumsum(size) - size), size)
        return which, self.other[place], self.row[place]


def between(adjacency: Adjacency, start: int, end: int, most: int, without: np.ndarray) -> list[tuple[int, ...]]:
    """The `most` shortest paths from one entity to another, at most `LONGEST` edges long, none of them in `without`:
    rows of edges in the order in which they are walked. Of paths equally long, those over entities with fewer edges
    come first: the weight of a path is one over the product of their degrees (as the degree-weighted paths of
    Himmelstein and Baranzini 2015). Each sequence of entities comes once, but for edges that are the whole path."""
    found: list[tuple[int, ...]] = []
    for walk in (_direct, _over_one, _over_two):
        if len(found) < most:
            found += list(walk(adjacency, start, end, most - len(found), without))
    return found


def _steps(adjacency: Adjacency, start: int, end: int, without: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours of `start` other than `end`, sorted and once each, and the row of an edge to each."""
    _, other, row = adjacency.around(np.array([start]))
    free = ~np.isin(row, without) & (other != end)
    other, place = np.unique(other[free], return_index=True)
    return other, row[free][place]


def _direct(adjacency: Adjacency, start: int, end: int, most: int, without: np.ndarray) -> Iterator[tuple[int, ...]]:
    _, other, row = adjacency.around(np.array([start]))
    for edge in np.sort(row[(other == end) & ~np.isin(row, without)])[:most].tolist():
        yield (edge,)


def _over_one(adjacency: Adjacency, start: int, end: int, most: int, without: np.ndarray) -> Iterator[tuple[int, ...]]:
    near, out = _steps(adjacency, start, end, without)
    far, back = _steps(adjacency, end, start, without)
    middle, one, other = np.intersect1d(near, far, assume_unique=True, return_indices=True)
    best = np.argsort(adjacency.degree[middle], kind="stable")[:most]
    yield from zip(out[one[best]].tolist(), back[other[best]].tolist(), strict=True)


def _over_two(adjacency: Adjacency, start: int, end: int, most: int, without: np.ndarray) -> Iterator[tuple[int, ...]]:
    degree = adjacency.degree
    (near, out), (far, back) = (
        _rarest(*_steps(adjacency, *ends, without), degree) for ends in ((start, end), (end, start))
    )
    which, other, row = adjacency.around(near)
    place = np.minimum(np.searchsorted(far, other), max(len(far) - 1, 0))
    met = (far[place] == other) & ~np.isin(row, without) if len(far) else np.zeros(len(other), bool)
    which, place, row = which[met], place[met], row[met]
    # Parallel edges in the middle are one sequence of entities.
    _, once = np.unique(which * max(len(far), 1) + place, return_index=True)
    which, place, row = which[once], place[once], row[once]
    hubs = np.log(degree[near[which]]) + np.log(degree[far[place]])
    best = np.argsort(hubs, kind="stable")[:most]
    yield from zip(out[which[best]].tolist(), row[best].tolist(), back[place[best]].tolist(), strict=True)


def _rarest(entities: np.ndarray, rows: np.ndarray, degree: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kept = np.sort(np.argsort(degree[entities], kind="stable")[:_BREADTH])
    return entities[kept], rows[kept]


def nodes_on_path(triples: np.ndarray, path: tuple[int, ...], start: int) -> list[int]:
    """The entities along a path, `start` first.

    Raises: ValueError where its edges do not follow one another."""
    entities = [start]
    for head, _, tail in triples[list(path)].tolist():
        if entities[-1] not in (head, tail):
            raise ValueError(f"edge {head}-{tail} does not begin at {entities[-1]}")
        entities.append(tail if entities[-1] == head else head)
    return entities


def random_walks(
    adjacency: Adjacency, start: int, length: int, number: int, without: np.ndarray, generator: np.random.Generator
) -> list[tuple[int, ...]]:
    """Random paths of `length` edges that begin at an entity and come to none twice; fewer where it has too few."""
    found = []
    for _ in range(number):
        at, been, rows = start, [start], []
        for _ in range(length):
            _, other, row = adjacency.around(np.array([at]))
            free = np.flatnonzero(~np.isin(row, without) & ~np.isin(other, been))
            if not len(free):
                break
            step = generator.choice(free)
            at = int(other[step])
            been.append(at)
            rows.append(int(row[step]))
        if len(rows) == length:
            found.append(tuple(rows))
    return found
