"""Cox regression with a ridge and a random survival forest of 100 trees on one set, and the scores of all sides:
`python -m bench.sides.peer_survival FOLDER`. FOLDER holds `cases.parquet` with `time, event, part`, and the risks that
medeor predicts by each horizon."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sksurv.ensemble import RandomSurvivalForest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import concordance_index_censored, integrated_brier_score
from sksurv.util import Surv


def main() -> None:
    place = Path(sys.argv[1])
    table, risks = pl.read_parquet(place / "cases.parquet"), pl.read_parquet(place / "predictions.parquet")
    names = [name for name in table.columns if name not in ("time", "event", "part")]
    words = [name for name in names if table[name].dtype == pl.String]
    numbers = [name for name in names if name not in words]
    rows = np.empty((table.height, len(names)), object)
    for place_of, name in enumerate([*numbers, *words]):
        column = table[name].fill_null("") if name in words else table[name].cast(pl.Float64).fill_null(np.nan)
        rows[:, place_of] = column.to_list()
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), list(range(len(numbers)))),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=5, sparse_output=False),
         list(range(len(numbers), len(names)))),
        sparse_threshold=0,
    )  # fmt: skip
    test = (table["part"] == "test").to_numpy()
    train_rows, test_rows = prepared.fit_transform(rows[~test]).astype(float), prepared.transform(rows[test])
    truth = Surv.from_arrays(table["event"].to_numpy().astype(bool), table["time"].to_numpy())
    ends, values = [float(end) for end in risks.columns], risks.to_numpy()
    sides = {"medeor": (values.sum(axis=1), 1 - values)}
    for side, model in (
        ("cox", CoxPHSurvivalAnalysis(alpha=1.0)),
        ("forest", RandomSurvivalForest(100, min_samples_leaf=15, random_state=0)),
    ):
        fitted = model.fit(train_rows, truth[~test])
        left = np.array([curve(ends) for curve in fitted.predict_survival_function(test_rows.astype(float))])
        sides[side] = fitted.predict(test_rows.astype(float)), left
    inside = truth[test]["time"] < truth[~test]["time"].max()
    scores = {}
    for side, (risk, left) in sides.items():
        scores[f"c-index, {side}"] = concordance_index_censored(truth[test]["event"], truth[test]["time"], risk)[0]
        brier = integrated_brier_score(truth[~test], truth[test][inside], left[inside], ends)
        scores[f"integrated brier, {side}"] = brier
    (place / "scores.json").write_text(json.dumps({name: float(value) for name, value in scores.items()}))


if __name__ == "__main__":
    main()
