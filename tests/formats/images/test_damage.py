"""A damaged file is told apart from a mistake in medeor's own code, which keeps its traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from formats.images import dicom_files
from medeor.contracts import UserError
from medeor.formats.images import arrays
from medeor.formats.images.image import read_files

PIXELS = np.random.default_rng(0).integers(0, 255, (12, 12), np.uint8)


def picture(folder: Path) -> Path:
    Image.fromarray(PIXELS).save(folder / "x.png")
    return folder / "x.png"


def tiff(folder: Path) -> Path:
    tifffile.imwrite(folder / "x.tiff", PIXELS)
    return folder / "x.tiff"


def nifti(folder: Path) -> Path:
    nib.save(nib.Nifti1Image(PIXELS[None].repeat(3, 0), np.eye(4)), folder / "x.nii")
    return folder / "x.nii"


def dicom(folder: Path) -> Path:
    return dicom_files.write(folder / "x.dcm", PIXELS)


PLACES: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "picture": (picture, "medeor.formats.images.pictures._facts", "PIL.Image.open"),
    "tiff": (tiff, "medeor.formats.images.tiff._facts", "tifffile.TiffFile"),
    "nifti": (nifti, "medeor.formats.images.nifti._identifiers", ""),
    "dicom": (dicom, "medeor.formats.images.dicom.read.settle", "pydicom.dcmread"),
    "dicom pixels": (dicom, "medeor.formats.images.dicom.values.pixel_array", ""),
}


@pytest.mark.parametrize("kind", [kind for kind in PLACES if kind != "dicom pixels"])
def test_a_mistake_of_our_own_is_no_damage(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, ours, _ = PLACES[kind]
    path = make(tmp_path)
    read_files((path,))
    monkeypatch.setattr(ours, None)
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        read_files((path,))


@pytest.mark.parametrize("error", [AttributeError, TypeError, ValueError])
@pytest.mark.parametrize("kind", [kind for kind in PLACES if kind != "nifti"])
def test_what_a_decoder_raises_is_damage(
    error: type[Exception], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, ours, decoder = PLACES[kind]
    path = make(tmp_path)

    def fail(*given: object, **named: object) -> None:
        raise error("the bytes are odd")

    monkeypatch.setattr(decoder or ours, fail)
    with pytest.raises(UserError, match="truncated or damaged"):
        read_files((path,))


def test_a_mistake_of_our_own_in_an_archive_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "x.npz", images=PIXELS[None])
    assert arrays.members(tmp_path / "x.npz")["images"][0] == (1, 12, 12)
    monkeypatch.setattr(arrays, "_npy_header", None)
    with pytest.raises(TypeError):
        arrays.members(tmp_path / "x.npz")
