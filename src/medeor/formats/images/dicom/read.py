"""DICOM: flat images, frames, and series of slices as volumes, in the values that they measure or, for X-rays, that
they were made to be looked at."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medeor.contracts import Message
from medeor.formats.images.dicom.headers import (
    UNREADABLE,
    acquisition_facts,
    identifiers,
    is_placeholder,
    number,
    settle,
)
from medeor.formats.images.dicom.places import (
    cut,
    flat_affine,
    frame_facts,
    frames_in_space,
    in_plane,
    is_mosaic,
    place_of,
)
from medeor.formats.images.dicom.places import stacked as stacked_in_space
from medeor.formats.images.dicom.values import decoded, is_colour, values
from medeor.formats.images.image import (
    BrokenImage,
    Image,
    check_size,
    decoding,
    grey_or_colour,
    silence,
    spacing_of,
)

silence("pydicom")


def read_dicom(path: Path) -> Image:
    """A flat image (1 or 3, rows, columns), or a volume (1 or 3, frames, rows, columns) of several frames: ordered
    along the normal where they have places in the patient, else as stored. A Siemens mosaic is cut into its slices.

    Values are rescaled (int16 where that is exact, else float32). Projection X-rays are seen through the first VOI
    window or look-up table of the file. MONOCHROME1 is turned round, save for CT, PET and doses, whose values are
    physical. Colour becomes RGB; a rescale is not applied to it.

    Raises: BrokenImage where the file is truncated or damaged or has no pixels."""
    data = _data_set(path)
    facts = [frame_facts(data, k) for k in range(_frames(data))]
    pixels = _pixels(path, data, facts)
    spacing: tuple[float, ...] | None = in_plane(facts[0])
    affine = None
    if len(facts) == 1 and is_mosaic(data) and len(pixels) == 1:
        tiles, spacing, affine = cut(path, pixels[0, 0], data)
        pixels = tiles[None]
    elif len(facts) == 1:
        pixels = pixels[:, 0]
        affine = flat_affine(facts[0], in_plane(facts[0]) or (1.0, 1.0)) if spacing is not None else None
    else:
        order, affine = frames_in_space(path, facts)
        pixels = pixels[:, order]
        spacing = spacing_of(affine) if affine is not None else None
    return _image(path, pixels, spacing, affine, data, identifiers(data), "SOPInstanceUID")


def read_series(paths: Sequence[Path]) -> Image:
    """The volume (1 or 3, slices, rows, columns) of DICOM slices of one series, ordered along their normal by where
    they lie in the patient, whatever their names and numbers.

    Raises: BrokenImage where a slice is damaged, or they are of several series, patients, orientations, pixel spacings
    or sizes, share a position, or are unevenly spaced."""
    folder = paths[0].parent
    slices = [_slice(path, len(paths)) for path in paths]
    several = {str(data.get("SeriesInstanceUID")) for data, _, _ in slices}
    if len(several) > 1:
        raise BrokenImage(folder, "images.dicom.several-series", count=len(several))
    sizes = {pixels.shape[2:] for _, pixels, _ in slices}
    if len(sizes) > 1:
        raise BrokenImage(folder, "images.dicom.sizes", count=len(sizes))
    headers = [data for data, _, _ in slices]
    if len({str(data.get("PatientID") or "") for data in headers}) > 1:
        raise BrokenImage(folder, "images.dicom.patients")
    order, affine = stacked_in_space(folder, [place_of(data) for data in headers], [in_plane(d) for d in headers])
    channels = max(len(pixels) for _, pixels, _ in slices)
    planes = [np.broadcast_to(slices[k][1], (channels, *slices[k][1].shape[1:])) for k in order]
    names = tuple(sorted({name for _, _, found in slices for name in found}))
    pixels = np.concatenate(planes, axis=1)
    return _image(folder, pixels, spacing_of(affine), affine, headers[order[0]], names, "SeriesInstanceUID")


def _slice(path: Path, count: int) -> tuple[Dataset, np.ndarray, tuple[str, ...]]:
    """Header, pixels (1 or 3, 1, rows, columns) and identifiers of one slice of a series."""
    try:
        data = _data_set(path)
        if _frames(data) > 1:
            raise BrokenImage(path, "images.dicom.frames")
        pixels = _pixels(path, data, [data], count)
    except BrokenImage as error:
        raise BrokenImage(error.path, "images.dicom.one-slice", slices=count, reason=error.reason) from error
    names = identifiers(data)
    for keyword in _PIXELS:
        if keyword in data:
            del data[keyword]
    return data, pixels, names


def _image(
    path: Path,
    pixels: np.ndarray,
    spacing: tuple[float, ...] | None,
    affine: np.ndarray | None,
    data: Dataset,
    names: tuple[str, ...],
    identity: str,
) -> Image:
    return Image.of(
        pixels,
        path,
        spacing=spacing,
        affine=affine,
        modality=_modality(data),
        header=acquisition_facts(data) | {"size": "x".join(map(str, pixels.shape[:0:-1]))},
        identifiers=names,
        patient=patient_digest(data),
        uid=uid_digest(data, identity),
        study=uid_digest(data, "StudyInstanceUID") or uid_digest(data, "SeriesInstanceUID"),
    )


_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def _data_set(path: Path) -> Dataset:
    """Everything in the file, each attribute decoded, with a transfer syntax. Raises: BrokenImage."""
    with decoding(path, "DICOM", UNREADABLE):
        data = pydicom.dcmread(path, force=True)
        settle(data.file_meta)
        if not data.file_meta.get("TransferSyntaxUID"):
            implicit, little = data.original_encoding
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    settle(data)
    if not any(name in data for name in _PIXELS):
        raise BrokenImage(path, _why_no_pixels(data))
    return data


def _why_no_pixels(data: Dataset) -> Message:
    if "Rows" in data:
        return Message("images.dicom.no-pixels")
    return Message("images.dicom.no-image", modality=_modality(data) or Message("images.dicom.no-modality"))


def _modality(data: Dataset) -> str:
    """The code of the modality; empty where there is none, or what stands there is damaged."""
    code = str(data.get("Modality") or "").strip(" \0")
    return code if re.fullmatch(r"[A-Z0-9_]{1,16}", code) else ""


def _frames(data: Dataset) -> int:
    return max(1, int(number(data.get("NumberOfFrames"), 1.0)))


def _pixels(path: Path, data: Dataset, facts: Sequence[Dataset], slices: int = 1) -> np.ndarray:
    """Shape (1 or 3, frames, rows, columns), as `read_dicom` says. `slices`: how many such files make the volume."""
    sides = [number(data.get(name), 1.0) for name in ("Rows", "Columns", "SamplesPerPixel")]
    check_size(path, math.prod([*sides, len(facts), slices]) * max(1, number(data.get("BitsAllocated"), 8) / 8))
    pixels = decoded(path, data)
    if pixels.ndim != 3 + is_colour(data) or len(pixels) != len(facts):
        raise BrokenImage(path, "images.dicom.pixel-count")
    if is_colour(data):
        return grey_or_colour(np.moveaxis(pixels[..., :3], -1, 0))
    return np.stack([values(path, plane, data, own) for plane, own in zip(pixels, facts)])[None]


def patient_digest(data: Dataset) -> str:
    """Who the patient is, as a digest of issuer and number; empty where the file does not say."""
    patient = str(data.get("PatientID") or "").strip()
    if is_placeholder(patient):
        return ""
    issuer = str(data.get("IssuerOfPatientID") or "").strip()
    return hashlib.sha256(f"{issuer}\0{patient}".encode()).hexdigest()[:16]


def uid_digest(data: Dataset, keyword: str) -> str:
    """A unique identifier of DICOM as a digest, as it may lead to the patient; empty where the file has none."""
    uid = str(data.get(keyword) or "").strip(" \0")
    return hashlib.sha256(uid.encode()).hexdigest()[:16] if uid else ""
