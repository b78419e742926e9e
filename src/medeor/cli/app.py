"""The command line: one verb each for what `medeor.api` does. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import atexit
import gc
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medeor.cli import show
from medeor.cli.arguments import (
    Again,
    As,
    ExportOptions,
    Json,
    Others,
    Out,
    Paths,
    Query,
    Quiet,
    Runs,
    SourcesOption,
    Trust,
    asks,
    current,
    pairs,
    words,
)  # fmt: skip
from medeor.console import Console, aside
from medeor.errors import Stopped, UserError
from medeor.messages import Message

if TYPE_CHECKING:
    from medeor.figures import Figure

app = typer.Typer(
    name="medeor", help=words("medeor"), add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


Fields = dict[str, Any]
WHOLE = ("study", "task", "labels", "target", "group", "split", "options", "settings")
"""What `train`, `plan` and `audit` ask of a study."""


@app.command(help=words("train"))
@asks(*WHOLE, "accept", "trust")
def train(
    sources: SourcesOption = None,
    *,
    fields: Fields,
    out: Out = "",
    again: Again = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    from medeor import api

    if not out:
        raise UserError("cli.train.no-out")
    with Console(quiet) as console:
        trained = api.train(*sources or (), out=out, console=console, again=again, **fields)
    if as_json:
        show.print_json(json.loads((trained.folder / "metrics.json").read_text()))
        return
    show.print_run(trained.folder)
    bundle = next(iter(trained.folder.glob("*.medeor")), None)
    print(Message("cli.train.bundle", path=bundle) if bundle else Message("cli.train.no-bundle"))


@app.command(help=words("plan"))
@asks(*WHOLE, "trust")
def plan(sources: SourcesOption = None, *, fields: Fields, out: Out = "", as_json: Json = False) -> None:
    import dataclasses

    import tomli_w

    from medeor import api, files

    made = api.plan(*sources or (), out=out, console=Console(quiet=True), **fields)
    values = files.plain(dataclasses.asdict(made))  # type: ignore[call-overload]
    print(json.dumps(values, indent=1) if as_json else tomli_w.dumps(values).rstrip())


@app.command(help=words("audit"))
@asks(*WHOLE, "accept", "trust")
def audit(
    sources: SourcesOption = None,
    *,
    fields: Fields,
    clean: Annotated[str, typer.Option(help=words("clean"))] = "",
    as_json: Json = False,
) -> None:
    from medeor import api

    findings = api.audit(*sources or (), clean=clean, console=Console(), **fields)
    if as_json:
        show.print_json([finding.to_json() for finding in findings])
    else:
        show.print_findings(findings)
    raise typer.Exit(1 if any(finding.stops for finding in findings) else 0)


@app.command(help=words("evaluate"))
@asks("labels", "target", "group", "options", "trust")
def evaluate(
    run: Runs,
    sources: Others,
    *,
    fields: Fields,
    name: Annotated[str, typer.Option(help=words("part-name"))] = "other",
    as_json: Json = False,
) -> None:
    from medeor import api

    measures = api.evaluate(run, *sources, name=name, **fields)
    listed = {key: measure._asdict() for key, measure in measures.items()}
    if as_json:
        show.print_json({name: listed})
    else:
        show.print_measures(name, listed)


@app.command(help=words("predict"))
def predict(
    run: Runs,
    sources: SourcesOption = None,
    query: Query = None,
    trust: Trust = None,
    out: Out = "",
    as_json: Json = False,
) -> None:
    from medeor import api
    from medeor.formats.tables.spreadsheet import guarded

    question = pairs(query, "--query")
    if question and sources:
        raise UserError("cli.predict.cases-and-query")
    figures: Sequence[Figure] = ()
    if question:
        table, figures = api.query(run, question, out=out, trust=trust or ())
    elif sources and (out.endswith(".html") or not (out or as_json)):
        table, figures = api.summarize(run, *sources, out=out, trust=trust or ())
    else:
        table = api.predict(run, *sources or (), out=out, trust=trust or ())
    if as_json:
        print(table.write_json())
    elif question and out:
        print(Message("cli.predict.answers", count=table.height, path=out))
    elif figures and not out:
        show.print_figures(figures)
    elif not out:
        print(guarded(table).write_csv(), end="")
    else:
        print(show.predicted(table, out))


@app.command(help=words("explain"))
def explain(
    run: Runs,
    sources: Others,
    target: Annotated[str, typer.Option(help=words("explained"))] = "",
    trust: Trust = None,
    out: Out = "explanation.html",
    as_json: Json = False,
) -> None:
    from medeor import api

    explanations = api.explain(run, *sources, out=out, target=target, trust=trust or ())
    if as_json:
        facts = ("case_id", "item", "method", "shown", "reason")
        show.print_json([{name: getattr(e, name) for name in facts} | dict(e.scores) for e in explanations.cases])
        return
    for e in explanations.cases:
        verdict = Message("cli.explain.shown") if e.shown else Message("cli.explain.not-shown", reason=e.reason)
        print(f"{e.case_id}  {e.item}  {e.method}  {verdict}")
    print(Message("cli.explain.page", path=out))


@app.command(help=words("report"))
def report(run: Annotated[str, typer.Argument(help=words("run-folder"))]) -> None:
    path = Path(run) / "report.html"
    if not path.exists():
        raise UserError("cli.report.unfinished", run=run)
    print(path)


@app.command(help=words("compare"))
def compare(
    ours: Annotated[str, typer.Argument(help=words("ours"))],
    theirs: Annotated[str, typer.Argument(help=words("theirs"))],
    shared: Annotated[bool, typer.Option("--shared", help=words("shared"))] = False,
    trust: Trust = None,
    as_json: Json = False,
) -> None:
    from medeor import api

    rows = [row._asdict() for row in api.compare(ours, theirs, shared=shared, trust=trust or ())]
    if as_json:
        show.print_json(rows)
        return
    for row in rows:
        print("  ".join(f"{key} {show.number(value)}" for key, value in row.items()))


@app.command(help=words("export"))
def export(run: Runs, paths: Paths = None, as_: As = None, options: ExportOptions = None, trust: Trust = None) -> None:
    from medeor import api

    if not as_ or len(as_) != len(paths or ()):
        raise UserError("cli.export.no-name")
    for name, path in zip(as_, paths or (), strict=True):
        print(api.export(run, name, path, pairs(options, "--option"), trust=trust or ()))


@app.command(help=words("datasets"))
def datasets(name: Annotated[str, typer.Argument(help=words("data-set"))] = "") -> None:
    from medeor import catalogue

    for line in catalogue.describe(name):
        print(line)


@app.command(help=words("tasks"))
def tasks(as_json: Json = False) -> None:
    from dataclasses import asdict

    from medeor.registry import all_tasks

    known = all_tasks().values()
    if as_json:
        show.print_json([asdict(facts) for facts in known])
        return
    for facts in known:
        show.print_task(facts)


@app.command(help=words("cache"))
def cache(clear: Annotated[bool, typer.Option("--clear", help=words("clear"))] = False) -> None:
    from medeor import cache as kept

    if clear:
        kept.clear()
    for line in kept.describe():
        print(line)


@app.command(help=words("demo"))
def demo(out: Out = "runs/demo", quiet: Quiet = False) -> None:
    from medeor import api

    with Console(quiet) as console:
        trained = api.demo(Path(out), console)
    show.print_run(trained.folder)
    print(Message("cli.demo.try", folder=trained.folder))


MADE = 50_000
"""Objects that are made before they are searched for garbage, as seldom as that: most are of modules, and stay."""


def main() -> None:
    """Runs a verb; what the user can put right is printed in a line or two, with exit code 2."""
    gc.set_threshold(MADE)
    atexit.register(gc.freeze)  # What is left ends with the process, and is not searched once more.
    try:
        code = app(standalone_mode=False, args=current(sys.argv[1:]) or ["--help"])
    except UserError as error:
        aside(str(error))
        code = 2
    except Stopped:
        # The flag would begin from the start, again.
        aside(Message("cli.main.stopped-again" if "--again" in sys.argv else "cli.main.stopped"))
        code = 130
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        shown = getattr(error, "format_message", None)
        if shown is None:
            raise
        aside(Message("cli.main.usage", what=shown()))
        code = 2
    if code:
        raise SystemExit(code)
