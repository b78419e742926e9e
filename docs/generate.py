"""Writes docs/reference from the code, so that the two cannot drift: `python docs/generate.py`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import typer

from medeor import catalogue
from medeor.cli.app import app
from medeor.contracts import Study
from medeor.registry import TASKS, find

FOLDER = Path(__file__).parent / "reference"
NOTICE = "<!-- Written by docs/generate.py from the code; change it there. -->"


def main() -> None:
    """Writes every page that has changed."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path)


def pages() -> dict[str, str]:
    """The text of each page of the reference, by file name."""
    return {
        "commands.md": _page("Commands", COMMANDS, _commands()),
        "study.md": _page("The study file", STUDY, _table(("key", "kind", "meaning"), _fields(Study))),
        "tasks.md": _page("Tasks", TASKS_PAGE, _tasks()),
        "plan.md": _page("The plan", PLAN, _plan()),
        "data-sets.md": _page("Data sets", DATA_SETS, _data_sets()),
    }


COMMANDS = """
Each verb is also a function: `medeor.train(...)`, `medeor.predict(...)`. A message that begins with `medeor:`, and exit
code 2, mean that something can be put right by you.
"""
STUDY = """
What is asked, as `medeor train --study study.toml` reads it; flags and `--set` go before what it says. A run keeps its
own copy, `study.toml`, in its folder. No path in it is changed: it is read from where you stand.
"""
TASKS_PAGE = """
The questions that medeor can be asked, as `medeor tasks` lists them.
"""
PLAN = """
How it is done. `medeor plan` prints it with the values that follow from your cases, `plan.toml` in the run folder keeps
it, and `--set key=value` fixes any of it: `--set schedule.epochs=20`. Where a number or a pair is taken, a number is
fixed and a pair is a range to draw from.
"""
DATA_SETS = """
Sets that medeor knows by name: `medeor train breastmnist`. A file is looked for below the folder `MEDEOR_DATA`, then in
the cache, then fetched from its publishers; it is used only if its checksum is known. `medeor datasets NAME` says more
of one. The licence of a set is its publishers' and binds you.
"""


def _page(title: str, introduction: str, lines: Iterable[str]) -> str:
    return "\n".join([NOTICE, "", f"# {title}", introduction, *lines]).rstrip() + "\n"


# --- the command line ------------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        usage = " ".join(_argument(p) for p in arguments)
        yield f"## medeor {name}"
        yield ""
        yield from textwrap.wrap(" ".join(command.help.split()), 120)
        yield ""
        yield f"    medeor {name}{' ' + usage if usage else ''}{' [OPTIONS]' if options else ''}"
        yield ""
        rows = [(_argument(p), p.help) for p in arguments] + [(_option(p), p.help) for p in options]
        yield from _table(("argument", "meaning"), [(f"`{said}`", meaning) for said, meaning in rows])


def _argument(parameter: Any) -> str:
    said = parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
    return said if parameter.required else f"[{said}]"


def _option(parameter: Any) -> str:
    flag = max(parameter.opts, key=len)
    if parameter.is_flag:
        return flag
    value = "KEY=VALUE" if parameter.name in ("options", "query", "settings") else "TEXT"
    return f"{flag} {value}" + (" ..." if parameter.multiple else "")


# --- dataclasses -----------------------------------------------------------------------------------------


def _plan() -> Iterator[str]:
    for facts in TASKS.values():
        yield f"## {facts.name}"
        yield ""
        yield from _settings(find(facts.lives).plan_type, "")


def _settings(kind: type, prefix: str) -> Iterator[str]:
    """The fields of a dataclass as a table, then those of the dataclasses within it."""
    inner = {name: hint for name, hint in _hints(kind).items() if _is_nested(hint)}
    yield from _table(("setting", "kind", "meaning"), _fields(kind, prefix))
    for name, own in inner.items():
        yield f"### {prefix}{name}"
        yield ""
        yield from textwrap.wrap(" ".join((inspect.getdoc(own) or "").split()), 120)
        yield ""
        yield from _settings(own, f"{prefix}{name}.")


def _fields(kind: type, prefix: str = "") -> list[tuple[str, ...]]:
    """Name, kind and meaning of each field that is a plain value."""
    meanings = _meanings(kind)
    return [
        (f"`{prefix}{name}`", _words(hint), meanings.get(name, ""))
        for name, hint in _hints(kind).items()
        if not _is_nested(hint)
    ]


def _is_nested(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, localns={"np": np, "pl": pl}, include_extras=True)


def _meanings(kind: type) -> dict[str, str]:
    """The docstring below each field of a dataclass."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for line, after in itertools.pairwise(body.body):
        if isinstance(line, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[ast.unparse(line.target)] = " ".join(str(after.value.value).split())
    return found


def _words(hint: Any) -> str:
    """A type as a reader who does not program would say it."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return " ".join([_words(inner[0]), *(_bound(m) for m in getattr(inner[1], "metadata", ()))])
    if origin is typing.Literal:
        return ", ".join(f"`{word}`" for word in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(one) for one in inner if one not in _PYTHON))
    if origin is tuple:
        return f"list: {_words(inner[0])}" if Ellipsis in inner else "pair"
    return "table" if origin is Mapping else _KINDS[hint]


_KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "text"}
_PYTHON = {types.NoneType, np.ndarray, pl.DataFrame}
"""What can be given in Python but not in a file."""


def _bound(metadata: Any) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return " ".join(f"{sign} {getattr(metadata, name)}" for name, sign in signs.items() if hasattr(metadata, name))


# --- tasks and data sets ---------------------------------------------------------------------------------


def _tasks() -> Iterator[str]:
    for facts in TASKS.values():
        yield f"## {facts.name}"
        yield ""
        does = str(facts.does)
        yield f"{does[0].upper()}{does[1:]}."
        yield ""
        yield f"- reads: {facts.reads}"
        yield f"- needs: `{facts.install}`"
        yield f"- steps: {' → '.join(find(facts.lives).steps)}"
        yield ""
        yield from _table(
            ("`--option`", "meaning"), [(f"`{key}=…`", meaning) for key, meaning in facts.options.items()]
        )
        inputs = [(f"`inputs.{role}=…`", meaning) for role, meaning in facts.inputs.items()]
        yield from _table(("`--set`", "meaning"), inputs)
        usage = [one for offer in facts.offers for one in offer.usage]
        rows = [(f"`medeor {said.replace(' ', ' RUN ', 1)}`", meaning) for said, meaning in usage]
        yield from _table(("what its models offer", "meaning"), rows)


def _data_sets() -> Iterator[str]:
    rows = []
    for name in catalogue.names():
        facts = catalogue.facts(name)
        if facts.size not in (None, min(facts.sizes, default=None)):
            continue
        count = f"{sum(facts.cases.values()):,}" if facts.cases else ""
        sizes = ", ".join(f"`{name}_{size}`" if size != min(facts.sizes) else f"`{name}`" for size in facts.sizes)
        rows.append((sizes or f"`{name}`", facts.shows, facts.kind, count, facts.split, facts.licence))
    yield from _table(("name", "shows", "question", "cases", "split", "licence"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Iterator[str]:
    if rows:
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        for row in rows:
            cells = " | ".join(str(cell).replace("|", r"\|") for cell in row)
            yield f"| {cells} |"
        yield ""


if __name__ == "__main__":
    main()
