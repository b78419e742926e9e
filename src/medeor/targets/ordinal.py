"""Grades: classes in an order, of which a near one is nearly right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from medeor.statistics import scores
from medeor.statistics.scores import Array
from medeor.statistics.statistic import Statistic
from medeor.targets.classes import Classes
from medeor.targets.common.categories import Categories

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Ordinal(Categories):
    """As `Classes`, learned with soft neighbouring grades and scored by the distance in grades."""

    STATISTICS: ClassVar[tuple[Statistic, ...]] = (
        Statistic("quadratic_weighted_kappa", headline="always", main=True, compared=True, on_forest=True, chance=0.0),
        Statistic("grade_error", higher_is_better=False, headline="always", compared=True),
        *(replace(one, headline="", main=False) for one in Classes.STATISTICS),
    )
    grades: ClassVar[bool] = True
    judged_by: ClassVar[tuple[str, ...]] = ("quadratic_weighted_kappa", "auroc")

    def cross_entropy(self, outputs: Tensor, value: Tensor, smoothing: float) -> Tensor:
        """Against grades that count less the further away they are (Diaz & Marathe 2019)."""
        import torch
        from torch.nn import functional

        grades = torch.arange(len(self.classes), device=outputs.device)
        soft = (-2.0 * (grades - value[:, None]).abs()).softmax(1)
        return functional.cross_entropy(outputs, soft, reduction="none")

    def decided(self, counts: Array, prevalences: Sequence[float]) -> dict[str, Array]:
        grades = np.arange(len(self.classes))
        distance = np.abs(grades[:, None] - grades)
        error = scores.ratio(np.einsum("rij,ij->r", counts, distance), counts.sum(axis=(1, 2)))
        own = {"quadratic_weighted_kappa": scores.kappa(counts), "grade_error": error}
        plain = super().decided(counts, prevalences)
        details = {name: plain.pop(name) for name in list(plain) if "/" in name}
        return plain | own | details
