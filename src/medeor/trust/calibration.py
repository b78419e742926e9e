"""Turns scores into probabilities that mean what they say, fixes decisions beforehand, and gives every prediction a
set or an interval of stated coverage. All of it learns from held-out predictions and is saved as readable JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from medeor.contracts import Cases, Predictions, Target, TargetKind, UserError
from medeor.files import build
from medeor.formats.values.units import is_positive
from medeor.statistics.intervals import Statistic, resample
from medeor.statistics.outcomes import Outcomes, arrange, line_up, probabilities
from medeor.statistics.scores import Array, curve
from medeor.trust.skill import Skill

ENOUGH = 20
"""Groups below which probabilities are left as they are, and below which no shape could be told from chance."""
ENOUGH_OF_A_CLASS = 5
"""Groups of each class that a binary question needs before its probabilities are changed."""

FLOORS = (0.0, 0.1, 0.3, 1.0, 3.0)
"""Of the median spread, that may be added to every spread: the larger, the more alike are the intervals' widths."""

_FOLDS = 5
_THRESHOLD_SAMPLES = 200

Sets = Literal["marginal", "by class"]
How = Literal["identity", "temperature", "platt", "residuals", "spread", "widened"]


@dataclass(frozen=True)
class TargetCalibration:
    """What was learnt for one target."""

    target: str
    kind: TargetKind
    items: tuple[str, ...]
    cases: int
    """Held-out cases that it was learnt from."""
    method: How = "identity"
    """Of a class: how probabilities are changed. Of a number: the interval is put around the value, as wide for every
    case or by its spread, or an interval that the model gave is widened (or narrowed)."""
    slope: float = 1.0
    """Factor of the log-odds (binary) or log-probabilities: one over the temperature. Above zero, so that the order
    of the cases never changes."""
    intercept: float = 0.0
    log_loss: float | None = None
    """Mean over the held-out cases, before."""
    log_loss_calibrated: float | None = None
    """The same with the chosen method, by cross-validation."""
    rule: str = ""
    threshold: float | None = None
    """A binary target is called positive from this calibrated probability on."""
    plausible_from: tuple[float | None, ...] = ()
    """Per class, the calibrated probability from which it belongs to the conformal set; None: always."""
    margin: float | None = None
    """How far the interval of a number reaches, in its unit; None: too few cases to tell."""
    margin_of_spread: float | None = None
    """By `spread`: how far it reaches, in multiples of the case's spread and `floor`; `margin` is for cases without."""
    floor: float = 0.0
    """What is added to every spread, in the unit of the number."""
    skill: Skill | None = None
    """What the model is shown to know; None in runs of medeor 0.1, which did not ask."""
    scale: Literal["linear", "log"] = "linear"
    """log: the interval reaches as far in powers of ten above the value as below, and so do its margins."""
    least: float | None = None
    """What neither the number nor its interval can be below: 0 of a concentration. None where nothing forbids it."""

    def __post_init__(self) -> None:
        if not 0 < self.slope < float("inf"):
            raise ValueError("slope must be a number above zero")


