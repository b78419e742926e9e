"""Images that lie together in one array: .npy and .npz files, and arrays in memory."""

from __future__ import annotations

import math
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal

import numpy as np

from medeor import cache
from medeor.contracts import Message, UserError
from medeor.files import digest, sha256
from medeor.formats.images.image import DAMAGED, BrokenImage, Image, check_size, decoding, is_own_bug, narrowed
from medeor.formats.images.pictures import channels_first, without_alpha

ArrayLayout = Literal["grey", "colour", "channels", "channels last", "volume", "colour volume", "channel volume"]
MOST_LAST = 8
"""Length of the last axis up to which it holds channels: no picture is so narrow."""

IN_MEMORY = 1 << 28
"""Bytes up to which a compressed member of an archive is held in memory; a larger one is unpacked in the cache."""
WRITTEN = 1 << 20
"""Bytes from which an array in memory is sent to other processes by way of the cache."""


def layout_of(shape: tuple[int, ...]) -> ArrayLayout:
    """What the axes of an array of many images mean.

    - (n, rows, columns): grey
    - (n, rows, columns, 3 or 4): colour; a fourth channel of 8 bits is transparency, of more a channel
    - (n, rows, columns, channels) with 1, 2 or 5 to 8 channels: channels of a flat image, which come last
    - (n, channels, rows, columns) with at most 4 channels: channels of a flat image
    - (n, slices, rows, columns): volumes
    - (n, slices, rows, columns, 1, 2 or 3): colours or channels of a volume, which come last
    - (n, channels, slices, rows, columns): channels of a volume

    Raises: UserError for another number of axes."""
    match len(shape):
        case 3:
            return "grey"
        case 4:
            if shape[3] in (3, 4):
                return "colour"
            return "channels" if shape[1] <= 4 else "channels last" if _come_last(shape) else "volume"
        case 5:
            return "colour volume" if shape[4] == 3 or (shape[4] < 3 and _come_last(shape)) else "channel volume"
    raise UserError("images.array.no-set", shape=shape)


def _come_last(shape: tuple[int, ...]) -> bool:
    return shape[-1] <= MOST_LAST < min(shape[-3:-1])


@dataclass(frozen=True, eq=False)
class ImageArray:
    """Many images in one array, in memory or in a file; in a file it is read when first asked for, once a process."""

    shape: tuple[int, ...]
    dtype: np.dtype
    memory: np.ndarray | None = None
    path: str = ""
    member: str = ""
    """The name within an .npz archive, without `.npy`."""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __getstate__(self) -> dict[str, object]:
        """For another process: where the array lies, written to the cache if it lies nowhere yet."""
        if self.memory is None or self.nbytes < WRITTEN or cache.folder() is None:
            return dict(vars(self))
        array = np.ascontiguousarray(self.memory)

        def write(place: Path) -> None:
            with place.open("wb") as file:
                np.save(file, array)

        key = f"{digest(f'{array.dtype.str} {array.shape}', array.data)}.npy"
        return {**vars(self), "memory": None, "path": str(cache.keep("arrays", key, write))}

    def image(self, index: int) -> Image:
        """The image at this place. Raises: BrokenImage where none of its pixels is finite."""
        pixels = np.asarray((self.memory if self.memory is not None else member(self.path, self.member))[index])
        match layout_of(self.shape):
            case "grey" | "colour":
                pixels = channels_first(_opaque(pixels))
            case "volume":
                pixels = pixels[None]
            case "colour volume" | "channels last":
                pixels = np.moveaxis(pixels, -1, 0)
        return Image.of(_plain(pixels), Message("images.array.place", place=index))


def read_npy(path: Path) -> Image:
    """One image: (rows, columns), (rows, columns, channels), (channels, rows, columns) with at most 4 channels,
    (slices, rows, columns), (channels, slices, rows, columns) or (slices, rows, columns, channels); uint8, integers up
    to 32 bits or float32.

    Raises: BrokenImage where the file is damaged, holds Python objects or another number of axes."""
    with decoding(path, ".npy"):
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    check_size(path, mapped.nbytes)
    with decoding(path, ".npy"):
        array = np.array(mapped)
    if array.ndim not in (2, 3, 4) or array.dtype.kind not in "biuf" or 0 in array.shape:
        raise BrokenImage(path, "images.array.no-image", shape=array.shape, dtype=array.dtype)
    facts = {
        "file_type": "NPY",
        "bits": str(array.dtype.itemsize * 8),
        "size": "x".join(map(str, array.shape)),
    }
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4)):
        array = channels_first(_opaque(array))
    elif _come_last(array.shape) and array.shape[0] > 4:
        array = np.moveaxis(array, -1, 0)
    elif array.ndim == 3 and not (array.shape[0] <= 4 and min(array.shape[1:]) > MOST_LAST):
        array = array[None]
    return Image.of(_plain(array), path, header=facts)


def _opaque(pixels: np.ndarray) -> np.ndarray:
    """Pictures of 8 bits without their transparency; deeper ones hold measurements, all of which are channels."""
    return without_alpha(pixels) if pixels.dtype == np.uint8 else pixels


def _plain(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.uint8) if pixels.dtype == bool else narrowed(pixels)


def members(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of each array of an .npz archive, without reading it.

    Raises: UserError where the archive is damaged or holds Python objects, which medeor never loads."""
    found = {}
    with _opening(path), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                with archive.open(info) as file:
                    shape, _, dtype = _npy_header(file)
                found[info.filename.removesuffix(".npy")] = (shape, dtype)
    for name, (_, dtype) in found.items():
        if dtype.hasobject:
            raise UserError("images.archive.objects", path=path, name=name)
    return found


@contextmanager
def _opening(path: Path | str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, *DAMAGED) as error:
        if is_own_bug(error):
            raise
        raise UserError("images.archive.damaged", path=path, error=error) from None


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    read = np.lib.format.read_array_header_1_0
    if np.lib.format.read_magic(file) != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape}")
    return shape, fortran, dtype


@lru_cache(maxsize=8)
def member(path: str, name: str) -> np.ndarray:
    """One array of an .npz archive, or a .npy file: mapped from disk where it is stored plainly or is large.

    Raises: UserError where it is damaged."""
    with _opening(path):
        if not name:
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
            return array
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(f"{name}.npy")
        if info.compress_type == zipfile.ZIP_STORED:
            return _mapped(path, info)
        if info.file_size > IN_MEMORY:
            return _unpacked(Path(path), info)
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[name])


def _mapped(path: str, info: zipfile.ZipInfo) -> np.ndarray:
    """An uncompressed member, mapped where it lies in the archive."""
    with open(path, "rb") as file:
        file.seek(info.header_offset + 26)
        # The lengths of name and extra field in the local header may differ from those in the directory.
        name_length, extra_length = (int(length) for length in np.frombuffer(file.read(4), "<u2"))
        file.seek(info.header_offset + 30 + name_length + extra_length)
        shape, fortran, dtype = _npy_header(file)
        return np.memmap(path, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _unpacked(path: Path, info: zipfile.ZipInfo) -> np.ndarray:
    """A large compressed member, unpacked once in the cache and mapped from there."""

    def unpack(place: Path) -> None:
        with zipfile.ZipFile(path) as archive, archive.open(info) as packed, place.open("wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 22)

    array: np.ndarray = np.load(cache.keep("arrays", f"{sha256(path)}-{info.CRC:08x}.npy", unpack), mmap_mode="r")
    return array
