"""LightGBM's text model (version 3 and 4) read strictly into the arrays of a `Booster`: what medeor 0.1 kept, and what
a fit hands over. LightGBM's own parser trusts what it reads: one changed number makes it read beyond its memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from medeor.contracts import UserError
from medeor.learning.trees.boosters import MOST_FEATURES, MOST_LEAVES, MOST_TREES, NAN, Booster, checked

MOST_BYTES = 1 << 29
"""Of a text."""

_OBJECTIVES = {"binary sigmoid:1": "binary", "regression": "regression"}
_HEADER = (
    "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective", "feature_names",
    "feature_infos", "tree_sizes",
)  # fmt: skip
_NODES = {"split_feature": "feature", "threshold": "threshold", "decision_type": "decision", "left_child": "left"}
_NODES |= {"right_child": "right", "internal_count": "count"}
_LEAVES = {"leaf_value": "value", "leaf_count": "leaf_count"}
_REALS = ("threshold", "leaf_value")
_UNREAD = ("split_gain", "leaf_weight", "internal_value", "internal_weight")
"""What only a further fit would need."""
_TREE = ("num_leaves", "num_cat", *_NODES, *_LEAVES, *_UNREAD, "is_linear", "shrinkage")

_CATEGORICAL, _LEFT = 1, 2
"""Bits of a node's decision; the two above say what is missing."""


def parsed(text: str, where: str) -> Booster:
    """The booster that a text of LightGBM describes.

    Raises: UserError when any of it is not as LightGBM writes it, or is what medeor never fits: splits by category,
    linear trees, other objectives."""
    if len(text) > MOST_BYTES:
        raise UserError("files.read.too-large", path=where)
    lines = text.split("\n")
    if lines[0] != "tree":
        _refuse(where, "tree")
    header, at = _pairs(lines, 1, _HEADER, where)
    if header["version"] not in ("v3", "v4"):
        _refuse(where, "version")
    features = _whole(header["max_feature_idx"], where, MOST_FEATURES) + 1
    classes = _whole(header["num_class"], where, MOST_TREES)
    objective = _OBJECTIVES.get(header["objective"])
    if header["objective"] == f"multiclass num_class:{classes}":
        objective = "multiclass"
    if objective is None:
        _refuse(where, "objective")
    if header["num_tree_per_iteration"] != header["num_class"]:
        _refuse(where, "num_tree_per_iteration")
    for name in ("feature_names", "feature_infos"):
        if len(header[name].split(" ")) != features:
            _refuse(where, name)
    sizes = [_whole(size, where, MOST_BYTES) for size in header["tree_sizes"].split(" ")]
    if len(sizes) > MOST_TREES:
        _refuse(where, "tree_sizes")
    # Two line ends close each tree, and its size counts them.
    at += 1
    columns: dict[str, list[np.ndarray]] = {name: [] for name in (*_NODES.values(), *_LEAVES.values())}
    leaves = []
    for number, size in enumerate(sizes):
        begin = at
        title = f"Tree={number}"
        if at >= len(lines) or lines[at] != title:
            _refuse(where, title)
        tree, at = _pairs(lines, at + 1, _TREE, where)
        at += 2
        if lines[at - 2 : at] != ["", ""] or sum(len(line) + 1 for line in lines[begin:at]) != size:
            _refuse(where, title)
        leaves.append(_add_tree(tree, columns, f"{where}: {title}"))
    if lines[at : at + 1] != ["end of trees"]:
        _refuse(where, "end of trees")
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    decision = arrays.pop("decision")
    return checked(
        where,
        objective=objective,
        features=features,
        classes=classes,
        leaves=np.array(leaves, np.int32),
        missing=(decision >> 2).astype(np.uint8),
        default_left=(decision & _LEFT > 0).astype(np.uint8),
        **{
            name: array.astype(np.int32) if name in ("feature", "left", "right") else array
            for name, array in arrays.items()
        },
    )


def _add_tree(tree: dict[str, str], columns: dict[str, list[np.ndarray]], where: str) -> int:
    """Adds the arrays of one tree and returns its number of leaves."""
    leaves = _whole(tree["num_leaves"], where, MOST_LEAVES)
    for name in ("num_cat", "is_linear"):
        if tree.get(name, "0") != "0":
            _refuse(where, name)
    for names, length in ((_NODES, leaves - 1), (_LEAVES, leaves)):
        for name, column in names.items():
            numbers = _numbers(tree[name], name in _REALS, where)
            if len(numbers) != length:
                _refuse(where, name)
            columns[column].append(numbers)
    decision = columns["decision"][-1]
    if np.any((decision < 0) | (decision & _CATEGORICAL > 0) | (decision >> 2 > NAN)):
        _refuse(where, "decision_type")
    for name in ("feature", "left", "right"):
        if np.any(np.abs(columns[name][-1]) >= 1 << 31):
            _refuse(where, name)
    return leaves


def _pairs(lines: Sequence[str], at: int, known: Sequence[str], where: str) -> tuple[dict[str, str], int]:
    """The lines `key=value` from here to the next empty one, and where that stands."""
    pairs: dict[str, str] = {}
    while at < len(lines) and lines[at]:
        key, equals, value = lines[at].partition("=")
        if not equals or key not in known or key in pairs:
            _refuse(where, repr(key[:30]))
        pairs[key] = value
        at += 1
    for key in known:
        # Version 3 may lack it, and its trees are not linear then.
        if key not in pairs and key != "is_linear":
            _refuse(where, key)
    return pairs, at


def _whole(text: str, where: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or not int(text) <= most:
        _refuse(where, repr(text[:30]))
    return int(text)


_REAL = re.compile(r"(?:-?(?:inf|[0-9]{1,20}(?:\.[0-9]{0,25})?(?:e[+-]?[0-9]{1,3})?)(?: |$))*")
_INTEGER = re.compile(r"(?:-?[0-9]{1,15}(?: |$))*")


def _numbers(text: str, real: bool, where: str) -> np.ndarray:
    """Numbers between single spaces, as they are written and in no other spelling that Python knows."""
    if not (_REAL if real else _INTEGER).fullmatch(text) or text.endswith(" "):
        _refuse(where, repr(text[:30]))
    return np.array(text.split(), np.float64 if real else np.int64)


def _refuse(where: str, what: str) -> NoReturn:
    raise UserError("files.damaged.at", path=where, detail=what)
