"""What each kind of target states. Torch is imported inside `loss` and `values` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import polars as pl

from medeor.contracts import Finding, Target, Text
from medeor.figures import Figure
from medeor.statistics.intervals import Estimator
from medeor.statistics.moments import Moments
from medeor.statistics.outcomes import Arranged, Outcomes
from medeor.statistics.scores import Array
from medeor.statistics.statistic import Statistic
from medeor.targets.common.calibration import CalibrationOptions, TargetCalibration

if TYPE_CHECKING:
    from torch import Tensor

Family = tuple[tuple[str, ...], Callable[[], Estimator]]
"""Names of figures that are computed together, and what makes them ready to be resampled."""


class Fit(NamedTuple):
    """What is learned of the training cases before a network is fitted."""

    scale: tuple[float, float] = (0.0, 1.0)
    """Mean and standard deviation of a number, on the scale on which it is learned."""
    weights: tuple[float, ...] = (1.0,)
    """Weight of each class in the loss."""


class Boosted(NamedTuple):
    """What trees are fitted to."""

    rows: Array
    """Row of the table of features of each example, shape (m,); a case may stand several times."""
    extra: Array
    """Further features of each example, shape (m, e)."""
    labels: Array
    """Shape (m,)."""
    weights: Array | None = None
    """Shape (m,); None: all alike."""


class YesNoQuestion(NamedTuple):
    """A question of yes or no that a target contains."""

    name: Text
    positive: Array
    """Shape (n,), bool."""
    known: Array
    """Shape (n,), bool."""


class LabelDoubts(NamedTuple):
    """Which labels held-out predictions contradict."""

    each: Array
    """Shape (n,): below zero where a label is doubted, the lower the more."""
    share: float
    """Estimated share of wrong labels."""
    by_chance: int = 0
    """Labels that are contradicted as chance lets expect."""


class AgainstChance(NamedTuple):
    """What shows whether a model knows anything."""

    names: tuple[str, ...]
    """Statistics with a value of chance, the first one first."""
    estimators: Sequence[Estimator]
    informs: bool
    """Whether the predicted values say more than the same answer for every case."""


class Described(NamedTuple):
    """One answer in words."""

    plausible: Text
    """An interval, or the classes that are plausible."""
    unit: Text
    decided: Text


class Cells(Protocol):
    """The cells of a user's column, to be read in one of two ways; each gives the values and what was noticed."""

    def numbers(self) -> tuple[pl.Series, tuple[Finding, ...]]: ...

    def classes(self, words: Sequence[str], grades: bool) -> tuple[pl.Series, tuple[Finding, ...]]:
        """Indices into these classes; with `grades` they have an order."""
        ...


