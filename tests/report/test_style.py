"""The colours of the page, against the formulas of WCAG 2 for contrast and of Machado et al. (2009) for colour-blind
eyes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import medeor.report
from medeor.report.curves import COLOURS
from medeor.report.tables import DEEPEST, TURN

STYLE = (Path(medeor.report.__file__).parent / "style.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([a-z0-9-]+): ([^;]+);", block))
    for block in re.findall(r":root \{(.*?)\n *\}", STYLE, re.S)[:2]
)
THEMES = {"light": LIGHT, "dark": {**LIGHT, **DARK}}

SIGHT = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}
"""Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB."""


def linear(colour: str) -> np.ndarray:
    """Linear RGB, 0 to 1, of `#abc`, `#aabbcc` or `10 20 30`."""
    if colour.startswith("#"):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        values = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    else:
        values = np.array([float(value) for value in colour.split()]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(rgb: np.ndarray) -> np.ndarray:
    return np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb.clip(0) ** (1 / 2.4) - 0.055)


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    low, high = sorted(float(rgb @ [0.2126, 0.7152, 0.0722]) for rgb in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB under D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb.clip(0, 1)
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in xyz / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", THEMES)
def test_text_has_the_contrast_that_wcag_asks_for(theme: str) -> None:
    colours = THEMES[theme]
    pairs = [
        (name, "paper")
        for name in ("ink", "quiet", "accent", "good", "bad", "open", *(f"s{i}" for i in range(COLOURS)))
    ]
    # Lines are named in their own colours, so these count as text.
    for text, ground in [*pairs, ("reference", "paper"), ("amber-ink", "amber")]:
        assert contrast(linear(colours[text]), linear(colours[ground])) >= 4.5, text


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("sign", ["shade", "minus"])
def test_numbers_in_shaded_cells_stay_readable(theme: str, sign: str) -> None:
    colours = THEMES[theme]
    paper, shade = (encoded(linear(colours[name])) for name in ("paper", f"{sign}-rgb"))
    for depth in np.linspace(0, DEEPEST, 91):
        ground = linear(" ".join(str(255 * value) for value in paper + depth * (shade - paper)))
        text = colours["cell-deep"] if depth >= TURN else colours["cell"]
        assert contrast(linear(text), ground) >= 4, depth


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("sight", SIGHT)
def test_lines_can_be_told_apart_by_any_eyes(theme: str, sight: str) -> None:
    colours = [lab(np.asarray(SIGHT[sight]) @ linear(THEMES[theme][f"s{i}"])) for i in range(COLOURS)]
    distances = {
        (i, j): float(np.linalg.norm(colours[i] - colours[j])) for i, j in itertools.combinations(range(COLOURS), 2)
    }
    # About 2 is just noticeable side by side; the first three must differ at a glance, all six on a closer look.
    assert min(distances.values()) > 8, min(distances, key=distances.__getitem__)
    assert min(distance for pair, distance in distances.items() if max(pair) < 3) > 20


def test_the_style_sheet_asks_nothing_of_the_network() -> None:
    assert not re.search(r"url\(|@import|@font-face|https?:", STYLE)
