"""Truth and predictions of targets lined up: what every figure of merit starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from medeor.contracts import Cases, Predictions, Target, Text, UserError
from medeor.statistics.outcomes import Outcomes, arrange, group_codes
from medeor.statistics.scores import Array
from medeor.targets import of


def line_up(cases: Cases, predictions: Predictions, target: Target) -> Outcomes:
    """The cases that are scored (of a number known by a limit alone none is) and that were predicted, in the table's
    order.

    Raises: UserError when the target is missing, a truth is no class, a prediction is no number or stands twice."""
    table, kind = cases.table, of(target)
    if target.name not in table.columns:
        raise UserError("targets.outcomes.no-column", target=target.name, columns=table.columns)
    truth = kind.truth(table)
    given = arrange(table["case_id"], predictions, kind.items, target.name)
    rows = np.flatnonzero(kind.scored(truth) & given.predicted)
    given, truth = given.where(rows), truth[rows]
    found = Outcomes(
        target,
        rows,
        group_codes(cases)[0][rows],
        truth[:, 0],
        given.values,
        given.raw if given.raw is not None and np.isfinite(given.raw).all() else None,
        given.chosen,
        kind.sets(given.plausible),
        _first(given.low),
        _first(given.high),
        _first(given.spread),
        truth[:, 1] if truth.shape[1] > 1 else None,
    )
    return _with_classes(found, kind.classes, table["case_id"]) if kind.classes else found


def lined_up(cases: Cases, predictions: Predictions) -> list[Outcomes]:
    """Truth and predictions of every target. Raises: UserError naming how many cases were not predicted."""
    result = []
    for target in cases.targets:
        one, kind = line_up(cases, predictions, target), of(target)
        scored = kind.scored(kind.truth(cases.table))
        missing = scored.copy()
        missing[one.rows] = False
        if missing.any():
            first = cases.table["case_id"][int(missing.argmax())]
            counts = {"missing": int(missing.sum()), "cases": int(scored.sum())}
            raise UserError("targets.outcomes.not-predicted", **counts, target=target.name, first=first)
        result.append(one)
    return result


def with_truth(cases: Cases, predictions: Predictions, target: Target) -> tuple[pl.Series, Array, Array]:
    """Case ids, truth (n, columns) and values (n, k) of the predicted cases with a label, those with a limit among
    them."""
    kind = of(target)
    table = cases.table.filter(pl.col(target.name).is_not_null())
    given = arrange(table["case_id"], predictions, kind.items, target.name)
    table = table.filter(given.predicted)
    return table["case_id"], kind.truth(table), given.values[given.predicted]


def _with_classes(one: Outcomes, classes: Sequence[Text], case_ids: pl.Series) -> Outcomes:
    """The same with the truth as whole numbers. Raises: UserError where one is no class."""
    wrong = np.flatnonzero((one.truth % 1 != 0) | (one.truth < 0) | (one.truth >= len(classes)))
    if len(wrong):
        value, case = one.truth[wrong[0]], case_ids[int(one.rows[wrong[0]])]
        facts = {"value": float(value), "case": case, "last": len(classes) - 1}
        raise UserError("targets.outcomes.no-class", target=one.target.name, classes=tuple(classes), **facts)
    return replace(one, truth=one.truth.astype(np.int64))


def _first(column: Array | None) -> Array | None:
    return None if column is None else column[:, 0]


def strata(cases: Cases) -> Array | None:
    """By which the parts of a split are balanced: those of the first target, shape (cases,)."""
    if not cases.targets:
        return None
    kind = of(cases.targets[0])
    return kind.strata(kind.truth(cases.table))
