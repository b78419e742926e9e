"""A task that keeps all that the conformance suite asks, until `FAULT` names the check that it is to fail."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from medeor import registry
from medeor.contracts import (
    ROAD,
    Answering,
    Attribution,
    Budget,
    Cases,
    Explains,
    Finding,
    Fitted,
    Inputs,
    Measures,
    Method,
    Model,
    Offer,
    Predictions,
    Result,
    Run,
    Sources,
    Split,
    Study,
    Target,
)  # fmt: skip
from medeor.files import read_json, write_json
from medeor.learning.explain import explainer
from medeor.learning.folds import Folds
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.networks.schedule import Schedule
from medeor.learning.predictions import write_array
from medeor.simulate.states import State, in_state
from medeor.statistics.moments import Moments
from medeor.trust.measures import measure
from road.toy import TensorBatch

FAULT = ""
_fits = itertools.count()
SICK = Target("sick", "binary")


def example(folder: Path, state: State) -> Study:
    """Thirty people, of whom those are sick who measure more than nothing."""
    x = np.random.default_rng(0).normal(size=30)
    part = ["train"] * 18 + ["validation"] * 6 + ["test"] * 6
    table = pl.DataFrame({"name": [f"p{i}" for i in range(30)], "x": x, "sick": (x > 0).astype(float), "part": part})
    return Study((in_state(table, state, ["sick"], {"x": None}),), "toy")


FACTS = registry.TaskFacts(
    "toy",
    "a toy",
    "testing.toy:ToyTask",
    "",
    "tables",
    {},
    offers=(Offer("embeddings", "file", "a vector", "testing.toy:embeddings", endings=(".parquet",)),),
    example="testing.toy:example",
)
LOADERS = {"toy": "testing.toy:load", "toy-recipe": "testing.toy:ToyRecipe"}


def embeddings(asked: Answering, path: Path, options: Mapping[str, str]) -> str:
    if FAULT == "exports":
        raise KeyError("x")
    pl.DataFrame({"id": ["x"], "name": ["x"], "kind": ["measure"], "vector": [[1.0, 2.0]]}).write_parquet(path)
    return ""


@dataclass(frozen=True)
class ToyPlan:
    sick: int
    schedule: Schedule = field(default_factory=lambda: Schedule(epochs=2, learning_rate=0.1, averaging=0.5))


class ToyTask:
    steps = ROAD
    plan_type = ToyPlan

    def read(self, sources: Sources, study: Study) -> Cases:
        (table,) = sources.given
        assert isinstance(table, pl.DataFrame)
        if FAULT == "study-without-cases":
            table.row(0)
        if FAULT == "one-class" and sources.labelled:
            1 / (table["sick"].n_unique() - 1)
        broken = pl.when(pl.col("x").is_null()).then(pl.lit("it has no x"))
        table = table.select(broken.alias("broken"), "x", "sick", "part", case_id="name", group="name", source="name")
        if FAULT == "broken-case":
            table = table.filter(pl.col("broken").is_null())
        return Cases(table, (SICK,))

    def audit(self, cases: Cases, split: Split) -> list[Finding]:
        broken = cases.table.filter(pl.col("broken").is_not_null())["case_id"].to_list()
        return [Finding("unreadable", "quality", "fail" if broken else "pass", "cases without x", tuple(broken))]

    def clean(self, cases: Cases, findings: Sequence[Finding], split: Split) -> pl.DataFrame:
        return cases.table.with_columns(removed=pl.lit(None, pl.String))

    def plan(self, cases: Cases, split: Split, budget: Budget) -> ToyPlan:
        train = cases if FAULT == "plan" else split.part(cases, "train")
        return ToyPlan(int(train.table["sick"].sum()))

    def method(self, plan: ToyPlan) -> Method:
        return ToyMethod(plan.schedule)

    baseline = method

    def evaluate(self, cases: Cases, predictions: Predictions) -> Measures:
        return measure(cases, predictions)

    def show(self, result: Result) -> list[Any]:
        return [1 / 0] if FAULT == "walk" else []


@dataclass(frozen=True)
class ToyMethod:
    schedule: Schedule

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        known = cases.where(pl.col("sick").is_not_null())
        if FAULT == "missing-targets" and len(known) < len(cases):
            raise ValueError("null")
        if FAULT == "one-class":
            1 / (known.table["sick"].n_unique() - 1)
        if FAULT == "files":
            (run.folder / "fit.pkl").parent.mkdir(parents=True, exist_ok=True)
            (run.folder / "fit.pkl").write_bytes(b"\x80\x04N.")
        fitted = Folds(NetworkMethod(ToyRecipe(), self.schedule)).fit(cases, split, inputs, run.child("inner"))
        held_out = fitted.held_out
        if FAULT == "held-out":
            held_out = fitted.model.predict(cases, run)
        shift = float(next(_fits)) if FAULT == "resume" else 0.0
        return Fitted(ToyModel(fitted.model, shift), held_out)


@dataclass(frozen=True)
class ToyModel:
    """An ensemble of networks, to whose answers something may be added."""

    model: Model
    shift: float = 0.0
    home: str = ""
    """Where it was saved; empty for a model that was not."""

    def predict(self, cases: Cases, run: Run) -> Predictions:
        if FAULT == "bundle" and self.home:
            assert Path(self.home).exists()
        if FAULT == "no-cases":
            cases.table.row(0)
        found = self.model.predict(cases, run)
        value = pl.col("value") + self.shift
        if FAULT == "answers":
            value = value * math.nan
        if FAULT == "subset":
            value = value - value.mean()
        if FAULT == "comes-back" and self.home:
            value = value / 2
        lost = FAULT == "arrays" or (FAULT == "predictions" and self.home)
        return Predictions(found.table.with_columns(value), {} if lost else found.arrays)

    @property
    def _reasons(self) -> Explains:
        found = explainer(self.model)
        assert found is not None
        return found

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        if FAULT == "explanations":
            return []
        return self._reasons.attribute(cases, items, run)

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        found = self._reasons.ablate(case, item, kept, run)
        return found[:1] if FAULT == "reasons" and len(kept) == 2 else found

    @property
    def holds_training_values(self) -> bool:
        return False

    def save(self, folder: Path) -> None:
        self.model.save(folder / "inner")
        home = str(folder) if FAULT in ("bundle", "comes-back", "predictions") else ""
        write_json(folder / "model.json", {"kind": "toy", "shift": self.shift, "home": self.home or home})
        if FAULT == "saves":
            (folder / "more.txt").write_text("more")


def load(folder: Path) -> ToyModel:
    facts = read_json(folder / "model.json")
    return ToyModel(registry.load_part(folder, "inner"), facts["shift"], facts["home"])


@dataclass(frozen=True)
class Centre:
    mean: float
    holds_training_values = False

    def to_json(self) -> Mapping[str, object]:
        return {"mean": self.mean}


@dataclass
class ToyBatches:
    x: Tensor
    y: Tensor
    seed: int
    drawn: int = 0

    def __len__(self) -> int:
        return -(-len(self.x) // 8)

    def batch(self, epoch: int, index: int) -> TensorBatch:
        self.drawn += 1
        turn = self.drawn if FAULT == "batches" else epoch
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(self.seed * 1000 + turn))
        rows = order[index * 8 : (index + 1) * 8]
        return TensorBatch(self.x[rows], self.y[rows])


@dataclass(frozen=True)
class ToyRecipe:
    """A line through x, as a probability at x and, as an array, at x and two steps further on."""

    joinable: bool = True
    kind: str = "toy-recipe"

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> ToyRecipe:
        return cls()

    def to_json(self) -> Mapping[str, object]:
        return {}

    def summaries(self, cases: Cases) -> Moments:
        return Moments.of(cases.table["x"].to_numpy()[: 8 if FAULT == "summaries" else None])

    def processors(self, summaries: Moments) -> Centre:
        return Centre(float(summaries.mean[0]))

    def restore(self, processors: Mapping[str, Any]) -> Centre:
        return Centre(processors["mean"] + (FAULT == "recipe-comes-back"))

    def batches(self, cases: Cases, processors: Centre, seed: int) -> ToyBatches:
        known = cases.where(pl.col("sick").is_not_null())
        return ToyBatches(_column(known, "x") - processors.mean, _column(known, "sick"), seed)

    def network(self, processors: Centre) -> nn.Module:
        return nn.Linear(1, 1)

    def loss(self, outputs: Tensor, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        each = nn.functional.binary_cross_entropy_with_logits(outputs, batch.truth, reduction="none")
        return (each.mean() if FAULT == "loss" else each.sum()), torch.tensor(float(len(each)))

    def infer(self, network: nn.Module, cases: Cases, processors: Centre, run: Run) -> Iterator[Predictions]:
        found = [_curve(network, x - processors.mean) for x in cases.table["x"]]
        kept = (one > 0.5 if FAULT == "decided" else one for one in found)
        arrays = {case: write_array(run, case, one) for case, one in zip(cases.ids, kept, strict=True)}
        values = pl.Series("value", [float(one[0]) for one in found], pl.Float64)
        yield Predictions(
            pl.DataFrame({"case_id": cases.table["case_id"], "item": "sick"}).with_columns(values), arrays
        )

    def attribute(
        self, network: nn.Module, cases: Cases, items: Sequence[str], processors: Centre, run: Run
    ) -> list[Attribution]:
        weight = float(next(network.parameters()).detach())
        return [
            Attribution(case, item, "weight", np.array([weight * x]))
            for case, item, x in zip(cases.ids, items, cases.table["x"], strict=True)
        ]

    def ablate(
        self, network: nn.Module, case: Cases, item: str, kept: np.ndarray, processors: Centre, run: Run
    ) -> np.ndarray:
        x = case.table["x"][0] - processors.mean
        return np.array([_curve(network, x if one[0] else 0.0)[0] for one in kept])


def _curve(network: nn.Module, x: float) -> np.ndarray:
    return network(torch.tensor([[x], [x + 1], [x + 2]], dtype=torch.float32))[:, 0].sigmoid().detach().numpy()


def _column(cases: Cases, name: str) -> Tensor:
    return torch.tensor(cases.table[name].to_list(), dtype=torch.float32)[:, None]
