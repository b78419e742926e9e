"""Which task a study is for, where the user does not say: the one whose kind of data the sources hold."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from medeor import catalogue
from medeor.console import aside
from medeor.contracts import FileFacts, Message, Study, TaskFacts, UserError
from medeor.files import exists
from medeor.formats.tables.facts import TABLES
from medeor.formats.tables.read import columns_of
from medeor.registry import TASKS, all_tasks, find, meanings

_NUMBER = re.compile(r"\s*[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?\s*")
ANY = "*"
"""Among the columns of `FileFacts`: any table will do."""
LOOKED_AT = 1000
"""Files of a folder that say what it holds."""


def task_of(study: Study) -> str:
    """The name of the one task that knows every key of `--option`, and whose columns or file endings the sources show;
    of tables that show none, the one that takes any table, which the screen says.

    Raises: UserError where none or several do."""
    if not study.sources:
        raise UserError("road.task-detection.no-source")
    able = _asking(TASKS, study.options)
    if not (found := _shown(able, study.sources)):
        every = all_tasks()
        # Opening the task reports a key that no task knows.
        able = _asking(every, study.options) or list(every.values())
        found = _shown(able, study.sources) or _of_any_table(able, study)
    if found:
        return found
    for path in (Path(source) for source in study.sources if isinstance(source, str)):
        if not exists(path):
            raise UserError("road.task-detection.neither", path=path, near=catalogue.near(str(path)))
        if path.is_dir():
            kinds = meanings({facts.name: facts.reads for facts in able})
            raise UserError("road.task-detection.nothing-known", path=path, kinds=kinds)
    bare = any(_NUMBER.fullmatch(name) for source in study.sources for name in _header(source))
    first = study.sources[0]
    name = first if isinstance(first, str | Path) else Message("road.task-detection.source")
    key = "road.task-detection.no-header" if bare else "road.task-detection.no-sign"
    raise UserError(key, source=name, tasks=" | ".join(every))


def _asking(tasks: Mapping[str, TaskFacts], options: Mapping[str, str]) -> list[TaskFacts]:
    return [facts for facts in tasks.values() if set(options) <= set(facts.options)]


def _shown(able: Sequence[TaskFacts], sources: Sequence[object]) -> str:
    """The name of the task that the sources show, or of the only one there is; empty where none or several are it."""
    formats = {facts.name: _formats(facts) for facts in able}
    headers = ({name.lower() for name in _header(source)} for source in sources)
    names = (name for source in sources for name in _names(source))
    shown = (
        (task for head in headers for task, own in formats.items() if any(head & set(one.columns) for one in own)),
        (task for name in names for task, own in formats.items() if any(_ends(name, one.endings) for one in own)),
    )
    for votes in map(Counter, shown):
        if votes and (len(votes) == 1 or len(set(votes.values())) > 1):
            return votes.most_common(1)[0][0]
    return able[0].name if len(able) == 1 else ""


def _of_any_table(able: Iterable[TaskFacts], study: Study) -> str:
    """The task that takes any table, where all sources are tables with a header; empty where none is."""
    headers = [_header(source) for source in study.sources]
    named = all(len(header) > 1 and not any(map(_NUMBER.fullmatch, header)) for header in headers)
    taking = [facts.name for facts in able if any(ANY in one.columns for one in _formats(facts))]
    if not named or len(taking) != 1:
        return ""
    others = tuple(facts.name for facts in able if facts.name not in taking)
    aside(Message("road.task-detection.plain-table", others=others, task=taking[0]))
    return taking[0]


def _formats(facts: TaskFacts) -> list[FileFacts]:
    return [find(place) for place in facts.formats]


def _header(source: object) -> list[str]:
    if isinstance(source, pl.DataFrame):
        return source.columns
    path = Path(source) if isinstance(source, str | Path) else None
    named = path and any(path.name.lower().removesuffix(".gz").endswith(ending) for ending in TABLES)
    return columns_of(path) if path and named and path.is_file() else []


def _names(source: object) -> Iterator[str]:
    if isinstance(source, np.ndarray):
        yield "array.npy"
    elif isinstance(source, str | Path):
        path = Path(source)
        found = (name for _, _, files in os.walk(path) for name in files if not name.startswith("."))
        yield from [path.name] if path.is_file() else islice(found, LOOKED_AT)


def _ends(name: str, endings: tuple[str, ...]) -> bool:
    """Whether a file name ends so; the ending "" is that of a name without a dot."""
    plain = name.lower()
    plain = plain if plain.endswith(".nii.gz") else plain.removesuffix(".gz")
    return any(plain.endswith(ending) if ending else "." not in plain for ending in endings)
