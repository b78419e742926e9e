"""Several classes without an order, of which one is true: a logit and a probability a class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from medeor.statistics.statistic import Statistic
from medeor.targets.common.categories import AUROC, DETAILS, Categories


@dataclass(frozen=True)
class Classes(Categories):
    """Its probabilities add up to one; figures are means over the classes, one against the rest."""

    STATISTICS: ClassVar[tuple[Statistic, ...]] = (
        replace(AUROC, headline="always", main=True),
        Statistic("balanced_accuracy", headline="always", compared=True, on_forest=True),
        Statistic("auprc", "AUPRC", compared=True, on_forest=True),
        Statistic("accuracy", compared=True, on_forest=True),
        Statistic("f1", "F1", compared=True, on_forest=True),
        *DETAILS,
    )
