"""Which images a folder holds: a file each, or DICOM slices gathered into their series; and what else lies there."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from medeor.contracts import Message, Text
from medeor.formats.images.facts import ENDINGS
from medeor.formats.images.image import BrokenImage, kind_of
from medeor.formats.images.masks import masks_among
from medeor.machine import threads

UNREAD: tuple[tuple[Text, tuple[str, ...]], ...] = (
    ("GIF", (".gif",)), ("JPEG 2000", (".jp2", ".j2k", ".jpx", ".jpf", ".j2c")), ("JPEG XL", (".jxl",)),
    ("HEIF", (".heic", ".heif", ".avif")), ("NRRD", (".nrrd", ".nhdr")), ("FreeSurfer", (".mgz", ".mgh")),
    ("MetaImage", (".mha", ".mhd")), ("ANALYZE", (".hdr", ".img", ".hdr.gz", ".img.gz")), ("MINC", (".mnc",)),
    ("Philips PAR/REC", (".par", ".rec")), ("GIPL", (".gipl",)), ("VTK", (".vtk", ".vti")), ("FITS", (".fits", ".fit")),
    (Message("images.kinds.slide"), (".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".bif", ".vsi")),
    (Message("images.kinds.microscopy"), (".czi", ".lif", ".nd2", ".oib", ".oif", ".lsm", ".ims")),
    ("Netpbm", (".ppm", ".pgm", ".pbm", ".pnm")), ("TGA", (".tga",)), ("OpenEXR", (".exr",)), ("PSD", (".psd",)),
    (Message("images.kinds.video"), (".avi", ".mp4", ".mov", ".mkv", ".wmv", ".mpg", ".mpeg", ".webm")),
    (Message("images.kinds.packed", kind="NIfTI"), (".nii.bz2", ".nii.xz", ".nii.zst", ".nii.zip")),
    (Message("images.kinds.packed", kind="DICOM"), (".dcm.gz", ".dcm.zip")),
    (Message("images.kinds.raw"), (".raw", ".zraw", ".bin")),
)  # fmt: skip
"""Kinds of pictures that medeor does not read, and how their names end."""
_DATA_OF = {".img": (".hdr",), ".rec": (".par",), ".raw": (".mhd", ".nhdr"), ".zraw": (".mhd",)}
"""Files of pixels and the files that describe them: the pair is one image."""
HOLDERS = {".npz", ".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".7z", ".rar", ".h5", ".hdf5", ".mat", ".pkl", ".pt"}
"""Endings of what may hold images inside, as `Found.others` has them."""
_OTHERS = {
    ".txt", ".csv", ".tsv", ".xls", ".xlsx", ".ods", ".json", ".jsonl", ".xml", ".pdf", ".doc", ".docx", ".md", ".html",
    ".htm", ".log", ".ini", ".db", ".toml", ".yaml", ".yml", ".py", ".ipynb", ".exe", ".dll", ".inf", ".svg",
    ".parquet", ".bval", ".bvec", ".rtf", ".lnk", ".url", ".css", ".js", ".dat",
}  # fmt: skip
_THUMBNAIL = re.compile(r"(^|[^a-z])thumb(nail)?s?($|[^a-z])", re.IGNORECASE)


class ImageFiles(NamedTuple):
    """One image of a folder."""

    name: str
    """Its path below the folder, with `/`: a file, or the folder of a series (with `#` and a digest of the series
    where several lie in one folder)."""
    files: tuple[Path, ...]
    """One file, or the slices of a volume."""

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(map(str, self.files))


class Found(NamedTuple):
    """What lies below a folder."""

    images: list[ImageFiles]
    aside: list[tuple[ImageFiles, Text]]
    """Images that accompany others (masks, doses, localisers, captures, thumbnails), and what they are."""
    unread: list[tuple[ImageFiles, Text]]
    """Pictures of a kind that medeor does not read, and which."""
    others: Counter[Text]
    """How many other files there are, by what they are."""
    scattered: Counter[str]
    """Series whose slices lie in several folders: `joined` into one volume, or `separate`."""


def find_all(folder: Path) -> Found:
    """Everything below a folder, ordered by name; hidden files and folders are passed over.

    DICOM slices of one series that lie at different places in the patient make one volume; projections, films and
    single slices are an image each. A file that has the name of an image is listed even if it is none, so that
    reading it can say so. Masks, doses, localisers and captures are no images of their own where there are others."""
    from medeor.formats.images.dicom.folders import gathered

    images: list[ImageFiles] = []
    aside: list[tuple[ImageFiles, Text]] = []
    unread: list[tuple[ImageFiles, Text]] = []
    others: Counter[Text] = Counter()
    slices: list[Path] = []
    paths = list(_files(folder))
    with ThreadPoolExecutor(threads()) as pool:
        kinds = list(pool.map(kind_of, paths, chunksize=64))
    known = {path.as_posix().lower() for path in paths}
    for path, kind in zip(paths, kinds):
        image = ImageFiles(path.relative_to(folder).as_posix(), (path,))
        if kind == "dicom" and path.name.upper() != "DICOMDIR":
            slices.append(path)
        elif kind not in ("", "npz", "dicom") or (not kind and path.name.lower().endswith(ENDINGS)):
            parent = path.parent.name if path.parent != folder else ""
            if _THUMBNAIL.search(path.stem) or _THUMBNAIL.fullmatch(parent):
                aside.append((image, Message("images.kinds.thumbnails")))
            else:
                images.append(image)
        elif described := unread_kind(path, known):
            unread.append((image, described))
        else:
            others[_what(path, known)] += 1
    dicom = gathered(folder, slices)
    masks = masks_among([image.name for image in images])
    aside += [(image, Message("images.kinds.masks")) for image in images if image.name in masks]
    images = [image for image in images if image.name not in masks]
    images, aside = images + dicom.images, aside + dicom.aside
    if not images:
        images, aside = [image for image, _ in aside], []
    return Found(sorted(images), sorted(aside), sorted(unread), others + dicom.others, dicom.scattered)


def unread_kind(path: Path, known: set[str] | None = None) -> Text:
    """What kind of picture that medeor does not read a file is, by its name; empty where it is none. `known`: names of
    the files around it, so that pixels which another file describes are counted with that one."""
    name = path.name.lower()
    kind = next((kind for kind, endings in UNREAD if name.endswith(endings)), "")
    return "" if kind and known and _is_described(path, known) else kind


def _is_described(path: Path, known: set[str]) -> bool:
    plain = path.as_posix().lower().removesuffix(".gz")
    stem, ending = os.path.splitext(plain)
    return any(stem + other in known or f"{stem}{other}.gz" in known for other in _DATA_OF.get(ending, ()))


def _what(path: Path, known: set[str]) -> Text:
    """How a file that is no picture is called in the audit: by its ending, if that is one of those in common use, as
    another may be part of a name."""
    ending = path.suffix.lower()
    if ending in _OTHERS or ending in HOLDERS or (ending in _DATA_OF and _is_described(path, known)):
        return ending
    return "DICOMDIR" if path.name.upper() == "DICOMDIR" else Message("images.kinds.no-ending")


def slices_in(folder: Path) -> tuple[Path, ...]:
    """The files of the one image in a folder. Raises: BrokenImage where there is none, or more than one."""
    images = find_all(folder).images
    if len(images) != 1:
        raise BrokenImage(folder, "images.folder.several" if images else "images.folder.none", count=len(images))
    return images[0].files


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(place, name)
