"""Deaths and losses to follow-up on the whole road: a network and trees answer by horizon, and the simulated hazard is
known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import polars as pl
import torch
from torch import nn

from medeor.contracts import Attribution, Cases, Predictions, TaskFacts
from medeor.learning.networks.heads import Heads, heads_for, heads_from
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.networks.schedule import Schedule
from medeor.learning.networks.summaries import Summaries, summaries_of
from medeor.learning.stack import stacked
from medeor.learning.trees.method import Boosting, TreeMethod
from medeor.targets.survival import read_survival
from medeor.trust.measures import measure
from road.toy import Numbers, PlainTask, TensorBatch

COLUMNS = ("age", "stage", "noise")
FACTS = TaskFacts("toy-deaths", "a toy", "road.deaths:SurvivalTask", "", "arrays", {})
LOADERS = {"rows": "road.deaths:Rows", "row-recipe": "road.deaths:RowRecipe"}


def simulated(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, months until death or loss to follow-up, and whether it was death: the hazard is exp(age + stage) / 10."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(size, 3)).astype(np.float32)
    died, lost = draw.exponential(10 * np.exp(-x[:, 0] - x[:, 1])), draw.exponential(20, size)
    return x, np.minimum(died, lost), (died <= lost).astype(int)


@dataclass(frozen=True)
class Rows:
    """The rows of the store."""

    kind: str = "rows"

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Rows:
        return cls()

    def to_json(self) -> Mapping[str, object]:
        return {}

    def table(self, cases: Cases) -> np.ndarray:
        return cases.store("numbers", Numbers).arrays["x"][cases.table["row"].to_numpy()]

    def names(self) -> tuple[str, ...]:
        return COLUMNS


@dataclass(frozen=True)
class RowProcessors:
    heads: Heads
    holds_training_values = False

    def to_json(self) -> Mapping[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class RowBatches:
    inputs: torch.Tensor
    truth: torch.Tensor

    def __len__(self) -> int:
        return 1

    def batch(self, epoch: int, index: int) -> TensorBatch:
        return TensorBatch(self.inputs, self.truth)


@dataclass
class RowRecipe:
    heads: Heads | None = None
    joinable: bool = True
    kind: str = "row-recipe"

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> RowRecipe:
        return cls()

    def to_json(self) -> Mapping[str, object]:
        return {}

    def summaries(self, cases: Cases) -> Summaries:
        return summaries_of(cases)

    def processors(self, summaries: Summaries) -> RowProcessors:
        return self._with(heads_for(summaries))

    def restore(self, processors: Mapping[str, object]) -> RowProcessors:
        return self._with(heads_from(processors["heads"], "model.json"))

    def _with(self, heads: Heads) -> RowProcessors:
        self.heads = heads
        return RowProcessors(heads)

    def batches(self, cases, processors, seed) -> RowBatches:
        return RowBatches(torch.from_numpy(Rows().table(cases)), processors.heads.truth(cases))

    def network(self, processors) -> nn.Module:
        return nn.Linear(len(COLUMNS), processors.heads.outputs)

    def loss(self, outputs, batch):
        loss, weight = self.heads.loss(outputs, batch.truth)
        return loss.sum(), weight.sum()

    def export_module(self, network, processors):
        return network, torch.zeros(2, len(COLUMNS))

    def infer(self, network, cases, processors, run) -> Iterator[Predictions]:
        values = processors.heads.values(network(torch.from_numpy(Rows().table(cases))))
        yield processors.heads.predictions(cases, values.numpy())

    def attribute(self, network, cases, items, processors, run) -> list[Attribution]:
        places = [processors.heads.items.index(item) for item in items]
        weights = network.weight.detach().numpy()
        rows = zip(cases.ids, items, places, Rows().table(cases), strict=True)
        return [Attribution(case, item, "linear", weights[place] * row, COLUMNS) for case, item, place, row in rows]

    def ablate(self, network, case, item, kept, processors, run):
        rows = torch.from_numpy(np.where(kept, Rows().table(case), 0).astype(np.float32))
        return processors.heads.values(network(rows))[:, processors.heads.items.index(item)].numpy()


@dataclass(frozen=True)
class RowPlan:
    schedule: Schedule = field(default_factory=lambda: Schedule(epochs=30, learning_rate=0.1, averaging=0.0))


class SurvivalTask(PlainTask):
    steps = (
        "read", "split", "audit", "plan", "fit", "calibrate", "evaluate", "explain", "report", "bundle",
    )  # fmt: skip
    plan_type = RowPlan

    def read(self, sources, study) -> Cases:
        x, time, event = sources.given
        names = [f"p{row}" for row in range(len(x))]
        target, values = read_survival("death", pl.Series("death", event), pl.Series("months", time), unit="m")
        table = pl.DataFrame({"case_id": names, "group": names, "row": range(len(x))}).hstack(values)
        return Cases(table, (target,), {"numbers": Numbers({"x": x})})

    def plan(self, cases, split, budget):
        return RowPlan()

    def method(self, plan):
        trees = TreeMethod(Rows(), Boosting(rounds=15, leaves=4))
        return stacked(
            {"network": NetworkMethod(RowRecipe(), plan.schedule), "trees": trees}, ("network", "trees"), "folds"
        )

    def baseline(self, plan):
        return stacked({"trees": TreeMethod(Rows(), Boosting(rounds=3, leaves=2))}, ("trees",), "folds")

    def evaluate(self, cases, predictions):
        return measure(cases, predictions, resamples=100)
