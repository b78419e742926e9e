"""The time until an event, which of some cases is only known to lie after their last visit. Items are horizons; the
value of each is the probability that the event happens by then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from medeor.contracts import Message, Target, Text, UserError, named
from medeor.figures import Figure, Lines, Series
from medeor.statistics import scores
from medeor.statistics import survival as censored
from medeor.statistics.intervals import Estimator
from medeor.statistics.moments import Moments
from medeor.statistics.outcomes import Arranged, Outcomes
from medeor.statistics.scores import Array
from medeor.statistics.statistic import Statistic
from medeor.targets.common.base import Quantity, weighted
from medeor.targets.common.calibration import ENOUGH, CalibrationOptions, How, TargetCalibration, cross_validated
from medeor.targets.common.class_scores import calibration_family, mean_family
from medeor.targets.common.kind import AgainstChance, Boosted, Described, Family, Fit, LabelDoubts, YesNoQuestion

if TYPE_CHECKING:
    from torch import Tensor

HORIZONS = (0.2, 0.4, 0.6, 0.8)
"""Quantiles of the times of events that are the horizons where the user names none."""

_TINY = 1e-6


def read_survival(
    name: str, event: pl.Series, time: pl.Series, horizons: Sequence[float] = (), unit: str = ""
) -> tuple[Target, pl.DataFrame]:
    """The target of two columns, and its columns of the case table: the time, and the side on which the truth lies (1:
    after it, as the case was last seen then).

    Args:
        event: 1 where the event happened at the time, 0 where the case was last seen then without it.
        time: at least 0.

    Raises: UserError for a time below 0, no event, or horizons at which nothing can be measured."""
    event, time = event.cast(pl.Float64), time.cast(pl.Float64).fill_nan(None)
    if ((bad := time.filter((time < 0) | time.is_infinite())).len()) > 0:
        raise UserError("targets.survival.no-time", time=time.name, value=bad[0], event=name)
    known = event.is_not_null() & time.is_not_null()
    happened = time.filter(known & (event == 1))
    if not len(happened):
        raise UserError("targets.survival.no-event", event=name, time=time.name)
    ends = sorted(set(horizons) or {_round(float(happened.quantile(share) or 0.0)) for share in HORIZONS})
    longest = float(time.filter(known).max() or 0.0)  # type: ignore[arg-type]
    ends = [end for end in ends if end > 0] if not horizons else ends
    if not ends or ends[0] <= 0 or ends[-1] > longest:
        given = tuple(f"{end:g}" for end in ends) or (0,)
        raise UserError("targets.survival.horizons", event=name, longest=longest, horizons=given)
    values = {name: pl.select(pl.when(known).then(time)).to_series(), f"{name}.limit": (1 - event).cast(pl.Int8)}
    return Target(name, "survival", tuple(f"{end:g}" for end in ends), unit), pl.DataFrame(values)


def _round(number: float) -> float:
    """To three significant figures."""
    return float(f"{number:.3g}")


@dataclass(frozen=True)
class Survival(Quantity):
    """See `TargetKind`. The target's `classes` are its horizons, as numbers in its unit; between them the hazard is
    taken as constant. What happens after the last one is not asked."""

    STATISTICS: ClassVar[tuple[Statistic, ...]] = (
        Statistic("c_index", headline="always", main=True, compared=True, on_forest=True, chance=0.5),
        Statistic("integrated_brier", higher_is_better=False, headline="always", compared=True),
        Statistic("c_index_uno", compared=True, on_forest=True, chance=0.5),
        Statistic("brier", higher_is_better=False),
        Statistic("ece", higher_is_better=False),
    )
    skill: ClassVar[str] = "c_index"
    objective: ClassVar[str] = "binary"
    unit: ClassVar[Text] = Message("targets.unit.log-hazard")

    @property
    def items(self) -> tuple[str, ...]:
        """`death by 365 d`."""
        return tuple(f"{self.target.name} by {end} {self.target.unit}".rstrip() for end in self.target.classes)

    @property
    def horizons(self) -> Array:
        return np.array([float(end) for end in self.target.classes])

    @property
    def sound(self) -> bool:
        try:
            ends = self.horizons
        except ValueError:
            return False
        return len(ends) > 0 and bool(np.isfinite(ends).all() and (np.diff(ends, prepend=0.0) > 0).all())

    # --- truth -----------------------------------------------------------------------------------------------

    def truth(self, table: pl.DataFrame) -> Array:
        """Time and side; unknown where either is."""
        time = table[self.target.name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        if self.target.limit not in table.columns:
            return np.column_stack([time, np.zeros(len(time))])
        side = table[self.target.limit].cast(pl.Float64).fill_null(np.nan).to_numpy()
        return np.column_stack([np.where(np.isin(side, (0, 1)), time, np.nan), np.nan_to_num(side)])

    def strata(self, truth: Array) -> Array:
        """Who has an event, and who has none."""
        return np.where(self.scored(truth), 1 - truth[:, 1], -1.0)

    def questions(self, truth: Array) -> Iterator[YesNoQuestion]:
        """The event by each horizon, of those of whom that is known."""
        for item, end in zip(self.items, self.horizons, strict=True):
            happened = (truth[:, 0] <= end) & (truth[:, 1] == 0)
            yield YesNoQuestion(item, happened, self.scored(truth) & (happened | (truth[:, 0] > end)))

    # --- learning --------------------------------------------------------------------------------------------

    def summary(self, truth: Array) -> Moments:
        return Moments.of()

    def fit(self, summary: Moments, balanced: bool) -> Fit:
        return Fit()

    def loss(self, outputs: Tensor, truth: Tensor, fit: Fit, smoothing: float) -> tuple[Tensor, Tensor]:
        """The likelihood of hazards that are constant between horizons (Kvamme and Borgan 2021): the cumulative hazard
        until the case was last seen, less the logarithm of the hazard at its event."""
        import torch
        from torch.nn import functional

        ends = torch.tensor(self.horizons, device=outputs.device, dtype=outputs.dtype)
        starts = functional.pad(ends[:-1], (1, 0))
        time, known = torch.where(truth[:, :1].isnan(), 0.0, truth[:, :1]), ~truth[:, 0].isnan()
        hazard = functional.softplus(outputs)
        shares = ((time - starts) / (ends - starts)).clamp(0.0, 1.0)
        happened = (truth[:, 1:2] == 0) & (time <= ends) & ((time > starts) | (starts + time == 0))
        each = (hazard * shares - torch.where(happened, hazard.clamp_min(_TINY).log(), 0.0)).sum(1)
        return each * known.float(), known.float()

    def values(self, outputs: Tensor, fit: Fit) -> Tensor:
        from torch.nn import functional

        return -(-functional.softplus(outputs).cumsum(1)).expm1()

    def boosting(self, truth: Array) -> Boosted:
        """Each case once for each interval between horizons that it enters: whether the event happens there. A case
        that is last seen within one counts by the share of it (discrete-time hazards; Tutz and Schmid 2016)."""
        known = np.flatnonzero(self.scored(truth))
        time, event = truth[known, :1], truth[known, 1:] == 0
        ends = self.horizons
        starts = np.append(0.0, ends[:-1])
        happened = event & (time <= ends) & ((time > starts) | (starts + time == 0))
        share = np.where(happened, 1.0, np.clip((time - starts) / (ends - starts), 0.0, 1.0))
        rows, interval = np.nonzero(share > 0)
        labels = happened[rows, interval].astype(float)
        return Boosted(known[rows], interval[:, None].astype(float), labels, share[rows, interval])

    def boosted(self, predict: Callable[[Array], Array], rows: Array) -> Array:
        hazards = [predict(self.asked(rows, item)[0])[:, 0] for item in self.items]
        return 1 - np.cumprod(1 - np.stack(hazards, axis=1), axis=1)

    def asked(self, rows: Array, item: str) -> tuple[Array, int]:
        interval = np.full((len(rows), 1), self.items.index(item), rows.dtype)
        return np.concatenate([rows, interval], axis=1), 0

    # --- several answers -------------------------------------------------------------------------------------

    def combine(self, values: Array, weights: Array) -> Array:
        """The weighted mean of log cumulative hazards: the order of horizons stays."""
        return _risk(weighted(_log_hazard(values), weights))

    def mistake(self, values: Array, truth: Array) -> float:
        """Integrated Brier score."""
        return float(self._integrated_brier(values, truth[:, 0], truth[:, 1] == 0).mean())

    def _integrated_brier(self, values: Array, time: Array, event: Array) -> Array:
        columns = censored.brier_columns(time, event, values, self.horizons)
        return censored.integrated(columns, self.horizons)

    def error(self, values: Array, truth: Array) -> Array:
        return self._integrated_brier(values, truth[:, 0], truth[:, 1] == 0)

    def errors(self, one: Outcomes) -> tuple[Array, Array]:
        event = _event(one)
        left = censored.left_after(censored.kaplan_meier(one.truth, event), self.horizons)
        guess = np.tile(1 - left, (len(one), 1))
        return tuple(self._integrated_brier(values, one.truth, event) for values in (one.values, guess))  # type: ignore[return-value]

    def one_hot(self, truth: Array) -> Array:
        happened = truth[:, :1] <= self.horizons
        unknown = np.isnan(truth[:, :1]) | (happened & (truth[:, 1:] != 0))
        return np.where(unknown, np.nan, happened).astype(np.float32)

    def valid(self, values: Array) -> Array:
        return np.maximum.accumulate(values.clip(0.001, 0.999), axis=1)

    # --- calibration -----------------------------------------------------------------------------------------

    def calibrate(self, held: Outcomes, asked: CalibrationOptions) -> TargetCalibration:
        """One slope and intercept of the log cumulative hazards at all horizons, held near no change by a weak prior,
        where that lowers the log loss in cross-validation by group; cases censored before a horizon are stood for by
        the others."""
        one = TargetCalibration(self.target.name, self.target.kind, self.items, len(held))
        if not len(held):
            return one
        event = _event(held)
        known = np.stack([censored.known_by(held.truth, event, end) for end in self.horizons], axis=-1)
        enough = min(len(np.unique(groups)) for groups in (held.groups, held.groups[event])) >= ENOUGH

        def loss(changed: TargetCalibration, rows: Array) -> Array:
            return _log_loss(_calibrated(changed, held.values[rows]), known[:, rows])

        def cost(rows: Array) -> Callable[[Array], float]:
            return partial(_cost, held.values[rows], known[:, rows])

        methods: tuple[How, ...] = ("temperature", "platt") if enough else ()
        return cross_validated(one, held.groups, methods, asked.seed, cost, loss)

    def apply(self, one: TargetCalibration, given: Arranged) -> Mapping[str, object]:
        return {"value": _calibrated(one, given.values).ravel()}

    def doubts(self, truth: Array, values: Array) -> LabelDoubts:
        """None: a late event is no mistake."""
        return LabelDoubts(np.zeros(len(truth)), 0.0)

    # --- statistics ------------------------------------------------------------------------------------------

    def families(self, one: Outcomes, prevalences: Sequence[float]) -> list[Family]:
        event, ends = _event(one), self.horizons
        ranked = ("c_index", "c_index_uno")
        score = censored.concordance(one.truth, event, one.values.sum(axis=1), float(ends[-1]))
        parts: list[Family] = [(ranked, lambda: Estimator(ranked, score, one.groups))]
        columns = censored.brier_columns(one.truth, event, one.values, ends)
        each = {f"brier/{item}": column for item, column in zip(self.items, columns.T, strict=True)}
        parts.append(mean_family(one, {"integrated_brier": censored.integrated(columns, ends), **each}, {}))
        for place, (item, end) in enumerate(zip(self.items, ends, strict=True)):
            parts.append(_calibration_error(f"ece/{item}", one, one.values[:, place], end))
        return parts

    def against_chance(self, one: Outcomes) -> AgainstChance:
        estimators = [build() for names, build in self.families(one, ()) if self.skill in names] if len(one) else []
        error, guess = self.errors(one) if len(one) else (np.zeros(1), np.ones(1))
        return AgainstChance((self.skill,), estimators, bool(error.mean() < guess.mean()))

    # --- a reader --------------------------------------------------------------------------------------------

    def draw(self, every: Sequence[Outcomes], baseline: Sequence[Outcomes]) -> list[Figure]:
        return [figure for one in every for figure in Survival(one.target)._drawn(one)]

    def _drawn(self, one: Outcomes) -> list[Figure]:
        """Reliability at each horizon: in fifths of the predicted risk its mean, and the share with an event by then
        (Kaplan-Meier)."""
        event, series = _event(one), []
        for place, (item, end) in enumerate(zip(self.items, self.horizons, strict=True)):
            risk = one.values[:, place]
            bins = scores.mass_bins(risk, 5)
            pairs = []
            for number in np.unique(bins):
                own = bins == number
                curve = censored.kaplan_meier(one.truth[own], event[own])
                pairs.append((float(risk[own].mean()), float(1 - censored.left_after(curve, np.array(end)))))
            predicted, observed = zip(*pairs)
            series.append(Series(item, predicted, observed))
        words = named("targets.survival", "predicted", "observed", "caption")
        title = Message("targets.survival.reliability", target=self.target.name)
        axes = title, words["predicted"], words["observed"]
        return [Lines(*axes, tuple(series), words["caption"], (0, 1), (0, 1), diagonal=True)]

    def judge(self, own: pl.DataFrame, truth: float | None) -> tuple[bool | None, Text]:
        risks = tuple(f"{item} {value:.0%}" for item, value in own.select("item", "value").iter_rows())
        key = "targets.answer.risks" if truth is None else "targets.answer.risks-and-truth"
        return None, Message(key, risks=risks, truth=truth)

    def describe(self, answer: Mapping[str, object], number: Callable[[object], str]) -> Described:
        return Described("", Message("targets.unit.probability"), "")

    def described_truth(self, value: float, side: int | None, number: Callable[[object], str]) -> str:
        return f">{number(value)}" if side else number(value)


def _event(one: Outcomes) -> Array:
    """Whether the event was seen, shape (n,)."""
    return np.ones(len(one), bool) if one.side is None else one.side == 0


def _log_hazard(risk: Array) -> Array:
    return np.log(-np.log1p(-np.clip(risk, _TINY, 1 - _TINY)))


def _risk(log_hazard: Array) -> Array:
    return -np.expm1(-np.exp(log_hazard))


def _calibrated(one: TargetCalibration, values: Array) -> Array:
    return values if one.method == "identity" else _risk(one.slope * _log_hazard(values) + one.intercept)


def _cost(values: Array, known: Array, parameters: Array) -> float:
    """See `cross_validated`. `known`: for each case and horizon whether the event had happened, and the weight of that
    (see `survival.known_by`), shape (2, n, k)."""
    intercept = float(parameters[1]) if len(parameters) > 1 else 0.0
    loss = _log_loss(_risk(float(np.exp(parameters[0])) * _log_hazard(values) + intercept), known)
    return float(loss.sum()) + parameters[0] ** 2 / 2 + intercept**2 / 8


def _log_loss(risk: Array, known: Array) -> Array:
    """Mean over the horizons, shape (n,)."""
    risk = np.clip(risk, _TINY, 1 - _TINY)
    happened, weight = known
    return -(weight * np.log(np.where(happened > 0, risk, 1 - risk))).mean(axis=1)


def _calibration_error(name: str, one: Outcomes, risk: Array, end: float) -> Family:
    """That of the cases whose outcome at a horizon is known, which stand for the others."""
    happened, weight = censored.known_by(one.truth, _event(one), end)
    known = np.flatnonzero(weight > 0)

    def score() -> scores.Score:
        error = scores.calibration_error(risk[known], happened[known].astype(float), one.groups[known])
        return error.weighed(weight[known])

    return calibration_family(name, score, one.groups[known])
