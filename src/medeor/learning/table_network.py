"""Networks and linear models on the columns of a table: the recipe of both, and the fit of the second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from medeor.contracts import Attribution, Cases, Fitted, Inputs, Predictions, Run, Split
from medeor.formats.values.columns import ColumnKind
from medeor.learning.networks.batches import Rows, ShuffledBatches
from medeor.learning.networks.devices import drawn
from medeor.learning.networks.heads import Heads, heads_for, heads_from
from medeor.learning.networks.method import EMPTY, NetworkModel
from medeor.learning.networks.summaries import summaries_of
from medeor.learning.saved import AsJson
from medeor.learning.tables import TableFeatures

ROWS_AT_ONCE = 8192
POINTS = 16
"""Points of the path at which integrated gradients are taken."""
SWEEPS = 200
"""Steps of the optimiser until a linear model is fitted."""


@dataclass(frozen=True)
class TableNetwork:
    """The network over the columns of a table."""

    width: Annotated[int, Field(ge=1, le=4096)] = 64
    depth: Annotated[int, Field(ge=0, le=12)] = 2
    """Residual layers; 0: a linear model."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    members: Annotated[int, Field(ge=1, le=64)] = 4
    """Networks in one that share all but how they weigh their inputs and outputs; the mean of their answers counts."""
    pieces: Annotated[int, Field(ge=1, le=256)] = 8
    """Into how many pieces a number is laid out."""
    batch: Annotated[int, Field(ge=1)] = 128


class TableModule(nn.Module):
    """From inputs, shape (rows, inputs), to outputs, shape (rows, members, outputs): residual layers that the members
    share, each with scales of its own for the inputs and a last layer of its own (TabM-mini; Gorishniy, Kotelnikov and
    Babenko 2024, https://arxiv.org/abs/2410.24210)."""

    def __init__(self, inputs: int, outputs: int, facts: TableNetwork) -> None:
        super().__init__()
        last = facts.width if facts.depth else inputs
        self.scales = drawn((facts.members, inputs), lambda sides: torch.randint(0, 2, sides) * 2.0 - 1.0)
        self.first = nn.Linear(inputs, facts.width) if facts.depth else nn.Identity()
        self.layers = nn.ModuleList(_Layer(facts.width, facts.dropout) for _ in range(facts.depth))
        self.weights = drawn(
            (facts.members, last, outputs), lambda sides: torch.empty(sides).uniform_(-1, 1) / max(1, last) ** 0.5
        )
        self.offsets = nn.Parameter(torch.zeros(facts.members, outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.first(inputs[:, None] * self.scales)
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return torch.einsum("nmw,mwo->nmo", hidden, self.weights) + self.offsets


class _Layer(nn.Sequential):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout))


class ExportedTable(nn.Module):
    """A network with what turns its outputs into the values of the items: the mean of its members."""

    def __init__(self, network: nn.Module, heads: Heads) -> None:
        super().__init__()
        self.network, self.heads = network, heads

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.network(inputs)
        values = self.heads.values(outputs.flatten(0, 1))
        return values.reshape(*outputs.shape[:2], -1).mean(1)


@dataclass(frozen=True)
class TableProcessors:
    """What is fitted on the training rows of one network."""

    features: TableFeatures
    heads: Heads

    holds_training_values: ClassVar[bool] = False

    def to_json(self) -> Mapping[str, object]:
        return {"features": self.features.to_json(), "heads": self.heads.to_json()}


@dataclass(frozen=True)
class RowBatch(Rows):
    """Some rows with their truth."""

    inputs: Tensor
    truth: Tensor
    heads: Heads


