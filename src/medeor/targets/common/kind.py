"""What each kind of target states. Torch is imported inside `loss` and `values` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import polars as pl

from medeor.contracts import Finding, Target
from medeor.figures import Figure
from medeor.statistics.intervals import Estimator
from medeor.statistics.outcomes import Arranged, Outcomes
from medeor.statistics.scores import Array
from medeor.statistics.statistic import Statistic
from medeor.targets.common.calibration import Asked, TargetCalibration

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


class Question(NamedTuple):
    """A question of yes or no that a target contains."""

    name: str
    positive: Array
    """Shape (n,), bool."""
    known: Array
    """Shape (n,), bool."""


class Doubts(NamedTuple):
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

    plausible: str
    """An interval, or the classes that are plausible."""
    unit: str
    decided: str


class Cells(Protocol):
    """The cells of a user's column, to be read in one of two ways; each gives the values and what was noticed."""

    def numbers(self) -> tuple[pl.Series, tuple[Finding, ...]]: ...

    def classes(self, words: Sequence[str], grades: bool) -> tuple[pl.Series, tuple[Finding, ...]]:
        """Indices into these classes; with `grades` they have an order."""
        ...


class TargetKind(Protocol):
    """A kind of target, with one target. `n` is a number of cases, `k` that of the target's items."""

    STATISTICS: ClassVar[tuple[Statistic, ...]]
    """Every figure that any target of the kind has."""

    @property
    def target(self) -> Target: ...

    # What an answer is.

    @property
    def items(self) -> tuple[str, ...]:
        """The `item`s under which predictions stand, one value a case each."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of which the truth is one; empty where it is none of several."""
        ...

    @property
    def words(self) -> tuple[str, ...]:
        """What a table says for each class."""
        ...

    @property
    def positive(self) -> str:
        """`positive class: malignant`, and how to change it where it was guessed; empty where there is none to name."""
        ...

    @property
    def unit(self) -> str:
        """What differences of the answer are measured in."""
        ...

    @property
    def by_own_name(self) -> Target:
        """The target as one of several, whose items must not be alike."""
        ...

    def class_name(self, index: int) -> str:
        """A class as a message names it: `sick = yes`."""
        ...

    @property
    def sound(self) -> bool:
        """Whether the target's classes, unit and scale go with its kind; a file may say anything."""
        ...

    # Truth.

    columns: ClassVar[int]
    """Columns of the truth."""

    def truth(self, table: pl.DataFrame) -> Array:
        """The truth of each case, shape (n, columns), float64: the value first, NaN where it is not known; then, for
        what may be censored, the side on which the truth lies (see `Target.limit`)."""
        ...

    def scored(self, truth: Array) -> Array:
        """Which cases are scored, shape (n,), bool."""
        ...

    def read(self, cells: Cells) -> tuple[pl.Series, tuple[Finding, ...]]:
        """The values of a user's column as the case table holds them."""
        ...

    def written(self, columns: Sequence[str]) -> pl.Expr:
        """What the column of the case table says, as it is read again."""
        ...

    def strata(self, truth: Array) -> Array:
        """Shape (n,): cases of one stratum are divided alike among the parts."""
        ...

    def questions(self, truth: Array) -> Iterator[Question]:
        """What a shortcut could give away."""
        ...

    # Learning.

    def fit(self, truth: Array, balanced: bool) -> Fit: ...

    def loss(self, outputs: Tensor, truth: Tensor, fit: Fit, smoothing: float) -> tuple[Tensor, Tensor]:
        """Loss and weight of each case, both of shape (n,), from one output an item, shape (n, k)."""
        ...

    def values(self, outputs: Tensor, fit: Fit) -> Tensor:
        """Outputs as values of the items, shape (n, k)."""
        ...

    @property
    def objective(self) -> str:
        """What boosted trees minimise: `binary`, `multiclass` or `regression`."""
        ...

    @property
    def margins(self) -> int:
        """Margins of the trees a row: 1, or the number of classes."""
        ...

    def boosting(self, truth: Array) -> Boosted: ...

    def boosted(self, predict: Callable[[Array], Array], rows: Array) -> Array:
        """Values of the items, shape (n, k), from trees and rows of features."""
        ...

    def asked(self, rows: Array, item: str) -> tuple[Array, int]:
        """The rows that trees are asked for an item, and which of their margins answers."""
        ...

    def learned(self, values: Array) -> Array:
        """Values on the scale on which they are learned and compared."""
        ...

    def stated(self, values: Array) -> Array:
        """The other way round: values as they are stated."""
        ...

    @property
    def logarithmic(self) -> bool:
        """Whether it is a number that is learned by its logarithm."""
        ...

    # Several answers.

    sums_to_one: ClassVar[bool]
    """Whether the weights of parts that are combined add up to one."""
    comparable: ClassVar[bool]
    """Whether the values of several targets of this kind can be compared."""

    def combine(self, values: Array, weights: Array) -> Array:
        """What parts answer together, shape (n, k), from what each answers, shape (parts, n, k)."""
        ...

    def mistake(self, values: Array, truth: Array) -> float:
        """Mean loss of values, shape (n, k), by which parts are weighed."""
        ...

    def error(self, values: Array, truth: Array) -> Array:
        """How far each answer is from the truth, shape (n,)."""
        ...

    def errors(self, one: Outcomes) -> tuple[Array, Array]:
        """The error of the model and of a guess that knows the other cases alone, each of shape (n,)."""
        ...

    def one_hot(self, truth: Array) -> Array:
        """The truth as a model that knew it would answer, on the learned scale, shape (n, k)."""
        ...

    def valid(self, values: Array) -> Array:
        """Values that may lie outside of what can be answered, brought back, shape (n, k)."""
        ...

    # Trust.

    def sets(self, plausible: Array | None) -> Array | None:
        """Which classes are plausible, shape (n, classes), bool, from what the table of predictions says, (n, k)."""
        ...

    def calibrate(self, held: Outcomes, asked: Asked) -> TargetCalibration: ...

    def apply(self, one: TargetCalibration, given: Arranged) -> Mapping[str, object]:
        """The new columns of predictions, each with n × k values."""
        ...

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """What this target is measured by."""
        ...

    skill: ClassVar[str]
    """The figure by which held-out predictions show that a model knows anything."""

    def families(self, one: Outcomes, prevalences: Sequence[float]) -> list[Family]: ...

    def against_chance(self, one: Outcomes) -> AgainstChance: ...

    def doubts(self, truth: Array, values: Array) -> Doubts: ...

    # A reader.

    def draw(self, every: Sequence[Outcomes], baseline: Sequence[Outcomes]) -> list[Figure]:
        """All that is drawn of the targets of this kind together."""
        ...

    def judge(self, own: pl.DataFrame, truth: float | None) -> tuple[bool | None, str]:
        """Whether the answer of one case is right (None: nobody can say), and truth and answer in words. `own` holds
        its predictions, a row an item."""
        ...

    def describe(self, answer: Mapping[str, object], number: Callable[[object], str]) -> Described: ...

    def described_truth(self, value: float, side: int | None, number: Callable[[object], str]) -> str: ...
