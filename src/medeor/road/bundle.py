"""What a finished run holds, opened from its folder or from the one file that carries it elsewhere."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import tomli_w

from medeor import __version__, cache, catalogue, trusted
from medeor.console import Console
from medeor.contracts import (
    OUT_OF_DOMAIN,
    Answers,
    Cases,
    Message,
    Model,
    Offer,
    Predictions,
    Run,
    Source,
    Sources,
    Store,
    Study,
    Target,
    Task,
    TaskFacts,
    Text,
    UserError,
)
from medeor.files import digest, enough_memory, read_json, read_parquet, read_toml, write_text
from medeor.formats.tables.embeddings import read_embeddings
from medeor.formats.tables.read import as_frame
from medeor.learning.saved import checked_targets
from medeor.machine import threads
from medeor.registry import PART, check_kinds, facts_of, find, known_task, load_model, open_task
from medeor.road import offers
from medeor.road.archive import pack, unpack
from medeor.road.study_file import study_from
from medeor.settings import build
from medeor.targets import by_item, items
from medeor.trust.calibration import Calibration

SCHEMA = 2
_CARRIED = ("targets.json", "plan.toml", "calibration.json", "card.md")
"""What a bundle carries of a run folder, next to the question and the model. None of it holds a case."""

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
"""Cases that are shown with more than a table of predictions holds."""

STORES = "stores"
"""Where a run keeps those stores that its model is asked with; no bundle carries them."""


@dataclass(frozen=True)
class Trained:
    """A model with its calibration and the question it answers: opened once, it may be asked as often as one likes. As
    the input of another study it is a store.

    Example: `with medeor.load("breast.medeor") as trained: trained.predict(images)`."""

    folder: Path
    study: Study
    task: Task
    targets: tuple[Target, ...]
    model: Model
    calibration: Calibration | None
    trust: frozenset[str] = frozenset()
    """Modules whose code its networks may run (see `medeor.trusted`)."""
    received: bool = False
    """Whether it was unpacked from a bundle: its folder goes with it."""

    def __post_init__(self) -> None:
        if self.received:
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def __enter__(self) -> Trained:
        return self

    def __exit__(self, *error: object) -> None:
        """Removes at once what was unpacked, which otherwise goes when nothing refers to the model any longer."""
        if self.received:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def facts(self) -> TaskFacts:
        return facts_of(self.study.task)

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
    def run(self) -> Run:
        tables = (self.folder / f"{name}.parquet" for name in ("cases", "split"))
        kept = {path.stem: path for path in tables if path.exists()}
        kept |= {path.name: path for path in (self.folder / STORES).glob("*")}
        return Run(self.folder / "model", threads=threads(), kept=kept)

    @property
    def withheld(self) -> Mapping[str, str]:
        """Why the reasons for an item are not shown, by item (see `Calibration.withheld`)."""
        return self.calibration.withheld if self.calibration else {}

    def read(self, *sources: Source) -> Cases:
        """Cases to predict: files, folders, arrays or tables. Nothing but what the model is fed is asked of them, and
        their targets are unknown."""
        located = tuple(catalogue.opened(as_frame(source), Console()) for source in sources)
        asked = Study(located, task=self.study.task, options=self.study.options)
        cases = self.task.read(Sources(located, {}, labelled=False, model=self), asked)
        unknown = [pl.lit(None, pl.Float64).alias(target.name) for target in self.targets]
        return dataclasses.replace(cases, table=cases.table.with_columns(unknown), targets=self.targets)

    @enough_memory()
    def predict(self, *sources: Source) -> pl.DataFrame:
        """Calibrated predictions, one row a case and item (see `contracts.Predictions`). Before `item` stands what is
        known of the case: the name that the user gave it (`source`), the columns that are `carried` along and, for a
        case that could not be read, in a row of its own, why (`broken`). Where a target has a unit, it follows the
        value. For a case out of domain nothing is chosen."""
        with self.at_work():
            return self.predicted(self.read(*sources)).table

    def summarize(self, *sources: Source, why: bool = False) -> Answers:
        """Predictions and, where the task has a page for a case and there are no more than `MOST_SUMMARIZED`, what
        a reader wants to know of each; with `why` also the reasons, as far as they can be believed."""
        with self.at_work():
            cases = self.read(*sources)
            predictions = self.predicted(cases)
            if len(cases) > MOST_SUMMARIZED:
                return Answers(predictions.table, ())
            own = pl.col("item").is_in(items(self.targets)) | pl.col("item").is_null()
            asked = dataclasses.replace(predictions, table=predictions.table.filter(own))
            withheld = self.withheld if why else None
            pages = [self.use(offer, cases, asked, withheld) for offer in self.facts.offering("page")]
            return Answers(predictions.table, tuple(figure for page in pages for figure in page))

    def predicted(self, cases: Cases) -> Predictions:
        """What `predict` gives of cases that were read by `read`."""
        predictions = self.predict_cases(cases)
        table = predictions.table
        if {"chosen", "verdict"} <= set(table.columns):
            withheld = pl.col("verdict") == OUT_OF_DOMAIN
            table = table.with_columns(pl.when(withheld.not_().fill_null(True)).then("chosen").alias("chosen"))
        units = {item: target.unit for item, target in by_item(self.targets).items() if target.unit}
        if units:
            unit = pl.col("item").cast(pl.String).replace_strict(units, default=None, return_dtype=pl.String)
            table = table.select("case_id", "item", "value", unit.alias("unit"), pl.exclude("case_id", "item", "value"))
        known = [name for name in ("source", *cases.carried, "broken") if name in cases.table.columns]
        facts = cases.table.select("case_id", *known)
        facts = facts.with_columns(pl.selectors.list().list.join("; ").replace("", None))
        table = facts.join(table, on="case_id", how="left", maintain_order="left_right")
        return dataclasses.replace(predictions, table=table)

    def use(self, offer: Offer, *given: Any) -> Any:
        """What the model gives for an offer of its task, whose kind says what it is `given` after the model."""
        with self.at_work():
            return find(offer.lives)(self, *given)

    def query(self, query: Mapping[str, str]) -> Answers:
        """Answers to a question in words (`medeor tasks` says which there are).

        Raises: UserError where the model answers no such question."""
        answers: Answers = self.use(offers.question(self.facts, query), query)
        return answers

    def trained_on(self, cases: Cases) -> int:
        """How many of these cases have the content of one that the model was fitted to or calibrated on; 0 where that
        is not known, as of a bundle, which holds no cases."""
        kept, parts = self.folder / "cases.parquet", self.folder / "split.parquet"
        if not kept.exists() or not {"content"} <= set(cases.table.columns) & set(pl.read_parquet_schema(kept)):
            return 0
        training = read_parquet(parts, ["case_id", "part"]).filter(pl.col("part") != "test")
        own = read_parquet(kept, ["case_id", "content"]).join(training, on="case_id", how="semi")
        return cases.where(pl.col("content").is_in(own["content"].drop_nulls().implode())).table.height

    def predict_cases(self, cases: Cases) -> Predictions:
        """Calibrated; arrays are there as long as this model.

        Raises: UserError where the model does not answer all that `targets` ask."""
        # Arrays must not take the place of those that the run keeps.
        room = Path(tempfile.gettempdir(), f"medeor-{uuid.uuid4().hex}")
        gone = weakref.finalize(self, shutil.rmtree, room, ignore_errors=True)
        predictions = self.model.predict(cases.usable, dataclasses.replace(self.run, folder=room))
        if not predictions.arrays:
            gone()
        if len(predictions.table) and (missing := set(items(self.targets)) - set(predictions.table["item"].unique())):
            raise UserError("files.damaged.at", path="targets.json", detail=min(missing))
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
                raise UserError(other or Message("road.bundle.unfinished", path=path))
            if _release(_version(state)) > _release(__version__):
                raise UserError("road.bundle.newer", path=path, version=_version(state), own=__version__)
            return _open(path)
        if not path.exists():
            raise UserError("road.bundle.missing", path=path)
        room = Path(tempfile.mkdtemp(prefix="medeor-"))
        try:
            manifest = unpack(path, room, _ENTRIES, SCHEMA)
            _check_installed(manifest)
            found = _open(room, received=True)
            _check_declared(manifest, found.model)
        except UserError as error:
            shutil.rmtree(room, ignore_errors=True)
            message = _renamed(error.message, str(room), str(path))
            if str(path) not in str(message):
                message = Message("road.bundle.at", path=path, message=message)
            raise UserError(message) from None
        except BaseException:
            shutil.rmtree(room, ignore_errors=True)
            raise
        return found


def _check_installed(manifest: Mapping[str, object]) -> None:
    """Raises: UserError where the task of a bundle is one that a package adds which is not installed here."""
    task, package = str(manifest.get("task")), manifest.get("package")
    if isinstance(package, str) and re.fullmatch(r"[\w.-]{1,60}", package) and known_task(task) is None:
        raise UserError("road.bundle.no-package", task=task[:60], package=package)


def _renamed(value: Any, folder: str, path: str) -> Any:
    """A message, or a value of one, with a path in place of the folder that the file was unpacked to."""
    if isinstance(value, Message):
        values = {name: _renamed(inner, folder, path) for name, inner in value.values.items()}
        return Message(value.key.replace(folder, path), **values)
    if isinstance(value, (list, tuple)):
        return tuple(_renamed(inner, folder, path) for inner in value)
    return str(value).replace(folder, path) if isinstance(value, (str, Path)) else value


def _version(state: Mapping[str, object]) -> str:
    """The version of medeor that began a run, as its `run.json` states it; 0.1 stated none."""
    return str(state.get("medeor", "0.1"))[:40]


def of_another_version(folder: Path, state: Mapping[str, object]) -> Text:
    """Why no fit goes on in a run folder with this `run.json`: another version of medeor began it; empty where this one
    did."""
    version = _version(state)
    if version == __version__:
        return ""
    key = "road.bundle.finished-elsewhere" if state.get("finished") else "road.bundle.begun-elsewhere"
    return Message(key, folder=folder, version=version, own=__version__)


def _release(version: str) -> tuple[float, ...]:
    """The first two numbers of a version, by which formats may differ; one that has none is later than all."""
    found = re.match(r"(\d{1,6})\.(\d{1,6})(?!\d)", version)
    return tuple(map(int, found.groups())) if found else (math.inf,)


def _check_declared(manifest: Mapping[str, object], model: Model) -> None:
    """Raises: UserError where a manifest does not say that training values are inside, and they are. Those of medeor
    0.1 (schema 1) did not say it of all models."""
    if manifest["schema"] != 1 and model.holds_training_values and manifest.get(_DECLARED) is not True:
        raise UserError("road.bundle.undeclared")


def opened(path: str | Path) -> Store:
    """An input of another study: a run, a bundle, or a table of embeddings (.parquet)."""
    return read_embeddings(Path(path)) if str(path).endswith(".parquet") else load(path)


def write_bundle(folder: Path, path: Path) -> None:
    """Packs a finished run into one file."""
    study = read_toml(folder / "study.toml")
    task = facts_of(study["task"])
    own = (*_PATHS, *task.files)
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
        facts = {"schema": SCHEMA, "medeor": __version__, "task": task.name, _DECLARED: model.holds_training_values}
        pack(Path(room), {**facts, **({"package": task.package} if task.package else {})}, path)


def _open(folder: Path, received: bool = False) -> Trained:
    """What lies in a folder. `received`: it was unpacked from a bundle, and what it says of places of files is of
    another machine at best."""
    where = str(folder / "study.toml")
    study = study_from(read_toml(folder / "study.toml"), where)
    task = open_task(study.task, study.options)
    if received:
        options = {key: value for key, value in study.options.items() if key not in facts_of(study.task).files}
        study = dataclasses.replace(study, sources=(), labels="", inputs={}, options=options)
    where, facts = str(folder / "targets.json"), read_json(folder / "targets.json")
    if not isinstance(facts, list):
        raise UserError("files.damaged.file", path=where)
    targets = checked_targets([build(Target, fact, where) for fact in facts], where)
    path = folder / "calibration.json"
    calibration = Calibration.from_json(read_json(path), str(path)) if path.exists() else None
    if calibration:
        calibration.check(targets, str(path))
    check_kinds(folder / "model", study.task)
    model = load_model(folder / "model")
    return Trained(folder, study, task, targets, model, calibration, trusted.modules(), received)
