"""Two sets of predictions compared on the same cases: paired differences, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from medeor.contracts import Cases, Predictions, UserError
from medeor.statistics.intervals import difference, holm, interval, p_value
from medeor.statistics.outcomes import Outcomes, group_codes
from medeor.statistics.ranks import RANKED, ranked
from medeor.targets import averaged, of, statistic
from medeor.targets.outcomes import lined_up
from medeor.trust.families import estimators, figures


class Difference(NamedTuple):
    """One figure of two sets of predictions, and how sure it is that they differ."""

    metric: str
    ours: float | None
    theirs: float | None
    difference: float | None
    """Ours less theirs."""
    low: float | None
    """95 % interval of the difference, from the paired bootstrap."""
    high: float | None
    p: float | None
    """That they do not differ, two-sided."""
    p_adjusted: float | None
    """The same, adjusted for the number of figures compared (Holm 1979)."""
    n: int | None
    """Independent groups that it rests on."""

    @property
    def better(self) -> str:
        """`ours` or `theirs` where they differ after adjustment, else empty."""
        if not self.difference or self.p_adjusted is None or self.p_adjusted >= 0.05:
            return ""
        return "ours" if (self.difference > 0) == statistic(self.metric).higher_is_better else "theirs"


def compare(
    cases: Cases,
    ours: Predictions,
    theirs: Predictions,
    *,
    metrics: Sequence[str] | None = None,
    resamples: int = 2000,
    shared_only: bool = False,
) -> list[Difference]:
    """Both sets of predictions on the same cases and the same bootstrap samples of groups; one row a figure, named as
    `measure` and `ranks.ranked` name them. A p-value is the level at which the interval of the difference just reaches
    zero; with 2,000 resamples the smallest that can be reached is about 0.001.

    Raises: UserError when the two did not predict all of `cases`, unless `shared_only` asks for those that both did;
    when a metric is unknown."""
    cases = _shared(cases, ours, theirs, shared_only)
    named = len(cases.targets) > 1
    sides = {"ours": lined_up(cases, ours), "theirs": lined_up(cases, theirs)}
    ranks = {"ours": ranked(cases, ours), "theirs": ranked(cases, theirs)}
    if metrics is not None:
        theirs_too = _names(sides["theirs"], named)
        possible = [name for name in _names(sides["ours"], named) if name in theirs_too]
        possible += RANKED if all(ranks.values()) else ()
        for name in metrics:
            if name not in possible:
                raise UserError("trust.compare.unknown-metric", name=name, possible=possible)
    usual = {one.name for target in cases.targets for one in of(target).statistics if one.compared}
    plain = usual if metrics is None else {name.split("/")[0] for name in metrics} | set(metrics)
    parts = {
        side: [*ranks[side], *(part for one in every for part in estimators(one, wanted=plain, named=named))]
        for side, every in sides.items()
    }
    found = figures(parts, cases.targets, group_codes(cases)[1], resamples=resamples)
    known = [name for name in found["ours"] if name in found["theirs"]]
    # Of several labels their means are compared, of several classes all of them together: details would only spend
    # the correction.
    chosen = [name for name in known if name in usual]
    chosen = chosen or [name for name in known if name.split("/")[0] in usual]
    places = [name for name in known if name in RANKED]
    wanted = [*places, *chosen] if metrics is None else list(metrics)
    gaps = [difference(found["ours"][name], found["theirs"][name]) for name in wanted]
    p_values = [p_value(gap) for gap in gaps]
    rows = []
    for name, gap, p, adjusted in zip(wanted, gaps, p_values, holm(p_values)):
        values = (found[side][name].value for side in sides)
        ours_value, theirs_value = (value if math.isfinite(value) else None for value in values)
        value, low, high, n = interval(gap)
        rows.append(Difference(name, ours_value, theirs_value, value, low, high, p, adjusted, n))
    return rows


def _names(every: Sequence[Outcomes], named: bool) -> list[str]:
    names = [name for one in every for part in estimators(one, named=named) for name in part.names]
    means = (mean.name for mean in averaged([one.target for one in every]))
    return [*means, *(name for name in names if not name.startswith(("observed ", "chance ")))]


def _shared(cases: Cases, ours: Predictions, theirs: Predictions, shared_only: bool) -> Cases:
    ids = cases.table["case_id"].cast(pl.String)
    by_us, by_them = (ids.is_in(one.table["case_id"].cast(pl.String).unique().to_list()) for one in (ours, theirs))
    both = by_us & by_them
    if both.all():
        return cases
    if not both.any():
        raise UserError("trust.compare.none-shared", count=len(ids))
    if not shared_only:
        raise UserError(
            "trust.compare.other-cases", ours=by_us.sum(), theirs=by_them.sum(), shared=both.sum(), count=len(ids)
        )
    return cases.where(both)
