"""How good a completion is: ranks of held-out triples and probabilities of true and false ones, with intervals."""

from __future__ import annotations

import numpy as np
import polars as pl

from medeor.contracts import Cases, Measure, Measures, Predictions
from medeor.knowledge.read.cases import HOLDS, triples_of
from medeor.knowledge.read.graph import Graph
from medeor.statistics.intervals import Estimator, difference, interval, resample
from medeor.statistics.outcomes import group_codes
from medeor.statistics.scores import areas, means
from medeor.trust.measures import levels, measure

SMALLEST = 20
"""Independent units below which a relation or class of degrees is not reported separately."""

_FIGURES = ("mrr", "hits@1", "hits@3", "hits@10", "mean_rank")


def evaluate(cases: Cases, predictions: Predictions) -> Measures:
    """Of the true triples `mrr`, `hits@1`, `hits@3`, `hits@10`, `mean_rank`, means over both sides, filtered, ties by
    realistic rank; `mrr/tail`, `mrr/head`; `typed mrr` and so on among the entities that fit; `mrr[relation=treats]`
    and `mrr[degree=1 to 3]` where there are enough. Ranks of further models stand under their names (`degree/mrr`).
    Of true against false triples all that `trust.measures.measure` gives for `holds` (`auroc`, `ece`, …).

    Intervals are bootstrapped by group."""
    measures: dict[str, Measure] = {}
    if cases.table["holds"].n_unique() > 1:
        measures |= measure(cases, predictions, subgroups=cases.subgroups)
    true = cases.where(pl.col("holds") == 1)
    if len(true):
        measures = _ranking(true, predictions) | measures
    return measures


def _ranking(cases: Cases, predictions: Predictions) -> dict[str, Measure]:
    graph = cases.store("graph", Graph)
    relation = graph.relations["name"].gather(triples_of(cases)[:, 1])
    table = cases.table.with_columns(relation.alias("relation"))
    codes, groups = group_codes(cases)
    masks = {
        f"[{column}={level}]": mask
        for column in ("relation", *cases.subgroups)
        for level, mask in levels(table, column)
        if len(np.unique(codes[mask])) >= SMALLEST and not mask.all()
    }
    ranks = predictions.table.filter(pl.col("item").str.contains("rank/", literal=True))
    wide = cases.table.select("case_id").join(
        ranks.pivot("item", index="case_id", values="value"), on="case_id", how="left", maintain_order="left"
    )
    columns: dict[str, np.ndarray] = {}
    weights: dict[str, np.ndarray] = {}
    for prefix in dict.fromkeys(name.removesuffix("rank/tail") for name in wide.columns if name.endswith("rank/tail")):
        tail, head = (wide[f"{prefix}rank/{side}"].to_numpy() for side in ("tail", "head"))
        for name, one, other in zip(_FIGURES, _figures(tail), _figures(head), strict=True):
            columns[f"{prefix}{name}"] = (one + other) / 2
        columns |= {f"{prefix}mrr/tail": 1 / tail, f"{prefix}mrr/head": 1 / head}
        if not prefix:
            columns |= {f"mrr{name}": columns["mrr"] for name in masks}
            weights = {f"mrr{name}": mask.astype(float) for name, mask in masks.items()}
    values = np.stack(list(columns.values()), 1)
    counted = np.stack([weights.get(name, np.ones(len(cases))) for name in columns], 1)
    units = [len(np.unique(codes[mask > 0])) for mask in counted.T]
    trials = [count if "hits" in name else None for name, count in zip(columns, units, strict=True)]
    weighed = counted * values

    def means(times: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (times @ weighed) / (times @ counted)

    estimator = Estimator(tuple(columns), means, codes, tuple(units), tuple(trials))
    return {name: interval(figure) for name, figure in resample([estimator], groups).items()}


def _figures(rank: np.ndarray) -> tuple[np.ndarray, ...]:
    """The figures of single ranks, in the order of `_FIGURES`."""
    return 1 / rank, *((rank <= k).astype(float) for k in (1, 3, 10)), rank


def mean_reciprocal_rank(cases: Cases, predictions: Predictions, prefix: str = "") -> float:
    """Of the true triples, over both sides; NaN where there are none."""
    true = cases.table.filter(pl.col("holds") == 1).select("case_id")
    items = [f"{prefix}rank/tail", f"{prefix}rank/head"]
    ranks = predictions.table.filter(pl.col("item").is_in(items)).join(true, on="case_id", how="semi")
    return float((1 / ranks["value"].to_numpy()).mean()) if ranks.height else float("nan")


def gains(cases: Cases, ours: Predictions, theirs: Predictions, name: str) -> dict[str, Measure]:
    """Two sets of predictions of the same triples, paired: `mrr`, `auroc`, `auprc` of both (theirs under `name/`) and
    ours less theirs (`mrr less NAME`), of all, and by degree where there are `SMALLEST` groups. Intervals draw whole
    groups."""
    codes, groups = group_codes(cases)
    true = (cases.table["holds"] == 1).to_numpy()
    masks = {"": np.ones(len(cases), bool)}
    masks |= {f"[degree={level}]": mask for level, mask in levels(cases.table, "degree")}
    parts = []
    for side, predictions in (("ours", ours), ("theirs", theirs)):
        wide = cases.table.select("case_id").join(
            predictions.table.pivot("item", index="case_id", values="value"), "case_id", "left", maintain_order="left"
        )
        reciprocal = np.mean([1 / wide[f"rank/{end}"].to_numpy() for end in ("tail", "head")], axis=0)
        for level, mask in masks.items():
            if level and len(np.unique(codes[mask & true])) < SMALLEST:
                continue
            rows = mask & true
            parts.append(Estimator((f"{side} mrr{level}",), means([reciprocal[rows]]), codes[rows]))
            if true[mask].any() and not true[mask].all():
                area = areas(wide[HOLDS.name].to_numpy()[mask], true[mask])
                parts.append(Estimator((f"{side} auroc{level}", f"{side} auprc{level}"), area, codes[mask]))
    found = resample(parts, groups)
    figures = {}
    for figure in (one.removeprefix("ours ") for one in found if one.startswith("ours ")):
        mine, other = found[f"ours {figure}"], found[f"theirs {figure}"]
        plain, bracket, level = figure.partition("[")
        figures[f"{plain} less {name}{bracket}{level}"] = interval(difference(mine, other))
        figures[figure], figures[f"{name}/{figure}"] = interval(mine), interval(other)
    return figures
