"""The images of a study, read from disk when they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from medeor.contracts import Message
from medeor.formats.images.arrays import IN_MEMORY, ImageArray
from medeor.formats.images.image import BrokenImage, Image, read_files, reoriented

TOLERANCE = 0.1
"""Share of the distance between neighbours by which places may differ: headers are rounded."""


SEPARATOR = "\n"
"""Between the images of one case in `ImageStore.keys`."""


@dataclass(frozen=True, eq=False)
class ImageStore:
    """Where each image of the case table's column `images` lies. It holds paths, not pixels (save for arrays given in
    memory), and can be sent to other processes."""

    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By key: a file, or the slices of a volume."""
    arrays: Mapping[str, ImageArray] = field(default_factory=dict)
    """By the start of a key: `train_images/17` is image 17 of `train_images`."""
    channels: int = 0
    """Channels of every case; a grey image among colour ones gets three. 0: as stored."""
    digest: str = ""
    """Digest of the pixels of all cases."""
    dtype: str = "float32"
    """Type that holds the pixels of all cases: integers of up to 16 bits where all are such, else float32."""
    order: pl.DataFrame | None = None
    """The cases that can be used, once they were read: `key` (see `keys`) and `content` (see `content_of`)."""
    thumbnails: np.ndarray | None = None
    """Small grey pictures of these, shape (cases, side, side), where they were asked for; other processes get none."""

    def __getstate__(self) -> dict[str, object]:
        return {**{field.name: getattr(self, field.name) for field in fields(self)}, "thumbnails": None}

    @staticmethod
    def keys(images: pl.Series) -> list[str]:
        """What each case of a column `images` is known by."""
        return [SEPARATOR.join(keys) for keys in images.to_list()]

    def rows(self, keys: Sequence[str]) -> np.ndarray:
        """Where these stand in `order`, shape (n,). Raises: KeyError for one that does not."""
        return np.array([self._places[key] for key in keys], np.int64)

    @cached_property
    def _places(self) -> dict[str, int]:
        assert self.order is not None
        return {key: self.order.height - 1 - row for row, key in enumerate(reversed(self.order["key"].to_list()))}

    @property
    def in_memory(self) -> bool:
        """Whether all images lie in arrays that are, or will be, held in memory."""
        return not self.files and sum(array.nbytes for array in self.arrays.values()) <= IN_MEMORY

    def read(self, keys: Sequence[str]) -> Image:
        """The images of one case, their channels one after another: pixels (channels, rows, columns) or (channels,
        slices, rows, columns). Volumes with a known place are turned to the same directions (slices upwards, rows
        backwards, columns to the patient's left), so that those of several scanners agree. Where the channels are of
        several modalities, `modality` names that of each, separated by commas.

        Raises: BrokenImage where one cannot be read, or they do not lie on one grid."""
        images = [reoriented(self._one(key)) for key in keys]
        first = images[0]
        if len(images) == 1 and self.channels == 3 and len(first.pixels) == 1:
            return replace(first, pixels=np.repeat(first.pixels, 3, axis=0))
        if len(images) == 1:
            return first
        for place, other in enumerate(images[1:], start=2):
            if differs := difference(first, other):
                raise BrokenImage(keys[0], "images.grid.differs", place=place, differs=differs)
        named = [image.modality for image in images for _ in image.pixels]
        return replace(
            first,
            pixels=np.concatenate([image.pixels for image in images]),
            modality=named[0] if len(set(named)) == 1 else ",".join(named),
            header={name: value for image in reversed(images) for name, value in image.header.items()},
            identifiers=tuple(sorted({name for image in images for name in image.identifiers})),
            nonfinite=sum(image.nonfinite for image in images),
            uid=" ".join(image.uid for image in images) if all(image.uid for image in images) else "",
        )

    def _one(self, key: str) -> Image:
        if key in self.files:
            return read_files(tuple(Path(file) for file in self.files[key]))
        start, _, index = key.rpartition("/")
        return self.arrays[start].image(int(index))


def content_of(pixels: np.ndarray) -> str:
    """A digest of type, shape and numbers."""
    content = hashlib.blake2b(f"{pixels.dtype.str}{pixels.shape}".encode(), digest_size=16)
    content.update(pixels.data)
    return content.hexdigest()


def difference(first: Image, other: Image) -> Message | None:
    """In what the grids of two images differ; None where a pixel of one lies on the same place as that of
    the other, as far as their files say."""
    if first.size != other.size:
        return Message("images.grid.size", first=_times(first.size), other=_times(other.size))
    volume = len(first.size) == 3
    if volume and (first.affine is None) != (other.affine is None):
        return Message("images.grid.unplaced")
    one, two = first.spacing, other.spacing
    if one is not None and two is not None and not np.allclose(one, two, rtol=0.01, atol=0):
        return Message("images.grid.spacing", first=_times(one), other=_times(two))
    if first.affine is None or other.affine is None:
        return None
    shift = other.affine - first.affine
    if not volume:
        # Neighbouring slices may stand as channels: they may differ along the normal.
        normal = first.affine[:3, 2] / np.linalg.norm(first.affine[:3, 2])
        shift = shift.copy()
        shift[:3, 2] = 0
        shift[:3, 3] -= normal * (shift[:3, 3] @ normal)
    corners = np.array(list(np.ndindex(*(2,) * 3))) * [*(side - 1 for side in first.size), *[1] * (not volume)]
    moved = np.linalg.norm(corners @ shift[:3, :3].T + shift[:3, 3], axis=1).max()
    least = min(np.linalg.norm(first.affine[:3, axis]) for axis in range(len(first.size)))
    return Message("images.grid.place", moved=moved) if moved > TOLERANCE * least else None


def _times(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)
