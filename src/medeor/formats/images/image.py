"""What an image is, whatever file it came from, and how one is read.

World coordinates are RAS+ everywhere in medeor: millimetres that grow towards the patient's right, front and head.
DICOM, which counts to the left and the back, is turned once, when it is read."""

from __future__ import annotations

import gzip
import logging
import lzma
import struct
import tokenize
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medeor.contracts import Message, Text, UserError

DAMAGED = (
    OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError, RuntimeError,
    SyntaxError, ArithmeticError, AssertionError, MemoryError, struct.error, tokenize.TokenError, zlib.error,
    lzma.LZMAError,
)  # fmt: skip
"""What the decoders that medeor stands on raise when they meet bytes that are not what they should be."""


def is_own_bug(error: BaseException) -> bool:
    """Whether an error comes from a mistake in medeor's own code, and not from a decoder: an attribute that there is
    not, or a wrong type, where the code that raised it is ours. Such an error says nothing of a file."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    ours = last is not None and str(last.tb_frame.f_globals.get("__name__", "")).startswith("medeor.")
    return ours and isinstance(error, (AttributeError, TypeError))


class BrokenImage(UserError):
    """One image that cannot be used. Among many it is set aside with its `reason` and listed in the audit; alone it
    is an error of the user's, whose message also names the file. The reason is a message, or its key and values."""

    def __init__(self, path: Path | Text, reason: Text, /, **values: Any) -> None:
        self.path = path
        self.reason = Message(reason, **values) if isinstance(reason, str) else reason
        super().__init__("images.broken", path=path, reason=self.reason)


@contextmanager
def decoding(path: Path, what: str, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turns what a decoder (of `what`) raises into BrokenImage, `also` what its library alone raises; an `is_own_bug`
    stays itself. The decoder's own words are left out: they may hold names of files and values of a header."""
    errors: tuple[type[Exception], ...] = (*DAMAGED, *also)
    try:
        yield
    except errors as error:
        if is_own_bug(error):
            raise
        raise BrokenImage(path, "images.damaged", what=what) from error


LARGEST = 3 << 29
"""Bytes of pixels up to which an image is read: a CT of 3,000 slices. A header that claims more is more likely wrong,
or meant to exhaust the memory."""


def check_size(path: Path, count: float) -> None:
    """Raises: BrokenImage where an image of this many bytes is too large to be read."""
    if not count <= LARGEST:
        raise BrokenImage(path, "images.too-large", needed=count / 2**30, most=LARGEST / 2**30)


def silence(library: str) -> None:
    """Keeps a decoder from warning and logging: BrokenImage reports what matters of a damaged file, once. Filters
    are set once for all, as a context around each call would not be safe among threads."""
    warnings.filterwarnings("ignore", module=rf"{library}(\.|$)")
    logging.getLogger(library).setLevel(logging.CRITICAL)


@dataclass(frozen=True, eq=False)
class Image:
    """Pixels or voxels with what their file says of them."""

    pixels: np.ndarray
    """Shape (channels, rows, columns), or (channels, *three axes in the order of the file) for a volume: slices, rows
    and columns for DICOM, TIFF and arrays, i, j and k for NIfTI. Finite; in the stored type, or rescaled to HU and
    the like (int16 or float32)."""
    spacing: tuple[float, ...] | None = None
    """Millimetres between neighbours along each spatial axis; None where any of them is unknown."""
    affine: np.ndarray | None = None
    """Shape (4, 4): from the indices along the spatial axes (of a flat image: row, column and a step off its plane)
    to RAS+ millimetres. None where the place in the patient is unknown."""
    modality: str = ""
    """As DICOM has it: CT, MR, DX, …; empty where the file does not say."""
    header: Mapping[str, str] = field(default_factory=dict)
    """How it was acquired and stored, without anything that identifies: maker, tube voltage, compression, …"""
    identifiers: tuple[str, ...] = ()
    """Names (never values) of header fields that hold something by which a person can be found."""
    nonfinite: int = 0
    """Pixels that were NaN or infinite; they have been given the lowest finite value."""
    patient: str = ""
    """Digest of the patient's identity, which keeps images of one patient together; empty where unknown."""
    study: str = ""
    """Digest of the examination's DICOM identifier, else of the series'; both belong to one patient."""
    uid: str = ""
    """Digest of its own DICOM identifier: of the file, or of the series whose slices make the volume."""

    @classmethod
    def of(cls, pixels: np.ndarray, path: Path | Text, **known: Any) -> Image:
        """The image of pixels that may not all be finite; `known` are further fields.

        Raises: BrokenImage where none is finite."""
        count = 0
        if pixels.dtype.kind == "f":
            finite = np.isfinite(pixels)
            count = int(pixels.size - np.count_nonzero(finite))
            if count and count == pixels.size:
                raise BrokenImage(path, "images.not-finite")
            pixels = np.where(finite, pixels, pixels[finite].min()) if count else pixels
        return cls(np.ascontiguousarray(pixels), nonfinite=count, **known)

    @property
    def size(self) -> tuple[int, ...]:
        """Lengths of the spatial axes."""
        return self.pixels.shape[1:]


FileKind = Literal["dicom", "nifti", "png", "jpeg", "tiff", "bmp", "webp", "npy", "npz", ""]


def kind_of(path: Path) -> FileKind:
    """The format of a file by its content, whatever its name; empty where it is no image or cannot be opened."""
    try:
        with path.open("rb") as file:
            head = file.read(352)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                return "nifti" if _is_nifti(file.read(352)) else ""
    except (OSError, EOFError, zlib.error):
        return ""
    # First, as the 128 bytes before this mark may be those of a TIFF.
    if head[128:132] == b"DICM" or head.startswith(_BARE_DICOM):
        return "dicom"
    for kind, start in _STARTS.items():
        if head.startswith(start):
            return kind
    if _is_nifti(head):
        return "nifti"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "bmp"
    return "npz" if head[:4] == b"PK\3\4" and b".npy" in head[30:] else ""


_STARTS: dict[FileKind, tuple[bytes, ...]] = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpeg": (b"\xff\xd8\xff",),
    "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "npy": (b"\x93NUMPY",),
}
_BARE_DICOM = tuple(bytes([group, 0, element, 0]) for group in (2, 8) for element in (0, 1, 2, 5, 8, 0x10, 0x16, 0x18))
"""First tag of data sets without the preamble of part 10: file meta, or character set, image type, class and UID."""


