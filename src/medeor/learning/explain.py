"""What gives the reasons of a fitted model, whatever it is combined with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from medeor.contracts import Attribution, Cases, ExplainedBy, Explains, ExplainsNetwork, Model, Run
from medeor.learning.folds import Ensemble
from medeor.learning.networks.method import NetworkModel


def explainer(model: Model) -> Explains | None:
    """What gives the reasons of a model: of an ensemble all members together, of a network its recipe. None where it
    gives no reasons."""
    while isinstance(model, ExplainedBy):
        model = model.explained_by
    if isinstance(model, Ensemble):
        members = [found for member in model.members if (found := explainer(member)) is not None]
        return EnsembleReasons(tuple(members)) if len(members) == len(model.members) else None
    if isinstance(model, NetworkModel):
        return NetworkReasons(model, model.recipe) if isinstance(model.recipe, ExplainsNetwork) else None
    return model if isinstance(model, Explains) else None


@dataclass(frozen=True)
class NetworkReasons:
    """The reasons of a network as its recipe finds them."""

    model: NetworkModel
    recipe: ExplainsNetwork

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        return self.recipe.attribute(self.model.network, cases, items, self.model.processors, run)

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        with torch.inference_mode():
            return self.recipe.ablate(self.model.network, case, item, kept, self.model.processors, run)


@dataclass(frozen=True)
class EnsembleReasons:
    """The mean of the members' reasons: the gradient of a mean is the mean of the gradients."""

    members: tuple[Explains, ...]

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        each = [m.attribute(cases, items, replace(run, seed=run.seed + i)) for i, m in enumerate(self.members)]
        return [_mean(same) for same in zip(*each, strict=True)]

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        return np.mean([member.ablate(case, item, kept, run) for member in self.members], axis=0)


def _mean(same: tuple[Attribution, ...]) -> Attribution:
    untrained = [a.untrained for a in same if a.untrained is not None]
    return replace(
        same[0],
        values=np.mean([a.values for a in same], axis=0),
        untrained=np.mean(untrained, axis=0) if len(untrained) == len(same) else None,
    )
