"""What the stored numbers of a DICOM image mean: bits, palettes, rescaling, padding, and the window of the maker."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.uid import UID

from medeor.formats.images.dicom.headers import UNREADABLE, number, numbers
from medeor.formats.images.image import BrokenImage, decoding

DISPLAYED = {"CR", "DX", "IO", "MG", "PX", "RF", "RG", "XA"}
"""Projection X-rays, whose stored values mean little before the window of their maker is applied."""
MEASURED = {"CT", "PT", "RTDOSE"}
"""Modalities whose values are physical, so that a display turned round (MONOCHROME1) leaves them as they are."""


def decoded(path: Path, data: Dataset) -> np.ndarray:
    """Stored values: (frames, rows, columns) of grey, (frames, rows, columns, 3) of colour as RGB.

    Raises: BrokenImage where the pixels cannot be decoded."""
    syntax = data.file_meta.TransferSyntaxUID
    if not isinstance(syntax, UID) or not syntax.is_transfer_syntax:
        raise BrokenImage(path, "images.damaged", what="DICOM")
    shift = 0 if syntax.is_compressed else _shift(data)
    stored = int(number(data.get("BitsStored"), 0))
    if shift:
        # pydicom masks what lies above BitsStored, wherever HighBit says that the value ends.
        data.BitsStored = data.BitsAllocated
        data.HighBit = data.BitsAllocated - 1
    with decoding(path, syntax.name, UNREADABLE):
        # pydicom turns YBR into RGB, and RGB stored by plane into RGB by pixel.
        pixels = pixel_array(data)
        if data.get("PhotometricInterpretation") == "PALETTE COLOR":
            pixels = _eight_bits(apply_color_lut(pixels, data), data)
    if shift:
        data.BitsStored = stored
        pixels = _shifted(pixels, shift, stored)
    return pixels[None] if pixels.ndim == 2 + is_colour(data) else pixels


def is_colour(data: Dataset) -> bool:
    """Whether a pixel has red, green and blue, of its own or by a palette."""
    return number(data.get("SamplesPerPixel"), 1) > 1 or data.get("PhotometricInterpretation") == "PALETTE COLOR"


def _shift(data: Dataset) -> int:
    """Bits below the value; none where HighBit is where it nearly always is, or makes no sense."""
    allocated, stored = int(number(data.get("BitsAllocated"), 0)), int(number(data.get("BitsStored"), 0))
    high = int(number(data.get("HighBit"), stored - 1))
    return high + 1 - stored if allocated in (8, 16, 32) and 0 < stored <= high < allocated else 0


def _shifted(pixels: np.ndarray, shift: int, stored: int) -> np.ndarray:
    """The `stored` bits that lie `shift` bits from the lowest, with their sign."""
    above = pixels.dtype.itemsize * 8 - stored - shift
    return (pixels << above) >> (above + shift)


def _eight_bits(pixels: np.ndarray, data: Dataset) -> np.ndarray:
    """Colours of a palette as 8 bits. Tables that declare 16 bits hold them in the upper byte, as they should, or in
    the lower one: then no entry reaches 256."""
    if pixels.dtype != np.uint16:
        return pixels
    count, first, _ = (int(x) for x in data.RedPaletteColorLookupTableDescriptor)
    count = count or 1 << 16
    entries = apply_color_lut(np.arange(first, min(first + count, 1 << 16)).astype(np.uint16), data)
    return (pixels if entries.max() < 256 else pixels >> 8).astype(np.uint8)


def values(path: Path, plane: np.ndarray, data: Dataset, facts: Dataset) -> np.ndarray:
    """Stored values of one frame (rows, columns) as what they measure, then windowed and turned round where due; what
    lies outside the picture (PixelPaddingValue) is as dark as its darkest pixel.

    Raises: BrokenImage where the rescaling cannot be known."""
    modality = str(data.get("Modality") or "")
    padding = _padding(plane, data)
    low, high = _stored_range(data)
    if data.get("ModalityLUTSequence"):
        with decoding(path, "Modality LUT", UNREADABLE):
            plane = apply_modality_lut(plane, data)
        low, high = float(plane.min()), float(plane.max())
    else:
        slope, intercept = _rescale(path, data, facts, modality)
        plane = _rescaled(plane, slope, intercept)
        low, high = sorted((low * slope + intercept, high * slope + intercept))
    if modality in DISPLAYED:
        plane, (low, high) = _windowed(plane, facts, (low, high))
    if data.get("PhotometricInterpretation") == "MONOCHROME1" and modality not in MEASURED:
        turned = low + high - plane.astype(np.float64)
        plane = turned.astype(np.float32 if plane.dtype.kind == "f" else plane.dtype)
    if padding is not None and not padding.all():
        plane = np.where(padding, plane[~padding].min(), plane)
    return plane.astype(plane.dtype.newbyteorder("="), copy=False)


def _padding(plane: np.ndarray, data: Dataset) -> np.ndarray | None:
    """Which pixels are no part of the picture; None where the file names no such value, or none has it."""
    value = number(data.get("PixelPaddingValue"), np.nan)
    limit = number(data.get("PixelPaddingRangeLimit"), value)
    if not np.isfinite([value, limit]).all():
        return None
    low, high = sorted((value, limit))
    padding: np.ndarray = (plane >= low) & (plane <= high)
    if plane.dtype.kind == "i" and low == high and low > np.iinfo(plane.dtype).max:
        # A negative value that was written without its sign.
        padding = plane == low - (1 << 8 * plane.dtype.itemsize)
    return padding if padding.any() else None


def _stored_range(data: Dataset) -> tuple[float, float]:
    bits = int(number(data.get("BitsStored"), 0) or number(data.get("BitsAllocated"), 8))
    if number(data.get("PixelRepresentation"), 0):
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1


def _rescale(path: Path, data: Dataset, facts: Dataset, modality: str) -> tuple[float, float]:
    """Slope and intercept; those of a dose are its grid scaling and none."""
    names = ("DoseGridScaling", "") if modality == "RTDOSE" else ("RescaleSlope", "RescaleIntercept")
    slope, intercept = ((numbers(facts.get(name)) or [usual])[0] for name, usual in zip(names, (1.0, 0.0)))
    for name, value in zip(names, (slope, intercept)):
        if name and (not np.isfinite(value) or name in getattr(facts, "lost", ())):
            raise BrokenImage(path, "images.dicom.no-number", name=name)
    if slope == 0:
        raise BrokenImage(path, "images.dicom.zero", name=names[0])
    return slope, intercept


def _rescaled(plane: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    if slope == 1 and intercept == 0:
        return plane.astype(np.float32) if plane.dtype.itemsize > 4 else plane
    if slope.is_integer() and intercept.is_integer() and plane.dtype.kind in "iu":
        top = max(abs(int(plane.min())), abs(int(plane.max())))
        if top * abs(slope) + abs(intercept) < 1 << 62:
            exact = plane.astype(np.int64) * int(slope) + int(intercept)
            if exact.min() >= -(1 << 15) and exact.max() < 1 << 15:
                return exact.astype(np.int16)
    with np.errstate(over="ignore"):
        return (plane * np.float64(slope) + intercept).astype(np.float32)


def _windowed(plane: np.ndarray, facts: Dataset, bounds: tuple[float, float]) -> tuple[np.ndarray, tuple[float, float]]:
    """After the first window or look-up table of the file, and the range of what comes out; PS3.3 C.11.2. A window or
    a table that cannot be used is passed over: it only says how the maker would show the picture."""
    tables = facts.get("VOILUTSequence")
    if tables and plane.dtype.kind in "iu":
        with suppress(*UNREADABLE):
            top = 2.0 ** int(tables[0].LUTDescriptor[2]) - 1
            return apply_voi_lut(plane, facts, prefer_lut=True).astype(np.float32), (0.0, top)
    centre, width = number(facts.get("WindowCenter"), np.nan), number(facts.get("WindowWidth"), np.nan)
    function = str(facts.get("VOILUTFunction") or "LINEAR")
    if not (np.isfinite(centre) and np.isfinite(width) and width >= (1 if function == "LINEAR" else 1e-6)):
        return plane, bounds
    low, high = bounds
    numbers = plane.astype(np.float64)
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            share = 1 / (1 + np.exp(-4 * (numbers - centre) / width))
    elif function == "LINEAR_EXACT":
        share = np.clip((numbers - centre) / width + 0.5, 0, 1)
    else:
        share = np.clip((numbers - (centre - 0.5)) / max(width - 1, 1e-6) + 0.5, 0, 1)
    return (low + share * (high - low)).astype(np.float32), bounds
