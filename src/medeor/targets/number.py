"""A number in a unit: learned as it stands or, where it is positive and skewed, by its logarithm; some values may be
known by a limit alone (`>10`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from medeor.contracts import Message, Text
from medeor.figures import Figure
from medeor.statistics import scores
from medeor.statistics.intervals import Estimator
from medeor.statistics.moments import Moments
from medeor.statistics.outcomes import Arranged, Outcomes, units
from medeor.statistics.scores import Array
from medeor.statistics.statistic import Statistic
from medeor.targets.common import drawings
from medeor.targets.common.base import Quantity, weighted
from medeor.targets.common.calibration import CalibrationOptions, How, TargetCalibration, conformal_quantile
from medeor.targets.common.class_scores import mean_family
from medeor.targets.common.doubts import outliers
from medeor.targets.common.kind import AgainstChance, Boosted, Described, Family, Fit, LabelDoubts, YesNoQuestion

if TYPE_CHECKING:
    from torch import Tensor

FLOORS = (0.0, 0.1, 0.3, 1.0, 3.0)
"""Of the median spread, that may be added to every spread: the larger, the more alike are the intervals' widths."""

_LEAST = 1e-30
"""What stands for a value that is not known, so that it has a logarithm."""

_AGREED = ("rmse", "r2", "pearson", "spearman")
_AGREED_OF_LOGARITHMS = tuple(f"{name} of the logarithm" for name in _AGREED)


