"""Images inside the report: PNG written with zlib alone, heat maps in a perceptually uniform scale, and vector
drawings made elsewhere, checked before they are let in."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import zlib
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from medeor.contracts import Message, Text
from medeor.figures import Drawing, Gallery, Picture
from medeor.report.text import escape

if TYPE_CHECKING:
    import numpy as np

INFERNO = (
    "000004", "0c0826", "240c4f", "420a68", "5d126e", "781c6d", "932667", "ae305c",
    "c73e4c", "dd513a", "ed6925", "f8850f", "fca50a", "fac62d", "f2e661", "fcffa4",
)  # fmt: skip
"""Sixteen even stops of the scale `inferno` (Smith and van der Walt, 2015; public domain)."""

LARGEST = 448
"""Pixels along the longer side above which an image is averaged down: more cannot be seen in a report."""

CRISP = 128
"""Pixels along the longer side up to which an image is enlarged with its pixels kept square."""

OPACITY = 0.85
"""Of the strongest point of a heat map; its weakest is clear, so that the image stays visible."""


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 pixels, shape (height, width) or (height, width, 3).

    Raises: ValueError for any other type or shape."""
    shaped = pixels.ndim in (2, 3) and pixels.shape[2:] in ((), (3,)) and 0 not in pixels.shape
    if pixels.dtype.name != "uint8" or not shaped:
        raise ValueError(f"an image is uint8, (height, width) or (height, width, 3); got {pixels.dtype} {pixels.shape}")
    return _file(pixels, colour=0 if pixels.ndim == 2 else 2)


def heat(overlay: np.ndarray) -> bytes:
    """A PNG file of a heat map, shape (height, width), 0 to 1: colour by `INFERNO`, opacity by the value. Not a
    number counts as 0."""
    import numpy as np

    if overlay.ndim != 2 or 0 in overlay.shape:
        raise ValueError(f"a heat map has the shape (height, width); got {overlay.shape}")
    levels = 64
    at = np.linspace(0, 1, levels)
    stops = np.array([list(bytes.fromhex(stop)) for stop in INFERNO], dtype=float)
    palette = np.stack([np.interp(at, np.linspace(0, 1, len(stops)), channel) for channel in stops.T], axis=1)
    indices = np.rint(np.nan_to_num(overlay.astype(float)).clip(0, 1) * (levels - 1)).astype(np.uint8)
    alpha = np.rint(255 * OPACITY * at).astype(np.uint8)
    return _file(indices, colour=3, palette=np.rint(palette).astype(np.uint8).tobytes(), alpha=alpha.tobytes())


