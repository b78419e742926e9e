"""PNG, JPEG, TIFF and .npy: what was written is read, the right way up, and damage is told."""

import io
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

import medeor
from medeor.contracts import UserError
from medeor.formats.images.image import BrokenImage, kind_of, read_image

sides = st.tuples(st.integers(1, 9), st.integers(1, 9))
quick = settings(max_examples=25, deadline=None)


def grey(kind: type) -> st.SearchStrategy[np.ndarray]:
    return sides.flatmap(lambda size: arrays(kind, size))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


# Round trips -------------------------------------------------------------------------------------------------------


@quick
@given(pixels=st.one_of(grey(np.uint8), grey(np.uint16)))
def test_grey_png_of_8_and_16_bits(room: Path, pixels: np.ndarray) -> None:
    Pillow.fromarray(pixels).save(room / "a.png")
    image = read_image(room / "a.png")
    assert image.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(image.pixels[0], pixels)
    assert image.header["bits"] == str(8 * pixels.itemsize)


def png(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, (rows, columns, 3 or 4), as the specification has it, without filters."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows, columns, channels = pixels.shape
    head = struct.pack(">IIBBBBB", columns, rows, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


@quick
@given(pixels=sides.flatmap(lambda size: arrays(np.uint16, (*size, 3))))
def test_colour_png_keeps_all_16_bits(room: Path, pixels: np.ndarray) -> None:
    (room / "a.png").write_bytes(png(pixels))
    image = read_image(room / "a.png")
    assert image.pixels.dtype == np.uint16
    np.testing.assert_array_equal(np.broadcast_to(image.pixels, (3, *image.size)), np.moveaxis(pixels, -1, 0))


def test_transparency_of_16_bits_is_dropped(room: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (4, 5, 4), dtype=np.uint16)
    pixels[..., 3] = 65535
    (room / "a.png").write_bytes(png(pixels))
    np.testing.assert_array_equal(read_image(room / "a.png").pixels, np.moveaxis(pixels[..., :3], -1, 0))


@quick
@given(pixels=sides.flatmap(lambda size: arrays(np.uint8, (*size, 3))))
def test_colour_png(room: Path, pixels: np.ndarray) -> None:
    Pillow.fromarray(pixels).save(room / "a.png")
    image = read_image(room / "a.png")
    same = (pixels == pixels[..., :1]).all()
    assert len(image.pixels) == (1 if same else 3)
    np.testing.assert_array_equal(np.broadcast_to(image.pixels, (3, *image.size)), np.moveaxis(pixels, -1, 0))


tiffs = st.tuples(st.integers(1, 4), st.integers(2, 9), st.integers(2, 9)).flatmap(
    lambda size: st.one_of(*(arrays(kind, size) for kind in (np.uint8, np.uint16, np.int16)))
)


@quick
@given(pixels=tiffs, compression=st.sampled_from([None, "zlib"]))
def test_tiff_of_several_pages(room: Path, pixels: np.ndarray, compression: str | None) -> None:
    tifffile.imwrite(room / "a.tif", pixels, photometric="minisblack", compression=compression)
    image = read_image(room / "a.tif")
    assert image.pixels.dtype == pixels.dtype
    assert image.size == (pixels.shape if len(pixels) > 1 else pixels.shape[1:])
    np.testing.assert_array_equal(image.pixels[0], pixels if len(pixels) > 1 else pixels[0])


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits", None])
def test_tiff_compressions_decode_as_pillow_does(tmp_path: Path, compression: str | None) -> None:
    photo = np.stack(np.broadcast_arrays(np.arange(32)[:, None] * 7, np.arange(32) * 5, 100), -1).astype(np.uint8)
    Pillow.fromarray(photo).save(tmp_path / "a.tif", compression=compression)
    expected = np.asarray(Pillow.open(tmp_path / "a.tif").convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, np.moveaxis(expected, -1, 0))


def test_tiff_colour_pages_and_zero_as_white(tmp_path: Path) -> None:
    pages = np.random.default_rng(0).integers(0, 256, (3, 5, 6, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "colour.tif", pages, photometric="rgb")
    np.testing.assert_array_equal(read_image(tmp_path / "colour.tif").pixels, np.moveaxis(pages, -1, 0))
    tifffile.imwrite(tmp_path / "white.tif", pages[0, ..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "white.tif").pixels[0], 255 - pages[0, ..., 0])


@quick
@given(pixels=st.one_of(*(grey(kind) for kind in (np.uint8, np.uint16, np.int16, np.int32))))
def test_npy(room: Path, pixels: np.ndarray) -> None:
    np.save(room / "a.npy", pixels)
    image = read_image(room / "a.npy")
    colour = pixels.ndim == 3
    np.testing.assert_array_equal(image.pixels, np.moveaxis(pixels, -1, 0) if colour else pixels[None])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5, 6), (1, 5, 6)), ((5, 6, 3), (3, 5, 6)), ((5, 6, 7), (1, 5, 6, 7)), ((2, 5, 6, 7), (2, 5, 6, 7))],
)
def test_the_axes_of_an_array(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random(shape))
    image = read_image(tmp_path / "a.npy")
    assert image.pixels.shape == expected
    assert image.pixels.dtype == np.float32


