"""What an image network is fed, how it is judged and asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch.testing import assert_close

import tiny
from medeor.contracts import Cases, Run
from medeor.imaging.model.augment import Augmentation
from medeor.imaging.model.prepare import Preparation
from medeor.imaging.model.prepared import prepare
from medeor.imaging.model.recipe import ImageRecipe
from medeor.imaging.plan import ImageNetwork, ImagePlan, ImageTraining


def cases_of(count: int = 22, channels: int = 1, sides: int = 2) -> Cases:
    draw = np.random.default_rng(0)
    shape = (count, 8, 8) if (channels, sides) == (1, 2) else (count, channels, *[8] * sides)
    table = pl.DataFrame({"lesion": np.arange(count) % 2, "size": draw.random(count)})
    return tiny.cases_of(draw.integers(0, 255, shape, np.uint8), table, target=("lesion", "size"))


def recipe_of(channels: int = 1, sides: int = 2, **training: float) -> ImageRecipe:
    turned = Augmentation(rotation=(-20, 20), flips=(0.0,) * (sides - 1) + (0.5,), brightness=(-0.2, 0.2))
    return ImageRecipe.of(
        ImagePlan(
            Preparation((8,) * sides, channels),
            ImageNetwork("small-cnn", widths=(4, 4)),
            turned,
            ImageTraining(batch=6, **training),  # type: ignore[arg-type]
        )
    )


@pytest.mark.parametrize(("channels", "sides"), [(1, 2), (3, 2), (2, 3)])
def test_training_images_are_fed_at_mean_0_and_standard_deviation_1(channels: int, sides: int) -> None:
    recipe, cases = recipe_of(channels, sides), cases_of(22, channels, sides)
    processors = recipe.processors(recipe.summaries(cases))
    fed = processors.scaled(prepare(cases, recipe.preparation)[:])
    axes = (0, *range(2, fed.ndim))
    assert_close(fed.mean(axes), torch.zeros(channels), atol=1e-5, rtol=0)
    assert_close(fed.std(axes), torch.ones(channels), atol=1e-5, rtol=0)
    assert recipe.restore(processors.to_json()) == processors
    assert ImageRecipe.from_json(recipe.to_json()) == recipe


def test_every_epoch_shows_every_case_once_in_another_order() -> None:
    recipe, cases = recipe_of(), cases_of(22)
    batches = recipe.batches(cases, recipe.processors(recipe.summaries(cases)), seed=3)
    # 22 = 3 x 6 + 4, and the rest is more than half a batch.
    assert len(batches) == 4
    orders = []
    for epoch in range(3):
        sizes = torch.cat([batches.batch(epoch, index).truth[:, 1] for index in range(4)])
        assert sorted(sizes.tolist()) == pytest.approx(sorted(cases.table["size"]))
        orders.append(sizes.tolist())
    assert orders[0] != orders[1] != orders[2]
    assert (
        len(recipe.batches(cases_of(20), recipe.processors(recipe.summaries(cases)), 0)) == 3
    )  # a rest of 2 is left out
    assert len(recipe.batches(cases_of(2), recipe.processors(recipe.summaries(cases)), 0)) == 1


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_a_batch_depends_on_seed_epoch_and_place_alone_and_shards_make_it_up(mixup: float) -> None:
    recipe, cases = recipe_of(mixup=mixup), cases_of()
    processors = recipe.processors(recipe.summaries(cases))
    one, other = (recipe.batches(cases, processors, seed=5).batch(2, 1) for _ in range(2))
    assert_close(one.inputs, other.inputs, atol=0, rtol=0)
    assert not torch.equal(recipe.batches(cases, processors, seed=6).batch(2, 1).inputs, one.inputs)
    parts = [one.shard(rank, 2) for rank in range(2)]
    assert_close(torch.stack([part.truth for part in parts], 1).flatten(0, 1), one.truth, equal_nan=True)
    if not mixup:
        outputs = torch.randn(6, 2)
        whole = recipe.loss(outputs, one)
        shares = [recipe.loss(outputs[rank::2], part) for rank, part in enumerate(parts)]
        assert_close(sum(total for total, _ in shares), whole[0])
        assert_close(sum(weight for _, weight in shares), whole[1])


def test_mixed_images_are_judged_by_their_shares() -> None:
    recipe, cases = recipe_of(mixup=1.0), cases_of()
    plain, processors = recipe_of(), recipe.processors(recipe.summaries(cases))
    mixed = recipe.batches(cases, processors, 0).batch(0, 0)
    whole = plain.batches(cases, processors, 0).batch(0, 0)
    share = mixed.mixed
    assert share is not None
    assert ((share >= 0) & (share <= 1)).all()
    both = share.view(-1, 1, 1, 1) * whole.inputs + (1 - share).view(-1, 1, 1, 1) * whole.inputs.roll(1, 0)
    assert_close(mixed.inputs, both)
    outputs = torch.randn(6, 2)
    each = [processors.heads.loss(outputs, truth)[0] for truth in (whole.truth, whole.truth.roll(1, 0))]
    assert_close(recipe.loss(outputs, mixed)[0], (share * each[0] + (1 - share) * each[1]).sum())


@pytest.mark.parametrize("sides", [2, 3])
def test_answers_do_not_depend_on_what_is_asked_beside(sides: int, tmp_path: Path) -> None:
    recipe, cases, run = recipe_of(sides=sides), cases_of(sides=sides), Run(tmp_path)
    processors = recipe.processors(recipe.summaries(cases))
    torch.manual_seed(0)
    network = recipe.network(processors).eval()
    with torch.inference_mode():
        (whole,) = recipe.infer(network, cases, processors, run)
        (alone,) = recipe.infer(network, cases.where(pl.col("case_id") == cases.ids[7]), processors, run)
        (none,) = recipe.infer(network, cases.where(pl.lit(False)), processors, run)
    assert whole.table["item"].to_list() == ["lesion", "size"] * 22
    own = whole.table.filter(pl.col("case_id") == cases.ids[7])
    assert alone.table["value"].to_list() == own["value"].to_list()
    assert none.table.height == 0


def test_a_mirrored_answer_is_the_mean_of_both_sides() -> None:
    recipe, cases = recipe_of(), cases_of()
    processors = recipe.processors(recipe.summaries(cases))
    torch.manual_seed(0)
    network = recipe.network(processors).eval()
    images = prepare(cases, recipe.preparation)[:]
    plain, _ = recipe.export_module(network, processors)
    from medeor.imaging.model.recipe import ExportedNetwork

    both = ExportedNetwork(network, processors, mirrored=True).eval()
    with torch.inference_mode():
        expected = (plain(images) + plain(images.flip(-1))) / 2
        assert_close(both(images), expected)
        assert_close(both(images), both(images.flip(-1)))


def test_what_is_left_of_an_image_is_all_or_blurred(tmp_path: Path) -> None:
    from medeor.imaging.model.explain import blurred

    recipe, cases, run = recipe_of(), cases_of(), Run(tmp_path)
    processors = recipe.processors(recipe.summaries(cases))
    torch.manual_seed(0)
    network = recipe.network(processors).eval()
    case = cases.where(pl.col("case_id") == cases.ids[0])
    kept = np.stack([np.ones((8, 8), bool), np.zeros((8, 8), bool)])
    image = prepare(case, recipe.preparation)[:]
    with torch.inference_mode():
        found = recipe.ablate(network, case, "size", kept, processors, run)
        module, _ = recipe.export_module(network, processors)
        expected = module(torch.cat([image, blurred(image)]))[:, 1]
    assert found == pytest.approx(expected.numpy(), abs=0.05)  # bfloat16 where that is fast
    assert found[0] != found[1]


def test_a_network_without_feature_maps_is_explained_by_what_fits_it(tmp_path: Path) -> None:
    recipe, cases = recipe_of(), cases_of()
    processors = recipe.processors(recipe.summaries(cases))
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2)).eval()
    chosen = cases.where(pl.col("case_id").is_in(cases.ids[:2]))
    reasons = recipe.attribute(flat, chosen, ["lesion", "size"], processors, Run(tmp_path))
    assert [(reason.case_id, reason.item, reason.method) for reason in reasons] == [
        (cases.ids[0], "lesion", "integrated-gradients"),
        (cases.ids[1], "size", "integrated-gradients"),
    ]
    # Of a linear network the map is known: weight times change.
    from medeor.imaging.model.explain import blurred

    images = processors.scaled(prepare(chosen, recipe.preparation)[:])
    change = (images - blurred(images))[:, 0]
    weight = flat[1].weight.detach().view(2, 8, 8)
    for number, reason in enumerate(reasons):
        assert reason.values == pytest.approx((change[number] * weight[number]).numpy(), abs=1e-4)
