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
from medeor.registry import find

Figures = Mapping[str, Measure]

COMMAND = "`python -m bench "
HEAD = "| data | rows | figure | measured | bar | | on |"


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
    kept = HERE / "RESULTS.md"
    table = results(known, lines_of(kept.read_text()) if kept.exists() else {})
    write_text(kept, table)
    print(table)


def measured(row: Row) -> Figures:
    """The figures of one row, measured now unless they were before."""
    if not row.result.exists():
        print(f"{row.name}: begun at {time.strftime('%H:%M:%S')}", flush=True)
        figures = find(f"bench.rows.{row.workload.measure}")(row)
        plain = {name: list(one) for name, one in figures.items()}
        write_json(row.result, {"machine": facts(), "date": time.strftime("%Y-%m-%d"), "figures": plain})
    return {name: Measure(*one) for name, one in read_json(row.result)["figures"].items()}


def lines_of(written: str) -> dict[tuple[str, str], list[str]]:
    """The lines of an earlier table by workload and data: what was measured on another day, where it has not been
    measured again, is kept as it was."""
    found: dict[tuple[str, str], list[str]] = {}
    name = ""
    for line in written.splitlines():
        if line.startswith(COMMAND):
            name = line.removeprefix(COMMAND).rstrip("`")
        elif line.startswith("| ") and line != HEAD:
            found.setdefault((name, line.split(" ")[1]), []).append(line)
    return found


def results(known: Mapping[str, Workload], earlier: Mapping[tuple[str, str], list[str]]) -> str:
    """The table of what has been measured, with the command that prints each line."""
    machine = "; ".join(f"{name} {value}" for name, value in facts().items())
    lines = [
        "# Results",
        "",
        f"Written by `make bench` on machines of this kind: {machine}.",
        "A figure of several rows is their mean with the lowest and the highest; a speed is the median of stretches in "
        "turn with the other side, with the lowest and the highest; any other has its 95 % interval.",
        "",
    ]
    for workload in known.values():
        found = []
        for data in workload.data:
            done = [row for row in workload.rows if row.data == data and row.result.exists()]
            figures = [one for row in done if (one := measured(row))]
            day = max((read_json(row.result)["date"] for row in done), default="")
            found += table(figures, data, workload.bars, day) or earlier.get((workload.name, data), [])
        if not found:
            continue
        lines += [f"## {workload.what}", ""]
        if workload.peer:
            lines += [f"Beside it: {workload.peer}.", ""]
        if workload.known:
            lines += [f"Known: {workload.known}.", ""]
        lines += [f"{COMMAND}{workload.name}`", "", HEAD, "|---|---|---|---|---|---|---|", *found, ""]
    return "\n".join(lines)


def table(rows: list[Figures], data: str, bars: tuple[Bar, ...], day: str) -> list[str]:
    """One line a figure: first those that have a bar."""
    if not rows:
        return []
    named = {bar.figure: bar for bar in bars if bar.data in ("", data)}
    figures = {name: over([row[name] for row in rows if name in row]) for name in dict.fromkeys([*named, *rows[0]])}
    lines = []
    for name, measure in figures.items():
        bar = named.get(name)
        verdict = {True: "met", False: "**not met**", None: ""}[bar.met(figures) if bar else None]
        asked = bar.words if bar else ""
        lines.append(f"| {data} | {len(rows)} | {name} | {told(measure)} | {asked} | {verdict} | {day} |")
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
