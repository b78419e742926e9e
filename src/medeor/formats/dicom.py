"""DICOM: flat images, frames, and series of slices as volumes, in the values that they measure or, for X-rays, that
they were made to be looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medeor.contracts import UserError
from medeor.formats.dicom_headers import acquisition_facts, identifiers, is_placeholder
from medeor.formats.images import BrokenImage, Image, damage_told, grey_or_colour, made_finite, silence, spacing_of

silence("pydicom")
_ERRORS = (pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException)

DISPLAYED = {"CR", "DX", "IO", "MG", "PX", "RF", "RG", "XA"}
"""Projection X-rays, whose stored values mean little before the window of their maker is applied."""
MEASURED = {"CT", "PT"}
"""Modalities whose values are physical, so that a display turned round (MONOCHROME1) leaves them as they are."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
UNEVEN = 0.1
"""Gaps between slices may differ from the usual one by this part of it."""


def read_dicom(path: Path, frame: int | None = None, window: bool | None = None) -> Image:
    """A flat image (1 or 3, rows, columns), or a volume (1 or 3, frames, rows, columns) of all frames where there are
    several and no `frame` is picked: ordered along the normal where they have places in the patient, else as stored.

    Values are rescaled (int16 where that is exact, else float32). `window` applies the first VOI window or look-up
    table of the file; None: for projection X-rays alone. MONOCHROME1 is turned round, save for CT and PET, whose
    values are physical. Colour becomes RGB; a rescale is not applied to it.

    Raises: BrokenImage where the file is truncated or damaged or has no pixels; UserError for an unknown `frame`."""
    with damage_told(path, "DICOM", _ERRORS):
        data = _data_set(path)
        count = int(data.get("NumberOfFrames") or 1)
        if frame is not None and not 0 <= frame < count:
            raise UserError(f"{path}: there is no frame {frame}; its frames are 0 to {count - 1}")
        chosen = [frame] if frame is not None else list(range(count))
        pixels = _pixels(path, data, frame, chosen, window)
        affine, spacing = None, _in_plane(_frame_facts(data, chosen[0]))
        if pixels.shape[1] == 1:
            pixels = pixels[:, 0]
            if spacing is not None:
                affine = _flat_affine(_frame_facts(data, chosen[0]), spacing)
        else:
            order, affine = _frames_in_space(path, data, spacing)
            pixels = pixels[:, order]
            spacing = spacing_of(affine) if affine is not None else None
        return _image(path, pixels, spacing, affine, data, identifiers(data))


def read_series(paths: Sequence[Path]) -> Image:
    """The volume (1 or 3, slices, rows, columns) of DICOM slices of one series, ordered along their normal by where
    they lie in the patient, whatever their names and numbers.

    Raises: BrokenImage where a slice is damaged, or they are of several series, orientations or sizes, share a
    position, or are unevenly spaced."""
    folder = paths[0].parent
    with damage_told(folder, "a DICOM series", _ERRORS):
        slices = [_slice(path, len(paths)) for path in paths]
        several = {str(data.get("SeriesInstanceUID")) for data, _, _ in slices}
        if len(several) > 1:
            raise BrokenImage(folder, f"slices of {len(several)} series; keep one series")
        sizes = {pixels.shape[1:] for _, pixels, _ in slices}
        if len(sizes) > 1:
            raise BrokenImage(folder, f"slices of {len(sizes)} sizes in one series")
        order, affine = _geometry(folder, [_place(data) for data, _, _ in slices], _in_plane(slices[0][0]))
        channels = max(len(pixels) for _, pixels, _ in slices)
        planes = [np.broadcast_to(slices[k][1], (channels, *slices[k][1].shape[1:])) for k in order]
        names = tuple(sorted({name for _, _, found in slices for name in found}))
        pixels = np.concatenate(planes, axis=1)
        return _image(folder, pixels, spacing_of(affine), affine, slices[order[0]][0], names)


