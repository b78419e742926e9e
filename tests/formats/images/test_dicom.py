"""DICOM: values, colours and places, against the formulas of the standard (PS3.3) and Pillow's decoder."""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit, RLELossless, generate_uid

from formats.images.dicom_files import data_set, write, write_series
from medeor.contracts import UserError
from medeor.formats.images.dicom.read import read_series
from medeor.formats.images.image import BrokenImage, read_image

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

RAMP = np.arange(0, 4096, 13, dtype=np.uint16)[:300].reshape(15, 20)


# Values ------------------------------------------------------------------------------------------------------------


def test_ct_is_in_hounsfield_units(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a", RAMP, Modality="CT", RescaleSlope=2, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=80
    )
    image = read_image(file)
    assert image.pixels.dtype == np.int16
    np.testing.assert_array_equal(image.pixels[0], RAMP.astype(int) * 2 - 1024)
    assert image.modality == "CT"


def test_a_fractional_slope_gives_float32(tmp_path: Path) -> None:
    image = read_image(write(tmp_path / "a", RAMP, Modality="PT", RescaleSlope=0.37, RescaleIntercept=1.5))
    assert image.pixels.dtype == np.float32
    np.testing.assert_allclose(image.pixels[0], RAMP * 0.37 + 1.5, rtol=1e-6)


@pytest.mark.parametrize(
    "pixels", [RAMP, RAMP.astype(np.int16) - 2000, RAMP.astype(np.uint8)], ids=lambda p: str(p.dtype)
)
def test_unscaled_values_keep_their_type(tmp_path: Path, pixels: np.ndarray) -> None:
    image = read_image(write(tmp_path / "a", pixels, Modality="MR"))
    assert image.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(image.pixels[0], pixels)


