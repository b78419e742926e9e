"""A volume in, a volume out: patches train a network on every fold, a sliding window asks them. The answer is an array
on disk, of which the volume of the lesion is the sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import nn

from medeor.contracts import Cases, Measure, Predictions, Study, TaskFacts, UserError
from medeor.learning.folds import Folds
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.networks.schedule import Schedule
from medeor.learning.predictions import write_array
from medeor.settings import with_settings
from medeor.targets import label_map
from road.toy import Numbers, PlainRecipe, PlainTask, TensorBatch

PATCH, SIDE = 8, 16


def simulated(n: int) -> np.ndarray:
    """Volumes of noise, each with a bright cube."""
    draw = np.random.default_rng(0)
    volumes = draw.normal(0, 0.3, (n, SIDE, SIDE, SIDE)).astype(np.float32)
    for volume in volumes:
        corner = draw.integers(2, 9, 3)
        volume[tuple(slice(c, c + 5) for c in corner)] += 2
    return volumes


def example(folder: Path, state: str) -> Study | None:
    if state in ("missing targets", "one class"):
        return None
    volumes = simulated(12 if state != "no cases" else 0)
    if state == "broken case":
        volumes[0, 0, 0, 0] = np.nan
    return Study((volumes,), "toy-patches", settings={"schedule.epochs": "2"})


FACTS = TaskFacts("toy-patches", "a toy", "road.patches:PatchTask", "", "volumes", {}, example="road.patches:example")
LOADERS = {"patch-recipe": "road.patches:PatchRecipe"}


@dataclass(frozen=True)
class PatchPlan:
    schedule: Schedule = field(default_factory=lambda: Schedule(epochs=30, learning_rate=0.02, averaging=0.0))


@dataclass(frozen=True)
class Patches:
    volumes: torch.Tensor
    labels: torch.Tensor
    seed: int

    def __len__(self) -> int:
        return 4

    def batch(self, epoch: int, index: int) -> TensorBatch:
        draw = np.random.default_rng((self.seed, epoch, index))
        rows = draw.integers(0, len(self.volumes), 16)
        corners = draw.integers(0, SIDE - PATCH + 1, (16, 3))
        cut = [(r, *(slice(c, c + PATCH) for c in corner)) for r, corner in zip(rows, corners, strict=True)]
        return TensorBatch(
            torch.stack([self.volumes[c] for c in cut])[:, None], torch.stack([self.labels[c] for c in cut])
        )


@dataclass(frozen=True)
class PatchRecipe(PlainRecipe):
    kind: str = "patch-recipe"

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> PatchRecipe:
        return cls()

    def to_json(self) -> Mapping[str, object]:
        return {}

    def _volumes(self, cases: Cases, name: str) -> torch.Tensor:
        return torch.from_numpy(cases.store("numbers", Numbers).arrays[name][cases.table["row"].to_numpy()])

    def batches(self, cases, processors, seed) -> Patches:
        return Patches(self._volumes(cases, "volumes"), self._volumes(cases, "labels"), seed)

    def network(self, processors) -> nn.Module:
        return nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 1, 1))

    def loss(self, outputs, batch):
        return label_map.loss(outputs, batch.truth)

    def infer(self, network, cases, processors, run) -> Iterator[Predictions]:
        for case_id, volume in zip(cases.ids, self._volumes(cases, "volumes"), strict=True):
            total, seen = torch.zeros(SIDE, SIDE, SIDE), torch.zeros(SIDE, SIDE, SIDE)
            for corner in np.ndindex(3, 3, 3):
                window = tuple(slice(4 * c, 4 * c + PATCH) for c in corner)
                total[window] += label_map.values(network(volume[window][None, None]))[0, 0]
                seen[window] += 1
            row = {"case_id": [case_id], "item": ["lesion"], "value": [float((total / seen).sum())]}
            yield Predictions(pl.DataFrame(row), {case_id: write_array(run, case_id, (total / seen).numpy())})


class PatchTask(PlainTask):
    steps = ("read", "split", "plan", "fit", "evaluate", "bundle")
    plan_type = PatchPlan

    def read(self, sources, study) -> Cases:
        (volumes,) = sources.given
        if not len(volumes):
            raise UserError("there is no volume")
        names = [f"v{i}" for i in range(len(volumes))]
        broken = [None if np.isfinite(volume).all() else "it has a voxel without a value" for volume in volumes]
        table = pl.DataFrame({"case_id": names, "group": names, "row": range(len(volumes)), "broken": broken})
        return Cases(table, (), {"numbers": Numbers({"volumes": volumes, "labels": (volumes > 1).astype(np.float32)})})

    def plan(self, cases, split, budget) -> PatchPlan:
        return with_settings(PatchPlan(), budget.settings, "--set")

    def method(self, plan):
        return Folds(NetworkMethod(PatchRecipe(), plan.schedule))

    def baseline(self, plan):
        return Folds(NetworkMethod(PatchRecipe(), replace(plan.schedule, epochs=1)))

    def evaluate(self, cases, predictions):
        truth = cases.store("numbers", Numbers).arrays["labels"]
        rows = dict(zip(cases.ids, cases.table["row"], strict=True))
        dice = []
        for case_id, path in predictions.arrays.items():
            found, label = np.load(path) > 0.5, truth[rows[case_id]] > 0.5
            dice.append(label_map.dice(found, label))
        return {"dice/lesion": Measure(float(np.mean(dice)), n=len(dice))}
