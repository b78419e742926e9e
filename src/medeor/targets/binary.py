"""Two classes, of which the second is looked for: one logit, one probability, a threshold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from medeor.contracts import Message, Target, Text, UserError, named
from medeor.figures import Figure
from medeor.statistics import scores
from medeor.statistics.intervals import MANY, Estimator, resample
from medeor.statistics.outcomes import Arranged, Outcomes, units
from medeor.statistics.scores import Array
from medeor.statistics.statistic import Statistic
from medeor.targets.common import class_calibration, class_scores, drawings
from medeor.targets.common.base import weighted
from medeor.targets.common.calibration import CalibrationOptions, How, TargetCalibration
from medeor.targets.common.categories import AUROC, DETAILS, SURE, Categories
from medeor.targets.common.kind import Fit

if TYPE_CHECKING:
    from torch import Tensor

ENOUGH = 40
"""Independent positives from which the specificity at a stated sensitivity is given, and negatives for the sensitivity
at a stated specificity: an order statistic of fewer is too coarse to be resampled."""
ENOUGH_OF_A_CLASS = 5
"""Groups of each class that a binary target needs before its probabilities are changed."""
_THRESHOLD_SAMPLES = 200

_SENSITIVITIES = tuple(f"sensitivity@specificity={fixed:.2f}" for fixed in scores.SPECIFICITIES)
_SPECIFICITIES = tuple(f"specificity@sensitivity={fixed:.2f}" for fixed in scores.SENSITIVITIES)
_RANKED = class_scores.AREAS + _SENSITIVITIES + _SPECIFICITIES


@dataclass(frozen=True)
class Binary(Categories):
    """Several of them are the labels of a multi-label question, whose figures are averaged."""

    STATISTICS: ClassVar[tuple[Statistic, ...]] = (
        replace(AUROC, headline="always", main=True, averaged=True),
        Statistic("sensitivity", headline="alone", compared=True, on_forest=True, operating_point=True),
        Statistic("specificity", headline="alone", compared=True, on_forest=True, operating_point=True),
        Statistic("auprc", "AUPRC", compared=True, averaged=True, on_forest=True),
        Statistic("accuracy", compared=True, averaged=True, on_forest=True),
        Statistic("balanced_accuracy", headline="together", compared=True, averaged=True, on_forest=True),
        Statistic("f1", "F1", compared=True, averaged=True, on_forest=True),
        Statistic("ppv", "PPV", on_forest=True, operating_point=True),
        Statistic("npv", "NPV", on_forest=True, operating_point=True),
        *(replace(one, averaged=one.name in ("brier", "log_loss", "ece")) for one in DETAILS),
    )
    objective: ClassVar[str] = "binary"
    methods: ClassVar[tuple[How, ...]] = ("temperature", "platt")

    @property
    def items(self) -> tuple[str, ...]:
        """The positive class (the second) or, without class names, the target's own name."""
        return self.target.classes[1:] or (self.target.name,)

    @property
    def classes(self) -> tuple[Text, ...]:
        name = self.target.name
        return self.target.classes or (Message("targets.answer.not", target=name), name)

    @property
    def words(self) -> tuple[str, ...]:
        return super().words or ("no", "yes")

    @property
    def positive(self) -> Text:
        if not (self.target.classes or self.target.values):
            return ""
        no, yes = self.words
        key = "targets.positive.of-target" if self.target.values else "targets.positive.class"
        text = Message(key, positive=yes, target=self.target.name)
        return Message("targets.positive.guessed", positive=text, other=no) if self.target.guessed else text

    @property
    def by_own_name(self) -> Target:
        return Target(self.target.name, self.target.kind, values=self.target.classes, guessed=self.target.guessed)

    @property
    def sound(self) -> bool:
        return not self.target.classes or len(set(self.target.classes)) == len(self.target.classes) == 2

    # --- learning --------------------------------------------------------------------------------------------

    def cross_entropy(self, outputs: Tensor, value: Tensor, smoothing: float) -> Tensor:
        from torch.nn import functional

        soft = value * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(outputs[:, 0], soft, reduction="none")

    def values(self, outputs: Tensor, fit: Fit) -> Tensor:
        return outputs.sigmoid()

    def combine(self, values: Array, weights: Array) -> Array:
        from scipy.special import expit, logit

        return expit(weighted(logit(values.clip(SURE, 1 - SURE)), weights))

    def error(self, values: Array, truth: Array) -> Array:
        return np.abs(values[:, 0] - truth[:, 0])

    def one_hot(self, truth: Array) -> Array:
        return truth[:, :1].astype(np.float32)

    def valid(self, values: Array) -> Array:
        return values.clip(0.001, 0.999)

    # --- probabilities and decisions -------------------------------------------------------------------------

    def sets(self, plausible: Array | None) -> Array | None:
        """One item stands for both classes: null says that both are plausible."""
        return None if plausible is None else np.concatenate([plausible != 1, plausible != 0], axis=1)

    def probability(self, values: Array) -> Array:
        return np.concatenate([1 - values, values], axis=1)

    def from_probability(self, probability: Array) -> Array:
        return probability[:, 1:]

    def logits(self, values: Array) -> Array:
        """0 and the log-odds."""
        p = np.clip(values, class_calibration.TINY, 1 - class_calibration.TINY)
        return np.concatenate([np.zeros_like(p), np.log(p) - np.log1p(-p)], axis=1)

    def decision(self, one: Outcomes) -> Array:
        return super().decision(one) if one.chosen is None else one.chosen[:, 0].astype(np.int64)

    def enough(self, held: Outcomes) -> bool:
        of_class = [len(np.unique(held.groups[held.truth == index])) for index in (0, 1)]
        return super().enough(held) and min(of_class) >= ENOUGH_OF_A_CLASS

    def calibrate(self, held: Outcomes, asked: CalibrationOptions) -> TargetCalibration:
        """Temperature scaling or Platt's (1999); the threshold by the rule that is asked for (see `rule`), the median
        over bootstrap samples of groups, which is steadier than the best threshold of one sample."""
        one, name = class_calibration.learned(self, held, asked), asked.threshold
        if name == "prevalence" and len(held):
            return replace(one, rule=name, threshold=float(held.truth.mean()))
        pick = rule(name)
        if pick is None:
            return replace(one, rule=name, threshold=float(name))
        if len(np.unique(held.truth)) < 2:
            return replace(one, rule=str(Message("targets.threshold.not-allowed", rule=name)), threshold=0.5)
        calibrated = class_calibration.calibrated(self, one, held.values)
        return replace(one, rule=name, threshold=_threshold(calibrated[:, 0], held, pick, asked.seed))

    def apply(self, one: TargetCalibration, given: Arranged) -> Mapping[str, object]:
        values = class_calibration.calibrated(self, one, given.values)
        _, plausible = class_calibration.plausible(one, self.probability(values))
        both = pl.Series(plausible.all(axis=1))
        chosen = values[:, 0] >= (0.5 if one.threshold is None else one.threshold)
        return {"value": values.ravel(), "chosen": chosen, "plausible": pl.Series(plausible[:, 1]).set(both, None)}

    # --- statistics ------------------------------------------------------------------------------------------

    def ranking(self, one: Outcomes, held: Sequence[int]) -> tuple[tuple[str, ...], scores.Score]:
        # The fixed side is an order statistic of one class, of negatives or of positives.
        names = class_scores.AREAS + _SENSITIVITIES * (held[0] >= ENOUGH) + _SPECIFICITIES * (held[1] >= ENOUGH)
        every = scores.ranking(one.values[:, 0], one.truth == 1)
        places = [_RANKED.index(name) for name in names]
        return names, every.then(lambda values: values[:, places])

    def decided(self, counts: Array, prevalences: Sequence[float]) -> dict[str, Array]:
        accuracy, balanced, f1, recall = class_scores.rates(counts)
        specificity, sensitivity = recall.T
        right, calls = np.einsum("rii->ri", counts), counts.sum(axis=1)
        found = {"accuracy": accuracy, "balanced_accuracy": balanced, "f1": f1[:, 1]}
        found |= {"sensitivity": sensitivity, "specificity": specificity}
        found |= {"ppv": scores.ratio(right[:, 1], calls[:, 1]), "npv": scores.ratio(right[:, 0], calls[:, 0])}
        for rate in prevalences:
            true, false = sensitivity * rate, (1 - specificity) * (1 - rate)
            found[f"ppv@prevalence={rate:g}"] = scores.ratio(true, true + false)
            true, false = specificity * (1 - rate), (1 - sensitivity) * rate
            found[f"npv@prevalence={rate:g}"] = scores.ratio(true, true + false)
        return found | {f"recall/{name}": own for name, own in zip(self.target.classes, recall.T)}

    def rests_on(self, one: Outcomes, held: Sequence[int]) -> dict[str, int]:
        decision = self.decision(one)
        called = {name: units(one.groups[decision == index]) for name, index in (("ppv", 1), ("npv", 0))}
        return {"sensitivity": held[1], "specificity": held[0], **called}

    def brier(self, off: Array) -> Array:
        """Of the positive class, 0 to 1."""
        return off[:, 1]

    def confidence(self, values: Array, truth: Array) -> tuple[Array, Array]:
        """The probability of the positive class, and whether it was true."""
        return values[:, 0], truth.astype(float)

    # --- a reader --------------------------------------------------------------------------------------------

    def draw(self, every: Sequence[Outcomes], baseline: Sequence[Outcomes]) -> list[Figure]:
        alone = len(every) == 1
        model, simpler = named("targets.figure", "model", "baseline").values()
        lines = [_scored(model if alone else one.target.name, one) for one in every]
        simple = [_scored(simpler, one)._replace(dashed=True) for one in baseline if alone]
        caption: Text = ""
        if alone:
            caption = Message("targets.figure.chance-precision", share=float((every[0].truth == 1).mean()))
        drawn: list[Figure] = [drawings.roc(lines, simple), drawings.precision_recall(lines, simple, caption)]
        if not alone:
            return [*drawn, drawings.label_reliability(every)]
        return [*drawn, *self.details(every[0]), drawings.decision_curve(*lines, *simple)]

    def sure(self, values: Array, truth: Array) -> drawings.Sure:
        probability, positive = self.confidence(values, truth)
        axis, observed = named("targets.figure", "probability", "frequency").values()
        return drawings.Sure(probability, positive, axis, observed, self.classes)

    def likeliest(self, column: pl.Series) -> int:
        return int(column[0] >= 0.5)

    def yes_no(self, item: str) -> tuple[str, str]:
        no, yes = self.words
        return no, yes