def test_nan_in_an_array_is_counted(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1.0, np.nan], [np.inf, -2.0]]))
    image = read_image(tmp_path / "a.npy")
    assert image.nonfinite == 2
    np.testing.assert_array_equal(image.pixels, [[[1, -2], [-2, -2]]])


# The right way up, without transparency ----------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_agrees_with_pillow(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    exif = Pillow.Exif()
    exif[0x0112] = orientation
    pixels = np.arange(12 * 8, dtype=np.uint8).reshape(12, 8)
    Pillow.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Pillow.open(tmp_path / "a.png")))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels[0], expected)


def test_transparent_pixels_are_laid_over_black(tmp_path: Path) -> None:
    pixels = np.full((2, 2, 4), 200, np.uint8)
    pixels[..., 1], pixels[..., 3] = 100, [[255, 0], [51, 255]]
    Pillow.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.pixels[0].tolist() == [[200, 0], [40, 200]]
    assert image.pixels[1].tolist() == [[100, 0], [20, 100]]


def test_palette_one_bit_and_cmyk(tmp_path: Path) -> None:
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[:2, :, 0] = 255
    Pillow.fromarray(colours).convert("P", palette=Pillow.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png").pixels, np.moveaxis(colours, -1, 0))
    Pillow.fromarray(colours[..., 0] > 0).save(tmp_path / "bit.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bit.png").pixels[0], colours[..., 0])
    Pillow.fromarray(colours).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100, subsampling=0)
    assert np.abs(read_image(tmp_path / "cmyk.jpg").pixels.astype(int) - np.moveaxis(colours, -1, 0)).max() < 12


# What the header says ----------------------------------------------------------------------------------------------


def test_names_days_and_places_in_exif_and_png_are_told(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x013B], exif[0x010F], exif[0x0131] = "Jane Doe", "Maker", "Program"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:31 10:00:00"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)
    Pillow.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    image = read_image(tmp_path / "a.jpg")
    assert image.identifiers == ("Artist", "DateTimeOriginal", "GPSInfo")
    assert image.header["manufacturer"] == "Maker"
    assert image.header["compression"].startswith("JPEG, quantisation")
    assert "Jane Doe" not in image.header.values()
    text = PngInfo()
    text.add_text("Author", "Jane Doe")
    text.add_text("Software", "Program")
    Pillow.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "a.png", pnginfo=text)
    assert read_image(tmp_path / "a.png").identifiers == ("Author",)


