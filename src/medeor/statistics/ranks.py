"""How high the truth stands among all candidates, for tasks that keep its places as items `rank/SIDE`."""

from __future__ import annotations

import numpy as np
import polars as pl

from medeor.contracts import Cases, Predictions
from medeor.statistics.intervals import Estimator
from medeor.statistics.outcomes import group_codes
from medeor.statistics.scores import means
from medeor.statistics.statistic import Statistic

HITS = (1, 3, 10)
RANKED = ("mrr", *(f"hits@{k}" for k in HITS))

STATISTICS = (
    Statistic("mrr"),
    Statistic("hits"),
    Statistic("mean_rank", higher_is_better=False),
)


def ranked(cases: Cases, predictions: Predictions) -> list[Estimator]:
    """`RANKED`, means over the sides of each case whose targets all hold; nothing where no place was kept.

    `mrr` is the mean of 1 / rank, `hits@k` the share of ranks up to k; 1 is the best rank."""
    places = predictions.table.filter(pl.col("item").cast(pl.String).str.starts_with("rank/"))
    figures = [(1 / pl.col("value")).mean(), *((pl.col("value") <= k).mean() for k in HITS)]
    by_case = places.group_by(pl.col("case_id").cast(pl.String)).agg(
        figure.cast(pl.Float64).alias(name) for name, figure in zip(RANKED, figures, strict=True)
    )
    table = cases.table.select(pl.col("case_id").cast(pl.String), *(target.name for target in cases.targets))
    table = table.with_row_index("row").join(by_case, on="case_id", maintain_order="left")
    table = table.filter(pl.all_horizontal(pl.lit(True), *(pl.col(target.name) == 1 for target in cases.targets)))
    if not table.height:
        return []
    groups = group_codes(cases)[0][table["row"].to_numpy()]
    units = len(np.unique(groups))
    columns = [table[name].to_numpy() for name in RANKED]
    return [Estimator(RANKED, means(columns), groups, trials=(None, *(units for _ in HITS)))]
