"""A search for a molecule-like string whose goal is the bundle of another study: no split, no calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from medeor.contracts import Cases, Fitted, Measure, Predictions, Study, Target
from medeor.files import read_json, write_json
from medeor.learning.folds import SingleFit
from medeor.learning.network import EMPTY
from medeor.learning.trees.method import TreeMethod
from medeor.road.bundle import Trained
from medeor.road.walk import walk
from road.toy import enrol

LETTERS, LENGTH = np.array(list("CNOF")), 8


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


class PropertyTask:
    """The goal's own study: a number for each string."""

    steps = ("read", "split", "plan", "fit", "bundle")
    plan_type = Counts

    def read(self, sources, study):
        (table,) = sources.given
        names = [f"m{i}" for i in range(table.height)]
        table = table.with_columns(case_id=pl.Series(names), group=pl.Series(names))
        return Cases(table, (Target("property", "continuous"),))

    def audit(self, cases, split):
        return []

    def clean(self, cases, findings, split):
        return cases.table

    def plan(self, cases, split, budget):
        return Counts()

    def method(self, plan):
        return SingleFit(TreeMethod(plan))

    baseline = method

    def evaluate(self, cases, predictions):
        return {}

    def show(self, result):
        return []


@dataclass(frozen=True)
class SearchPlan:
    steps: int = 30
    population: int = 60


@dataclass(frozen=True)
class Climb:
    """Keeps the best half, changes one letter of each; the baseline does not keep."""

    plan: SearchPlan
    keeps: bool

    def fit(self, cases, split, run):
        goal = cases.store(Trained)
        draw = np.random.default_rng(run.seed)
        texts = draw.choice(LETTERS, (self.plan.population, LENGTH))
        for step in range(self.plan.steps):
            values = _values(goal, texts)
            best = texts[np.argsort(-values)[: len(texts) // 2]] if self.keeps else texts[: len(texts) // 2]
            children = best.copy()
            children[np.arange(len(best)), draw.integers(0, LENGTH, len(best))] = draw.choice(LETTERS, len(best))
            texts = np.concatenate([best, children])
            run.progress("search", step + 1, self.plan.steps)
        values = _values(goal, texts)
        order = np.argsort(-values)[:10]
        return Fitted(Found(tuple("".join(t) for t in texts[order]), tuple(values[order].tolist())), EMPTY)


def _values(goal: Trained, texts: np.ndarray) -> np.ndarray:
    return goal.predict(pl.DataFrame({"text": ["".join(text) for text in texts]}))["value"].to_numpy()


@dataclass(frozen=True)
class Found:
    """What a search leaves: candidates, best first."""

    texts: tuple[str, ...]
    values: tuple[float, ...]

    def predict(self, cases, run):
        rows = {"case_id": cases.ids[0], "item": self.texts, "value": self.values}
        return Predictions(pl.DataFrame(rows))

    @property
    def holds_training_values(self) -> bool:
        return False

    def save(self, folder):
        write_json(folder / "model.json", {"kind": "toy-found", "texts": self.texts, "values": self.values})


def load(folder: Path) -> Found:
    facts = read_json(folder / "model.json")
    return Found(tuple(facts["texts"]), tuple(facts["values"]))


class SearchTask:
    """A case is a goal."""

    steps = ("read", "plan", "fit", "bundle")
    plan_type = SearchPlan

    def read(self, sources, study):
        goals = pl.DataFrame({"case_id": ["goal"], "group": ["goal"]})
        return Cases(goals, (), tuple(sources.inputs.values()))

    def audit(self, cases, split):
        return []

    def clean(self, cases, findings, split):
        return cases.table

    def plan(self, cases, split, budget):
        return SearchPlan()

    def method(self, plan):
        return Climb(plan, keeps=True)

    def baseline(self, plan):
        return Climb(plan, keeps=False)

    def evaluate(self, cases, predictions):
        return {"best": Measure(float(predictions.table["value"].max()))}

    def show(self, result):
        return []


def test_a_search_climbs_on_the_bundle_of_another_study(tmp_path, monkeypatch):
    enrol(monkeypatch, "toy-property", "road.test_search:PropertyTask", counts="road.test_search:Counts")
    enrol(monkeypatch, "toy-search", "road.test_search:SearchTask", **{"toy-found": "road.test_search:load"})
    draw = np.random.default_rng(3)
    texts = draw.choice(LETTERS, (600, LENGTH))
    table = pl.DataFrame(
        {"text": ["".join(t) for t in texts], "property": (texts == "N").sum(1) - (texts == "F").sum(1)}
    )
    walk(Study((table,), "toy-property"), tmp_path / "goal")
    trained = walk(Study((), "toy-search", inputs={"goal": str(tmp_path / "goal" / "goal.medeor")}), tmp_path / "run")
    best = trained.predict_cases(trained.read()).table
    assert best["item"][0].count("N") >= 5
    assert best["value"][0] > table["property"].quantile(0.95)
