"""What verbs print on the screen."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medeor.messages import Message, named

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from medeor.contracts import Finding, TaskFacts
    from medeor.figures import Figure


def print_json(value: object) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def print_run(folder: Path) -> None:
    for part, measures in json.loads((folder / "metrics.json").read_text()).items():
        print_measures(part, measures)
    if (folder / "report.html").exists():
        print(Message("cli.report.path", path=folder / "report.html"))


def print_measures(part: str, measures: Mapping[str, Mapping[str, Any]]) -> None:
    """Headline measures first, each with its interval and the baseline."""
    from rich.table import Table

    heads = named("cli.measures", "interval", "baseline").values()
    table = Table("", part, *map(str, heads), box=None, pad_edge=False)
    own = {name: m for name, m in measures.items() if not name.startswith("baseline/")}
    for name, measure in own.items():
        if "[" in name or measure["value"] is None:
            continue
        low, high = measure["low"], measure["high"]
        interval = "" if low is None else str(Message("cli.measures.between", low=number(low), high=number(high)))
        other = measures.get(f"baseline/{name}", {}).get("value")
        table.add_row(name, number(measure["value"]), interval, "" if other is None else number(other))
    _screen().print(table)


def predicted(table: pl.DataFrame, path: str) -> Message:
    """How many cases were predicted, and how many are not like the training data, where that was judged."""
    from medeor.contracts import BORDERLINE, OUT_OF_DOMAIN

    cases = Message("common.count.case", count=table["case_id"].n_unique())
    if "verdict" not in table.columns:
        return Message("cli.predict.predicted", cases=cases, path=path)
    counts = dict(table.unique(["case_id", "verdict"])["verdict"].value_counts().iter_rows())
    unlike = [name for name in (OUT_OF_DOMAIN, BORDERLINE) if name in counts]
    verdicts = [Message("cli.predict.verdict", count=counts[name], verdict=name) for name in unlike]
    key = "cli.predict.judged" if unlike else "cli.predict.predicted"
    return Message(key, cases=cases, verdicts=verdicts, path=path)


def print_figures(figures: Sequence[Figure]) -> None:
    """Tables as they are; other figures are for pages."""
    from rich.table import Table as RichTable

    from medeor.figures import Table

    console = _screen()
    for figure in figures:
        if isinstance(figure, Table):
            shown = RichTable(*map(str, figure.columns), box=None, pad_edge=False)
            for row in figure.rows:
                shown.add_row(*("" if value is None else number(value) for value in row))
            console.print(str(figure.title), markup=False, highlight=False, style="bold")
            console.print(shown, markup=False, highlight=False)
            if figure.caption:
                console.print(str(figure.caption), markup=False, highlight=False)
            console.print()


def _screen() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)


def print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        check = Message("cli.audit.accepted", check=finding.check) if finding.accepted else finding.check
        print(f"{finding.status:8}{check}: {finding.message}")


def number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_task(facts: TaskFacts) -> None:
    """What a task reads and needs, and all that can be asked of it."""
    print(Message("cli.tasks.task", name=facts.name, does=facts.does, reads=facts.reads, install=facts.install))
    lines = [(f"--option {key}=…", meaning) for key, meaning in facts.options.items()]
    lines += [(f"--set inputs.{role}=…", meaning) for role, meaning in facts.inputs.items()]
    lines += [line for offer in facts.offers for line in offer.usage]
    for usage, meaning in lines:
        print(f"  {usage}  {meaning}")
