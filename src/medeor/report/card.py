"""A model card in Markdown: what the model is for, what it was fitted on, how good it is, where it fails."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from medeor.contracts import Finding, Measure, Message, Text, named
from medeor.figures import Figure, Intervals, Matrix, Table
from medeor.report.page import NO_PATIENT, PROVENANCE, RESULTS, SIMULATED, WRITTEN_BY, Report, Section, rank, tally
from medeor.report.tables import cells
from medeor.report.text import alike, clean, interval, number

BEFORE = named("report.card", "purpose", "data", "split")
AFTER = named("report.card", "limits", "usage")
HEADLINES = tuple(named("report.card", "metric", "value", "baseline", "units", "note").values())
FINDINGS = tuple(named("report.finding", "check", "result", "found", "concerns").values())

ROWS = 40
"""Rows of a table that the card repeats; longer ones are read in the report."""


class Code(NamedTuple):
    """Lines to be typed in a terminal."""

    lines: str


Fact = Text | Code | Sequence[Text] | Mapping[str, object]
"""Paragraphs of plain text, code, a list, or names and values."""


def card(report: Report, facts: Mapping[str, Fact]) -> str:
    """The model card of a run. It names no case: of a finding it gives the number of cases.

    `facts` gives what a report does not hold: `purpose`, `data` and `split` stand before the results, `limits` and
    `usage` after them, and any other key under its own name at the end. All text is escaped: names of columns, classes
    and folders come from elsewhere."""
    blocks = [f"# {_plain(report.title)}"]
    if report.simulated:
        blocks.append(f"> **{_plain(SIMULATED)}.** {_plain(NO_PATIENT)}")
    task = Message("report.card.task", task=report.task)
    blocks += [_plain(report.subtitle), f"**{_plain(report.verdict)}**", _plain(task)]
    blocks += _facts(facts, BEFORE)
    if report.headlines:
        rows = [
            [one.label, interval(one.measure), interval(one.baseline or Measure(None)), number(one.measure.n), one.note]
            for one in report.headlines
        ]
        blocks += [f"## {_plain(RESULTS)}", _plain(Message("report.page.brackets"))]
        blocks.append(_table(HEADLINES, rows))
    for section in report.sections:
        blocks += _section(section)
    blocks += _facts(facts, AFTER)
    others: dict[str, Text] = {key: key.replace("_", " ").capitalize() for key in facts if key not in BEFORE | AFTER}
    blocks += _facts(facts, others)
    if report.provenance:
        blocks += [f"## {_plain(PROVENANCE)}", _list(report.provenance)]
    blocks.append(f"*{_plain(WRITTEN_BY)}*")
    return "\n\n".join(block for block in blocks if block) + "\n"


def _section(section: Section) -> list[str]:
    """A section that has anything a card can hold: tables, findings, notes. Pictures stay in the report."""
    tables = [block for figure in section.figures for block in _figure(figure)]
    findings = _findings(section.findings)
    if not (tables or findings or section.notes):
        return []
    intro = [_plain(section.intro)] if tables or findings else []
    return [f"## {_plain(section.title)}", *intro, *findings, *tables, *map(_plain, section.notes)]


def _figure(figure: Figure) -> list[str]:
    match figure:
        case Intervals():
            columns = ["", figure.x_label]
            rows = [[name, interval(Measure(value, low, high))] for name, value, low, high in figure.rows]
        case Table():
            columns = list(figure.columns)
            rows = [list(row) for row in zip(*map(cells, zip(*figure.rows)))]
        case Matrix():
            columns = [f"{figure.row_label} / {figure.column_label}".strip(" /"), *figure.columns]
            written = iter(alike([value for row in figure.values for value in row]))
            rows = [[name, *(next(written) for _ in row)] for name, row in zip(figure.rows, figure.values)]
        case _:
            return []
    if not rows or len(rows) > ROWS:
        return []
    return [f"**{_plain(figure.title)}**", _table(columns, rows), _plain(figure.caption)]


def _findings(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    rows = [
        [
            finding.check,
            Message("report.card.accepted") if rank(finding) == 1 else Message(f"report.result.{finding.status}"),
            finding.message,
            Message("common.count.case", count=len(finding.cases)) if finding.cases else "",
        ]
        for finding in findings
        if finding.status != "pass"
    ]
    summary = [_plain(tally(findings))]
    return [*summary, _table(FINDINGS, rows)] if rows else summary


def _facts(facts: Mapping[str, Fact], titles: Mapping[str, Text]) -> list[str]:
    blocks = []
    for key, title in titles.items():
        fact = facts.get(key)
        if fact:
            blocks += [f"## {_plain(title)}", _fact(fact)]
    return blocks


def _fact(fact: Fact) -> str:
    match fact:
        case Code(lines):
            # Indented code has no end that a name could hold.
            return "\n".join("    " + " ".join(clean(line).split()) for line in lines.splitlines())
        case str() | Message():
            return "\n\n".join(_plain(block) for block in re.split(r"\n\s*\n", str(fact)) if block.strip())
        case _:
            return _list(fact)


def _list(fact: Sequence[Text] | Mapping[str, object]) -> str:
    if isinstance(fact, Mapping):
        return "\n".join(f"- {_plain(key)}: {_plain(value)}" for key, value in fact.items())
    return "\n".join(f"- {_plain(item)}" for item in fact)


def _table(columns: Sequence[Text], rows: Iterable[Sequence[Text]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    escaped = [["---" if cell == "---" else _plain(cell) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _plain(text: object) -> str:
    """Text on one line that Markdown leaves as it is: no HTML, no link, no picture, no formula, no heading."""
    line = " ".join(clean(text).split())
    line = re.sub(r"[\\`*_\[\]|~$]", r"\\\g<0>", line)
    line = _START.sub(lambda found: found[0] + "\\" if found[0].isdigit() else f"\\{found[0]}", line)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return line.replace("://", ":&#47;/").replace("www.", "www&#46;")


_START = re.compile(r"^(?:#|[-+](?=\s|$)|[-=](?=[-=]*$)|\d+(?=[.)](?:\s|$)))")
"""What would make a line a heading or a list: the sign, or the number before one."""
