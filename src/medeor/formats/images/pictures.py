"""PNG, JPEG, BMP and WebP: 8 and 16 bits, grey, colour and palette, the right way up, without their transparency."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags
from PIL import Image as Pillow

from medeor.formats.images.image import BrokenImage, Image, check_size, decoding, grey_or_colour, narrowed, silence

silence("PIL")

TEXT_OF_A_PERSON = {
    "Artist", "Author", "CameraOwnerName", "Comment", "Copyright", "Creation Time", "DateTime", "DateTimeDigitized",
    "DateTimeOriginal", "Description", "Disclaimer", "DocumentName", "HostComputer", "ImageDescription", "ImageID",
    "ImageUniqueID", "MakerNote", "PageName", "Source", "Title", "UserComment", "XML:com.adobe.xmp", "XPAuthor",
    "XPComment", "XPKeywords", "XPSubject", "XPTitle", "BodySerialNumber", "LensSerialNumber", "IPTCNAA", "XMP",
}  # fmt: skip
"""Fields of EXIF, TIFF and PNG in which a person, a place, a device or a day may be written."""


def read_picture(path: Path) -> Image:
    """A flat image of 1 or 3 channels: uint8, uint16 or float32. A colour picture whose three channels are the same is
    read as grey. Partly transparent pixels are laid over black.

    Raises: BrokenImage where the file cannot be decoded."""
    with decoding(path, "PNG/JPEG/BMP/WebP"), opened(path) as picture:
        if getattr(picture, "is_animated", False) and picture.format in ("PNG", "WEBP"):
            raise BrokenImage(path, "images.picture.animation", frames=getattr(picture, "n_frames", 0))
        check_size(path, picture.width * picture.height * len(picture.getbands()) * (4 if picture.mode in "IF" else 2))
        # Decoding, and asking for EXIF, forgets how the pixels were stored.
        deep = _is_deep(picture)
        pixels = _deep_colour(path, picture) if deep else _pixels(picture)
        facts = _facts(picture) | ({"bits": "16"} if deep else {})
        names = identifiers_of({str(name): value for name, value in picture.info.items()} | exif_of(picture))
        turn = picture.getexif().get(ExifTags.Base.Orientation, 1)
    pixels = without_alpha(turned(pixels, turn if isinstance(turn, int) else 1))
    facts["size"] = f"{pixels.shape[1]}x{pixels.shape[0]}"
    return Image.of(channels_first(pixels), path, header=facts, identifiers=names)


def opened(path: Path) -> Pillow.Image:
    """A picture that is not decoded yet. Raises: BrokenImage where it is too large to be one."""
    try:
        return Pillow.open(path)
    except Pillow.DecompressionBombError as error:
        raise BrokenImage(path, "images.picture.too-large") from error


def _pixels(picture: Pillow.Image) -> np.ndarray:
    """Shape (rows, columns) or (rows, columns, 2, 3 or 4)."""
    if picture.mode in ("P", "PA"):
        return np.asarray(picture.convert("RGBA" if "transparency" in picture.info else "RGB"))
    shown = {"CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "1": "L"}.get(picture.mode)
    return np.asarray(picture.convert(shown) if shown else picture)


def _is_deep(picture: Pillow.Image) -> bool:
    """Whether a picture not yet decoded stores 16 bits for each of several channels."""
    tiles = getattr(picture, "tile", None)
    raw = tiles[0].args if tiles else ""
    return picture.mode in ("RGB", "RGBA", "LA") and isinstance(raw, str) and raw.endswith(";16B")


def _deep_colour(path: Path, picture: Any) -> np.ndarray:
    """Colour of 16 bits a channel, of which Pillow keeps only the high byte. Told that the file were little-endian,
    it keeps the low byte instead; both together are the value."""
    if picture.mode == "LA":
        raise BrokenImage(path, "images.picture.deep-grey")
    high = np.asarray(picture).astype(np.uint16)
    again: Any
    with Pillow.open(path) as again:
        again.tile = [tile._replace(args=tile.args.replace(";16B", ";16L")) for tile in again.tile]
        return high << 8 | np.asarray(again)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (rows, columns, …) as the EXIF orientation, 1 to 8, says that they are to be seen."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def without_alpha(pixels: np.ndarray) -> np.ndarray:
    """Pixels (rows, columns) as they are; (rows, columns, 2 or 4) laid over black, without their transparency."""
    if pixels.ndim == 2 or pixels.shape[-1] not in (2, 4):
        return pixels
    colour = laid_over_black(pixels)
    return colour[..., 0] if colour.shape[-1] == 1 else colour


def laid_over_black(pixels: np.ndarray, premultiplied: bool = False) -> np.ndarray:
    """Pixels (…, samples), the last of which is transparency, without it: what lies under full transparency is not
    meant to be seen. `premultiplied`: they were multiplied when they were stored."""
    top = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    colour, alpha = pixels[..., :-1], pixels[..., -1:]
    if not premultiplied and not (alpha == top).all():
        seen = colour * (alpha / top)
        colour = (seen if pixels.dtype.kind == "f" else np.rint(seen)).astype(pixels.dtype)
    return colour


def channels_first(pixels: np.ndarray) -> np.ndarray:
    """Pixels (rows, columns) or (rows, columns, channels) as (channels, rows, columns), in a type that medeor works
    with; (1, rows, columns) where red, green and blue are the same throughout."""
    pixels = plain(pixels)
    if pixels.ndim == 2:
        return pixels[None]
    pixels = np.moveaxis(pixels, -1, 0)
    return grey_or_colour(pixels) if len(pixels) == 3 else pixels


def plain(pixels: np.ndarray) -> np.ndarray:
    """Pixels in a type that medeor works with: black and white as 0 and 255, at most 32 bits."""
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype == np.int32 and pixels.size and pixels.min() >= 0 and pixels.max() < 1 << 16:
        return pixels.astype(np.uint16)
    return narrowed(pixels)


def exif_of(picture: Pillow.Image) -> dict[str, object]:
    """EXIF fields by name, with those of the camera and of the place."""
    exif = picture.getexif()
    tags = (*exif.items(), *exif.get_ifd(ExifTags.IFD.Exif).items())
    fields: dict[str, object] = {ExifTags.TAGS.get(tag, str(tag)): value for tag, value in tags}
    return fields | {ExifTags.GPSTAGS.get(tag, str(tag)): 1 for tag in exif.get_ifd(ExifTags.IFD.GPSInfo)}


def identifiers_of(fields: Mapping[str, object]) -> tuple[str, ...]:
    """Names of the fields that are filled and may reveal who, where or when."""
    own = ('{"shape"', "ImageJ=", "SCIFIO=")
    found = set()
    for name, value in fields.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        text = text.strip("\0 \n")
        if text and not text.startswith(own) and (name in TEXT_OF_A_PERSON or name.startswith("GPS")):
            found.add("GPSInfo" if name.startswith("GPS") else name)
    return tuple(sorted(found))


def _facts(picture: Pillow.Image) -> dict[str, str]:
    facts = {"file_type": picture.format or "", "photometric": picture.mode}
    depths = {"1": 1, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32}
    facts["bits"] = str(depths.get(picture.mode, 8))
    tables = getattr(picture, "quantization", None)
    if tables:
        # The sum stands for the quality setting, a common trace of which machine or which export made a JPEG.
        facts["compression"] = f"JPEG, quantisation {sum(tables[0])}"
    exif = picture.getexif()
    for tag, name in ((ExifTags.Base.Make, "manufacturer"), (ExifTags.Base.Model, "model")):
        if tag in exif:
            facts[name] = str(exif[tag]).strip("\0 ")
    software = exif.get(ExifTags.Base.Software) or picture.info.get("Software")
    if software:
        facts["software"] = str(software).strip("\0 ")
    return facts
