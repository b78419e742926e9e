"""NIfTI: volumes with their place in the patient."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from medeor.contracts import UserError
from medeor.formats.images import BrokenImage, Image, damage_told, made_finite, silence, spacing_of

silence("nibabel")

_MADE_BY = re.compile(
    r"^(fsl|spm|itk|ants|afni|mrtrix|freesurfer|slicer|nipy|nibabel|dcm2nii|mricro|te=|time=|tr=|\d+(\.\d+)+|[a-z]+\s?v?\d+(\.\d+)*$)",
    re.IGNORECASE,
)
"""What programs write into the description: their name or version, echo times."""


def read_nifti(path: Path, volume: int | None = None) -> Image:
    """A volume (channels, i, j, k) with its axes as stored, or a flat image (channels, rows, columns) where there is
    but one slice. A fourth axis (time, echo) becomes the channels, or `volume` picks one of it.

    Raises: BrokenImage where the file cannot be decoded; UserError for a `volume` that there is not."""
    with damage_told(path, "NIfTI", (ImageFileError, HeaderDataError)):
        file: Any = nibabel.load(path)
        header = file.header
        pixels = np.asanyarray(file.dataobj)
        names = _identifiers(header)
        scale = {"meter": 1000.0, "micron": 0.001}.get(header.get_xyzt_units()[0], 1.0)
        placed = bool(header["sform_code"]) or bool(header["qform_code"])
        affine = np.asarray(file.affine, dtype=np.float64)
        zooms = tuple(float(zoom) * scale for zoom in header.get_zooms()[:3])
    pixels = _channels_first(path, pixels)
    if volume is not None:
        if not 0 <= volume < len(pixels):
            raise UserError(f"{path}: there is no volume {volume}; its volumes are 0 to {len(pixels) - 1}")
        pixels = pixels[volume : volume + 1]
    affine = np.diag([scale, scale, scale, 1.0]) @ affine
    usable = placed and bool(np.isfinite(affine).all()) and abs(np.linalg.det(affine[:3, :3])) > 1e-9
    spacing = spacing_of(affine) if usable else (zooms + (1.0,) * 3)[:3]
    facts = {
        "file_type": "NIfTI",
        "size": "x".join(str(length) for length in pixels.shape[1:]),
        "bits": str(pixels.dtype.itemsize * 8),
    }
    pixels, nonfinite = made_finite(pixels, path)
    if pixels.shape[3] == 1:
        # Rows run along the second axis of the file and columns along the first, as a viewer shows them.
        pixels, affine, spacing = pixels[..., 0].swapaxes(1, 2), affine[:, [1, 0, 2, 3]], (spacing[1], spacing[0])
    return Image(
        np.ascontiguousarray(pixels),
        spacing=spacing if all(length > 0 for length in spacing) else None,
        affine=affine if usable else None,
        header=facts,
        identifiers=names,
        nonfinite=nonfinite,
    )


def _channels_first(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Shape (channels, i, j, k), native byte order, at most 32 bits."""
    if pixels.dtype.names:
        pixels = np.stack([pixels[name] for name in pixels.dtype.names[:3]], axis=-1)
    if pixels.dtype.kind not in "biuf":
        raise BrokenImage(path, f"its voxels are {pixels.dtype}, not plain numbers")
    if pixels.ndim < 2 or 0 in pixels.shape:
        raise BrokenImage(path, f"its shape is {pixels.shape}, which is no image")
    pixels = pixels.reshape(pixels.shape + (1,) * (4 - pixels.ndim))
    pixels = pixels.reshape(*pixels.shape[:3], -1)
    if pixels.dtype.kind == "f" or pixels.dtype.itemsize > 4:
        pixels = pixels.astype(np.float32)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return np.moveaxis(pixels, -1, 0)


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
