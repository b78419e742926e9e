"""What a finished run holds, opened from its folder or from the one file that carries it elsewhere."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import tomli_w

from medeor import __version__, cache, catalogue, trusted
from medeor.console import Console
from medeor.contracts import (
    OUT_OF_DOMAIN,
    Answering,
    Answers,
    Cases,
    Model,
    Predictions,
    Run,
    Sources,
    Store,
    Study,
    Target,
    Task,
    UserError,
)
from medeor.files import (
    build,
    digest,
    enough_memory,
    read_json,
    read_parquet,
    read_toml,
    write_text,
)
from medeor.formats.tables.embeddings import Embeddings, read_embeddings
from medeor.learning.saved import checked_targets
from medeor.machine import threads
from medeor.registry import PART, TASKS, check_kinds, find, known_question, load_model, open_task
from medeor.road.archive import pack, unpack
from medeor.targets import by_item, items
from medeor.targets.binary import rule
from medeor.trust.calibration import Calibration

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

SCHEMA = 2
_CARRIED = ("targets.json", "plan.toml", "calibration.json", "card.md")
"""What a bundle carries of a run folder, beside the question and the model. None of it holds a case."""

_DECLARED = "training cases inside"
"""What a manifest says of a model that stores values of cases it was fitted to."""

_PATHS = ("sources", "labels", "inputs")
"""What a study says of places of files. It is of no use elsewhere, and paths may name a person."""

_ENTRIES = re.compile(
    rf"study\.toml|{'|'.join(map(re.escape, _CARRIED))}"
    rf"|model/({PART}/){{0,8}}({PART}\.(json|safetensors|txt)|analogues\.parquet)"
)
"""The names of what a bundle holds. Parquet is of medeor 0.1 and is not read: it may unpack to any size."""

MOST_SUMMARIZED = 20
"""Cases of which more is told than a table of predictions holds."""

STORES = "stores"
"""Where a run keeps those stores that its model is asked with; no bundle carries them."""


@dataclass(frozen=True)
class Trained:
    """A model with its calibration and the question it answers. As the input of another study it is a store."""

    folder: Path
    study: Study
    task: Task
    targets: tuple[Target, ...]
    model: Model
    calibration: Calibration | None
    trust: frozenset[str] = frozenset()
    """Modules whose code its networks may run (see `medeor.trusted`)."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Around whatever asks the model: its cache, and the modules that it may import."""
        with cache.within(self.folder), trusted.trusting(self.trust):
            yield

    @cached_property
    def digest(self) -> str:
        model = sorted((self.folder / "model").rglob("*"))
        return digest(*(path for path in model if path.is_file()))

    @property
    def _items(self) -> list[str]:
        return items(self.targets)

    @property
    def run(self) -> Run:
        """Where the model works when it is asked."""
        return Run(self.folder / "model", threads=threads())

    @property
    def withheld(self) -> Mapping[str, str]:
        """Why the reasons for an item are not shown, by item (see `Calibration.withheld`)."""
        return self.calibration.withheld if self.calibration else {}

    def read(self, *sources: str | Path | np.ndarray | pl.DataFrame) -> Cases:
        """Cases to predict: files, folders, arrays or tables. Nothing but what the model is fed is asked of them, and
        their targets are unknown."""
        import polars as pl

        located = tuple(catalogue.opened(source, Console()) for source in sources)
        asked = Study(located, task=self.study.task, options=self.study.options)
        cases = self.task.read(Sources(located, {}, labelled=False, model=self), asked)
        unknown = [pl.lit(None, pl.Float64).alias(target.name) for target in self.targets]
        return dataclasses.replace(cases, table=cases.table.with_columns(unknown), targets=self.targets)

    @enough_memory()
    def predict(self, *sources: str | Path | np.ndarray | pl.DataFrame) -> pl.DataFrame:
        """Calibrated predictions, one row a case and item (see `contracts.Predictions`). Before `item` stands what is
        known of the case: the name that the user gave it (`source`), what its task carries along (`TaskFacts.carries`)
        and, for a case that could not be read, in a row of its own, why (`broken`). Where a target has a unit, it
        stands beside the value. Of a case unlike all that taught the model nothing is chosen."""
        with self.at_work():
            return self._predicted(self.read(*sources))

    def summarize(self, *sources: str | Path | np.ndarray | pl.DataFrame, why: bool = False) -> Answers:
        """Predictions and, where the task has a page for a case and there are no more than `MOST_SUMMARIZED`, what
        a reader wants to know of each; with `why` also the reasons, as far as they can be believed."""
        import polars as pl

        facts = TASKS[self.study.task]
        with self.at_work():
            cases = self.read(*sources)
            table = self._predicted(cases)
            told = facts.case_page and len(cases) <= MOST_SUMMARIZED
            asked = table.filter(pl.col("item").is_in(self._items) | pl.col("item").is_null())
            withheld = self.withheld if why else None
            figures = find(facts.case_page)(cases, Predictions(asked), self.model, self.run, withheld) if told else ()
            return Answers(table, tuple(figures))

    def _predicted(self, cases: Cases) -> pl.DataFrame:
        import polars as pl

        table = self.predict_cases(cases).table
        if {"chosen", "verdict"} <= set(table.columns):
            withheld = pl.col("verdict") == OUT_OF_DOMAIN
            table = table.with_columns(pl.when(withheld.not_().fill_null(True)).then("chosen").alias("chosen"))
        units = {item: target.unit for item, target in by_item(self.targets).items() if target.unit}
        if units:
            unit = pl.col("item").cast(pl.String).replace_strict(units, default=None, return_dtype=pl.String)
            table = table.select("case_id", "item", "value", unit.alias("unit"), pl.exclude("case_id", "item", "value"))
        columns, carries = cases.table.columns, TASKS[self.study.task].carries
        told = ["source", *(find(carries)(columns) if carries else ()), "broken"]
        facts = cases.table.select("case_id", *(name for name in told if name in columns))
        facts = facts.with_columns(pl.selectors.list().list.join("; ").replace("", None))
        return facts.join(table, on="case_id", how="left", maintain_order="left_right")

    def query(self, query: Mapping[str, str]) -> Answers:
        """Answers to a question in words (`medeor tasks` says which there are).

        Raises: UserError where the model answers no such question."""
        answer: Callable[[Mapping[str, str], Answering], Answers] = known_question(self.study.task, query)
        with self.at_work():
            return answer(query, self)

    def embeddings(self) -> Embeddings:
        """What the model has learnt of each thing it knows, as numbers that other studies can take as an input.

        Raises: UserError where its task has no such table."""
        facts = TASKS[self.study.task]
        if not facts.embeds:
            raise UserError(f"a model of {facts.name} keeps no table of embeddings; there is --onnx")
        return Embeddings(find(facts.embeds)(self.model, self.run))

    def trained_on(self, cases: Cases) -> int:
        """How many of these cases have the content of one that the model was fitted to or calibrated on; 0 where that
        is not known, as of a bundle, which holds no cases."""
        import polars as pl

        kept, parts = self.folder / "cases.parquet", self.folder / "split.parquet"
        if not kept.exists() or not {"content"} <= set(cases.table.columns) & set(pl.read_parquet_schema(kept)):
            return 0
        training = read_parquet(parts, ["case_id", "part"]).select("case_id", "part").filter(pl.col("part") != "test")
        own = (
            read_parquet(kept, ["case_id", "content"])
            .select("case_id", "content")
            .join(training, on="case_id", how="semi")
        )
        return cases.where(pl.col("content").is_in(own["content"].drop_nulls().implode())).table.height

    def write_graph(self, path: Path, around: str = "") -> None:
        """Writes the graph that the model answers from, by the ending of the file; a picture shows what lies `around`
        an entity.

        Raises: UserError where its task has no graph, or not in such a file."""
        facts = TASKS[self.study.task]
        if not facts.graphs:
            raise UserError(f"a model of {facts.name} has no graph to write")
        find(facts.graphs)(self.model, self.run, path, around)

    def predict_cases(self, cases: Cases) -> Predictions:
        """Calibrated; arrays are there as long as this process.

        Raises: UserError where the model does not answer all that `targets` ask."""
        # Arrays must not take the place of those that the run keeps.
        room = tempfile.TemporaryDirectory(prefix="medeor-")
        predictions = self.model.predict(cases.usable, dataclasses.replace(self.run, folder=Path(room.name)))
        if predictions.arrays:
            _rooms.append(room)
        else:
            room.cleanup()
        if len(predictions.table) and (missing := set(self._items) - set(predictions.table["item"].unique())):
            raise UserError(f"the model does not answer '{min(missing)}', which its targets.json asks; it is damaged")
        return self.calibration.apply(predictions) if self.calibration else predictions


