"""Facts of the training images, and the rules that make a plan of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from medeor.imaging import plan as planning
from medeor.imaging.model.recipe import ImageRecipe
from medeor.imaging.plan import ImageFingerprint, fingerprint, rules


def images(count: int, *sides: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, *sides), np.uint8)


@pytest.mark.parametrize(
    ("given", "sides", "channels"),
    [
        (images(12, 20, 24), (20, 24), 1),
        (images(12, 20, 24, 3), (20, 24), 3),
        (images(12, 2, 20, 24), (20, 24), 2),
        (images(12, 10, 11, 12), (10, 11, 12), 1),
        (images(12, 2, 10, 11, 12), (10, 11, 12), 2),
    ],
)
def test_the_fingerprint_is_what_was_given(given: np.ndarray, sides: tuple[int, ...], channels: int) -> None:
    labels = np.array([0] * 9 + [1] * 3)
    facts = fingerprint(tiny.cases_of(given, labels))
    assert (facts.cases, facts.sides, facts.alike, facts.channels) == (12, sides, True, channels)
    assert facts.rarest == 0.25
    plan = rules(tiny.cases_of(given, labels))
    assert plan.preparation.size == sides
    assert plan.preparation.channels == channels
    assert len(plan.augmentation.flips) == len(sides)
    recipe = ImageRecipe.of(plan)
    cases = tiny.cases_of(given, labels)
    network = recipe.network(recipe.processors(recipe.summaries(cases)))
    assert sum(parameter.numel() for parameter in network.parameters()) > 0


def test_a_number_has_no_rarest_class() -> None:
    table = pl.DataFrame({"size": np.linspace(0, 1, 12)})
    assert fingerprint(tiny.cases_of(images(12, 8, 8), table, target=("size",))).rarest == 1.0


facts = st.builds(
    ImageFingerprint,
    cases=st.integers(2, 200_000),
    sides=st.lists(st.integers(8, 3000), min_size=2, max_size=3).map(tuple),
    alike=st.booleans(),
    channels=st.integers(1, 4),
    modality=st.sampled_from(["", "CT", "MR", "CR"]),
    rarest=st.floats(0.001, 0.5),
)
placed = st.builds(
    lambda found, spacing: replace(
        found,
        spacing=spacing[: len(found.sides)],
        extents=tuple(side * own for side, own in zip(found.sides, spacing)),
    ),
    facts.filter(lambda found: len(found.sides) == 3),
    st.tuples(*[st.floats(0.2, 8)] * 3),
)


@given(facts | placed)
def test_whatever_the_images_a_network_can_take_their_size(found: ImageFingerprint) -> None:
    size, spacing = planning._grid(found)
    assert len(size) == len(found.sides)
    if len(size) == 3:
        assert max(size) <= planning.LONGEST
        # A multiple of 8 may lie half a step above what was asked.
        assert math.prod(size) <= planning.VOXELS * 1.8
        assert (spacing is None) == (found.spacing is None)
        return
    assert max(size) <= 224
    if found.alike and max(found.sides) <= 224:
        assert size == found.sides
    else:
        assert all(side % 32 == 0 and side > 0 for side in size)
        # The aspect stays, as far as whole steps allow.
        factor = min(1.0, 224 / max(found.sides))
        assert all(abs(new - old * factor) <= max(16, 32 - old * factor) + 0.5 for new, old in zip(size, found.sides))


@pytest.mark.parametrize(
    ("sides", "spacing", "size"),
    [
        ((20, 320, 320), (3.5, 0.5, 0.5), (20, 112, 112)),
        ((24, 448, 448), (3.5, 0.36, 0.36), (24, 104, 104)),
        ((30, 512, 512), (5.0, 0.45, 0.45), (30, 96, 96)),
        ((180, 256, 256), (1.0, 1.0, 1.0), (48, 72, 72)),
        ((35, 50, 40), (1.0, 1.0, 1.0), (35, 50, 40)),
        ((448, 24, 448), (0.36, 3.5, 0.36), (104, 24, 104)),
    ],
)
def test_thick_slices_stay_and_the_finer_axes_give_way(
    sides: tuple[int, ...], spacing: tuple[float, ...], size: tuple[int, ...]
) -> None:
    extents = tuple(side * one for side, one in zip(sides, spacing))
    found, apart = planning._grid(ImageFingerprint(50, sides, False, 1, "MR", 0.5, spacing, extents))
    assert found == size
    assert apart == pytest.approx([extent / side for extent, side in zip(extents, size)], rel=1e-3)


def test_without_millimetres_the_short_axis_of_volumes_stays() -> None:
    assert planning._grid(ImageFingerprint(50, (24, 448, 448), False, 1, "", 0.5)) == ((24, 104, 104), None)


@given(facts)
def test_few_cases_get_an_ensemble_and_many_one_network(found: ImageFingerprint) -> None:
    patched = pytest.MonkeyPatch()
    with patched.context() as here:
        here.setattr(planning, "fingerprint", lambda cases: found)
        here.setattr(planning, "padding", lambda cases, preparation: 0.0)
        plan = rules(None)  # type: ignore[arg-type]
    assert plan.members == ("folds" if found.cases <= planning.FEW else "single")
    assert (plan.preparation.intensity == "window") == (found.modality == "CT")
    assert plan.schedule.epochs >= 1
    assert len(plan.augmentation.flips) == len(found.sides)
