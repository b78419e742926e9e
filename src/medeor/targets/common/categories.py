"""What all targets have in common whose answer is one of several classes: one probability a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from medeor.contracts import OUT_OF_DOMAIN, Finding, Message, Text, named
from medeor.figures import Figure
from medeor.statistics import scores
from medeor.statistics.moments import Moments
from medeor.statistics.outcomes import Arranged, Outcomes
from medeor.statistics.scores import Array
from medeor.statistics.statistic import Statistic
from medeor.targets.common import class_calibration, class_scores, drawings
from medeor.targets.common.base import Base, weighted
from medeor.targets.common.calibration import ENOUGH, CalibrationOptions, How, TargetCalibration
from medeor.targets.common.doubts import contradicted
from medeor.targets.common.kind import AgainstChance, Boosted, Cells, Described, Family, Fit, LabelDoubts, YesNoQuestion

if TYPE_CHECKING:
    from torch import Tensor

SURE = 1e-4
"""A probability nearer to 0 or 1 than this counts as this far from it: no part has the last word by itself."""

AUROC = Statistic("auroc", "AUROC", compared=True, on_forest=True, details=True, chance=0.5)
DETAILS = (
    Statistic("brier", higher_is_better=False, compared=True),
    Statistic("log_loss", higher_is_better=False, compared=True),
    Statistic("ece", higher_is_better=False),
    Statistic("coverage"),
    Statistic("set_size", higher_is_better=False),
    Statistic("recall", details=True),
)
"""Figures of every such target that are no headlines."""


@dataclass(frozen=True)
class Categories(Base):
    """See `TargetKind`; kinds of classes differ in their loss, their headlines and, with two classes, their items."""

    grades: ClassVar[bool] = False
    """Whether the classes have an order."""
    columns: ClassVar[int] = 1
    sums_to_one: ClassVar[bool] = False
    skill: ClassVar[str] = "auroc"
    objective: ClassVar[str] = "multiclass"
    methods: ClassVar[tuple[How, ...]] = ("temperature",)
    """How probabilities may be changed, the simplest first."""
    judged_by: ClassVar[tuple[str, ...]] = ("auroc",)
    """Statistics by which a model is shown to know something."""
    unit: ClassVar[Text] = Message("targets.unit.log-odds")

    @property
    def items(self) -> tuple[str, ...]:
        return self.target.classes or (self.target.name,)

    @property
    def classes(self) -> tuple[Text, ...]:
        return self.items

    @property
    def words(self) -> tuple[str, ...]:
        return self.target.classes or self.target.values

    @property
    def margins(self) -> int:
        return len(self.items)

    def class_name(self, index: int) -> str:
        classes = self.target.classes
        return f"{self.target.name} = {classes[index] if index < len(classes) else index}"

    @property
    def sound(self) -> bool:
        return len(set(self.target.classes)) == len(self.target.classes) >= 2

    # --- truth -----------------------------------------------------------------------------------------------

    def truth(self, table: pl.DataFrame) -> Array:
        return table[self.target.name].cast(pl.Float64).fill_null(np.nan).to_numpy()[:, None]

    def read(self, cells: Cells) -> tuple[pl.Series, tuple[Finding, ...]]:
        return cells.classes(self.target.classes or self.target.values or ("0", "1"), self.grades)

    def written(self, columns: Sequence[str]) -> pl.Expr:
        return pl.col(self.target.name).replace_strict(list(range(len(self.words))), self.words, default=None)

    def strata(self, truth: Array) -> Array:
        return np.nan_to_num(truth[:, 0], nan=-1.0)

    def questions(self, truth: Array) -> Iterator[YesNoQuestion]:
        known = self.scored(truth)
        # Of two classes the second is asked for: the first is the same question.
        for index in range(1 if len(self.classes) == 2 else 0, len(self.classes)):
            yield YesNoQuestion(self.class_name(index), truth[:, 0] == index, known)

    # --- learning --------------------------------------------------------------------------------------------

    def summary(self, truth: Array) -> Moments:
        known = truth[self.scored(truth), 0].astype(int)
        return Moments.counted(np.bincount(known, minlength=len(self.classes)))

    def fit(self, summary: Moments, balanced: bool) -> Fit:
        counts = summary.count
        present = np.maximum(counts, 1) * np.count_nonzero(counts)
        balance = counts.sum() / present if balanced else np.ones(len(counts))
        return Fit(weights=tuple(float(weight) for weight in balance))

    def loss(self, outputs: Tensor, truth: Tensor, fit: Fit, smoothing: float) -> tuple[Tensor, Tensor]:
        import torch

        value = truth[:, 0]
        known = ~value.isnan()
        value = torch.where(known, value, 0.0)
        each = self.cross_entropy(outputs, value, smoothing)
        share = known.float() * torch.tensor(fit.weights, device=outputs.device)[value.long()]
        return each * share, share

    def cross_entropy(self, outputs: Tensor, value: Tensor, smoothing: float) -> Tensor:
        """The loss of each case, shape (n,), from class indices, shape (n,), that are all known."""
        from torch.nn import functional

        return functional.cross_entropy(outputs, value.long(), reduction="none", label_smoothing=smoothing)

    def values(self, outputs: Tensor, fit: Fit) -> Tensor:
        return outputs.softmax(1)

    def boosting(self, truth: Array) -> Boosted:
        rows = np.flatnonzero(self.scored(truth))
        return Boosted(rows, np.empty((len(rows), 0)), truth[rows, 0])

    def boosted(self, predict: Callable[[Array], Array], rows: Array) -> Array:
        return predict(rows)

    def asked(self, rows: Array, item: str) -> tuple[Array, int]:
        return rows, self.items.index(item)

    # --- several answers -------------------------------------------------------------------------------------

    def combine(self, values: Array, weights: Array) -> Array:
        """The weighted sum of log-probabilities (of two classes log-odds), as probabilities (a logarithmic opinion
        pool; Genest and Zidek 1986): parts that err apart and agree make it surer than each is."""
        from scipy.special import softmax

        return softmax(weighted(np.log(values.clip(SURE, 1 - SURE)), weights), axis=1)

    def mistake(self, values: Array, truth: Array) -> float:
        """Log loss."""
        right = np.take_along_axis(self.probability(values), truth[:, :1].astype(int), 1)[:, 0]
        return float(-np.log(np.clip(right, 1e-6, 1)).mean())

    def error(self, values: Array, truth: Array) -> Array:
        return np.abs(values[np.arange(len(values)), truth[:, 0].astype(int)] - 1.0)

    def errors(self, one: Outcomes) -> tuple[Array, Array]:
        """Of the probability of all classes, squared."""
        truth = np.eye(len(self.classes))[one.truth]
        off, prior = truth - self.probability(one.values), truth.mean(axis=0)
        return (off**2).sum(axis=1), ((truth - prior) ** 2).sum(axis=1)

    def one_hot(self, truth: Array) -> Array:
        found = (truth[:, :1] == np.arange(len(self.items))).astype(np.float32)
        found[np.isnan(truth[:, 0])] = np.nan
        return found

    def valid(self, values: Array) -> Array:
        values = values.clip(0.001, 0.999)
        return values / values.sum(axis=1, keepdims=True)

    # --- probabilities, sets and decisions -------------------------------------------------------------------

    def sets(self, plausible: Array | None) -> Array | None:
        return None if plausible is None or np.isnan(plausible).all() else plausible == 1

    def probability(self, values: Array) -> Array:
        return values

    def from_probability(self, probability: Array) -> Array:
        """The other way round: values of the items, shape (n, k)."""
        return probability

    def decision(self, one: Outcomes) -> Array:
        if one.chosen is None:
            return self.probability(one.values).argmax(axis=1)
        return np.where(one.chosen.any(axis=1), one.chosen.argmax(axis=1), one.values.argmax(axis=1))

    def calibrate(self, held: Outcomes, asked: CalibrationOptions) -> TargetCalibration:
        """Temperature scaling (Guo et al. 2017); the most probable class is decided."""
        return replace(class_calibration.learned(self, held, asked), rule="most probable")

    def enough(self, held: Outcomes) -> bool:
        """Whether the held-out cases can tell a shape from chance."""
        return len(np.unique(held.groups)) >= ENOUGH

    def logits(self, values: Array) -> Array:
        """What a slope is applied to, shape (n, classes), kept finite."""
        return np.log(np.clip(values, class_calibration.TINY, None))

    def apply(self, one: TargetCalibration, given: Arranged) -> Mapping[str, object]:
        values = class_calibration.calibrated(self, one, given.values)
        top, plausible = class_calibration.plausible(one, self.probability(values))
        return {"value": values.ravel(), "chosen": top.ravel(), "plausible": plausible.ravel()}

    def doubts(self, truth: Array, values: Array) -> LabelDoubts:
        return contradicted(truth[:, 0], self.probability(values))

    # --- statistics ------------------------------------------------------------------------------------------

    def families(self, one: Outcomes, prevalences: Sequence[float]) -> list[Family]:
        return class_scores.families(self, one, prevalences)

    def ranking(self, one: Outcomes, held: Sequence[int]) -> tuple[tuple[str, ...], scores.Score]:
        """Names of figures of the order of cases, and what computes them; `held`: groups of each class."""
        return class_scores.areas_by_class(one, self.classes)

    def decided(self, counts: Array, prevalences: Sequence[float]) -> dict[str, Array]:
        """Figures of confusion matrices, shape (resamples, k, k), by name."""
        accuracy, balanced, f1, recall = class_scores.rates(counts)
        by_class = {f"recall/{name}": own for name, own in zip(self.classes, recall.T, strict=True)}
        return {"accuracy": accuracy, "balanced_accuracy": balanced, "f1": scores.mean(f1), **by_class}

    def rests_on(self, one: Outcomes, held: Sequence[int]) -> dict[str, int]:
        """Groups that figures of decisions rest on, where these are not all."""
        return {}

    def brier(self, off: Array) -> Array:
        """Of each case, shape (n,), from squared errors of the classes: their sum, 0 to 2."""
        return off.sum(axis=1)

    def confidence(self, values: Array, truth: Array) -> tuple[Array, Array]:
        """The probability of the most probable class, and whether that was right (Guo et al. 2017)."""
        return values.max(axis=1), (values.argmax(axis=1) == truth).astype(float)

    def against_chance(self, one: Outcomes) -> AgainstChance:
        wanted = set(self.judged_by)
        estimators = [build() for names, build in self.families(one, ()) if wanted & set(names)] if len(one) else []
        return AgainstChance(self.judged_by, estimators, self._informs(one))

    def _informs(self, one: Outcomes) -> bool:
        if not len(one):
            return True
        shares = np.bincount(one.truth, minlength=len(self.classes)) / len(one)
        chance = self.probability(one.values)[np.arange(len(one)), one.truth]
        mean = -np.log(np.clip(chance, np.finfo(float).eps, 1.0)).mean()
        return bool(mean < -np.log(shares[one.truth]).mean())

    # --- a reader --------------------------------------------------------------------------------------------

    def draw(self, every: Sequence[Outcomes], baseline: Sequence[Outcomes]) -> list[Figure]:
        return [figure for one in every for figure in type(self)(one.target)._drawn(one)]

    def _drawn(self, one: Outcomes) -> list[Figure]:
        pairs = enumerate(self.classes)
        lines = [drawings.ScoredCases(name, one.values[:, index], one.truth == index) for index, name in pairs]
        return [drawings.roc(lines), drawings.precision_recall(lines), *self.details(one)]

    def details(self, one: Outcomes) -> list[Figure]:
        """What is drawn of a target that has a plot of its own."""
        now = self.sure(one.values, one.truth)
        before = None if one.raw is None else self.sure(one.raw, one.truth)
        matrix = drawings.confusion(one.truth, self.decision(one), self.classes)
        return [drawings.reliability(one, now, before), drawings.distribution(now), matrix]

    def sure(self, values: Array, truth: Array) -> drawings.Sure:
        probability, right = self.confidence(values, truth)
        axis, observed, *sides = named("targets.figure", "of-class", "share-right", "wrong", "right").values()
        return drawings.Sure(probability, right, axis, observed, tuple(sides))

    def judge(self, own: pl.DataFrame, truth: float | None) -> tuple[bool | None, Text]:
        decided = self._decided(own)
        likely = own["item"][int(own["value"].arg_max() or 0)]
        words = Message("targets.answer.undecided") if decided is None else self.words[decided]
        text = Message("targets.answer.class", likely=likely, share=max(own["value"].to_list()), decided=words)
        if truth is None:
            return None, text
        text = Message("targets.answer.true-class", truth=self.words[int(truth)], answer=text)
        return (None if decided is None else decided == int(truth)), text

    def _decided(self, own: pl.DataFrame) -> int | None:
        """The class that was decided; None where the decision was withheld, or the case is unlike the training data."""
        if "verdict" in own.columns and OUT_OF_DOMAIN in own["verdict"]:
            return None
        if "chosen" not in own.columns:
            return self.likeliest(own["value"])
        return None if own["chosen"].null_count() else self.likeliest(own["chosen"].cast(pl.Int8))

    def likeliest(self, column: pl.Series) -> int:
        """The class with the largest of some values, a value an item."""
        return int(column.arg_max() or 0)

    def describe(self, answer: Mapping[str, object], number: Callable[[object], str]) -> Described:
        names = self.yes_no(str(answer["item"]))
        either, undecided = Message("targets.answer.either"), Message("targets.answer.undecided")
        may = either if answer.get("plausible") is None else names[bool(answer["plausible"])]
        decided = undecided if answer.get("chosen") is None else names[bool(answer["chosen"])]
        return Described(may, Message("targets.unit.probability"), decided)

    def yes_no(self, item: str) -> tuple[str, str]:
        """What it is called that an item does not hold, and that it holds."""
        return "", item

    def described_truth(self, value: float, side: int | None, number: Callable[[object], str]) -> str:
        return self.words[int(value)]
