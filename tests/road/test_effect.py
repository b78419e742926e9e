"""An average treatment effect by cross-fitting trees: the effect is a model's prediction like any other, and the
simulated truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from medeor.contracts import Cases, Fitted, Measure, Predictions, Study, Target
from medeor.files import read_json, write_json
from medeor.learning.folds import out_of_fold
from medeor.learning.trees.method import TreeMethod
from medeor.road.walk import walk
from road.toy import Numbers, enrol

EFFECT = 2.0


@dataclass(frozen=True)
class Covariates:
    """Columns of the store, with or without the treatment."""

    treated: bool
    kind: str = "covariates"

    @classmethod
    def from_json(cls, values) -> Covariates:
        return cls(values["treated"])

    def to_json(self):
        return {"treated": self.treated}

    def table(self, cases: Cases) -> np.ndarray:
        x = cases.store(Numbers).arrays["x"][cases.table["row"].to_numpy()]
        return np.column_stack([x, cases.table["treated"]]) if self.treated else x

    def names(self):
        return tuple(f"x{i}" for i in range(3 + self.treated))


@dataclass(frozen=True)
class CrossFit:
    """Doubly robust scores (Chernozhukov et al. 2018): outcome and propensity are each predicted out of fold."""

    def fit(self, cases, split, run):
        outcome, treated = cases.targets
        _, propensity = out_of_fold(
            TreeMethod(Covariates(False)),
            Cases(cases.table, (treated,), cases.stores),
            split,
            run.child("t"),
        )
        share = _column(propensity, cases).clip(0.05, 0.95)
        arms = []
        for arm in (0, 1):
            # The other arm has no outcome to learn from; its cases are predicted all the same.
            seen = pl.when(pl.col("treated") == arm).then(pl.col("outcome")).alias("outcome")
            one_arm = Cases(cases.table.with_columns(seen), (outcome,), cases.stores)
            _, held_out = out_of_fold(TreeMethod(Covariates(False)), one_arm, split, run.child(f"arm{arm}"))
            arms.append(_column(held_out, cases))
        y, t = cases.table["outcome"].to_numpy(), cases.table["treated"].to_numpy()
        score = arms[1] - arms[0] + t * (y - arms[1]) / share - (1 - t) * (y - arms[0]) / (1 - share)
        return Fitted(EffectModel(float(score.mean())), _effects(cases, score))


@dataclass(frozen=True)
class Difference:
    """The baseline: the naive difference of the arms."""

    def fit(self, cases, split, run):
        means = cases.table.group_by("treated").agg(pl.col("outcome").mean()).sort("treated")["outcome"]
        effect = float(means[1] - means[0])
        return Fitted(EffectModel(effect), _effects(cases, np.full(len(cases), effect)))


@dataclass(frozen=True)
class EffectModel:
    effect: float

    def predict(self, cases, run):
        return _effects(cases, np.full(len(cases), self.effect))

    @property
    def holds_training_values(self) -> bool:
        return False

    def save(self, folder):
        write_json(folder / "model.json", {"kind": "toy-effect", "effect": self.effect})


def load(folder: Path) -> EffectModel:
    return EffectModel(read_json(folder / "model.json")["effect"])


def _column(predictions: Predictions, cases: Cases) -> np.ndarray:
    return cases.table.join(predictions.table, on="case_id", maintain_order="left")["value"].to_numpy()


def _effects(cases: Cases, values: np.ndarray) -> Predictions:
    return Predictions(pl.DataFrame({"case_id": cases.ids, "item": "effect", "value": values}))


class EffectTask:
    steps = ("read", "split", "plan", "fit", "evaluate", "bundle")
    plan_type = Covariates

    def read(self, sources, study):
        x, t, y = sources.given
        names = [f"p{i}" for i in range(len(x))]
        table = pl.DataFrame({"case_id": names, "group": names, "row": range(len(x)), "treated": t, "outcome": y})
        return Cases(table, (Target("outcome", "continuous"), Target("treated", "binary")), (Numbers({"x": x}),))

    def audit(self, cases, split):
        return []

    def clean(self, cases, findings, split):
        return cases.table

    def plan(self, cases, split, budget):
        return Covariates(False)

    def method(self, plan):
        return CrossFit()

    def baseline(self, plan):
        return Difference()

    def evaluate(self, cases, predictions):
        scores = predictions.table["value"].to_numpy()
        error = 1.96 * scores.std() / np.sqrt(len(scores))
        return {"ate": Measure(scores.mean(), scores.mean() - error, scores.mean() + error, len(scores))}

    def show(self, result):
        return []


def test_the_effect_is_found_where_the_naive_difference_is_biased(tmp_path, monkeypatch):
    loaders = {"toy-effect": "road.test_effect:load", "covariates": "road.test_effect:Covariates"}
    enrol(monkeypatch, "toy-effect", "road.test_effect:EffectTask", **loaders)
    draw = np.random.default_rng(1)
    x = draw.normal(size=(2000, 3))
    t = (draw.random(2000) < 1 / (1 + np.exp(-x[:, 0]))).astype(np.int64)
    y = EFFECT * t + 2 * x[:, 0] + x[:, 1] + draw.normal(0, 0.5, 2000)
    walk(Study((x, t, y), "toy-effect", split="cv"), tmp_path / "run")
    metrics = read_json(tmp_path / "run" / "metrics.json")["cv"]
    assert metrics["ate"]["low"] < EFFECT < metrics["ate"]["high"]
    assert metrics["baseline/ate"]["value"] > EFFECT + 1
