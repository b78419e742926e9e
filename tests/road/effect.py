"""An average treatment effect by cross-fitting trees: the effect is a model's prediction like any other, and the
simulated truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from medeor.contracts import Cases, Fitted, Measure, Predictions, Study, Target, TaskFacts, UserError
from medeor.files import read_json, write_json
from medeor.learning.folds import out_of_fold
from medeor.learning.trees.method import Boosting, TreeMethod
from medeor.settings import with_settings
from medeor.simulate.states import in_state
from road.toy import Numbers, PlainModel, PlainTask

EFFECT = 2.0
OUTCOME, TREATED = Target("outcome", "continuous"), Target("treated", "binary")


def simulated(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariates, treatment and outcome; who is treated would fare better anyway."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=(n, 3))
    t = (draw.random(n) < 1 / (1 + np.exp(-x[:, 0]))).astype(np.float64)
    return x, t, EFFECT * t + 2 * x[:, 0] + x[:, 1] + draw.normal(0, 0.5, n)


def example(folder: Path, state: str) -> Study | None:
    if state == "broken case":
        return None
    x, t, y = simulated(40)
    asked = ["y"] if state == "missing targets" else ["t"]
    table = in_state(pl.DataFrame({"t": t, "y": y, "row": range(40)}), state, asked)
    given = (x[table["row"].to_numpy()], table["t"].to_numpy(), table["y"].to_numpy())
    return Study(given, "toy-effect", split="cv", settings={"rounds": "5"})


FACTS = TaskFacts("toy-effect", "a toy", "road.effect:EffectTask", "", "arrays", {}, example="road.effect:example")
LOADERS = {"toy-effect": "road.effect:load", "covariates": "road.effect:Covariates"}


@dataclass(frozen=True)
class EffectPlan:
    rounds: int = 200


@dataclass(frozen=True)
class Covariates:
    kind: str = "covariates"

    @classmethod
    def from_json(cls, values) -> Covariates:
        return cls()

    def to_json(self):
        return {}

    def table(self, cases: Cases) -> np.ndarray:
        return cases.store("numbers", Numbers).arrays["x"][cases.table["row"].to_numpy()]

    def names(self):
        return ("x0", "x1", "x2")


@dataclass(frozen=True)
class CrossFit:
    """Doubly robust scores (Chernozhukov et al. 2018): outcome and propensity are each predicted out of fold. Of whom
    the outcome is not known, the score is what the outcome model predicts."""

    rounds: int

    def fit(self, cases, split, inputs, run):
        if cases.table["treated"].n_unique() < 2:
            raise UserError("all are in one arm, with whom nobody can be compared")
        trees = TreeMethod(Covariates(), Boosting(rounds=self.rounds))
        _, propensity = out_of_fold(trees, Cases(cases.table, (TREATED,), cases.stores), split, {}, run.child("t"))
        share = _column(propensity, cases).clip(0.05, 0.95)
        arms = []
        for arm in (0, 1):
            # The other arm has no outcome to learn from; its cases are predicted all the same.
            seen = pl.when(pl.col("treated") == arm).then(pl.col("outcome")).alias("outcome")
            one_arm = Cases(cases.table.with_columns(seen), (OUTCOME,), cases.stores)
            arms.append(_column(out_of_fold(trees, one_arm, split, {}, run.child(f"arm{arm}"))[1], cases))
        y, t = cases.table["outcome"].to_numpy(), cases.table["treated"].to_numpy()
        residual = t * (y - arms[1]) / share - (1 - t) * (y - arms[0]) / (1 - share)
        score = arms[1] - arms[0] + np.nan_to_num(residual)
        return Fitted(EffectModel(float(score.mean())), _effects(cases, score))


@dataclass(frozen=True)
class Difference:
    """The baseline: the naive difference of the arms."""

    def fit(self, cases, split, inputs, run):
        means = cases.table.group_by("treated").agg(pl.col("outcome").mean()).sort("treated")["outcome"]
        effect = float(means[1] - means[0])
        return Fitted(EffectModel(effect), _effects(cases, np.full(len(cases), effect)))


@dataclass(frozen=True)
class EffectModel(PlainModel):
    effect: float

    def predict(self, cases, run):
        return _effects(cases, np.full(len(cases), self.effect))

    def save(self, folder):
        write_json(folder / "model.json", {"kind": "toy-effect", "effect": self.effect})


def load(folder: Path) -> EffectModel:
    return EffectModel(read_json(folder / "model.json")["effect"])


def _column(predictions: Predictions, cases: Cases) -> np.ndarray:
    return cases.table.join(predictions.table, on="case_id", maintain_order="left")["value"].to_numpy()


def _effects(cases: Cases, values: np.ndarray) -> Predictions:
    return Predictions(cases.table.select("case_id", item=pl.lit("effect")).with_columns(value=pl.Series(values)))


class EffectTask(PlainTask):
    steps = ("read", "split", "plan", "fit", "evaluate", "bundle")
    plan_type = EffectPlan

    def read(self, sources, study):
        x, t, y = sources.given
        if not len(x):
            raise UserError("there is nobody to compare")
        names = [f"p{i}" for i in range(len(x))]
        table = pl.DataFrame({"case_id": names, "group": names, "row": range(len(x)), "treated": t, "outcome": y})
        table = table.with_columns(pl.col("outcome").fill_nan(None))
        return Cases(table, (), {"numbers": Numbers({"x": x})})

    def plan(self, cases, split, budget):
        return with_settings(EffectPlan(), budget.settings, "--set")

    def method(self, plan):
        return CrossFit(plan.rounds)

    def baseline(self, plan):
        return Difference()

    def evaluate(self, cases, predictions):
        scores = predictions.table["value"].to_numpy()
        error = 1.96 * scores.std() / np.sqrt(len(scores))
        return {"ate": Measure(scores.mean(), scores.mean() - error, scores.mean() + error, len(scores))}
