"""Fields of a header that change what the stored numbers mean: each is obeyed, or its file is refused."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageOps
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from formats.images.dicom_files import data_set, write, write_series
from medeor.formats.images.image import BrokenImage, read_image, reoriented

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
RAMP = np.arange(0, 4096, 13, dtype=np.uint16)[:300].reshape(15, 20)


# Stored bits -------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_value_is_read_wherever_its_bits_lie(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    stored = data.draw(st.integers(2, 16))
    high = data.draw(st.integers(stored - 1, 15))
    signed = data.draw(st.booleans())
    low, top = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    values = np.array([data.draw(st.lists(st.integers(low, top), min_size=6, max_size=6))])
    bits = (values << (high + 1 - stored)) & 0xFFFF
    file = write(
        tmp_path_factory.mktemp("bits") / "a", bits.astype(np.uint16), Modality="MR", BitsStored=stored, HighBit=high,
        PixelRepresentation=int(signed),
    )  # fmt: skip
    np.testing.assert_array_equal(read_image(file).pixels[0], values)


def test_monochrome1_turns_the_stored_range_of_signed_values(tmp_path: Path) -> None:
    values = np.array([[-2048, -1, 0, 2047]], np.int16)
    file = write(
        tmp_path / "a", values, Modality="CR", PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11
    )
    # The lowest of -2048 … 2047 becomes the highest.
    np.testing.assert_array_equal(read_image(file).pixels[0], -1 - values.astype(int))


@pytest.mark.parametrize("shift", [0, 8])
def test_colours_of_a_palette_in_either_byte(tmp_path: Path, shift: int) -> None:
    index = np.arange(256, dtype=np.uint8).reshape(16, 16)
    fields: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR", "Modality": "US"}
    for number, colour in enumerate(("Red", "Green", "Blue")):
        fields[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        table = np.roll(np.arange(256), number).astype("<u2") << shift
        fields[f"{colour}PaletteColorLookupTableData"] = table.astype("<u2").tobytes()
    pixels = read_image(write(tmp_path / "a", index, **fields)).pixels
    np.testing.assert_array_equal(pixels, [np.roll(np.arange(256), n).reshape(16, 16) for n in range(3)])


# Rescaling ---------------------------------------------------------------------------------------------------------


def test_doses_of_two_files_agree_in_gray(tmp_path: Path) -> None:
    dose = np.array([[0.0, 10.0, 20.0, 60.0]])
    for step in (0.01, 0.002):
        stored = np.rint(dose / step).astype(np.uint16)
        file = write(tmp_path / str(step), stored, Modality="RTDOSE", DoseGridScaling=step)
        np.testing.assert_allclose(read_image(file).pixels[0], dose, rtol=1e-6)


def altered(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


def test_a_decimal_comma_is_a_point(tmp_path: Path) -> None:
    file = write(tmp_path / "a", RAMP, Modality="CT", RescaleSlope="1.5", RescaleIntercept="-1000.5")
    altered(altered(file, b"1.5 ", b"1,5 "), b"-1000.5", b"-1000,5")
    np.testing.assert_allclose(read_image(file).pixels[0], RAMP * 1.5 - 1000.5, rtol=1e-6)
    file = write(tmp_path / "b", RAMP, Modality="MR", PixelSpacing=["0.71", "0.83"])
    assert read_image(altered(file, b"0.71\\0.83", b"0,71\\0,83")).spacing == pytest.approx((0.71, 0.83))


@pytest.mark.parametrize(("slope", "reason"), [(b"xx", "is not a number"), (b"0 ", "is 0")])
def test_a_rescale_that_cannot_be_is_refused(tmp_path: Path, slope: bytes, reason: str) -> None:
    file = write(tmp_path / "a", RAMP, Modality="CT", RescaleSlope="77", RescaleIntercept="-1024")
    with pytest.raises(BrokenImage, match=reason):
        read_image(altered(file, b"\x02\x0077", b"\x02\x00" + slope))


@pytest.mark.parametrize(
    "fields",
    [
        {"VOILUTSequence": Sequence([])},
        {"VOILUTSequence": Sequence([Dataset()])},
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowCenter": "100", "WindowWidth": "0"},
        {"ModalityLUTSequence": Sequence([])},
    ],
    ids=str,
)
def test_a_display_that_cannot_be_used_damages_no_pixels(tmp_path: Path, fields: dict[str, object]) -> None:
    image = read_image(write(tmp_path / "a", RAMP, Modality="DX", **fields))
    np.testing.assert_array_equal(image.pixels[0], RAMP)


def test_a_window_with_a_comma_is_a_window(tmp_path: Path) -> None:
    fields = {"Modality": "DX", "BitsStored": 12, "HighBit": 11}
    plain = read_image(write(tmp_path / "a", RAMP, WindowCenter="2000.0", WindowWidth="1500", **fields))
    comma = write(tmp_path / "b", RAMP, WindowCenter="2000.0", WindowWidth="1500", **fields)
    np.testing.assert_array_equal(read_image(altered(comma, b"2000.0", b"2000,0")).pixels, plain.pixels)


def test_padding_is_as_dark_as_the_darkest_pixel(tmp_path: Path) -> None:
    values = np.array([[-2000, -1000, 40, 300]], np.int16)
    ct = write(tmp_path / "a", values, Modality="CT", PixelPaddingValue=-2000, RescaleSlope=1, RescaleIntercept=-24)
    assert read_image(ct).pixels[0].tolist() == [[-1024, -1024, 16, 276]]
    white = np.array([[0, 100, 4000]], np.uint16)
    film = write(
        tmp_path / "b", white, Modality="MG", PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11,
        PixelPaddingValue=0,
    )  # fmt: skip
    assert read_image(film).pixels[0].tolist() == [[95, 3995, 95]]


# Volumes -----------------------------------------------------------------------------------------------------------


def test_two_pixel_spacings_make_no_volume(tmp_path: Path) -> None:
    uid = generate_uid()
    for k in range(6):
        write(
            tmp_path / str(k), RAMP, Modality="CT", SeriesInstanceUID=uid, PixelSpacing=[0.7 + 0.7 * (k > 2), 0.7],
            ImagePositionPatient=[0, 0, 2 * k], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        )  # fmt: skip
    with pytest.raises(BrokenImage, match=r"several pixel spacings in one series \(0\.7 x 0\.7, 1\.4 x 0\.7 mm\)"):
        read_image(tmp_path)


def mosaic(count: int | None) -> Dataset:
    tiles = np.zeros((48, 48), np.uint16)
    for k in range(7):
        tiles[16 * (k // 3) : 16 * (k // 3) + 16, 16 * (k % 3) : 16 * (k % 3) + 16] = k + 1
    data = data_set(
        tiles, Modality="MR", ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], PixelSpacing=[3, 3],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, 0], SliceThickness=4,
    )  # fmt: skip
    if count:
        data.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", count)
    return data


def test_a_siemens_mosaic_is_cut_into_its_slices_or_refused(tmp_path: Path) -> None:
    mosaic(7).save_as(tmp_path / "a.ima", enforce_file_format=True)
    image = read_image(tmp_path / "a.ima")
    assert image.pixels.shape == (1, 7, 16, 16)
    assert [set(plane.ravel().tolist()) for plane in image.pixels[0]] == [{k} for k in range(1, 8)]
    assert image.spacing == (4, 3, 3)
    mosaic(None).save_as(tmp_path / "b.ima", enforce_file_format=True)
    with pytest.raises(BrokenImage, match="mosaic that does not say how many slices"):
        read_image(tmp_path / "b.ima")


@settings(max_examples=30, deadline=None)
@given(turn=st.permutations(range(3)), signs=st.tuples(*[st.sampled_from((1, -1))] * 3), through=st.integers(0, 2))
def test_a_single_slice_is_shown_alike_however_it_is_stored(
    tmp_path_factory: pytest.TempPathFactory, turn: list[int], signs: tuple[int, ...], through: int
) -> None:
    """One plane of a body, stored along any order and direction of axes, gives the same picture."""
    body = np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(np.int16)  # to the right, to the front, upwards
    plane = np.take(body, [2], axis=through)
    stored = plane.transpose(turn)[tuple(slice(None, None, sign) for sign in signs)]
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (world, sign) in enumerate(zip(turn, signs)):
        affine[world, axis] = sign
        affine[world, 3] += 0 if sign > 0 else plane.shape[world] - 1
    affine[through, 3] += 2
    path = tmp_path_factory.mktemp("slice") / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(stored), affine), path)
    shown = reoriented(read_image(path)).pixels[0]
    # Rows downwards, or to the back in an axial plane; columns to the left, or to the back in a sagittal one.
    np.testing.assert_array_equal(shown, np.take(body, 2, axis=through)[::-1, ::-1].T)


def test_a_standard_dicom_slice_is_not_turned(tmp_path: Path) -> None:
    for name, axes in (
        ("axial", [1, 0, 0, 0, 1, 0]),
        ("coronal", [1, 0, 0, 0, 0, -1]),
        ("sagittal", [0, 1, 0, 0, 0, -1]),
    ):
        file = write(
            tmp_path / name, RAMP, Modality="MR", PixelSpacing=[1, 2], ImagePositionPatient=[0, 0, 0],
            ImageOrientationPatient=axes,
        )  # fmt: skip
        np.testing.assert_array_equal(reoriented(read_image(file)).pixels[0], RAMP)


def test_nifti_is_read_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        nibabel.save(kind(voxels, np.eye(4)), tmp_path / "ok.nii")
        raw = (tmp_path / "ok.nii").read_bytes()
        for name, content in (("z.nii", gzip.compress(raw)), ("p.nii.gz", raw), ("none", raw), ("x.img", raw)):
            (tmp_path / name).write_bytes(content)
            np.testing.assert_array_equal(read_image(tmp_path / name).pixels[0], voxels)


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_nifti_without_a_scale_is_not_scaled(tmp_path: Path, slope: float) -> None:
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[112:116] = np.float32(slope).tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii").pixels[0], voxels)


# TIFF and pictures -------------------------------------------------------------------------------------------------

PLANES = np.random.default_rng(0).integers(1, 60000, (4, 16, 17), dtype=np.uint16)
STACK = PLANES.reshape(2, 2, 16, 17)


@pytest.mark.parametrize(
    ("pixels", "options", "expected"),
    [
        (PLANES[:2], {"imagej": True, "metadata": {"axes": "CYX"}}, PLANES[:2]),
        (PLANES, {"imagej": True, "metadata": {"axes": "CYX"}}, PLANES),
        (PLANES[:2], {"ome": True, "metadata": {"axes": "CYX"}, "photometric": "minisblack"}, PLANES[:2]),
        (np.moveaxis(PLANES[:2], 0, -1), {"photometric": "minisblack", "planarconfig": "contig"}, PLANES[:2]),
        (PLANES, {"photometric": "minisblack", "planarconfig": "separate"}, PLANES),
        (STACK, {"imagej": True, "metadata": {"axes": "ZCYX"}}, STACK.swapaxes(0, 1)),
        (np.moveaxis(PLANES, 0, -1), {"photometric": "rgb", "extrasamples": ["unspecified"]}, PLANES),
        (np.moveaxis(PLANES, 0, -1), {"photometric": "rgb", "extrasamples": ["assocalpha"]}, PLANES[:3]),
        (PLANES[0], {"photometric": "miniswhite"}, 65535 - PLANES[:1]),
    ],
    ids=["imagej 2", "imagej 4", "ome", "samples", "planes", "hyperstack", "extra", "premultiplied", "white"],
)  # fmt: skip
def test_every_channel_of_a_tiff_is_read_as_stored(
    tmp_path: Path, pixels: np.ndarray, options: dict[str, object], expected: np.ndarray
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, expected)


def test_transparency_of_a_tiff_is_laid_over_black(tmp_path: Path) -> None:
    pixels = np.full((4, 5, 4), 200, np.uint8)
    pixels[..., 3], pixels[..., 0] = 51, 100
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    assert [set(plane.ravel().tolist()) for plane in read_image(tmp_path / "a.tif").pixels] == [{20}, {40}, {40}]


@pytest.mark.parametrize("shift", [0, 8])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_palette_in_tiff_has_its_colours_in_either_byte(tmp_path: Path, shift: int, compression: str | None) -> None:
    index = np.arange(256, dtype=np.uint8).reshape(16, 16)
    table = np.stack([np.roll(np.arange(256), n) for n in range(3)]).astype(np.uint16) << shift
    picture = Pillow.fromarray(index, "P") if compression else None
    if picture:
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

        picture.putpalette(bytes(768))
        tags = ImageFileDirectory_v2()
        tags[320] = tuple(table.ravel().tolist())
        picture.save(tmp_path / "a.tif", compression=compression, tiffinfo=tags)
        stored = tifffile.TiffFile(tmp_path / "a.tif").pages.first.colormap
        table = np.asarray(stored)
        shift = 0 if table.max() < 256 else 8
    else:
        tifffile.imwrite(tmp_path / "a.tif", index, photometric="palette", colormap=table)
    expected = (table >> shift)[:, index]
    np.testing.assert_array_equal(np.broadcast_to(read_image(tmp_path / "a.tif").pixels, (3, 16, 16)), expected)


def test_samples_of_16_bits_that_would_lose_half_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(PLANES[:3], 0, -1), photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages.first.tags["Compression"].overwrite(5)
    with pytest.raises(BrokenImage, match=r"LZW|damaged"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_tiff_agrees_with_pillow(tmp_path: Path, orientation: int) -> None:
    pixels = np.arange(12 * 8, dtype=np.uint8).reshape(12, 8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, extratags=[(274, "H", 1, orientation, True)])
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    Pillow.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Pillow.open(tmp_path / "a.png")))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels[0], expected)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_floats_with_differences_of_their_bytes_are_read(tmp_path: Path, compression: str) -> None:
    pixels = np.random.default_rng(0).normal(size=(16, 17)).astype(np.float32)
    Pillow.fromarray(pixels).save(tmp_path / "a.tif", compression=compression, tiffinfo={317: 3})
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels[0], pixels)


def test_pages_in_a_circle_are_damage(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PLANES, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        first, last = file.pages[0].offset, file.pages[-1].offset
        fields = len(file.pages[-1].tags)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[last + 2 + 12 * fields : last + 6 + 12 * fields] = first.to_bytes(4, "little")
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(BrokenImage, match="damaged"):
        read_image(tmp_path / "a.tif")


def test_an_animation_is_refused(tmp_path: Path) -> None:
    frames = [Pillow.fromarray(np.full((8, 8), value, np.uint8)) for value in (0, 100, 200)]
    for name in ("a.png", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        with pytest.raises(BrokenImage, match="animation of 3 frames"):
            read_image(tmp_path / name)


def test_an_image_larger_than_the_memory_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((3000, 3000, 3000))
    header["magic"], header["vox_offset"] = b"n+1", 352
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(100)))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16), np.uint8), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages.first.tags[name].overwrite(65000)
    write_series(tmp_path, RAMP[None], ["a.dcm"], Rows=65535, Columns=65535)
    for name in ("a.nii.gz", "a.tif", "a.dcm"):
        with pytest.raises(BrokenImage, match="GiB of memory"):
            read_image(tmp_path / name)
