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
)  # fmt: skip
from medeor.cli.arguments import fields as fields_of
from medeor.console import Console
from medeor.errors import Stopped, UserError

if TYPE_CHECKING:
    from medeor.figures import Figure

app = typer.Typer(
    name="medeor",
    help="From raw clinical data to a model that a hospital or a drug programme can trust.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
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
    """Walk the whole road: a calibrated, evaluated, explained model with its report and bundle."""
    from medeor import api

    if not out:
        raise UserError("say where the run shall go: --out runs/NAME")
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
        print(f"report: {trained.folder / 'report.html'}")
    print(f"bundle: {next(iter(trained.folder.glob('*.medeor')), 'none')}")


@app.command()
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
    """Show what would be done, how long it takes and in how much memory; nothing is fitted."""
    import dataclasses

    import tomli_w

    from medeor import api, files

    fields = fields_of(study, task, labels, target, group, split, options, settings, None)
    made = api.plan(*sources or (), out=out, console=Console(quiet=True), trust=trust or (), **fields)
    values = files.plain(dataclasses.asdict(made))  # type: ignore[call-overload]
    print(json.dumps(values, indent=1) if as_json else tomli_w.dumps(values).rstrip())


@app.command()
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
    clean: Annotated[str, typer.Option(help="Write the repaired table of cases to this file.")] = "",
    as_json: Json = False,
) -> None:
    """Check the data: quality, leakage, shortcuts, labels, identifiers. Exits with 1 when a leakage check fails."""

    from medeor import api

    fields = fields_of(study, task, labels, target, group, split, options, settings, accept)
    findings = api.audit(*sources or (), clean=clean, console=Console(), trust=trust or (), **fields)
    if as_json:
        show.print_json([finding.to_json() for finding in findings])
    else:
        show.print_findings(findings)
    raise typer.Exit(1 if any(finding.stops for finding in findings) else 0)


@app.command()
def evaluate(
    run: Runs,
    sources: Others,
    labels: Labels = "",
    target: TargetOption = None,
    group: Group = "",
    options: Options = None,
    trust: Trust = None,
    name: Annotated[str, typer.Option(help="Name of this part in metrics.json.")] = "other",
    as_json: Json = False,
) -> None:
    """Score a trained model on other labelled data."""
    from medeor import api

    fields = fields_of("", "", labels, target, group, "", options, None, None)
    measures = api.evaluate(run, *sources, name=name, trust=trust or (), **fields)
    if as_json:
        show.print_json({name: {key: measure._asdict() for key, measure in measures.items()}})
    else:
        show.print_measures(name, {key: measure._asdict() for key, measure in measures.items()})


@app.command()
def predict(
    run: Runs,
    sources: SourcesOption = None,
    query: Query = None,
    trust: Trust = None,
    out: Out = "",
    as_json: Json = False,
) -> None:
    """Predict new cases, or answer a question; on the screen or in the file --out (.csv, .parquet, .json; .html: a page
    on a few cases)."""
    from medeor import api
    from medeor.formats.tables.spreadsheet import guarded

    question = pairs(query, "--query")
    if question and sources:
        raise UserError("give cases to predict or a question (--query), not both")
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
        print(f"{table.height} answers: {out}")
    elif figures and not out:
        show.print_figures(figures)
    elif not out:
        print(guarded(table).write_csv(), end="")
    else:
        print(f"{table['case_id'].n_unique()} cases predicted{show.verdicts(table)}: {out}")


@app.command()
def explain(
    run: Runs,
    sources: Others,
    target: Annotated[str, typer.Option(help="Which of several targets to explain.")] = "",
    trust: Trust = None,
    out: Out = "explanation.html",
    as_json: Json = False,
) -> None:
    """Say why, for each case, and how far the reason can be believed."""
    from medeor import api

    explanations = api.explain(run, *sources, out=out, target=target, trust=trust or ())
    rows = [
        {"case_id": e.case_id, "item": e.item, "method": e.method, "shown": e.shown, "reason": e.reason}
        | dict(e.scores)
        for e in explanations.cases
    ]
    if as_json:
        show.print_json(rows)
        return
    for row in rows:
        verdict = "shown" if row["shown"] else f"not shown: {row['reason']}"
        print(f"{row['case_id']}  {row['item']}  {row['method']}  {verdict}")
    print(f"page: {out}")