class TargetKind(Protocol):
    """A kind of target, with one target in it. `n` is a number of cases, `k` that of the target's items."""

    STATISTICS: ClassVar[tuple[Statistic, ...]]  # every figure that a target of the kind can have
    columns: ClassVar[int]  # columns of the truth
    sums_to_one: ClassVar[bool]  # whether the weights of parts that are combined add up to one
    comparable: ClassVar[bool]  # whether values of several targets of the kind can be compared
    skill: ClassVar[str]  # the figure by which held-out predictions show that a model knows anything

    # What an answer is. Properties, as those of a class may follow from its target.

    @property
    def target(self) -> Target: ...
    @property
    def items(self) -> tuple[str, ...]: ...  # under which predictions stand, one value a case each
    @property
    def classes(self) -> tuple[Text, ...]: ...  # of which the truth is one; empty where it is none of several
    @property
    def words(self) -> tuple[str, ...]: ...  # what a table says for each class
    @property
    def positive(self) -> Text: ...  # `positive class: malignant`, and how to change a guess; empty where there is none
    @property
    def unit(self) -> Text: ...  # in which what an input adds to the answer is measured
    @property
    def sound(self) -> bool: ...  # whether classes, unit and scale go with the kind; a file may say anything
    @property
    def by_own_name(self) -> Target: ...  # the target as one of several, whose items must not be alike
    @property
    def logarithmic(self) -> bool: ...  # whether it is a number that is learned by its logarithm
    @property
    def statistics(self) -> tuple[Statistic, ...]: ...  # what this target is measured by

    def class_name(self, index: int) -> str: ...  # as a message names it: `sick = yes`

    # Truth: shape (n, columns), float64; the value first, NaN where it is not known; then, for what may be censored,
    # the side on which the truth lies (see `Target.limit`).

    def read(self, cells: Cells) -> tuple[pl.Series, tuple[Finding, ...]]: ...  # as the case table holds it
    def written(self, columns: Sequence[str]) -> pl.Expr: ...  # as the user's table holds it
    def truth(self, table: pl.DataFrame) -> Array: ...
    def scored(self, truth: Array) -> Array: ...  # shape (n,), bool
    def strata(self, truth: Array) -> Array: ...  # shape (n,): alike in all parts of a split
    def questions(self, truth: Array) -> Iterator[YesNoQuestion]: ...  # what a shortcut could give away
    def doubts(self, truth: Array, values: Array) -> LabelDoubts: ...

    # Learning. A network has one output an item; loss and weight are of each case, shape (n,).

    def summary(self, truth: Array) -> Moments: ...  # adds up over sites
    def fit(self, summary: Moments, balanced: bool) -> Fit: ...
    def loss(self, outputs: Tensor, truth: Tensor, fit: Fit, smoothing: float) -> tuple[Tensor, Tensor]: ...
    def values(self, outputs: Tensor, fit: Fit) -> Tensor: ...  # shape (n, k)
    def learned(self, values: Array) -> Array: ...  # on the scale on which values are learned and compared
    def stated(self, values: Array) -> Array: ...  # the other way round

    # Trees: what they minimise, the margins of a row, what they are fitted to, values of the items from their answers,
    # and the rows that they are asked for an item with the margin that answers.

    @property
    def objective(self) -> str: ...
    @property
    def margins(self) -> int: ...
    def boosting(self, truth: Array) -> Boosted: ...
    def boosted(self, predict: Callable[[Array], Array], rows: Array) -> Array: ...
    def asked(self, rows: Array, item: str) -> tuple[Array, int]: ...

    # Several answers: one from those of parts, shape (parts, n, k); the mean loss by which parts are weighed; how far
    # each answer is from the truth, shape (n,), and a guess that knows the other cases alone; the truth as values on
    # the learned scale; and values that may lie outside of what can be answered, brought back.

    def combine(self, values: Array, weights: Array) -> Array: ...
    def mistake(self, values: Array, truth: Array) -> float: ...
    def error(self, values: Array, truth: Array) -> Array: ...
    def errors(self, one: Outcomes) -> tuple[Array, Array]: ...
    def one_hot(self, truth: Array) -> Array: ...
    def valid(self, values: Array) -> Array: ...

    # Trust.

    def sets(self, plausible: Array | None) -> Array | None: ...  # shape (n, classes), bool, from the table's (n, k)
    def calibrate(self, held: Outcomes, asked: CalibrationOptions) -> TargetCalibration: ...
    def apply(self, one: TargetCalibration, given: Arranged) -> Mapping[str, object]: ...  # columns of n * k values
    def families(self, one: Outcomes, prevalences: Sequence[float]) -> list[Family]: ...
    def against_chance(self, one: Outcomes) -> AgainstChance: ...

    # A reader: what is drawn of all targets of the kind; whether the answer of one case is right (None: nobody can
    # say), with truth and answer in words; an answer, and a truth, in words.

    def draw(self, every: Sequence[Outcomes], baseline: Sequence[Outcomes]) -> list[Figure]: ...
    def judge(self, own: pl.DataFrame, truth: float | None) -> tuple[bool | None, Text]: ...
    def describe(self, answer: Mapping[str, object], number: Callable[[object], str]) -> Described: ...
    def described_truth(self, value: float, side: int | None, number: Callable[[object], str]) -> str: ...
