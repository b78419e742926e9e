"""A fitted network, or an ensemble of them, as one ONNX model that needs no medeor to run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from medeor.contracts import Answering, Exports, Message, Text, UserError
from medeor.learning.folds import Ensemble
from medeor.learning.networks.method import NetworkModel
from medeor.learning.stack import StackModel, innermost

TOLERANCE = 1e-4
"""Largest difference between ONNX's values and ours that is let pass."""


class Mean(nn.Module):
    """The mean of what several modules answer."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([member(inputs) for member in self.members]).mean(0)


def to_onnx(asked: Answering, path: Path, options: Mapping[str, str]) -> Text:
    """Writes the networks of a model as one: `inputs` (prepared, as the plan says) → `values` (of the items, before
    calibration), the first axis free. Of a stack it is the network alone, and what is returned says so; else nothing.

    Raises: UserError when an extra is missing, the model is no network, or ONNX answers differently."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        install = 'pip install "medeor[export]"'
        raise UserError("registry.no-package", task="export", package=error.name, install=install) from None
    note: Text = ""
    model = innermost(asked.model)
    if isinstance(model, StackModel):
        note = Message("learning.export.network-alone", others=list(model.parts)[1:])
        model = next(iter(model.parts.values()))
    members = model.members if isinstance(model, Ensemble) else (model,)
    networks = [member for member in members if isinstance(member, NetworkModel)]
    if not networks or len(networks) < len(members):
        raise UserError("learning.export.no-network")
    exports = [n.recipe for n in networks if isinstance(n.recipe, Exports)]
    if len(exports) < len(networks):
        raise UserError("learning.export.no-single-input")
    answering = [recipe.export_module(n.network.cpu(), n.processors) for recipe, n in zip(exports, networks)]
    mean, example = Mean([module for module, _ in answering]).eval(), answering[0][1]
    # The exporter speaks of torchvision, which it misses, and of its own future.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            mean,
            (example,),
            path,
            input_names=["inputs"],
            output_names=["values"],
            dynamic_shapes=({0: torch.export.Dim("cases", min=1, max=1 << 20)},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"inputs": example.numpy()})
    with torch.inference_mode():
        ours = mean(example)
    worst = float((torch.from_numpy(theirs) - ours).abs().max())
    if not worst <= TOLERANCE:
        raise UserError("learning.export.differs", difference=worst)
    return note
