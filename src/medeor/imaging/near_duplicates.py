"""Images that are changed copies of others: shifted, mirrored, brighter, or another frame of the same film."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

ALIKE = 0.92
"""Correlation of two thumbnails' descriptions from which they may be one picture."""
CHANCE = 0.01
"""Near duplicates that chance may bring to a whole study."""

_COMPONENTS = 128
_NEIGHBOURS = 50
_WORTH_A_LOOK = 0.5
"""Correlation before any shift from which a query is aligned with its neighbours."""
_REACH = 2
"""Pixels of a thumbnail by which a copy may be shifted."""
_BLOCK = 512
_MANY = 20_000
"""References from which on a query is compared with those in the nearest cells alone."""
_CELLS = 24
"""Cells in which a picture, and each mirrored one, is looked for."""

Describe = Callable[[np.ndarray], np.ndarray]


def near_duplicates(
    queries: np.ndarray,
    references: np.ndarray,
    query_content: np.ndarray,
    reference_content: np.ndarray,
    describe: Describe,
    own: np.ndarray | None = None,
) -> Iterator[tuple[int, int]]:
    """Queries that are a changed copy of a reference, with that reference: pairs of rows.

    Thumbnails, shape (n, side, side), are described by their principal components, flattened towards white so that
    what all images of a kind have in common counts little, and compared under mirroring and shifts of up to 2 pixels;
    brightness and contrast do not count. A query is reported when its nearest reference correlates by `ALIKE` and is
    nearer than chance can explain: among unrelated images the share that lies within a distance r of one grows as
    r**d (d, the intrinsic dimension, from the distances of further neighbours: Levina and Bickel 2004), so the nearest
    of k at r1 has a p-value of 1 - (1 - (r1 / rk)**d)**(k - 1), which is held against `CHANCE` over all queries.

    Equal contents (any integers above 0) are exact copies and left out here; `describe` is a `describer`. Where the
    queries stand among the references, `own` is the row of each: no picture is a copy of itself. Each of many
    references lies in one of √n cells around means of some of them, and a query is compared with those in the cells
    that are nearest to it, so that time grows as n^1.5."""
    if len(references) < 10:
        return
    known = _described(describe, references)
    count = int(np.clip(len(references) // 20, 4, _NEIGHBOURS))
    nearest, alike = _nearest(describe, queries, known, count, own)
    same = (reference_content[nearest] == query_content[:, None]) & (query_content[:, None] > 0)
    distance = _distance(alike)
    growth = float(np.median(np.log(distance[:, -1] / distance[:, count // 2 - 1])))
    dimension = np.log(count / (count // 2)) / max(growth, 1e-3)
    looked = np.flatnonzero(np.where(same, -1, alike).max(axis=1) > _WORTH_A_LOOK)
    aligned = _aligned(describe, queries[looked], known, nearest[looked], alike[looked])
    furthest = _distance(aligned.min(axis=1))
    aligned[same[looked]] = -1
    best, score = aligned.argmax(axis=1), aligned.max(axis=1)
    closeness = np.minimum(_distance(score) / furthest, 1 - 1e-12) ** dimension
    by_chance = -np.expm1((count - 1) * np.log1p(-closeness)) * len(queries)
    for row in np.flatnonzero((score >= ALIKE) & (by_chance < CHANCE)):
        yield int(looked[row]), int(nearest[looked[row], best[row]])


def _distance(alike: np.ndarray) -> np.ndarray:
    """Between unit vectors of this correlation."""
    return np.sqrt(np.maximum(2 - 2 * alike, 1e-9))


def describer(small: np.ndarray, rows: np.ndarray | None = None) -> Describe:
    """What describes thumbnails like these, shape (n, side, side), or like some of them, `rows`, by unit vectors of
    shape (n, components)."""
    from scipy.linalg import eigh

    rows = np.arange(len(small)) if rows is None else rows
    sample = _normalised(small[rows[:: max(1, len(rows) // 4000)]])
    mean = sample.mean(axis=0)
    last = sample.shape[1] - 1
    spread, axes = eigh((sample - mean).T @ (sample - mean), subset_by_index=[max(0, last - _COMPONENTS + 1), last])
    # What varies a thousandth as much as the foremost component is grain.
    kept = spread > 1e-3 * spread[-1]
    # The square root of the standard deviation: halfway to white.
    basis = (axes[:, kept] * spread[kept] ** -0.25).astype(np.float32)

    def describe(pictures: np.ndarray) -> np.ndarray:
        placed = (_normalised(pictures) - mean) @ basis
        return placed / np.maximum(np.linalg.norm(placed, axis=1, keepdims=True), 1e-12)

    return describe


def _normalised(pictures: np.ndarray) -> np.ndarray:
    flat = pictures.reshape(len(pictures), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)


def _mirrored(pictures: np.ndarray) -> tuple[np.ndarray, ...]:
    return pictures, pictures[:, :, ::-1], pictures[:, ::-1]


def _described(describe: Describe, pictures: np.ndarray) -> np.ndarray:
    return np.concatenate([describe(pictures[start : start + _BLOCK]) for start in range(0, len(pictures), _BLOCK)])


def _nearest(
    describe: Describe, queries: np.ndarray, known: np.ndarray, count: int, own: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The references that are most alike, mirrored or not, most alike first, and by how much: two arrays of shape
    (queries, count)."""
    own = np.full(len(queries), -1) if own is None else own
    if len(known) > _MANY:
        return _nearest_of_many(describe, queries, known, count, own)
    rows, values = [], []
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        alike = np.max([describe(picture) @ known.T for picture in _mirrored(block)], axis=0)
        alike[own[start : start + _BLOCK, None] == np.arange(len(known))] = -1
        top = np.argpartition(alike, len(known) - count, axis=1)[:, -count:]
        top = np.take_along_axis(top, np.argsort(-np.take_along_axis(alike, top, axis=1), axis=1), axis=1)
        rows.append(top)
        values.append(np.take_along_axis(alike, top, axis=1))
    return np.concatenate(rows), np.concatenate(values)


def _nearest_of_many(
    describe: Describe, queries: np.ndarray, known: np.ndarray, count: int, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same, looked for cell by cell."""
    means = _means(known)
    cell = np.concatenate([(known[at : at + _BLOCK] @ means.T).argmax(axis=1) for at in range(0, len(known), _BLOCK)])
    members = np.split(np.argsort(cell, kind="stable"), np.cumsum(np.bincount(cell, minlength=len(means)))[:-1])
    seen = np.zeros((len(means), len(queries)), bool)
    sides = []
    for side in zip(*(_mirrored(queries[at : at + _BLOCK]) for at in range(0, len(queries), _BLOCK)), strict=True):
        placed = np.concatenate([describe(pictures) for pictures in side])
        for at in range(0, len(placed), _BLOCK):
            near = placed[at : at + _BLOCK] @ means.T
            cells = np.argpartition(near, -_CELLS, axis=1)[:, -_CELLS:]
            seen[cells, at + np.arange(len(near))[:, None]] = True
        sides.append(placed)
    rows = np.zeros((len(queries), count), np.int64)
    values = np.full((len(queries), count), -1.0, known.dtype)
    for here, asked in zip(members, seen, strict=True):
        for who in np.array_split(np.flatnonzero(asked), 1 + np.count_nonzero(asked) // (8 * _BLOCK)):
            alike = np.max([side[who] @ known[here].T for side in sides], axis=0)
            alike[own[who, None] == here] = -1
            both = np.concatenate([values[who], alike], axis=1)
            top = np.argpartition(both, both.shape[1] - count, axis=1)[:, -count:]
            found = np.concatenate([rows[who], np.broadcast_to(here, alike.shape)], axis=1)
            rows[who], values[who] = (np.take_along_axis(each, top, axis=1) for each in (found, both))
    order = np.argsort(-values, axis=1)
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(values, order, axis=1)


def _means(known: np.ndarray) -> np.ndarray:
    """The middles of √n cells: spherical k-means (Dhillon and Modha 2001) of some of the references."""
    count = int(np.sqrt(len(known)))
    sample = known[:: max(1, len(known) // (32 * count))]
    means = sample[:: max(1, len(sample) // count)][:count]
    for _ in range(5):
        cell = (sample @ means.T).argmax(axis=1)
        sums = np.zeros_like(means)
        np.add.at(sums, cell, sample)
        means = np.where(np.bincount(cell, minlength=len(means))[:, None] > 0, sums, means)
        means = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return means


def _aligned(
    describe: Describe, queries: np.ndarray, known: np.ndarray, nearest: np.ndarray, alike: np.ndarray
) -> np.ndarray:
    """How much each candidate is alike at best, mirrored and shifted, shape (queries, candidates)."""
    best = alike.copy()
    side = queries.shape[1]
    for start in range(0, len(queries), _BLOCK):
        rows = slice(start, start + _BLOCK)
        candidates = known[nearest[rows]]
        for picture in _mirrored(queries[rows]):
            padded = np.pad(picture, ((0, 0), (_REACH, _REACH), (_REACH, _REACH)), mode="edge")
            for down, right in np.ndindex(2 * _REACH + 1, 2 * _REACH + 1):
                shifted = describe(padded[:, down : down + side, right : right + side])
                best[rows] = np.maximum(best[rows], np.einsum("nd,nkd->nk", shifted, candidates))
    return best
