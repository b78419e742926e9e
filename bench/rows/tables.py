"""Plain tables beside LightGBM and regression, on the same five folds of the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import t

from bench.rows.table_sets import SETS, table_set
from bench.workload import WORK, Row
from medeor.contracts import Budget, Cases, Measure, Run, Sources, Split
from medeor.files import write_parquet
from medeor.formats.values.columns import as_levels, as_numbers
from medeor.learning.folds import fit_or_load
from medeor.machine import free_memory
from medeor.statistics.split import split_cases
from medeor.tabular.plan import TablePlan
from medeor.tabular.task import TableTask
from medeor.targets.outcomes import strata

SIDES = ("medeor", "lightgbm", "regression")


def beside(row: Row) -> dict[str, Measure]:
    """The mean over folds of AUROC, or R² of a number, of each side, and the gain of ours on each peer's with its 95 %
    interval (paired over folds, Student's t)."""
    by_fold = scores(row.data, row.threads)
    figures = {side: Measure(float(own.mean())) for side, own in by_fold.items()}
    for peer in SIDES[1:]:
        gains = by_fold["medeor"] - by_fold[peer]
        reach = float(t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains)))
        mean = float(gains.mean())
        figures[f"gain on {peer}"] = Measure(mean, mean - reach, mean + reach, len(gains))
    return figures


def ranks(row: Row) -> dict[str, Measure]:
    """Each side's mean rank over the tables that were measured, and on how many ours is worse by more than the
    margin."""
    done = [name for name in SETS if _kept(name).exists()]
    means = np.array([[own.mean() for own in scores(name, row.threads).values()] for name in done])
    ranked = np.stack([pl.Series(-own).rank("average").to_numpy() for own in means])
    margin = float(row.workload.settings["margin"])
    worse = (means[:, :1] < means[:, 1:] - margin).any(axis=1)
    figures = {f"mean rank, {side}": Measure(float(mean)) for side, mean in zip(SIDES, ranked.mean(axis=0))}
    ahead = float(sum(mean < ranked.mean(axis=0)[0] for mean in ranked.mean(axis=0)[1:]))
    return {"tables": Measure(float(len(done))), "place by mean rank": Measure(1 + ahead),
            "tables worse": Measure(float(worse.sum())), **figures}  # fmt: skip


def scores(name: str, threads: int) -> dict[str, np.ndarray]:
    """By side the figure of each fold, from the kept predictions."""
    from sklearn.metrics import r2_score, roc_auc_score

    if not _kept(name).exists():
        write_parquet(_kept(name), predicted(name, threads))
    table = pl.read_parquet(_kept(name))
    score = roc_auc_score if table["truth"].n_unique() == 2 else r2_score
    folds = table.partition_by("fold", maintain_order=True)
    return {side: np.array([score(fold["truth"], fold[side]) for fold in folds]) for side in SIDES}


def predicted(name: str, threads: int) -> pl.DataFrame:
    """`fold, truth` and what each side predicts of the cases that it has not seen."""
    table, study = table_set(name)
    task = TableTask()
    cases = task.read(Sources((table,), {}), study).usable
    split = split_cases(cases, study, strata(cases))
    plan = task.plan(cases, split, Budget(None, free_memory(), threads))
    run = Run(WORK / "tables" / name / "model", threads=threads)
    ours = fit_or_load(task.method(plan), cases, split, {}, run).held_out.table
    joined = cases.table.select("case_id", truth="answer").join(
        split.table.select("case_id", "fold"), on="case_id", maintain_order="left"
    )
    joined = joined.join(ours.select("case_id", medeor="value"), on="case_id", maintain_order="left")
    peers = {side: _peer(side, cases, split, plan, threads) for side in SIDES[1:]}
    return joined.with_columns(pl.Series(side, values) for side, values in peers.items()).drop("case_id")


def _peer(side: str, cases: Cases, split: Split, plan: TablePlan, threads: int) -> np.ndarray:
    """LightGBM with its defaults and its own categories, or logistic or ridge regression with imputed medians, flags
    of what is missing, standardised numbers and one-hot categories (scikit-learn's defaults)."""
    numbers = [as_numbers(cases.table[name]).values for name, kind in plan.columns.items() if kind == "number"]
    levels = [as_levels(cases.table[name]) for name, kind in plan.columns.items() if kind == "category"]
    ranked = [one.rank("dense").fill_null(0).cast(pl.Float64) for one in levels]
    rows = pl.DataFrame([*numbers, *ranked]).fill_null(float("nan")).to_numpy()
    categories = list(range(len(numbers), rows.shape[1]))
    truth = cases.table["answer"].to_numpy()
    fold = cases.table.select("case_id").join(split.table, on="case_id", maintain_order="left")["fold"].to_numpy()
    values = np.empty(len(truth))
    for number in range(split.folds):
        seen = fold != number
        model = _model(side, cases.table["answer"].n_unique() == 2, categories, rows.shape[1], threads)
        fit = {"categorical_feature": categories} if side == "lightgbm" else {}
        fitted = model.fit(rows[seen], truth[seen], **fit)
        asked = getattr(fitted, "predict_proba", fitted.predict)(rows[~seen])
        values[~seen] = asked[:, 1] if asked.ndim > 1 else asked
    return values


def _model(side: str, classes: bool, categories: list[int], width: int, threads: int):  # type: ignore[no-untyped-def]
    from lightgbm import LGBMClassifier, LGBMRegressor
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if side == "lightgbm":
        return (LGBMClassifier if classes else LGBMRegressor)(n_jobs=threads, random_state=0, verbosity=-1)
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", min_frequency=5)
    prepared = make_column_transformer((numbers, list(range(width - len(categories)))), (one_hot, categories))
    return make_pipeline(prepared, LogisticRegression(max_iter=2000) if classes else Ridge())


def _kept(name: str) -> Path:
    return WORK / "tables" / name / "predictions.parquet"
