"""The steps of the road. Each states what it reads, so that whatever changes, the steps that depend on it are done anew
and no others."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from medeor.contracts import (
    Cases,
    Explanations,
    Finding,
    Fitted,
    Kept,
    Message,
    Method,
    OnDisk,
    Plan,
    Run,
    Split,
    Stopped,
    Text,
)
from medeor.files import content_digest, digest, read_json, read_parquet, write_json, write_parquet, write_toml
from medeor.formats.values.targets import positive_class
from medeor.learning.folds import HELD_OUT, finished, fit_or_load
from medeor.learning.networks.schedule import Estimate
from medeor.learning.stack import place_within
from medeor.road import run_folder
from medeor.road.bundle import STORES
from medeor.road.walk import estimate, reading, results
from medeor.road.walk.scoring import ScoredPart, calibrated, predicted, score, with_skill
from medeor.road.walk.step import RoadStep, Walk
from medeor.trust import faithfulness
from medeor.trust.audit import accepted, label_errors
from medeor.trust.calibration import Calibration

LABEL_ERRORS = "label-errors"
"""The check of the audit that needs a fitted model."""


def json_digest(values: object) -> str:
    """The digest of what can be written as JSON; of messages by key and values, in whatever language they are shown."""
    kept = lambda value: value.to_json() if isinstance(value, Message) else str(value)  # noqa: E731
    return digest(json.dumps(values, sort_keys=True, default=kept))


def _facts(values: Iterable[Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(one) for one in values]


# --- read ------------------------------------------------------------------------------------------------


def _keep_cases(walk: Walk, gathered: reading.Gathered) -> None:
    every = gathered.every
    write_parquet(walk.folder / "cases.parquet", every.table)
    for name, store in every.stores.items():
        if isinstance(store, Kept):
            store.save(walk.folder / STORES / name)


def _set_aside(every: Cases) -> str:
    """A digest of the cases that cannot be used."""
    broken = every.table.filter(pl.col("broken").is_not_null()) if "broken" in every.table.columns else pl.DataFrame()
    return reading.table_digest(broken)


READ = RoadStep(
    "read", "read",
    reads=(
        "sources", "study.task", "study.target", "study.group", "study.site", "study.time", "study.split",
        "study.subgroups", "study.options",
    ),
    writes={"cases.parquet": content_digest, STORES: content_digest},
    make=lambda walk: reading.gather(walk.study, walk.task, walk.located, walk.console),
    save=_keep_cases,
    facts={
        "cases": lambda read: reading.cases_digest(read.every.usable),
        "set aside": lambda read: _set_aside(read.every),
        "targets": lambda read: json_digest(_facts(read.every.targets)),
        "noticed": lambda read: json_digest(_facts(read.every.findings)),
        "inputs": lambda read: reading.inputs_digest(read.inputs),
    },
)  # fmt: skip


def sources_read(walk: Walk) -> str:
    """A digest of the files and arrays that are read. Where cases have files elsewhere, as a table may name them, only
    reading them shows it: then of the cases."""
    found, files = walk.sources
    before = walk.records.get(READ.name, {"read": {}})["read"].get("sources", "")
    if not (before.startswith(_CASES) or walk.holds(READ)):
        return found
    stores = [store for store in walk.value(READ).every.stores.values() if isinstance(store, OnDisk)]
    stand_on = {file for store in stores for own in store.files.values() for file in own}
    if all(str(Path(file).absolute()) in files for file in stand_on):
        return found
    return _CASES + digest(*(walk.digest(name) for name in READ.facts))


_CASES = "cases "


# --- split, audit, plan ----------------------------------------------------------------------------------

SPLIT = RoadStep(
    "split", "split",
    reads=("cases", "study.split", "study.group", "study.seed"),
    writes={"split.parquet": content_digest},
    make=lambda walk: reading.divide(walk.study, walk.task, walk.value(READ).every),
    save=lambda walk, split: write_parquet(walk.folder / "split.parquet", split.table),
    load=lambda walk: Split(read_parquet(walk.folder / "split.parquet", ["case_id", "part", "fold"])),
    facts={"split": lambda split: reading.table_digest(split.table)},
)  # fmt: skip


def _report_findings(walk: Walk, checks: list[Finding]) -> None:
    findings = accepted(checks, walk.study.accept)
    results.write_findings(walk.folder, findings)
    reading.stop_on_leakage(findings)
    for finding in positive_class(walk.value(READ).every.targets):
        walk.console.say(finding.message)
    for finding in findings:
        if finding.status == "fail":
            key = "road.steps.accepted" if finding.accepted else "road.steps.failed"
            walk.console.say(Message(key, check=finding.check, message=finding.message))


def _checks_in(path: Path) -> str:
    return json_digest(_facts(_checks(results.read_findings(path.parent)))) if path.exists() else ""


def _checks(findings: Iterable[Finding]) -> list[Finding]:
    """What of all findings was known before the fit; whether a user accepts it is for the study to say."""
    return [replace(finding, accepted=False) for finding in findings if finding.check != LABEL_ERRORS]


AUDIT = RoadStep(
    "audit", "audit",
    reads=("cases", "set aside", "targets", "noticed", "split", "study.split"),
    writes={"audit.json": _checks_in},
    make=lambda walk: reading.check(walk.study, walk.task, walk.value(READ).every, walk.value(SPLIT)),
    save=_report_findings,
    load=lambda walk: _checks(results.read_findings(walk.folder)),
    facts={"checks": lambda checks: json_digest(_facts(checks))},
)  # fmt: skip


def judged(walk: Walk) -> tuple[Finding, ...]:
    """What the audit found before the fit, with what the study accepts of it."""
    checks = walk.value(AUDIT)
    return tuple(accepted(checks, walk.study.accept))


def as_read(walk: Walk) -> reading.Read:
    every, inputs = walk.value(READ)
    split, findings = walk.value(SPLIT), judged(walk)
    audit = walk.seconds.get(AUDIT.name, 0.0)
    seconds = {"reading": walk.elapsed() - audit, "audit": audit}
    return reading.Read(walk.study, walk.task, every, every.usable, split, findings, inputs, seconds)


def _plan(walk: Walk) -> Plan:
    """A plan that medeor made for other cases or settings goes; one that the user wrote or edited is obeyed."""
    asked = as_read(walk)
    reading.stop_without_contrast(asked.cases, asked.split)
    return reading.plan(asked, None if run_folder.own_plan(walk.folder) else walk.folder)


def _keep_plan(walk: Walk, plan: Plan) -> None:
    path = walk.folder / "plan.toml"
    own = run_folder.own_plan(walk.folder) or not path.exists()
    write_toml(path, plan)
    if seconds := estimated(plan):
        walk.console.say(estimate.line(seconds))
    run_folder.note(walk.folder, plan=digest(path) if own else "")
    write_json(walk.folder / "targets.json", _facts(walk.value(READ).every.targets))


def estimated(plan: Plan) -> Mapping[str, float]:
    """The seconds that each step of the run takes; empty where the plan does not state them."""
    known = getattr(plan, "estimate", None)
    return known.seconds if isinstance(known, Estimate) else {}


PLAN = RoadStep(
    "plan", "plan",
    reads=("cases", "targets", "inputs", "split", "study.settings", "study.minutes", "study.options"),
    writes={"plan.toml": content_digest, "targets.json": content_digest},
    make=_plan,
    save=_keep_plan,
    load=lambda walk: reading.plan_in(walk.folder, walk.task),
    facts={"plan": lambda plan: json_digest(run_folder.plan_values(plan))},
)  # fmt: skip


# --- fit -------------------------------------------------------------------------------------------------


def fit_key(walk: Walk, plan: Plan | None = None) -> dict[str, object]:
    """Everything that a fit of this study depends on, by this plan or that of the walk."""
    data = digest(walk.digest("cases"), walk.digest("inputs"))
    return run_folder.fit_key(plan or walk.value(PLAN), walk.digest("split"), data, walk.study.seed)


def places(walk: Walk) -> list[Path]:
    """The folders of the model and, where the study is evaluated, of the baseline."""
    return [walk.folder / "model"] + [walk.folder / "baseline"] * ("evaluate" in walk.task.steps)


def _fitted(walk: Walk, method: Method, run: Run) -> Fitted:
    every, inputs = walk.value(READ)
    return fit_or_load(method, every.usable, walk.value(SPLIT), inputs, run)


FIT = RoadStep(
    "fit", "fit",
    reads=("plan", "cases", "targets", "inputs", "split", "study.seed", "threads"),
    writes={"model": content_digest},
    # A fit hears of a stop by itself, so that all its processes stop after the same step, and saves.
    make=lambda walk: _fitted(walk, walk.task.method(walk.value(PLAN)), walk.run),
)  # fmt: skip


# --- calibrate, the labels, evaluate, explain ------------------------------------------------------------


def _calibrate(walk: Walk) -> Calibration | None:
    if "calibrate" not in walk.task.steps:
        return None
    cases, held_out = walk.value(READ).every.usable, walk.value(FIT).held_out
    return with_skill(calibrated(cases, held_out, walk.study), cases, held_out)


def _withheld(calibration: Calibration | None) -> Mapping[str, str]:
    return calibration.withheld if calibration else {}


CALIBRATE = RoadStep(
    "calibrate", "calibrate",
    reads=("model", "cases", "targets", "study.threshold", "study.seed"),
    writes={"calibration.json": content_digest},
    make=_calibrate,
    save=lambda walk, calibration: write_json(walk.folder / "calibration.json", calibration.to_json()),
    load=lambda walk: Calibration.from_json(read_json(walk.folder / "calibration.json")),
    facts={"withheld": lambda calibration: json_digest(_withheld(calibration))},
)  # fmt: skip


def _check_labels(walk: Walk) -> list[Finding]:
    findings = list(judged(walk))
    if "audit" not in walk.task.steps or walk.value(FIT).held_out.table.is_empty():
        return findings
    held_out, calibration = walk.value(FIT).held_out, walk.value(CALIBRATE)
    sure = calibration.apply(held_out) if calibration else held_out
    found = label_errors(predicted(walk.value(READ).every.usable, held_out), sure)
    return [*findings, *accepted([found], {found.check} & set(walk.study.accept))]


LABELS = RoadStep(
    "labels", "audit",
    reads=("checks", "model", "calibration.json", "cases", "targets", "study.accept"),
    writes={"audit.json": content_digest},
    make=_check_labels,
    save=lambda walk, findings: results.write_findings(walk.folder, findings),
    load=lambda walk: results.read_findings(walk.folder),
)  # fmt: skip


def _evaluate(walk: Walk) -> ScoredPart:
    walk.console.say(Message("road.steps.evaluating"))
    plan, simple = walk.value(PLAN), walk.task.baseline(walk.value(PLAN))
    run = replace(walk.run, folder=walk.folder / "baseline")
    run_folder.begin_fit(run.folder, fit_key(walk), again=False)
    within = place_within(walk.task.method(plan), simple)
    if within is not None and not finished(run.folder):  # What is a part of the model was fitted with it.
        part, later = walk.run.folder / within, (run_folder.KEY, HELD_OUT)
        for name in sorted({path.name for path in part.iterdir()} - set(later)):
            copy = shutil.copytree if (part / name).is_dir() else shutil.copy2
            shutil.rmtree(run.folder / name, ignore_errors=True)
            copy(part / name, run.folder / name)
        shutil.copy2(part / HELD_OUT, run.folder / HELD_OUT)
    baseline = _fitted(walk, simple, run)
    cases, split, calibration = walk.value(READ).every.usable, walk.value(SPLIT), walk.value(CALIBRATE)
    return score(walk.study, walk.task, cases, split, walk.value(FIT), baseline, calibration, walk.run)


def _own_parts(path: Path) -> str:
    """A digest of the measures of the study itself: `medeor evaluate` adds parts of other names."""
    listed = read_json(path) if path.exists() else {}
    return json_digest([listed.get(part) for part in results.PARTS]) if isinstance(listed, dict) else ""


EVALUATE = RoadStep(
    "evaluate", "evaluate",
    reads=(
        "plan", "model", "calibration.json", "cases", "targets", "inputs", "split", "study.threshold",
        "study.subgroups", "study.prevalence", "study.seed",
    ),
    writes={
        "predictions.parquet": content_digest, "metrics.json": _own_parts, "baseline": content_digest,
        "predictions": content_digest,
        "arrays": lambda path: digest(*sorted(path.parent.glob("predictions-*.arrays.json"))),
    },
    make=_evaluate,
    save=lambda walk, scored: results.write_scored(walk.folder, scored),
    load=lambda walk: results.read_scored(walk.folder, json.loads(walk.digest("columns"))),
    facts={
        "answers": lambda scored: reading.table_digest(scored.predictions.table.select("case_id", "item", "value")),
        "columns": lambda scored: json.dumps([one.table.columns for one in (scored.predictions, scored.baseline)]),
    },
)  # fmt: skip


def scored_cases(walk: Walk, scored: ScoredPart) -> Cases:
    cases = walk.value(READ).every.usable
    test = scored.part == "test"
    return walk.value(SPLIT).part(cases, "test") if test else predicted(cases, scored.predictions)


def _explain(walk: Walk) -> Explanations:
    walk.console.say(Message("road.steps.explaining"))

    def progress(what: Text, done: int, total: int, note: Text = "") -> None:
        walk.console(what, done, total, note)
        if walk.run.stopping():
            raise Stopped

    scored = walk.value(EVALUATE)
    chosen, items = faithfulness.choose(scored_cases(walk, scored), scored.predictions, faithfulness.EXPLAINED)
    run = replace(walk.run, progress=progress)
    return faithfulness.examine(walk.value(FIT).model, chosen, items, run, _withheld(walk.value(CALIBRATE)))


EXPLAIN = RoadStep(
    "explain", "explain",
    reads=("model", "answers", "withheld", "cases", "targets", "study.seed"),
    writes={"explanations": content_digest},
    make=_explain,
    save=lambda walk, explanations: results.write_explanations(walk.folder / "explanations", explanations),
    load=lambda walk: results.read_explanations(walk.folder / "explanations"),
)  # fmt: skip
