"""Boosted trees as plain arrays: checked before they are used, evaluated and explained by vectorised NumPy code. The
library that fits them is not needed again, and never parses a file that came from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from medeor.contracts import UserError
from medeor.files import read_arrays, replacing
from medeor.learning.trees.shapley import Paths

Objective = Literal["binary", "multiclass", "regression"]

NONE, ZERO, NAN = 0, 1, 2
"""What counts as missing at a node and goes to its default side: nothing (NaN stands for 0), zeros and NaN, NaN."""
NIL = 1e-35
"""Numbers as near to 0 as this are 0 (single precision, as in LightGBM)."""

MOST_LEAVES, MOST_TREES, MOST_FEATURES = 4096, 100_000, 1 << 24
"""Of one tree, of one booster, of one table: more are refused before memory is taken for them."""
MOST_NODES = 1 << 24

_BLOCK = 1 << 13
"""Leaves of the trees that are evaluated together: their conditions for a few rows stay in the processor's cache."""
_CELLS = 1 << 20
"""Conditions (nodes × rows) that are evaluated at once."""

_COLUMNS: dict[str, tuple[type[np.generic], Literal["trees", "nodes", "ends"]]] = {
    "leaves": (np.int32, "trees"),
    "feature": (np.int32, "nodes"),
    "threshold": (np.float64, "nodes"),
    "missing": (np.uint8, "nodes"),
    "default_left": (np.uint8, "nodes"),
    "left": (np.int32, "nodes"),
    "right": (np.int32, "nodes"),
    "count": (np.int64, "nodes"),
    "value": (np.float64, "ends"),
    "leaf_count": (np.int64, "ends"),
}
"""The arrays of a booster, their types, and what they have one element for: trees, inner nodes, or leaves."""


