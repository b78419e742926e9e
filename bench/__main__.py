"""Runs the workloads row by row and writes RESULTS.md; a row that is done is not run again."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Mapping

from bench.machine import facts
from bench.workload import HERE, Bar, Row, Workload, workloads
from medeor.contracts import Measure
from medeor.files import read_json, write_json, write_text
from medeor.tasks import find

Figures = Mapping[str, Measure]


def main() -> None:
    """`python -m bench [NAME …]`: rows of these workloads (all of them) that are missing are run, then the table is
    written from every row that is done."""
    known = workloads()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}")
    parser.add_argument("--again", action="store_true", help="forget what these workloads have measured before")
    asked = parser.parse_args()
    for name in asked.names:
        if name not in known:
            parser.error(f"no workload is called {name}; there are {', '.join(known)}")
    for workload in known.values():
        for row in workload.rows if not asked.names or workload.name in asked.names else ():
            if asked.again:
                row.result.unlink(missing_ok=True)
                shutil.rmtree(row.place, ignore_errors=True)
            measured(row)
    table = results(known)
    write_text(HERE / "RESULTS.md", table)
    print(table)


def measured(row: Row) -> Figures:
    """The figures of one row, measured now unless they were before."""
    if not row.result.exists():
        print(f"{row.name}: begun at {time.strftime('%H:%M:%S')}", flush=True)
        figures = find(f"bench.rows.{row.workload.measure}")(row)
        write_json(row.result, {"machine": facts(), "figures": {name: list(one) for name, one in figures.items()}})
    return {name: Measure(*one) for name, one in read_json(row.result)["figures"].items()}


def results(known: Mapping[str, Workload]) -> str:
    """The table of what has been measured, with the command that prints each line."""
    machine = "; ".join(f"{name} {value}" for name, value in facts().items())
    lines = [
        "# Results",
        "",
        f"Written {time.strftime('%Y-%m-%d')} by `make bench` on this machine: {machine}.",
        "A figure of several rows is their mean with the lowest and the highest; a speed is the median of stretches in "
        "turn with the other side, with the lowest and the highest; any other has its 95 % interval.",
        "",
    ]
    for workload in known.values():
        done = [(row, measured(row)) for row in workload.rows if row.result.exists()]
        done = [(row, figures) for row, figures in done if figures]
        if not done:
            continue
        lines += [f"## {workload.what}", ""]
        if workload.peer:
            lines += [f"Beside it: {workload.peer}.", ""]
        if workload.known:
            lines += [f"Known: {workload.known}.", ""]
        lines += [
            f"`python -m bench {workload.name}`",
            "",
            "| data | rows | figure | measured | bar | |",
            "|---|---|---|---|---|---|",
        ]
        for data in workload.data:
            lines += table([figures for row, figures in done if row.data == data], data, workload.bars)
        lines.append("")
    return "\n".join(lines)


def table(rows: list[Figures], data: str, bars: tuple[Bar, ...]) -> list[str]:
    """One line a figure: first those that have a bar."""
    if not rows:
        return []
    named = {bar.figure: bar for bar in bars if bar.data in ("", data)}
    figures = {name: over([row[name] for row in rows if name in row]) for name in dict.fromkeys([*named, *rows[0]])}
    lines = []
    for name, measure in figures.items():
        bar = named.get(name)
        verdict = {True: "met", False: "**not met**", None: ""}[bar.met(figures) if bar else None]
        lines.append(f"| {data} | {len(rows)} | {name} | {told(measure)} | {bar.words if bar else ''} | {verdict} |")
    return lines


def over(measures: list[Measure]) -> Measure:
    """The mean over rows, with the lowest and highest; the measure itself where there is one row."""
    values = [measure.value for measure in measures if measure.value is not None]
    if len(measures) <= 1 or not values:
        return measures[0] if measures else Measure(None)
    return Measure(sum(values) / len(values), min(values), max(values), len(values))


def told(measure: Measure) -> str:
    if measure.value is None:
        return "not measured"
    between = measure.low is not None and measure.high is not None and measure.low < measure.high
    return _digits(measure.value) + (f" ({_digits(measure.low)} to {_digits(measure.high)})" if between else "")


def _digits(value: float | None) -> str:
    """Whole numbers from a hundred on, else three digits after the point."""
    return f"{value:,.0f}" if value is not None and abs(value) >= 100 else f"{value:.3f}"


if __name__ == "__main__":
    main()
