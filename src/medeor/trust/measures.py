"""How good the predictions are: the field's figures for every kind of target, with intervals clustered by group,
overall and by subgroup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl

from medeor.contracts import Cases, Measure, Predictions, UserError
from medeor.statistics.intervals import MANY, Resampled, difference, holm, interval, p_value
from medeor.statistics.outcomes import group_codes, units
from medeor.statistics.scores import Array
from medeor.targets import headlines
from medeor.targets.outcomes import lined_up
from medeor.trust.families import PREVALENCES, estimators, figures


def measure(
    cases: Cases,
    predictions: Predictions,
    *,
    subgroups: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Measure]:
    """Every figure that the targets of these cases allow, by name. A case without a truth is left out of that target.

    Classes: `auroc` (macro one against the rest, then `auroc/CLASS`), `auprc` (average precision), `accuracy`,
    `balanced_accuracy`, `f1` (macro for more than two classes), `recall/CLASS`, `brier` (binary: of the positive
    class, 0 to 1; else summed over the classes, 0 to 2), `log_loss`, `ece` (15 bins of equal mass, debiased; of the
    positive class, or of the most probable of several), `brier/uncalibrated`, `ece/uncalibrated`,
    `log_loss/uncalibrated`, `coverage` and `set_size` of the conformal sets. Binary: `sensitivity, specificity, ppv,
    npv` of the decisions, as they fell; `ppv@prevalence=0.05`, `npv@prevalence=0.05`, as they would be at that
    prevalence (default: those the cases name, else `PREVALENCES`); `sensitivity@specificity=0.95` and
    `specificity@sensitivity=0.95`, read off this part's own ROC curve where the fixed class has enough groups. Ordinal:
    `quadratic_weighted_kappa` and `grade_error`, the mean distance in grades. Numbers: `mae, rmse, r2, pearson,
    spearman`, and `coverage` and `interval_width` of their intervals; of those that are learned by their
    logarithm `fold_error` (the geometric mean), `within_2_fold` and `within_3_fold` too.

    Several targets: `auroc/TARGET`, and of binary ones the mean over the labels as `auroc`. Subgroups (default: those
    the cases name) with at least 20 groups, headline figures alone: `auroc[sex=F]`.

    Raises: UserError when a case was not predicted, or a subgroup is no column."""
    every = lined_up(cases, predictions)
    rates = cases.prevalences or PREVALENCES
    parts = [part for one in every for part in estimators(one, prevalences=rates, named=len(every) > 1)]
    found = figures({"": parts}, cases.targets, group_codes(cases)[1], resamples=resamples, seed=seed)
    measures = {name: interval(figure) for name, figure in found[""].items()}
    rows = subgroup_table(cases, predictions, subgroups=subgroups, seed=seed, resamples=resamples)
    return measures | {f"{row.metric}[{row.column}={row.level}]": row.measure for row in rows}


@dataclass(frozen=True)
class SubgroupRow:
    """One headline figure in one subgroup, compared with all other cases."""

    column: str
    level: str
    metric: str
    cases: int
    measure: Measure
    rest: Measure
    difference: Measure
    """Subgroup less rest."""
    p: float | None
    """That they do not differ, adjusted for the number of rows (Holm)."""

    @property
    def differs(self) -> bool:
        return self.p is not None and self.p < 0.05


def subgroup_table(
    cases: Cases,
    predictions: Predictions,
    *,
    subgroups: Sequence[str] | None = None,
    minimum: int = 20,
    seed: int = 0,
    resamples: int = 1000,
) -> list[SubgroupRow]:
    """The headline figures in every subgroup with at least `minimum` groups, and whether each differs from the rest:
    paired over the same resamples, p-values adjusted for the number of rows.

    Subgroups are the values of a column of text or truth values, and the quarters of a number; null is `unknown`."""
    columns = cases.subgroups if subgroups is None else subgroups
    if not columns:
        return []
    every = lined_up(cases, predictions)
    codes, groups = group_codes(cases)
    wanted = headlines(cases.targets)
    plain = {name.split("/")[0] for name in wanted}
    members = [
        (column, level, member)
        for column in columns
        for level, member in levels(cases.table, column)
        if units(codes[member]) >= minimum and not member.all()
    ]
    found: dict[tuple[int, bool], dict[str, Resampled]] = {}
    # Of many cases no more than one subgroup is held at a time.
    step = max(1, len(members)) if groups <= MANY else 1
    for start in range(0, len(members), step):
        sides = {
            (start + place, inside): [
                part
                for one in every
                for part in estimators(one.where(mask[one.rows]), wanted=plain, named=len(every) > 1)
            ]
            for place, (*_, member) in enumerate(members[start : start + step])
            for inside, mask in ((True, member), (False, ~member))
        }
        found |= figures(sides, cases.targets, groups, resamples=resamples, seed=seed)
    rows = []
    for number, (column, level, member) in enumerate(members):
        own, others = found[number, True], found[number, False]
        for metric in wanted:
            if metric in own and metric in others:
                gap = difference(own[metric], others[metric])
                inside, rest = interval(own[metric]), interval(others[metric])
                # A handful of other cases is no yardstick.
                p = p_value(gap) if (rest.n or 0) >= minimum else None
                rows.append(SubgroupRow(column, level, metric, int(member.sum()), inside, rest, interval(gap), p))
    adjusted = holm([row.p for row in rows])
    return [replace(row, p=p) for row, p in zip(rows, adjusted)]


def levels(table: pl.DataFrame, column: str) -> list[tuple[str, Array]]:
    """The subgroups of a column: names and masks of shape (cases,). Numbers with more than six values are cut at
    their quartiles."""
    if column not in table.columns:
        raise UserError("trust.subgroups.no-column", column=column, columns=table.columns)
    values = table[column]
    if values.dtype.is_float():
        values = values.fill_nan(None)
    unknown = [("unknown", values.is_null().to_numpy())] if values.null_count() else []
    if not values.dtype.is_numeric() or values.n_unique() <= 6:
        text = values.cast(pl.String)
        names = sorted(text.drop_nulls().unique())
        return [(name, (text == name).fill_null(False).to_numpy()) for name in names] + unknown
    number = values.cast(pl.Float64).to_numpy()
    cuts = np.unique(np.nanquantile(number, (0.25, 0.5, 0.75)))
    place = np.where(np.isnan(number), -1, np.searchsorted(cuts, number, side="right"))
    ends = [f"{cut:g}" for cut in cuts]
    names = [f"under {ends[0]}", *(f"{a} to {b}" for a, b in pairwise(ends)), f"{ends[-1]} and over"]
    return [(name, place == index) for index, name in enumerate(names)] + unknown
