"""A search for a molecule-like string whose goal is the bundle of another study: no split, no calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from medeor.console import Console
from medeor.contracts import Cases, Fitted, Measure, Predictions, Stopped, Study, Target, TaskFacts
from medeor.files import read_json, write_json
from medeor.learning.folds import SingleFit
from medeor.learning.predictions import EMPTY
from medeor.learning.trees.method import Boosting, TreeMethod
from medeor.road.bundle import Trained
from medeor.road.walk.walk import walk
from medeor.settings import with_settings
from medeor.simulate.states import in_state
from road.toy import PlainModel, PlainTask

LETTERS, LENGTH = np.array(list("CNOF")), 8


def simulated(n: int) -> pl.DataFrame:
    """Strings, of which a letter makes the property more, and another less."""
    texts = np.random.default_rng(3).choice(LETTERS, (n, LENGTH))
    values = ((texts == "N").sum(1) - (texts == "F").sum(1)).astype(float)
    return pl.DataFrame({"text": ["".join(text) for text in texts], "property": values})


def goal(folder: Path, state: str) -> Study | None:
    """The study whose bundle is the goal."""
    if state in ("no cases", "broken case"):
        return None
    return Study((in_state(simulated(40), state, ["property"]),), "toy-property", settings={"rounds": "5"})


def example(folder: Path, state: str) -> Study | None:
    if state != "whole":
        return None
    walk(goal(folder, state), folder / "goal", Console(quiet=True))
    inputs = {"goal": str(folder / "goal" / "goal.medeor")}
    return Study((), "toy-search", inputs=inputs, settings={"steps": "3", "population": "10"})


GOAL = TaskFacts("toy-property", "a toy", "road.search:PropertyTask", "", "tables", {}, example="road.search:goal")
FACTS = TaskFacts(
    "toy-search",
    "a toy",
    "road.search:SearchTask",
    "",
    "",
    {},
    inputs={"goal": "a bundle"},
    example="road.search:example",
)
LOADERS = {"counts": "road.search:Counts", "toy-found": "road.search:load"}


@dataclass(frozen=True)
class Counts:
    """How often each letter stands in a string."""

    kind: str = "counts"

    @classmethod
    def from_json(cls, values):
        return cls()

    def to_json(self):
        return {}

    def table(self, cases: Cases) -> np.ndarray:
        text = cases.table["text"]
        return np.column_stack([text.str.count_matches(letter).to_numpy() for letter in LETTERS]).astype(np.float32)

    def names(self):
        return tuple(LETTERS)


@dataclass(frozen=True)
class PropertyPlan:
    rounds: int = 200


class PropertyTask(PlainTask):
    """The goal's own study: a number for each string."""

    steps = ("read", "split", "plan", "fit", "bundle")
    plan_type = PropertyPlan

    def read(self, sources, study):
        (table,) = sources.given
        names = [f"m{i}" for i in range(table.height)]
        table = table.with_columns(case_id=pl.Series(names), group=pl.Series(names))
        return Cases(table, (Target("property", "continuous"),))

    def plan(self, cases, split, budget):
        return with_settings(PropertyPlan(), budget.settings, "--set")

    def method(self, plan):
        return SingleFit(TreeMethod(Counts(), Boosting(rounds=plan.rounds)))

    baseline = method

    def evaluate(self, cases, predictions):
        return {}


@dataclass(frozen=True)
class SearchPlan:
    steps: int = 30
    population: int = 60


@dataclass(frozen=True)
class Climb:
    """Keeps the best half, changes one letter of each; the baseline does not keep."""

    plan: SearchPlan
    keeps: bool

    def fit(self, cases, split, inputs, run):
        goal = inputs["goal"]
        draw = np.random.default_rng(run.seed)
        texts = draw.choice(LETTERS, (self.plan.population, LENGTH))
        for step in range(self.plan.steps):
            values = _values(goal, texts)
            best = texts[np.argsort(-values)[: len(texts) // 2]] if self.keeps else texts[: len(texts) // 2]
            children = best.copy()
            children[np.arange(len(best)), draw.integers(0, LENGTH, len(best))] = draw.choice(LETTERS, len(best))
            texts = np.concatenate([best, children])
            run.progress("search", step + 1, self.plan.steps)
            if run.stopping():
                raise Stopped
        texts = np.unique(texts, axis=0)
        values = _values(goal, texts)
        order = np.argsort(-values)[:10]
        return Fitted(Found(tuple("".join(t) for t in texts[order]), tuple(values[order].tolist())), EMPTY)


def _values(goal: Trained, texts: np.ndarray) -> np.ndarray:
    return goal.predict(pl.DataFrame({"text": ["".join(text) for text in texts]}))["value"].to_numpy()


@dataclass(frozen=True)
class Found(PlainModel):
    """What a search leaves: candidates, best first."""

    texts: tuple[str, ...]
    values: tuple[float, ...]

    def predict(self, cases, run):
        if not len(cases):
            return EMPTY
        rows = {"case_id": cases.ids[0], "item": self.texts, "value": self.values}
        return Predictions(pl.DataFrame(rows))

    def save(self, folder):
        write_json(folder / "model.json", {"kind": "toy-found", "texts": self.texts, "values": self.values})


def load(folder: Path) -> Found:
    facts = read_json(folder / "model.json")
    return Found(tuple(facts["texts"]), tuple(facts["values"]))


class SearchTask(PlainTask):
    """A case is a goal."""

    steps = ("read", "plan", "fit", "bundle")
    plan_type = SearchPlan

    def read(self, sources, study):
        goals = pl.DataFrame({"case_id": ["goal"], "group": ["goal"]})
        return Cases(goals)

    def plan(self, cases, split, budget):
        return with_settings(SearchPlan(), budget.settings, "--set")

    def method(self, plan):
        return Climb(plan, keeps=True)

    def baseline(self, plan):
        return Climb(plan, keeps=False)

    def evaluate(self, cases, predictions):
        return {"best": Measure(float(predictions.table["value"].max()))}