def _is_nifti(head: bytes) -> bool:
    return head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0"


def read_image(path: Path) -> Image:
    """The image in a file, or the volume in a folder of DICOM slices of one series. Several frames, pages or slices
    make a volume, several NIfTI volumes the channels of one.

    Raises: UserError where there is no such file; BrokenImage, which is one too, where it cannot be used."""
    path = Path(path)
    if path.is_dir():
        from medeor.formats.images.folders import slices_in

        return read_files(slices_in(path))
    if not path.is_file():
        raise UserError("common.no-file", path=path)
    image = _of_file(path)
    if not image.pixels.size:
        raise BrokenImage(path, "images.no-pixels")
    return image


def _of_file(path: Path) -> Image:
    match kind_of(path):
        case "dicom":
            from medeor.formats.images.dicom.read import read_dicom

            return read_dicom(path)
        case "nifti":
            from medeor.formats.images.nifti import read_nifti

            return read_nifti(path)
        case "tiff":
            from medeor.formats.images.tiff import read_tiff

            return read_tiff(path)
        case "png" | "jpeg" | "bmp" | "webp":
            from medeor.formats.images.pictures import read_picture

            return read_picture(path)
        case "npy":
            from medeor.formats.images.arrays import read_npy

            return read_npy(path)
        case "npz":
            raise BrokenImage(path, "images.archive.many")
    raise BrokenImage(path, _why_none(path))


def read_files(files: tuple[Path, ...]) -> Image:
    """The image in one file, or the volume of several DICOM slices."""
    if len(files) == 1:
        return read_image(files[0])
    from medeor.formats.images.dicom.read import read_series

    return read_series(files)


def _why_none(path: Path) -> Message:
    from medeor.formats.images.folders import unread_kind

    if not path.stat().st_size:
        return Message("images.empty")
    kind = unread_kind(path)
    return Message("images.not-read", kind=kind) if kind else Message("images.no-image")


def grey_or_colour(pixels: np.ndarray) -> np.ndarray:
    """Pixels (3, …) of a picture; (1, …) where red, green and blue are the same throughout."""
    grey = np.array_equal(pixels[0], pixels[1]) and np.array_equal(pixels[0], pixels[2])
    return pixels[:1] if grey else pixels


def narrowed(pixels: np.ndarray) -> np.ndarray:
    """Pixels of at most 32 bits in the byte order of this machine; floating-point and 64-bit numbers as float32."""
    if pixels.dtype.kind == "f" or pixels.dtype.itemsize > 4:
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32, copy=False)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def reoriented(image: Image, axes: str = "SPL") -> Image:
    """A volume with its axes turned to run, as nearly as they can without resampling, towards these directions.

    The default is what a radiologist looks at: slices upwards (S), rows from front to back (P), columns to the
    patient's left (L), which is shown on the right. A single slice is turned to how its plane is looked at: rows
    downwards or, in an axial one, to the back; columns to the patient's left or, in a sagittal one, to the back. An
    image without a known place stays as it is."""
    if image.affine is None:
        return image
    from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

    flat = len(image.size) == 2
    found = io_orientation(image.affine)
    if np.isnan(found).any():
        return image
    if flat:
        # The world's axis that the plane is seen along: left to right (sagittal), back to front, feet to head.
        axes = {0: "IPL", 1: "ILP", 2: "PLS"}[int(found[2, 0])]
    turn = ornt_transform(found, axcodes2ornt(tuple(axes)))
    size = (*image.size, 1) if flat else image.size
    pixels = np.moveaxis(image.pixels, 0, -1)
    pixels = apply_orientation(pixels[:, :, None] if flat else pixels, turn)
    pixels = np.moveaxis(pixels[:, :, 0] if flat else pixels, -1, 0)
    affine = image.affine @ inv_ornt_aff(turn, size)
    spacing = spacing_of(affine)
    return replace(image, pixels=np.ascontiguousarray(pixels), affine=affine, spacing=spacing[:2] if flat else spacing)


def spacing_of(affine: np.ndarray) -> tuple[float, ...]:
    """Millimetres between neighbours along the three axes of an affine."""
    return tuple(float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
