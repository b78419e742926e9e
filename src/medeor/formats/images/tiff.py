"""TIFF: one page is a flat image, several pages of one size are a volume, several channels are channels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from PIL import Image as Pillow
from PIL import ImageSequence

from medeor.formats.images.image import (
    BrokenImage,
    Image,
    check_size,
    decoding,
    grey_or_colour,
    silence,
)
from medeor.formats.images.pictures import identifiers_of, laid_over_black, opened, plain, turned

silence("tifffile")

_PAGES = "ZIQTR"
"""Letters by which tifffile calls an axis along which flat images follow one another."""
_DECODED = {1, 8, 32773, 32946, 34925, 50000}
"""Compressions that tifffile decodes by itself: none, deflate, PackBits, LZMA, Zstandard. Pillow has the others."""
_WHOLE = {1, 8, 16, 32, 64}
"""Bits a sample that tifffile unpacks by itself."""
_GREY_INVERTED, _GREY, _RGB, _PALETTE = 0, 1, 2, 3
FEW_STRIPS = 4096
"""Strips or tiles that a page may claim beyond those that it has."""
_PREMULTIPLIED, _ALPHA = 1, 2
"""What ExtraSamples calls transparency; 0 is a channel of its own."""


def read_tiff(path: Path) -> Image:
    """A flat image (channels, rows, columns), or a volume (channels, pages, rows, columns); uint8, uint16, int16 or
    float32. A last sample that the file calls transparency is laid over black; every other one is a channel.

    Raises: BrokenImage where the file cannot be decoded, its pages differ in size, or it is a slide with levels."""
    with decoding(path, "TIFF"):
        if _is_endless(path):
            raise BrokenImage(path, "images.damaged", what="TIFF")
    with decoding(path, "TIFF", (tifffile.TiffFileError,)), _opened(path) as file:
        page = file.pages.first
        facts, fields = _facts(page), _fields(page)
        slide = file.is_svs or any(len(series.levels) > 1 for series in file.series)
        kinds = {(entry.shape, entry.dtype) for entry in file.pages}
        series = file.series[0]
        axes, shape = (series.axes, series.shape) if len(file.series) == 1 else ("I" + page.axes, None)
        extra = tuple(_whole(kind) for kind in page.extrasamples)
        samples, turn = _whole(page.samplesperpixel), _whole(page.tags.valueof(274, default=1))
        photometric, count = _whole(page.photometric), len(file.pages)
        strips, stored = math.prod(page.chunked), len(page.dataoffsets)
        by_tifffile = page.compression in _DECODED and photometric <= _PALETTE and page.bitspersample in _WHOLE
        by_tifffile = by_tifffile and page.predictor in (1, 2)
        sample = page.dtype.itemsize if page.dtype else 1
        size = sample * max(math.prod(map(float, shape or (0,))), math.prod(map(float, page.shape)) * count)
    if slide:
        raise BrokenImage(path, "images.tiff.slide")
    if len(kinds) > 1:
        raise BrokenImage(path, "images.tiff.pages")
    # A page in millions of strips that are not there would be filled up one by one.
    if strips > max(stored, FEW_STRIPS) or not size:
        raise BrokenImage(path, "images.damaged", what="TIFF")
    check_size(path, size)
    if by_tifffile:
        pixels, colours = _by_tifffile(path, shape is None)
        if photometric == _PALETTE:
            pixels, axes, photometric = _coloured(path, pixels, colours), axes + "S", _RGB
    else:
        pixels, axes, photometric = _by_pillow(path, axes, shape, photometric, facts["compression"])
    if pixels.dtype.kind not in "biuf":
        raise BrokenImage(path, "images.array.no-image", shape=pixels.shape, dtype=pixels.dtype)
    volume = _upright(path, pixels, axes)
    if photometric == _GREY_INVERTED:
        volume = ~volume if volume.dtype.kind in "bu" else volume.max() - volume
    volume = turned(volume.transpose(2, 3, 0, 1), turn)
    has_alpha = bool(extra) and extra[-1] in (_PREMULTIPLIED, _ALPHA) and "S" in axes
    if has_alpha and volume.shape[3] == samples > 1:
        volume = laid_over_black(volume, premultiplied=extra[-1] == _PREMULTIPLIED)
    finished = plain(volume.transpose(3, 2, 0, 1))
    if photometric == _RGB and len(finished) == 3:
        finished = grey_or_colour(finished)
    facts["size"] = "x".join(map(str, finished.shape[:0:-1]))
    finished = finished[:, 0] if finished.shape[1] == 1 else finished
    return Image.of(finished, path, header=facts, identifiers=identifiers_of(fields))


def _is_endless(path: Path) -> bool:
    """Whether the pages of a file follow one another in a circle, which tifffile would follow for ever."""
    with path.open("rb") as file:
        head = file.read(16)
        order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
        big = int.from_bytes(head[2:4], order) == 43
        # Bytes of an offset, of the number of fields of a page, and of a field.
        wide, counted, entry = (8, 8, 20) if big else (4, 2, 12)
        place = int.from_bytes(head[8:16] if big else head[4:8], order)
        seen: set[int] = set()
        while place and place not in seen:
            seen.add(place)
            file.seek(place)
            fields = int.from_bytes(file.read(counted), order)
            file.seek(place + counted + fields * entry)
            found = file.read(wide)
            place = int.from_bytes(found, order) if len(found) == wide else 0
        return place != 0


def _whole(value: object) -> int:
    """A field that is one whole number. Raises: ValueError where a damaged file says something else."""
    if not isinstance(value, int):
        raise ValueError(f"{value!r:.40} is no whole number")
    return int(value)


def _opened(path: Path) -> tifffile.TiffFile:
    # Metadata may name further files, which are not opened.
    return tifffile.TiffFile(path, _multifile=False)


def _by_tifffile(path: Path, by_page: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels with the axes of the file, and its palette."""
    with decoding(path, "TIFF", (tifffile.TiffFileError,)), _opened(path) as file:
        pixels = np.stack([page.asarray() for page in file.pages]) if by_page else file.series[0].asarray()
        return pixels, getattr(file.pages.first, "colormap", None)


