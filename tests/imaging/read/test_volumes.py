"""Volumes with thick slices on the road: what the plan says of their grid, and that their slices are all there."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

import medeor
from medeor.imaging.model.prepared import prepare


def knees(folder: Path, count: int = 6) -> dict[str, object]:
    """24 slices of 3.5 mm, each brighter than the one below."""
    rows = ["image,lesion"]
    for number in range(count):
        slices = np.broadcast_to(np.arange(100, 124, dtype=np.int16), (160, 160, 24))
        noise = np.random.default_rng(number).integers(-1, 2, slices.shape, dtype=np.int16)
        nibabel.save(nibabel.Nifti1Image(slices + noise, np.diag([1, 1, 3.5, 1])), folder / f"{number}.nii")
        rows.append(f"{number}.nii,{number % 2}")
    (folder / "t.csv").write_text("\n".join(rows) + "\n")
    return {"labels": str(folder / "t.csv"), "target": "lesion", "split": "cv"}


def test_the_slices_stay_and_the_plan_says_the_millimetres(tmp_path: Path) -> None:
    study = knees(tmp_path)
    plan = medeor.plan(tmp_path, out=tmp_path / "run", **study, settings={"parts": '["trees"]'})
    preparation = plan.preparation  # type: ignore[attr-defined]
    assert preparation.size == (24, 104, 104)
    assert preparation.spacing == pytest.approx((3.5, 160 / 104, 160 / 104), rel=1e-3)
    assert plan.padding == 0  # type: ignore[attr-defined]
    assert plan.augmentation.slices == "depth"  # type: ignore[attr-defined]
    assert "spacing" in (tmp_path / "run" / "plan.toml").read_text()
    images = prepare(medeor.read(tmp_path, **study).cases, preparation)[:].numpy()
    assert (np.diff(images.mean((1, 3, 4)), axis=1) > 0).all()


def test_a_size_set_by_hand_is_filled(tmp_path: Path) -> None:
    study = knees(tmp_path)
    asked = {"parts": '["trees"]', "preparation.size": "[24, 64, 64]"}
    plan = medeor.plan(tmp_path, **study, settings=asked)
    preparation = plan.preparation  # type: ignore[attr-defined]
    assert preparation.size == (24, 64, 64)
    assert preparation.spacing == pytest.approx((3.5, 2.5, 2.5))
    images = prepare(medeor.read(tmp_path, **study).cases, preparation)[:].numpy()
    assert (np.diff(images.mean((1, 3, 4)), axis=1) > 0).all()


def test_the_plan_says_how_much_is_padding(tmp_path: Path) -> None:
    rows = ["image,lesion"]
    for number in range(40):
        slices = 10 if number < 20 else 20
        voxels = np.random.default_rng(number).integers(0, 99, (20, 20, slices), dtype=np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1, 1, 2, 1])), tmp_path / f"{number}.nii")
        rows.append(f"{number}.nii,{number % 2}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    study = {"labels": str(tmp_path / "t.csv"), "target": "lesion", "split": "cv", "settings": {"parts": '["trees"]'}}
    plan = medeor.plan(tmp_path, **study)  # type: ignore[arg-type]
    assert plan.preparation.size == (20, 20, 20)  # type: ignore[attr-defined]
    # Half of the volumes fill half of the slices.
    assert plan.padding == pytest.approx(0.25)  # type: ignore[attr-defined]
