"""Calibrated, decided and measured: what comes after the fit, from predictions of cases that did not fit the model."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import NamedTuple

import polars as pl

from medeor.contracts import Cases, Fitted, Measure, Measures, Predictions, Run, Split, Study, Task
from medeor.targets import categorical
from medeor.trust.calibration import Calibration, calibrate
from medeor.trust.usefulness import skills

RARE = 0.1
"""Share of the rarest class below which always deciding against it would look accurate."""

SEARCHED = 1000
"""Held-out cases from which on a threshold is searched for."""


class ScoredPart(NamedTuple):
    """Predictions of one part of a study, those of the simple baseline, and their measures."""

    part: str
    """`test` where there are test cases, else that of the held-out predictions: `cv` if these are of every case,
    `validation` if one fold alone was held out."""
    predictions: Predictions
    baseline: Predictions
    measures: Measures


def calibrated(cases: Cases, held_out: Predictions, study: Study) -> Calibration:
    """Calibration and thresholds from honest predictions. Unless the study says otherwise, the threshold makes
    sensitivity equal to specificity, so that as many errors are made where the disease is more or less common. On few
    cases such a search costs more than it gains: there the likelier class of a calibrated probability is decided,
    unless a class is rare."""
    known = predicted(cases, held_out)
    rule = study.threshold or ("0.5" if len(known) < SEARCHED and _rarest(known) >= RARE else "equal")
    return calibrate(known, held_out, threshold=rule, seed=study.seed)


def with_skill(calibration: Calibration, cases: Cases, held_out: Predictions) -> Calibration:
    """The calibration with the skill of the model for each target."""
    found = skills(predicted(cases, held_out), held_out)
    targets = [replace(one, skill=skill) for one, skill in zip(calibration.targets, found, strict=True)]
    return replace(calibration, targets=tuple(targets))


def score(
    study: Study,
    task: Task,
    cases: Cases,
    split: Split,
    fitted: Fitted,
    baseline: Fitted,
    calibration: Calibration | None,
    run: Run,
) -> ScoredPart:
    """The test part where there is one, else the held-out predictions, of the model and of the baseline."""
    test = split.part(cases, "test")
    if len(test):
        part, scored = "test", test
        place = run.folder.with_name("predictions")
        shutil.rmtree(place, ignore_errors=True)
        ours = fitted.model.predict(scored, replace(run, folder=place / part / "model"))
        theirs = baseline.model.predict(scored, replace(run, folder=place / part / "baseline"))
        if calibration:
            ours = calibration.apply(ours)
            theirs = calibrated(cases, baseline.held_out, study).apply(theirs)
    else:
        scored = predicted(cases, fitted.held_out)
        part = "cv" if len(scored) == len(cases) else "validation"
        ours, theirs = fitted.held_out, baseline.held_out
        if calibration:
            ours, theirs = (_calibrated_by_fold(scored, split, one, study) for one in (ours, theirs))
    measures: dict[str, Measure] = dict(task.evaluate(scored, ours))
    measures |= {f"baseline/{name}": value for name, value in task.evaluate(scored, theirs).items()}
    return ScoredPart(part, ours, theirs, measures)


def predicted(cases: Cases, predictions: Predictions) -> Cases:
    return cases.where(pl.col("case_id").is_in(predictions.table["case_id"].unique().implode()))


def _rarest(cases: Cases) -> float:
    """The share of the rarest class of all targets; 1 where there are none."""
    columns = [cases.table[target.name].drop_nulls() for target in categorical(cases.targets)]
    shares = [min(column.value_counts()["count"].to_list()) / len(column) for column in columns if len(column)]
    return min(shares, default=1.0)


def _calibrated_by_fold(cases: Cases, split: Split, held_out: Predictions, study: Study) -> Predictions:
    """Out-of-fold predictions, each fold calibrated on the others: never on itself."""
    folds = held_out.table.join(split.table.select("case_id", "fold"), on="case_id", how="left", maintain_order="left")
    parts = []
    for fold in range(split.folds):
        others = Predictions(folds.filter(pl.col("fold") != fold).drop("fold"))
        own = Predictions(folds.filter(pl.col("fold") == fold).drop("fold"))
        parts.append(calibrated(cases, others, study).apply(own).table)
    return replace(held_out, table=pl.concat(parts))
