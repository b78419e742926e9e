"""What verbs print on the screen."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from medeor.contracts import Finding, TaskFacts
    from medeor.figures import Figure


def print_json(value: object) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


def print_measures(part: str, measures: Mapping[str, Mapping[str, Any]]) -> None:
    """Headline measures first, each with its interval and the baseline's beside it."""
    from rich.console import Console as RichConsole
    from rich.table import Table

    table = Table("", part, "95 % interval", "baseline", box=None, pad_edge=False)
    own = {name: m for name, m in measures.items() if not name.startswith("baseline/")}
    for name, measure in own.items():
        if "[" in name or measure["value"] is None:
            continue
        low, high = measure["low"], measure["high"]
        interval = "" if low is None else f"{number(low)} to {number(high)}"
        other = measures.get(f"baseline/{name}", {}).get("value")
        table.add_row(name, number(measure["value"]), interval, "" if other is None else number(other))
    RichConsole(width=None if sys.stdout.isatty() else 120).print(table)


def verdicts(table: pl.DataFrame) -> str:
    """How many cases are not like the training data, where anybody judged them."""
    from medeor.contracts import BORDERLINE, OUT_OF_DOMAIN

    if "verdict" not in table.columns:
        return ""
    counts = {
        name: table.filter(table["verdict"] == name)["case_id"].n_unique() for name in (OUT_OF_DOMAIN, BORDERLINE)
    }
    text = " and ".join(f"{count} of them {name}" for name, count in counts.items() if count)
    return f", {text}" if text else ""


def print_figures(figures: Sequence[Figure]) -> None:
    """Tables as they are; other figures are for pages."""
    from rich.console import Console as RichConsole
    from rich.table import Table as RichTable

    from medeor.figures import Table

    console = RichConsole(width=None if sys.stdout.isatty() else 120)
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


def print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        accepted = " (accepted)" if finding.accepted else ""
        print(f"{finding.status:8}{finding.check}{accepted}: {finding.message}")


def number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_task(facts: TaskFacts) -> None:
    """What a task reads and needs, and all that can be asked of it."""
    print(f"{facts.name}: {facts.does}\n  reads {facts.reads}\n  needs {facts.install}")
    lines = [(f"--option {key}=…", meaning) for key, meaning in facts.options.items()]
    lines += [(f"--set inputs.{role}=…", meaning) for role, meaning in facts.inputs.items()]
    lines += [line for offer in facts.offers for line in offer.usage]
    for said, meaning in lines:
        print(f"  {said}  {meaning}")
