"""Shortest paths against an enumeration of all of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medeor.knowledge.questions.paths import Adjacency, between, nodes_on_path, random_walks

EDGES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 1), st.integers(0, 7)), min_size=1, max_size=25)
NONE = np.zeros(0, np.int64)


def adjacency(triples: np.ndarray, entities: int = 8) -> Adjacency:
    return Adjacency.of(triples, entities, np.arange(len(triples)))


def every_path(triples: np.ndarray, start: int, end: int) -> list[tuple[int, float]]:
    """Length and sum of the log degrees on the way of each sequence of entities from start to end, up to three edges;
    parallel edges that are the whole path count one by one."""
    joined = [(h, t) for h, _, t in triples.tolist() if h != t]
    near = {e: {t for h, t in joined if h == e} | {h for h, t in joined if t == e} for e in range(8)}
    degree = {e: sum(e in pair for pair in joined) for e in range(8)}
    found = [(1, 0.0)] * sum({start, end} == {h, t} for h, t in joined)
    found += [(2, np.log(degree[a])) for a in near[start] - {end} if end in near[a]]
    for a in near[start] - {end}:
        found += [(3, np.log(degree[a]) + np.log(degree[b])) for b in near[a] - {start, end} if end in near[b]]
    return sorted(found)


@given(EDGES)
def test_the_shortest_paths_past_the_fewest_edges_are_found(edges):
    triples = np.array(edges, np.int32)
    expected = every_path(triples, 0, 1)
    ways = adjacency(triples)
    found = between(ways, 0, 1, 4, NONE)
    entities = [nodes_on_path(triples, path, 0) for path in found]
    assert all(walk[-1] == 1 and len(set(walk)) == len(walk) for walk in entities)
    reached = [(len(path), float(np.log(ways.degree[walk[1:-1]]).sum())) for path, walk in zip(found, entities)]
    assert np.array(reached) == pytest.approx(np.array(expected[:4]))


def test_an_edge_left_out_is_on_no_path():
    triples = np.array([[0, 0, 1], [0, 0, 2], [2, 1, 1], [2, 0, 1]], np.int32)
    assert between(adjacency(triples), 0, 1, 9, NONE) == [(0,), (1, 2)]
    assert between(adjacency(triples), 0, 1, 9, np.array([0, 2])) == [(1, 3)]


def test_a_hub_comes_last():
    hub = [[2, 0, other] for other in range(3, 8)]
    triples = np.array([[0, 0, 2], [2, 0, 1], [0, 0, 7], [7, 0, 1], *hub[:-1]], np.int32)
    assert between(adjacency(triples), 0, 1, 1, NONE) == [(2, 3)]


def test_edges_that_do_not_meet_are_no_path():
    triples = np.array([[0, 0, 1], [2, 0, 3]], np.int32)
    with pytest.raises(ValueError, match="does not begin at 1"):
        nodes_on_path(triples, (0, 1), 0)


@given(EDGES, st.integers(1, 3))
def test_random_paths_begin_at_the_entity_and_come_to_none_twice(edges, length):
    triples = np.array(edges, np.int32)
    for path in random_walks(adjacency(triples), 0, length, 4, np.array([0]), np.random.default_rng(0)):
        walk = nodes_on_path(triples, path, 0)
        assert len(path) == length
        assert len(set(walk)) == length + 1
        assert 0 not in path
        for row, (here, there) in zip(path, pairwise(walk)):
            assert {here, there} == {int(triples[row, 0]), int(triples[row, 2])}