def _slice(path: Path, count: int) -> tuple[Dataset, np.ndarray, tuple[str, ...]]:
    """Header, pixels (1 or 3, 1, rows, columns) and identifiers of one slice of a series."""
    try:
        data = _data_set(path)
        if int(data.get("NumberOfFrames") or 1) > 1:
            raise BrokenImage(path, "holds several frames")
        pixels = _pixels(path, data, None, [0], None)
    except BrokenImage as error:
        raise BrokenImage(error.path, f"one of {count} slices: {error.reason}") from error
    names = identifiers(data)
    del data.PixelData
    return data, pixels, names


def _image(
    path: Path,
    pixels: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: np.ndarray | None,
    data: Dataset,
    names: tuple[str, ...],
) -> Image:
    pixels, nonfinite = made_finite(np.ascontiguousarray(pixels), path)
    return Image(
        pixels,
        spacing=spacing,
        affine=affine,
        modality=str(data.get("Modality") or ""),
        header=acquisition_facts(data) | {"size": "x".join(str(length) for length in pixels.shape[:0:-1])},
        identifiers=names,
        nonfinite=nonfinite,
        patient=patient_digest(data),
    )


def _data_set(path: Path) -> Dataset:
    """Everything in the file, with a transfer syntax. Raises: BrokenImage."""
    with damage_told(path, "DICOM", _ERRORS):
        data = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in data.file_meta:
            implicit, little = data.original_encoding
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
        if not any(name in data for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
            raise BrokenImage(path, _why_no_pixels(data))
        return data


def _why_no_pixels(data: Dataset) -> str:
    if "Rows" in data:
        return "no pixel data: the file is truncated, or only its header was exported; export it again"
    return f"no image in this DICOM file ({data.get('Modality') or 'no modality'}): it is of another kind, or cut short"


def _pixels(path: Path, data: Dataset, frame: int | None, chosen: Sequence[int], window: bool | None) -> np.ndarray:
    """Shape (1 or 3, frames, rows, columns), as `read_dicom` says."""
    syntax = data.file_meta.TransferSyntaxUID.name
    with damage_told(path, f"pixels ({syntax}) that cannot be decoded", _ERRORS):
        # pydicom turns YBR into RGB, and RGB stored by plane into RGB by pixel.
        pixels = pixel_array(data, index=frame)
        if data.get("PhotometricInterpretation") == "PALETTE COLOR":
            pixels = _eight_bits(apply_color_lut(pixels, data))
        if pixels.ndim == 2 + _is_colour(data):
            pixels = pixels[None]
        if _is_colour(data):
            return grey_or_colour(np.moveaxis(pixels[..., :3], -1, 0))
        return np.stack([_values(plane, data, _frame_facts(data, k), window) for plane, k in zip(pixels, chosen)])[None]


def _is_colour(data: Dataset) -> bool:
    return int(data.get("SamplesPerPixel") or 1) > 1 or data.get("PhotometricInterpretation") == "PALETTE COLOR"


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _values(plane: np.ndarray, data: Dataset, facts: Dataset, window: bool | None) -> np.ndarray:
    """Stored values of one frame (rows, columns) as what they measure, then windowed and turned round where due."""
    modality = str(data.get("Modality") or "")
    low, high = _stored_range(data)
    if "ModalityLUTSequence" in data:
        plane = apply_modality_lut(plane, data)
        low, high = float(plane.min()), float(plane.max())
    else:
        slope = _number(facts.get("RescaleSlope"), 1.0)
        intercept = _number(facts.get("RescaleIntercept"), 0.0)
        plane = _rescaled(plane, slope, intercept)
        low, high = sorted((low * slope + intercept, high * slope + intercept))
    if window if window is not None else modality in DISPLAYED:
        plane, (low, high) = _windowed(plane, facts, (low, high))
    if data.get("PhotometricInterpretation") == "MONOCHROME1" and modality not in MEASURED:
        turned = low + high - plane.astype(np.float64)
        plane = turned.astype(np.float32 if plane.dtype.kind == "f" else plane.dtype)
    return plane.astype(plane.dtype.newbyteorder("="), copy=False)


def _stored_range(data: Dataset) -> tuple[float, float]:
    bits = int(data.get("BitsStored") or data.get("BitsAllocated") or 8)
    if data.get("PixelRepresentation"):
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1


def _rescaled(plane: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    if slope == 1 and intercept == 0:
        return plane.astype(np.float32) if plane.dtype.itemsize > 4 else plane
    if slope.is_integer() and intercept.is_integer() and plane.dtype.kind in "iu":
        exact = plane.astype(np.int64) * int(slope) + int(intercept)
        if exact.min() >= -(1 << 15) and exact.max() < 1 << 15:
            return exact.astype(np.int16)
    return (plane * np.float64(slope) + intercept).astype(np.float32)


def _windowed(plane: np.ndarray, facts: Dataset, bounds: tuple[float, float]) -> tuple[np.ndarray, tuple[float, float]]:
    """After the first window or look-up table of the file, and the range of what comes out; PS3.3 C.11.2."""
    if "VOILUTSequence" in facts and plane.dtype.kind in "iu":
        table = facts.VOILUTSequence[0]
        out = apply_voi_lut(plane, facts, prefer_lut=True).astype(np.float32)
        return out, (0.0, float(2 ** int(table.LUTDescriptor[2]) - 1))
    centre, width = _number(facts.get("WindowCenter"), np.nan), _number(facts.get("WindowWidth"), np.nan)
    function = str(facts.get("VOILUTFunction") or "LINEAR")
    if not (np.isfinite(centre) and np.isfinite(width) and width >= (1 if function == "LINEAR" else 1e-6)):
        return plane, bounds
    low, high = bounds
    values = plane.astype(np.float64)
    if function == "SIGMOID":
        share = 1 / (1 + np.exp(-4 * (values - centre) / width))
    elif function == "LINEAR_EXACT":
        share = np.clip((values - centre) / width + 0.5, 0, 1)
    else:
        share = np.clip((values - (centre - 0.5)) / max(width - 1, 1e-6) + 0.5, 0, 1)
    return (low + share * (high - low)).astype(np.float32), bounds


def _number(value: Any, otherwise: float) -> float:
    """The first number of an attribute that may have none, one or several."""
    if isinstance(value, (pydicom.multival.MultiValue, list, tuple)):
        value = value[0] if len(value) else None
    return otherwise if value is None or value == "" else float(value)


# Places in the patient ---------------------------------------------------------------------------------------------


def _frame_facts(data: Dataset, index: int) -> Dataset:
    """What holds for one frame: the data set with the functional groups, shared and its own, laid over it."""
    groups = list(data.get("SharedFunctionalGroupsSequence") or [])[:1]
    own = data.get("PerFrameFunctionalGroupsSequence") or []
    groups += [own[index]] if index < len(own) else []
    if not groups:
        return data
    facts = Dataset()
    for name in ("PixelSpacing", "ImagerPixelSpacing", "ImagePositionPatient", "ImageOrientationPatient",
                 "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction",
                 "VOILUTSequence", "BitsStored", "PixelRepresentation", "SliceThickness"):  # fmt: skip
        if name in data:
            facts[name] = data[name]
    for group in groups:
        for element in group:
            if element.VR == "SQ" and element.value:
                for inner in element.value[0]:
                    facts[inner.tag] = inner
    return facts


def _in_plane(facts: Dataset) -> tuple[float, ...] | None:
    """Millimetres between rows and between columns."""
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        value = facts.get(name)
        if value and len(value) == 2 and all(float(length) > 0 for length in value):
            return float(value[0]), float(value[1])
    regions = facts.get("SequenceOfUltrasoundRegions")
    if regions and regions[0].get("PhysicalUnitsXDirection") == 3 and regions[0].get("PhysicalUnitsYDirection") == 3:
        steps = abs(float(regions[0].PhysicalDeltaY)), abs(float(regions[0].PhysicalDeltaX))
        return (steps[0] * 10, steps[1] * 10) if min(steps) > 0 else None
    return None


def _place(facts: Dataset) -> tuple[np.ndarray, np.ndarray] | None:
    """Position (3,) of the first pixel and directions (2, 3) of a row and of a column, in DICOM's LPS+."""
    position, directions = facts.get("ImagePositionPatient"), facts.get("ImageOrientationPatient")
    if not position or not directions or len(position) != 3 or len(directions) != 6:
        return None
    axes = np.array([float(x) for x in directions]).reshape(2, 3)
    return np.array([float(x) for x in position]), axes


def _flat_affine(facts: Dataset, spacing: tuple[float, ...]) -> np.ndarray | None:
    place = _place(facts)
    if place is None:
        return None
    position, (along_row, along_column) = place
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along_column * spacing[0], along_row * spacing[1]
    affine[:3, 2] = np.cross(along_row, along_column) * (_number(facts.get("SliceThickness"), 0.0) or 1.0)
    affine[:3, 3] = position
    return LPS_TO_RAS @ affine


def _frames_in_space(
    path: Path, data: Dataset, spacing: tuple[float, ...] | None
) -> tuple[Sequence[int], np.ndarray | None]:
    """The order of the frames along their normal and the affine of the volume; as stored, and None, where the frames
    are no stack in space (a film, several views)."""
    count = int(data.NumberOfFrames)
    places = [_place(_frame_facts(data, k)) for k in range(count)]
    apart = {tuple(place[0]) for place in places if place is not None}
    if spacing is None or None in places or len(apart) < 2:
        return range(count), None
    return _geometry(path, places, spacing)


def _geometry(
    where: Path, places: Sequence[tuple[np.ndarray, np.ndarray] | None], spacing: tuple[float, ...] | None
) -> tuple[list[int], np.ndarray]:
    """Order of slices along their normal, and the affine (slice, row, column) → RAS+ mm. A stack that leans (gantry
    tilt) gives a sheared affine.

    Raises: BrokenImage where the slices make no even stack."""
    known = [place for place in places if place is not None]
    if spacing is None or len(known) < len(places):
        raise BrokenImage(where, f"{len(places) - len(known) or 'all'} slices do not say where they lie in the patient")
    positions = np.stack([position for position, _ in known])
    axes = np.stack([directions for _, directions in known])
    if np.abs(axes - axes[0]).max() > 1e-3:
        raise BrokenImage(
            where, "slices of several orientations in one series (a localiser among them?); separate them"
        )
    along_row, along_column = axes[0]
    height = positions @ np.cross(along_row, along_column)
    order = np.argsort(height, kind="stable")
    gaps = np.diff(height[order])
    same = int(np.count_nonzero(gaps < 1e-3))
    if same:
        raise BrokenImage(
            where, f"{same} of {len(known)} slices share the position of another (echoes, phases or copies)"
        )
    usual = float(np.median(gaps))
    if np.abs(gaps - usual).max() > UNEVEN * usual:
        found = f"{gaps.min():.2f} to {gaps.max():.2f} mm apart, mostly {usual:.2f}"
        raise BrokenImage(where, f"slices are unevenly spaced ({found}): some may be missing")
    first, last = positions[order[0]], positions[order[-1]]
    affine = np.eye(4)
    affine[:3, 0] = (last - first) / (len(known) - 1)
    affine[:3, 1], affine[:3, 2] = along_column * spacing[0], along_row * spacing[1]
    affine[:3, 3] = first
    return order.tolist(), LPS_TO_RAS @ affine


def patient_digest(data: Dataset) -> str:
    """Who the patient is, as a digest of issuer and number; empty where the file does not say."""
    number = str(data.get("PatientID") or "").strip()
    if is_placeholder(number):
        return ""
    issuer = str(data.get("IssuerOfPatientID") or "").strip()
    return hashlib.sha256(f"{issuer}\0{number}".encode()).hexdigest()[:16]