@dataclass(frozen=True)
class TableRecipe(AsJson):
    """See `contracts.Recipe`."""

    joinable: ClassVar[bool] = False
    columns: Mapping[str, ColumnKind]
    network_facts: TableNetwork
    kind: str = "table-recipe"

    def summaries(self, cases: Cases) -> TableProcessors:
        """Medians, quantiles and the commonest categories do not add up."""
        features = TableFeatures.of(cases, self.columns, self.network_facts.pieces)
        return TableProcessors(features, heads_for(summaries_of(cases)))

    def processors(self, summaries: TableProcessors) -> TableProcessors:
        return summaries

    def restore(self, processors: Mapping[str, Any]) -> TableProcessors:
        features = TableFeatures.from_json(processors.get("features", {}))
        return TableProcessors(features, heads_from(processors.get("heads"), "model.json"))

    def batches(self, cases: Cases, processors: TableProcessors, seed: int) -> ShuffledBatches[RowBatch]:
        every = _rows(cases, processors)

        def take(rows: Tensor) -> RowBatch:
            return replace(every, inputs=every.inputs[rows], truth=every.truth[rows])

        return ShuffledBatches(len(cases), self.network_facts.batch, seed, take)

    def network(self, processors: TableProcessors) -> TableModule:
        return TableModule(len(processors.features.means), processors.heads.outputs, self.network_facts)

    def loss(self, outputs: Tensor, batch: RowBatch) -> tuple[Tensor, Tensor]:
        """The mean over the members of each one's own."""
        members = outputs.shape[1]
        loss, weight = batch.heads.loss(outputs.flatten(0, 1), batch.truth.repeat_interleave(members, 0))
        return loss.sum() / members, weight.sum() / members

    def export_module(self, network: nn.Module, processors: TableProcessors) -> tuple[nn.Module, Tensor]:
        return ExportedTable(network, processors.heads), torch.zeros(2, len(processors.features.means))

    def infer(self, network: nn.Module, cases: Cases, processors: TableProcessors, run: Run) -> Iterator[Predictions]:
        inputs = torch.from_numpy(processors.features.inputs(cases))
        yield processors.heads.predictions(cases, _values(network, inputs, processors))

    def attribute(
        self, network: nn.Module, cases: Cases, items: Sequence[str], processors: TableProcessors, run: Run
    ) -> list[Attribution]:
        """Integrated gradients (Sundararajan, Taly and Yan 2017, https://arxiv.org/abs/1703.01365) from a row of which
        nothing is known, summed over the inputs of each column."""
        torch.manual_seed(run.seed + 1)
        untrained = self.network(processors).eval().to(next(network.parameters()).device)
        features = processors.features
        inputs = features.inputs(cases)
        places = [processors.heads.items.index(item) for item in items]
        own, random = (_gradients(net, inputs, places, features) for net in (network, untrained))
        return [
            Attribution(case_id, item, "integrated-gradients", values, features.names(), drawn)
            for case_id, item, values, drawn in zip(cases.ids, items, own, random, strict=True)
        ]

    def ablate(
        self, network: nn.Module, case: Cases, item: str, kept: np.ndarray, processors: TableProcessors, run: Run
    ) -> np.ndarray:
        """Of columns that are not kept nothing is known."""
        features = processors.features
        inputs = torch.from_numpy(features.inputs(case) * kept[:, features.owner].astype(np.float32))
        return _values(network, inputs, processors)[:, processors.heads.items.index(item)]


@dataclass(frozen=True)
class LinearMethod:
    """Logistic or linear regression on the columns of a table, with a penalty on the squares of its weights (ridge;
    Hoerl and Kennard 1970): the network without a layer, fitted to the end."""

    columns: Mapping[str, ColumnKind]
    penalty: float = 1.0
    """Half of it, times the sum of squared weights, is added to the sum of losses."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        train, held_out = split.part(cases, "train"), split.part(cases, "validation")
        recipe = TableRecipe(self.columns, TableNetwork(depth=0, members=1, pieces=1))
        processors = recipe.processors(recipe.summaries(train))
        network, rows = recipe.network(processors), _rows(train, processors)
        with torch.no_grad():
            network.scales.fill_(1.0)
            network.weights.zero_()
        optimiser = torch.optim.LBFGS(
            [network.weights, network.offsets], max_iter=SWEEPS, line_search_fn="strong_wolfe"
        )

        def cost() -> Tensor:
            optimiser.zero_grad()
            loss, weight = recipe.loss(network(rows.inputs), rows)
            total = (loss + self.penalty / 2 * network.weights.square().sum()) / weight
            total.backward()
            return total

        optimiser.step(cost)
        model = NetworkModel(recipe, processors, network.eval())
        return Fitted(model, model.predict(held_out, run) if len(held_out) else EMPTY)


def _rows(cases: Cases, processors: TableProcessors) -> RowBatch:
    inputs = torch.from_numpy(processors.features.inputs(cases))
    return RowBatch(inputs, processors.heads.truth(cases), processors.heads)


def _values(network: nn.Module, inputs: Tensor, processors: TableProcessors) -> np.ndarray:
    """Values of the items, shape (rows, items); in double precision, so that a row does not depend on the others."""
    asked, device = ExportedTable(deepcopy(network), processors.heads).double(), next(network.parameters()).device
    parts = [asked(chunk.to(device).double()).cpu() for chunk in inputs.split(ROWS_AT_ONCE)]
    return torch.cat(parts).numpy() if parts else np.empty((0, len(processors.heads.items)))


def _gradients(network: nn.Module, inputs: np.ndarray, places: Sequence[int], features: TableFeatures) -> np.ndarray:
    """What each column adds to the output of each row's item, shape (rows, columns)."""
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    device = next(network.parameters()).device
    rows = torch.from_numpy(inputs).to(device)
    total = torch.zeros_like(rows)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        with torch.inference_mode(False), torch.enable_grad():
            at = (rows * float(node)).clone().requires_grad_()
            answers = network(at).mean(1)[torch.arange(len(places)), torch.tensor(places, device=device)]
            total += float(weight) * torch.autograd.grad(answers.sum(), at)[0]
    shares = (total * rows).cpu().numpy()
    columns = np.zeros((len(rows), len(features.columns)))
    np.add.at(columns.T, features.owner, shares.T)
    return columns
