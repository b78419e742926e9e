"""Figures of the held-out part during a fit, by which a fit is watched and, where its schedule has patience, ended."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from medeor.contracts import Cases, Predictions, Processors, Recipe, Run
from medeor.learning.networks.fit import HeldOutFigures
from medeor.learning.predictions import joined, scratch
from medeor.statistics.outcomes import Outcomes
from medeor.targets import of
from medeor.targets.outcomes import line_up


def held_out_figures(
    recipe: Recipe[Any, Any, Any], processors: Processors, cases: Cases, run: Run
) -> HeldOutFigures | None:
    """What `figures` says of a network's answers to held-out cases; None where no case has a known truth."""
    if not any(of(target).scored(of(target).truth(cases.table)).any() for target in cases.targets):
        return None
    quiet = Run(run.folder, run.seed, run.threads)

    def measure(network: nn.Module) -> dict[str, float]:
        with torch.inference_mode(), scratch(quiet) as apart:
            return figures(joined(list(recipe.infer(network, cases, processors, apart))), cases)

    return measure


def figures(predictions: Predictions, cases: Cases) -> dict[str, float]:
    """`loss`, the mean over targets of `TargetKind.mistake`, and the main figure of each target by its name (`auroc`;
    of several targets `auroc/TARGET`), where it has a value."""
    every = [one for one in (line_up(cases, predictions, target) for target in cases.targets) if len(one)]
    if not every:
        return {"loss": math.nan}
    losses = [of(one.target).mistake(one.values, of(one.target).truth(cases.table)[one.rows]) for one in every]
    named = {name: value for one in every for name, value in _main(one, len(cases.targets) > 1).items()}
    return {"loss": float(np.mean(losses)), **named}


def _main(one: Outcomes, named: bool) -> dict[str, float]:
    kind = of(one.target)
    name = next(statistic.name for statistic in kind.statistics if statistic.main)
    for names, make in kind.families(one, ()):
        if name in names:
            estimator = make()
            value = float(estimator.of(np.ones((1, len(one))))[0][estimator.names.index(name)])
            return {f"{name}/{one.target.name}" if named else name: value} if math.isfinite(value) else {}
    return {}
