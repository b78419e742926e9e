"""A recipe made into a Method: a network that is fitted, saved, loaded and asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medeor import registry
from medeor.console import aside
from medeor.contracts import Cases, Fitted, Inputs, Message, Predictions, Processors, Recipe, Run, Split, UserError
from medeor.files import replacing
from medeor.learning.networks.devices import channels_last, device
from medeor.learning.networks.fit import fit_network
from medeor.learning.networks.schedule import Schedule
from medeor.learning.networks.validation import held_out_figures
from medeor.learning.predictions import EMPTY, joined
from medeor.learning.saved import Shape, check_arrays, facts_of, save_model


@dataclass(frozen=True)
class NetworkMethod:
    """Fits the recipe's network on the training part and holds the validation part out."""

    recipe: Recipe[Any, Any, Any]
    schedule: Schedule
    side_by_side: bool = True
    """Whether several folds may be fitted at the same time; not where each takes much memory."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        train, held_out = split.part(cases, "train"), split.part(cases, "validation")
        summaries = self.recipe.summaries(train)
        if run.join is not None:
            if not self.recipe.joinable:
                raise UserError("learning.network.not-joinable")
            summaries = run.join.summaries(summaries)
        processors = self.recipe.processors(summaries)
        torch.manual_seed(run.seed)
        network = self.recipe.network(processors)
        figures = held_out_figures(self.recipe, processors, held_out, run)
        if figures is None and self.schedule.patience and run.leader:
            aside(Message("learning.network.no-held-out"))
        batches = self.recipe.batches(train, processors, run.seed)
        network = fit_network(network, batches, self.recipe.loss, self.schedule, run, held_out=figures)
        model = NetworkModel(self.recipe, processors, network)
        return Fitted(model, model.predict(held_out, run))


@dataclass(frozen=True)
class NetworkModel:
    """A fitted network with its fitted processors."""

    recipe: Recipe[Any, Any, Any]
    processors: Processors
    network: nn.Module

    def predict(self, cases: Cases, run: Run) -> Predictions:
        if not len(cases):
            return EMPTY
        with torch.inference_mode():
            return joined(list(self.recipe.infer(self.network, cases, self.processors, run)))

    @property
    def holds_training_values(self) -> bool:
        return self.processors.holds_training_values

    def save(self, folder: Path) -> None:
        recipe = {"kind": self.recipe.kind, **self.recipe.to_json()}
        save_model(folder, "network", {"recipe": recipe, "processors": self.processors.to_json()})
        weights = {name: value.cpu().contiguous() for name, value in self.network.state_dict().items()}
        with replacing(folder / "weights.safetensors") as new:
            save_file(weights, new)


@dataclass(frozen=True)
class _Saved:
    recipe: dict[str, Any]
    processors: dict[str, Any]


def load(folder: Path) -> NetworkModel:
    """Reads what `NetworkModel.save` wrote.

    Raises: UserError where it is damaged; code of the user's own runs only where it is trusted."""
    facts, where, weights = facts_of(folder, _Saved), folder / "model.json", folder / "weights.safetensors"
    recipe: Recipe[Any, Any, Any] = registry.rebuilt(facts.recipe, "network", where)
    # Built without memory first: what the file does not hold is not made room for.
    with torch.device("meta"):
        network = recipe.network(recipe.restore(facts.processors))
    check_arrays(weights, {name: _shape(value) for name, value in network.state_dict().items()})
    processors = recipe.restore(facts.processors)
    # Copies: what `load_file` gives may be read from the file when it is used.
    state = {name: value.clone() for name, value in load_file(weights).items()}
    if any(name not in state for name, _ in network.named_buffers()):  # Those that no file keeps are made anew.
        network = recipe.network(processors)
    parameters = {name for name, _ in network.named_parameters()}
    for name, value in state.items():
        # A buffer may hold infinities, as masks do.
        if value.is_floating_point() and bool((~value.isfinite() if name in parameters else value.isnan()).any()):
            raise UserError("files.damaged.at", path=weights, detail=name)
    network.load_state_dict(state, assign=True)
    return NetworkModel(recipe, processors, channels_last(network).to(device()).eval())


def _shape(value: Tensor) -> Shape:
    return Shape(_TYPES[value.dtype], tuple(value.shape))


_TYPES = {
    torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.bool: "BOOL",
    torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32", torch.int64: "I64",
}  # fmt: skip
"""What safetensors calls them."""
