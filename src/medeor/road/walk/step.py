"""What a step of the road is, and how it is known that it is done: by digests of what it read and of what it wrote,
never by a clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from medeor import contracts
from medeor.console import Console
from medeor.contracts import Run, Study, Task
from medeor.files import digest
from medeor.road import run_folder
from medeor.road.walk import reading

V = TypeVar("V")
"""What a step makes."""

MOST_IMPORTS = 5.0
"""Seconds that a process needs at most before a walk begins."""

ALWAYS: tuple[contracts.Step, ...] = ("read", "split", "audit")
"""Steps of every task: one that names no audit notes what its reader found, one without a split has one part."""


@dataclass(frozen=True)
class RoadStep(Generic[V]):
    """One step: what it depends on, what it leaves, and how. It is done where its record in `run.json` has the digests
    of all that it reads, and its files are as it wrote them."""

    name: str
    of: contracts.Step
    """The step of a task that it belongs to: a task without that goes without it."""
    reads: tuple[str, ...]
    """Names of files and facts of earlier steps, of fields of the study (`study.seed`), and of what surrounds the walk
    (`Walk.around`). Where one of these changes the step is done anew, and where nothing else does it is not."""
    writes: Mapping[str, Callable[[Path], str]]
    """Its files and folders within the run, each with what gives its digest."""
    make: Callable[[Walk], V]
    save: Callable[[Walk, V], object] | None = None
    """None where `make` leaves its files itself."""
    load: Callable[[Walk], V] | None = None
    """Reads back what `save` wrote: later steps go on from that, with and without an interruption. None where the value
    is more than its files (a store of images, a model): it is made again where it is needed and not at hand."""
    facts: Mapping[str, Callable[[V], str]] = field(default_factory=dict)
    """Digests by name of what other steps read of its value: less than a file of it, or what stands in none."""


class Walk:
    """One study on its way into a folder: what its steps made, and which of them are done."""

    def __init__(
        self,
        steps: Sequence[RoadStep[Any]],
        around: Mapping[str, Callable[[Walk], str]],
        study: Study,
        task: Task,
        run: Run,
        console: Console,
        again: bool,
    ) -> None:
        self.steps = [step for step in steps if step.of in (*task.steps, *ALWAYS)]
        self.around = around
        self.study, self.task, self.console, self.again = study, task, console, again
        self.run = run
        """Where the model is fitted: the folder `model` of the run."""
        self.folder = run.folder.parent
        self.records = run_folder.records(self.folder)
        if again:
            self.records = {name: one for name, one in self.records.items() if name in ALWAYS}
        self._givers = {name: step for step in self.steps for name in (*step.facts, *step.writes)}
        self.seconds: dict[str, float] = {}
        """What it took to make the value of each step, without those of other steps that it asked for."""
        self._began, self._making = time.perf_counter(), 0.0
        self._before = min(time.process_time(), MOST_IMPORTS)
        self._values: dict[str, Any] = {}
        self._contents: dict[tuple[str, str], str] = {}
        self._facts: dict[str, str] = {}

    @cached_property
    def located(self) -> reading.Located:
        return reading.located(self.study, self.console)

    @cached_property
    def sources(self) -> tuple[str, frozenset[str]]:
        """A digest of what the study names to be read, and the files that it was made from."""
        return reading.sources_digest(self.study, self.located)

    def elapsed(self) -> float:
        """Seconds since the walk began, and what the process had computed before, as for its imports."""
        return time.perf_counter() - self._began + self._before

    def holds(self, step: RoadStep[Any]) -> bool:
        return step.name in self._values

    def value(self, step: RoadStep[V]) -> V:
        """What a step made: read back where that can be, else made now."""
        if not self.holds(step):
            ready = step.load if step.load is not None and self.done(step) else step.make
            began, others = time.perf_counter(), self._making
            self._values[step.name] = ready(self)
            own = time.perf_counter() - began - (self._making - others)
            self._making += own
            self.seconds[step.name] = self.seconds.get(step.name, 0.0) + own
        made: V = self._values[step.name]
        return made

    def done(self, step: RoadStep[Any]) -> bool:
        """Whether a step need not be done again."""
        record = self.records.get(step.name)
        return record is not None and (record["read"], record["wrote"]) == (self._read(step), self._wrote(step))

    def do(self, step: RoadStep[Any]) -> None:
        """Makes and saves what a step leaves, and notes that it is done."""
        value = self.value(step)
        began = time.perf_counter()
        if step.save is not None:
            step.save(self, value)
        self._facts = {name: known for name, known in self._facts.items() if name not in step.facts}
        self._contents = {key: known for key, known in self._contents.items() if key[1] not in step.writes}
        facts = {name: self.digest(name) for name in step.facts}
        seconds = round(self.seconds[step.name] + time.perf_counter() - began, 3)
        self.records[step.name] = {
            "read": self._read(step), "wrote": self._wrote(step), "facts": facts, "seconds": seconds,
        }  # fmt: skip
        run_folder.note(self.folder, steps=self.records)
        if step.load is not None:
            del self._values[step.name]

    def digest(self, name: str) -> str:
        """The digest of what a step reads, by its name. What no step of this task leaves is empty."""
        if name.startswith("study."):
            return digest(repr(getattr(self.study, name.removeprefix("study."))))
        if name in self.around:
            return self.around[name](self)
        giver = self._givers.get(name)
        if giver is None:
            return ""
        if name in giver.writes:
            return self._content(giver, name)
        if name not in self._facts:
            known = not self.holds(giver) and self.done(giver)
            self._facts[name] = (
                self.records[giver.name]["facts"][name] if known else giver.facts[name](self.value(giver))
            )
        return self._facts[name]

    def _read(self, step: RoadStep[Any]) -> dict[str, str]:
        return {name: self.digest(name) for name in step.reads}

    def _wrote(self, step: RoadStep[Any]) -> dict[str, str]:
        return {name: self._content(step, name) for name in step.writes}

    def _content(self, step: RoadStep[Any], name: str) -> str:
        key = step.name, name
        if key not in self._contents:
            self._contents[key] = step.writes[name](self.folder / name)
        return self._contents[key]
