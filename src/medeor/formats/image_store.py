"""The images of a study, read from disk when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from medeor.formats.arrays import IN_MEMORY, ImageArray
from medeor.formats.images import BrokenImage, Image, read_files, reoriented


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

    @property
    def in_memory(self) -> bool:
        """Whether all images lie in arrays that are, or will be, held in memory."""
        return not self.files and sum(array.nbytes for array in self.arrays.values()) <= IN_MEMORY

    def read(self, keys: Sequence[str]) -> Image:
        """The images of one case, their channels one after another: pixels (channels, rows, columns) or (channels,
        slices, rows, columns). Volumes with a known place are turned to the same directions (slices upwards, rows
        backwards, columns to the patient's left), so that those of several scanners agree.

        Raises: BrokenImage where one cannot be read, or their sizes differ."""
        images = [reoriented(self._one(key)) for key in keys]
        first = images[0]
        if len(images) == 1:
            return self._with_channels(first)
        sizes = {image.size for image in images}
        if len(sizes) > 1:
            found = " and ".join("x".join(str(length) for length in size) for size in sorted(sizes))
            raise BrokenImage(keys[0], f"the images of this case differ in size: {found}; resample them to one grid")
        return replace(
            first,
            pixels=np.concatenate([image.pixels for image in images]),
            header={name: value for image in reversed(images) for name, value in image.header.items()},
            identifiers=tuple(sorted({name for image in images for name in image.identifiers})),
            nonfinite=sum(image.nonfinite for image in images),
            uid=" ".join(image.uid for image in images) if all(image.uid for image in images) else "",
        )

    def _with_channels(self, image: Image) -> Image:
        if self.channels == 3 and len(image.pixels) == 1:
            return replace(image, pixels=np.repeat(image.pixels, 3, axis=0))
        return image

    def _one(self, key: str) -> Image:
        if key in self.files:
            return read_files(tuple(Path(file) for file in self.files[key]))
        start, _, index = key.rpartition("/")
        return self.arrays[start].image(int(index))
