"""Cross-validation on the Biogen endpoints beside boosted trees on the same folds, and how often intervals hold."""

from __future__ import annotations

import numpy as np
import polars as pl

from bench.rows.molecules import divided, fit_fingerprints, place, predictions, trained
from bench.workload import Row
from medeor.contracts import Cases, Measure, Predictions
from medeor.files import replacing
from medeor.road.finished import results
from medeor.statistics.intervals import bootstrap
from medeor.statistics.scores import means
from medeor.targets.outcomes import lined_up


def adme(row: Row) -> dict[str, Measure]:
    """Pearson's correlation within each of five folds: the mean, with the lowest and the highest fold."""
    run = trained(row.data, row.seed, "medeor-cv", row.threads)
    cases, ours = results(run)
    folds = pl.read_parquet(run / "split.parquet").select("case_id", "fold")
    theirs = trees(row, folds)
    return {"pearson": by_fold(cases, ours, folds), "pearson of lightgbm": by_fold(cases, theirs, folds)}


def trees(row: Row, folds: pl.DataFrame) -> Predictions:
    """Boosted trees on ECFP4 counts, each fold predicted by those that have not seen it."""
    cases, _ = divided(row.data, row.seed, "cv")
    target = cases.targets[0]
    table = cases.table.join(folds, on="case_id", how="inner", maintain_order="left")
    parts = []
    for fold in sorted(folds["fold"].drop_nulls().unique()):
        folder = place(row.data, row.seed) / "lightgbm" / str(fold)
        if not (folder / "predictions.csv").exists():
            part = pl.when(pl.col("fold") == fold).then(pl.lit("test")).otherwise(pl.lit("train")).alias("split")
            with replacing(folder.parent / "cases.csv") as new:
                table.select("case_id", "smiles", part, target.name).write_csv(new)
            fit_fingerprints(folder.parent / "cases.csv", folder, "lightgbm", row)
        parts.append(predictions(cases, folder).table)
    return Predictions(pl.concat(parts))


def by_fold(cases: Cases, predicted: Predictions, folds: pl.DataFrame) -> Measure:
    one = lined_up(cases, predicted)[0]
    fold = cases.table.join(folds, on="case_id", how="left", maintain_order="left")["fold"].to_numpy()[one.rows]
    values = [float(np.corrcoef(one.truth[fold == k], one.values[fold == k, 0])[0, 1]) for k in np.unique(fold)]
    return Measure(float(np.mean(values)), min(values), max(values), len(values))


def coverage(row: Row) -> dict[str, Measure]:
    """The share of truths within 90 % intervals (of numbers) and sets (of classes), pooled over sets and seeds; the
    row is named after the division."""
    side = {"scaffold": "medeor", "random": "medeor-random"}[row.data]
    settings = row.workload.settings
    held: dict[str, list[np.ndarray]] = {"intervals": [], "sets of classes": []}
    units: dict[str, list[np.ndarray]] = {"intervals": [], "sets of classes": []}
    for data in settings["sets"].split():
        for seed in map(int, settings["seeds"].split()):
            run = trained(data, seed, side, row.threads)
            cases, ours = results(run)
            for one in lined_up(cases, ours):
                if one.low is not None and one.high is not None:
                    kind, holds = "intervals", (one.low <= one.truth) & (one.truth <= one.high)
                elif one.plausible is not None:
                    kind, holds = "sets of classes", one.plausible[np.arange(len(one)), one.truth] > 0
                else:
                    continue
                held[kind].append(holds.astype(float))
                units[kind].append(np.char.add(f"{data} ", cases.table["content"].to_numpy().astype(str)[one.rows]))
    figures = {}
    for kind, parts in held.items():
        if parts:
            score = means([np.concatenate(parts)])
            figures[f"coverage of {kind}"] = bootstrap(score, np.concatenate(units[kind]))
    return figures
