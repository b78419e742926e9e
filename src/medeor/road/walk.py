"""The road that every study walks: read → split → audit → plan → fit → calibrate → evaluate → explain → report →
bundle. It knows no modality; each step leaves a file in the run folder that a person can open."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
import polars as pl

from medeor import __version__, cache, catalogue, simulate
from medeor.console import Console
from medeor.contracts import (
    Budget,
    Cases,
    Explanations,
    Finding,
    Fitted,
    Inputs,
    Kept,
    Measure,
    Plan,
    Predictions,
    Result,
    Run,
    Sources,
    Split,
    Stopped,
    Study,
    Target,
    Task,
    UserError,
)
from medeor.files import (
    build,
    check_settings,
    digest,
    exists,
    read_toml,
    replacing,
    with_settings,
    write_json,
    write_parquet,
    write_toml,
)
from medeor.formats.tables.read import put_back
from medeor.formats.values.dates import in_order_of_time
from medeor.formats.values.targets import positive_class
from medeor.learning.fit import wait_for_all
from medeor.learning.folds import fit_or_load
from medeor.learning.predictions import save_arrays
from medeor.machine import free_memory, threads
from medeor.registry import known_inputs, open_task
from medeor.report import story
from medeor.road import run_folder, task_detection
from medeor.road.bundle import STORES, Trained, load, opened, write_bundle
from medeor.statistics.split import WAYS, split_cases
from medeor.trust import audit as trust_audit
from medeor.trust import faithfulness
from medeor.trust.calibration import Calibration, calibrate
from medeor.trust.skill import skills

RARE = 0.1
"""Share of the rarest class below which always deciding against it would look accurate."""

SEARCHED = 1000
"""Held-out cases from which on a threshold is searched for."""

EXPLAINED = 6
"""Cases that are explained on the road; `medeor explain` explains any."""


@dataclass(frozen=True)
class Read:
    """A study that was read and divided, before anything is fitted."""

    study: Study
    task: Task
    every: Cases
    """All cases, those that cannot be used among them."""
    cases: Cases
    split: Split
    findings: tuple[Finding, ...]
    inputs: Inputs


def resolve(study: Study) -> Study:
    """The study with what the catalogue knows of its source, and the task it leaves open."""
    first = study.sources[0] if len(study.sources) == 1 else None
    if isinstance(first, str) and not exists(first) and first in catalogue.names():
        study = catalogue.completed(study, first)
    return study if study.task else replace(study, task=task_detection.task_of(study))


def read(study: Study, console: Console) -> Read:
    """The first three steps: read, split, audit. A failed leakage check is among the findings; it stops later."""
    study = resolve(study)
    task = open_task(study.task, study.options)
    check_settings(task.plan_type, study.settings, "--set")
    inputs = {role: opened(path) for role, path in known_inputs(study).items()}
    located = tuple(catalogue.opened(source, console) for source in study.sources)
    every = task.read(Sources(located, inputs), replace(study, labels=_beside(study.labels, located)))
    every = replace(every, prevalences=study.prevalence)
    if study.split == "time":
        every = in_order_of_time(every, study.time or "time")
    cases = every.usable
    if not len(cases) and len(every):
        raise UserError(f"none of the {len(every)} cases can be used: {reasons(every)}")
    split = split_cases(cases, study) if "split" in task.steps else Split(_unsplit(cases))
    findings = [*positive_class(every.targets), *every.findings]
    for finding in every.findings:
        if finding.check == "guessed":
            console.say(finding.message)
    if "audit" in task.steps:
        findings += [*task.audit(every, split), *trust_audit.audit(cases, split, by=study.split)]
    return Read(study, task, every, cases, split, tuple(trust_audit.accepted(findings, study.accept)), inputs)


def reasons(cases: Cases) -> str:
    """Why cases are set aside, the commonest reason first, with their numbers."""
    counted = cases.table["broken"].drop_nulls().value_counts(sort=True)
    text = "; ".join(f"{reason} ({count})" for reason, count in counted.head(5).iter_rows())
    return text + ("; …" if counted.height > 5 else "")


def read_unlabelled(study: Study, console: Console) -> Cases:
    """The cases of a study that are only to be predicted: no targets are looked for, nothing is divided."""
    study = resolve(study)
    located = tuple(catalogue.opened(source, console) for source in study.sources)
    return open_task(study.task, study.options).read(Sources(located, {}, labelled=False), study)


def _beside(labels: str, located: Sequence[object]) -> str:
    """The table of labels, which may also lie in the folder that is the source."""
    for source in located:
        if labels and not Path(labels).exists() and isinstance(source, str | Path) and (Path(source) / labels).exists():
            return str(Path(source) / labels)
    return labels


def plan(asked: Read, folder: Path | None = None) -> Plan:
    """The plan: as it stands in the folder when the user has put one there, else from the training part; with what
    the user fixed by `--set`."""
    path = folder / "plan.toml" if folder else None
    if path and path.exists():
        made: Plan = build(asked.task.plan_type, read_toml(path), str(path))
    else:
        budget = Budget(asked.study.minutes, free_memory(), threads(), asked.study.settings, asked.inputs)
        made = asked.task.plan(asked.cases, asked.split, budget)
    return with_settings(made, asked.study.settings, "--set")


def walk(
    study: Study,
    folder: Path,
    console: Console | None = None,
    stopping: Callable[[], bool] = lambda: False,
    again: bool = False,
) -> Trained:
    """Walks the whole road into `folder` and returns what was trained. An interrupted walk goes on where it was. What
    was fitted there with another plan, split or data, or is to be fitted `again`, is thrown away only then.

    Raises: UserError when the folder holds another study or fit, a leakage check fails, or the input is at fault;
    Stopped when asked to stop."""
    with cache.within(folder):
        return _walk(study, folder, console or Console(), stopping, again)


def _walk(study: Study, folder: Path, console: Console, stopping: Callable[[], bool], again: bool) -> Trained:
    began = time.time()

    def say(message: str) -> None:
        console.say(message)
        _stop_if(stopping)

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        console(what, done, total, note)
        _stop_if(stopping)

    if int(os.environ.get("RANK", "0")) > 0:
        _follow(study, folder, stopping)
    run_folder.usable(folder)
    study = resolve(study)
    key = run_folder.free(folder, study, again)
    asked = read(study, console)
    task, cases, split = asked.task, asked.cases, asked.split
    _stop_if(stopping)
    fit_key = partial(run_folder.fit_key, split=_table_digest(split.table), data=fitted_on(asked), seed=study.seed)
    fits = [folder / "model"] + [folder / "baseline"] * ("evaluate" in task.steps)
    made = None
    if not again and any(map(run_folder.fitted, fits)):
        # Before anything is written over: a finished run stays one.
        made = plan(asked, folder)
        for place in fits:
            run_folder.same_fit(place, fit_key(made))
    run_folder.claim(folder, study, key, again)
    write_parquet(folder / "cases.parquet", asked.every.table)
    for name, store in asked.every.stores.items():
        if isinstance(store, Kept):
            store.save(folder / STORES / name)
    write_parquet(folder / "split.parquet", split.table)
    write_findings(folder, asked.findings)
    stop_on_leakage(asked.findings)
    _teachable(cases, split)
    for finding in positive_class(cases.targets):
        console.say(finding.message)
    for finding in asked.findings:
        if finding.status == "fail":
            console.say(f"audit: {finding.check}{' (accepted)' if finding.accepted else ''}: {finding.message}")
    made = made or plan(asked, folder)
    own = run_folder.own_plan(folder) or not (folder / "plan.toml").exists()
    write_toml(folder / "plan.toml", made)
    run_folder.note(folder, plan=digest(folder / "plan.toml") if own else "")
    write_json(folder / "targets.json", [dataclasses.asdict(target) for target in cases.targets])

    # A fit hears of a stop by itself, so that all its processes stop after the same step, and saves.
    run = Run(folder / "model", study.seed, threads(), console, stopping)
    for place in fits:
        run_folder.begin_fit(place, fit_key(made), again)
    wait_for_all()
    fitted = fit_or_load(task.method(made), cases, split, asked.inputs, run)
    _stop_if(stopping)
    calibration = None
    if "calibrate" in task.steps:
        calibration = _with_skill(_calibrated(cases, fitted.held_out, study), cases, fitted.held_out)
        write_json(folder / "calibration.json", calibration.to_json())
    findings = list(asked.findings)
    if "audit" in task.steps and fitted.held_out.table.height:
        sure = calibration.apply(fitted.held_out) if calibration else fitted.held_out
        found = trust_audit.label_errors(_known(cases, fitted.held_out), sure)
        findings += trust_audit.accepted([found], {found.check} & set(study.accept))
        write_findings(folder, findings)

    results = {}
    if "evaluate" in task.steps:
        say("evaluating, with the simple baseline beside")
        base_run = replace(run, folder=folder / "baseline")
        baseline = fit_or_load(task.baseline(made), cases, split, asked.inputs, base_run)
        results = _evaluate(task, asked, fitted, baseline, calibration, run)
        _write_results(folder, results)
    if "explain" in task.steps and results:
        part, result = next(iter(results.items()))
        say("explaining, with the faithfulness of each explanation")
        chosen, items = faithfulness.choose(result.cases, result.predictions, EXPLAINED)
        withheld = calibration.withheld if calibration else {}
        explanations = faithfulness.examine(fitted.model, chosen, items, replace(run, progress=progress), withheld)
        results[part] = result._replace(explanations=explanations)
        write_explanations(folder / "explanations", explanations)
    facts = {
        "medeor": __version__,
        "task": study.task,
        "seed": str(study.seed),
        "threads": str(run.threads),
        "cases": f"{len(cases)} (digest {cases_digest(cases)[:12]})",
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "seconds": f"{time.time() - began:.0f}",
    }
    if "report" in task.steps:
        simulated = any(simulate.is_simulated(source) for source in study.sources if isinstance(source, (str, Path)))
        story.write_report(folder, asked.study, task, split, results, findings, made, facts, simulated)
    if "bundle" in task.steps:
        write_bundle(folder, folder / f"{folder.resolve().name}.medeor")
    run_folder.note(folder, finished=True, facts=facts)
    return load(folder)


def _follow(study: Study, folder: Path, stopping: Callable[[], bool]) -> NoReturn:
    """The second and further processes of `torchrun` help with the fit and leave the rest to the first: also what
    there is to say when the study cannot be read."""
    try:
        asked = read(study, Console(quiet=True))
        stop_on_leakage(asked.findings)
        _teachable(asked.cases, asked.split)
    except UserError:
        raise SystemExit(2) from None
    # Who waits hears nothing: where the first process fails before the fit, `torchrun` must be able to end this one.
    heard = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    wait_for_all()
    signal.signal(signal.SIGTERM, heard)
    method = asked.task.method(plan(asked, folder))
    run = Run(folder / "model", study.seed, threads(), stopping=stopping, leader=False)
    fit_or_load(method, asked.cases, asked.split, asked.inputs, run)
    raise SystemExit(0)


def _evaluate(
    task: Task, asked: Read, fitted: Fitted, baseline: Fitted, calibration: Calibration | None, run: Run
) -> dict[str, Result]:
    """Results by part: the test part where there is one, else the out-of-fold predictions, as `cv` if they are of every
    case and as `validation` if one fold alone was held out."""
    test = asked.split.part(asked.cases, "test")
    none = Explanations((), {})
    if len(test):
        part, cases = "test", test
        place = run.folder.with_name("predictions")
        shutil.rmtree(place, ignore_errors=True)
        ours = fitted.model.predict(cases, replace(run, folder=place / part / "model"))
        ours = calibration.apply(ours) if calibration else ours
        theirs = baseline.model.predict(cases, replace(run, folder=place / part / "baseline"))
        if calibration:
            theirs = _calibrated(asked.cases, baseline.held_out, asked.study).apply(theirs)
    else:
        cases = _known(asked.cases, fitted.held_out)
        part = "cv" if len(cases) == len(asked.cases) else "validation"
        ours = _calibrated_by_fold(cases, asked, fitted.held_out) if calibration else fitted.held_out
        theirs = baseline.held_out
        theirs = _calibrated_by_fold(cases, asked, theirs) if calibration else theirs
    measures: dict[str, Measure] = dict(task.evaluate(cases, ours))
    measures |= {f"baseline/{name}": value for name, value in task.evaluate(cases, theirs).items()}
    return {part: Result(cases, ours, theirs, none, measures, fitted.model)}


def _calibrated(cases: Cases, held_out: Predictions, study: Study) -> Calibration:
    """Calibration and thresholds from honest predictions. Unless the study says otherwise, the threshold makes
    sensitivity equal to specificity, so that as many errors are made where the disease is more or less common. On few
    cases such a search costs more than it gains: there the likelier class of a calibrated probability is decided,
    unless a class is rare."""
    known = _known(cases, held_out)
    rule = study.threshold or ("0.5" if len(known) < SEARCHED and _rarest(known) >= RARE else "equal")
    return calibrate(known, held_out, threshold=rule, seed=study.seed)


def _with_skill(calibration: Calibration, cases: Cases, held_out: Predictions) -> Calibration:
    found = skills(_known(cases, held_out), held_out)
    targets = [replace(one, skill=skill) for one, skill in zip(calibration.targets, found, strict=True)]
    return replace(calibration, targets=tuple(targets))


def _rarest(cases: Cases) -> float:
    """The share of the rarest class of all targets; 1 where there are none."""
    columns = [cases.table[target.name].drop_nulls() for target in cases.targets if target.kind != "continuous"]
    shares = [min(column.value_counts()["count"].to_list()) / len(column) for column in columns if len(column)]
    return min(shares, default=1.0)


def _calibrated_by_fold(cases: Cases, asked: Read, held_out: Predictions) -> Predictions:
    """Out-of-fold predictions, each fold calibrated on the others: never on itself."""
    split = asked.split
    folds = held_out.table.join(split.table.select("case_id", "fold"), on="case_id", how="left", maintain_order="left")
    parts = []
    for fold in range(split.folds):
        others = Predictions(folds.filter(pl.col("fold") != fold).drop("fold"))
        own = Predictions(folds.filter(pl.col("fold") == fold).drop("fold"))
        parts.append(_calibrated(cases, others, asked.study).apply(own).table)
    return replace(held_out, table=pl.concat(parts))


def _known(cases: Cases, predictions: Predictions) -> Cases:
    """The cases that were predicted."""
    return cases.where(pl.col("case_id").is_in(predictions.table["case_id"].unique().implode()))


def stop_on_leakage(findings: Sequence[Finding]) -> None:
    """Raises: UserError naming the leakage checks that failed and how to accept them."""
    stops = [finding for finding in findings if finding.stops]
    if stops:
        text = "; ".join(f"{finding.check}: {finding.message}" for finding in stops)
        accept = " ".join(f"--accept {finding.check}" for finding in stops)
        raise UserError(f"the study stops: {text}. Repair it (`medeor audit --clean`), or, if you know it, {accept}")


def _teachable(cases: Cases, split: Split) -> None:
    """Raises: UserError where the cases to learn from all have the same answers."""
    training = split.part(cases, "train", "validation").table
    answers = [training[target.name] for target in cases.targets if target.name in training.columns]
    if answers and all(answer.drop_nulls().n_unique() < 2 for answer in answers):
        names = ", ".join(f"'{answer.name}'" for answer in answers)
        raise UserError(f"the {len(training)} training cases all have the same {names}: divide the cases otherwise")


def _stop_if(stopping: Callable[[], bool]) -> None:
    """Between two steps there is nothing to save: what is not written yet is done again."""
    if stopping():
        raise Stopped


def repaired(asked: Read) -> pl.DataFrame:
    """A table to train on: the user's columns under their names without the cases that the audit would have removed,
    classes by their names and limits by their signs (`>10`). Of a group in two parts the cases of the part that is
    scored last stay."""
    table = asked.task.clean(asked.every, asked.findings, asked.split)
    torn = {case for finding in asked.findings if finding.check == "groups-across-parts" for case in finding.cases}
    rank = pl.col("in_part").replace_strict({"train": 0, "validation": 1, "test": 2}, default=0, return_dtype=pl.Int8)
    parts = asked.split.table.select("case_id", pl.col("part").alias("in_part"))
    table = table.join(parts, on="case_id", how="left", maintain_order="left")
    lesser = pl.col("case_id").is_in(list(torn)) & (rank < rank.max().over("group"))
    said = [_as_written(target, table.columns) for target in asked.every.targets if target.name in table.columns]
    limits = [target.limit for target in asked.every.targets if target.limit in table.columns]
    table = table.filter(pl.col("removed").is_null() & ~lesser).with_columns(said)
    return _as_named(table.drop("case_id", "removed", "in_part", *limits), asked.study)


def _as_named(table: pl.DataFrame, study: Study) -> pl.DataFrame:
    """The columns that play a role under the user's names. What no column named is left out, to be found again."""
    part = "part" if study.split in ("", *WAYS) else study.split
    if part in set(table.columns) - {"part"} or table.get_column("part", default=pl.Series([None])).is_null().all():
        part = ""  # The user's own column is there, or there are no parts.
    elif "part (table)" in table.columns:
        part = ""  # So is the column that the official split was read from.
    roles = {"group": study.group, "site": study.site, "time": study.time, "part": part}
    table = table.rename(_asked_for(study, "image", table.columns)).drop(
        [role for role, column in roles.items() if not column], strict=False
    )
    return put_back(table.rename({role: column for role, column in roles.items() if role in table.columns}))


