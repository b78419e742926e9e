"""The arguments that verbs share, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from medeor.console import renamed
from medeor.errors import UserError
from medeor.messages import Message


def words(name: str) -> str:
    """The help text of a verb or an argument."""
    return str(Message(f"cli.help.{name}"))


SourcesOption = Annotated[list[str] | None, typer.Argument(help=words("sources"))]
Others = Annotated[list[str], typer.Argument(help=words("others"))]
Runs = Annotated[str, typer.Argument(help=words("run"))]
StudyFile = Annotated[str, typer.Option(help=words("study"))]
TaskOption = Annotated[str, typer.Option(help=words("task"))]
Labels = Annotated[str, typer.Option(help=words("labels"))]
TargetOption = Annotated[list[str] | None, typer.Option(help=words("target"))]
Group = Annotated[str, typer.Option(help=words("group"))]
SplitOption = Annotated[str, typer.Option(help=words("split"))]
Options = Annotated[list[str] | None, typer.Option("--option", help=words("option"))]
Set = Annotated[list[str] | None, typer.Option("--set", help=words("set"))]
Accept = Annotated[list[str] | None, typer.Option(help=words("accept"))]
Trust = Annotated[list[str] | None, typer.Option(help=words("trust"))]
Query = Annotated[list[str] | None, typer.Option(help=words("query"))]
As = Annotated[list[str] | None, typer.Option("--as", help=words("as"))]
Paths = Annotated[list[str] | None, typer.Argument(help=words("paths"))]
ExportOptions = Annotated[list[str] | None, typer.Option("--option", help=words("export-option"))]
Out = Annotated[str, typer.Option(help=words("out"))]
Again = Annotated[bool, typer.Option("--again", help=words("again"))]
Quiet = Annotated[bool, typer.Option("--quiet", help=words("quiet"))]
Json = Annotated[bool, typer.Option("--json", help=words("json"))]


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
            raise UserError("cli.key-value", flag=flag, text=text)
        found[key] = value
    return found
