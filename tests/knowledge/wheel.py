"""A graph whose whole truth is known: numbers on a wheel, and relations that turn it by so many places."""

from __future__ import annotations

from pathlib import Path

import numpy as np

TURNS = {"one": 1, "opposite": 8, "three": 3, "two": 2}
"""In the order of their names, in which a graph numbers them."""
SIZE = 16


def triples() -> np.ndarray:
    """Every true triple, shape (64, 3): head, relation, tail."""
    numbers = np.arange(SIZE)
    turned = [
        np.stack((numbers, np.full(SIZE, place), (numbers + by) % SIZE), 1) for place, by in enumerate(TURNS.values())
    ]
    return np.concatenate(turned).astype(np.int32)


def named(rows: np.ndarray) -> list[str]:
    """Lines of a file of triples."""
    names = list(TURNS)
    return [f"n{head:02}\t{names[relation]}\tn{tail:02}" for head, relation, tail in rows.tolist()]


def write(folder: Path, seed: int = 0) -> Path:
    """`train.txt`, `valid.txt` and `test.txt` in `folder`; eight triples of each of the last two."""
    rows = triples()
    order = np.random.default_rng(seed).permutation(len(rows))
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("test", order[:8]), ("valid", order[8:16]), ("train", order[16:])):
        (folder / f"{name}.txt").write_text("\n".join(named(rows[part])) + "\n")
    return folder
