"""From stored images to what a network is fed, against formulas and other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from PIL import Image
from scipy import ndimage

import tiny
from medeor import cache
from medeor.contracts import UserError
from medeor.imaging import prepare as rooms
from medeor.imaging.prepare import Preparation, prepare, prepare_one


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def test_bytes_are_brought_to_a_share_of_what_they_can_hold() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert_allclose(prepare_one(pixels, Preparation((16, 16), 1)), pixels / 255, atol=1e-7)


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.float32])
def test_other_numbers_are_brought_to_their_own_range(kind: type) -> None:
    pixels = (noise(1, 40, 40) * 30_000 - 5_000 * (kind != np.uint16)).astype(kind)
    low, high = np.percentile(pixels, [0.5, 99.5])
    expected = np.clip((pixels.astype(float) - low) / (high - low), 0, 1)
    assert_allclose(prepare_one(pixels, Preparation((40, 40), 1)), expected, atol=1e-5)


def test_a_window_shows_what_lies_between_its_ends() -> None:
    hounsfield = np.array([[[-2000, -160, 40], [140, 240, 3000]]], np.int16).repeat(2, 1).repeat(2, 2)
    prepared = prepare_one(hounsfield, Preparation((4, 6), 1, "window", (-160.0, 240.0)))
    assert_allclose(prepared[0, ::2, ::2], [[0, 0, 0.5], [0.75, 1, 1]], atol=1e-6)


@given(st.integers(0, 99), st.floats(0.01, 1000), st.floats(-1000, 1000))
def test_standardised_images_do_not_know_their_brightness(seed: int, factor: float, shift: float) -> None:
    pixels = noise(1, 20, 20, seed=seed)
    plan = Preparation((20, 20), 1, "image")
    prepared = prepare_one(pixels, plan)
    assert_allclose([prepared.mean(), prepared.std()], [0, 1], atol=1e-4)
    assert_allclose(prepare_one(pixels * factor + shift, plan), prepared, atol=0.02)


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("intensity", ["range", "image"])
def test_an_empty_image_stays_finite(value: int, intensity: str) -> None:
    for kind in (np.uint8, np.float32):
        pixels = np.full((1, 8, 8), value, kind)
        assert np.isfinite(prepare_one(pixels, Preparation((12, 12), 1, intensity))).all()  # type: ignore[arg-type]


def test_shrinking_is_that_of_pillow() -> None:
    pixels = (noise(1, 48, 64) * 255).astype(np.uint8)
    theirs = np.asarray(Image.fromarray(pixels[0]).convert("F").resize((32, 24), Image.Resampling.BILINEAR))
    assert_allclose(prepare_one(pixels, Preparation((24, 32), 1))[0], theirs / 255, atol=1e-5)


def test_shrinking_a_volume_averages_blocks() -> None:
    pixels = (noise(1, 8, 12, 16) * 255).astype(np.uint8)
    blocks = pixels[0].reshape(4, 2, 6, 2, 8, 2).mean((1, 3, 5)) / 255
    assert_allclose(prepare_one(pixels, Preparation((4, 6, 8), 1))[0], blocks, atol=1e-6)


@pytest.mark.parametrize(("shape", "size"), [((30, 10), (32, 32)), ((10, 40), (32, 32)), ((9, 9), (16, 8))])
def test_the_aspect_is_kept_and_the_rest_is_dark(shape: tuple[int, int], size: tuple[int, int]) -> None:
    pixels = np.full((1, *shape), 200, np.uint8)
    pixels[0, 0, 0] = 0
    prepared = prepare_one(pixels, Preparation(size, 1))[0]
    factor = min(size[0] / shape[0], size[1] / shape[1])
    bright = prepared > 0.5
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    assert len(rows) == pytest.approx(shape[0] * factor, abs=1)
    assert len(columns) == pytest.approx(shape[1] * factor, abs=1)
    for found, side in ((rows, size[0]), (columns, size[1])):
        assert abs(found[0] - (side - 1 - found[-1])) <= 1
    assert (prepared[: rows[0]] == 0).all()
    assert (prepared[:, : columns[0]] == 0).all()


def test_the_median_is_that_of_scipy() -> None:
    pixels = (noise(1, 20, 20) * 255).astype(np.uint8)
    theirs = ndimage.median_filter(pixels[0] / 255, size=3, mode="reflect")
    prepared = prepare_one(pixels, Preparation((20, 20), 1, denoise="median"))[0]
    assert_allclose(prepared[1:-1, 1:-1], theirs[1:-1, 1:-1], atol=1e-6)


@pytest.mark.parametrize("step", [{"denoise": "non-local means"}, {"enhance": "clahe"}])
def test_steps_do_what_they_are_for(step: dict[str, str]) -> None:
    rows, columns = np.mgrid[:40, :40]
    clean = np.where((rows // 10 + columns // 10) % 2, 0.55, 0.45)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 0.03, clean.shape), 0, 1)
    prepared = prepare_one((noisy * 255).astype(np.uint8)[None], Preparation((40, 40), 1, **step))[0]  # type: ignore[arg-type]
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
        assert rooms._noise(noisy) == pytest.approx(sigma, rel=0.05)


def test_a_bias_field_that_was_put_in_is_taken_out() -> None:
    rows, columns = np.meshgrid(np.linspace(-1, 1, 48), np.linspace(-1, 1, 48), indexing="ij")
    tissue = np.where((np.add.outer(np.arange(48), np.arange(48)) // 4) % 2, 0.9, 0.6)
    biased = tissue * np.exp(0.4 * rows - 0.3 * columns + 0.2 * rows * columns)
    pixels = (biased / biased.max() * 255).astype(np.uint8)[None]
    prepared = prepare_one(pixels, Preparation((48, 48), 1, enhance="bias field"))[0]
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
        prepare_one(np.zeros(shape, np.uint8), plan)


def test_grey_stands_for_colour() -> None:
    pixels = (noise(1, 8, 8) * 255).astype(np.uint8)
    prepared = prepare_one(pixels, Preparation((8, 8), 3))
    assert prepared.shape == (3, 8, 8)
    assert (prepared == prepared[0]).all()


def test_many_images_are_prepared_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE", str(tmp_path / "cache"))
    source = tiny.hospital(tmp_path / "h", patients=12)
    from medeor.contracts import Sources, Study
    from medeor.imaging.cases import read_cases

    cases = read_cases(Sources((source / "images",), {}), Study())
    plan = Preparation((16, 16), 1)
    plain = prepare(cases, plan)
    assert cache.entries() == []
    monkeypatch.setattr(rooms, "LARGE", 1)
    kept = prepare(cases, plan)
    assert [entry.kind for entry in cache.entries()] == ["images"]
    assert_allclose(kept.float(), plain, atol=1e-3)  # half precision
    monkeypatch.setattr(rooms, "prepare_one", None)
    assert prepare(cases, plan).equal(kept)
    with pytest.raises(TypeError):
        prepare(cases, Preparation((8, 8), 1))
    assert len(cache.entries()) == 1