@dataclass(frozen=True)
class Calibration:
    """What was learnt for every target, ready to be applied to new predictions."""

    coverage: float
    """Share of cases whose truth lies in their conformal set or interval."""
    targets: tuple[TargetCalibration, ...]

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise ValueError("coverage must lie between 0 and 1")

    def apply(self, predictions: Predictions) -> Predictions:
        """Fills `raw` with the values as they are, `value` with calibrated ones, then `chosen`, `plausible` (of a
        binary target null where both classes are) and, for numbers, `low` and `high`. Other items stay as they are.

        Raises: ValueError when the predictions were calibrated already."""
        table = predictions.table
        if "raw" in table.columns and table["raw"].null_count() < table.height:
            raise ValueError("these predictions are calibrated already")
        kinds = dict.fromkeys(("raw", "low", "high"), pl.Float64) | dict.fromkeys(("chosen", "plausible"), pl.Boolean)
        missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in kinds.items() if name not in table.columns]
        table = table.with_columns(missing).with_columns(pl.col(name).cast(kind) for name, kind in kinds.items())
        table = table.with_columns(pl.col("case_id", "item").cast(pl.String), pl.col("value").cast(pl.Float64))
        parts = [part for one in self.targets if (part := _applied(one, predictions)) is not None]
        if parts:
            new = pl.concat(parts, how="diagonal_relaxed")
            known = [name for name in new.columns if name not in ("case_id", "item")]
            joined = table.join(new, on=["case_id", "item"], how="left", suffix=" new", maintain_order="left")
            # An interval that the model gave stays unless there is a new one; a null set is an answer of its own.
            ours = {name: pl.col("raw new" if name == "plausible" else f"{name} new").is_not_null() for name in known}
            table = joined.with_columns(
                pl.when(ours[name]).then(pl.col(f"{name} new")).otherwise(pl.col(name)).alias(name) for name in known
            ).drop([f"{name} new" for name in known])
        return replace(predictions, table=table)

    @property
    def withheld(self) -> dict[str, str]:
        """By item, why its reasons are not shown: the model is not shown to know anything about it."""
        return {
            item: one.skill.missing for one in self.targets if one.skill and one.skill.missing for item in one.items
        }

    def check(self, targets: Sequence[Target], where: str) -> None:
        """Raises: UserError where it was not learnt for these targets."""
        kinds = {target.name: (target.kind, target.items, target.scale) for target in targets}
        for one in self.targets:
            classes = 0 if one.kind == "continuous" else max(2, len(one.items))
            if kinds.get(one.target) != (one.kind, one.items, one.scale) or len(one.plausible_from) != classes:
                raise UserError(f"{where} was learnt for another target than '{one.target}'; the files do not fit")

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, object], where: str = "calibration.json") -> Calibration:
        """Raises: UserError naming the first wrong key."""
        return build(Calibration, values, where)


def calibrate(
    cases: Cases,
    held_out: Predictions,
    *,
    coverage: float = 0.9,
    threshold: str = "youden",
    sets: Sets = "marginal",
    seed: int = 0,
) -> Calibration:
    """Learns from predictions of cases that did not fit the model; cases without one are left out.

    Probabilities: one slope on the log-odds, with an intercept for a binary target where that pays (Platt 1999), or on
    the log-probabilities of several classes (temperature scaling, Guo et al. 2017); both held near no change by a weak
    prior, and left out unless they lower the log loss in cross-validation by group.

    Decisions of a binary target, by `threshold`: `youden` (largest sensitivity + specificity), `equal` (sensitivity as
    high as specificity, so that the share of errors is the same at any prevalence), `accuracy`,
    `sensitivity=0.95` and `specificity=0.95` (the best other side that keeps it), each the median over bootstrap
    samples of groups, which is steadier than the best threshold of one sample; `prevalence` (the share of
    positives: Youden's choice where probabilities are calibrated); or a number. Other classes: the most probable.

    Sets: every class whose probability reaches the split-conformal quantile (Sadinle, Lei and Wasserman 2019), and
    always the most probable; marginal, or `by class` (Vovk 2012). Intervals of numbers: absolute residuals (Lei et al.
    2018), in multiples of the spread where the model gives one and its intervals score better by it (Papadopoulos,
    Gammerman and Vovk 2008), or the model's own interval widened (Romano, Patterson and Candès 2019). Groups count as
    one, their cases share their weight (Dunn, Wasserman and Ramdas 2023). The few numbers learnt before come from the
    same cases, which costs the guarantee only as much as they can adapt.

    Raises: UserError for an unknown threshold rule or an impossible coverage."""
    if not 0 < coverage < 1:
        raise UserError(f"a coverage of {coverage:g} is impossible; choose one between 0 and 1, such as 0.9")
    rule(threshold)
    learnt = []
    for target in cases.targets:
        held = line_up(cases, held_out, target)
        learnt.append(
            _of_number(held, coverage) if held.continuous else _of_classes(held, coverage, threshold, sets, seed)
        )
    return Calibration(coverage, tuple(learnt))


# --- learning --------------------------------------------------------------------------------------------


