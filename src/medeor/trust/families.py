"""The figures of targets, in families that are computed together, ready to be resampled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from medeor.contracts import Target
from medeor.statistics.intervals import Estimator, Resampled, average
from medeor.statistics.outcomes import Outcomes
from medeor.targets import averaged, of

PREVALENCES = (0.01, 0.05, 0.1)
"""At which predictive values are stated: those of a part with many cases say little about a clinic with few."""


def estimators(
    one: Outcomes,
    *,
    prevalences: Sequence[float] = PREVALENCES,
    wanted: Collection[str] | None = None,
    named: bool = False,
) -> list[Estimator]:
    """What is to be resampled for one target: all figures, or the families that hold a `wanted` one. With `named`
    the target's name follows each figure's."""
    if not len(one):
        return []
    parts = of(one.target).families(one, prevalences)
    built = [build() for names, build in parts if wanted is None or set(names) & set(wanted)]
    if not named:
        return built
    return [replace(part, names=tuple(f"{name}/{one.target.name}" for name in part.names)) for part in built]


def settle(found: dict[str, Resampled]) -> dict[str, Resampled]:
    """Calibration errors made ready for an interval: a mean of absolute values grows on every resampling, so the draws
    are moved back to the value; where chance alone explains what was observed, zero is not excluded."""
    result = {}
    for name, figure in found.items():
        if name.startswith(("observed ", "chance ")):
            continue
        if f"observed {name}" in found and len(figure.draws):
            explained = found[f"observed {name}"].value <= found[f"chance {name}"].value
            draws = np.maximum(figure.draws - np.nanmean(figure.draws) + figure.value, 0.0)
            figure = replace(figure, draws=draws, left_out=draws[:0], least=0.0 if explained else None)
        result[name] = figure
    return result


def label_means(targets: Sequence[Target], found: dict[str, Resampled]) -> dict[str, Resampled]:
    """The macro means of several targets of one kind; empty for others."""
    return {
        one.name: average(each)
        for one in averaged(targets)
        if (each := [found[key] for target in targets if (key := f"{one.name}/{target.name}") in found])
    }
