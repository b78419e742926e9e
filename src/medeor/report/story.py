"""The report of a finished run, in the order a reader asks: how good, believed when, for whom, why, from what
data, by which plan."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

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
    Study,
    Task,
    Text,
    named,
)  # fmt: skip
from medeor.figures import Figure, Lines, Series, Table
from medeor.files import read_json, write_text
from medeor.report.card import Code, Fact, card
from medeor.report.decisions import decisions, first_words
from medeor.report.page import RESULTS, Headline, Report, Section, write
from medeor.report.text import together
from medeor.report.verdict import own_figure
from medeor.report.verdict import verdict as verdict_of
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
    study: Study,
    task: Task,
    split: Split,
    results: Mapping[str, Result],
    findings: Sequence[Finding],
    plan: Plan,
    facts: Mapping[str, str],
    simulated: bool = False,
) -> None:
    """Writes `report.html` and `card.md` into the run folder."""
    part, result = next(iter(results.items()))
    subgroups = subgroup_table(result.cases, result.predictions)
    measures = {name: m for name, m in result.measures.items() if not name.startswith("baseline/")}
    drawn = curves.figures(
        result.cases, result.predictions, baseline=result.baseline, measures=measures, subgroups=subgroups
    )
    verdict, tone = verdict_of(result)
    counts = split.table.group_by("part").len().sort("len", descending=True)
    targets, calibration = [target.name for target in result.cases.targets], _calibration(folder)
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
        Section(FIT, "", tuple(_logs(folder))),
        Section(PLAN, Message("report.story.plan"), (*_gain(folder), _plan(plan))),
    )
    report = Report(
        folder.resolve().name, subtitle, study.task, verdict, tone, simulated, _headlines(result), sections, facts
    )
    write(report, folder / "report.html")
    about: dict[str, Fact] = {
        "purpose": Message("report.story.purpose", task=study.task, targets=targets),
        "split": {name: str(n) for name, n in counts.iter_rows()},
        "usage": Code(f"medeor predict {shlex.quote(folder.resolve().name)}.medeor NEW_CASES --out predictions.csv"),
        "limits": [Message("report.story.only-these-cases"), Message("report.story.prevalence")],
    }
    write_text(folder / "card.md", card(report, about))


def write_explanations(
    path: Path, task: Task, cases: Cases, predictions: Predictions, explanations: Explanations
) -> None:
    """Writes one page of explained cases."""
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
    """Writes one page on a few cases."""
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


def _calibration(folder: Path) -> Calibration | None:
    path = folder / "calibration.json"
    return Calibration.from_json(read_json(path)) if path.exists() else None


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


def _logs(folder: Path) -> Iterable[Figure]:
    """Loss of each epoch, one line a member; and on the cases that it was not fitted to."""
    series, held_out = [], []
    epoch, loss = Message("report.fit.epoch"), Message("report.fit.loss")
    for path in sorted((folder / "model").rglob("log.jsonl")):
        log = pl.read_ndjson(path, infer_schema_length=None)
        if log.height > 1:
            name = path.parent.name if path.parent.name != "model" else loss
            series.append(Series(name, tuple(log["epoch"].to_list()), tuple(log["loss"].to_list())))
            if "held_out_loss" in log.columns:
                seen = log.drop_nulls("held_out_loss")
                held_out.append(Series(name, tuple(seen["epoch"].to_list()), tuple(seen["held_out_loss"].to_list())))
    if series:
        yield Lines(Message("report.fit.training"), epoch, loss, tuple(series))
    if held_out:
        yield Lines(Message("report.fit.held-out"), epoch, loss, tuple(held_out), Message("report.fit.averaged"))


def _gain(folder: Path) -> Iterable[Figure]:
    """What a step of preparation gained, where the study asked for one and the method measured it."""
    path = folder / "model" / "gain.json"
    if path.exists():
        gain = read_json(path)
        rows = tuple((r["metric"], r["ours"], r["theirs"], r["difference"], r["low"], r["high"]) for r in gain["rows"])
        yield Table(Message("report.gain.title", step=gain["step"]), GAIN, rows, Message("report.gain.caption"))


def _plan(plan: Plan) -> Table:
    def flat(value: object, name: str) -> Iterable[tuple[str, str]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from flat(inner, f"{name}.{key}" if name else str(key))
        else:
            listed = isinstance(value, (list, tuple))
            yield name, ", ".join(map(str, value)) if listed else str(value)  # type: ignore[call-overload]

    values = dataclasses.asdict(plan)  # type: ignore[call-overload]
    return Table(PLAN, SETTINGS, tuple(flat(values, "")))
