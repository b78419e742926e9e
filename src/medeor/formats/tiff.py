"""TIFF: one page is a flat image, several pages of one size are a volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image as Pillow
from PIL import ImageSequence

from medeor.formats.images import BrokenImage, Image, damage_told, made_finite, silence
from medeor.formats.pictures import channels_first, identifiers_of, turned, without_alpha

silence("tifffile")

_PAGES = "ZIQTR"
"""Letters by which tifffile calls an axis along which flat images follow one another."""
_DECODED = {1, 8, 32773, 32946, 34925, 50000}
"""Compressions that tifffile decodes by itself: none, deflate, PackBits, LZMA, Zstandard. Pillow has the others."""


def read_tiff(path: Path) -> Image:
    """A flat image, or a volume (1 or 3, pages, rows, columns); uint8, uint16, int16 or float32.

    Raises: BrokenImage where the file cannot be decoded, its pages differ in size, or it is a slide with levels."""
    with damage_told(path, "TIFF", (tifffile.TiffFileError,)), tifffile.TiffFile(path) as file:
        page = file.pages.first
        facts = _facts(page)
        names = identifiers_of(_fields(page))
        if file.is_svs or any(len(series.levels) > 1 for series in file.series):
            raise BrokenImage(path, "a whole slide with several levels; cut tiles from it first")
        if len({(entry.shape, entry.dtype) for entry in file.pages}) > 1:
            raise BrokenImage(path, "its pages differ in size or type")
        simple = page.compression in _DECODED and page.photometric in (0, 1, 2)
        pixels = _decoded(path, file) if simple else _by_pillow(path)
        turn = page.tags.valueof(274, default=1)
    finished = [channels_first(without_alpha(turned(plane, turn))) for plane in pixels]
    channels = max(len(plane) for plane in finished)
    volume = np.stack([np.broadcast_to(plane, (channels, *plane.shape[1:])) for plane in finished], axis=1)
    volume, nonfinite = made_finite(volume, path)
    facts["size"] = "x".join(str(length) for length in volume.shape[:0:-1])
    volume = volume[:, 0] if volume.shape[1] == 1 else volume
    return Image(np.ascontiguousarray(volume), header=facts, identifiers=names, nonfinite=nonfinite)


def _decoded(path: Path, file: tifffile.TiffFile) -> np.ndarray:
    """Shape (pages, rows, columns) or (pages, rows, columns, samples)."""
    series = file.series[0]
    if len(file.series) > 1:
        photometric = file.pages.first.photometric
        return np.stack([_upright(path, page.asarray(), page.axes, photometric) for page in file.pages])
    return _upright(path, series.asarray(), series.axes, file.pages.first.photometric, pages=True)


def _upright(path: Path, pixels: np.ndarray, axes: str, photometric: int, pages: bool = False) -> np.ndarray:
    """Pages first and samples last; grey in which zero is white is turned round."""
    keep = [i for i, letter in enumerate(axes) if pixels.shape[i] > 1 or letter in "YX"]
    pixels, axes = pixels.reshape([pixels.shape[i] for i in keep]), "".join(axes[i] for i in keep)
    stacked = [letter for letter in axes if letter in _PAGES]
    samples = [letter for letter in axes if letter in "SC"]
    if len(stacked) > 1 or len(samples) > 1 or set(axes) - set(_PAGES + "SCYX"):
        raise BrokenImage(path, f"it has the axes {axes}; medeor reads pages or slices, rows, columns and channels")
    order = "".join(stacked) + "YX" + "".join(samples)
    pixels = pixels.transpose([axes.index(letter) for letter in order])
    if photometric == 0:
        pixels = ~pixels if pixels.dtype.kind in "bu" else pixels.max() - pixels
    return pixels[None] if pages and not stacked else pixels


def _by_pillow(path: Path) -> np.ndarray:
    with Pillow.open(path) as picture:
        # TIFF's own colour spaces and palettes become red, green and blue; grey stays grey.
        plain = {"L", "I;16", "I;16B", "I", "F", "LA", "RGB", "RGBA"}
        pages = [
            np.asarray(page if page.mode in plain else page.convert("RGB")) for page in ImageSequence.Iterator(picture)
        ]
        return np.stack(pages)


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
    for tag, name in ((271, "manufacturer"), (272, "model"), (305, "software")):
        value = page.tags.valueof(tag)
        if value:
            facts[name] = str(value)
    return facts


def _name(value: object) -> str:
    """Of a constant that tifffile knows; the number of one that it does not."""
    return str(getattr(value, "name", value))
