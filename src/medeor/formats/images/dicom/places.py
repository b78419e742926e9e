"""Where the pixels of DICOM lie in the patient: slices, frames, and the tiles of a mosaic."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from medeor.contracts import listed
from medeor.formats.images.dicom.headers import UNREADABLE, number, numbers
from medeor.formats.images.image import BrokenImage

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
UNEVEN = 0.1
"""Gaps between slices may differ from the usual one by this part of it."""
ALIKE = 0.01
"""Pixel spacings of the slices of one volume may differ by this part."""

warnings.filterwarnings("ignore", message=r"\s*The DICOM readers are highly experimental")

_PER_FRAME = (
    "PixelSpacing", "ImagerPixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope",
    "RescaleIntercept", "DoseGridScaling", "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence",
    "BitsStored", "PixelRepresentation", "SliceThickness", "SequenceOfUltrasoundRegions",
)  # fmt: skip

Place = tuple[np.ndarray, np.ndarray]
"""Position (3,) of the first pixel and directions (2, 3) of a row and of a column, in DICOM's LPS+."""


def frame_facts(data: Dataset, index: int) -> Dataset:
    """What holds for one frame: the data set with the functional groups, shared and its own, laid over it."""
    groups = list(data.get("SharedFunctionalGroupsSequence") or [])[:1]
    own = data.get("PerFrameFunctionalGroupsSequence") or []
    groups += [own[index]] if index < len(own) else []
    if not groups:
        return data
    facts = Dataset()
    lost = set(getattr(data, "lost", ()))
    for name in _PER_FRAME:
        if name in data:
            facts[name] = data[name]
    for group in groups:
        for element in group:
            if element.VR == "SQ" and element.value:
                lost |= set(getattr(element.value[0], "lost", ()))
                for inner in element.value[0]:
                    facts[inner.tag] = inner
    object.__setattr__(facts, "lost", frozenset(lost))
    return facts


def in_plane(facts: Dataset) -> tuple[float, float] | None:
    """Millimetres between rows and between columns."""
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        found = numbers(facts.get(name))
        if len(found) == 2 and all(math.isfinite(length) and length > 0 for length in found):
            return found[0], found[1]
    regions = facts.get("SequenceOfUltrasoundRegions")
    if regions and regions[0].get("PhysicalUnitsXDirection") == 3 and regions[0].get("PhysicalUnitsYDirection") == 3:
        down, across = (abs(number(regions[0].get(f"PhysicalDelta{axis}"), 0.0)) * 10 for axis in "YX")
        return (down, across) if min(down, across) > 0 else None
    return None


def place_of(facts: Dataset) -> Place | None:
    """Where the image lies, if the file says."""
    position, directions = numbers(facts.get("ImagePositionPatient")), numbers(facts.get("ImageOrientationPatient"))
    if len(position) != 3 or len(directions) != 6 or not np.isfinite([*position, *directions]).all():
        return None
    return np.array(position), np.array(directions).reshape(2, 3)


def flat_affine(facts: Dataset, spacing: tuple[float, float]) -> np.ndarray | None:
    """(row, column, step off the plane) → RAS+ mm."""
    place = place_of(facts)
    if place is None:
        return None
    position, (along_row, along_column) = place
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along_column * spacing[0], along_row * spacing[1]
    affine[:3, 2] = np.cross(along_row, along_column) * (number(facts.get("SliceThickness"), 0.0) or 1.0)
    affine[:3, 3] = position
    return LPS_TO_RAS @ affine


def frames_in_space(path: Path, facts: Sequence[Dataset]) -> tuple[Sequence[int], np.ndarray | None]:
    """The order of the frames along their normal and the affine of the volume; as stored, and None, where the frames
    are no stack in space (a film, several views)."""
    places = [place_of(one) for one in facts]
    positions = {tuple(place[0]) for place in places if place is not None}
    if in_plane(facts[0]) is None or None in places or len(positions) < 2:
        return range(len(facts)), None
    return stacked(path, places, [in_plane(one) for one in facts])


