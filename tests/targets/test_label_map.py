"""Label maps by their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from medeor.targets import label_map, statistic


def test_dice_is_twice_the_shared_places_over_all_marked() -> None:
    found, truth = np.zeros((2, 4, 4), bool)
    found[0], truth[0, :2], truth[1, 0] = True, True, True
    assert label_map.dice(found, truth) == pytest.approx(2 * 2 / (4 + 3))
    assert label_map.dice(truth, truth) == 1
    assert label_map.dice(found & False, truth & False) == 1
    assert label_map.dice(found, truth & False) == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_the_loss_is_cross_entropy_over_the_places_that_are_known(channels: int) -> None:
    outputs = torch.zeros(1, channels, 2, 2)
    truth = torch.tensor([[[0, 1], [1, -1]]])
    loss, weight = label_map.loss(outputs, truth)
    assert weight == 3
    assert loss == pytest.approx(3 * math.log(max(2, channels)))
    share = 0.5 if channels == 1 else 1 / 3
    assert label_map.values(outputs) == pytest.approx(np.full((1, channels, 2, 2), share))


def test_distances_are_better_lower() -> None:
    assert statistic("dice/anterior").higher_is_better
    assert not statistic("hd95/anterior").higher_is_better