def _asked_for(study: Study, what: str, columns: Sequence[str]) -> dict[str, str]:
    """What the columns `image` or `image_1`, `image_2`, … are called by `--option image=A,B`."""
    names = [name.strip() for name in study.options.get(what, "").split(",") if name.strip()]
    given = {what: names[0], f"{what}_1": names[0]} if len(names) == 1 else {}
    given |= {f"{what}_{place}": name for place, name in enumerate(names, 1)}
    return {name: new for name, new in given.items() if name in columns and new not in columns}


def _as_written(target: Target, columns: Sequence[str]) -> pl.Expr:
    """What a target's column of the case table says, as it is read again."""
    known = pl.col(target.name)
    if target.kind != "continuous":
        return known.replace_strict(list(range(len(target.words))), target.words, default=None)
    if target.limit not in columns:
        return known
    sign = pl.col(target.limit).replace_strict({1: ">", -1: "<"}, default="", return_dtype=pl.String)
    return (sign + known.cast(pl.String)).alias(target.name)


def write_findings(folder: Path, findings: Sequence[Finding]) -> None:
    write_json(folder / "audit.json", [dataclasses.asdict(finding) for finding in findings])


def write_explanations(folder: Path, explanations: Explanations) -> None:
    """`explanations.json` with the scores, and an array for each map that is shown."""
    with replacing(folder) as new:
        new.mkdir()
        listed = []
        for e in explanations.cases:
            name = f"{e.case_id}.{e.method}.npy"
            if e.shown:
                np.save(new / name, e.attribution.astype(np.float32), allow_pickle=False)
            facts = {"case_id": e.case_id, "item": e.item, "method": e.method, "shown": e.shown, "reason": e.reason}
            listed.append({**facts, "scores": dict(e.scores), "file": name if e.shown else None})
        summary = {name: measure._asdict() for name, measure in explanations.summary.items()}
        write_json(new / "explanations.json", {"summary": summary, "cases": listed})


