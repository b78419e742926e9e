"""Simulated hospitals become real files that other libraries read, and that say they are simulated."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import pydicom
import pytest
from PIL import Image

from medeor.contracts import UserError
from medeor.simulate import Hospital, Planted, hospital, is_simulated, write


def small(kind: str = "xray", **mistakes: object) -> Hospital:
    size = (10, 10, 10) if kind == "ct" else (20, 20)
    return hospital(12, seed=1, kind=kind, size=size, plant=Planted(**mistakes))


def margin(made: Hospital, row: int) -> int:
    return made.scanners[ord(made.table["site"][row]) - ord("A")].margin


def test_png_files_hold_the_images_each_with_its_sites_margin(tmp_path: Path) -> None:
    made = small()
    labels = pl.read_csv(write(made, tmp_path / "out") / "labels.csv")
    assert labels.drop("image").equals(made.table.with_columns(pl.col("simulated").cast(pl.Boolean)))
    sizes = set()
    for row, name in enumerate(labels["image"]):
        pixels = np.array(Image.open(tmp_path / "out" / name))
        m = margin(made, row)
        assert pixels.shape == (20 + 2 * m, 20 + 2 * m)
        assert (pixels[m : 20 + m, m : 20 + m] == made.images[row]).all()
        sizes.add(pixels.shape)
    assert len(sizes) == 3
    truth = pl.read_csv(tmp_path / "out" / "truth.csv")
    assert truth["lesion"].to_list() == made.truth["lesion"].to_list()


def test_a_planted_frame_stays_at_the_border_of_the_file(tmp_path: Path) -> None:
    made = small(shortcut="border", shortcut_strength=1.0)
    labels = pl.read_csv(write(made, tmp_path / "out") / "labels.csv")
    for name, carries in zip(labels["image"], made.truth["shortcut"]):
        pixels = np.array(Image.open(tmp_path / "out" / name))
        assert (pixels[0] == 200).all() == (pixels[:, -1] == 200).all() == carries


@pytest.mark.parametrize("kind", ["xray", "ultrasound"])
def test_dicom_files_are_whole_and_carry_the_facts(tmp_path: Path, kind: str) -> None:
    made = small(kind)
    labels = pl.read_csv(write(made, tmp_path / "out", "dicom") / "labels.csv")
    for row, known in enumerate(labels.iter_rows(named=True)):
        data = pydicom.dcmread(tmp_path / "out" / known["image"])
        m = margin(made, row)
        assert (data.pixel_array[m : 20 + m, m : 20 + m] == made.images[row]).all()
        assert data.Modality == {"xray": "CR", "ultrasound": "US"}[kind]
        assert (data.PatientID, data.PatientSex) == (known["patient_id"], known["sex"])
        assert int(data.PatientAge[:-1]) == known["age"]
        assert data.PatientIdentityRemoved == "YES"
        assert str(data.PatientName) == data.PatientBirthDate == data.StudyDate == ""
        assert data.Manufacturer.startswith("SIMULATED")


def test_identifiers_stand_where_they_were_planted_and_nowhere_else(tmp_path: Path) -> None:
    made = small(identifiers=3)
    labels = pl.read_csv(write(made, tmp_path / "out", "dicom") / "labels.csv")
    named = [bool(pydicom.dcmread(tmp_path / "out" / name).get("PatientAddress")) for name in labels["image"]]
    assert named == made.truth["identified"].to_list()
    assert sum(named) == 3
    png = write(made, tmp_path / "png")
    assert not pl.read_csv(png / "truth.csv")["identified"].any()


def test_a_volume_is_a_folder_of_slices_in_hounsfield_units(tmp_path: Path) -> None:
    made = small("ct")
    labels = pl.read_csv(write(made, tmp_path / "out", "dicom") / "labels.csv")
    slices = [pydicom.dcmread(path) for path in sorted((tmp_path / "out" / labels["image"][0]).iterdir())]
    assert len({data.SeriesInstanceUID for data in slices}) == 1
    assert len({data.SOPInstanceUID for data in slices}) == 10
    slices.sort(key=lambda data: -float(data.ImagePositionPatient[2]))
    volume = np.stack([data.pixel_array for data in slices[::-1]])
    assert (volume == made.images[0]).all()
    units = volume * float(slices[0].RescaleSlope) + float(slices[0].RescaleIntercept)
    assert -1000 <= units.min() < np.median(units) < -400  # air in the lung
    assert units.max() < 800


def test_nifti_shows_the_same_volume_in_the_same_place(tmp_path: Path) -> None:
    made = small("ct")
    labels = pl.read_csv(write(made, tmp_path / "out", "nifti") / "labels.csv")
    file = nibabel.load(tmp_path / "out" / labels["image"][2])
    np.testing.assert_allclose(file.get_fdata().transpose(2, 1, 0), made.images[2] * 6.5 - 1000, atol=0.5)
    assert file.header.get_zooms() == pytest.approx((4.0, 4.0, 4.0))
    assert nibabel.aff2axcodes(file.affine) == ("L", "P", "S")


def test_npz_has_the_arrays_of_medmnist(tmp_path: Path) -> None:
    made = small()
    folder = write(made, tmp_path / "out", "npz")
    labels = pl.read_csv(folder / "labels.csv")
    with np.load(folder / "simulated_xray.npz") as file:
        for row, known in enumerate(labels.iter_rows(named=True)):
            short = {"train": "train", "validation": "val", "test": "test"}[known["part"]]
            assert (file[f"{short}_images"][known["index"]] == made.images[row]).all()
            assert file[f"{short}_labels"][known["index"]] == [known["lesion"]]
        assert sum(len(file[f"{short}_images"]) for short in ("train", "val", "test")) == len(made)


READERS = {"png": lambda path: np.array(Image.open(path)), "dicom": lambda path: pydicom.dcmread(path).pixel_array}


@pytest.mark.parametrize("format_", list(READERS))
def test_unreadable_files_cannot_be_read_and_all_others_can(tmp_path: Path, format_: str) -> None:
    made = small(unreadable=2)
    labels = pl.read_csv(write(made, tmp_path / "out", format_) / "labels.csv")

    def broken(name: str) -> bool:
        try:
            return READERS[format_](tmp_path / "out" / name).size == 0
        except (OSError, ValueError, EOFError, AttributeError):
            return True

    assert [broken(name) for name in labels["image"]] == made.truth["unreadable"].to_list()


def test_the_same_hospital_writes_the_same_bytes(tmp_path: Path) -> None:
    for format_ in ("png", "dicom"):
        one, two = (write(small(identifiers=2), tmp_path / f"{format_}{k}", format_) for k in (1, 2))
        names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
        assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("kind", "format_"), [("xray", "png"), ("xray", "dicom"), ("ct", "dicom"), ("ct", "nifti"), ("xray", "npz")]
)
def test_everything_written_says_that_it_is_simulated(tmp_path: Path, kind: str, format_: str) -> None:
    folder = write(small(kind), tmp_path / "out", format_)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert is_simulated(folder)
    assert is_simulated(str(folder))
    assert all(is_simulated(path) for path in files)
    away = tmp_path / "away"
    away.mkdir()
    for path in files:
        if path.name not in ("SIMULATED.txt", "truth.csv"):
            assert is_simulated(shutil.copy(path, away / path.name)), path.name


def test_what_is_not_simulated_is_not_called_so(tmp_path: Path) -> None:
    made = small()
    assert is_simulated(made)
    assert is_simulated(made.table)
    assert not is_simulated(made.table.drop("simulated"))
    assert not is_simulated(made.table.with_columns(simulated=pl.lit(False)))
    assert not is_simulated(made.images)
    assert not is_simulated("breastmnist")
    Image.fromarray(made.images[0]).save(tmp_path / "real.png")
    np.savez(tmp_path / "real.npz", train_images=made.images)
    made.table.drop("simulated").write_csv(tmp_path / "real.csv")
    assert not any(is_simulated(tmp_path / name) for name in ("real.png", "real.npz", "real.csv", "."))


def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="PNG holds no volume"):
        write(small("ct"), tmp_path / "out", "png")
    with pytest.raises(UserError, match="unreadable"):
        write(small(unreadable=1), tmp_path / "out", "npz")
    with pytest.raises(UserError, match="written as 'bmp'"):
        write(small(), tmp_path / "out", "bmp")
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="not empty"):
        write(small(), tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("content", ["Größe,y\n1,2\n".encode("cp1252"), b"a;b\n1;2;3\n", b'a,b\n"1,2\n', b""])
def test_a_table_in_another_dialect_is_not_simulated(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    assert not is_simulated(tmp_path / "t.csv")
