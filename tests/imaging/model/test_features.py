"""Numbers of an image for trees: each against numpy, the same for an image alone and among others."""

from __future__ import annotations

import numpy as np
import pytest

import tiny
from medeor.contracts import Cases
from medeor.imaging.model.features import ImageFeatures
from medeor.imaging.model.prepare import Preparation

DRAW = np.random.default_rng(0)


def features(size: tuple[int, ...], channels: int = 1) -> ImageFeatures:
    return ImageFeatures(Preparation(size, channels, "image"))


def named(size: tuple[int, ...], images: np.ndarray, channels: int = 1) -> dict[str, np.ndarray]:
    """Columns by name, each of shape (images,)."""
    made = features(size, channels)
    table = made.table(tiny.cases_of(images))
    assert table.dtype == np.float32
    assert table.shape == (len(images), len(made.names()))
    return dict(zip(made.names(), table.T, strict=True))


def group(columns: dict[str, np.ndarray], start: str) -> np.ndarray:
    """Shape (images, numbers)."""
    return np.stack([column for name, column in columns.items() if name.startswith(start)], axis=1)


def test_levels_quantiles_and_pixels_are_those_of_numpy() -> None:
    images = DRAW.integers(0, 256, (3, 14, 14), np.uint8)
    columns = named((14, 14), images)
    unit = images / 255
    for row, image in enumerate(unit):
        counts = np.bincount(np.minimum((image * 16).astype(int), 15).ravel(), minlength=16)
        assert group(columns, "level 0")[row] == pytest.approx(counts / image.size, abs=1e-6)
        ordered = np.sort(image.ravel())
        assert group(columns, "quantile 0")[row, 4] == pytest.approx(ordered[(image.size - 1) // 2], abs=1e-6)
        boxes = image.reshape(7, 2, 7, 2).mean((1, 3))
        assert group(columns, "pixel 0")[row] == pytest.approx(boxes.ravel(), abs=1e-6)


def test_edges_are_differences_of_neighbours() -> None:
    image = np.tile(np.arange(16, dtype=np.uint8) * 10, (16, 1))
    columns = named((16, 16), np.stack([image, image.T]))
    step = 20 / 255
    assert columns["edge by axis at scale 0 0[0]"] == pytest.approx([0, step], abs=1e-6)
    assert columns["edge by axis at scale 0 0[1]"] == pytest.approx([step, 0], abs=1e-6)
    assert columns["edge, mean at scale 0 0[0]"] == pytest.approx([step, step], abs=1e-6)
    assert columns["edge, spread at scale 0 0[0]"] == pytest.approx([0, 0], abs=1e-6)


def test_a_pattern_says_which_neighbours_are_as_bright() -> None:
    """Of one bright pixel all four neighbours are darker; each of them has one that is brighter, and all others are
    equal."""
    image = np.zeros((9, 9), np.uint8)
    image[4, 4] = 200
    patterns = group(named((9, 9), image[None]), "pattern at scale 0")[0] * 49
    assert patterns[0] == pytest.approx(1, abs=1e-4)
    assert patterns[15] == pytest.approx(48, abs=1e-4)


def test_three_channels_are_also_counted_as_one_colour() -> None:
    images = DRAW.integers(0, 256, (2, 12, 12, 3), np.uint8)
    shares = group(named((12, 12), images, 3), "colour")
    for row, image in enumerate(images):
        red, green, blue = np.moveaxis(np.minimum((image / 255 * 8).astype(int), 7), -1, 0)
        counts = np.bincount(((red * 8 + green) * 8 + blue).ravel(), minlength=512)
        assert shares[row] == pytest.approx(counts / 144, abs=1e-6)


@pytest.mark.parametrize("size", [(5, 5), (3, 40), (200, 130), (6, 7, 8), (40, 40, 40)])
def test_every_size_has_its_numbers(size: tuple[int, ...]) -> None:
    columns = named(size, DRAW.integers(0, 256, (2, *size), np.uint8))
    assert all(np.isfinite(column).all() for column in columns.values())
    assert group(columns, "level 0").sum(1) == pytest.approx([1, 1], abs=1e-5)


def test_an_image_has_the_same_numbers_alone_and_when_asked_again() -> None:
    cases = tiny.cases_of(DRAW.integers(0, 256, (6, 12, 12), np.uint8))
    made = features((12, 12))
    some = Cases(cases.table[[4, 1]], stores=cases.stores)
    first = made.table(some)
    whole = made.table(cases)
    assert np.array_equal(whole[[4, 1]], first)
    assert np.array_equal(made.table(cases), whole)


def test_a_spot_in_one_slice_stands_out_whatever_the_axis_of_the_slices() -> None:
    random = np.random.default_rng(1)
    plain = random.normal(100, 10, (10, 32, 32))
    spotted = plain.copy()
    spotted[4, 10:15, 20:25] += 30
    for axis in range(3):
        spacing = tuple(4.0 if one == axis else 1.0 for one in range(3))
        images = np.stack([np.moveaxis(one, 0, axis) for one in (plain, spotted)]).astype(np.float32)
        made = ImageFeatures(Preparation(images.shape[1:], 1, "image", spacing=spacing), spots=True)
        columns = dict(zip(made.names(), made.table(tiny.cases_of(images, np.array([0, 1]))).T, strict=True))
        brightest = columns["spot of 1.5 in one slice, brightest and darkest 0[0]"]
        assert brightest[1] > 1.5 * brightest[0]
        assert brightest[0] == pytest.approx(4.4, abs=1)  # the extreme of 10,240 correlated normal numbers


def test_features_of_a_first_model_have_no_spots() -> None:
    old = ImageFeatures.from_json({"preparation": {"size": [8, 8, 8], "channels": 1, "intensity": "image"}})
    assert not old.spots
    assert old.preparation.arithmetic == 1
    assert ImageFeatures.from_json(ImageFeatures(Preparation((8, 8), 1)).to_json()).preparation.arithmetic == 3
