"""The arguments that verbs share, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

from medeor.console import renamed
from medeor.errors import UserError
from medeor.messages import Message


def words(name: str) -> str:
    return str(Message(f"cli.help.{name}"))


SourcesOption = Annotated[list[str] | None, typer.Argument(help=words("sources"))]
Others = Annotated[list[str], typer.Argument(help=words("others"))]
Runs = Annotated[str, typer.Argument(help=words("run"))]
Trust = Annotated[list[str] | None, typer.Option(help=words("trust"))]
Query = Annotated[list[str] | None, typer.Option(help=words("query"))]
As = Annotated[list[str] | None, typer.Option("--as", help=words("as"))]
Paths = Annotated[list[str] | None, typer.Argument(help=words("paths"))]
ExportOptions = Annotated[list[str] | None, typer.Option("--option", help=words("export-option"))]
Out = Annotated[str, typer.Option(help=words("out"))]
Again = Annotated[bool, typer.Option("--again", help=words("again"))]
Quiet = Annotated[bool, typer.Option("--quiet", help=words("quiet"))]
Json = Annotated[bool, typer.Option("--json", help=words("json"))]

_STUDY = {
    **{name: (Annotated[str, typer.Option(help=words(name))], "") for name in ("study", "task", "labels")},
    "target": (Annotated[list[str] | None, typer.Option(help=words("target"))], None),
    **{name: (Annotated[str, typer.Option(help=words(name))], "") for name in ("group", "split")},
    "options": (Annotated[list[str] | None, typer.Option("--option", help=words("option"))], None),
    "settings": (Annotated[list[str] | None, typer.Option("--set", help=words("set"))], None),
    "accept": (Annotated[list[str] | None, typer.Option(help=words("accept"))], None),
    "trust": (Trust, None),
}
"""What verbs ask of a study, in the order of their help: the type of each argument, and its default."""


def asks(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a verb these arguments of a study, in place of its parameter `fields`: they come as `api` takes them."""

    def with_arguments(verb: Callable[..., None]) -> Callable[..., None]:
        @wraps(verb)
        def run(**given: Any) -> None:
            fields = {name: given.pop(name) for name in names}
            for name, flag in (("options", "--option"), ("settings", "--set")):
                if name in fields:
                    fields[name] = pairs(fields[name], flag)
            verb(fields={name: () if value is None else value for name, value in fields.items()}, **given)

        asked = [Parameter(name, _KEYWORD, default=_STUDY[name][1], annotation=_STUDY[name][0]) for name in names]
        own = signature(verb, eval_str=True).parameters
        every = ([one.replace(kind=_KEYWORD)] if name != "fields" else asked for name, one in own.items())
        run.__signature__ = Signature([one for some in every for one in some])  # type: ignore[attr-defined]
        return run

    return with_arguments


_KEYWORD = Parameter.KEYWORD_ONLY
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


def pairs(given: Sequence[str] | None, flag: str) -> dict[str, str]:
    found = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UserError("cli.key-value", flag=flag, text=text)
        found[key] = value
    return found