def _scored(name: Text, one: Outcomes) -> drawings.ScoredCases:
    return drawings.ScoredCases(name, one.values[:, 0], one.truth == 1)


# --- thresholds ------------------------------------------------------------------------------------------

Pick = Callable[[Array, Array], Array]
"""From weights of true and false positives above each threshold, shape (resamples, thresholds), to the index of the
one to take, shape (resamples,)."""


def rule(threshold: str) -> Pick | None:
    """How a threshold is chosen: `youden` (largest sensitivity + specificity), `equal` (sensitivity as high as
    specificity, so that the share of errors is the same at any prevalence), `accuracy`, `sensitivity=0.95` and
    `specificity=0.95` (the best other side that keeps it). None for a rule that needs no search: `prevalence` (the
    share of positives: Youden's choice where probabilities are calibrated), or a number. Raises: UserError for an
    unknown one."""
    if threshold == "youden":
        return lambda true, false: (true * false[:, -1:] - false * true[:, -1:]).argmax(axis=1)
    if threshold == "equal":
        return lambda true, false: _gap(true, false).argmin(axis=1)
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
    raise UserError("targets.threshold.unknown", rule=threshold)


def _gap(true: Array, false: Array) -> Array:
    """The gap between sensitivity and specificity, times the product of both classes' weights."""
    positive, negative = true[:, -1:], false[:, -1:]
    return abs(true * negative + false * positive - positive * negative)


def _threshold(probability: Array, held: Outcomes, pick: Pick, seed: int) -> float:
    distinct = np.unique(probability)[::-1]
    # Halfway to the next case below, so that the next patient's last digit does not decide.
    candidates = np.append((distinct[:-1] + distinct[1:]) / 2, distinct[-1])

    def best(weights: Array) -> Array:
        true, false = scores.curve(probability, held.truth == 1, weights)
        found = candidates[pick(true, false)]
        both = (true[:, -1] > 0) & (false[:, -1] > 0)
        return np.where(both, found, np.nan)[:, None]

    _, groups = np.unique(held.groups, return_inverse=True)
    count = int(groups.max()) + 1
    if count > MANY:  # that of one sample is steady enough
        return float(best(np.ones((1, len(groups))))[0, 0])
    estimator = Estimator(("threshold",), best, groups)
    found = resample([estimator], count, resamples=_THRESHOLD_SAMPLES, seed=seed)["threshold"]
    draws = found.draws[np.isfinite(found.draws)]
    return float(np.median(draws)) if len(draws) else found.value
