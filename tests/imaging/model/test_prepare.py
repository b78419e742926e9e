"""From stored images to what a network is fed, against formulas and other libraries."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy import ndimage

import tiny
from medeor import cache
from medeor.contracts import Cases, Sources, Study, UserError
from medeor.formats.images.store import ImageStore
from medeor.imaging.model import grid
from medeor.imaging.model import prepare as arithmetic
from medeor.imaging.model import prepared as rooms
from medeor.imaging.model.features import ImageFeatures
from medeor.imaging.model.prepare import Preparation, prepare_one
from medeor.imaging.model.prepared import prepare
from medeor.imaging.read.cases import read_cases

ROUNDED = 0.5 / 255 + 1e-6
"""What rounding once may do to a byte."""


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def at_scale(pixels: np.ndarray, plan: Preparation, spacing: tuple[float, ...] | None = None) -> np.ndarray:
    return prepare_one(pixels, plan, spacing).values(plan)


def test_bytes_are_brought_to_a_share_of_what_they_can_hold() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert_allclose(at_scale(pixels, Preparation((16, 16), 1)), pixels / 255, atol=1e-7)


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.float32])
def test_other_numbers_are_brought_to_their_own_range(kind: type) -> None:
    pixels = (noise(1, 40, 40) * 30_000 - 5_000 * (kind != np.uint16)).astype(kind)
    low, high = np.percentile(pixels, [0.5, 99.5])
    low = 0 if pixels.min() >= 0 and low <= high / 2 else low
    expected = (pixels.astype(float) - low) / (high - low)
    assert_allclose(at_scale(pixels, Preparation((40, 40), 1)), expected, atol=1e-5)
    low, high = np.percentile(pixels, [0.5, 99.5])
    expected = np.clip((pixels.astype(float) - low) / (high - low), 0, 1)
    assert_allclose(at_scale(pixels, Preparation((40, 40), 1, arithmetic=1)), expected, atol=1e-5)


@pytest.mark.parametrize("side", [2, 3, 14])
@pytest.mark.parametrize("level", [120, 220])
def test_a_small_bright_finding_stands_out_alike_for_every_depth(side: int, level: int) -> None:
    rows = np.clip(np.random.default_rng(0).normal(60, 8, (224, 224)), 0, 255)
    rows[100 : 100 + side, 100 : 100 + side] = level
    byte = rows.astype(np.uint8)[None]
    plan = Preparation((224, 224), 1, "image")
    expected = (byte - byte.mean()) / byte.std()
    for same in (byte, byte.astype(np.uint16) * 257, byte.astype(np.int16) * 16 - 1024, byte.astype(np.float32) / 255):
        assert_allclose(at_scale(same, plan), expected, atol=2e-3)


def test_one_faulty_pixel_does_not_set_the_scale() -> None:
    pixels = np.random.default_rng(0).normal(1000, 50, (1, 128, 128)).astype(np.uint16)
    pixels[0, 5, 5] = 65535
    prepared = at_scale(pixels, Preparation((128, 128), 1, "image"))[0]
    assert prepared[20:].std() > 0.7
    assert prepared[5, 5] == prepared.max()


def test_each_channel_has_its_own_window_and_statistics() -> None:
    ct, pet = noise(1, 16, 16) * 2000 - 1000, noise(1, 16, 16, seed=1) * 20_000
    both = np.concatenate([ct, pet])
    prepared = at_scale(both, Preparation((16, 16), 2, ("window", "image"), (-1000.0, 1000.0)))
    assert_allclose(prepared[0], (ct[0] + 1000) / 2000, atol=1e-5)
    assert_allclose(prepared[1], (pet[0] - pet.mean()) / pet.std(), atol=1e-3)
    far = at_scale(np.concatenate([ct, 1000 * pet]), Preparation((16, 16), 2, "range"))
    assert_allclose(far, at_scale(both, Preparation((16, 16), 2, "range")), atol=1e-3)


def ball(spacing: tuple[float, ...], counts: tuple[int, ...]) -> np.ndarray:
    """60 mm across, in the middle."""
    axes = np.meshgrid(*[(np.arange(n) - n / 2 + 0.5) * s for n, s in zip(counts, spacing)], indexing="ij")
    return np.where(sum(axis**2 for axis in axes) < 900, 100, 0).astype(np.float32)[None]


def extents(prepared: np.ndarray) -> list[int]:
    inside = prepared > 0.5
    axes = range(prepared.ndim)
    return [int(np.ptp(np.flatnonzero(inside.any(tuple(a for a in axes if a != axis))))) + 1 for axis in axes]


@given(
    st.tuples(st.floats(0.8, 6), st.floats(0.5, 2), st.floats(0.5, 2)),
    st.tuples(st.floats(1.5, 5), st.floats(1.5, 3), st.floats(1.5, 3)),
)
def test_a_ball_keeps_its_millimetres_on_a_grid(own: tuple[float, ...], apart: tuple[float, ...]) -> None:
    volume = ball(own, tuple(round(90 / one) for one in own))
    size = tuple(int(110 / one) for one in apart)
    found = extents(at_scale(volume, Preparation(size, 1, spacing=apart), own)[0])
    for voxels, one, before in zip(found, apart, own):
        assert abs(voxels * one - 60) <= 2 * one + 2 * before


def test_a_volume_larger_than_the_grid_is_shrunk_as_a_whole() -> None:
    volume = ball((1, 1, 1), (80, 160, 80))
    found = extents(at_scale(volume, Preparation((40, 40, 40), 1, spacing=(2.0, 2.0, 2.0)), (1, 1, 1))[0])
    assert all(abs(voxels - 15) <= 1 for voxels in found)


def test_without_millimetres_each_axis_of_a_volume_fills_the_grid() -> None:
    volume = np.full((1, 24, 90, 120), 100, np.uint8)
    prepared = at_scale(volume, Preparation((24, 30, 30), 1))
    assert (prepared > 0.3).all()


def test_flat_images_keep_their_aspect_in_millimetres() -> None:
    disc = ball((0.5, 1.0), (180, 90))
    rows, columns = extents(at_scale(disc, Preparation((64, 64), 1), (0.5, 1.0))[0])
    assert abs(rows - columns) <= 1
    assert extents(at_scale(disc, Preparation((64, 64), 1, arithmetic=1), (0.5, 1.0))[0])[0] > 1.8 * 22


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_shrinking_keeps_the_mean_and_enlarging_the_range(old: int, new: int, seed: int) -> None:
    pixels = noise(1, 3, old, 2, seed=seed)
    found = grid.resized(pixels, (3, new, 2))
    assert found.shape == (1, 3, new, 2)
    if new <= old:
        assert_allclose(found.mean(2), pixels.mean(2), atol=1e-5)
    assert pixels.min() - 1e-6 <= found.min() <= found.max() <= pixels.max() + 1e-6


def test_a_model_of_the_first_version_prepares_as_it_did() -> None:
    old = {"size": [8, 8, 8], "channels": 1, "intensity": "range"}
    plan = ImageFeatures.from_json({"preparation": old}).preparation
    volume = np.full((1, 4, 16, 16), 100, np.uint8)
    volume[0, 0, 0, 0] = 0
    found = at_scale(volume, plan, (5.0, 0.5, 0.5))[0]
    # Two slices of four are left, as rows and columns are halved.
    assert (found[[0, 1, 2, 5, 6, 7]] == 0).all()
    assert (found[3:5] > 0.3).all()


def test_a_window_shows_what_lies_between_its_ends() -> None:
    hounsfield = np.array([[[-2000, -160, 40], [140, 240, 3000]]], np.int16).repeat(2, 1).repeat(2, 2)
    prepared = at_scale(hounsfield, Preparation((4, 6), 1, "window", (-160.0, 240.0)))
    assert_allclose(prepared[0, ::2, ::2], [[0, 0, 0.5], [0.75, 1, 1]], atol=1e-6)


@given(st.integers(0, 99), st.floats(0.01, 1000), st.floats(-1000, 1000))
def test_standardised_images_do_not_know_their_brightness(seed: int, factor: float, shift: float) -> None:
    pixels = noise(1, 20, 20, seed=seed)
    plan = Preparation((20, 20), 1, "image")
    prepared = at_scale(pixels, plan)
    assert_allclose([prepared.mean(), prepared.std()], [0, 1], atol=1e-4)
    assert_allclose(at_scale(pixels * factor + shift, plan), prepared, atol=0.02)


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("intensity", ["range", "image"])
def test_an_empty_image_stays_finite(value: int, intensity: str) -> None:
    for kind in (np.uint8, np.float32):
        pixels = np.full((1, 8, 8), value, kind)
        assert np.isfinite(at_scale(pixels, Preparation((12, 12), 1, intensity))).all()  # type: ignore[arg-type]


def test_shrinking_is_that_of_pillow() -> None:
    pixels = (noise(1, 48, 64) * 255).astype(np.uint8)
    theirs = np.asarray(Image.fromarray(pixels[0]).convert("F").resize((32, 24), Image.Resampling.BILINEAR))
    assert_allclose(at_scale(pixels, Preparation((24, 32), 1))[0], theirs / 255, atol=ROUNDED)


def test_shrinking_a_volume_averages_blocks() -> None:
    pixels = (noise(1, 8, 12, 16) * 255).astype(np.uint8)
    blocks = pixels[0].reshape(4, 2, 6, 2, 8, 2).mean((1, 3, 5)) / 255
    assert_allclose(at_scale(pixels, Preparation((4, 6, 8), 1))[0], blocks, atol=ROUNDED)


@pytest.mark.parametrize(("shape", "size"), [((30, 10), (32, 32)), ((10, 40), (32, 32)), ((9, 9), (16, 8))])
def test_the_aspect_is_kept_and_the_rest_is_dark(shape: tuple[int, int], size: tuple[int, int]) -> None:
    pixels = np.full((1, *shape), 200, np.uint8)
    pixels[0, 0, 0] = 0
    prepared = at_scale(pixels, Preparation(size, 1))[0]
    factor = min(size[0] / shape[0], size[1] / shape[1])
    bright = prepared > 0.5
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    assert len(rows) == pytest.approx(shape[0] * factor, abs=1)
    assert len(columns) == pytest.approx(shape[1] * factor, abs=1)
    for found, side in ((rows, size[0]), (columns, size[1])):
        # In the middle; of an odd rest, the further row or column lies behind.
        assert 0 <= (side - 1 - found[-1]) - found[0] <= 1
    assert (prepared[: rows[0]] == 0).all()
    assert (prepared[:, : columns[0]] == 0).all()


def test_the_median_is_that_of_scipy() -> None:
    pixels = (noise(1, 20, 20) * 255).astype(np.uint8)
    theirs = ndimage.median_filter(pixels[0] / 255, size=3, mode="reflect")
    prepared = at_scale(pixels, Preparation((20, 20), 1, denoise="median"))[0]
    assert_allclose(prepared[1:-1, 1:-1], theirs[1:-1, 1:-1], atol=1e-6)


@pytest.mark.parametrize("step", [{"denoise": "non-local means"}, {"enhance": "clahe"}])
def test_steps_do_what_they_are_for(step: dict[str, str]) -> None:
    rows, columns = np.mgrid[:40, :40]
    clean = np.where((rows // 10 + columns // 10) % 2, 0.55, 0.45)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 0.03, clean.shape), 0, 1)
    prepared = at_scale((noisy * 255).astype(np.uint8)[None], Preparation((40, 40), 1, **step))[0]  # type: ignore[arg-type]
    assert 0 <= prepared.min() <= prepared.max() <= 1
    if "denoise" in step:
        assert np.std(prepared - clean) < 0.6 * np.std(noisy - clean)
    else:
        apart = [values[clean > 0.5].mean() - values[clean < 0.5].mean() for values in (prepared, noisy)]
        assert apart[0] > 1.5 * apart[1]


def test_noise_is_measured_as_it_was_made() -> None:
    rows, columns = np.mgrid[:200, :200]
    smooth = 0.5 + 0.3 * np.sin(rows / 30) * np.cos(columns / 40)
    for sigma in (0.01, 0.05):
        noisy = smooth + np.random.default_rng(0).normal(0, sigma, smooth.shape)
        assert arithmetic._noise(noisy) == pytest.approx(sigma, rel=0.05)


def test_a_bias_field_that_was_put_in_is_taken_out() -> None:
    rows, columns = np.meshgrid(np.linspace(-1, 1, 48), np.linspace(-1, 1, 48), indexing="ij")
    tissue = np.where((np.add.outer(np.arange(48), np.arange(48)) // 4) % 2, 0.9, 0.6)
    biased = tissue * np.exp(0.4 * rows - 0.3 * columns + 0.2 * rows * columns)
    pixels = (biased / biased.max() * 255).astype(np.uint8)[None]
    prepared = at_scale(pixels, Preparation((48, 48), 1, enhance="bias field"))[0]
    left = prepared[tissue < 0.7]
    before = pixels[0][tissue < 0.7] / 255
    assert left.std() / left.mean() < 0.25 * before.std() / before.mean()


@pytest.mark.parametrize(
    ("shape", "plan", "word"),
    [
        ((1, 8, 8, 8), Preparation((8, 8), 1), "volumes"),
        ((1, 8, 8), Preparation((8, 8, 8), 1), "flat images"),
        ((3, 8, 8), Preparation((8, 8), 1), "1 channel"),
        ((1, 8, 8), Preparation((8, 8), 2), "2 channel"),
    ],
)
def test_images_of_another_kind_are_refused(shape: tuple[int, ...], plan: Preparation, word: str) -> None:
    with pytest.raises(UserError, match=word):
        at_scale(np.zeros(shape, np.uint8), plan)


def test_grey_stands_for_colour() -> None:
    pixels = (noise(1, 8, 8) * 255).astype(np.uint8)
    prepared = at_scale(pixels, Preparation((8, 8), 3))
    assert prepared.shape == (3, 8, 8)
    assert (prepared == prepared[0]).all()


def hospital(folder: Path, patients: int = 12) -> Cases:
    return read_cases(Sources((tiny.hospital(folder, patients=patients) / "images",), {}), Study())


def test_images_of_a_store_are_decoded_once_for_all_who_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE", str(tmp_path / "cache"))
    cases, plan = hospital(tmp_path / "h"), Preparation((16, 16), 1, "image")
    read = Counter[str]()
    original = ImageStore.read
    monkeypatch.setattr(ImageStore, "read", lambda store, keys: read.update(keys) or original(store, keys))
    whole = prepare(cases, plan)
    assert whole.pixels.dtype == np.uint8
    assert whole[:].std((1, 2, 3), correction=0).numpy() == pytest.approx(1, abs=1e-5)
    rooms._opened.cache_clear()  # as another process
    some = prepare(cases.where(pl.Series([row % 3 == 1 for row in range(len(cases))])), plan)
    assert some[:].equal(whole[torch.arange(1, len(cases), 3)])
    assert some[torch.tensor([2, 0])].equal(whole[torch.tensor([7, 1])])
    levels = prepare(cases, plan.levels)
    assert levels[:].min() >= 0
    assert levels.key == whole.key
    assert set(read.values()) == {1}
    (entry,) = cache.entries()
    assert entry.kind == "images"
    assert not levels.pixels.flags.writeable
    prepare(cases, Preparation((8, 8), 1))
    assert set(read.values()) == {2}


def test_bits_are_the_same_from_disk_from_memory_and_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE", str(tmp_path / "cache"))
    cases = hospital(tmp_path / "h")
    for plan in (Preparation((13, 11), 1, "image"), Preparation((64, 48), 3), Preparation((9, 9), 1, arithmetic=2)):
        rooms._opened.cache_clear()
        mapped = prepare(cases, plan)
        assert isinstance(mapped.pixels, np.memmap)
        monkeypatch.setattr(rooms, "FEW", len(cases))
        rooms._opened.cache_clear()
        assert prepare(cases, plan)[:].equal(mapped[:])
        monkeypatch.undo()
        monkeypatch.setenv("MEDEOR_CACHE", str(tmp_path / "cache"))
        store = cases.store("images", ImageStore)
        for row in (0, 5):
            image = store.read(cases.table["images"][row].to_list())
            alone = prepare_one(image.pixels, plan, image.spacing).values(plan)
            assert_array_equal(alone, mapped[:][row].numpy())


def test_a_file_that_has_changed_since_it_was_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE", str(tmp_path / "cache"))
    cases = hospital(tmp_path / "h")
    path = sorted((tmp_path / "h" / "images").rglob("*.png"))[3]
    pixels = np.asarray(Image.open(path)).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    with pytest.raises(UserError, match=f"{path.name} has changed since it was read"):
        prepare(cases, Preparation((16, 16), 1))
    assert cache.entries() == []


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_stored_pixels_keep_their_type_and_are_rounded_once(kind: type) -> None:
    pixels = (noise(1, 50, 40) * 250).astype(kind)
    exact = Preparation((20, 16), 1, "range", arithmetic=2)
    made = prepare_one(pixels, Preparation((20, 16), 1, "range"))
    assert made.pixels.dtype == kind
    step = 0 if kind == np.float32 else 0.5001 / made.scales[0, 1]
    assert_allclose(at_scale(pixels, Preparation((20, 16), 1)), at_scale(pixels, exact), atol=step + 1e-6)
    same = prepare_one(pixels, Preparation((50, 40), 1, "range"))
    if kind != np.float32:
        assert_array_equal(same.pixels, pixels)
