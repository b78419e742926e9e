"""The time until an event beside Cox regression and a random survival forest, on the same test part."""

from __future__ import annotations

import subprocess

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


def beside(row: Row) -> dict[str, Measure]:
    """Harrell's C-index and the integrated Brier score of each side, computed by scikit-survival for all."""
    place = WORK / "tables-survival" / row.data
    table = followed(row.data)
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
    figures = {name: Measure(value) for name, value in read_json(place / "scores.json").items()}
    better = max(figures[f"c-index, {side}"].value or 0.0 for side in ("cox", "forest"))
    gain = (figures["c-index, medeor"].value or 0.0) - better
    return {"gain of c-index on the better": Measure(gain), **figures}