def _of_classes(held: Outcomes, coverage: float, threshold: str, sets: Sets, seed: int) -> TargetCalibration:
    target = held.target
    one = TargetCalibration(target.name, target.kind, target.items, len(held))
    if len(held):
        one = _probabilities(held, one, seed)
    calibrated = _calibrated(one, held.values)
    probability = probabilities(target, calibrated)
    unseen = 1 - probability[np.arange(len(held)), held.truth]
    classes = range(len(held.classes))
    members = [held.truth == index if sets == "by class" else np.ones(len(held), bool) for index in classes]
    quantiles = [conformal_quantile(unseen[member], held.groups[member], coverage) for member in members]
    one = replace(one, plausible_from=tuple(None if np.isinf(limit) else float(1 - limit) for limit in quantiles))
    if target.kind != "binary":
        return replace(one, rule="most probable")
    if threshold == "prevalence" and len(held):
        return replace(one, rule=threshold, threshold=float(held.truth.mean()))
    pick = rule(threshold)
    if pick is None:
        return replace(one, rule=threshold, threshold=float(threshold))
    if len(np.unique(held.truth)) < 2:
        return replace(one, rule=f"0.5, as the held-out cases do not allow '{threshold}'", threshold=0.5)
    return replace(one, rule=threshold, threshold=_threshold(calibrated[:, 0], held, pick, seed))


def _probabilities(held: Outcomes, start: TargetCalibration, seed: int) -> TargetCalibration:
    """The method that predicts best in cross-validation by group, simpler ones first."""
    binary = held.target.kind == "binary"
    before = _log_loss(start, held)
    start = replace(start, log_loss=float(before.mean()), log_loss_calibrated=float(before.mean()))
    groups = np.unique(held.groups)
    of_class = [len(np.unique(held.groups[held.truth == index])) for index in (0, 1)]
    if len(groups) < ENOUGH or (binary and min(of_class) < ENOUGH_OF_A_CLASS):
        return start
    folds = np.random.default_rng(seed).permutation(len(groups)) % _FOLDS
    fold = folds[np.searchsorted(groups, held.groups)]
    best = start
    methods: tuple[How, ...] = ("temperature", "platt") if binary else ("temperature",)
    for method in methods:
        loss = np.empty(len(held))
        for number in range(_FOLDS):
            test = fold == number
            loss[test] = _log_loss(_fitted(start, held.where(~test), method), held.where(test))
        if loss.mean() < (best.log_loss_calibrated or 0.0):
            best = replace(_fitted(start, held, method), log_loss_calibrated=float(loss.mean()))
    return best


def _fitted(start: TargetCalibration, held: Outcomes, method: How) -> TargetCalibration:
    """Slope and intercept of largest posterior: log slope ~ N(0, 1), intercept ~ N(0, 2²)."""
    from scipy.optimize import minimize

    logits = _logits(start.kind, held.values)
    rows = np.arange(len(held))

    def cost(parameters: Array) -> tuple[float, Array]:
        slope, intercept = np.exp(parameters[0]), parameters[1] if len(parameters) > 1 else 0.0
        shifted = slope * logits
        shifted[:, -1] += intercept
        log_p = shifted - np.logaddexp.reduce(shifted, axis=1, keepdims=True)
        left = np.exp(log_p)
        left[rows, held.truth] -= 1
        loss = -log_p[rows, held.truth].sum() + parameters[0] ** 2 / 2
        gradient = [slope * np.sum(left * logits) + parameters[0]]
        if len(parameters) > 1:
            loss += intercept**2 / 8
            gradient.append(left[:, -1].sum() + intercept / 4)
        return float(loss), np.array(gradient)

    start_at = np.zeros(2 if method == "platt" else 1)
    found = minimize(cost, start_at, jac=True, method="L-BFGS-B", bounds=[(-5, 5), (-20, 20)][: len(start_at)]).x
    intercept = float(found[1]) if len(found) > 1 else 0.0
    return replace(start, method=method, slope=float(np.exp(found[0])), intercept=intercept)


def _logits(kind: TargetKind, values: Array) -> Array:
    """Log-probabilities of every class, shape (n, classes); of a binary target (0, log-odds). Kept finite."""
    tiny = 1e-12
    if kind == "binary":
        p = np.clip(values, tiny, 1 - tiny)
        return np.concatenate([np.zeros_like(p), np.log(p) - np.log1p(-p)], axis=1)
    return np.log(np.clip(values, tiny, None))


def _calibrated(one: TargetCalibration, values: Array) -> Array:
    """Calibrated values of the items, shape (n, k)."""
    if one.method == "identity" or one.kind == "continuous":
        return values
    logits = one.slope * _logits(one.kind, values)
    logits[:, -1] += one.intercept
    probability = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    return probability[:, 1:] if one.kind == "binary" else probability


