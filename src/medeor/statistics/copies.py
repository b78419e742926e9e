"""Equal rows of a table: copies, or chance."""

from __future__ import annotations

import numpy as np
import polars as pl

BY_CHANCE = 3.0
"""Times as many pairs of equal rows as are expected that chance may make."""


def equal_by_chance(table: pl.DataFrame) -> bool:
    """Whether rows are equal no more often than chance explains. For each column, pairs that differ in it alone and how
    often two rows agree in it say how many should agree in it as well."""
    whole = np.zeros(table.height, np.uint64)
    for column in table:
        whole += column.hash().to_numpy()
    equal, expected, pairs = _pairs(whole), 0.0, table.height * (table.height - 1) / 2
    for column in table:
        own = column.hash().to_numpy()
        agree = _pairs(own) / pairs
        expected = max(expected, (_pairs(whole - own) - equal) * agree / max(1 - agree, 1e-12))
    return equal <= BY_CHANCE * expected


def _pairs(keys: np.ndarray) -> int:
    """Pairs of rows with the same key."""
    counts = np.unique(keys, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())
