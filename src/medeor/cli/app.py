"""The command line: one verb each for what `medeor.api` does. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medeor.cli import show
from medeor.cli.arguments import (
    Accept,
    Again,
    As,
    ExportOptions,
    Group,
    Json,
    Labels,
    Options,
    Others,
    Out,
    Paths,
    Query,
    Quiet,
    Runs,
    Set,
    SourcesOption,
    SplitOption,
    StudyFile,
    TargetOption,
    TaskOption,
    Trust,
    current,
    pairs,
    words,
)  # fmt: skip
from medeor.cli.arguments import fields as fields_of
from medeor.console import Console
from medeor.errors import Stopped, UserError
from medeor.messages import Message

if TYPE_CHECKING:
    from medeor.figures import Figure

app = typer.Typer(
    name="medeor",
    help=words("medeor"),
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command(help=words("train"))
def train(
    sources: SourcesOption = None,
    study: StudyFile = "",
    task: TaskOption = "",
    labels: Labels = "",
    target: TargetOption = None,
    group: Group = "",
    split: SplitOption = "",
    options: Options = None,
    settings: Set = None,
    accept: Accept = None,
    trust: Trust = None,
    out: Out = "",
    again: Again = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    from medeor import api

    if not out:
        raise UserError("cli.train.no-out")
    with Console(quiet) as console:
        fields = fields_of(study, task, labels, target, group, split, options, settings, accept)
        trained = api.train(*sources or (), out=out, console=console, again=again, trust=trust or (), **fields)
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    if as_json:
        show.print_json(metrics)
        return
    for part, measures in metrics.items():
        show.print_measures(part, measures)
    if (trained.folder / "report.html").exists():
        print(Message("cli.report.path", path=trained.folder / "report.html"))
    bundle = next(iter(trained.folder.glob("*.medeor")), None)
    print(Message("cli.train.bundle", path=bundle) if bundle else Message("cli.train.no-bundle"))


@app.command(help=words("plan"))
def plan(
    sources: SourcesOption = None,
    study: StudyFile = "",
    task: TaskOption = "",
    labels: Labels = "",
    target: TargetOption = None,
    group: Group = "",
    split: SplitOption = "",
    options: Options = None,
    settings: Set = None,
    trust: Trust = None,
    out: Out = "",
    as_json: Json = False,
) -> None:
    import dataclasses

    import tomli_w

    from medeor import api, files

    fields = fields_of(study, task, labels, target, group, split, options, settings, None)
    made = api.plan(*sources or (), out=out, console=Console(quiet=True), trust=trust or (), **fields)
    values = files.plain(dataclasses.asdict(made))  # type: ignore[call-overload]
    print(json.dumps(values, indent=1) if as_json else tomli_w.dumps(values).rstrip())


@app.command(help=words("audit"))
def audit(
    sources: SourcesOption = None,
    study: StudyFile = "",
    task: TaskOption = "",
    labels: Labels = "",
    target: TargetOption = None,
    group: Group = "",
    split: SplitOption = "",
    options: Options = None,
    settings: Set = None,
    accept: Accept = None,
    trust: Trust = None,
    clean: Annotated[str, typer.Option(help=words("clean"))] = "",
    as_json: Json = False,
) -> None:
    from medeor import api

    fields = fields_of(study, task, labels, target, group, split, options, settings, accept)
    findings = api.audit(*sources or (), clean=clean, console=Console(), trust=trust or (), **fields)
    if as_json:
        show.print_json([finding.to_json() for finding in findings])
    else:
        show.print_findings(findings)
    raise typer.Exit(1 if any(finding.stops for finding in findings) else 0)


@app.command(help=words("evaluate"))
def evaluate(
    run: Runs,
    sources: Others,
    labels: Labels = "",
    target: TargetOption = None,
    group: Group = "",
    options: Options = None,
    trust: Trust = None,
    name: Annotated[str, typer.Option(help=words("part-name"))] = "other",
    as_json: Json = False,
) -> None:
    from medeor import api

    fields = fields_of("", "", labels, target, group, "", options, None, None)
    measures = api.evaluate(run, *sources, name=name, trust=trust or (), **fields)
    if as_json:
        show.print_json({name: {key: measure._asdict() for key, measure in measures.items()}})
    else:
        show.print_measures(name, {key: measure._asdict() for key, measure in measures.items()})


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
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    for part, measures in metrics.items():
        show.print_measures(part, measures)
    print(Message("cli.report.path", path=trained.folder / "report.html"))
    print(Message("cli.demo.try", folder=trained.folder))


def main() -> None:
    """Runs a verb; what the user can put right is printed in a line or two, with exit code 2."""
    try:
        code = app(standalone_mode=False, args=current(sys.argv[1:]) or ["--help"])
    except UserError as error:
        print(f"medeor: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Stopped:
        # The flag would begin from the start, again.
        stopped = Message("cli.main.stopped-again" if "--again" in sys.argv else "cli.main.stopped")
        print(f"medeor: {stopped}", file=sys.stderr)
        raise SystemExit(130) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        shown = getattr(error, "format_message", None)
        if shown is None:
            raise
        print(f"medeor: {Message('cli.main.usage', what=shown())}", file=sys.stderr)
        raise SystemExit(2) from None
    if code:
        raise SystemExit(code)