def _file(pixels: np.ndarray, colour: int, palette: bytes = b"", alpha: bytes = b"") -> bytes:
    """PNG of any colour type with 8 bits a channel; of three row filters the one that packs best."""
    import numpy as np

    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    step = pixels.size // (height * width)
    left, above = np.zeros_like(rows), np.zeros_like(rows)
    left[:, step:] = rows[:, :-step]
    above[1:] = rows[:-1]
    filtered = (np.insert(values, 0, number, axis=1) for number, values in enumerate((rows, rows - left, rows - above)))
    packed = min((zlib.compress(block.tobytes(), 9) for block in filtered), key=len)
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    blocks = [(b"IHDR", header), (b"PLTE", palette), (b"tRNS", alpha), (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in blocks
        if data or name == b"IEND"
    )


def smaller(pixels: np.ndarray) -> np.ndarray:
    """The image, averaged over square blocks until its longer side is at most `LARGEST`; the type is kept."""
    block = -(-max(pixels.shape[:2]) // LARGEST)
    if block == 1:
        return pixels
    import numpy as np

    # The last block of a side that does not divide evenly repeats the edge.
    padding = [(0, -side % block) for side in pixels.shape[:2]] + [(0, 0)] * (pixels.ndim - 2)
    padded = np.pad(pixels, padding, mode="edge")
    height, width = padded.shape[0] // block, padded.shape[1] // block
    mean = padded.reshape(height, block, width, block, *pixels.shape[2:]).mean(axis=(1, 3))
    return (np.rint(mean) if pixels.dtype.kind in "ui" else mean).astype(pixels.dtype)


def gallery(figure: Gallery) -> str:
    """Images side by side; one with a heat map stands next to itself without it."""
    mapped = any(picture.overlay is not None for picture in figure.pictures)
    tiles = "".join(_tile(picture) for picture in figure.pictures)
    scale = ""
    if mapped:
        colours = ",".join(f"#{stop}" for stop in INFERNO)
        bar = f'<span class="colours" style="background:linear-gradient(90deg,{colours})"></span>'
        scale = f'<p class="scale"><span>{escape(Message("report.picture.weight"))}</span> 0 {bar} 1</p>'
    large = any(max(picture.pixels.shape[:2]) > CRISP for picture in figure.pictures)
    kind = "gallery" + (" mapped" if mapped else "") + (" large" if large else "")
    return f'<ul class="{kind}">{tiles}</ul>{scale}'


def _tile(picture: Picture) -> str:
    height, width = picture.pixels.shape[:2]
    style, panels = f"--image:{_url(png(smaller(picture.pixels)))}", '<span class="image"></span>'
    label, across = picture.caption, width
    if picture.overlay is not None:
        style += f";--map:{_url(heat(smaller(picture.overlay)))}"
        panels += '<span class="image map"></span>'
        label = Message("report.picture.mapped", caption=picture.caption)
        across = 2 * width
    crisp = " crisp" if max(height, width) <= CRISP else ""
    described = f'role="img" aria-label="{escape(label)}" style="{style};aspect-ratio:{across}/{height}"'
    tone = icon(TONES[picture.tone], Message(f"report.tone.{picture.tone}")) if picture.tone else ""
    caption = f'<span class="caption">{tone}<span>{escape(picture.caption)}</span></span>'
    return f'<li><span class="panels{crisp}" {described}>{panels}</span>{caption}</li>'


def _url(content: bytes) -> str:
    return f"url(data:image/png;base64,{base64.b64encode(content).decode()})"


# --- icons -----------------------------------------------------------------------------------------------

_SHAPES = {
    "pass": "M5 8.4 7.2 10.6 11.2 5.8",
    "fail": "M5.4 5.4 10.6 10.6M10.6 5.4 5.4 10.6",
    "unknown": "M5.9 6.3a2.1 2.1 0 1 1 3 1.9C8.2 8.6 8 9 8 9.5M8 11.6v.2",
    "neutral": "M5 8h6",
}

TONES = {"good": "pass", "bad": "fail", "neutral": "neutral"}
"""The icon of each tone."""


def icon(kind: str, label: Text = "") -> str:
    """A small mark: `pass`, `fail`, `unknown` or `neutral`; `label` is what is read aloud, where no word stands by."""
    meaning = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    shape = f'<circle cx="8" cy="8" r="7"/><path d="{_SHAPES[kind]}"/>'
    return f'<svg class="icon {kind}" viewBox="0 0 16 16" {meaning}>{shape}</svg>'


# --- drawings made elsewhere -----------------------------------------------------------------------------

_ELEMENTS = frozenset([
    "svg", "g", "path", "line", "polyline", "polygon", "rect", "circle", "ellipse", "text", "tspan", "title", "desc",
    "defs", "symbol", "use", "marker", "clipPath", "mask", "linearGradient", "radialGradient", "stop",
])  # fmt: skip
_REFERENCE = re.compile(r"url\(\s*['\"]?(?!#)|@import|javascript:|data:|\\|expression\s*\(", re.IGNORECASE)


def drawing(figure: Drawing) -> str:
    """The vector picture, rebuilt from the elements and attributes known to be harmless.

    Raises: ValueError naming what was refused: scripts, styles, foreign content, handlers, outside addresses."""
    if re.search(r"<!(DOCTYPE|ENTITY)", figure.svg, re.IGNORECASE):
        raise ValueError(f"drawing '{figure.title}': a document type is not let into a report")
    try:
        root = ET.fromstring(figure.svg.strip())
    except ET.ParseError as error:
        raise ValueError(f"drawing '{figure.title}' is not well-formed SVG: {error}") from None
    if _local(root.tag) != "svg":
        raise ValueError(f"drawing '{figure.title}' is <{_local(root.tag)}>, not <svg>")
    prefix = "d" + hashlib.sha256(figure.svg.encode()).hexdigest()[:8] + "-"
    root.set("role", "img")
    root.set("aria-label", str(figure.title))
    return f'<div class="plate">{_element(root, str(figure.title), prefix)}</div>'


def _element(element: ET.Element, title: str, prefix: str) -> str:
    name = _local(element.tag)
    if name not in _ELEMENTS:
        raise ValueError(f"drawing '{title}': <{name}> is not let into a report")
    attributes = ""
    for key, value in element.attrib.items():
        key = _local(key)
        refused = key.lower().startswith("on") or (key == "href" and not value.startswith("#"))
        if refused or _REFERENCE.search(value):
            raise ValueError(f"drawing '{title}': the attribute {key}=\"{value[:40]}\" is not let into a report")
        # Names are made this drawing's own: two drawings often share them, and classes would meet the page's style.
        if key == "class":
            continue
        if key == "id":
            value = prefix + value
        elif key == "href":
            value = f"#{prefix}{value[1:]}"
        value = re.sub(r"url\(\s*['\"]?#([^'\")]+)['\"]?\s*\)", rf"url(#{prefix}\1)", value)
        attributes += f' {key}="{escape(value)}"'
    inside = escape(element.text or "") + "".join(
        _element(child, title, prefix) + escape(child.tail or "") for child in element
    )
    return f"<{name}{attributes}>{inside}</{name}>"


def _local(name: str) -> str:
    return str(name).rpartition("}")[2]
