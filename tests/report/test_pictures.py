"""Images against Pillow, colours against Matplotlib, averages against scikit-image; drawings against their rules."""

from __future__ import annotations

import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from medeor.figures import Drawing, Gallery, Picture
from medeor.report.pictures import INFERNO, LARGEST, OPACITY, drawing, gallery, heat, png, smaller

sides = st.integers(1, 40)
grey = st.tuples(sides, sides).flatmap(lambda shape: arrays.arrays(np.uint8, shape))
colour = st.tuples(sides, sides, st.just(3)).flatmap(lambda shape: arrays.arrays(np.uint8, shape))


@settings(max_examples=60)
@given(st.one_of(grey, colour))
def test_a_written_png_reads_back_as_it_was(pixels: np.ndarray) -> None:
    image = Image.open(io.BytesIO(png(pixels)))
    assert image.mode == ("L" if pixels.ndim == 2 else "RGB")
    np.testing.assert_array_equal(np.asarray(image), pixels)


def test_a_png_of_a_smooth_image_is_smaller_than_its_pixels() -> None:
    y, x = np.mgrid[0:28, 0:28]
    assert len(png((4 * x + 3 * y).astype(np.uint8))) < 28 * 28 / 2


@pytest.mark.parametrize("pixels", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)])
def test_what_is_no_image_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        png(pixels)


def test_the_colours_of_a_heat_map_are_those_of_inferno() -> None:
    scale = pytest.importorskip("matplotlib").colormaps["inferno"]
    stops = np.array([list(bytes.fromhex(stop)) for stop in INFERNO])
    expected = 255 * scale(np.linspace(0, 1, 16))[:, :3]
    assert np.abs(stops - expected).max() < 4
    values = np.linspace(0, 1, 50)
    shown = np.asarray(Image.open(io.BytesIO(heat(values[None]))).convert("RGBA")).astype(float)[0]
    # Sixteen stops and 64 levels stay close to the full scale.
    assert np.abs(shown[:, :3] - 255 * scale(values)[:, :3]).max() < 10


def test_a_heat_map_is_clear_where_it_is_zero_and_strongest_at_one() -> None:
    overlay = np.array([[0.0, 0.5, 1.0, 7.0, np.nan, -1.0]])
    alpha = np.asarray(Image.open(io.BytesIO(heat(overlay))).convert("RGBA"))[0, :, 3] / 255
    assert alpha == pytest.approx([0, OPACITY / 2, OPACITY, OPACITY, 0, 0], abs=0.01)


def test_a_large_image_is_averaged_over_blocks() -> None:
    measure = pytest.importorskip("skimage.measure")
    pixels = np.random.default_rng(0).integers(0, 256, (900, 600, 3), dtype=np.uint8)
    expected = measure.block_reduce(pixels, (3, 3, 1), np.mean)
    assert np.abs(smaller(pixels) - expected).max() <= 0.5


@given(st.integers(1, 3000), st.integers(1, 3000))
@settings(max_examples=20, deadline=None)
def test_an_image_of_any_size_ends_within_the_limit_and_small_ones_stay(height: int, width: int) -> None:
    shape = smaller(np.zeros((height, width), np.uint8)).shape
    assert max(shape) <= LARGEST
    assert shape == (height, width) or max(height, width) > LARGEST


def test_an_image_with_a_map_stands_beside_itself() -> None:
    pixels = np.zeros((28, 20), np.uint8)
    html = gallery(Gallery("G", (Picture(pixels, "<b>"), Picture(pixels, "two", np.ones((7, 5)), tone="bad"))))
    root = ET.fromstring(f"<div>{html}</div>")
    one, two = root.iter("li")
    assert [len(list(item[0])) for item in (one, two)] == [1, 2]
    assert "aspect-ratio:20/28" in one[0].get("style", "")
    assert "aspect-ratio:40/28" in two[0].get("style", "")
    assert one[0].get("aria-label") == "<b>"
    assert one[0].get("role") == "img"
    assert next(two.iter("svg")).get("aria-label") == "bad"
    assert "Weight in the heat map" in html


# --- drawings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        "<style>* { display: none }</style>",
        "<foreignObject><p/></foreignObject>",
        "<image href='https://example.org/x.png'/>",
        "<a href='#x'><path/></a>",
        "<path onclick='alert(1)'/>",
        "<path ONLOAD='alert(1)'/>",
        "<use href='https://example.org/x.svg#a'/>",
        "<use xmlns:xlink='http://www.w3.org/1999/xlink' xlink:href='other.svg#a'/>",
        "<path style='fill:url(https://example.org/x)'/>",
        "<path style=\"fill:url( 'https://example.org/x')\"/>",
        "<path fill='url(//example.org/x)'/>",
        "<path style='background:\\75rl(x)'/>",
        "<set attributeName='href' to='javascript:alert(1)'/>",
        "<path d='javascript:alert(1)'/>",
        "<svg><script/></svg>",
    ],
)
def test_a_drawing_with_anything_active_or_foreign_is_refused(inside: str) -> None:
    with pytest.raises(ValueError, match="not let into a report"):
        drawing(Drawing("D", f"<svg xmlns='http://www.w3.org/2000/svg'>{inside}</svg>"))


@pytest.mark.parametrize(
    "svg",
    ["<svg", "<p/>", "", '<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "<svg xmlns:x='y'><x:script/></svg>"],
)
def test_what_is_no_plain_svg_is_refused(svg: str) -> None:
    with pytest.raises(ValueError):
        drawing(Drawing("D", svg))


def test_a_harmless_drawing_keeps_its_shapes_and_text() -> None:
    svg = (
        "<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' xmlns:rdkit='http://www.rdkit.org/xml' width='9'>"
        "<!-- note --><rect style='fill:#FFFFFF;stroke:none' width='9' class='icon'/><text>C &lt; N</text></svg>"
    )
    html = drawing(Drawing("D", svg))
    root = ET.fromstring(html)[0]
    assert root.attrib == {"width": "9", "role": "img", "aria-label": "D"}
    assert root[0].attrib == {"style": "fill:#FFFFFF;stroke:none", "width": "9"}
    assert root[1].text == "C < N"
    assert "http" not in html


def test_names_inside_two_drawings_do_not_meet() -> None:
    svg = "<svg><clipPath id='a'/><path clip-path='url(#a)' fill='{}'/><use href='#a'/></svg>"
    first, second = (ET.fromstring(drawing(Drawing("D", svg.format(colour))))[0] for colour in ("red", "blue"))
    assert first[0].get("id") != second[0].get("id")
    assert first[1].get("clip-path") == f"url(#{first[0].get('id')})"
    assert first[2].get("href") == f"#{first[0].get('id')}"