def window(values: np.ndarray, centre: float, width: float, top: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, written as there."""
    out = np.empty(values.shape)
    low, high = values <= centre - 0.5 - (width - 1) / 2, values > centre - 0.5 + (width - 1) / 2
    out[low], out[high] = 0, top
    middle = ~low & ~high
    out[middle] = ((values[middle] - (centre - 0.5)) / (width - 1) + 0.5) * top
    return out


XRAY = {"BitsStored": 12, "HighBit": 11, "WindowCenter": [2000, 1], "WindowWidth": [1500, 2]}


def test_an_x_ray_is_seen_through_its_first_window(tmp_path: Path) -> None:
    image = read_image(write(tmp_path / "a", RAMP, Modality="DX", **XRAY))
    np.testing.assert_allclose(image.pixels[0], window(RAMP.astype(float), 2000, 1500, 4095), rtol=1e-5)


def test_monochrome1_is_turned_the_right_way_up(tmp_path: Path) -> None:
    plain = write(
        tmp_path / "plain", RAMP, Modality="CR", PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11
    )
    np.testing.assert_array_equal(read_image(plain).pixels[0], 4095 - RAMP)
    windowed = write(tmp_path / "windowed", RAMP, Modality="MG", PhotometricInterpretation="MONOCHROME1", **XRAY)
    expected = 4095 - window(RAMP.astype(float), 2000, 1500, 4095)
    np.testing.assert_allclose(read_image(windowed).pixels[0], expected, rtol=1e-5, atol=1e-3)


def test_physical_values_are_not_turned_round(tmp_path: Path) -> None:
    image = read_image(write(tmp_path / "a", RAMP, Modality="CT", PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(image.pixels[0], RAMP)


def test_only_projections_are_windowed(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(write(tmp_path / "b", RAMP, Modality="MR", **XRAY)).pixels[0], RAMP)


@pytest.mark.parametrize("function", ["SIGMOID", "LINEAR_EXACT"])
def test_other_window_functions(tmp_path: Path, function: str) -> None:
    image = read_image(write(tmp_path / "a", RAMP, Modality="DX", VOILUTFunction=function, **XRAY))
    if function == "SIGMOID":
        expected = 4095 / (1 + np.exp(-4 * (RAMP - 2000.0) / 1500))
    else:
        expected = np.clip((RAMP - 2000.0) / 1500 + 0.5, 0, 1) * 4095
    np.testing.assert_allclose(image.pixels[0], expected, rtol=1e-5, atol=1e-3)


def test_a_look_up_table_comes_before_a_window(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = (np.arange(4096) ** 2 // 256).astype(np.uint16).tobytes()
    image = read_image(write(tmp_path / "a", RAMP, Modality="DX", VOILUTSequence=Sequence([table]), **XRAY))
    np.testing.assert_array_equal(image.pixels[0], RAMP.astype(np.int64) ** 2 // 256)


# Colour and compression --------------------------------------------------------------------------------------------

_DOWN, _ACROSS = np.meshgrid(np.arange(0, 160, 10), np.arange(40, 200, 10), indexing="ij")
PHOTO = np.stack([_DOWN, _ACROSS, np.full((16, 16), 90)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("by_plane", [False, True])
def test_colour_is_rgb_without_a_rescale(tmp_path: Path, by_plane: bool) -> None:
    data = data_set(PHOTO, Modality="US", RescaleSlope=1, RescaleIntercept=-1024)
    if by_plane:
        data.PlanarConfiguration, data.PixelData = 1, np.moveaxis(PHOTO, -1, 0).tobytes()
    data.save_as(tmp_path / "a", enforce_file_format=True)
    np.testing.assert_array_equal(read_image(tmp_path / "a").pixels, np.moveaxis(PHOTO, -1, 0))


def test_ybr_becomes_rgb(tmp_path: Path) -> None:
    ybr = np.asarray(Pillow.fromarray(PHOTO).convert("YCbCr"))
    image = read_image(write(tmp_path / "a", ybr, Modality="US", PhotometricInterpretation="YBR_FULL"))
    y, cb, cr = np.moveaxis(ybr.astype(float), -1, 0)  # PS3.3 C.7.6.3.1.2, solved for red, green and blue
    red, blue = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    np.testing.assert_allclose(image.pixels, np.clip(np.stack([red, green, blue]), 0, 255), atol=1)


def test_a_palette_becomes_rgb(tmp_path: Path) -> None:
    data = data_set(np.arange(16, dtype=np.uint8).reshape(4, 4), PhotometricInterpretation="PALETTE COLOR")
    for name, factor in (("Red", 1), ("Green", 2), ("Blue", 3)):
        setattr(data, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        table = ((np.arange(256) * factor % 256) << 8).astype(np.uint16)
        setattr(data, f"{name}PaletteColorLookupTableData", table.tobytes())
    data.save_as(tmp_path / "a", enforce_file_format=True)
    index = np.arange(16).reshape(4, 4)
    np.testing.assert_array_equal(read_image(tmp_path / "a").pixels, np.stack([index, index * 2, index * 3]))


@pytest.mark.parametrize("grey", [True, False])
def test_jpeg_decodes_as_pillow_does(tmp_path: Path, grey: bool) -> None:
    stream = io.BytesIO()
    picture = Pillow.fromarray(PHOTO[..., 0] if grey else PHOTO)
    picture.save(stream, "JPEG", quality=95, subsampling=0)
    data = data_set(PHOTO[..., 0] if grey else PHOTO, Modality="US")
    if not grey:
        data.PhotometricInterpretation = "YBR_FULL"
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PixelData = encapsulate([stream.getvalue()])
    data.save_as(tmp_path / "a", enforce_file_format=True)
    expected = np.asarray(Pillow.open(stream))
    expected = expected[None] if grey else np.moveaxis(expected, -1, 0)
    assert np.abs(read_image(tmp_path / "a").pixels.astype(int) - expected).max() <= 2


def test_rle_is_lossless(tmp_path: Path) -> None:
    data = data_set(RAMP, Modality="MR")
    data.compress(RLELossless)
    data.save_as(tmp_path / "a", enforce_file_format=True)
    image = read_image(tmp_path / "a")
    np.testing.assert_array_equal(image.pixels[0], RAMP)
    assert image.header["compression"] == "RLE Lossless"


# Frames and places -------------------------------------------------------------------------------------------------


def test_frames_make_a_volume(tmp_path: Path) -> None:
    film = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
    file = write(tmp_path / "a", film, Modality="US")
    np.testing.assert_array_equal(read_image(file).pixels[0], film)


def rotation(quaternion: list[float]) -> np.ndarray:
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


real = st.floats(-1, 1)
directions = st.tuples(real, real, real, real).filter(lambda q: np.linalg.norm(q) > 0.3).map(list).map(rotation)


@settings(max_examples=25, deadline=None)
@given(turn=directions, order=st.permutations(range(5)), gap=st.floats(0.5, 6), backwards=st.booleans())
def test_a_series_in_any_order_and_orientation_has_its_geometry(
    tmp_path_factory: pytest.TempPathFactory, turn: np.ndarray, order: list[int], gap: float, backwards: bool
) -> None:
    folder = tmp_path_factory.mktemp("series")
    along_row, along_column = turn[:, 0], turn[:, 1]
    step = turn[:, 2] * (-gap if backwards else gap)
    corner, spacing = np.array([-30.0, 12.5, 70.0]), (0.7, 1.3)
    uid = generate_uid()
    for number, k in enumerate(order):
        plane = (100 * k + np.arange(12).reshape(3, 4)).astype(np.int16)
        write(
            folder / f"{number}.dcm", plane, Modality="MR", SeriesInstanceUID=uid, InstanceNumber=number,
            PixelSpacing=list(spacing), ImagePositionPatient=[float(f"{x:.9f}") for x in corner + k * step],
            ImageOrientationPatient=[float(f"{x:.9f}") for x in (*along_row, *along_column)],
        )  # fmt: skip
    image = read_image(folder)
    assert image.affine is not None
    assert image.spacing == pytest.approx((gap, *spacing), rel=1e-6)
    for s, r, c in np.ndindex(image.size):
        # PS3.3 C.7.6.2.1.1: position of a pixel by its slice's own position, then LPS to RAS.
        k = int(image.pixels[0, s, r, c]) // 100
        assert image.pixels[0, s, r, c] == 100 * k + 4 * r + c
        lps = corner + k * step + along_row * spacing[1] * c + along_column * spacing[0] * r
        np.testing.assert_allclose(image.affine @ [s, r, c, 1], [-lps[0], -lps[1], lps[2], 1], atol=1e-5)


def test_a_tilted_gantry_gives_a_sheared_affine(tmp_path: Path) -> None:
    uid = generate_uid()
    for k in range(4):
        write(
            tmp_path / str(k), RAMP, Modality="CT", SeriesInstanceUID=uid, PixelSpacing=[1, 1],
            ImagePositionPatient=[0, 0.5 * k, 2 * k], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        )  # fmt: skip
    affine = read_image(tmp_path).affine
    assert affine is not None
    np.testing.assert_allclose(affine[:3, 0], [0, -0.5, 2])


def test_enhanced_frames_lie_where_their_own_groups_say(tmp_path: Path) -> None:
    height = [6.0, 0.0, 3.0]
    frames = np.stack([np.full((4, 5), k, np.uint16) for k in range(3)])
    data = data_set(frames, Modality="CT")
    shared, measures, turn = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, turn.ImageOrientationPatient = [0.5, 0.8], [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([turn])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    own = []
    for k, z in enumerate(height):
        group, place, value = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [1.0, 2.0, z]
        value.RescaleSlope, value.RescaleIntercept = k + 1, -10
        group.PlanePositionSequence, group.PixelValueTransformationSequence = Sequence([place]), Sequence([value])
        own.append(group)
    data.PerFrameFunctionalGroupsSequence = Sequence(own)
    data.save_as(tmp_path / "a", enforce_file_format=True)
    image = read_image(tmp_path / "a")
    # Stored value k, slope k + 1, intercept -10; frames at 0, 3 and 6 mm are frames 1, 2 and 0.
    assert image.pixels[0, :, 0, 0].tolist() == [-8, -4, -10]
    assert image.spacing == pytest.approx((3, 0.5, 0.8))
    assert image.affine is not None
    np.testing.assert_allclose(image.affine[:3, 3], [-1, -2, 0])


# What is wrong -----------------------------------------------------------------------------------------------------


def test_a_truncated_file_is_named_wherever_it_was_cut(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", RAMP, Modality="CT", PatientName="A^B", RescaleSlope=1, RescaleIntercept=-1024)
    content = whole.read_bytes()
    cut = tmp_path / "cut.dcm"
    for length in range(0, len(content), 7):
        cut.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cut\.dcm"):
            read_image(cut)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 900), value=st.integers(0, 255))
def test_a_changed_byte_never_ends_in_another_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    content = bytearray(write(folder / "a.dcm", RAMP, Modality="DX", **XRAY).read_bytes())
    content[place] = value
    (folder / "a.dcm").write_bytes(content)
    # Any other error than BrokenImage fails the test.
    with suppress(BrokenImage):
        assert read_image(folder / "a.dcm").pixels.size


def test_a_file_without_pixels_says_so(tmp_path: Path) -> None:
    data = data_set(RAMP, Modality="CT")
    del data.PixelData
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(UserError, match=r"a\.dcm: no pixel data"):
        read_image(tmp_path / "a.dcm")


VOLUME = np.arange(6 * 4 * 5, dtype=np.int16).reshape(6, 4, 5)
NAMES = [f"{k}.dcm" for k in range(6)]


def test_a_missing_slice_is_noticed(tmp_path: Path) -> None:
    write_series(tmp_path, VOLUME, NAMES)
    (tmp_path / "3.dcm").unlink()
    with pytest.raises(BrokenImage, match=r"unevenly spaced \(2\.00 to 4\.00 mm apart, mostly 2\.00\)"):
        read_image(tmp_path)


def test_a_slice_given_twice_is_noticed(tmp_path: Path) -> None:
    write_series(tmp_path, VOLUME, NAMES)
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "3.dcm").read_bytes())
    with pytest.raises(BrokenImage, match="1 of 7 slices shares the position of another"):
        read_image(tmp_path)


def test_slices_of_two_series_are_not_stacked(tmp_path: Path) -> None:
    write_series(tmp_path, VOLUME, NAMES)
    write_series(tmp_path, VOLUME, [f"other{name}" for name in NAMES])
    with pytest.raises(BrokenImage, match="holds 2 images or series"):
        read_image(tmp_path)
    with pytest.raises(BrokenImage, match="slices of 2 series"):
        read_series(sorted(tmp_path.iterdir()))


def test_a_localiser_in_a_series_is_noticed(tmp_path: Path) -> None:
    uid = generate_uid()
    write_series(tmp_path, VOLUME, NAMES, SeriesInstanceUID=uid)
    write(
        tmp_path / "scout", VOLUME[0], Modality="CT", SeriesInstanceUID=uid, PixelSpacing=[1, 1],
        ImagePositionPatient=[0, 0, 50], ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
    )  # fmt: skip
    with pytest.raises(BrokenImage, match="several orientations"):
        read_image(tmp_path)


def test_a_broken_slice_breaks_its_volume(tmp_path: Path) -> None:
    write_series(tmp_path, VOLUME, NAMES)
    (tmp_path / "3.dcm").write_bytes((tmp_path / "3.dcm").read_bytes()[:-8])
    with pytest.raises(
        BrokenImage, match=r"3\.dcm: one of 6 slices: the file is truncated or damaged \(Explicit VR Little Endian\)"
    ):
        read_image(tmp_path)


# Real files --------------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_a_real_series_is_stacked_by_position(real_data: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(next((real_data / "images/mr_t1_dicom").glob("*.tar.xz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    files = sorted((tmp_path / "t1w").iterdir())
    image = read_image(tmp_path / "t1w")
    assert image.size == (96, 384, 274)
    assert image.spacing == pytest.approx((0.667, 0.667, 0.7), abs=1e-3)
    assert image.affine is not None
    # Every file's first pixel lies, by its own header, where the affine puts its slice.
    for path in files[::19]:
        data = pydicom.dcmread(path)
        x, y, z = (float(value) for value in data.ImagePositionPatient)
        index = np.linalg.solve(image.affine, [-x, -y, z, 1])
        np.testing.assert_allclose(index[1:3], 0, atol=0.02)
        np.testing.assert_array_equal(image.pixels[0, round(index[0])], data.pixel_array)
    assert {"PatientName", "PatientID", "PatientBirthDate", "StudyDate"} <= set(image.identifiers)


@pytest.mark.data
def test_a_colour_rendering_of_ct_keeps_its_colours_and_tells_its_names(real_data: Path) -> None:
    path = real_data / "images/ct_identified/ctbrain1.dcm"
    image = read_image(path)
    decoded = pydicom.dcmread(path).pixel_array
    assert image.pixels.dtype == np.uint8
    assert np.abs(image.pixels.astype(int) - np.moveaxis(decoded, -1, 0)[: len(image.pixels)]).max() <= 1
    for name in ("PatientName", "InstitutionName", "RequestAttributesSequence/AccessionNumber", "(0031,1020)"):
        assert name in image.identifiers
    assert not any("SIMPSON" in str(text) for text in (*image.header.values(), *image.identifiers))


def test_a_damaged_modality_is_neither_kept_nor_printed(tmp_path: Path) -> None:
    """A code string has at most 16 capitals, digits and underscores (DICOM PS3.5, 6.2)."""
    path = write(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8), Modality="\0\1Doe^Jane" * 40)
    assert read_image(path).modality == ""
    data = pydicom.dcmread(path)
    del data.PixelData
    del data.Rows
    data.save_as(path)
    with pytest.raises(UserError, match=r"a\.dcm: no image in this DICOM file \(no modality\)"):
        read_image(path)
