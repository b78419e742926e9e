"""What a folder holds: a case a file, a case a series, in one order."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from formats.images.dicom_files import data_set, write, write_series
from medeor.formats.images.folders import find_all
from medeor.formats.images.image import BrokenImage, read_files, read_image

VOLUME = np.arange(4 * 3 * 5, dtype=np.int16).reshape(4, 3, 5)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.zeros((3, 3), np.uint8)).save(path)


def names(folder: Path) -> list[str]:
    return [image.name for image in find_all(folder).images]


def test_images_are_found_by_content_in_order_and_hidden_files_passed_over(tmp_path: Path) -> None:
    for name in ("b/2.png", "a.png", "b/1.jpg", ".hidden/c.png", "b/.c.png", "__MACOSX/d.png"):
        picture(tmp_path / name)
    (tmp_path / "picture").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "broken.png").write_text("no picture")
    assert names(tmp_path) == ["a.png", "b/1.jpg", "b/2.png", "broken.png", "picture"]


def test_slices_of_a_series_are_one_case(tmp_path: Path) -> None:
    order = ["z.dcm", "a.dcm", "m", "b.dcm"]
    write_series(tmp_path / "p1", VOLUME, order)
    write_series(tmp_path / "p2/ct", VOLUME + 100, order)
    write_series(tmp_path / "p2/both", VOLUME, [f"1{name}" for name in order])
    write_series(tmp_path / "p2/both", VOLUME, [f"2{name}" for name in order])
    found = find_all(tmp_path).images
    assert [image.name.partition("#")[0] for image in found] == ["p1", "p2/both", "p2/both", "p2/ct"]
    assert len({image.name for image in found}) == 4
    np.testing.assert_array_equal(read_files(found[0].files).pixels[0], VOLUME)
    np.testing.assert_array_equal(read_files(found[3].files).pixels[0], VOLUME + 100)


def test_projections_and_single_slices_are_a_case_each(tmp_path: Path) -> None:
    write_series(tmp_path / "chest", VOLUME[:2], ["1", "2"], Modality="DX")
    write_series(tmp_path / "one", VOLUME[:1], ["1"])
    write(tmp_path / "scan/a", VOLUME[0], Modality="US", SeriesInstanceUID="1.2")
    write(tmp_path / "scan/b", VOLUME[0], Modality="US", SeriesInstanceUID="1.2")
    assert names(tmp_path) == ["chest/1", "chest/2", "one/1", "scan/a", "scan/b"]


def test_dicom_without_an_image_is_none_but_a_damaged_one_is_told(tmp_path: Path) -> None:
    report = data_set(VOLUME[0], Modality="SR")
    for name in ("PixelData", "Rows", "Columns"):
        del report[name]
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    whole = write(tmp_path / "image.dcm", VOLUME[0], Modality="CT")
    (tmp_path / "cut.dcm").write_bytes(whole.read_bytes()[:200])
    (tmp_path / "DICOMDIR").write_bytes(whole.read_bytes())
    assert names(tmp_path) == ["cut.dcm", "image.dcm"]
    with pytest.raises(BrokenImage):
        read_image(tmp_path / "cut.dcm")


def test_a_folder_of_several_images_is_no_image(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert read_image(tmp_path).size == (3, 3)
    picture(tmp_path / "b.png")
    with pytest.raises(BrokenImage, match="holds 2 images or series, not one"):
        read_image(tmp_path)


def test_dicom_that_is_a_tiff_as_well_is_read_as_dicom(tmp_path: Path) -> None:
    content = write(tmp_path / "a.dcm", VOLUME[0], Modality="CT").read_bytes()
    (tmp_path / "a.dcm").write_bytes(b"II*\0" + content[4:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").pixels[0], VOLUME[0])


def test_dicom_without_its_preamble_is_found(tmp_path: Path) -> None:
    content = write(tmp_path / "a.dcm", VOLUME[0], Modality="CT").read_bytes()
    (tmp_path / "a.dcm").write_bytes(content[132:])
    assert names(tmp_path) == ["a.dcm"]
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").pixels[0], VOLUME[0])
