"""The loss on the held-out part during a fit, by which a fit is watched and, where its schedule has patience, ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from medeor.contracts import Cases, Predictions, Processors, Recipe, Run, Target
from medeor.learning.fit import HeldOutLoss
from medeor.learning.predictions import joined, scratch


def held_out_loss(recipe: Recipe[Any, Any], processors: Processors, cases: Cases, run: Run) -> HeldOutLoss | None:
    """How a network answers held-out cases: the mean over targets of their loss (see `stack.loss`). None where no case
    has a known truth."""
    known = [target for target in cases.targets if _scored(cases, target).any()]
    if not known:
        return None
    quiet = Run(run.folder, run.seed, run.threads)

    def measure(network: nn.Module) -> float:
        with torch.inference_mode(), scratch(quiet) as apart:
            return loss_of(joined(list(recipe.infer(network, cases, processors, apart))), cases, known)

    return measure


def loss_of(predictions: Predictions, cases: Cases, targets: Sequence[Target]) -> float:
    """The mean over targets of the mean loss on the cases of which the truth is known."""
    from medeor.learning.stack import loss, values_by_case  # which stands above a network

    losses = []
    for target in targets:
        scored = _scored(cases, target)
        values = values_by_case(predictions.table, cases.table["case_id"], target)[scored]
        truth = cases.table[target.name].cast(pl.Float64).to_numpy()[scored]
        losses.append(loss(values[None], np.ones(1), truth, target))
    return float(np.mean(losses))


def _scored(cases: Cases, target: Target) -> np.ndarray:
    """Of which cases the truth is known, and not only a limit of it; shape (cases,)."""
    known = cases.table[target.name].is_not_null()
    if target.limit in cases.table.columns:
        known &= cases.table[target.limit].fill_null(0) == 0
    return known.to_numpy()
