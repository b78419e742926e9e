"""Runs of the example of one task, each made when the first check asks for it, and shared by all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from unittest import mock

from medeor import registry
from medeor.console import Console
from medeor.contracts import Cases, Fitted, Method, Plan, Recipe, Run, Study, Task, TaskFacts
from medeor.learning.folds import fit_or_load
from medeor.road.bundle import Trained, load
from medeor.road.walk.reading import Read, plan, read
from medeor.road.walk.walk import walk
from medeor.simulate.states import State
from medeor.testing.checks import require
from medeor.testing.model import inner
from medeor.testing.stops import in_stretches

MOST_CASES = 40


class Example(Protocol):
    """What `TaskFacts.example` names: `module:function`. It writes what it needs into an empty folder and returns a
    study of at most 40 cases that is fitted within three seconds, some of them in the test part where the task splits;
    its settings make the plan small. None stands for a state that the task does not know: a question without targets
    misses none. `simulate.states.in_state` brings a table into each state."""

    def __call__(self, folder: Path, state: State) -> Study | None: ...


class Runs:
    """The example of a task, read, walked and fitted. All is done in one thread, quietly, with a cache of its own."""

    def __init__(self, facts: TaskFacts) -> None:
        self.facts = facts
        self._room = TemporaryDirectory(prefix="medeor-testing-")
        self.folder = Path(self._room.name)
        self.study = cache(self._study)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Around all that is done with the example."""
        settings = {"OMP_NUM_THREADS": "1", "MEDEOR_CACHE": str(self.folder / "cache")}
        with mock.patch.dict(os.environ, settings), mock.patch.dict(registry.TASKS, {self.facts.name: self.facts}):
            yield

    def _study(self, state: State) -> Study | None:
        require(self.facts.example, "its facts name no example")
        place = self.folder / state.replace(" ", "-")
        place.mkdir()
        made: Study | None = registry.find(self.facts.example)(place, state)
        require(made is None or made.task == self.facts.name, f"its example in the state '{state}' is of another task")
        return made

    @property
    def whole(self) -> Study:
        study = self.study("whole")
        if study is None:
            raise AssertionError("its example is not there as a whole")
        return study

    def walk(self, study: Study, name: str, stopping: Callable[[], bool] = lambda: False) -> Path:
        """Walks into a folder that is called as in every other walk: reports and bundles name it."""
        out = self.folder / name / "run"
        walk(study, out, Console(quiet=True), stopping)
        return out

    @cached_property
    def walked(self) -> Path:
        """The folder of the walk of the whole example, in one go."""
        return self.walk(self.whole, "walk")

    @cached_property
    def in_stretches(self) -> tuple[Path, int]:
        """The same with stops, and their number."""
        out = self.folder / "stops" / "run"
        return out, in_stretches(lambda stopping: self.walk(self.whole, "stops", stopping), out)

    @cached_property
    def trained(self) -> Trained:
        return load(self.walked)

    @cached_property
    def read(self) -> Read:
        return read(self.whole, Console(quiet=True))

    @property
    def task(self) -> Task:
        return self.read.task

    @property
    def asked(self) -> Cases:
        """The cases that models are asked about: those of the test part, or all where there is none."""
        test = self.read.split.part(self.read.cases, "test")
        return test if len(test) else self.read.cases

    @cached_property
    def plan(self) -> Plan:
        return plan(self.read)

    @cached_property
    def fitted(self) -> Fitted:
        """What the method makes of the whole example, as it is before it was ever saved."""
        return self._fit(self.task.method(self.plan), "model")

    @cached_property
    def baseline(self) -> Fitted:
        return self._fit(self.task.baseline(self.plan), "baseline")

    def _fit(self, method: Method, name: str) -> Fitted:
        run = Run(self.folder / "fits" / name, self.whole.seed)
        return fit_or_load(method, self.read.cases, self.read.split, self.read.inputs, run)

    @property
    def recipes(self) -> list[tuple[Recipe[Any, Any, Any], Cases]]:
        """Every recipe in the fitted models, with the cases to train on."""
        train = self.read.split.part(self.read.cases, "train")
        found: list[Recipe[Any, Any, Any]] = []
        for one in (*inner(self.fitted.model), *inner(self.baseline.model)):
            recipe = getattr(one, "recipe", None)
            if recipe is not None and recipe not in found:
                found.append(recipe)
        return [(recipe, train) for recipe in found]