def test_names_in_tiff_are_told_and_programs_are_not(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4), np.uint8)
    tifffile.imwrite(tmp_path / "own.tif", pixels)
    assert read_image(tmp_path / "own.tif").identifiers == ()
    tifffile.imwrite(tmp_path / "a.tif", pixels, description="Jane Doe", datetime="2020:01:31 10:00:00", metadata=None)
    assert read_image(tmp_path / "a.tif").identifiers == ("DateTime", "ImageDescription")


# What is wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp", "a.npy"])
def test_a_cut_file_is_named_and_kinds_go_by_content(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    if name == "a.npy":
        np.save(tmp_path / name, noise)
    else:
        Pillow.fromarray(noise).save(tmp_path / name)
    renamed = tmp_path / "anything.txt"
    renamed.write_bytes((tmp_path / name).read_bytes())
    assert kind_of(renamed) == kind_of(tmp_path / name) != ""
    content = renamed.read_bytes()
    for part in (0, 0.02, 0.3, 0.7):
        (tmp_path / name).write_bytes(content[: int(len(content) * part)])
        with pytest.raises(BrokenImage, match=name):
            read_image(tmp_path / name)


def test_what_is_no_image_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not a picture at all")
    with pytest.raises(BrokenImage, match=r"a\.png: not an image"):
        read_image(tmp_path / "a.png")
    (tmp_path / "b.png").touch()
    with pytest.raises(BrokenImage, match="the file is empty"):
        read_image(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"c\.png does not exist"):
        read_image(tmp_path / "c.png")


def test_pages_of_two_sizes_and_pickles_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((4, 4), np.uint8))
        file.write(np.zeros((5, 4), np.uint8))
    with pytest.raises(BrokenImage, match="pages differ in size"):
        read_image(tmp_path / "a.tif")
    np.save(tmp_path / "a.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(BrokenImage, match=r"a\.npy"):
        read_image(tmp_path / "a.npy")


@pytest.mark.data
def test_real_tiles_and_a_slide(real_data: Path) -> None:
    tile = next((real_data / "images/pcam/tiles").iterdir())
    expected = np.moveaxis(np.asarray(Pillow.open(tile)), -1, 0)
    np.testing.assert_array_equal(read_image(tile).pixels, expected)
    slide = next((real_data / "images/slide").glob("*.svs"))
    with pytest.raises(BrokenImage, match="slide"):
        read_image(slide)


@settings(max_examples=120, deadline=None)
@given(name=st.sampled_from(["a.png", "a.jpg", "a.tif", "a.npy"]), share=st.floats(0, 0.999), value=st.integers(0, 255))
def test_a_changed_byte_never_ends_in_another_error(room: Path, name: str, share: float, value: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 12), dtype=np.uint8)
    if name == "a.npy":
        np.save(room / name, noise)
    else:
        Pillow.fromarray(noise).save(room / name)
    content = bytearray((room / name).read_bytes())
    content[int(share * len(content))] = value
    (room / name).write_bytes(content)
    with suppress(BrokenImage):
        assert read_image(room / name).pixels.size


def test_an_array_with_a_side_below_zero_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", train_images=np.zeros((12, 8, 8), np.uint8), train_labels=np.arange(12) % 2)
    whole = (tmp_path / "set.npz").read_bytes()
    assert whole.count(b"(12, 8, 8)") == 1
    (tmp_path / "bad.npz").write_bytes(_with_right_sums(whole.replace(b"(12, 8, 8)", b"(-2, 8, 8)")))
    with pytest.raises(UserError, match="damaged"):
        medeor.read(tmp_path / "bad.npz")


def _with_right_sums(archive: bytes) -> bytes:
    """The archive with the checksums of its members made to fit."""
    with zipfile.ZipFile(io.BytesIO(archive)) as old:
        for info in old.infolist():
            start = (
                info.header_offset
                + 30
                + len(info.filename)
                + int.from_bytes(archive[info.header_offset + 28 : info.header_offset + 30], "little")
            )
            content = archive[start : start + info.file_size]
            archive = archive.replace(info.CRC.to_bytes(4, "little"), zlib.crc32(content).to_bytes(4, "little"))
    return archive
