"""The figures of targets, in families that are computed together, ready to be resampled."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from medeor.contracts import Target
from medeor.statistics.intervals import Estimator, Resampled, average, resample
from medeor.statistics.outcomes import Outcomes
from medeor.targets import averaged, of

S = TypeVar("S")

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


def figures(
    sides: Mapping[S, Sequence[Estimator]], targets: Sequence[Target], groups: int, *, resamples: int, seed: int = 0
) -> dict[S, dict[str, Resampled]]:
    """The figures of each side, over the same resamples of groups, with the means of several targets of one kind."""
    parts = [
        replace(part, names=tuple(f"{number} {name}" for name in part.names))
        for number, own in enumerate(sides.values())
        for part in own
    ]
    found: list[dict[str, Resampled]] = [{} for _ in sides]
    for name, figure in resample(parts, groups, resamples=resamples, seed=seed).items():
        number, _, plain = name.partition(" ")
        found[int(number)][plain] = figure
    settled = map(_settled, found)
    return {side: own | _label_means(targets, own) for side, own in zip(sides, settled, strict=True)}


def _settled(found: Mapping[str, Resampled]) -> dict[str, Resampled]:
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


def _label_means(targets: Sequence[Target], found: Mapping[str, Resampled]) -> dict[str, Resampled]:
    return {
        one.name: average(each)
        for one in averaged(targets)
        if (each := [found[key] for target in targets if (key := f"{one.name}/{target.name}") in found])
    }
