"""Augmentation: draws keyed by case, and each step against an independent account of what it should do."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medeor.contracts import UserError
from medeor.imaging.model.augment import Augmentation, apply, move, sample_params
from medeor.learning.networks.keyed import case_keys

EVERYTHING = Augmentation(
    rotation=(-30, 30), tilt=(-10, 10), scale=(0.8, 1.25), stretch=(0.9, 1.1), translation=(-0.1, 0.1),
    shear=(-5, 5), brightness=(-0.3, 0.3), contrast=(0.7, 1.4), gamma=(0.5, 2), curve=(-0.5, 0.5),
    slope=(-0.3, 0.3), blur=(0.2, 1), noise=(0, 0.1), erase=(0.1, 0.5),
)  # fmt: skip
SIZES = {2: (9, 12), 3: (6, 7, 8)}
dimensions_ = pytest.mark.parametrize("dimensions", [2, 3])
seeds = st.integers(0, 2**63 - 1)


def everything(dimensions: int) -> Augmentation:
    return replace(EVERYTHING, flips=(0.5,) * dimensions)


def some_images(dimensions: int, n: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 2, *SIZES[dimensions], generator=torch.Generator().manual_seed(seed))


def keys_of(n: int, seed: int = 0) -> torch.Tensor:
    return case_keys(seed, 0, torch.arange(n))


@dimensions_
@given(order=st.permutations(range(6)), kept=st.integers(1, 6), seed=seeds)
@settings(max_examples=20, deadline=None)
def test_what_a_case_gets_does_not_depend_on_its_batch(dimensions, order, kept, seed):
    images, augmentation = some_images(dimensions, n=6), everything(dimensions)
    cases = torch.tensor(order[:kept])
    together = apply(images, sample_params(augmentation, case_keys(seed, 4, torch.arange(6)), dimensions))
    apart = apply(images[cases], sample_params(augmentation, case_keys(seed, 4, cases), dimensions))
    torch.testing.assert_close(apart, together[cases], rtol=1e-5, atol=1e-5)


# Nothing, and fixed values -----------------------------------------------------------------------------------------


@dimensions_
def test_the_default_changes_nothing_and_does_no_work(dimensions):
    images = some_images(dimensions)
    assert apply(images, sample_params(Augmentation(), keys_of(5), dimensions)) is images


@dimensions_
def test_a_resampling_by_the_identity_returns_the_image(dimensions):
    images = some_images(dimensions)
    drawn = sample_params(Augmentation(rotation=(0, 1e-9), translation=(0, 1e-9)), keys_of(5), dimensions)
    assert drawn.matrix is not None
    torch.testing.assert_close(apply(images, drawn), images, rtol=1e-4, atol=1e-5)


@dimensions_
@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma", "curve", "slope", "blur", "noise"])
@given(value=st.floats(0.1, 0.9), seed=seeds)
@settings(max_examples=10, deadline=None)
def test_a_scalar_is_fixed_and_a_pair_is_a_range(dimensions, name, value, seed):
    keys = keys_of(50, seed)
    fixed = getattr(sample_params(Augmentation(**{name: value}), keys, dimensions), name)
    torch.testing.assert_close(fixed, torch.full_like(fixed, value))
    drawn = getattr(sample_params(Augmentation(**{name: (value, value + 0.1)}), keys, dimensions), name)
    assert value - 1e-6 <= float(drawn.min()) < float(drawn.max()) <= value + 0.1 + 1e-6


def test_factors_are_drawn_evenly_in_their_logarithm():
    contrast = sample_params(Augmentation(contrast=(0.25, 4.0)), keys_of(20_000), 2).contrast
    assert float(contrast.log().mean()) == pytest.approx(0, abs=5 * math.log(16) / math.sqrt(12 * 20_000))


@dimensions_
def test_adding_a_step_leaves_the_draws_of_the_others(dimensions):
    keys = keys_of(5)
    before = sample_params(Augmentation(gamma=(0.5, 2.0)), keys, dimensions).gamma
    torch.testing.assert_close(sample_params(everything(dimensions), keys, dimensions).gamma, before)


@dimensions_
def test_the_input_is_left_as_it_was(dimensions):
    images = some_images(dimensions)
    copy = images.clone()
    apply(images, sample_params(everything(dimensions), keys_of(5), dimensions))
    assert torch.equal(images, copy)


# Space -------------------------------------------------------------------------------------------------------------


@dimensions_
@given(seed=seeds, chosen=st.lists(st.booleans(), min_size=3, max_size=3))
@settings(max_examples=20, deadline=None)
def test_a_certain_flip_is_torch_flip_alone_and_within_a_resampling(dimensions, seed, chosen):
    images, flips = some_images(dimensions), tuple(float(c) for c in chosen[:dimensions])
    expected = images.flip([axis + 2 for axis in range(dimensions) if flips[axis]])
    alone = sample_params(Augmentation(flips=flips), keys_of(5, seed), dimensions)
    assert torch.equal(apply(images, alone), expected)
    folded = sample_params(Augmentation(flips=flips, translation=(0, 1e-9)), keys_of(5, seed), dimensions)
    assert folded.flips is None
    torch.testing.assert_close(apply(images, folded), expected, rtol=1e-4, atol=1e-5)


@dimensions_
@pytest.mark.parametrize("resample", [0.0, (0, 1e-9)])
def test_a_flip_of_one_half_mirrors_half_of_the_cases_the_same_way_on_both_paths(dimensions, resample):
    images = some_images(dimensions, n=400)
    augmentation = Augmentation(flips=(*[0.0] * (dimensions - 1), 0.5), translation=resample)
    result = apply(images, sample_params(augmentation, keys_of(400), dimensions))
    plain = apply(images, sample_params(replace(augmentation, translation=0.0), keys_of(400), dimensions))
    mirrored = (result - images.flip(-1)).abs().amax(tuple(range(1, images.ndim))) < 1e-3
    assert 150 < int(mirrored.sum()) < 250  # five standard deviations
    torch.testing.assert_close(result, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (5, 8, 8), (4, 7, 7)])
@pytest.mark.parametrize("quarters", [-1, 1, 2, 3])
def test_a_quarter_turn_is_torch_rot90(size, quarters):
    images = torch.randn(3, 2, *size)
    drawn = sample_params(Augmentation(rotation=90.0 * quarters), keys_of(3), len(size))
    expected = torch.rot90(images, quarters, dims=(-2, -1))
    torch.testing.assert_close(apply(images, drawn), expected, rtol=1e-4, atol=1e-4)


def test_spacing_keeps_a_quarter_turn_a_turn_in_a_volume_with_thick_slices():
    """A line of 4 mm along columns of 1 mm becomes one of 4 mm along rows of 2 mm: 2 pixels."""
    image = torch.zeros(1, 1, 8, 16)
    image[..., 4:5, 6:10] = 1
    drawn = sample_params(Augmentation(rotation=90.0), keys_of(1), 2)
    turned = move(image, drawn, spacing=(2.0, 1.0), interpolation="nearest")
    assert turned[0, 0].sum(0).gt(0).sum() == 2  # now two columns wide: one row was 2 mm
    assert turned[0, 0].sum(1).gt(0).sum() == 2


@pytest.mark.parametrize(("axis", "name"), [(0, "depth"), (1, "height"), (2, "width")])
def test_volumes_of_thick_slices_are_moved_within_them(axis, name):
    """Each slice across the axis as the same flat image would be, and no slice holds anything of another."""
    volume = torch.rand(3, 2, 6, 7, 8)
    what = {"rotation": 20.0, "scale": 1.2, "translation": (-0.2, 0.2), "stretch": (0.8, 1.2)}
    drawn = sample_params(Augmentation(**what, flips=(1.0, 1.0, 1.0), slices=name), keys_of(3), 3)
    spacing = [1.0, 1.0, 1.5]
    moved = move(volume, drawn, spacing)
    alone = torch.stack(
        [
            move(
                torch.where(
                    torch.arange(volume.shape[axis + 2]).view(*[-1 if a == axis else 1 for a in range(3)]) == k,
                    volume,
                    0,
                ),
                drawn,
                spacing,
            ).select(axis + 2, volume.shape[axis + 2] - 1 - k)
            for k in range(volume.shape[axis + 2])
        ]
    )
    torch.testing.assert_close(moved.flip(axis + 2).movedim(axis + 2, 0), alone)


def test_a_turn_of_a_volume_acts_in_millimetres():
    """A disc stays a disc: pixels of 0.5 x 1 mm, turned by 90 degrees, as 16 x 8 pixels."""
    rows, columns = torch.meshgrid((torch.arange(48) - 23.5) * 0.5, torch.arange(24) - 11.5, indexing="ij")
    bar = ((rows.abs() < 8) & (columns.abs() < 2)).float().expand(1, 1, 4, 48, 24)
    turned = move(bar, sample_params(Augmentation(rotation=90.0), keys_of(1), 3), [3.0, 0.5, 1.0])[0, 0, 2] > 0.5
    assert (int(turned.any(1).sum()), int(turned.any(0).sum())) == (8, 16)


@dimensions_
@pytest.mark.parametrize("pixels", [-2, 1, 3])
def test_a_shift_by_whole_pixels_is_slicing(dimensions, pixels):
    side = 10
    images = torch.randn(2, 1, *[side] * dimensions)
    moved = apply(images, sample_params(Augmentation(translation=pixels / side), keys_of(2), dimensions))
    expected = images
    for axis in range(2, images.ndim):
        source = (torch.arange(side) - pixels).clamp(0, side - 1)  # beyond the border its pixel is repeated
        expected = expected.index_select(axis, source)
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-4)


@dimensions_
def test_enlarging_twice_shows_the_middle_half(dimensions):
    """A linear ramp stays linear under bilinear sampling, so the expected value is the ramp at half the distance."""
    side = 12
    position = torch.arange(side) - (side - 1) / 2
    ramp = position.reshape(-1, *[1] * (dimensions - 1)).expand(*[side] * dimensions)
    moved = apply(ramp[None, None].clone(), sample_params(Augmentation(scale=2.0), keys_of(1), dimensions))
    torch.testing.assert_close(moved[0, 0], ramp / 2, rtol=1e-4, atol=1e-4)


def test_shear_leans_rows_by_the_tangent_of_its_angle():
    side = 11
    position = (torch.arange(side) - (side - 1) / 2).float()
    columns = position.expand(side, side)
    moved = apply(columns[None, None].clone(), sample_params(Augmentation(shear=10.0), keys_of(1), 2))[0, 0]
    expected = position[None, :] - math.tan(math.radians(10)) * position[:, None]
    inner = expected.abs() <= 5
    torch.testing.assert_close(moved[inner], expected[inner], rtol=1e-4, atol=1e-4)


def test_masks_move_with_their_images():
    images = torch.zeros(4, 1, 32, 32)
    images[:, :, 8:20, 10:24] = 1
    augmentation = Augmentation(rotation=(-40, 40), scale=(0.7, 1.4), translation=(-0.1, 0.1), flips=(0.5, 0.5))
    drawn = sample_params(augmentation, keys_of(4), 2)
    masks = move(images, drawn, interpolation="nearest")
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    differ = (masks > 0.5) != (move(images, drawn) > 0.5)
    assert float(differ.float().mean()) < 0.005  # the two ways of sampling round the corners differently


# Grey values -------------------------------------------------------------------------------------------------------


def one_image(**what) -> tuple[np.ndarray, np.ndarray]:
    image = torch.rand(1, 1, 9, 13, generator=torch.Generator().manual_seed(1)) * 3 - 1
    return image[0, 0].numpy(), apply(image, sample_params(Augmentation(**what), keys_of(1), 2))[0, 0].numpy()


def test_brightness_adds():
    before, after = one_image(brightness=0.4)
    np.testing.assert_allclose(after, before + 0.4, rtol=1e-5)


def test_contrast_stretches_about_the_mean():
    before, after = one_image(contrast=1.5)
    np.testing.assert_allclose(after, before.mean() + 1.5 * (before - before.mean()), rtol=1e-4, atol=1e-5)


def test_gamma_is_a_power_between_the_extremes():
    before, after = one_image(gamma=2.0)
    low, high = before.min(), before.max()
    np.testing.assert_allclose(after, low + (high - low) * ((before - low) / (high - low)) ** 2, atol=1e-5)


@given(strength=st.floats(-1, 1), gamma=st.floats(0.3, 3))
@settings(max_examples=30, deadline=None)
def test_a_tone_curve_keeps_the_order_and_the_extremes(strength, gamma):
    before, after = one_image(curve=strength, gamma=gamma)
    order = np.argsort(before, axis=None)
    assert np.all(np.diff(after.ravel()[order]) >= -1e-5)
    np.testing.assert_allclose([after.min(), after.max()], [before.min(), before.max()], atol=1e-4)


def test_slope_adds_a_ramp_along_each_axis():
    before, after = one_image(slope=0.6)
    ramp = 0.6 * np.linspace(-0.5, 0.5, 9)[:, None] + 0.6 * np.linspace(-0.5, 0.5, 13)[None, :]
    np.testing.assert_allclose(after, before + ramp, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.6])
def test_blur_is_the_gaussian_filter_of_scipy(sigma):
    from scipy.ndimage import gaussian_filter

    before, after = one_image(blur=sigma)
    expected = gaussian_filter(before, sigma, mode="nearest", radius=math.ceil(3 * sigma))
    np.testing.assert_allclose(after, expected, atol=1e-5)


def test_noise_has_its_standard_deviation_and_none_repeats():
    images = torch.zeros(20, 2, 30, 30)
    noise = apply(images, sample_params(Augmentation(noise=0.3), keys_of(20), 2))
    assert float(noise.std()) == pytest.approx(0.3, rel=0.02)
    rows = np.corrcoef(noise.flatten(1).numpy())
    assert np.abs(rows[np.triu_indices(20, 1)]).max() < 0.12  # five standard errors at 1,800 pixels


@dimensions_
def test_erase_puts_the_mean_into_a_box_of_the_drawn_size(dimensions):
    side = 20
    images = torch.randn(30, 1, *[side] * dimensions)
    result = apply(images, sample_params(Augmentation(erase=0.35), keys_of(30), dimensions))
    for image, before in zip(result, images, strict=True):
        changed = (image != before)[0]
        assert int(changed.sum()) == 7**dimensions
        torch.testing.assert_close(image[0][changed], before.mean().expand(7**dimensions))


# Mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotation": (10, -10)}, {"scale": 0.0}, {"scale": (-1, 2)}, {"noise": -0.1}, {"erase": (0, 1.5)},
        {"curve": 2.0}, {"flips": (0.5, 1.5)}, {"blur": (math.nan, 1.0)},
    ],
)  # fmt: skip
def test_impossible_values_are_refused_by_name(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Augmentation(**wrong)


def test_flips_must_name_the_axes_of_the_image():
    with pytest.raises(UserError, match="2 axes; the images have 3"):
        sample_params(Augmentation(flips=(0.5, 0.5)), keys_of(2), 3)
