"""What is told of volumes whose geometry cannot be taken for granted."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.uid import generate_uid

import medeor
from formats.images.dicom_files import write
from medeor import UserError

RNG = np.random.default_rng(0)


def series(folder: Path, **changed: list) -> None:
    uid = generate_uid()
    for k in range(6):
        own = {name: values[k] for name, values in changed.items()}
        write(
            folder / f"{k}.dcm", RNG.integers(0, 99, (8, 9)).astype(np.int16), SeriesInstanceUID=uid, Modality="CT",
            PixelSpacing=[0.5, 0.8], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            **{"ImagePositionPatient": [0.0, 0.0, 2.0 * k], "PatientID": "A"} | own,
        )  # fmt: skip


@pytest.mark.parametrize("degrees", [0, 14])
def test_slices_of_a_tilted_gantry_are_told(tmp_path: Path, degrees: int) -> None:
    shift = 2 * np.tan(np.radians(degrees))
    series(tmp_path / "a", ImagePositionPatient=[[0.0, float(shift * k), 2.0 * k] for k in range(6)])
    findings = {one.check: one for one in medeor.read(tmp_path, labelled=False).findings}
    assert ("leaning-slices" in findings) == bool(degrees)
    assert not degrees or "by up to 14 degrees" in str(findings["leaning-slices"].message)


def test_slices_of_several_patients_make_no_volume(tmp_path: Path) -> None:
    series(tmp_path / "a", PatientID=["A", "A", "B", "B", "C", "C"])
    with pytest.raises(UserError, match="several patients"):
        medeor.read(tmp_path, labelled=False)


def test_volumes_of_unknown_orientation_among_others_are_told(tmp_path: Path) -> None:
    for k in range(4):
        image = nibabel.Nifti1Image(RNG.integers(0, 99, (6, 7, 8)).astype(np.int16), np.diag([-1, 1, 3, 1.0]))
        image.set_sform(image.affine if k else None, int(k > 0))
        image.set_qform(image.affine if k else None, int(k > 0))
        nibabel.save(image, tmp_path / f"{k}.nii")
    findings = {one.check: one for one in medeor.read(tmp_path, labelled=False).findings}
    assert str(findings["unknown-orientation"].message).startswith("1 of 4 volumes")