@enough_memory()
def load(path: str | Path, *, trust: str | Sequence[str] = ()) -> Trained:
    """Opens a run folder or a bundle. Of the modules that it names, such as that of a user's own network, only those
    in `trust` are imported.

    Raises: UserError when it is neither, was damaged, was written by a newer medeor, or names a module that is not
    trusted."""
    path = Path(path)
    with trusted.trusting(trust):
        if path.is_dir():
            state = read_json(path / "run.json") if (path / "run.json").exists() else None
            if not isinstance(state, dict) or not state.get("finished"):
                other = of_another_version(path, state) if isinstance(state, dict) else ""
                raise UserError(other or f"{path} is no finished run: let `medeor train` walk to its end there")
            if _release(_version(state)) > _release(__version__):
                raise UserError(f"{path} was finished by medeor {_version(state)}; {__version__} is too old to open it")
            return _open(path)
        if not path.exists():
            raise UserError(f"{path}: no such run folder or bundle")
        room = tempfile.TemporaryDirectory(prefix="medeor-")
        try:
            manifest = unpack(path, Path(room.name), _ENTRIES, SCHEMA)
            found = _open(Path(room.name), received=True)
            _check_declared(manifest, found.model)
        except UserError as error:
            room.cleanup()
            said = str(error).replace(room.name, str(path))
            raise UserError(said if str(path) in said else f"{path}: {said}") from None
        except BaseException:
            room.cleanup()
            raise
        # The folder lives as long as the process: weights may be read from it lazily.
        _rooms.append(room)
        return found


