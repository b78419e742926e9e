"""Which images a folder holds: a file each, or DICOM slices gathered into their series."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from medeor.contracts import threads
from medeor.formats.images import DAMAGED, ENDINGS, BrokenImage, kind_of


class ImageFiles(NamedTuple):
    """One image of a folder."""

    name: str
    """Its path below the folder, with `/`: a file, or the folder of a series (with `#` and a digest of the series
    where several lie in one folder)."""
    files: tuple[Path, ...]
    """One file, or the slices of a volume."""


def find_images(folder: Path) -> list[ImageFiles]:
    """Every image below a folder, ordered by name; hidden files and folders are passed over.

    DICOM slices of one series that lie at different places in the patient make one volume; projections, films and
    single slices are an image each. A file that has the name of an image is listed even if it is none, so that
    reading it can say so."""
    images: list[ImageFiles] = []
    slices: list[Path] = []
    paths = list(_files(folder))
    with ThreadPoolExecutor(threads()) as pool:
        kinds = list(pool.map(kind_of, paths, chunksize=64))
    for path, kind in zip(paths, kinds):
        if kind == "dicom":
            slices.append(path)
        elif kind not in ("", "npz") or (not kind and path.name.lower().endswith(ENDINGS)):
            images.append(ImageFiles(path.relative_to(folder).as_posix(), (path,)))
    return sorted(images + _series(folder, slices))


def slices_in(folder: Path) -> tuple[Path, ...]:
    """The files of the one image in a folder. Raises: BrokenImage where there is none, or more than one."""
    images = find_images(folder)
    if len(images) != 1:
        count = f"{len(images)} images or series, not one" if images else "no image"
        raise BrokenImage(folder, f"holds {count}; name one of them")
    return images[0].files


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(names):
            if not name.startswith(".") and name.upper() != "DICOMDIR":
                yield Path(place, name)


class _Header(NamedTuple):
    series: str
    position: tuple[float, ...] | None
    frames: int


_NO_IMAGE = {"SR", "PR", "KO", "DOC", "RTSTRUCT", "RTPLAN", "RTRECORD", "REG", "FID", "PLAN", "AU", "ECG", "HD"}


def _series(folder: Path, paths: Iterable[Path]) -> list[ImageFiles]:
    paths = list(paths)
    with ThreadPoolExecutor(threads()) as pool:
        headers = list(pool.map(_header, paths))
    gathered: dict[tuple[Path, str], list[tuple[Path, _Header]]] = defaultdict(list)
    images = []
    for path, header in zip(paths, headers):
        if header is None:
            continue
        if header.series and header.frames == 1 and header.position is not None:
            gathered[path.parent, header.series].append((path, header))
        else:
            images.append(ImageFiles(path.relative_to(folder).as_posix(), (path,)))
    volumes = {key: tuple(path for path, _ in found) for key, found in gathered.items() if _is_stack(found)}
    beside = Counter(place for place, _ in volumes)
    for key, found in gathered.items():
        if key not in volumes:
            images += [ImageFiles(path.relative_to(folder).as_posix(), (path,)) for path, _ in found]
            continue
        place, uid = key
        name = place.relative_to(folder).as_posix() if place != folder else folder.resolve().name
        if beside[place] > 1:
            name += "#" + hashlib.sha256(uid.encode()).hexdigest()[:8]
        images.append(ImageFiles(name, volumes[key]))
    return images


def _is_stack(found: list[tuple[Path, _Header]]) -> bool:
    return len({header.position for _, header in found}) > 1


def _header(path: Path) -> _Header | None:
    """What decides how a DICOM file is gathered; None for a file that is sound and is no image."""
    import pydicom

    from medeor.formats.dicom import DISPLAYED

    wanted = [
        "SeriesInstanceUID",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "NumberOfFrames",
        "Modality",
        "Rows",
    ]
    try:
        data = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=wanted)
        if data.get("Modality") in _NO_IMAGE and "Rows" not in data:
            return None
        if data.get("Modality") in DISPLAYED:
            return _Header("", None, 1)
        position, directions = data.get("ImagePositionPatient"), data.get("ImageOrientationPatient")
        place = tuple(float(x) for x in position) if position and directions else None
        return _Header(str(data.get("SeriesInstanceUID") or ""), place, int(data.get("NumberOfFrames") or 1))
    except (pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException, *DAMAGED):
        return _Header("", None, 1)
