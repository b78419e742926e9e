"""What a finished run has to say, told in the order a reader asks: how good, believed when, for whom, why, from what
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
    Plan,
    Predictions,
    Result,
    Split,
    Study,
    Task,
)
from medeor.figures import Figure, Lines, Series, Table
from medeor.files import read_json, write_text
from medeor.report.card import Code, Fact, card
from medeor.report.decisions import decisions, first_words
from medeor.report.page import Headline, Report, Section, write
from medeor.report.verdict import own_figure
from medeor.report.verdict import verdict as verdict_of
from medeor.targets import headlines, label
from medeor.trust import curves
from medeor.trust.calibration import Calibration
from medeor.trust.measures import subgroup_table

SAID = {
    "test": "the test part, scored once",
    "cv": "out-of-fold predictions of every case (cross-validation)",
}


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
    parts = ", ".join(f"{n} {name}" for name, n in counts.iter_rows())
    targets = ", ".join(target.name for target in result.cases.targets)
    calibration = _calibration(folder)
    asked, decided = first_words(result.cases.targets, calibration), decisions(result.cases.targets, calibration)
    report = Report(
        title=folder.resolve().name,
        subtitle=f"Predicts {targets}. {asked}{len(split.table)} cases: {parts}. Results on {SAID.get(part, part)}.",
        task=study.task,
        verdict=verdict,
        tone=tone,
        simulated=simulated,
        headlines=_headlines(result),
        sections=(
            Section("Results", _results_intro(part), (*decided, *drawn)),
            Section("Cases and reasons", _reasons_intro(result.explanations), tuple(task.show(result))),
            Section("Audit of the data", "What was checked before and after the fit.", findings=tuple(findings)),
            Section("Fit", "", tuple(_logs(folder))),
            Section("Plan", "The plan that was followed; it stands in plan.toml.", (*_gain(folder), _plan(plan))),
        ),
        provenance=facts,
    )
    write(report, folder / "report.html")
    about: dict[str, Fact] = {
        "purpose": f"Answers the question {study.task} for {targets}. For research; no medical device.",
        "split": {name: str(n) for name, n in counts.iter_rows()},
        "usage": Code(f"medeor predict {shlex.quote(folder.resolve().name)}.medeor NEW_CASES --out predictions.csv"),
        "limits": [
            "It was tested on the cases named above and on no others; other scanners and patients may differ.",
            "Its probabilities are calibrated for the share of positives among the cases it was fitted on.",
        ],
    }
    write_text(folder / "card.md", card(report, about))


def write_explanations(
    path: Path, task: Task, cases: Cases, predictions: Predictions, explanations: Explanations
) -> None:
    """Writes one page of explained cases."""
    result = Result(cases, predictions, Predictions(predictions.table.clear()), explanations, {})
    shown = Section("Cases and reasons", _reasons_intro(explanations), tuple(task.show(result)))
    names = tuple(dict.fromkeys(name for e in explanations.cases for name in e.scores))
    rows = tuple(
        (e.case_id, e.item, e.method, "shown" if e.shown else e.reason, *(e.scores.get(name) for name in names))
        for e in explanations.cases
    )
    scores = Table("Scores", ("case", "item", "method", "verdict", *names), rows)
    title = f"Why: {len(cases)} cases"
    page = Report(title, _summary(explanations), "explanation", "A map is shown only if it beat random maps.")
    write(dataclasses.replace(page, sections=(shown, Section("Scores", "", (scores,)))), path)


def write_answers(path: Path, task: str, answers: Answers) -> None:
    """Writes one page of what is told of a few cases."""
    count = answers.table["case_id"].n_unique()
    text = "For research; no medical device. What a model says of cases unlike those it learnt from is worth little."
    page = Report(f"Predicted: {count} case{'s' * (count > 1)}", "", task, text)
    write(dataclasses.replace(page, sections=(Section("Predictions", "", answers.figures),)), path)


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


def _results_intro(part: str) -> str:
    return (
        f"Measured on {SAID.get(part, part)}. Thresholds and calibration were fixed beforehand on cases that did not "
        "fit the model. Intervals are bootstrapped over independent units."
    )


def _reasons_intro(explanations: Explanations) -> str:
    if not explanations.cases:
        return "No case was explained."
    shown = sum(e.shown for e in explanations.cases)
    return (
        f"{shown} of {len(explanations.cases)} maps beat random maps of the same smoothness and change when the "
        f"weights are drawn anew; the others are not shown. {_summary(explanations)}"
    )


def _summary(explanations: Explanations) -> str:
    told = []
    for name, measure in explanations.summary.items():
        if name.endswith("/gain") and measure.value is not None:
            method = name.removesuffix("/faithfulness/gain")
            low, high = measure.low, measure.high
            spread = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
            told.append(f"{method}: faithfulness above random {measure.value:.3f}{spread}")
    return "; ".join(told) + "." if told else ""


def _logs(folder: Path) -> Iterable[Figure]:
    """Loss of each epoch, one line a member; and on the cases that it was not fitted to."""
    series, held_out = [], []
    for path in sorted((folder / "model").rglob("log.jsonl")):
        log = pl.read_ndjson(path, infer_schema_length=None)
        if log.height > 1:
            name = path.parent.name if path.parent.name != "model" else "loss"
            series.append(Series(name, tuple(log["epoch"].to_list()), tuple(log["loss"].to_list())))
            if "held_out_loss" in log.columns:
                seen = log.drop_nulls("held_out_loss")
                held_out.append(Series(name, tuple(seen["epoch"].to_list()), tuple(seen["held_out_loss"].to_list())))
    if series:
        yield Lines("Training loss", "Epoch", "Loss", tuple(series))
    if held_out:
        yield Lines("Loss on the held-out part", "Epoch", "Loss", tuple(held_out), "Of the averaged weights.")


def _gain(folder: Path) -> Iterable[Figure]:
    """What a step of preparation earned, where the study asked for one and the method measured it."""
    path = folder / "model" / "gain.json"
    if path.exists():
        told = read_json(path)
        rows = tuple((r["metric"], r["ours"], r["theirs"], r["difference"], r["low"], r["high"]) for r in told["rows"])
        columns = ("metric", "with", "without", "difference", "low", "high")
        yield Table(f"Gain of {told['step']}", columns, rows, "Out-of-fold predictions, paired, 95 % interval.")


def _plan(plan: Plan) -> Table:
    def flat(value: object, name: str) -> Iterable[tuple[str, str]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from flat(inner, f"{name}.{key}" if name else str(key))
        else:
            listed = isinstance(value, (list, tuple))
            yield name, ", ".join(map(str, value)) if listed else str(value)  # type: ignore[call-overload]

    values = dataclasses.asdict(plan)  # type: ignore[call-overload]
    return Table("Plan", ("setting", "value"), tuple(flat(values, "")))
