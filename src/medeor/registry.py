"""The registry: what medeor can be asked, and which files it can read back. Plain facts, without an import of the
rooms that they name; the command line, its help and the reference are made from them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medeor.contracts import Model, Study, Task, TaskFacts, UserError
from medeor.files import read_json


def find(lives: str) -> Any:
    """The object at `module:name`."""
    module, _, name = lives.partition(":")
    return getattr(importlib.import_module(module), name)


ROOMS = ("imaging", "knowledge", "molecules", "tabular")
"""The first-party rooms, each of which states in its `facts.py` its tasks and what rebuilds its saved parts."""

TASKS: dict[str, TaskFacts] = {facts.name: facts for room in ROOMS for facts in find(f"medeor.{room}.facts:TASKS")}

LOADERS: dict[str, str] = {
    "network": "medeor.learning.network:load",
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


def open_task(name: str, options: Mapping[str, str] | None = None) -> Task:
    """The task of this name. Raises UserError for an unknown name, a missing extra, an unknown `--option` key."""
    if name not in TASKS:
        raise UserError(f"no task is called '{name}'; there are {', '.join(TASKS)}")
    facts = TASKS[name]
    for key in options or {}:
        if key not in facts.options:
            known = "; ".join(f"{key} ({meaning})" for key, meaning in facts.options.items())
            raise UserError(f"{name} does not ask for '{key}'; --option takes {known}")
    try:
        task: Task = find(facts.lives)()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("medeor"):
            raise
        raise UserError(f'{name} needs the package {error.name}: pip install "medeor[{facts.extra}]"') from None
    return task


def known_inputs(study: Study) -> Mapping[str, str]:
    """The inputs of a study by role. Raises: UserError for a role that its task does not have."""
    facts = TASKS[study.task]
    for role in study.inputs:
        if role not in facts.inputs:
            known = "; ".join(f"{key} ({meaning})" for key, meaning in facts.inputs.items()) or "none"
            raise UserError(f"{study.task} takes no input '{role}'; its inputs: {known}")
    return study.inputs


def known_question(name: str, query: Mapping[str, str]) -> Any:
    """What answers a question in words to the models of a task (`TaskFacts.answers`).

    Raises: UserError where they answer none, or not one with these keys."""
    facts = TASKS[name]
    if not facts.answers:
        raise UserError(f"a model of {name} is asked about cases: name files, folders or a data set instead")
    for key in query:
        if key not in facts.query:
            known = "; ".join(f"{key} ({meaning})" for key, meaning in facts.query.items())
            raise UserError(f"no question to a model of {name} has '{key}'; --query takes {known}")
    return find(facts.answers)


def load_model(folder: Path) -> Model:
    """The model saved in a folder, whatever its kind.

    Raises: UserError where it is of no known kind, or damaged."""
    where = folder / "model.json"
    facts = read_json(where)
    load = _known_kind(facts, where)
    if isinstance(load, type):
        raise UserError(f"{where}: '{facts['kind']}' is a part of a model, and no model by itself")
    model: Model = load(folder)
    return model


def load_part(folder: Path, name: str) -> Model:
    """A model that is a part of the one in `folder`, in a folder of its own within that.

    Raises: UserError also for a name that is no plain one: it must lead nowhere else."""
    part = folder / name
    if not re.fullmatch(PART, name) or part.is_symlink():
        raise UserError(f"{folder / 'model.json'} names the part {name[:40]!r}, which is no folder of its own")
    return load_model(part)


def rebuilt(values: object, having: str, where: Path) -> Any:
    """The part of a model that `values`, its `to_json` with its `kind`, describe: a recipe or a table of features.

    Raises: UserError where it is no object with the method `having`."""
    made = _known_kind(values, where)
    if not (isinstance(made, type) and hasattr(made, "from_json") and hasattr(made, having)):
        raise UserError(f"{where}: {values['kind']!r} cannot stand here")  # type: ignore[index]
    return made.from_json({key: value for key, value in values.items() if key != "kind"})  # type: ignore[attr-defined]


def _known_kind(facts: object, where: Path) -> Any:
    kind = facts.get("kind") if isinstance(facts, dict) else None
    if not isinstance(kind, str) or kind not in LOADERS:
        raise UserError(f"{where} names the unknown kind {str(kind)[:60]!r}; a newer medeor may have written it")
    return find(LOADERS[kind])


def check_kinds(folder: Path, task: str) -> None:
    """Raises: UserError where a model below this folder has parts that belong to another task's kind of data."""
    allowed = (_room(TASKS[task].lives), "medeor.learning")
    for path in folder.rglob("model.json"):
        facts = read_json(path)
        stated = [facts, *facts.values()] if isinstance(facts, dict) else []
        for kind in (one.get("kind") for one in stated if isinstance(one, dict)):
            if isinstance(kind, str) and kind in LOADERS and _room(LOADERS[kind]) not in allowed:
                raise UserError(f"{path}: a part of the kind {kind!r} is none of a model of {task}; it is damaged")


def _room(lives: str) -> str:
    """The room, or the package of a third party, in which `module:name` lives."""
    top, _, rest = lives.partition(":")[0].partition(".")
    return f"{top}.{rest.partition('.')[0]}" if top == "medeor" else top
