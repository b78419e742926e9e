"""The report as a value, and its HTML: one file that opens without a network, on a screen of any width and on paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medeor import __version__
from medeor.contracts import Finding, Measure, Message, Text, named
from medeor.figures import Figure
from medeor.files import write_text
from medeor.messages import language
from medeor.report.pictures import TONES, icon
from medeor.report.plots import arranged
from medeor.report.tables import window
from medeor.report.text import escape, interval, number, paragraphs, parts

SIMULATED, NO_PATIENT = named("report.page", "simulated", "no-patient").values()
SUMMARY, RESULTS, PROVENANCE = named("report.section", "summary", "results", "provenance").values()
WRITTEN_BY = Message("report.page.written-by", version=__version__)
FINDINGS = tuple(named("report.finding", "result", "check", "found").values())

Tone = Literal["good", "bad", "neutral"]

LISTED = 500
"""Case ids of one finding that the page lists; the others are in `audit.json`."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What the browser may do for this page: show it. No script, no address."""


@dataclass(frozen=True)
class Headline:
    """One of the few numbers at the top, with its interval and the same number of the simple baseline."""

    label: Text
    measure: Measure
    note: Text = ""
    baseline: Measure | None = None


@dataclass(frozen=True)
class Section:
    """A part of the report. Empty lines in `intro` and in a note divide paragraphs; all text is plain."""

    title: Text
    intro: Text = ""
    figures: tuple[Figure, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a run has to say. `verdict` is one honest sentence, `tone` how it is meant."""

    title: Text
    subtitle: Text
    task: Text
    verdict: Text
    tone: Tone = "neutral"
    simulated: bool = False
    headlines: tuple[Headline, ...] = ()
    sections: tuple[Section, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


def write(report: Report, path: Path) -> None:
    write_text(path, render(report))


def render(report: Report) -> str:
    """The report as HTML. Every text of it is escaped.

    Raises: ValueError for a picture or drawing that cannot be shown (see `plots.draw`)."""
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8").replace("SIMULATED", str(SIMULATED))
    sections = [(f"section-{i}", section) for i, section in enumerate(report.sections, start=1)]
    contents = [("summary", SUMMARY), *((name, section.title) for name, section in sections)]
    contents += [("provenance", PROVENANCE)] if report.provenance else []
    title, opened = report.title, "<body>"
    if report.simulated:
        title = Message("report.page.simulated-title", title=title)
        banner = f"<b>{escape(SIMULATED)}</b> <span>{escape(NO_PATIENT)}</span>"
        opened = f'<body class="simulated">\n<p class="banner" role="note">{banner}</p>'
    body = _header(report) + "".join(_section(name, section) for name, section in sections) + _provenance(report)
    about = Message("report.page.simulated-written-by", about=WRITTEN_BY) if report.simulated else WRITTEN_BY
    return (
        f'<!DOCTYPE html>\n<html lang="{language()}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<meta name="generator" content="medeor {__version__}">\n<title>{escape(title)}</title>\n'
        f"<style>\n{style}</style>\n</head>\n"
        f'{opened}\n<div class="sheet">\n{_contents(contents)}\n<main>\n{body}\n'
        f"<footer><p>{escape(about)}</p></footer>\n</main>\n</div>\n</body>\n</html>\n"
    )


def _contents(entries: Iterable[tuple[str, Text]]) -> str:
    links = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title in entries)
    title = escape(Message("report.page.contents"))
    return f'<nav aria-label="{title}"><p>{title}</p><ol>{links}</ol></nav>'


def _header(report: Report) -> str:
    verdict = f'<p class="verdict {report.tone}">{icon(TONES[report.tone])}<span>{escape(report.verdict)}</span></p>'
    headlines = "".join(_headline(headline) for headline in report.headlines)
    key = f'<p class="fine">{escape(Message("report.page.brackets"))}</p>'
    return (
        f'<header id="summary"><p class="kicker">{escape(report.task)}</p><h1>{escape(report.title)}</h1>'
        f'<p class="subtitle">{escape(report.subtitle)}</p>{verdict}'
        + (f'<dl class="headlines">{headlines}</dl>{key}' if headlines else "")
        + "</header>\n"
    )


def _headline(headline: Headline) -> str:
    value, bounds = parts(headline.measure)
    html = f'<dd class="value"><b>{value}</b>' + (f"<span>({bounds})</span>" if bounds else "") + "</dd>"
    if headline.baseline is not None:
        html += f'<dd class="baseline">{escape(Message("report.page.baseline", of=interval(headline.baseline)))}</dd>'
    about = [] if headline.measure.n is None else [f"<i>n</i> = {number(headline.measure.n)}"]
    if headline.note:
        about.append(escape(headline.note))
    html += f'<dd class="about">{" · ".join(about)}</dd>' if about else ""
    return f"<div><dt>{escape(headline.label)}</dt>{html}</div>"


def _section(name: str, section: Section) -> str:
    figures = arranged(section.figures)
    notes = "".join(f'<div class="note">{paragraphs(note)}</div>' for note in section.notes)
    return (
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(section.title)}</h2>'
        + paragraphs(section.intro, "intro")
        + _findings(section.findings)
        + (f'<div class="figures">{figures}</div>' if figures else "")
        + f"{notes}</section>\n"
    )


def _findings(findings: tuple[Finding, ...]) -> str:
    """What stops the study first, what passed last."""
    if not findings:
        return ""
    rows = "".join(_finding(finding) for finding in sorted(findings, key=rank))
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in FINDINGS)
    html = f'<table class="findings"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<p class="tally">{escape(tally(findings))}</p>{window(html, Message("report.page.findings"))}'


def rank(finding: Finding) -> int:
    """0 for a failure that nobody accepted, 1 for an accepted one, 2 for what is unknown, 3 for a pass."""
    return {"fail": 1 if finding.accepted else 0, "unknown": 2, "pass": 3}[finding.status]


def tally(findings: Iterable[Finding]) -> Message:
    """`14 checks: 2 failed (1 accepted), 1 unknown, 11 passed.`"""
    failed, accepted, unknown, passed = map([rank(finding) for finding in findings].count, range(4))
    checks = Message("common.count.check", count=failed + accepted + unknown + passed)
    return Message(
        "report.tally.accepted" if accepted else "report.tally.plain", checks=checks, failed=failed + accepted,
        accepted=accepted, unknown=unknown, passed=passed,
    )  # fmt: skip


def _finding(finding: Finding) -> str:
    word = escape(Message(f"report.result.{finding.status}"))
    note = f'<span class="accepted">{escape(Message("report.result.accepted"))}</span>' if rank(finding) == 1 else ""
    cases = ""
    if finding.cases:
        listed = " ".join(f"<li>{escape(case)}</li>" for case in finding.cases[:LISTED])
        more = len(finding.cases) - LISTED
        rest = f"<p>{escape(Message('report.page.more-cases', count=more))}</p>" if more > 0 else ""
        summary = escape(Message("common.count.case", count=len(finding.cases)))
        cases = f"<details><summary>{summary}</summary><ul>{listed}</ul>{rest}</details>"
    return (
        f'<tr><td class="result {finding.status}">{icon(finding.status)}<b>{word}</b>{note}</td>'
        f'<th scope="row">{escape(finding.check)}<small>{escape(Message(f"report.kind.{finding.kind}"))}</small></th>'
        f"<td>{escape(finding.message)}{cases}</td></tr>"
    )


def _provenance(report: Report) -> str:
    if not report.provenance:
        return ""
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in report.provenance.items()
    )
    return (
        '<section id="provenance" aria-labelledby="provenance-title">'
        f'<h2 id="provenance-title">{escape(PROVENANCE)}</h2>'
        f'<dl class="provenance">{rows}</dl></section>\n'
    )
