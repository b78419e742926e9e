"""The images of a store, decoded and put on the grid of a network once: one array on disk that is mapped and shared by
folds, networks, trees, the domain and explanations. Their scale of intensities is set when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medeor import cache
from medeor.contracts import Cases, UserError
from medeor.files import digest
from medeor.formats.images.store import SEPARATOR, ImageStore, content_of
from medeor.imaging.model.prepare import Preparation, chosen_scales, prepare_one
from medeor.machine import threads

VERSION = "3"
"""Of the arithmetic of `prepare`: a change makes kept arrays stale."""
FEW = 16
"""Images up to which they are not kept on disk."""
SMALL = 1 << 26
"""Bytes up to which images that come from arrays are not: they are prepared as fast as they are read."""
AT_ONCE = 1 << 22
"""Numbers that `chunks` brings to their scale together."""

_PIXELS, _SCALES = "pixels.npy", "scales.npy"


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """Prepared images of n cases, of which those that are asked for are in memory."""

    pixels: np.ndarray
    """Of all cases of the store, shape (cases, channels, *size); see `Prepared.pixels`."""
    scales: np.ndarray
    """Shape (cases, channels, 2): what to subtract and to divide by."""
    rows: np.ndarray
    """Which of them, shape (n,)."""
    key: str = ""
    """What all of them are known by; empty where nobody else asks for them."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, channels, *size)."""
        return len(self.rows), *self.pixels.shape[1:]

    @property
    def flat(self) -> bool:
        """Whether they are no volumes."""
        return self.pixels.ndim == 4

    def __getitem__(self, chosen: slice | Tensor) -> Tensor:
        """These images at their scale, shape (chosen, channels, *size), float32."""
        return scaled(*self.stored(chosen))

    def stored(self, chosen: slice | Tensor) -> tuple[Tensor, Tensor]:
        """The same as they are stored, and what `scaled` needs, shape (chosen, channels, 2)."""
        rows = self.rows[chosen if isinstance(chosen, slice) else chosen.numpy()]
        return torch.from_numpy(self.pixels[rows]), torch.from_numpy(self.scales[rows])

    def every(self, step: int) -> PreparedImages:
        """One in so many of them."""
        return replace(self, rows=self.rows[::step])

    def chunks(self, numbers: int = AT_ONCE) -> Iterator[tuple[slice, Tensor]]:
        """All images in order, about so many numbers at a time, and which they are. Write what is found of each into
        an array that was made before: small new ones, kept between large ones, would leave holes in the memory."""
        step = max(1, numbers // max(1, int(np.prod(self.pixels.shape[1:]))))
        for start in range(0, len(self), step):
            chosen = slice(start, min(start + step, len(self)))
            yield chosen, self[chosen]


def scaled(stored: Tensor, scales: Tensor) -> Tensor:
    """Prepared images at their scale, on the device where they lie: float32, shape (n, channels, *size)."""
    low, span = scales.reshape(*scales.shape[:2], *[1] * (stored.ndim - 2), 2).unbind(-1)
    return (stored.float() - low) / span


def prepare(cases: Cases, preparation: Preparation) -> PreparedImages:
    """The images of these cases. Those of a whole store are prepared together, once a store and preparation.

    Raises: UserError where an image does not fit the preparation, or is no longer what was read."""
    store = cases.store("images", ImageStore)
    keys = store.keys(cases.table["images"])
    # All that differs between an image standardised by itself and one that is not is its scale.
    kept = preparation if preparation.arithmetic < 3 else preparation.levels
    if store.order is None:
        every, rows = _Asked("", store, kept, keys), np.arange(len(cases))
        pixels, scales = _in_memory(every)
    else:
        every = _Asked(digest(VERSION, repr(kept), store.digest), store, kept, store.order["key"].to_list())
        rows = store.rows(keys)
        pixels, scales = _opened(every)
    return PreparedImages(pixels, chosen_scales(scales, preparation), rows, every.key)


@dataclass(frozen=True)
class _Asked:
    key: str
    store: ImageStore = field(compare=False)
    preparation: Preparation = field(compare=False)
    keys: Sequence[str] = field(compare=False)
    """See `ImageStore.keys`."""

    @property
    def dtype(self) -> np.dtype:
        """Of the pixels of all images together."""
        return np.dtype(np.float32 if self.preparation.arithmetic < 3 else self.store.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.keys), self.preparation.channels, *self.preparation.size


@lru_cache(maxsize=2)
def _opened(asked: _Asked) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and scales of a whole store, shape (cases, channels, 4)."""
    size = int(np.prod(asked.shape)) * asked.dtype.itemsize
    if len(asked.keys) <= FEW or (asked.store.in_memory and (size <= SMALL or cache.folder() is None)):
        return _in_memory(asked)
    folder = cache.keep("images", asked.key, lambda new: _write(asked, new))
    return np.load(folder / _PIXELS, mmap_mode="r"), np.load(folder / _SCALES)


def _in_memory(asked: _Asked) -> tuple[np.ndarray, np.ndarray]:
    pixels, scales = np.empty(asked.shape, asked.dtype), np.empty((*asked.shape[:2], 4), np.float32)
    _fill(asked, pixels, scales)
    return pixels, scales


def _write(asked: _Asked, folder: Path) -> None:
    folder.mkdir()
    with (folder / _PIXELS).open("wb") as file:
        header = {"descr": asked.dtype.str, "fortran_order": False, "shape": asked.shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        # Taken at once: a disk that fills up under a mapped file ends the process without a word.
        length = start + int(np.prod(asked.shape)) * asked.dtype.itemsize
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, length)
        file.truncate(length)
    pixels = np.memmap(folder / _PIXELS, asked.dtype, "r+", start, asked.shape)
    scales = np.empty((*asked.shape[:2], 4), np.float32)
    _fill(asked, pixels, scales)
    pixels.flush()
    np.save(folder / _SCALES, scales)


def _fill(asked: _Asked, pixels: np.ndarray, scales: np.ndarray) -> None:
    # What was examined is the image before grey is repeated for colour.
    store = replace(asked.store, channels=0)
    expected = None if store.order is None else store.order["content"]

    def one(row: int) -> None:
        image = store.read(asked.keys[row].split(SEPARATOR))
        if expected is not None and content_of(image.pixels) != expected[row]:
            raise UserError("imaging.prepared.changed", source=asked.keys[row])
        pixels[row], scales[row] = prepare_one(image.pixels, asked.preparation, image.spacing)

    # Decoders and resizing release the interpreter lock; arrays in memory are faster without a pool.
    if store.in_memory:
        for row in range(len(pixels)):
            one(row)
        return
    with ThreadPoolExecutor(threads()) as pool:
        list(pool.map(one, range(len(pixels))))