def stacked(
    where: Path, places: Sequence[Place | None], spacings: Sequence[tuple[float, float] | None]
) -> tuple[list[int], np.ndarray]:
    """Order of slices along their normal, and the affine (slice, row, column) → RAS+ mm. A stack that leans (gantry
    tilt) gives a sheared affine.

    Raises: BrokenImage where the slices make no even stack."""
    known = [place for place in places if place is not None]
    lengths = [spacing for spacing in spacings if spacing is not None]
    if len(known) < len(places) or len(lengths) < len(places):
        lacking = len(places) - min(len(known), len(lengths))
        raise BrokenImage(where, "images.dicom.unplaced", count=lacking)
    positions = np.stack([position for position, _ in known])
    axes = np.stack([directions for _, directions in known])
    if np.abs(axes - axes[0]).max() > 1e-3:
        raise BrokenImage(where, "images.dicom.orientations")
    if (np.ptp(lengths, axis=0) > ALIKE * np.array(lengths[0])).any():
        found = sorted({f"{row:.3g} x {column:.3g}" for row, column in lengths})
        raise BrokenImage(where, "images.dicom.spacings", spacings=listed(found, 4))
    along_row, along_column = axes[0]
    height = positions @ np.cross(along_row, along_column)
    order = np.argsort(height, kind="stable")
    gaps = np.diff(height[order])
    same = int(np.count_nonzero(gaps < 1e-3))
    if same:
        raise BrokenImage(where, "images.dicom.one-place", count=same, slices=len(known))
    usual = float(np.median(gaps))
    if np.abs(gaps - usual).max() > UNEVEN * usual:
        raise BrokenImage(where, "images.dicom.uneven", least=gaps.min(), most=gaps.max(), usual=usual)
    first, last = positions[order[0]], positions[order[-1]]
    affine = np.eye(4)
    affine[:3, 0] = (last - first) / (len(known) - 1)
    affine[:3, 1], affine[:3, 2] = along_column * lengths[0][0], along_row * lengths[0][1]
    affine[:3, 3] = first
    return order.tolist(), LPS_TO_RAS @ affine


# Mosaics -----------------------------------------------------------------------------------------------------------


def is_mosaic(data: Dataset) -> bool:
    """Whether a flat image holds the slices of a volume as tiles, as Siemens writes functional MR."""
    return "MOSAIC" in image_type(data)


def image_type(data: Dataset) -> list[str]:
    """The values of ImageType, such as ORIGINAL, PRIMARY, AXIAL."""
    kinds = data.get("ImageType") or ()
    return [kinds] if isinstance(kinds, str) else list(map(str, kinds))


def cut(
    path: Path, mosaic: np.ndarray, data: Dataset
) -> tuple[np.ndarray, tuple[float, float, float] | None, np.ndarray | None]:
    """The volume (slices, rows, columns) of a mosaic (rows, columns), its spacing, and its affine where the file says
    towards which side the slices follow one another.

    Raises: BrokenImage where the file does not say how many slices there are."""
    count, normal = _slices_of(data)
    across = math.ceil(math.sqrt(count))
    if count < 2 or mosaic.shape[0] % across or mosaic.shape[1] % across:
        raise BrokenImage(path, "images.dicom.mosaic")
    rows, columns = mosaic.shape[0] // across, mosaic.shape[1] // across
    tiles = mosaic.reshape(across, rows, across, columns).swapaxes(1, 2).reshape(across * across, rows, columns)
    gap = number(data.get("SpacingBetweenSlices"), 0.0) or number(data.get("SliceThickness"), 0.0)
    plane, place = in_plane(data), place_of(data)
    if plane is None or gap <= 0:
        return tiles[:count], None, None
    if place is None or normal is None:
        return tiles[:count], (gap, *plane), None
    # The position is that of the mosaic's corner, as if it were one large slice about the same centre.
    corner, (along_row, along_column) = place
    step_down, step_across = along_column * plane[0], along_row * plane[1]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = normal * gap, step_down, step_across
    affine[:3, 3] = corner + step_down * (mosaic.shape[0] - rows) / 2 + step_across * (mosaic.shape[1] - columns) / 2
    return tiles[:count], (gap, *plane), LPS_TO_RAS @ affine


def _slices_of(data: Dataset) -> tuple[int, np.ndarray | None]:
    """How many slices a mosaic holds (0: unknown), and the direction in which they follow one another."""
    from nibabel.nicom import csareader

    count, normal = 0, None
    with suppress(*UNREADABLE):
        count = int(number(data.private_block(0x0019, "SIEMENS MR HEADER")[0x0A].value, 0))
    with suppress(*UNREADABLE, csareader.CSAReadError):
        header = csareader.get_csa_header(data, "image")
        if header is not None:
            count = count or int(csareader.get_n_mosaic(header) or 0)
            normal = csareader.get_slice_normal(header)
    usable = normal is not None and normal.shape == (3,) and np.isfinite(normal).all() and np.any(normal)
    return count, normal if usable else None