def _version(state: Mapping[str, object]) -> str:
    """The version of medeor that began a run, as its `run.json` states it; 0.1 stated none."""
    return str(state.get("medeor", "0.1"))[:40]


def of_another_version(folder: Path, state: Mapping[str, object]) -> str:
    """Why no fit goes on in a run folder with this `run.json`: another version of medeor began it; empty where this one
    did."""
    version = _version(state)
    if version == __version__:
        return ""
    what = "finished by medeor {} and is not fitted" if state.get("finished") else "begun by medeor {} and cannot go on"
    return (
        f"{folder} was {what.format(version)} in {__version__}; start again with --again or in another folder. "
        "It stays as it is; --again throws away what was fitted there"
    )


def _release(version: str) -> tuple[float, ...]:
    """The first two numbers of a version, by which formats may differ; one that has none is later than all."""
    found = re.match(r"(\d{1,6})\.(\d{1,6})(?!\d)", version)
    return tuple(map(int, found.groups())) if found else (math.inf,)


def _check_declared(manifest: Mapping[str, object], model: Model) -> None:
    """Raises: UserError where a manifest does not say that training values are inside, and they are. Those of medeor
    0.1 (schema 1) did not say it of all models."""
    if manifest["schema"] != 1 and model.holds_training_values and manifest.get(_DECLARED) is not True:
        raise UserError("its manifest does not say that values of training cases are inside, and they are; refused")


def opened(path: str | Path) -> Store:
    """An input of another study: a run, a bundle, or a table of embeddings (.parquet)."""
    return read_embeddings(Path(path)) if str(path).endswith(".parquet") else load(path)


_rooms: list[tempfile.TemporaryDirectory[str]] = []


def write_bundle(folder: Path, path: Path) -> None:
    """Packs a finished run into one file."""
    study = read_toml(folder / "study.toml")
    own = (*_PATHS, *TASKS[study["task"]].files)
    question = {key: value for key, value in study.items() if key not in own}
    if "options" in question:
        question["options"] = {key: value for key, value in question["options"].items() if key not in own}
    with tempfile.TemporaryDirectory(prefix="medeor-") as room:
        # What the model saves of itself, and nothing else that its fit left in the folder.
        model = load_model(folder / "model")
        model.save(Path(room, "model"))
        write_text(Path(room, "study.toml"), tomli_w.dumps(question))
        for name in _CARRIED:
            if (folder / name).exists():
                shutil.copyfile(folder / name, Path(room, name))
        facts = {"schema": SCHEMA, "medeor": __version__, "task": study["task"]}
        pack(Path(room), {**facts, _DECLARED: model.holds_training_values}, path)