@dataclass(frozen=True)
class Number(Quantity):
    """See `TargetKind`. A number known by a limit teaches a network and is not scored."""

    STATISTICS: ClassVar[tuple[Statistic, ...]] = (
        Statistic("fold_error", higher_is_better=False),
        Statistic("within_2_fold"),
        Statistic("within_3_fold"),
        Statistic("mae", higher_is_better=False, compared=True),
        Statistic("r2", "R²", compared=True, on_forest=True, chance=0.0),
        Statistic("rmse", higher_is_better=False, compared=True),
        Statistic("pearson", on_forest=True),
        Statistic("spearman", compared=True, on_forest=True, chance=0.0),
        Statistic("coverage"),
        Statistic("interval_width", higher_is_better=False),
        Statistic(_AGREED_OF_LOGARITHMS[1], chance=0.0),
    )
    comparable: ClassVar[bool] = False
    skill: ClassVar[str] = "spearman"
    objective: ClassVar[str] = "regression"

    @property
    def items(self) -> tuple[str, ...]:
        return (self.target.name,)

    @property
    def logarithmic(self) -> bool:
        return self.target.scale == "log"

    @property
    def unit(self) -> Text:
        return Message("targets.unit.powers-of-ten") if self.logarithmic else self.target.unit

    @property
    def sound(self) -> bool:
        return not self.target.classes

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        first, main = (("fold_error", "within_2_fold"), "fold_error") if self.logarithmic else (("mae", "r2"), "r2")
        return tuple(
            replace(one, headline="always" if one.name in first else "", main=one.name == main)
            for one in self.STATISTICS
        )

    # --- truth -----------------------------------------------------------------------------------------------

    def truth(self, table: pl.DataFrame) -> Array:
        name, limit = self.target.name, self.target.limit
        value = table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        limited = limit in table.columns
        return np.column_stack([value, table[limit].fill_null(0).to_numpy() if limited else np.zeros(len(value))])

    def scored(self, truth: Array) -> Array:
        return np.asarray(~np.isnan(truth[:, 0]) & (truth[:, 1] == 0))

    def written(self, columns: Sequence[str]) -> pl.Expr:
        known = pl.col(self.target.name)
        if self.target.limit not in columns:
            return known
        sign = pl.col(self.target.limit).replace_strict({1: ">", -1: "<"}, default="", return_dtype=pl.String)
        return (sign + known.cast(pl.String)).alias(self.target.name)

    def strata(self, truth: Array) -> Array:
        """Fifths."""
        values = np.nan_to_num(truth[:, 0], nan=-1.0)
        return np.searchsorted(np.quantile(values, [0.2, 0.4, 0.6, 0.8]), values).astype(float)

    def questions(self, truth: Array) -> Iterator[YesNoQuestion]:
        values = truth[:, 0]
        known = ~np.isnan(values)
        middle = np.median(values[known]) if known.any() else 0.0
        yield YesNoQuestion(Message("targets.question.median", target=self.target.name), values > middle, known)

    # --- learning --------------------------------------------------------------------------------------------

    def summary(self, truth: Array) -> Moments:
        return Moments.of(self.learned(truth[~np.isnan(truth[:, 0]), 0]))

    def fit(self, summary: Moments, balanced: bool) -> Fit:
        return Fit((float(summary.mean[0]), float(summary.deviation[0]) or 1.0))

    def loss(self, outputs: Tensor, truth: Tensor, fit: Fit, smoothing: float) -> tuple[Tensor, Tensor]:
        """The Huber loss, which is 0 beyond a limit."""
        import torch
        from torch.nn import functional

        own, value = outputs[:, 0], truth[:, 0]
        known = ~value.isnan()
        value = torch.where(known, value, 0.0)
        value = value.clamp_min(_LEAST).log10() if self.logarithmic else value
        value = (value - fit.scale[0]) / fit.scale[1]
        beyond = (own.detach() - value) * truth[:, 1] > 0
        value = torch.where(beyond, own.detach(), value)
        share = known.float()
        return functional.huber_loss(own, value, reduction="none") * share, share

    def values(self, outputs: Tensor, fit: Fit) -> Tensor:
        number = outputs * fit.scale[1] + fit.scale[0]
        return 10**number if self.logarithmic else number

    def boosting(self, truth: Array) -> Boosted:
        rows = np.flatnonzero(~np.isnan(truth[:, 0]))
        return Boosted(rows, np.empty((len(rows), 0)), self.learned(truth[rows, 0]))

    def boosted(self, predict: Callable[[Array], Array], rows: Array) -> Array:
        return self.stated(predict(rows))

    def asked(self, rows: Array, item: str) -> tuple[Array, int]:
        return rows, 0

    def learned(self, values: Array) -> Array:
        return np.log10(values) if self.logarithmic else values

    def stated(self, values: Array) -> Array:
        return 10**values if self.logarithmic else values

    # --- several answers -------------------------------------------------------------------------------------

    def combine(self, values: Array, weights: Array) -> Array:
        """The weighted mean, of logarithms where these are learned."""
        return self.stated(weighted(self.learned(values), weights))

    def mistake(self, values: Array, truth: Array) -> float:
        """Mean squared error."""
        return float(np.square(self.learned(values[:, 0]) - self.learned(truth[:, 0])).mean())

    def error(self, values: Array, truth: Array) -> Array:
        return np.abs(values[:, 0] - truth[:, 0])

    def errors(self, one: Outcomes) -> tuple[Array, Array]:
        truth = self.learned(one.truth)
        return np.abs(truth - self.learned(one.values[:, 0])), np.abs(truth - np.median(truth))

    def one_hot(self, truth: Array) -> Array:
        return self.learned(truth[:, :1].astype(np.float32))

    def valid(self, values: Array) -> Array:
        return values

    # --- intervals -------------------------------------------------------------------------------------------

    def calibrate(self, held: Outcomes, asked: CalibrationOptions) -> TargetCalibration:
        """Absolute residuals (Lei et al. 2018), in multiples of the spread where the model gives one and its intervals
        score better by it (Papadopoulos, Gammerman and Vovk 2008), or the model's own interval widened (Romano,
        Patterson and Candès 2019)."""
        method: How = "residuals"
        low = high = held.values[:, 0]
        if held.low is not None and held.high is not None and np.isfinite(held.high - held.low).all():
            method, low, high = "widened", held.low, held.high
        low, high, truth = (self.learned(one) for one in (low, high, held.truth))
        nonconformity = np.maximum(low - truth, truth - high)
        margin = conformal_quantile(nonconformity, held.groups, asked.coverage)
        one = TargetCalibration(
            self.target.name,
            self.target.kind,
            self.items,
            len(held),
            method,
            margin=None if np.isinf(margin) else margin,
            scale=self.target.scale,
            least=0.0 if asked.positive and not (held.truth < 0).any() else None,
        )
        spread = None if held.spread is None else self.learned(held.spread)
        if method == "widened" or one.margin is None or spread is None or not np.isfinite(spread).all():
            return one
        best = _interval_score(nonconformity, np.full(len(held), margin), asked.coverage)
        for share in FLOORS:
            floor = share * float(np.median(spread))
            scale = spread + floor
            if scale.min() <= 0:
                continue
            factor = conformal_quantile(nonconformity / scale, held.groups, asked.coverage)
            score = _interval_score(nonconformity, factor * scale, asked.coverage)
            if score < best:
                best = score
                one = replace(one, method="spread", margin_of_spread=factor, floor=floor)
        return one

    def apply(self, one: TargetCalibration, given: Arranged) -> Mapping[str, object]:
        columns = {"value": given.values[:, 0]}
        if one.margin is not None:
            low = high = given.values[:, 0]
            if one.method == "widened" and given.low is not None and given.high is not None:
                low, high = given.low[:, 0], given.high[:, 0]
            low, high = self.learned(low), self.learned(high)
            reach = np.full(len(low), one.margin)
            if one.margin_of_spread is not None and given.spread is not None:
                # A factor becomes powers of ten.
                spread = self.learned(given.spread[:, 0])
                reach = np.where(np.isnan(spread), reach, one.margin_of_spread * (spread + one.floor))
            # An interval narrowed past its own middle is a point.
            middle = (low + high) / 2
            columns["low"] = self.stated(np.minimum(low - reach, middle))
            columns["high"] = self.stated(np.maximum(high + reach, middle))
        if one.least is not None:
            columns = {name: np.maximum(column, one.least) for name, column in columns.items()}
        return columns

    def doubts(self, truth: Array, values: Array) -> LabelDoubts:
        return outliers(truth[:, 0], values[:, 0])

    # --- statistics ------------------------------------------------------------------------------------------

    def families(self, one: Outcomes, prevalences: Sequence[float]) -> list[Family]:
        predicted, everyone = one.values[:, 0], units(one.groups)
        columns = {"mae": np.abs(one.truth - predicted)}
        trials: dict[str, int] = {}
        if one.low is not None and one.high is not None:
            # An end that is not there does not bound.
            low, high = np.nan_to_num(one.low, nan=-np.inf), np.nan_to_num(one.high, nan=np.inf)
            columns["coverage"] = ((low <= one.truth) & (one.truth <= high)).astype(float)
            trials["coverage"] = everyone
            if np.isfinite(high - low).all():
                columns["interval_width"] = high - low
        folds: list[Family] = []
        if self.logarithmic:
            with np.errstate(invalid="ignore", divide="ignore"):
                error = np.abs(np.log10(predicted) - np.log10(one.truth))
            columns |= {f"within_{fold}_fold": (error <= np.log10(fold)).astype(float) for fold in (2, 3)}
            trials |= dict.fromkeys(("within_2_fold", "within_3_fold"), everyone)
            distance = scores.means([error])
            name = ("fold_error",)
            folds = [(name, lambda: Estimator(name, distance.then(lambda values: 10**values), one.groups))]
        agreement = lambda: Estimator(_AGREED, scores.agreement(one.truth, predicted), one.groups)  # noqa: E731
        return [*folds, mean_family(one, columns, trials), (_AGREED, agreement)]

    def against_chance(self, one: Outcomes) -> AgainstChance:
        """By R², of the logarithm where that is learned."""
        names = _AGREED_OF_LOGARITHMS if self.logarithmic else _AGREED
        if not len(one):
            return AgainstChance(names[1:2], [], True)
        with np.errstate(invalid="ignore", divide="ignore"):
            truth, predicted = self.learned(one.truth), self.learned(one.values[:, 0])
        return AgainstChance(names[1:2], [Estimator(names, scores.agreement(truth, predicted), one.groups)], True)

    # --- a reader --------------------------------------------------------------------------------------------

    def draw(self, every: Sequence[Outcomes], baseline: Sequence[Outcomes]) -> list[Figure]:
        drawn: list[Figure] = []
        for one in every:
            own = Number(one.target)
            unit = f"log10 {one.target.unit}".rstrip() if own.logarithmic else one.target.unit
            truth, values = own.learned(one.truth), own.learned(one.values[:, 0])
            drawn.append(drawings.predicted_and_true(one.target.name, truth, values, unit))
        return drawn

    def judge(self, own: pl.DataFrame, truth: float | None) -> tuple[bool | None, Text]:
        low, high = (own[end][0] if end in own.columns else None for end in ("low", "high"))
        key = "targets.answer.number" if low is None or high is None else "targets.answer.with-interval"
        text = Message(key, target=self.target.name, value=own["value"][0], low=low, high=high)
        if truth is None:
            return None, text
        # An end that is not there does not bound; without both there is no interval.
        known = low is not None or high is not None
        inside = (low is None or low <= truth) and (high is None or truth <= high)
        return (inside if known else None), Message("targets.answer.true-number", answer=text, truth=truth)

    def describe(self, answer: Mapping[str, object], number: Callable[[object], str]) -> Described:
        low, high = answer.get("low"), answer.get("high")
        interval = Message("targets.answer.interval", low=number(low), high=number(high))
        return Described("" if low is None else interval, self.target.unit, "")

    def described_truth(self, value: float, side: int | None, number: Callable[[object], str]) -> str:
        return {1: ">", -1: "<"}.get(side or 0, "") + number(value)


def _interval_score(nonconformity: Array, reach: Array, coverage: float) -> float:
    """Mean width of intervals, and a fine for how far truths lie outside, in which the interval of the wanted coverage
    is the cheapest (Gneiting and Raftery 2007)."""
    return float(np.mean(2 * reach + 2 / (1 - coverage) * np.maximum(nonconformity - reach, 0)))