@app.command()
def report(run: Annotated[str, typer.Argument(help="A run folder.")]) -> None:
    """Say where the report of a finished run is."""
    path = Path(run) / "report.html"
    if not path.exists():
        raise UserError(f"{run} has no report yet: run `medeor train` on it to its end")
    print(path)


@app.command()
def compare(
    ours: Annotated[str, typer.Argument(help="A finished run.")],
    theirs: Annotated[str, typer.Argument(help="Another finished run over the same cases.")],
    shared: Annotated[bool, typer.Option("--shared", help="Leave out cases that only one of them predicted.")] = False,
    trust: Trust = None,
    as_json: Json = False,
) -> None:
    """Compare two runs, paired over the same cases."""
    from medeor import api

    rows = [row._asdict() for row in api.compare(ours, theirs, shared=shared, trust=trust or ())]
    if as_json:
        show.print_json(rows)
        return
    for row in rows:
        print("  ".join(f"{key} {show.number(value)}" for key, value in row.items()))


@app.command()
def export(run: Runs, paths: Paths = None, as_: As = None, options: ExportOptions = None, trust: Trust = None) -> None:
    """Write what models offer as a file: the networks as ONNX, what they learnt as embeddings, the graph that they
    answer from."""
    from medeor import api

    if not as_ or len(as_) != len(paths or ()):
        raise UserError("say what to write, and where: medeor export RUN --as NAME PATH (see `medeor tasks`)")
    for name, path in zip(as_, paths or (), strict=True):
        print(api.export(run, name, path, pairs(options, "--option"), trust=trust or ()))


@app.command()
def datasets(name: Annotated[str, typer.Argument(help="One data set; empty for the list.")] = "") -> None:
    """List the data sets that are known by name, or the facts of one."""
    from medeor import catalogue

    for line in catalogue.describe(name):
        print(line)


@app.command()
def tasks(as_json: Json = False) -> None:
    """List the questions that can be asked, and what each asks for."""
    from dataclasses import asdict

    from medeor.registry import all_tasks

    known = all_tasks().values()
    if as_json:
        show.print_json([asdict(facts) for facts in known])
        return
    for facts in known:
        show.print_task(facts)


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete everything in it.")] = False,
) -> None:
    """Show the cache of decoded inputs; nothing fitted is ever in it."""
    from medeor import cache as kept

    if clear:
        kept.clear()
    for line in kept.describe():
        print(line)


@app.command()
def demo(out: Out = "runs/demo", quiet: Quiet = False) -> None:
    """A first complete result: the best real data set at hand, or a simulated hospital, plainly labelled."""
    from medeor import api

    with Console(quiet) as console:
        trained = api.demo(Path(out), console)
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    for part, measures in metrics.items():
        show.print_measures(part, measures)
    print(f"report: {trained.folder / 'report.html'}")
    print(f"try:    medeor predict {trained.folder} IMAGE --out predictions.csv")


def main() -> None:
    """Runs a verb; what the user can put right is said in a line or two, with exit code 2."""
    try:
        code = app(standalone_mode=False, args=current(sys.argv[1:]) or ["--help"])
    except UserError as error:
        print(f"medeor: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Stopped:
        # The flag would begin from the start, again.
        same = "the same command" + (" without --again" if "--again" in sys.argv else "")
        print(f"medeor: stopped and saved; {same} goes on from here", file=sys.stderr)
        raise SystemExit(130) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        shown = getattr(error, "format_message", None)
        if shown is None:
            raise
        print(f"medeor: {shown()} (see medeor --help)", file=sys.stderr)
        raise SystemExit(2) from None
    if code:
        raise SystemExit(code)
