"""The arguments that verbs share, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from medeor.console import renamed
from medeor.errors import UserError

SourcesOption = Annotated[
    list[str] | None, typer.Argument(help="Files, folders, or the name of a data set (see `medeor datasets`).")
]
Others = Annotated[list[str], typer.Argument(help="Files, folders, or the name of a data set.")]
Runs = Annotated[str, typer.Argument(help="A run folder or a .medeor bundle.")]
StudyFile = Annotated[str, typer.Option(help="A study.toml; flags go before what it says.")]
TaskOption = Annotated[str, typer.Option(help="The question (see `medeor tasks`).")]
Labels = Annotated[str, typer.Option(help="Table of targets: CSV, Parquet or Excel.")]
TargetOption = Annotated[list[str] | None, typer.Option(help="Column to predict; repeat for several.")]
Group = Annotated[str, typer.Option(help="Column of the independent unit, e.g. the patient.")]
SplitOption = Annotated[str, typer.Option(help="A column of parts, a column that stays together, group, time, or cv.")]
Options = Annotated[
    list[str] | None, typer.Option("--option", help="key=value: what only this task asks (see `medeor tasks`).")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value: any value of the plan; seed, minutes, site, subgroups, prevalence."),
]
Accept = Annotated[list[str] | None, typer.Option(help="Name of a failed check that you have seen and accept.")]
Trust = Annotated[
    list[str] | None, typer.Option(help="A module whose code may run because the run, bundle, plan or study names it.")
]
Query = Annotated[
    list[str] | None, typer.Option(help="key=value: a question in the place of sources (see `medeor tasks`).")
]
As = Annotated[
    list[str] | None, typer.Option("--as", help="Name of what to write at PATH: onnx, graph, … (see `medeor tasks`).")
]
Paths = Annotated[list[str] | None, typer.Argument(help="The file to write; as many as --as.")]
ExportOptions = Annotated[
    list[str] | None, typer.Option("--option", help="key=value: what only one of them asks (see `medeor tasks`).")
]
Out = Annotated[str, typer.Option(help="Where to write.")]
Again = Annotated[
    bool, typer.Option("--again", help="Fit anew: throw away what was fitted in --out, by whatever plan and data.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but the result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


_FORMER = {"--onnx": ("--as", "onnx"), "--embeddings": ("--as", "embeddings"), "--graph": ("--as", "graph"),
           "--around": ("--option", "around")}  # fmt: skip
"""What 0.1 called the offers of an export."""


def current(arguments: Sequence[str]) -> list[str]:
    """The arguments with flags of 0.1 under their names of today."""
    kept: list[str] = []
    moved: list[str] = []  # behind the run, as a path of `--as` is
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in _FORMER and arguments[0] == "export":
            now, name = _FORMER[flag]
            value = value if equals else next(words, "")
            moved += [now, name, value] if now == "--as" else [now, f"{name}={value}"]
            renamed(flag, f"{now} {name}")
        elif flag == "--where":
            now = "--query" if arguments[0] == "predict" else "--option"
            kept.append(now + word.removeprefix(flag))
            renamed(flag, now)
        else:
            kept.append(word)
    return kept + moved


def fields(
    study: str,
    task: str,
    labels: str,
    target: Sequence[str] | None,
    group: str,
    split: str,
    options: Sequence[str] | None,
    settings: Sequence[str] | None,
    accept: Sequence[str] | None,
) -> dict[str, Any]:
    return {
        "study": study,
        "task": task,
        "labels": labels,
        "target": tuple(target or ()),
        "group": group,
        "split": split,
        "options": pairs(options, "--option"),
        "settings": pairs(settings, "--set"),
        "accept": tuple(accept or ()),
    }


def pairs(given: Sequence[str] | None, flag: str) -> dict[str, str]:
    found = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UserError(f"{flag} {text}: write key=value")
        found[key] = value
    return found