def _open(folder: Path, received: bool = False) -> Trained:
    """What lies in a folder. `received`: it was unpacked from a bundle, and what it says of places of files is of
    another machine at best."""
    where = str(folder / "study.toml")
    study = study_from(read_toml(folder / "study.toml"), where)
    task = open_task(study.task, study.options)
    if received:
        options = {key: value for key, value in study.options.items() if key not in TASKS[study.task].files}
        study = dataclasses.replace(study, sources=(), labels="", inputs={}, options=options)
    where, facts = str(folder / "targets.json"), read_json(folder / "targets.json")
    if not isinstance(facts, list):
        raise UserError(f"{where} is no list of targets; it is damaged")
    targets = checked_targets([build(Target, fact, where) for fact in facts], where)
    path = folder / "calibration.json"
    calibration = Calibration.from_json(read_json(path), str(path)) if path.exists() else None
    if calibration:
        calibration.check(targets, str(path))
    check_kinds(folder / "model", study.task)
    return Trained(folder, study, task, targets, load_model(folder / "model"), calibration, trusted.modules())


_KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float | None": (int, float)}


_FORMER = {"where": "options"}
"""What 0.1 called a key of a study."""


def study_from(values: Mapping[str, object], where: str) -> Study:
    """A study from what stands in `study.toml`, every key and type checked."""
    known = {field.name: field for field in dataclasses.fields(Study)}
    checked: dict[str, object] = {}
    for name, value in values.items():
        key = _FORMER.get(name, name)
        if key not in known:
            raise UserError(f"{where}: a study has no '{key}'; it has {', '.join(known)}")
        kind = str(known[key].type)
        if kind.startswith("tuple"):
            listed: Sequence[object] = value if isinstance(value, list) else [value]
            inside, said = (str, "text") if "str" in kind else ((int, float), "numbers")
            if not all(isinstance(inner, inside) and not isinstance(inner, bool) for inner in listed):
                raise UserError(f"{where}: {key} must be a list of {said}")
            checked[key] = tuple(listed)
        elif kind.startswith("Mapping"):
            if not isinstance(value, dict):
                raise UserError(f"{where}: {key} must be a table, e.g. [{key}]")
            checked[key] = {
                option: inner if isinstance(inner, str) else json.dumps(inner, default=str)
                for option, inner in value.items()
            }
        elif kind in _KINDS and isinstance(value, _KINDS[kind]) and not isinstance(value, bool):
            checked[key] = value
        else:
            raise UserError(f"{where}: {key} = {value!r} is not of the kind {kind}")
    study = Study(**checked)  # type: ignore[arg-type]
    if not 0 <= study.seed < 1 << 31:
        raise UserError(f"{where}: seed = {study.seed}: a seed is a whole number from 0 to 2,147,483,647")
    if study.minutes is not None and not 0 < study.minutes < math.inf:
        raise UserError(f"{where}: minutes = {study.minutes:g}: the fit needs more than none and fewer than all")
    if study.threshold:
        rule(study.threshold)
    if not all(0 < rate < 1 for rate in study.prevalence):
        raise UserError(f"{where}: prevalence = {list(study.prevalence)}: a prevalence lies between 0 and 1, e.g. 0.02")
    return study


def study_values(study: Study) -> dict[str, object]:
    """A study as what stands in `study.toml`; arrays and tables in memory by their shape."""
    values: dict[str, object] = {}
    for field in dataclasses.fields(Study):
        value = getattr(study, field.name)
        if field.name == "sources":
            value = [_named(source) for source in value]
        if value not in (None, "", (), {}, []):
            values[field.name] = dict(value) if isinstance(value, Mapping) else value
    return values


def _named(source: object) -> str:
    if isinstance(source, (str, Path)):
        return str(source)
    return f"<{type(source).__name__} {'x'.join(str(n) for n in getattr(source, 'shape', ()))}>"
