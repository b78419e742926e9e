"""Which images the DICOM files of a folder make: volumes of one series, single images, and what accompanies them."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from medeor.contracts import Message, Text
from medeor.formats.images.dicom.headers import UNREADABLE, number, settle
from medeor.formats.images.dicom.places import UNEVEN, Place, image_type, is_mosaic, place_of
from medeor.formats.images.dicom.values import DISPLAYED
from medeor.formats.images.folders import Found, ImageFiles
from medeor.formats.images.image import is_own_bug
from medeor.formats.values.targets import PARTS
from medeor.machine import threads

_WANTED = [
    "SOPClassUID", "SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "NumberOfFrames", "Modality",
    "Rows", "Columns", "ImageType", "SeriesDescription", "ProtocolName", "SliceThickness",
]  # fmt: skip
_NO_IMAGE = {"SR", "PR", "KO", "DOC", "RTSTRUCT", "RTPLAN", "RTRECORD", "REG", "FID", "PLAN", "AU", "ECG", "HD", "M3D"}
_STORAGE = "1.2.840.10008.5.1.4.1.1"
_NO_IMAGE_CLASSES = tuple(
    f"{_STORAGE}.{end}"
    for end in ("11.", "88.", "9.", "104.", "66.1", "66.2", "66.3", "66.5", "67", "4.2", "481.3", "481.4", "481.5",
                "481.6", "481.7", "481.8", "481.9", "68.1", "68.2")
)  # fmt: skip
"""Presentation states, reports, waveforms, documents, registrations, spectra, structures and plans of radiotherapy."""
_DIRECTORY = "1.2.840.10008.1.3.10"
_MASKS, _DOSES = Message("images.kinds.segmentations"), Message("images.kinds.doses")
_DERIVED = {"SEG": _MASKS, f"{_STORAGE}.66.4": _MASKS, "RTDOSE": _DOSES, f"{_STORAGE}.481.2": _DOSES}
LOCALISER, CAPTURE = Message("images.kinds.localisers"), Message("images.kinds.captures")
_LOCALISER = re.compile(
    r"(^|[^a-z])(localizers?|localisers?|scouts?|topograms?|surview|scanogram|scano|surveys?|3[\s_-]?plane|3pl|pilot)($|[^a-z])",
    re.IGNORECASE,
)
_SCREEN = re.compile(
    r"dose[\s_-]?(report|info|record)|patient[\s_-]?protocol|screen[\s_-]?(save|shot)|exam[\s_-]?summary", re.IGNORECASE
)
_IN_SPACE = {"CT", "MR", "PT", "NM"}
FARTHEST = 15.0
"""Millimetres between slices beyond which files in several folders are not taken for one volume, where the file says
nothing of their thickness."""


class _Header(NamedTuple):
    series: str = ""
    place: Place | None = None
    frames: int = 1
    size: tuple[int, int] = (0, 0)
    thickness: float = 0.0
    modality: str = ""
    role: Text = ""
    """What it is that accompanies images; empty for an image."""
    nothing: Text = ""
    """What a sound file is that holds no image."""

    @property
    def is_placed(self) -> bool:
        """Whether it is one slice of what may be a volume."""
        return bool(self.series) and self.frames == 1 and self.place is not None


_Slices = list[tuple[Path, _Header]]


def gathered(folder: Path, paths: Sequence[Path]) -> Found:
    """The images that these DICOM files below a folder make, in no order. `aside` are masks and doses where there is
    any image, and localisers and captures where there is a volume."""
    with ThreadPoolExecutor(threads()) as pool:
        headers = list(pool.map(_header, paths))
    others: Counter[Text] = Counter()
    singles: _Slices = []
    series: dict[str, dict[Path, _Slices]] = defaultdict(lambda: defaultdict(list))
    for path, header in zip(paths, headers):
        if header.nothing:
            others[header.nothing] += 1
        elif header.is_placed:
            series[header.series][path.parent].append((path, header))
        else:
            singles.append((path, header))
    volumes: list[tuple[Path, str, _Slices]] = []
    scattered: Counter[str] = Counter()
    for uid, places in series.items():
        if len(places) > 1:
            whole = [found for there in places.values() for found in there]
            joins = _is_one_volume(whole) and not _are_parts(folder, list(places))
            if joins:
                places = {Path(os.path.commonpath(list(places))): whole}
            if joins or sum(_is_stack(there) for there in places.values()) > 1:
                scattered["joined" if joins else "separate"] += 1
        for place, there in places.items():
            if _is_stack(there):
                volumes.append((place, uid, there))
            else:
                singles += there
    # Each image with its role and whether it is a volume.
    found: list[tuple[ImageFiles, Text, bool]] = []
    for place, uid, there in volumes:
        name = place.relative_to(folder).as_posix() if place != folder else folder.resolve().name
        if sum(other == place for other, _, _ in volumes) > 1:
            name += "#" + hashlib.sha256(uid.encode()).hexdigest()[:8]
        roles = {header.role for _, header in there}
        found.append((ImageFiles(name, tuple(path for path, _ in there)), roles.pop() if len(roles) == 1 else "", True))
    for path, header in singles:
        solid = header.frames > 1 and header.modality in _IN_SPACE
        found.append((ImageFiles(path.relative_to(folder).as_posix(), (path,)), header.role, solid))
    any_image = any(role not in _DERIVED.values() for _, role, _ in found)
    any_volume = any(solid and not role for _, role, solid in found)
    images, aside = [], []
    for image, role, solid in found:
        derived = role in _DERIVED.values()
        if role and (any_image if derived else any_volume and (not solid or role == LOCALISER)):
            aside.append((image, role))
        else:
            images.append(image)
    return Found(images, aside, [], others, scattered)


def _is_stack(slices: _Slices) -> bool:
    return len({tuple(header.place[0]) for _, header in slices if header.place is not None}) > 1


def _are_parts(folder: Path, places: Sequence[Path]) -> bool:
    """Whether the folders belong to several parts of an official split."""
    above = {next((p.lower() for p in place.relative_to(folder).parts if p.lower() in PARTS), "") for place in places}
    return len(above) > 1


def _is_one_volume(slices: _Slices) -> bool:
    """Whether slices from several folders are the parts of one even stack: no place twice, no gap."""
    headers = [header for _, header in slices]
    if len(headers) < 3 or len({(header.size, header.role) for header in headers}) > 1:
        return False
    positions, axes = (np.stack(parts) for parts in zip(*(header.place for header in headers if header.place)))
    if np.abs(axes - axes[0]).max() > 1e-3:
        return False
    heights = np.sort(positions @ np.cross(*axes[0]))
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    farthest = 2 * headers[0].thickness or FARTHEST
    return 1e-3 < usual <= farthest and np.abs(gaps - usual).max() <= UNEVEN * usual


def _header(path: Path) -> _Header:
    """What decides how a DICOM file is gathered. A damaged one counts as an image: reading it says what is wrong."""
    try:
        data = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=_WANTED)
        settle(data.file_meta)
    except UNREADABLE as error:
        if is_own_bug(error):
            raise
        return _Header()
    settle(data)
    kind = str(data.get("SOPClassUID") or data.file_meta.get("MediaStorageSOPClassUID") or "")
    modality = str(data.get("Modality") or "")
    if kind == _DIRECTORY:
        return _Header(nothing="DICOMDIR")
    if "Rows" not in data and (modality in _NO_IMAGE or kind.startswith(_NO_IMAGE_CLASSES)):
        return _Header(nothing=Message("images.kinds.no-image", modality=modality if modality in _NO_IMAGE else "-"))
    frames = max(1, int(min(number(data.get("NumberOfFrames"), 1.0), 1e9)))
    if modality in DISPLAYED:
        return _Header(modality=modality)
    place = None if is_mosaic(data) else place_of(data)
    return _Header(
        str(data.get("SeriesInstanceUID") or ""),
        place,
        frames,
        (int(number(data.get("Rows"), 0.0)), int(number(data.get("Columns"), 0.0))),
        number(data.get("SliceThickness"), 0.0),
        modality,
        _role_of(data, kind, modality, place is not None or is_mosaic(data)),
    )


def _role_of(data: Dataset, kind: str, modality: str, placed: bool) -> Text:
    if derived := _DERIVED.get(modality) or _DERIVED.get(kind):
        return derived
    words = " ".join(image_type(data)).upper()
    described = f"{data.get('SeriesDescription') or ''} / {data.get('ProtocolName') or ''}"
    if "LOCALIZER" in words or _LOCALISER.search(str(data.get("SeriesDescription") or "")):
        return LOCALISER
    frames = number(data.get("NumberOfFrames"), 1.0)
    if _SCREEN.search(described) or "SCREEN SAVE" in words or (not placed and frames <= 1):
        return CAPTURE
    return ""
