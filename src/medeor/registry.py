"""The registry: what medeor can be asked, and which files it can read back. Plain facts, without an import of the
rooms that they name; the command line, its help and the reference are made from them. A package of somebody else adds
tasks by an entry point of the group `medeor.tasks`, whose value is a module with TASKS and LOADERS as a room has them;
such packages are looked at only where a name is not one of medeor's own, or all names are asked for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from medeor.console import aside
from medeor.contracts import SHAPES, FileFacts, Message, Model, Offer, Study, Task, TaskFacts, Text, UserError
from medeor.files import read_json


def find(lives: str) -> Any:
    module, _, name = lives.partition(":")
    return getattr(importlib.import_module(module), name)


ROOMS = ("imaging", "knowledge", "molecules", "tabular")
"""The first-party rooms, each of which states in its `facts.py` its tasks and what rebuilds its saved parts."""

TASKS: dict[str, TaskFacts] = {facts.name: facts for room in ROOMS for facts in find(f"medeor.{room}.facts:TASKS")}

LOADERS: dict[str, str] = {
    "network": "medeor.learning.networks.method:load",
    "folds": "medeor.learning.folds:load",
    "trees": "medeor.learning.trees.method:load",
    "stack": "medeor.learning.stack:load",
    "table-features": "medeor.learning.tables:TableFeatures",
    "table-recipe": "medeor.learning.table_network:TableRecipe",
}
for room in ROOMS:
    LOADERS |= find(f"medeor.{room}.facts:LOADERS")
"""What rebuilds a saved part, by the `kind` its `model.json` states: a function for a model, a class for a part of one.
Nothing else is imported because a file names it, but the modules that the user trusts (`medeor.trusted`)."""

PART = r"[a-z0-9][a-z0-9-]{0,40}"
"""The name of a part of a model, and so of its folder."""

GROUP = "medeor.tasks"
"""The group of entry points by which an installed package adds tasks."""
_PLACE = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


class PlugIns(NamedTuple):
    tasks: Mapping[str, TaskFacts]
    loaders: Mapping[str, str]


@cache
def plug_ins() -> PlugIns:
    """The tasks of all installed packages. One that cannot be imported, or states no facts, is left out with a word."""
    from importlib.metadata import entry_points

    found = PlugIns({}, {})
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        package = (entry.dist.name if entry.dist else "") or entry.module
        try:
            added = _added(entry.load(), package, found)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            why = " ".join(f"{type(error).__name__}: {error}".split())
            aside(Message("registry.no-tasks", package=package, entry=f"{entry.name} = {entry.value}", why=why))
        else:
            found = PlugIns({**found.tasks, **added.tasks}, {**found.loaders, **added.loaders})
    return found


def _added(module: Any, package: str, before: PlugIns) -> PlugIns:
    """What the module of a package adds. Raises: TypeError or ValueError for what its TASKS and LOADERS cannot be."""
    tasks, loaders = tuple(module.TASKS), dict(getattr(module, "LOADERS", {}))
    if not tasks or not all(isinstance(facts, TaskFacts) for facts in tasks):
        raise TypeError("its TASKS are no contracts.TaskFacts")
    if not all(isinstance(keys, Mapping) for facts in tasks for keys in (facts.options, facts.inputs)):
        raise TypeError("the options and inputs of a task are its keys with what each means")
    if not all(isinstance(offer, Offer) and offer.kind in SHAPES for facts in tasks for offer in facts.offers):
        raise TypeError(f"its offers are no contracts.Offer of the kinds {', '.join(SHAPES)}")
    names = [facts.name for facts in tasks]
    if taken := [name for name in names if name in {*TASKS, *before.tasks} or not re.fullmatch(PART, name)]:
        raise ValueError(f"a task cannot be called {taken[0]!r}: another is, or it is no plain name in lower case")
    if taken := [kind for kind in loaders if kind in {*LOADERS, *before.loaders}]:
        raise ValueError(f"the kind {taken[0]!r} of its LOADERS is that of another part")
    places = [*loaders.values(), *(place for facts in tasks for place in facts.places)]
    if wrong := [place for place in places if not re.fullmatch(_PLACE, place)]:
        raise ValueError(f"{wrong[0]!r} is not of the form module:name")
    if not all(isinstance(find(place), FileFacts) for facts in tasks for place in facts.formats):
        raise TypeError("its formats name no contracts.FileFacts")
    return PlugIns({facts.name: replace(facts, package=package) for facts in tasks}, loaders)


def all_tasks() -> Mapping[str, TaskFacts]:
    return {**TASKS, **plug_ins().tasks}


def known_task(name: str) -> TaskFacts | None:
    """What is known of a task; None for an unknown name."""
    return TASKS.get(name) or plug_ins().tasks.get(name)


def facts_of(name: str) -> TaskFacts:
    facts = known_task(name)
    if facts is None:
        raise UserError("registry.unknown-task", name=name, tasks=tuple(all_tasks()))
    return facts


def open_task(name: str, options: Mapping[str, str] | None = None) -> Task:
    """The task of this name. Raises UserError for an unknown name, a missing extra, an unknown `--option` key."""
    facts = facts_of(name)
    for key in options or {}:
        if key not in facts.options:
            raise UserError("registry.unknown-option", task=name, key=key, options=meanings(facts.options))
    try:
        task: Task = find(facts.lives)()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "medeor":
            raise
        raise UserError("registry.no-package", task=name, package=error.name, install=facts.install) from None
    return task


def known_inputs(study: Study) -> Mapping[str, str]:
    """The inputs of a study by role. Raises: UserError for a role that its task does not have."""
    facts = facts_of(study.task)
    for role in study.inputs:
        if role not in facts.inputs:
            raise UserError("registry.unknown-input", task=study.task, role=role, inputs=meanings(facts.inputs))
    return study.inputs


def meanings(keys: Mapping[str, Text]) -> Message | tuple[Message, ...]:
    """Keys with what each means, as messages list them."""
    every = tuple(Message("registry.meaning", key=key, meaning=meaning) for key, meaning in keys.items())
    return every or Message("registry.nothing")


def load_model(folder: Path) -> Model:
    """The model saved in a folder, whatever its kind.

    Raises: UserError where it is of no known kind, or damaged."""
    where = folder / "model.json"
    facts = read_json(where)
    load = _known_kind(facts, where)
    if isinstance(load, type):
        raise UserError("files.damaged.at", path=where, detail=facts["kind"])
    model: Model = load(folder)
    return model


def load_part(folder: Path, name: str) -> Model:
    """A model that is a part of the one in `folder`, in a folder of its own within that.

    Raises: UserError also for a name that is no plain one: it must lead nowhere else."""
    part = folder / name
    if not re.fullmatch(PART, name) or part.is_symlink():
        raise UserError("files.damaged.at", path=folder / "model.json", detail=name[:40])
    return load_model(part)


def rebuilt(values: object, having: str, where: Path) -> Any:
    """The part of a model that `values`, its `to_json` with its `kind`, describe: a recipe or a table of features.

    Raises: UserError where it is no object with the method `having`."""
    made = _known_kind(values, where)
    if not (isinstance(made, type) and hasattr(made, "from_json") and hasattr(made, having)):
        raise UserError("files.damaged.at", path=where, detail=values["kind"])  # type: ignore[index]
    return made.from_json({key: value for key, value in values.items() if key != "kind"})  # type: ignore[attr-defined]


def _known_kind(facts: object, where: Path) -> Any:
    kind = facts.get("kind") if isinstance(facts, dict) else None
    lives = _loader(kind)
    if not lives:
        raise UserError("registry.unknown-kind", where=where, kind=str(kind)[:60])
    return find(lives)


def _loader(kind: object) -> str:
    """What rebuilds a saved part of this kind; empty for an unknown one."""
    if not isinstance(kind, str):
        return ""
    return LOADERS.get(kind) or plug_ins().loaders.get(kind, "")


def check_kinds(folder: Path, task: str) -> None:
    """Raises: UserError where a model below this folder has parts that belong to another task's kind of data."""
    allowed = (_room(facts_of(task).lives), "medeor.learning")
    for path in folder.rglob("model.json"):
        facts = read_json(path)
        stated = [facts, *facts.values()] if isinstance(facts, dict) else []
        for kind in (one.get("kind") for one in stated if isinstance(one, dict)):
            if (lives := _loader(kind)) and _room(lives) not in allowed:
                raise UserError("files.damaged.at", path=path, detail=kind)


def _room(lives: str) -> str:
    """The room, or the package of a third party, in which `module:name` lives."""
    top, _, rest = lives.partition(":")[0].partition(".")
    return f"{top}.{rest.partition('.')[0]}" if top == "medeor" else top