@dataclass(frozen=True, eq=False)
class Booster:
    """The trees of one target. Tree k answers for class k % `classes`. The inner nodes of all trees stand one after
    another, and so do their leaves; a tree of n leaves has n - 1 inner nodes, the first of which is its root."""

    objective: Objective
    features: int
    """Columns of the table that the trees look at."""
    classes: int
    """Margins a case: 1, or the number of classes of a multiclass target."""
    leaves: np.ndarray
    """Leaves of each tree."""
    feature: np.ndarray
    threshold: np.ndarray
    """A value goes left where it is not greater."""
    missing: np.ndarray
    """What is missing here: `NONE`, `ZERO` or `NAN`."""
    default_left: np.ndarray
    """1 where the missing go left, else 0."""
    left: np.ndarray
    """The node below, counted within the tree; ~k is leaf k of the tree."""
    right: np.ndarray
    count: np.ndarray
    """Training cases that came by."""
    value: np.ndarray
    """What a leaf adds to the margin."""
    leaf_count: np.ndarray

    def margins(self, rows: np.ndarray) -> np.ndarray:
        """The sums of the leaves that rows, shape (n, features), fall into: shape (n, classes). What is said of a row
        does not depend on the others."""
        return np.concatenate(
            [self._margins(chunk) for chunk in _chunks(self._prepared(rows), self._rows_at_once)], axis=1
        ).T

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities or numbers, shape (n, classes): of a binary target that of its positive class."""
        margins = self.margins(rows)
        if self.objective == "binary":
            with np.errstate(over="ignore"):
                return 1 / (1 + np.exp(-margins))
        if self.objective == "multiclass":
            powers = np.exp(margins - margins.max(1, keepdims=True))
            return powers / powers.sum(1, keepdims=True)
        return margins

    def shapley(self, rows: np.ndarray) -> np.ndarray:
        """The share of each feature in the margins, shape (n, classes, features + 1); the last is the expected margin,
        and all together are the margin (see `learning.trees.shapley`).

        Raises: UserError where paths are too many."""
        rows = self._prepared(rows)
        shares = np.zeros((len(rows), self.classes, self.features + 1))
        shares[..., -1] = self.expected
        done = 0
        for chunk in _chunks(rows, max(1, _CELLS // max(1, len(self._paths.zero)))):
            shares[done : done + len(chunk), :, :-1] += self._paths.shares(self, chunk)
            done += len(chunk)
        return shares

    @cached_property
    def expected(self) -> np.ndarray:
        """The mean margin of the training cases, shape (classes,)."""
        total = np.add.reduceat(self.leaf_count, self._first_leaf)
        means = np.add.reduceat(self.value * self.leaf_count, self._first_leaf) / total
        # A tree of one leaf is a constant, and not to be rounded.
        means = np.where(self.leaves == 1, self.value[self._first_leaf], means)
        return means.reshape(-1, self.classes).sum(0)

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in _COLUMNS}

    def facts(self) -> dict[str, object]:
        """What `read_booster` must know beside the arrays."""
        return {"objective": self.objective, "features": self.features, "classes": self.classes}

    # --- evaluation ------------------------------------------------------------------------------------------

    def _prepared(self, rows: np.ndarray) -> np.ndarray:
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise UserError("learning.trees.features", fitted=self.features, found=rows.shape[-1])
        return rows if rows.dtype == np.float32 else rows.astype(np.float64, copy=False)

    @property
    def _rows_at_once(self) -> int:
        return max(16, _CELLS // max(1, min(_BLOCK, len(self.value))))

    def _margins(self, rows: np.ndarray) -> np.ndarray:
        """Shape (classes, n)."""
        columns = self.conditions.columns_of(rows)
        # One number more: NumPy adds along a single column in another order than along several.
        sums = np.zeros((self.classes, len(rows) + 1))
        for block in self._blocks:
            leaves = block.values_of(columns)
            terms = np.zeros((len(leaves) // self.classes + 1, *sums.shape))
            terms[0] = sums
            terms[1:, :, :-1] = leaves.reshape(len(leaves) // self.classes, self.classes, len(rows))
            sums = np.add.reduce(terms, axis=0)
        return sums[:, :-1]

    @cached_property
    def _first_node(self) -> np.ndarray:
        return np.cumsum(self.leaves - 1, dtype=np.int64) - (self.leaves - 1)

    @cached_property
    def _first_leaf(self) -> np.ndarray:
        return np.cumsum(self.leaves, dtype=np.int64) - self.leaves

    @cached_property
    def _tree(self) -> np.ndarray:
        """The tree of each inner node."""
        return np.repeat(np.arange(len(self.leaves)), self.leaves - 1)

    @cached_property
    def below(self) -> np.ndarray:
        """What lies left and right below each inner node, shape (nodes, 2), counted over all trees; leaves as ~k."""
        below = np.stack([self.left, self.right], axis=1).astype(np.int64)
        node, leaf = self._first_node[self._tree], self._first_leaf[self._tree]
        return np.where(below >= 0, below + node[:, None], below - leaf[:, None])

    @cached_property
    def conditions(self) -> _Conditions:
        return _Conditions.of(self)

    @cached_property
    def _paths(self) -> Paths:
        return Paths.of(self)

    @cached_property
    def _blocks(self) -> list[_Block]:
        """Whole iterations (a tree a class) in their order, as many as have about `_BLOCK` leaves."""
        blocks, begin, widest = [], 0, 0
        tallest = self.leaves.reshape(-1, self.classes).max(1).tolist()
        for number, leaves in enumerate([*tallest, None]):
            wider = max(widest, leaves or 0)
            if leaves is None or (number > begin and (number + 1 - begin) * self.classes * wider > _BLOCK):
                blocks.append(_Block.of(self, begin * self.classes, number * self.classes))
                begin, widest = number, leaves or 0
            else:
                widest = wider
        return blocks


class _Conditions(NamedTuple):
    """The question of every node as one comparison, `column <= threshold`, that NaN fails: a column is a feature with
    what is missing made NaN, or no longer NaN, and turned round where the missing go left."""

    feature: np.ndarray
    """Of each column."""
    missing: np.ndarray
    turned: np.ndarray
    column: np.ndarray
    """Of each node."""
    flipped: np.ndarray
    """Of each node, whether the question was turned round: who meets the condition goes right."""
    single: np.ndarray
    """Thresholds for numbers of single precision: as near below as these can be."""
    double: np.ndarray

    @classmethod
    def of(cls, booster: Booster) -> _Conditions:
        flipped = (booster.missing != NONE) & (booster.default_left == 1)
        key = (booster.missing * 2 + flipped) * np.int64(booster.features) + booster.feature
        columns, column = np.unique(key, return_inverse=True)
        kind, feature = np.divmod(columns, booster.features)

        def thresholds(dtype: type[np.floating[Any]]) -> np.ndarray:
            with np.errstate(over="ignore", under="ignore"):
                near = booster.threshold.astype(dtype)
                low = np.where(near > booster.threshold, np.nextafter(near, dtype(-np.inf)), near)
                # x > t is -x < -t, which is -x <= the number before -t; where there is none, nothing meets it.
                before = np.where(low == np.inf, np.nan, np.nextafter(-low, dtype(-np.inf)))
                return np.where(flipped, before, low)

        turned = (kind % 2).astype(bool)
        return cls(feature, kind // 2, turned, column, flipped, thresholds(np.float32), thresholds(np.float64))

    def thresholds(self, dtype: np.dtype) -> np.ndarray:
        return self.single if dtype == np.float32 else self.double

    def columns_of(self, rows: np.ndarray) -> np.ndarray:
        """Shape (columns, n)."""
        columns = rows.T.take(self.feature, axis=0)
        kept = np.abs(columns) > rows.dtype.type(np.float32(NIL))
        none, zero = np.searchsorted(self.missing, [ZERO, NAN])
        # The columns stand by what is missing: first those where nothing is.
        columns[:none][np.isnan(columns[:none])] = 0
        columns[~kept & ~np.isnan(columns)] = 0
        columns[none:zero][~kept[none:zero]] = np.nan
        np.negative(columns, out=columns, where=self.turned[:, None])
        return columns


class _Level(NamedTuple):
    """Inner nodes that are equally far from their roots."""

    nodes: slice
    """Their conditions."""
    places: np.ndarray
    """Where in the block it stands who comes by."""
    met: slice
    """Where those come to stand who meet the condition."""
    failed: slice


class _Block(NamedTuple):
    """Some trees of a booster, evaluated together, level by level: a table says of each node and row whether the row
    comes by. Bytes that are compared in long rows cost less than one look-up for each row, tree and level."""

    column: np.ndarray
    """Of each inner node, in the order of the levels."""
    single: np.ndarray
    double: np.ndarray
    levels: list[_Level]
    places: int
    """Nodes and leaves, and one that nobody comes by."""
    leaves: np.ndarray
    """Where each leaf stands, shape (trees, most leaves); trees with fewer have the one that nobody comes by."""
    values: np.ndarray
    """Of the leaves, one tree after another."""

    @classmethod
    def of(cls, booster: Booster, begin: int, end: int) -> _Block:
        trees = np.arange(begin, end)
        conditions, below = booster.conditions, booster.below
        first = np.where(booster.leaves[trees] > 1, booster._first_node[trees], ~booster._first_leaf[trees])
        order, levels = [], []
        ends, where = [], []
        done, place, here = 0, 0, first
        while len(here):
            places = place + np.arange(len(here))
            inner = here >= 0
            ends.append(~here[~inner])
            where.append(places[~inner])
            place += len(here)
            nodes = here[inner]
            order.append(nodes)
            n = len(nodes)
            if n:
                met, failed = slice(place, place + n), slice(place + n, place + 2 * n)
                levels.append(_Level(slice(done, done + n), places[inner], met, failed))
            done += n
            flipped = conditions.flipped[nodes].astype(int)
            both = below[nodes]
            here = np.concatenate([both[np.arange(n), flipped], both[np.arange(n), 1 - flipped]])
        leaf = np.concatenate(ends)
        widest = int(booster.leaves[trees].max())
        tree = np.searchsorted(booster._first_leaf, leaf, side="right") - 1
        number = leaf - booster._first_leaf[tree]
        leaves = np.full((len(trees), widest), place)
        leaves[tree - begin, number] = np.concatenate(where)
        values = np.zeros((len(trees), widest))
        values[tree - begin, number] = booster.value[leaf]
        nodes = np.concatenate(order)
        single, double = conditions.single[nodes][:, None], conditions.double[nodes][:, None]
        return cls(conditions.column[nodes], single, double, levels, place + 1, leaves, values.ravel())

    def values_of(self, columns: np.ndarray) -> np.ndarray:
        """What each tree says of each row, shape (trees, n)."""
        n = columns.shape[1]
        met = columns.take(self.column, axis=0) <= (self.single if columns.dtype == np.float32 else self.double)
        passing = np.empty((self.places, n), bool)
        passing[: len(self.leaves)] = True
        passing[-1] = False
        for level in self.levels:
            parents, condition = passing.take(level.places, axis=0), met[level.nodes]
            np.logical_and(parents, condition, out=passing[level.met])
            np.greater(parents, condition, out=passing[level.failed])
        trees, widest = self.leaves.shape
        kind: Any = np.uint8 if widest <= 256 else np.uint16
        numbers = np.arange(widest, dtype=kind)[:, None]
        # One leaf a tree is reached: the sum of their numbers is its number.
        reached = np.add.reduce(passing.take(self.leaves, axis=0).view(np.uint8) * numbers, axis=1, dtype=kind)
        return self.values.take(reached + np.arange(0, trees * widest, widest)[:, None])


def _chunks(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for begin in range(0, max(1, len(rows)), size):
        yield rows[begin : begin + size]


# --- files -----------------------------------------------------------------------------------------------


def write_booster(path: Path, booster: Booster) -> None:
    """The arrays of a booster, as safetensors."""
    from safetensors.numpy import save_file

    with replacing(path) as new:
        save_file(booster.arrays(), new)


def read_booster(path: Path, facts: object) -> Booster:
    """A booster from its arrays and its `facts`.

    Raises: UserError when they do not describe trees."""
    keys = {"objective", "features", "classes"}
    if not isinstance(facts, Mapping) or set(facts) != keys:
        raise UserError("files.damaged.at", path=path.with_name("model.json"), detail=path.stem)
    arrays = read_arrays(path, {name: (dtype, 1) for name, (dtype, _) in _COLUMNS.items()})
    return checked(str(path), **facts, **arrays)


def checked(where: str, *, objective: object, features: object, classes: object, **arrays: np.ndarray) -> Booster:
    """A booster all of whose numbers are known to be in range. Raises: UserError naming `where` and what is not."""

    def must(right: Any, what: str) -> None:
        if not bool(np.all(right)):
            raise UserError("files.damaged.at", path=where, detail=what)

    must(objective in get_args(Objective), "objective")
    for name, number, most in (("features", features, MOST_FEATURES), ("classes", classes, MOST_TREES)):
        must(type(number) is int and 1 <= number <= most, name)
    must((objective == "multiclass") == (classes != 1), "classes")
    booster = Booster(objective, features, classes, **arrays)  # type: ignore[arg-type]
    leaves = booster.leaves
    must(0 < len(leaves) <= MOST_TREES and len(leaves) % booster.classes == 0, "leaves")
    must((leaves >= 1) & (leaves <= MOST_LEAVES), "leaves")
    ends = int(leaves.sum(dtype=np.int64))
    must(ends <= MOST_NODES, "leaves")
    lengths = {"trees": len(leaves), "nodes": ends - len(leaves), "ends": ends}
    for name, (_, each) in _COLUMNS.items():
        must(len(arrays[name]) == lengths[each], name)
    must((booster.feature >= 0) & (booster.feature < booster.features), "feature")
    must(booster.missing <= NAN, "missing")
    must(booster.default_left <= 1, "default_left")
    # A threshold may be infinite: it divides the missing from the rest.
    must(~np.isnan(booster.threshold), "threshold")
    # NaN and infinity fail this too.
    must(np.abs(booster.value) < 1e100, "value")
    must((booster.count >= 1) & (booster.count < 1 << 48), "count")
    must((booster.leaf_count >= 1) & (booster.leaf_count < 1 << 48), "leaf_count")
    must(_are_trees(booster), "left, right")
    return booster


def _are_trees(booster: Booster) -> bool:
    """Whether every node and leaf but the root lies below exactly one other, which stands before it: so there are no
    loops."""
    own = np.arange(len(booster.left)) - booster._first_node[booster._tree]
    many = booster.leaves[booster._tree]
    for side in (booster.left.astype(np.int64), booster.right.astype(np.int64)):
        if not np.where(side >= 0, (side > own) & (side < many - 1), ~side < many).all():
            return False
    below = booster.below.ravel()
    roots = np.zeros(len(booster.left), int)
    roots[booster._first_node[booster.leaves > 1]] = 1
    nodes = np.bincount(below[below >= 0], minlength=len(roots)) + roots == 1
    ends = np.bincount(~below[below < 0], minlength=len(booster.value))
    return bool(nodes.all()) and np.array_equal(ends, (booster.leaves > 1).repeat(booster.leaves))