def _write_results(folder: Path, results: Mapping[str, Result]) -> None:
    tables = [
        predictions.table.with_columns(part=pl.lit(part), model=pl.lit(model))
        for part, result in results.items()
        for model, predictions in (("model", result.predictions), ("baseline", result.baseline))
    ]
    for part, result in results.items():
        save_arrays(result.predictions.arrays, place_of_arrays(folder, part, "model"))
        save_arrays(result.baseline.arrays, place_of_arrays(folder, part, "baseline"))
    write_parquet(folder / "predictions.parquet", pl.concat(tables, how="diagonal_relaxed"))
    measures = {
        part: {name: measure._asdict() for name, measure in result.measures.items()} for part, result in results.items()
    }
    write_json(folder / "metrics.json", measures)


def place_of_arrays(folder: Path, part: str, model: Literal["model", "baseline"]) -> Path:
    """What `save_arrays` and `load_arrays` take for the arrays of a run: `predictions.parquet` holds several parts and
    models, of which each has an index of its own."""
    return folder / f"predictions-{part}-{model}.parquet"


def fitted_on(asked: Read) -> str:
    """A digest of all that a fit takes: the cases, and the inputs of the study where there are some."""
    inputs = [part for role, store in sorted(asked.inputs.items()) for part in (role, store.digest)]
    return digest(cases_digest(asked.cases), *inputs)


def cases_digest(cases: Cases) -> str:
    """A digest of the case table and of the stores that it points into."""
    table = cases.table.select(sorted(cases.table.columns))
    return digest(_table_digest(table), *(store.digest for store in cases.stores.values()))


def _table_digest(table: pl.DataFrame) -> str:
    """A digest of names, types and values, a stretch of rows at a time, so that it takes little memory."""
    schema = ", ".join(f"{name} {kind}" for name, kind in table.schema.items())
    return digest(schema, *(part.write_ndjson() for part in table.iter_slices(100_000)))


def _unsplit(cases: Cases) -> pl.DataFrame:
    return cases.table.select("case_id", pl.lit("train").alias("part"), pl.lit(None, pl.Int32).alias("fold"))
