"""A class for each pixel or voxel: what a network of label maps learns from, its probabilities, and how far two maps
agree. The maps are arrays on disk, so they stand in no column of the case table, and no `Target` has this kind yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medeor.statistics.scores import Array
from medeor.statistics.statistic import Statistic

if TYPE_CHECKING:
    from torch import Tensor

STATISTICS = (
    Statistic("dice", "Dice", headline="always", main=True, compared=True, on_forest=True, details=True),
    Statistic("hd95", higher_is_better=False, compared=True),
)


def loss(outputs: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the cross-entropy, and the number of places that it is over.

    Args:
        outputs: shape (n, classes, *space); with one channel the logit of the one class that is looked for.
        truth: shape (n, *space), the index of the class; below zero where it is not known."""
    import torch
    from torch.nn import functional

    known = truth >= 0
    value = truth.clamp_min(0)
    if outputs.shape[1] == 1:
        each = functional.binary_cross_entropy_with_logits(outputs[:, 0], value.to(outputs.dtype), reduction="none")
    else:
        each = functional.cross_entropy(outputs, value.long(), reduction="none")
    return torch.where(known, each, 0.0).sum(), known.sum().to(outputs.dtype)


def values(outputs: Tensor) -> Tensor:
    """Probabilities of the classes, of the shape of the outputs."""
    return outputs.sigmoid() if outputs.shape[1] == 1 else outputs.softmax(1)


def dice(found: Array, truth: Array) -> float:
    """Twice the places that both maps mark over those that each marks (Dice 1945); 1 where neither marks any.

    Args:
        found: boolean, any shape.
        truth: of the same shape."""
    marked = int(np.count_nonzero(found)) + int(np.count_nonzero(truth))
    return 2 * int(np.count_nonzero(found & truth)) / marked if marked else 1.0
