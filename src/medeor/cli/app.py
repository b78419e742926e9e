"""The command line: one verb each for what `medeor.api` does. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medeor.console import Console, renamed
from medeor.contracts import BORDERLINE, OUT_OF_DOMAIN, Stopped, UserError

if TYPE_CHECKING:
    import polars as pl

    from medeor.contracts import Finding
    from medeor.figures import Figure

app = typer.Typer(
    name="medeor",
    help="From raw clinical data to a model that a hospital or a drug programme can trust.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

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
Out = Annotated[str, typer.Option(help="Where to write.")]
Again = Annotated[
    bool, typer.Option("--again", help="Fit anew: throw away what was fitted in --out, by whatever plan and data.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but the result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


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
        fields = _fields(study, task, labels, target, group, split, options, settings, accept)
        trained = api.train(*sources or (), out=out, console=console, again=again, trust=trust or (), **fields)
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    if as_json:
        _print_json(metrics)
        return
    for part, measures in metrics.items():
        _print_measures(part, measures)
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

    fields = _fields(study, task, labels, target, group, split, options, settings, None)
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
    import dataclasses

    from medeor import api

    fields = _fields(study, task, labels, target, group, split, options, settings, accept)
    findings = api.audit(*sources or (), clean=clean, console=Console(), trust=trust or (), **fields)
    if as_json:
        _print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        _print_findings(findings)
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

    fields = _fields("", "", labels, target, group, "", options, None, None)
    measures = api.evaluate(run, *sources, name=name, trust=trust or (), **fields)
    if as_json:
        _print_json({name: {key: measure._asdict() for key, measure in measures.items()}})
    else:
        _print_measures(name, {key: measure._asdict() for key, measure in measures.items()})


@app.command()
def predict(
    run: Runs,
    sources: SourcesOption = None,
    query: Annotated[
        list[str] | None, typer.Option(help="key=value: a question in the place of sources (see `medeor tasks`).")
    ] = None,
    trust: Trust = None,
    out: Out = "",
    as_json: Json = False,
) -> None:
    """Predict new cases, or answer a question; on the screen or in the file --out (.csv, .parquet, .json; .html: a page
    on a few cases)."""
    from medeor import api
    from medeor.formats.tables.spreadsheet import guarded

    question = _pairs(query, "--query")
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
        _print_figures(figures)
    elif not out:
        print(guarded(table).write_csv(), end="")
    else:
        print(f"{table['case_id'].n_unique()} cases predicted{_verdicts(table)}: {out}")


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
        _print_json(rows)
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
        _print_json(rows)
        return
    for row in rows:
        print("  ".join(f"{key} {_number(value)}" for key, value in row.items()))


@app.command()
def export(
    run: Runs,
    onnx: Annotated[str, typer.Option(help="The .onnx file to write.")] = "",
    embeddings: Annotated[str, typer.Option(help="The .parquet file to write: id, name, kind, vector.")] = "",
    graph: Annotated[str, typer.Option(help="The file of a run's graph to write: .tsv, .graphml or .svg.")] = "",
    around: Annotated[str, typer.Option(help="The entity around which the .svg is drawn.")] = "",
    trust: Trust = None,
) -> None:
    """Write the networks as ONNX, checked against medeor's own answers, what they learnt as embeddings, or the graph
    that they answer from."""
    from medeor import api

    for path in api.export(run, onnx=onnx, embeddings=embeddings, graph=graph, around=around, trust=trust or ()):
        print(path)


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

    from medeor.registry import TASKS

    if as_json:
        _print_json([asdict(facts) for facts in TASKS.values()])
        return
    for facts in TASKS.values():
        print(f'{facts.name}: {facts.does}\n  reads {facts.reads}\n  needs pip install "medeor[{facts.extra}]"')
        for key, meaning in facts.options.items():
            print(f"  --option {key}=…  {meaning}")
        for role, meaning in facts.inputs.items():
            print(f"  --set inputs.{role}=…  {meaning}")
        for key, meaning in facts.query.items():
            print(f"  predict --query {key}=…  {meaning}")


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
        _print_measures(part, measures)
    print(f"report: {trained.folder / 'report.html'}")
    print(f"try:    medeor predict {trained.folder} IMAGE --out predictions.csv")


def main() -> None:
    """Runs a verb; what the user can put right is said in a line or two, with exit code 2."""
    try:
        code = app(standalone_mode=False, args=_current(sys.argv[1:]) or ["--help"])
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


def _current(arguments: Sequence[str]) -> list[str]:
    """The arguments with the flag that 0.1 called --where by its name of today."""
    new = "--query" if arguments[:1] == ["predict"] else "--option"
    if any(text.partition("=")[0] == "--where" for text in arguments):
        renamed("--where", new)
    return [re.sub(r"^--where(?==|$)", new, text) for text in arguments]


def _fields(
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
        "options": _pairs(options, "--option"),
        "settings": _pairs(settings, "--set"),
        "accept": tuple(accept or ()),
    }


def _pairs(given: Sequence[str] | None, flag: str) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UserError(f"{flag} {text}: write key=value")
        pairs[key] = value
    return pairs


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


def _print_measures(part: str, measures: Mapping[str, Mapping[str, Any]]) -> None:
    """Headline measures first, each with its interval and the baseline's beside it."""
    from rich.console import Console as RichConsole
    from rich.table import Table

    table = Table("", part, "95 % interval", "baseline", box=None, pad_edge=False)
    own = {name: m for name, m in measures.items() if not name.startswith("baseline/")}
    for name, measure in own.items():
        if "[" in name or measure["value"] is None:
            continue
        low, high = measure["low"], measure["high"]
        interval = "" if low is None else f"{_number(low)} to {_number(high)}"
        other = measures.get(f"baseline/{name}", {}).get("value")
        table.add_row(name, _number(measure["value"]), interval, "" if other is None else _number(other))
    RichConsole(width=None if sys.stdout.isatty() else 120).print(table)


def _verdicts(table: pl.DataFrame) -> str:
    """How many cases are not like the training data, where anybody judged them."""
    if "verdict" not in table.columns:
        return ""
    counts = {
        name: table.filter(table["verdict"] == name)["case_id"].n_unique() for name in (OUT_OF_DOMAIN, BORDERLINE)
    }
    text = " and ".join(f"{count} of them {name}" for name, count in counts.items() if count)
    return f", {text}" if text else ""


def _print_figures(figures: Sequence[Figure]) -> None:
    """Tables as they are; other figures are for pages."""
    from rich.console import Console as RichConsole
    from rich.table import Table as RichTable

    from medeor.figures import Table

    console = RichConsole(width=None if sys.stdout.isatty() else 120)
    for figure in figures:
        if isinstance(figure, Table):
            shown = RichTable(*figure.columns, box=None, pad_edge=False)
            for row in figure.rows:
                shown.add_row(*("" if value is None else _number(value) for value in row))
            console.print(figure.title, markup=False, highlight=False, style="bold")
            console.print(shown, markup=False, highlight=False)
            if figure.caption:
                console.print(figure.caption, markup=False, highlight=False)
            console.print()


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        accepted = " (accepted)" if finding.accepted else ""
        print(f"{finding.status:8}{finding.check}{accepted}: {finding.message}")


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
