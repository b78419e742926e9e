"""Cross-validation on tissue tiles, beside a forest on colour histograms over the same folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.rows.commands import known_path, medeor
from bench.workload import Row
from medeor.contracts import Measure, Predictions
from medeor.files import read_json
from medeor.road.finished import results
from medeor.targets import of
from medeor.trust.compare import compare

BINS = 8


def forest(row: Row) -> dict[str, Measure]:
    """Out-of-fold AUROC of both and their paired difference."""
    folder = row.place / "run"
    if not (folder / "metrics.json").exists():
        options = ("--split", "cv", "--set", f"seed={row.seed}", "--out", folder, "--quiet")
        medeor("train", row.data, *options, threads=row.threads)
    metrics = read_json(folder / "metrics.json")["cv"]
    cases, ours = results(folder)
    folds = cases.table.join(
        pl.read_parquet(folder / "split.parquet").select("case_id", "fold"),
        on="case_id",
        how="left",
        maintain_order="left",
    )["fold"].to_numpy()
    features = np.stack([histogram(path) for path in pictures(cases.table["source"].to_list(), known_path(row.data))])
    target = cases.targets[0]
    values = out_of_fold(features, cases.table[target.name].to_numpy(), folds, row.seed)
    table = pl.DataFrame({"case_id": cases.ids, "item": of(target).items[0], "value": values, "chosen": values >= 0.5})
    found = compare(cases, ours, Predictions(table), metrics=("auroc",))[0]
    return {
        "auroc": Measure(**metrics["auroc"]),
        "difference of auroc": Measure(found.difference, found.low, found.high, found.n),
        "forest auroc": Measure(found.theirs),
        "p": Measure(found.p),
        "baseline/auroc": Measure(**metrics["baseline/auroc"]),
    }


def pictures(sources: list[str], root: Path) -> list[Path]:
    """Each case's file, whichever folder its name counts from.

    Raises: FileNotFoundError for one that is nowhere."""
    known = {path.name: path for path in root.rglob("*") if path.is_file()}
    try:
        return [known[Path(source).name] for source in sources]
    except KeyError as error:
        raise FileNotFoundError(f"no tile is called {error}") from None


def histogram(path: Path) -> NDArray[np.float64]:
    """Shares of the pixels in 8 x 8 x 8 boxes of red, green and blue."""
    from PIL import Image

    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=np.int64) * BINS // 256
    places = (pixels[..., 0] * BINS + pixels[..., 1]) * BINS + pixels[..., 2]
    return np.bincount(places.ravel(), minlength=BINS**3) / places.size


def out_of_fold(
    features: NDArray[np.float64], truth: NDArray[np.int64], folds: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Probability of class 1 for each case from a forest of 500 trees that has not seen its fold."""
    from sklearn.ensemble import RandomForestClassifier

    values = np.empty(len(truth))
    for fold in np.unique(folds):
        model = RandomForestClassifier(500, random_state=seed).fit(features[folds != fold], truth[folds != fold])
        values[folds == fold] = model.predict_proba(features[folds == fold])[:, 1]
    return values
