"""Arrays of many images on their way to other processes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from medeor.formats.images import arrays
from medeor.formats.images.arrays import ImageArray


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_in_memory_reaches_other_processes_as_a_path(
    order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDEOR_CACHE", str(tmp_path))
    pixels = np.asarray(np.random.default_rng(0).integers(0, 256, (400, 60, 50), np.uint8), order=order)
    sent = pickle.dumps(ImageArray(pixels.shape, pixels.dtype, pixels))
    assert len(sent) < 1000
    there = pickle.loads(sent)  # noqa: S301
    np.testing.assert_array_equal(there.image(17).pixels[0], pixels[17])
    assert isinstance(arrays.member(there.path, ""), np.memmap)


def test_a_small_array_goes_along_as_does_any_without_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE", "off")
    for count in (3, 400):
        pixels = np.random.default_rng(0).integers(0, 256, (count, 60, 50), np.uint8)
        sent = pickle.dumps(ImageArray(pixels.shape, pixels.dtype, pixels))
        there = pickle.loads(sent)  # noqa: S301
        np.testing.assert_array_equal(there.memory, pixels)
