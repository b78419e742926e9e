"""The time until an event beside Cox regression and a random survival forest, on the same test part."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import polars as pl

from bench.machine import environment, peers
from bench.rows.table_sets import followed
from bench.workload import ROOT, WORK, Row
from medeor.contracts import Budget, Measure, Run, Sources, Study
from medeor.files import read_json, write_parquet
from medeor.learning.folds import fit_or_load
from medeor.machine import free_memory
from medeor.statistics.split import split_cases
from medeor.tabular.task import TableTask
from medeor.targets.outcomes import strata

REPEATS = 10


def beside(row: Row) -> dict[str, Measure]:
    """Harrell's C-index and the integrated Brier score of each side, computed by scikit-survival for all."""
    figures = {name: Measure(value) for name, value in _scored(followed(row.data), row, "official").items()}
    return {"gain of c-index on the better": Measure(_gain(figures)), **figures}


def folds(row: Row) -> dict[str, Measure]:
    """The same over five folds, divided ten times. The interval of the gain is that of Nadeau and Bengio (2003,
    https://doi.org/10.1023/A:1024068626366), as the training parts overlap."""
    table = followed(row.data)
    found = []
    for repeat in range(REPEATS):
        study = Study((table,), "table-prediction", target=("event",), split="cv", seed=repeat)
        study = replace(study, options={"follow_up": "time"})
        cases = TableTask().read(Sources((table,), {}), study).usable
        fold = split_cases(cases, study, strata(cases)).table["fold"]
        for number in range(5):
            part = pl.when(fold == number).then(pl.lit("test")).otherwise(pl.lit("train"))
            found.append(_scored(table.with_columns(part=part), row, f"{repeat}-{number}"))
    means = {name: Measure(float(np.mean([one[name] for one in found]))) for name in found[0]}
    side = "cox" if (means["c-index, cox"].value or 0) >= (means["c-index, forest"].value or 0) else "forest"
    gains = np.array([one["c-index, medeor"] - one[f"c-index, {side}"] for one in found])
    width = 2.01 * gains.std(ddof=1) * np.sqrt(1 / len(gains) + 1 / 4)
    gain = float(gains.mean())
    return {"gain of c-index on the better": Measure(gain, gain - width, gain + width, len(gains)), **means}


def _gain(figures: dict[str, Measure]) -> float:
    better = max(figures[f"c-index, {side}"].value or 0.0 for side in ("cox", "forest"))
    return (figures["c-index, medeor"].value or 0.0) - better


def _scored(table: pl.DataFrame, row: Row, name: str) -> dict[str, float]:
    """Scores of all sides on the rows of the part `test`; kept, so that a run that was cut off goes on."""
    place = WORK / "tables-survival" / row.data / name
    if not (place / "scores.json").exists():
        write_parquet(place / "cases.parquet", table)
        study = Study((table,), "table-prediction", target=("event",), options={"follow_up": "time"})
        task = TableTask()
        cases = task.read(Sources((table,), {}), study).usable
        split = split_cases(cases, study, strata(cases))
        plan = task.plan(cases, split, Budget(None, free_memory(), row.threads))
        run = Run(place / "model", threads=row.threads)
        model = fit_or_load(task.method(plan), cases, split, {}, run).model
        ends = np.array(cases.targets[0].classes, float)
        risks = model.predict(split.part(cases, "test"), run).table["value"].to_numpy().reshape(-1, len(ends))
        write_parquet(place / "predictions.parquet", pl.DataFrame(risks, [f"{end:g}" for end in ends]))
        command = [peers("survival"), "-m", "bench.sides.peer_survival", str(place)]
        subprocess.run(command, check=True, env=environment(row.threads), cwd=ROOT)
    return dict(read_json(place / "scores.json"))
