"""A recipe made into a Method: a network that is fitted, saved, loaded and asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from medeor import tasks
from medeor.contracts import Attribution, Cases, Fitted, Predictions, Processors, Recipe, Run, Split, UserError
from medeor.files import read_json, replacing, write_json
from medeor.learning.fit import channels_last, device, fit_network
from medeor.learning.schedule import Schedule

EMPTY = Predictions(pl.DataFrame(schema={"case_id": pl.String, "item": pl.String, "value": pl.Float64}))


@dataclass(frozen=True)
class NetworkMethod:
    """Fits the recipe's network on the training part and holds the validation part out."""

    recipe: Recipe[Any, Any]
    schedule: Schedule
    side_by_side: bool = True
    """Whether several folds may be fitted at the same time; not where each takes much memory."""

    def fit(self, cases: Cases, split: Split, run: Run) -> Fitted:
        train, held_out = split.part(cases, "train"), split.part(cases, "validation")
        processors = self.recipe.processors(train)
        torch.manual_seed(run.seed)
        network = self.recipe.network(processors)
        network = fit_network(
            network,
            self.recipe.batches(train, processors, run.seed),
            self.recipe.loss,
            self.schedule,
            run,
        )
        model = NetworkModel(self.recipe, processors, network)
        return Fitted(model, model.predict(held_out, run) if len(held_out) else EMPTY)


@dataclass(frozen=True)
class NetworkModel:
    """A fitted network with the processors that were fitted beside it."""

    recipe: Recipe[Any, Any]
    processors: Processors
    network: nn.Module

    def predict(self, cases: Cases, run: Run) -> Predictions:
        with torch.inference_mode():
            return joined(list(self.recipe.infer(self.network, cases, self.processors, run)))

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        return self.recipe.attribute(self.network, cases, items, self.processors, run)

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        with torch.inference_mode():
            return self.recipe.ablate(self.network, case, item, kept, self.processors, run)

    def save(self, folder: Path) -> None:
        facts = {
            "kind": "network",
            "recipe": {"kind": self.recipe.kind, **self.recipe.to_json()},
            "processors": self.processors.to_json(),
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "model.json", facts)
        weights = {name: value.cpu().contiguous() for name, value in self.network.state_dict().items()}
        with replacing(folder / "weights.safetensors") as new:
            save_file(weights, new)


def load(folder: Path) -> NetworkModel:
    """Reads what `NetworkModel.save` wrote."""
    facts = read_json(folder / "model.json")
    kind = facts["recipe"].pop("kind")
    if kind not in tasks.LOADERS:
        raise UserError(
            f"{folder / 'model.json'} names the unknown recipe {kind!r}; a newer medeor may have written it"
        )
    recipe: Recipe[Any, Any] = tasks.find(tasks.LOADERS[kind]).from_json(facts["recipe"])
    processors = recipe.restore(facts["processors"])
    network = recipe.network(processors)
    try:
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise UserError(f"{folder / 'weights.safetensors'} does not fit its network: {str(error)[:200]}") from None
    return NetworkModel(recipe, processors, channels_last(network).to(device()).eval())


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of several lots of cases as one."""
    if not parts:
        return EMPTY
    arrays = {case: path for part in parts for case, path in part.arrays.items()}
    return Predictions(pl.concat([part.table for part in parts], how="diagonal_relaxed"), arrays)
