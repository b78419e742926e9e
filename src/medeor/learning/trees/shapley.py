"""Shapley values of boosted trees: path-dependent TreeSHAP (Lundberg et al. 2020). A feature that is unknown splits a
case between both sides as the training cases did. The Shapley weights of a path with m features are integrals over
polynomials of degree m - 1, ∫ ∏ (y · one + (1 - y) · zero) dy, which Gauss-Legendre quadrature with m / 2 points gives
exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from medeor.contracts import UserError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from medeor.learning.trees.boosters import Booster

MOST_STEPS = 1 << 26
"""Edges from roots to all leaves together, up to which trees are explained."""


class _Group(NamedTuple):
    """Leaves with equally many features on their way."""

    elements: np.ndarray
    """Shape (leaves, features on the way)."""
    add: csr_array
    """Multiplies by the values of the leaves and adds up by class and feature."""


class Paths(NamedTuple):
    """Every leaf's way from the root, feature by feature: edges, sorted by leaf and feature, and elements, the edges of
    one leaf that ask for the same feature."""

    node: np.ndarray
    """Of each edge, the node that it leaves."""
    goes_left: np.ndarray
    first: np.ndarray
    """Of each element, its first edge."""
    zero: np.ndarray
    """Of each element, the share of training cases that follow these edges where they come by."""
    groups: list[_Group]

    @classmethod
    def of(cls, booster: Booster) -> Paths:
        """Raises: UserError where paths are too many."""
        from scipy.sparse import csr_array

        above_node, above_leaf = _parents(booster.below, len(booster.value))
        tree_of_leaf = np.repeat(np.arange(len(booster.leaves)), booster.leaves)
        passing = np.concatenate([booster.count, booster.leaf_count])
        edges: list[tuple[np.ndarray, ...]] = []
        steps = 0
        leaf = np.arange(len(booster.value))
        at, edge = leaf + len(booster.count), above_leaf
        while True:
            below = edge >= 0
            leaf, at, edge = leaf[below], at[below], edge[below]
            if not len(leaf):
                break
            steps += len(leaf)
            if steps > MOST_STEPS:
                raise UserError("learning.trees.too-deep")
            node, side = np.divmod(edge, 2)
            edges.append((leaf, node, side == 0, passing[at] / booster.count[node]))
            at, edge = node, above_node[node]
        if not edges:
            nothing = np.zeros(0, int)
            return cls(nothing, nothing.astype(bool), nothing, nothing.astype(float), [])
        leaf, node, goes_left, share = (np.concatenate(parts) for parts in zip(*edges, strict=True))
        element = leaf * booster.features + booster.feature[node]
        order = np.argsort(element, kind="stable")
        element = element[order]
        first = np.flatnonzero(np.diff(element, prepend=-1))
        zero = np.multiply.reduceat(share[order], first)
        of_leaf, feature = np.divmod(element[first], booster.features)
        row = tree_of_leaf[of_leaf] % booster.classes * booster.features + feature
        length = np.bincount(of_leaf, minlength=len(booster.value))
        begin = np.cumsum(length) - length
        groups = []
        for m in np.unique(length[length > 0]):
            leaves = np.flatnonzero(length == m)
            elements = begin[leaves][:, None] + np.arange(m)
            place = (row[elements].ravel(), np.arange(elements.size))
            size = (booster.classes * booster.features, elements.size)
            groups.append(_Group(elements, csr_array((np.repeat(booster.value[leaves], m), place), shape=size)))
        return cls(node[order], goes_left[order], first, zero, groups)

    def shares(self, booster: Booster, rows: np.ndarray) -> np.ndarray:
        """The share of each feature in the margins of rows, shape (n, classes, features)."""
        if not len(self.zero):
            return np.zeros((len(rows), booster.classes, booster.features))
        shares = np.zeros((booster.classes * booster.features, len(rows)))
        conditions = booster.conditions
        met = conditions.columns_of(rows).take(conditions.column, axis=0) <= conditions.thresholds(rows.dtype)[:, None]
        left = met != conditions.flipped[:, None]
        one = np.logical_and.reduceat(left.take(self.node, axis=0) == self.goes_left[:, None], self.first)
        for group in self.groups:
            zero, here = self.zero[group.elements][..., None], one.take(group.elements, axis=0).astype(float)
            weight = np.zeros(here.shape)
            points, weights = np.polynomial.legendre.leggauss((here.shape[1] + 1) // 2)
            for y, w in zip((points + 1) / 2, weights / 2, strict=True):
                factor = y * here + (1 - y) * zero
                weight += w * factor.prod(axis=1, keepdims=True) / factor
            shares += group.add @ ((here - zero) * weight).reshape(group.elements.size, len(rows))
        return np.moveaxis(shares.reshape(booster.classes, booster.features, len(rows)), -1, 0)


def _parents(below: np.ndarray, leaves: int) -> tuple[np.ndarray, np.ndarray]:
    """By which edge nodes and leaves are reached: twice the node above, one more where it lies right; -1 for roots."""
    node, leaf = np.full(len(below), -1), np.full(leaves, -1)
    flat = below.ravel()
    edges = np.arange(len(flat))
    node[flat[flat >= 0]] = edges[flat >= 0]
    leaf[~flat[flat < 0]] = edges[flat < 0]
    return node, leaf
