"""NIfTI: places kept in every orientation, channels, holes, and names left in headers."""

from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from medeor.formats.images.image import BrokenImage, read_image, reoriented

ORIENTATIONS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def affine_of(axes: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    affine = np.zeros((4, 4))
    for column, (axis, sign, length) in enumerate(zip(axes, signs, (1.0, 1.5, 2.5))):
        affine[axis, column] = sign * length
    affine[:, 3] = [3, -4, 5, 1]
    return affine


def code(points: np.ndarray) -> np.ndarray:
    """A number for each place (…, 4) in the world, different for all places of these tests."""
    return np.rint(points[..., 0] * 4 + points[..., 1] * 400 + points[..., 2] * 40_000).astype(np.int32)


def places(affine: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    indices = np.moveaxis(np.indices((*size, 1)), 0, -1)[..., 0, :].astype(float)
    indices[..., 3] = 1
    return indices @ affine.T


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS, ids=str)
def test_all_48_orientations_are_kept_and_can_be_turned_alike(
    tmp_path: Path, axes: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    affine, size = affine_of(axes, signs), (3, 4, 5)
    volume = code(places(affine, size))
    nibabel.Nifti1Image(volume, affine).to_filename(tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    np.testing.assert_array_equal(image.pixels[0], volume)
    np.testing.assert_allclose(image.affine, affine)
    assert image.spacing == pytest.approx((1, 1.5, 2.5))
    turned = reoriented(image)
    assert turned.affine is not None
    assert nibabel.aff2axcodes(turned.affine) == ("S", "P", "L")
    np.testing.assert_array_equal(turned.pixels[0], code(places(turned.affine, turned.size)))


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_an_oblique_affine_is_kept_and_stays_true_when_turned(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    number = st.floats(-3, 3).map(lambda x: round(x, 3))
    affine = np.eye(4)
    affine[:3, :3] = np.array(data.draw(st.lists(number, min_size=9, max_size=9))).reshape(3, 3)
    assume(abs(np.linalg.det(affine[:3, :3])) > 0.5)
    affine[:3, 3] = data.draw(st.lists(st.floats(-100, 100), min_size=3, max_size=3))
    file = tmp_path_factory.mktemp("oblique") / "a.nii.gz"
    volume = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nibabel.Nifti1Image(volume, affine).to_filename(file)
    image = read_image(file)
    np.testing.assert_allclose(image.affine, affine, rtol=1e-5, atol=1e-4)
    turned = reoriented(image)
    assert turned.affine is not None
    # Every voxel has a value of its own, so those of one value must lie at one place.
    before = places(affine, volume.shape).reshape(-1, 4)[volume.argsort(axis=None)]
    after = places(turned.affine, turned.size).reshape(-1, 4)[turned.pixels.argsort(axis=None)]
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-3)


def test_a_fourth_axis_becomes_channels(tmp_path: Path) -> None:
    volume = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    nibabel.Nifti1Image(volume, np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    image = read_image(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(image.pixels, np.moveaxis(volume, -1, 0))


@pytest.mark.parametrize("size", [(4, 6), (4, 6, 1)])
def test_one_slice_is_flat_with_rows_along_the_second_axis(tmp_path: Path, size: tuple[int, ...]) -> None:
    flat = np.arange(24, dtype=np.uint8).reshape(size)
    affine = np.diag([1.0, 2.0, 7.0, 1.0])
    nibabel.Nifti1Image(flat, affine).to_filename(tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    np.testing.assert_array_equal(image.pixels[0], flat.reshape(4, 6).T)
    assert image.pixels.dtype == np.uint8
    assert image.spacing == (2.0, 1.0)
    assert image.affine is not None
    np.testing.assert_allclose(image.affine @ [3, 2, 0, 1], affine @ [2, 3, 0, 1])


def test_nan_is_counted_and_filled_with_the_lowest_value(tmp_path: Path) -> None:
    volume = np.linspace(-3, 5, 60, dtype=np.float32).reshape(3, 4, 5)
    volume[1, 1, 1:3] = np.nan, np.inf
    nibabel.Nifti1Image(volume, np.eye(4)).to_filename(tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    assert image.nonfinite == 2
    assert image.pixels[0, 1, 1, 1:3].tolist() == [-3, -3]
    nibabel.Nifti1Image(np.full((3, 3, 3), np.nan, np.float32), np.eye(4)).to_filename(tmp_path / "b.nii")
    with pytest.raises(BrokenImage, match="no pixel holds a finite number"):
        read_image(tmp_path / "b.nii")


def test_stored_integers_are_rescaled(tmp_path: Path) -> None:
    file = nibabel.Nifti1Image(np.arange(27, dtype=np.int16).reshape(3, 3, 3), np.eye(4))
    file.header.set_slope_inter(0.5, -3)
    nibabel.save(file, tmp_path / "a.nii")
    stored = nibabel.load(tmp_path / "a.nii")
    np.testing.assert_allclose(read_image(tmp_path / "a.nii").pixels[0], stored.get_fdata())


def test_metres_and_microns_become_millimetres(tmp_path: Path) -> None:
    file = nibabel.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.diag([500.0, 500.0, 900.0, 1.0]))
    file.header.set_xyzt_units("micron")
    file.to_filename(tmp_path / "a.nii")
    assert read_image(tmp_path / "a.nii").spacing == pytest.approx((0.5, 0.5, 0.9))


def test_without_a_place_there_is_no_affine(tmp_path: Path) -> None:
    file = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), None)
    file.header.set_zooms((1, 2, 3))
    file.to_filename(tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    assert image.affine is None
    assert image.spacing == (1, 2, 3)


def test_names_in_the_header_are_told_and_programs_are_not(tmp_path: Path) -> None:
    for text, expected in (
        ("Doe Jane 1970", ("descrip",)),
        ("5.0.10", ()),
        ("FSL5.0", ()),
        ("TE=2.9;Time=1", ()),
        ("", ()),
    ):
        file = nibabel.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4))
        file.header["descrip"] = text
        file.to_filename(tmp_path / "a.nii")
        assert read_image(tmp_path / "a.nii").identifiers == expected


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 1000, (9, 9, 9), dtype=np.int16)
    for name in ("a.nii", "a.nii.gz"):
        nibabel.Nifti1Image(noise, np.eye(4)).to_filename(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        for part in (0.1, 0.5, 0.9):
            (tmp_path / name).write_bytes(content[: int(len(content) * part)])
            with pytest.raises(BrokenImage, match=r"a\.nii"):
                read_image(tmp_path / name)


@pytest.mark.data
def test_a_real_volume_agrees_with_nibabel(real_data: Path) -> None:
    path = real_data / "images/ct_organs/example_ct_sm.nii.gz"
    image, file = read_image(path), nibabel.load(path)
    np.testing.assert_allclose(image.pixels[0], file.get_fdata(), rtol=1e-6)
    np.testing.assert_allclose(image.affine, file.affine)
    assert reoriented(image).size == (30, 101, 122)