def _log_loss(one: TargetCalibration, held: Outcomes) -> Array:
    probability = probabilities(held.target, _calibrated(one, held.values))
    return -np.log(np.maximum(probability[np.arange(len(held)), held.truth], 1e-12))


def conformal_quantile(strangeness: Array, groups: Array, coverage: float) -> float:
    """The value that the strangeness of a new case of a new group stays at or below with probability `coverage`;
    infinite with too few groups to tell. With a case a group it is the ⌈(n + 1) coverage⌉-th smallest (Vovk 2012);
    cases of one group share its weight (Dunn, Wasserman and Ramdas 2023)."""
    if not len(strangeness):
        return float("inf")
    _, place, size = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(strangeness, kind="stable")
    reached = np.cumsum(1 / size[place][order]) / (len(size) + 1)
    index = int(np.searchsorted(reached, coverage - 1e-12))
    return float(strangeness[order][index]) if index < len(order) else float("inf")


def _of_number(held: Outcomes, coverage: float) -> TargetCalibration:
    method: How = "residuals"
    low = high = held.values[:, 0]
    truth = held.truth
    if held.low is not None and held.high is not None and np.isfinite(held.high - held.low).all():
        method, low, high = "widened", held.low, held.high
    if held.target.scale == "log":
        low, high, truth = (np.log10(one) for one in (low, high, truth))
    unseen = np.maximum(low - truth, truth - high)
    margin = conformal_quantile(unseen, held.groups, coverage)
    one = TargetCalibration(
        held.target.name,
        held.target.kind,
        held.target.items,
        len(held),
        method,
        margin=None if np.isinf(margin) else margin,
        scale=held.target.scale,
        least=0.0 if is_positive(held.target.unit) and not (held.truth < 0).any() else None,
    )
    spread = _on_scale(held.spread, one.scale)
    if method == "widened" or one.margin is None or spread is None or not np.isfinite(spread).all():
        return one
    best = _interval_score(unseen, np.full(len(held), margin), coverage)
    for share in FLOORS:
        floor = share * float(np.median(spread))
        scale = spread + floor
        if scale.min() <= 0:
            continue
        factor = conformal_quantile(unseen / scale, held.groups, coverage)
        score = _interval_score(unseen, factor * scale, coverage)
        if score < best:
            best = score
            one = replace(one, method="spread", margin_of_spread=factor, floor=floor)
    return one


def _on_scale(spread: Array | None, scale: Literal["linear", "log"]) -> Array | None:
    """The spread as margins are counted: of a number learnt by its logarithm a factor becomes powers of ten."""
    return np.log10(spread) if spread is not None and scale == "log" else spread


def _interval_score(strange: Array, reach: Array, coverage: float) -> float:
    """Mean width of intervals, and a fine for how far truths lie outside, in which the interval of the wanted coverage
    is the cheapest (Gneiting and Raftery 2007)."""
    return float(np.mean(2 * reach + 2 / (1 - coverage) * np.maximum(strange - reach, 0)))


# --- decisions -------------------------------------------------------------------------------------------

Pick = Callable[[Array, Array], Array]
"""From weights of true and false positives above each threshold, shape (resamples, thresholds), to the index of the
one to take, shape (resamples,)."""


def _apart(true: Array, false: Array) -> Array:
    """How far sensitivity and specificity are apart, times the product of both classes' weights."""
    positive, negative = true[:, -1:], false[:, -1:]
    return abs(true * negative + false * positive - positive * negative)


def rule(threshold: str) -> Pick | None:
    """None for a rule that needs no search. Raises: UserError for an unknown one."""
    if threshold == "youden":
        return lambda true, false: (true * false[:, -1:] - false * true[:, -1:]).argmax(axis=1)
    if threshold == "equal":
        return lambda true, false: _apart(true, false).argmin(axis=1)
    if threshold == "accuracy":
        return lambda true, false: (true - false).argmax(axis=1)
    if threshold == "prevalence":
        return None
    if asked := re.fullmatch(r"(sensitivity|specificity)=(0?\.\d+|1(?:\.0*)?)", threshold):
        kept = float(asked[2])
        if asked[1] == "sensitivity":
            return lambda true, false: (true >= kept * true[:, -1:] - 1e-9).argmax(axis=1)
        # Counted so, the last threshold that keeps it; the strictest of all when none does.
        return lambda true, false: np.maximum(
            np.count_nonzero(false <= (1 - kept) * false[:, -1:] + 1e-9, axis=1) - 1, 0
        )
    if re.fullmatch(r"0?\.\d+", threshold):
        return None
    raise UserError(
        f"no threshold rule is called '{threshold}'; there are youden, equal, accuracy, prevalence, sensitivity=0.95, "
        "specificity=0.95 and a number between 0 and 1"
    )