def _coloured(path: Path, pixels: np.ndarray, colours: np.ndarray | None) -> np.ndarray:
    """Indices into a palette as red, green and blue of 8 bits, shape (…, 3). The palette holds 16 bits, of which some
    programs fill the lower half alone."""
    if colours is None or colours.shape[0] != 3 or pixels.dtype.kind != "u" or int(pixels.max()) >= colours.shape[1]:
        raise BrokenImage(path, "images.tiff.palette")
    entries = colours if colours.max() < 256 else colours >> 8
    return entries.T.astype(np.uint8)[pixels]


def _upright(path: Path, pixels: np.ndarray, axes: str) -> np.ndarray:
    """Shape (pages, channels, rows, columns)."""
    if pixels.ndim != len(axes):
        raise BrokenImage(path, "images.tiff.axes", axes=axes)
    keep = [i for i, letter in enumerate(axes) if pixels.shape[i] > 1 or letter in "YX"]
    pixels, axes = pixels.reshape([pixels.shape[i] for i in keep]), "".join(axes[i] for i in keep)
    stacked = [letter for letter in axes if letter in _PAGES]
    samples = [letter for letter in axes if letter in "SC"]
    if len(stacked) > 1 or len(samples) > 1 or set(axes) - set(_PAGES + "SCYX") or not {"Y", "X"} <= set(axes):
        raise BrokenImage(path, "images.tiff.axes", axes=axes)
    order = "".join(stacked) + "".join(samples) + "YX"
    pixels = pixels.transpose([axes.index(letter) for letter in order])
    return np.expand_dims(pixels, [axis for axis, letters in enumerate((stacked, samples)) if not letters])


def _by_pillow(
    path: Path, axes: str, shape: tuple[int, ...] | None, photometric: int, compression: str
) -> tuple[np.ndarray, str, int]:
    """Pixels, their axes and photometric interpretation, of a file that tifffile cannot decode by itself.

    Raises: BrokenImage where Pillow would lose bits or samples, or has no decoder either."""
    plain_modes = {"L", "I;16", "I;16B", "I", "F", "LA", "La", "RGB", "RGBA", "RGBa", "RGBX", "1"}
    with decoding(path, f"TIFF ({compression})"):
        try:
            picture = opened(path)
        except Pillow.UnidentifiedImageError as error:
            raise BrokenImage(path, "images.tiff.compressed", compression=compression) from error
        with picture:
            bits = picture.tag_v2.get(258, (8,))  # type: ignore[attr-defined]
            samples = int(picture.tag_v2.get(277, 1))  # type: ignore[attr-defined]
            palette = picture.tag_v2.get(320) if photometric == _PALETTE else None  # type: ignore[attr-defined]
            modes: list[str] = []
            pages: list[np.ndarray] = []
            for page in ImageSequence.Iterator(picture):
                modes.append(page.mode)
                as_stored = page.mode in plain_modes or palette is not None
                pages.append(np.asarray(page if as_stored else page.convert("RGB")))
    if samples > 1 and max(bits) > 8:
        raise BrokenImage(path, "images.tiff.compressed", compression=compression)
    pixels = np.stack(pages)
    if palette is not None:
        return _coloured(path, pixels, np.array(palette).reshape(3, -1)), "IYXS", _RGB
    # Pillow turns round what white-is-zero it reads with 1 and 8 bits.
    if photometric == _GREY_INVERTED and modes[0] in ("1", "L"):
        photometric = _GREY
    if photometric > _PALETTE:
        photometric = _RGB
    if pixels.ndim == 4:
        return pixels, "IYXS", photometric
    flat = axes.replace("S", "")
    if shape is not None and len(flat) == len(shape) and np.prod(shape) == pixels.size:
        return pixels.reshape(shape), flat, photometric
    return pixels, "IYX", photometric


def _fields(page: tifffile.TiffPage) -> dict[str, object]:
    fields: dict[str, object] = {}
    for tag in page.tags:
        if isinstance(tag.value, dict):
            prefix = "GPS" if tag.name == "GPSTag" else ""
            fields |= {prefix + str(key).removeprefix(prefix): value for key, value in tag.value.items()}
        else:
            fields[tag.name] = tag.value
    return fields


def _facts(page: tifffile.TiffPage) -> dict[str, str]:
    facts = {
        "file_type": "TIFF",
        "photometric": _name(page.photometric),
        "bits": str(page.bitspersample),
        "compression": _name(page.compression),
    }
    stated = {name: page.tags.valueof(tag) for tag, name in ((271, "manufacturer"), (272, "model"), (305, "software"))}
    return facts | {name: str(value) for name, value in stated.items() if value}


def _name(value: object) -> str:
    """Of a constant that tifffile knows; the number of one that it does not."""
    return str(getattr(value, "name", value))
