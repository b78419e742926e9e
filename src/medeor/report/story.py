"""The report of a finished run, in the order a reader asks: how good, believed when, for whom, why, from what
data, by which plan."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from medeor.contracts import (
    Answers,
    Cases,
    Explanations,
    Finding,
    Message,
    Plan,
    Predictions,
    Result,
    Split,
    Task,
    Text,
    named,
)  # fmt: skip
from medeor.figures import Figure, Lines, Series, Table
from medeor.files import write_text
from medeor.report.card import Code, Fact, card
from medeor.report.decisions import decisions, first_words
from medeor.report.page import RESULTS, Headline, Report, Section, write
from medeor.report.text import together
from medeor.report.verdict import own_figure
from medeor.report.verdict import verdict as verdict_of
from medeor.settings import flat
from medeor.targets import headlines, label
from medeor.trust import curves
from medeor.trust.calibration import Calibration
from medeor.trust.measures import subgroup_table
from medeor.trust.usefulness import bracketed

PARTS = named("report.part", "test", "cv")
SHOWN = Message("report.explanations.passed")
SCORES = tuple(named("report.scores", "case", "item", "method", "verdict").values())
GAIN = tuple(named("report.gain", "metric", "with", "without", "difference", "low", "high").values())
REASONS, AUDIT, FIT, PLAN, RATINGS, PREDICTIONS = named(
    "report.section", "reasons", "audit", "fit", "plan", "scores", "predictions"
).values()
SETTINGS = tuple(named("report.plan", "setting", "value").values())


def write_report(
    folder: Path,
    task: Task,
    split: Split,
    part: str,
    result: Result,
    findings: Sequence[Finding],
    plan: Plan,
    calibration: Calibration | None,
    logs: Mapping[str, pl.DataFrame],
    gain: Mapping[str, Any] | None,
    facts: Mapping[str, str],
    simulated: bool,
) -> None:
    """Writes `report.html` and `card.md` into the run folder.

    Args:
        part: the part of the study that was scored.
        logs: the epochs of each network, by its name, empty for the only one: `epoch, loss` and, where cases were held
            out, `held_out_loss`.
        gain: what a step of preparation gained, where the study asked for one: `step`, and `rows` as of
            `trust.compare`.
        facts: whence the results are, with `task`, the name of the task."""
    subgroups = subgroup_table(result.cases, result.predictions)
    measures = {name: m for name, m in result.measures.items() if not name.startswith("baseline/")}
    drawn = curves.figures(
        result.cases, result.predictions, baseline=result.baseline, measures=measures, subgroups=subgroups
    )
    verdict, tone = verdict_of(result)
    counts = split.table.group_by("part").len().sort("len", descending=True)
    targets = [target.name for target in result.cases.targets]
    subtitle = Message(
        "report.story.subtitle", targets=targets, decided=first_words(result.cases.targets, calibration),
        cases=Message("common.count.case", count=len(split.table)), part=PARTS.get(part, part),
        parts=[Message("report.story.of-part", count=n, part=name) for name, n in counts.iter_rows()],
    )  # fmt: skip
    decided = decisions(result.cases.targets, calibration)
    sections = (
        Section(RESULTS, Message("report.story.results", part=PARTS.get(part, part)), (*decided, *drawn)),
        _explained(task, result),
        Section(AUDIT, Message("report.story.audit"), findings=tuple(findings)),
        Section(FIT, "", tuple(_epochs(logs))),
        Section(PLAN, Message("report.story.plan"), (*_gain(gain), _plan(plan))),
    )
    report = Report(
        folder.resolve().name, subtitle, facts["task"], verdict, tone, simulated, _headlines(result), sections, facts
    )
    write(report, folder / "report.html")
    about: dict[str, Fact] = {
        "purpose": Message("report.story.purpose", task=facts["task"], targets=targets),
        "split": {name: str(n) for name, n in counts.iter_rows()},
        "usage": Code(f"medeor predict {shlex.quote(folder.resolve().name)}.medeor NEW_CASES --out predictions.csv"),
        "limits": [Message("report.story.only-these-cases"), Message("report.story.prevalence")],
    }
    write_text(folder / "card.md", card(report, about))


def write_explanations(
    path: Path, task: Task, cases: Cases, predictions: Predictions, explanations: Explanations
) -> None:
    result = Result(cases, predictions, Predictions(predictions.table.clear()), explanations, {})
    names = tuple(dict.fromkeys(name for e in explanations.cases for name in e.scores))
    rows = tuple(
        (e.case_id, e.item, e.method, SHOWN if e.shown else e.reason, *(e.scores.get(name) for name in names))
        for e in explanations.cases
    )
    scores = Section(RATINGS, "", (Table(RATINGS, (*SCORES, *names), rows),))
    page = Report(
        Message("report.explanations.title", cases=Message("common.count.case", count=len(cases))),
        _summary(explanations), Message("report.explanations.task"), Message("report.explanations.verdict"),
    )  # fmt: skip
    write(dataclasses.replace(page, sections=(_explained(task, result), scores)), path)


def write_answers(path: Path, task: str, answers: Answers) -> None:
    cases = Message("common.count.case", count=answers.table["case_id"].n_unique())
    page = Report(Message("report.answers.title", cases=cases), "", task, Message("report.answers.verdict"))
    write(dataclasses.replace(page, sections=(Section(PREDICTIONS, "", answers.figures),)), path)


def _headlines(result: Result) -> tuple[Headline, ...]:
    made = []
    for name in filter(None, dict.fromkeys((own_figure(result), *headlines(result.cases.targets), "accuracy", "ece"))):
        if name in result.measures:
            baseline = result.measures.get(f"baseline/{name}")
            made.append(Headline(label(name), result.measures[name], baseline=baseline))
    return tuple(made[:6])


def _explained(task: Task, result: Result) -> Section:
    """Cases with the reasons for what was predicted."""
    explanations = result.explanations
    shown = sum(e.shown for e in explanations.cases)
    failed = len(explanations.cases) - shown
    intro: Text = Message("report.explanations.none")
    if explanations.cases:
        passed = Message("report.explanations.shown", shown=shown, failed=failed, count=shown + failed)
        intro = together(passed, _summary(explanations))
    return Section(REASONS, intro, tuple(task.show(result)))


def _summary(explanations: Explanations) -> Text:
    gains = [
        Message("report.explanations.gain", method=name.removesuffix("/faithfulness/gain"), gain=bracketed(measure))
        for name, measure in explanations.summary.items()
        if name.endswith("/gain") and measure.value is not None
    ]
    return Message("report.explanations.gains", gains=gains) if gains else ""


def _epochs(logs: Mapping[str, pl.DataFrame]) -> Iterable[Figure]:
    """The loss of each epoch, one line a network; and on the cases that it was not fitted to."""
    epoch, loss = Message("report.fit.epoch"), Message("report.fit.loss")
    held_out = Message("report.fit.held-out"), Message("report.fit.averaged")
    for column, title, caption in (("loss", Message("report.fit.training"), ""), ("held_out_loss", *held_out)):
        known = {name: log.drop_nulls(column) for name, log in logs.items() if log.height > 1 and column in log.columns}
        series = [Series(name or loss, tuple(log["epoch"]), tuple(log[column])) for name, log in known.items()]
        if series:
            yield Lines(title, epoch, loss, tuple(series), caption)


def _gain(gain: Mapping[str, Any] | None) -> Iterable[Figure]:
    if gain:
        rows = tuple((r["metric"], r["ours"], r["theirs"], r["difference"], r["low"], r["high"]) for r in gain["rows"])
        yield Table(Message("report.gain.title", step=gain["step"]), GAIN, rows, Message("report.gain.caption"))


def _plan(plan: Plan) -> Table:
    values = flat(dataclasses.asdict(plan))  # type: ignore[call-overload]
    rows = ((name, ", ".join(map(str, one)) if isinstance(one, (list, tuple)) else str(one)) for name, one in values)
    return Table(PLAN, SETTINGS, tuple(rows))