def _threshold(probability: Array, held: Outcomes, pick: Pick, seed: int) -> float:
    distinct = np.unique(probability)[::-1]
    # Halfway to the next case below, so that the next patient's last digit does not decide.
    candidates = np.append((distinct[:-1] + distinct[1:]) / 2, distinct[-1])

    def best(weights: Array) -> Array:
        true, false = curve(probability, held.truth == 1, weights)
        found = candidates[pick(true, false)]
        both = (true[:, -1] > 0) & (false[:, -1] > 0)
        return np.where(both, found, np.nan)[:, None]

    _, groups = np.unique(held.groups, return_inverse=True)
    statistic = Statistic(("threshold",), best, groups)
    count = int(groups.max()) + 1
    found = resample([statistic], count, resamples=_THRESHOLD_SAMPLES, seed=seed)["threshold"]
    draws = found.draws[np.isfinite(found.draws)]
    return float(np.median(draws)) if len(draws) else found.value


# --- applying --------------------------------------------------------------------------------------------


def _applied(one: TargetCalibration, predictions: Predictions) -> pl.DataFrame | None:
    """The new columns of one target's rows; None where it was not predicted."""
    classes = () if one.kind == "continuous" else one.items if one.kind != "binary" else ("", *one.items)
    target = Target(one.target, one.kind, classes)
    rows = predictions.table.filter(pl.col("item").cast(pl.String).is_in(one.items))
    ids = rows["case_id"].cast(pl.String).unique(maintain_order=True)
    given = arrange(ids, predictions, target)
    ids, kept = ids.filter(pl.Series(given.predicted)), given.predicted
    if not len(ids):
        return None
    values = given.values[kept]
    calibrated = _calibrated(one, values)
    count = len(one.items)
    columns: dict[str, object] = {
        "case_id": np.repeat(ids.to_numpy(), count),
        "item": list(one.items) * len(ids),
        "raw": values.ravel(),
        "value": calibrated.ravel(),
    }
    if one.kind == "continuous":
        if one.margin is not None:
            low = high = values[:, 0]
            if one.method == "widened" and given.low is not None and given.high is not None:
                low, high = given.low[kept, 0], given.high[kept, 0]
            if one.scale == "log":
                low, high = np.log10(low), np.log10(high)
            span = np.full(len(values), one.margin)
            spread = _on_scale(given.spread, one.scale)
            if one.margin_of_spread is not None and spread is not None:
                spread = spread[kept, 0]
                span = np.where(np.isnan(spread), span, one.margin_of_spread * (spread + one.floor))
            # An interval narrowed past its own middle is a point.
            middle = (low + high) / 2
            ends = np.minimum(low - span, middle), np.maximum(high + span, middle)
            columns |= dict(zip(("low", "high"), [10**end for end in ends] if one.scale == "log" else ends))
        if one.least is not None:
            bounded = [name for name in ("value", "low", "high") if name in columns]
            columns |= {name: np.maximum(columns[name], one.least) for name in bounded}  # type: ignore[call-overload]
        return pl.DataFrame(columns)
    probability = probabilities(target, calibrated)
    top = np.eye(probability.shape[1], dtype=bool)[probability.argmax(axis=1)]
    limits = np.array([-np.inf if limit is None else limit for limit in one.plausible_from])
    plausible = (probability >= limits - 1e-12) | top
    if one.kind == "binary":
        threshold = 0.5 if one.threshold is None else one.threshold
        both = plausible.all(axis=1)
        columns["chosen"] = calibrated[:, 0] >= threshold
        columns["plausible"] = pl.Series(plausible[:, 1]).set(pl.Series(both), None)
    else:
        columns |= {"chosen": top.ravel(), "plausible": plausible.ravel()}
    return pl.DataFrame(columns)
