"""NIfTI: volumes with their place in the patient."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from medeor.formats.images.image import BrokenImage, Image, check_size, decoding, narrowed, silence, spacing_of

silence("nibabel")

_MADE_BY = re.compile(
    r"^(fsl|spm|itk|ants|afni|mrtrix|freesurfer|slicer|nipy|nibabel|dcm2nii|mricro|te=|time=|tr=|\d+(\.\d+)+|[a-z]+\s?v?\d+(\.\d+)*$)",
    re.IGNORECASE,
)
"""What programs write into the description: their name or version, echo times."""


def read_nifti(path: Path) -> Image:
    """A volume (channels, i, j, k) with its axes as stored, or a flat image (channels, rows, columns) where there is
    but one slice, along whichever axis. A fourth axis (time, echo) becomes the channels. Its content, not its name,
    shows whether the file is packed.

    Raises: BrokenImage where the file cannot be decoded."""
    with decoding(path, "NIfTI", (ImageFileError, HeaderDataError)):
        file = _opened(path)
        header = file.header
        shape, stored = tuple(int(length) for length in file.shape), header.get_data_dtype()
    if len(shape) < 2 or min(shape) < 1:
        raise BrokenImage(path, "images.array.no-image", shape=shape, dtype=stored)
    count = float(np.prod(shape, dtype=float)) * stored.itemsize
    check_size(path, count)
    if not _is_packed(path) and path.stat().st_size < count:
        raise BrokenImage(path, "images.damaged", what="NIfTI")
    with decoding(path, "NIfTI", (ImageFileError, HeaderDataError)):
        pixels = np.asanyarray(file.dataobj)
        names = _identifiers(header)
        scale = {"meter": 1000.0, "micron": 0.001}.get(header.get_xyzt_units()[0], 1.0)
        affine = _affine(header)
        zooms = tuple(float(zoom) * scale for zoom in header.get_zooms()[:3])
    pixels = _channels_first(path, pixels)
    spacing = (zooms + (1.0,) * 3)[:3]
    if affine is not None:
        affine = np.diag([scale, scale, scale, 1.0]) @ affine
        spacing = spacing_of(affine)
    facts = {
        "file_type": "NIfTI",
        "size": "x".join(map(str, pixels.shape[1:])),
        "bits": str(pixels.dtype.itemsize * 8),
    }
    if pixels.shape[1:].count(1) == 1 or pixels.shape[3] == 1:
        # Rows run along the second axis of the plane and columns along the first, as a viewer shows them.
        through = 2 if pixels.shape[3] == 1 else pixels.shape[1:].index(1)
        first, second = (axis for axis in range(3) if axis != through)
        pixels = np.take(pixels, 0, axis=1 + through).swapaxes(1, 2)
        affine = affine if affine is None else affine[:, [second, first, through, 3]]
        spacing = (spacing[second], spacing[first])
    known = spacing if all(np.isfinite(length) and length > 0 for length in spacing) else None
    return Image.of(pixels, path, spacing=known, affine=affine, header=facts, identifiers=names)


def _opened(path: Path) -> Any:
    """The file with its voxels unread: mapped from disk, or unpacked as a stream."""
    packed = _is_packed(path)
    if packed == path.name.lower().endswith(".gz") and path.name.lower().endswith((".nii", ".nii.gz")):
        return nibabel.load(path)
    stream: Any = gzip.open(path) if packed else path.open("rb")  # noqa: SIM115
    kind = nibabel.Nifti2Image if stream.read(8)[4:] == b"n+2\0" else nibabel.Nifti1Image
    stream.seek(0)
    return kind.from_stream(stream)


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _affine(header: Any) -> np.ndarray | None:
    """From the indices of a voxel to the world: by the sform, else by the qform; None where neither can be used."""
    for code, matrix in (("sform_code", header.get_sform), ("qform_code", header.get_qform)):
        if not header[code]:
            continue
        try:
            affine = np.asarray(matrix(), dtype=np.float64)
        except (HeaderDataError, np.linalg.LinAlgError):
            continue
        if np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-9:
            return affine
    return None


def _channels_first(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Shape (channels, i, j, k), native byte order, at most 32 bits."""
    if pixels.dtype.names:
        pixels = np.stack([pixels[name] for name in pixels.dtype.names[:3]], axis=-1)
    if pixels.dtype.kind not in "biuf" or pixels.ndim < 2 or 0 in pixels.shape:
        raise BrokenImage(path, "images.array.no-image", shape=pixels.shape, dtype=pixels.dtype)
    pixels = pixels.reshape(pixels.shape + (1,) * (4 - pixels.ndim))
    return np.moveaxis(narrowed(pixels.reshape(*pixels.shape[:3], -1)), -1, 0)


def _identifiers(header: nibabel.Nifti1Header) -> tuple[str, ...]:
    found = []
    for name in ("descrip", "db_name", "aux_file", "intent_name"):
        if name not in header:
            continue
        text = bytes(header[name].item()).decode("latin-1").strip("\0 ")
        if text and not _MADE_BY.match(text):
            found.append(name)
    codes = {extension.get_code() for extension in header.extensions}
    return (*found, *(f"extension {code}" for code in sorted(codes)))
