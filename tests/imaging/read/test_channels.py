"""Several images as the channels of one case: prepared each by its own modality, and refused where they show different
places. Through the public names, on files made here."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import medeor
from medeor.formats.images.store import ImageStore
from medeor.imaging.model.prepared import prepare

RNG = np.random.default_rng(0)


def dicom(path: Path, pixels: np.ndarray, modality: str, spacing: tuple[float, float] = (1.0, 1.0)) -> None:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.Modality = modality
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    data.RescaleSlope, data.RescaleIntercept = 1, 0
    data.PixelSpacing = list(spacing)
    data.PixelData = pixels.astype("<i2").tobytes()
    data["PixelData"].VR = "OW"
    pydicom.dcmwrite(path, data, enforce_file_format=True)


def pairs(folder: Path, modalities: list[tuple[str, str]]) -> dict[str, object]:
    """A table of cases with two images each; the second of every other case has a hot spot far above 1000."""
    rows = ["one,two,lesion"]
    for number, (one, two) in enumerate(modalities):
        hot = RNG.normal(3000, 200, (16, 16))
        hot[4:8, 4:8] += 20_000 * (number % 2)
        dicom(folder / f"a{number}.dcm", RNG.normal(0, 30, (16, 16)), one)
        dicom(folder / f"b{number}.dcm", hot, two)
        rows.append(f"a{number}.dcm,b{number}.dcm,{number % 2}")
    (folder / "t.csv").write_text("\n".join(rows) + "\n")
    return {"labels": str(folder / "t.csv"), "target": "lesion", "options": {"image": "one,two"}, "split": "cv"}


def test_the_window_of_ct_is_for_the_channel_of_ct_alone(tmp_path: Path) -> None:
    study = pairs(tmp_path, [("CT", "PT")] * 12)
    plan = medeor.plan(tmp_path, **study, settings={"parts": '["trees"]'})
    assert plan.preparation.intensity == ("window", "image")  # type: ignore[attr-defined]
    cases = medeor.read(tmp_path, **study).cases
    images = prepare(cases, plan.preparation)[:].numpy()  # type: ignore[attr-defined]
    sick = images[cases.table["lesion"].to_numpy() == 1]
    assert np.all(sick[:, 1, 4:8, 4:8].mean((1, 2)) - np.median(sick[:, 1], (1, 2)) > 2)
    assert np.allclose(images[:, 0].mean(), 0.5, atol=0.01)


def test_one_choice_for_all_channels_stays_simple_to_set(tmp_path: Path) -> None:
    study = pairs(tmp_path, [("CT", "PT")] * 12)
    plan = medeor.plan(tmp_path, **study, settings={"parts": '["trees"]', "preparation.intensity": "range"})
    assert plan.preparation.intensities == ("range", "range")  # type: ignore[attr-defined]
    with pytest.raises(medeor.UserError, match="3 are given for 2 channels"):
        medeor.plan(tmp_path, **study, settings={"preparation.intensity": '["range", "image", "image"]'})


def test_modalities_that_differ_between_cases_are_a_finding(tmp_path: Path) -> None:
    study = pairs(tmp_path, [("CT", "PT")] * 9 + [("MR", "PT")] * 3)
    found = {finding.check: finding for finding in medeor.audit(tmp_path, **study)}
    mixed = found["mixed-modalities"]
    assert mixed.status == "fail"
    assert len(mixed.cases) == 3
    assert "channel 1 are of several modalities: 9 CT, 3 MR" in str(mixed.message)
    plan = medeor.plan(tmp_path, **study, settings={"parts": '["trees"]'})
    # No window that would blacken the MR images.
    assert plan.preparation.intensity == "image"  # type: ignore[attr-defined]


def test_channels_of_one_modality_are_none(tmp_path: Path) -> None:
    study = pairs(tmp_path, [("CT", "PT")] * 12)
    assert {f.check: f.status for f in medeor.audit(tmp_path, **study)}["mixed-modalities"] == "pass"


def nifti(path: Path, affine: np.ndarray, placed: bool = True, side: int = 6) -> None:
    image = nibabel.Nifti1Image(RNG.normal(100, 10, (side,) * 3).astype(np.float32), affine)
    image.set_sform(affine, int(placed))
    image.set_qform(affine if placed else None, int(placed))
    nibabel.save(image, path)


def at(*spacing: float, x: float = 0.0, angle: float = 0.0) -> np.ndarray:
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[0, 3] = x
    return affine


def about(corner: float) -> np.ndarray:
    """A grid that is turned about this corner, which stays in its place."""
    turned = at(1, 1, 3, angle=0.03)
    turned[:2, 3] = corner - turned[:2, :2] @ [corner, corner]
    return turned


@pytest.mark.parametrize(
    ("other", "placed", "words"),
    [
        (at(1, 1, 3, x=40), True, "place in the patient, by up to 40 mm"),
        (at(2, 2, 3), True, "spacing, 3 x 1 x 1 and 3 x 2 x 2 mm"),
        (at(1, 1, 3), False, "only one has a place in the patient"),
        (at(1, 1, 3, angle=0.3), True, "place in the patient"),
        # A tenth of the distance of neighbours is the bound: of the first voxel, and of the farthest.
        (at(1, 1, 3, x=0.12), True, "place in the patient, by up to 0.12 mm"),
        (about(0), True, "place in the patient, by up to 0.212 mm"),
        (about(5), True, "place in the patient, by up to 0.212 mm"),
    ],
)
def test_channels_on_other_grids_are_set_aside_with_the_reason(
    tmp_path: Path, other: np.ndarray, placed: bool, words: str
) -> None:
    rows = ["t1,t2,lesion"]
    for number in range(4):
        nifti(tmp_path / f"a{number}.nii", at(1, 1, 3))
        nifti(tmp_path / f"b{number}.nii", other if number == 0 else at(1, 1, 3), placed or number > 0)
        rows.append(f"a{number}.nii,b{number}.nii,{number % 2}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    cases, findings = medeor.read(
        tmp_path, labels=str(tmp_path / "t.csv"), target="lesion", options={"image": "t1,t2"}, split="cv"
    )
    told = cases.table["broken"].to_list()
    assert words in told[0]
    assert told[1:] == [None] * 3
    unreadable = next(finding for finding in findings if finding.check == "unreadable-images")
    assert unreadable.status == "fail"
    assert unreadable.cases == (cases.ids[0],)


@pytest.mark.parametrize("rounded", [0.0004, 0.08])
def test_rounding_in_a_header_and_another_order_of_axes_are_the_same_grid(tmp_path: Path, rounded: float) -> None:
    turned = at(1, 1, 3)
    turned[0, 0], turned[0, 3] = -1, 5 + rounded
    nifti(tmp_path / "a.nii", at(1, 1, 3))
    nifti(tmp_path / "b.nii", turned)
    (tmp_path / "t.csv").write_text("t1,t2\na.nii,b.nii\n")
    cases = medeor.read(tmp_path, labels=str(tmp_path / "t.csv"), options={"image": "t1,t2"}, labelled=False).cases
    assert cases.table["broken"].to_list() == [None]


def test_pictures_of_two_pixel_spacings_are_no_channels_of_one(tmp_path: Path) -> None:
    dicom(tmp_path / "a.dcm", RNG.normal(0, 30, (16, 16)), "MR")
    dicom(tmp_path / "b.dcm", RNG.normal(0, 30, (16, 16)), "MR", (0.5, 0.5))
    (tmp_path / "t.csv").write_text("one,two\na.dcm,b.dcm\n")
    with pytest.raises(medeor.UserError, match=r"spacing, 1 x 1 and 0\.5 x 0\.5 mm"):
        medeor.read(tmp_path, labels=str(tmp_path / "t.csv"), options={"image": "one,two"}, labelled=False)


def test_a_case_has_an_identity_of_its_own_where_all_its_images_have(tmp_path: Path) -> None:
    for name in ("a", "b"):
        dicom(tmp_path / f"{name}.dcm", RNG.normal(0, 30, (16, 16)), "MR")
    Pillow.fromarray(RNG.integers(0, 255, (16, 16), np.uint8)).save(tmp_path / "c.png")
    store = ImageStore({path.stem: (str(path),) for path in sorted(tmp_path.iterdir())})
    own = [store.read([key]).uid for key in "abc"]
    assert store.read(["a", "b"]).uid == f"{own[0]} {own[1]}"
    assert own[2] == store.read(["a", "c"]).uid == ""
