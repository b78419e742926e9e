"""The types that every room shares: the question (`Study`, `Task`), the data (`Cases`, `Split`), what answers it
(`Method`, `Model`, `Recipe`), what comes out (`Predictions`, `Measures`, `Finding`), and the one user error.

Nothing here imports a numerical library at run time, so the command line can start in a blink."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    import torch
    from torch import Tensor, nn

    from medeor.figures import Figure


_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def without_controls(text: str) -> str:
    """Text without control characters, among them those that reverse the direction of writing: a header of a clinical
    file, or a received one, can hold any, and a terminal obeys them."""
    return _CONTROLS.sub("", text)


class UserError(Exception):
    """Something the user can put right. The message says what was wrong, where, and what to do, in one or two
    lines; the command line prints it and exits with code 2."""

    def __str__(self) -> str:
        return without_controls(super().__str__())


class Stopped(Exception):
    """The run was asked to stop (SIGINT, SIGTERM) and has saved where it was."""


# --- the question ----------------------------------------------------------------------------------------

Step = Literal["read", "split", "audit", "plan", "fit", "calibrate", "evaluate", "explain", "report", "bundle"]
ROAD: tuple[Step, ...] = (
    "read", "split", "audit", "plan", "fit", "calibrate", "evaluate", "explain", "report", "bundle",
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """What is asked: which cases, which question, within what limits. Read from `study.toml` or from flags."""

    sources: tuple[str | Path | np.ndarray | pl.DataFrame, ...] = ()
    task: str = ""
    """Name in the registry (`medeor tasks`); empty: the one task that can read the sources."""
    labels: str = ""
    """A table of targets (CSV, Parquet, Excel) for sources that are files."""
    target: tuple[str, ...] = ()
    """Columns to predict; several make a multi-label or multi-endpoint study."""
    group: str = ""
    """Column naming the independent unit (patient, compound, entity)."""
    site: str = ""
    time: str = ""
    split: str = ""
    """A column naming the part of each case, or a way of splitting: `group`, `time`, `site`, ….
    Empty: the official split where there is one, else by group."""
    subgroups: tuple[str, ...] = ()
    """Columns by which the results are also reported."""
    prevalence: tuple[float, ...] = ()
    """Shares of the ill, between 0 and 1, at which predictive values are stated; empty: 0.01, 0.05 and 0.1."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Files of other studies that this one uses, by role: a bundle as the goal of a search, a table of embeddings."""
    where: Mapping[str, str] = field(default_factory=dict)
    """What only this task asks (`--where key=value`)."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Values of the plan fixed by the user (`--set key=value`)."""
    accept: tuple[str, ...] = ()
    """Names of failed checks that the user has seen and accepts."""
    threshold: str = ""
    """How a probability becomes a decision: `equal` (sensitivity and specificity), `youden`,
    `accuracy`, `prevalence`, `sensitivity=0.95`, `specificity=0.95`, or a number; empty: `equal`, or `0.5` where fewer
    than 1,000 cases are held out and no class is rarer than a tenth."""
    seed: int = 0
    minutes: float | None = None
    """Time the fit may take; None: the plan's own rule."""


class Sources(NamedTuple):
    """What a task reads: files, folders, arrays or tables as given, and the opened inputs of the study by role."""

    given: tuple[str | Path | np.ndarray | pl.DataFrame, ...]
    inputs: Mapping[str, Store]
    labelled: bool = True
    """False for cases that are only to be predicted: whatever labels they carry are left alone."""
    subgroups: tuple[str, ...] = ()
    """Columns by which the results are also reported, beside the study's, where these cases have them."""
    model: Answering | None = None
    """The model that these cases are put to; None where one is to be fitted to them."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """What the model answers that these cases are to judge: then no question is guessed from their labels."""
        return self.model.targets if self.model and self.labelled else ()


class Budget(NamedTuple):
    """The limits within which a plan must stay, and what of it the user has fixed."""

    minutes: float | None
    memory: int
    """Bytes that may be used at once."""
    threads: int
    settings: Mapping[str, str] = {}
    """As in `Study.settings`: a plan is tried out and estimated with them."""


# --- the data --------------------------------------------------------------------------------------------

TargetKind = Literal["binary", "multiclass", "ordinal", "continuous"]


@dataclass(frozen=True)
class Target:
    """One thing to be predicted. The case table holds it in the column `name`: for `binary`, `multiclass` and
    `ordinal` an index into `classes`, for `continuous` a number in `unit`; null where it is not known.
    A multi-label question is several binary targets."""

    name: str
    kind: TargetKind
    classes: tuple[str, ...] = ()
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"
    """log: a positive, skewed number, learned by its logarithm and scored as fold error."""
    values: tuple[str, ...] = field(default=(), compare=False)
    """What the user's column says for no and for yes, of a binary target that goes by its own name."""
    guessed: bool = field(default=False, compare=False)
    """Whether the positive class of a binary target is only the second in order: its words decide nothing."""

    @property
    def limit(self) -> str:
        """The column that says, where some values are censored, on which side the truth lies: 1 above the value, -1
        below, 0 where it is the value. What is known by a limit teaches and is not scored."""
        return f"{self.name}.limit"

    @property
    def words(self) -> tuple[str, ...]:
        """What its classes are called, also those of a binary target that goes by its own name; of a number, none."""
        return self.classes or self.values or (("no", "yes") if self.kind == "binary" else ())

    @property
    def positive(self) -> str:
        """`positive class: malignant`, and how to change it where it was guessed; empty where there is none to name."""
        no, yes = self.words if self.kind == "binary" and (self.classes or self.values) else ("", "")
        if not yes:
            return ""
        said = f"positive class{f' of {self.name}' if self.values else ''}: {yes}"
        return f"{said} (guessed; change it with --where positive={no})" if self.guessed else said

    @property
    def items(self) -> tuple[str, ...]:
        """The `item`s under which predictions of this target stand. A binary target has one, its positive class
        (the second) or, without class names, its own name; so has a continuous one. Other kinds have their classes,
        whose values add up to one."""
        if self.kind == "binary":
            return self.classes[1:] or (self.name,)
        return self.classes or (self.name,)


@runtime_checkable
class Store(Protocol):
    """Data too large for a table (images on disk, events, a graph), known by a digest of its content."""

    @property
    def digest(self) -> str: ...


@runtime_checkable
class Kept(Store, Protocol):
    """A store that a run keeps below `stores/`, because questions to its model are answered with it. No bundle does."""

    def save(self, folder: Path) -> None: ...


S = TypeVar("S")


@dataclass(frozen=True)
class Cases:
    """A table with one row a case (`case_id, group`, and where known `site, time, part`, targets, subgroup columns)
    and the stores that its rows point into."""

    table: pl.DataFrame
    targets: tuple[Target, ...] = ()
    stores: tuple[Store, ...] = ()
    subgroups: tuple[str, ...] = ()
    """Columns by which the results are also reported."""
    prevalences: tuple[float, ...] = ()
    """At which predictive values are stated; empty: the usual ones."""
    findings: tuple[Finding, ...] = ()
    """What the reader noticed: files passed over, a guessed positive class, a unit taken from a heading. The audit
    begins with them."""

    def __len__(self) -> int:
        return self.table.height

    @property
    def ids(self) -> list[str]:
        return self.table["case_id"].to_list()

    def store(self, kind: type[S]) -> S:
        """The store of this type."""
        for store in self.stores:
            if isinstance(store, kind):
                return store
        raise LookupError(f"these cases carry no {kind.__name__}")

    @property
    def usable(self) -> Cases:
        """The cases that can be used: where the table has a column `broken`, those without a reason in it."""
        import polars as pl

        return self.where(pl.col("broken").is_null()) if "broken" in self.table.columns else self

    def where(self, rows: pl.Expr | pl.Series) -> Cases:
        """The cases for which `rows` holds; the stores are shared."""
        return replace(self, table=self.table.filter(rows))


Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Split:
    """Which part each case belongs to: a table of `case_id, part, fold`.

    `train` fits; `validation` is held out from the fit and only calibrates and fixes thresholds; `test` is scored
    once. `fold` (null on test cases) divides train and validation together, never a group."""

    table: pl.DataFrame

    def part(self, cases: Cases, *parts: Part) -> Cases:
        """The cases of these parts, in the order of the case table."""
        chosen = self.table.filter(self.table["part"].is_in(parts))
        return replace(cases, table=cases.table.join(chosen.select("case_id"), on="case_id", how="semi"))

    @property
    def folds(self) -> int:
        """The number of folds; 0 when the split has none."""
        last = self.table["fold"].max()
        return 0 if last is None else int(last) + 1  # type: ignore[arg-type]

    def fold(self, number: int) -> Split:
        """The same cases with fold `number` as validation and the other folds as train: a combinator need only hand
        this to the method it combines."""
        import polars as pl

        held = pl.when(pl.col("fold") == number).then(pl.lit("validation")).otherwise(pl.lit("train"))
        part = pl.when(pl.col("fold").is_null()).then(pl.col("part")).otherwise(held)
        return Split(self.table.with_columns(part.alias("part")))


# --- what comes out --------------------------------------------------------------------------------------


IN_DOMAIN, BORDERLINE, OUT_OF_DOMAIN = "in domain", "borderline", "out of domain"
"""How a case compares with the training data: like them, at their margin, or unlike all of them."""


@dataclass(frozen=True)
class Predictions:
    """A long table, one row a case and item, and arrays on disk.

    Columns: `case_id, item, value` always; `low, high` an interval at 90 %; `chosen` what is decided, with thresholds
    that were fixed beforehand; `plausible` whether the item belongs to the 90 % conformal set (of a binary target,
    which has one item, null where both classes do); `raw` the value
    before calibration; `spread` how far a number is likely to be off (one learnt by its logarithm: by what factor), by
    which its interval is wide or narrow;
    `verdict` how the case compares with the training data (`IN_DOMAIN`, `BORDERLINE`, or `OUT_OF_DOMAIN`: then nothing
    is chosen for the user), and `reason` why it is not in domain. An item is a class, a target, a drug, a candidate
    tail, a span or the name of an array."""

    table: pl.DataFrame
    arrays: Mapping[str, Path] = field(default_factory=dict)
    """By case id: a `.npy` file (a label map, a restored volume) for tasks whose answer is an array."""


class Measure(NamedTuple):
    """A figure with its 95 % interval and the number of independent units that it rests on; None where none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None


class Answers(NamedTuple):
    """What is said to a question in words (`medeor predict RUN --where head=…`), or of a few cases."""

    table: pl.DataFrame
    """One row an answer, the best first, or a case and item: the columns of `Predictions.table`, `source` (the answer
    in words, the name of the case), and what stands behind it."""
    figures: tuple[Figure, ...]
    """The same for a reader."""


Measures = Mapping[str, Measure]
"""By name: `auroc`, `dice/anterior`, `baseline/auroc`, `ece/uncalibrated`, `auroc[site=A]`."""


@dataclass(frozen=True)
class Finding:
    """The verdict of one audit check."""

    check: str
    """Its name, by which it can be accepted: `duplicates-across-parts`."""
    kind: Literal["leakage", "quality", "shortcut", "labels", "identifiers"]
    status: Literal["pass", "fail", "unknown"]
    message: str
    cases: tuple[str, ...] = ()
    accepted: bool = False

    @property
    def stops(self) -> bool:
        """Whether the study must stop here: it fails closed on leakage."""
        return self.kind == "leakage" and self.status == "fail" and not self.accepted


@dataclass(frozen=True)
class Attribution:
    """What a model says of its reasons for one case and item, before anybody has tested it."""

    case_id: str
    item: str
    method: str
    values: np.ndarray
    """One weight for each element of the input: pixels or voxels, atoms, events, edges."""
    elements: tuple[str, ...] = ()
    """Names of the elements, where they have names."""
    untrained: np.ndarray | None = None
    """The same from a model whose weights were drawn anew: a reason that does not change is no reason."""


@dataclass(frozen=True)
class Explanation:
    """Why, for one case and item, and how far the reason can be believed."""

    case_id: str
    item: str
    method: str
    attribution: np.ndarray
    """One weight for each element of the input: pixels or voxels, atoms, events, edges."""
    elements: tuple[str, ...] = ()
    """Names of the elements, where they have names."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """`faithfulness`, `faithfulness/random`, `randomised weights`, …"""
    shown: bool = True
    reason: str = ""
    """Why it is not shown."""


class Explanations(NamedTuple):
    """Explanations of some cases, with what was measured over all of them."""

    cases: tuple[Explanation, ...]
    summary: Measures


# --- what answers it -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """Where a method or model works: its folder, its seed, its part of the progress line."""

    folder: Path
    seed: int = 0
    threads: int = 1
    progress: Progress = field(default_factory=lambda: _silent)
    stopping: Callable[[], bool] = lambda: False
    """True once the run was asked to stop: save and raise `Stopped`."""
    leader: bool = True
    """False in the second and further processes of one fit: they compute, and write nothing."""

    def child(self, name: str) -> Run:
        """The run of one member of a combination (a fold, a stacked method), in a folder of its own."""
        return replace(self, folder=self.folder / name)


class Progress(Protocol):
    """How long work says where it is."""

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None: ...


def _silent(what: str, done: int, total: int, note: str = "") -> None:
    return None


class Model(Protocol):
    """What was fitted, processors and all. It is saved as plain files, and `tasks.LOADERS` names what reads it.

    It gives its reasons (`attribute`) and answers for a case of which only a part is left (`ablate`); whether the
    reasons are believed is for `trust` to measure, in one way for all modalities."""

    def predict(self, cases: Cases, run: Run) -> Predictions: ...

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        """Reasons for `items[i]` in case i, by each method that the model knows."""
        ...

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        """The value of `item` for one case, shape (m,), when only the elements marked in `kept`, a boolean array of
        shape (m, *elements), are left."""
        ...

    @property
    def holds_training_values(self) -> bool:
        """Whether what `save` writes holds training cases, or values from which one of them can be read; the manifest
        of a bundle says so."""
        ...

    def save(self, folder: Path) -> None: ...


@runtime_checkable
class Answering(Store, Protocol):
    """A trained model with its calibration: what questions in words are put to (`TaskFacts.answers`), and a store where
    it is an input of another study."""

    @property
    def study(self) -> Study: ...

    @property
    def targets(self) -> tuple[Target, ...]: ...

    @property
    def model(self) -> Model: ...

    @property
    def run(self) -> Run:
        """Where the model works when it is asked."""
        ...

    def read(self, *sources: str | Path | np.ndarray | pl.DataFrame) -> Cases:
        """Cases to predict."""
        ...

    def predict_cases(self, cases: Cases) -> Predictions:
        """Calibrated."""
        ...


class Fitted(NamedTuple):
    """A model, and honest predictions: of cases that did not fit it (the validation part, or out of fold). They
    calibrate, fix thresholds, feed a stack and find label errors. Without held-out cases the table is empty."""

    model: Model
    held_out: Predictions


class Method(Protocol):
    """A way to answer a question. Combinators (folds, stacks, cross-fitting) are methods too."""

    def fit(self, cases: Cases, split: Split, run: Run) -> Fitted: ...


class Plan(Protocol):
    """A frozen dataclass, kept as `plan.toml`, that the user may read and edit."""

    __dataclass_fields__: dict


class Result(NamedTuple):
    """All that there is to see of one part of a study."""

    cases: Cases
    predictions: Predictions
    baseline: Predictions
    explanations: Explanations
    measures: Measures
    model: Model | None = None


class Task(Protocol):
    """A question about a kind of data, apart from any method that answers it."""

    steps: tuple[Step, ...]
    plan_type: type[Plan]

    def read(self, sources: Sources, study: Study) -> Cases: ...

    def audit(self, cases: Cases, split: Split) -> list[Finding]:
        """What only this modality can check; groups, labels and imbalance are checked on the road."""
        ...

    def clean(self, cases: Cases, findings: Sequence[Finding], split: Split) -> pl.DataFrame:
        """The case table with a column `removed` that says why a case should go, null for those that stay."""
        ...

    def plan(self, cases: Cases, split: Split, budget: Budget) -> Plan:
        """From the training part only; with the settings of the budget, which go before any limit."""
        ...

    def method(self, plan: Plan) -> Method: ...

    def baseline(self, plan: Plan) -> Method: ...

    def evaluate(self, cases: Cases, predictions: Predictions) -> Measures: ...

    def show(self, result: Result) -> Iterable[Figure]: ...


class Batch(Protocol):
    """One step's worth of examples, as tensors."""

    @property
    def inputs(self) -> Any:
        """What the network is called with: a tensor, or a tuple of them."""
        ...

    def shard(self, rank: int, world: int) -> Batch:
        """The share of one process."""
        ...

    def to(self, device: torch.device) -> Batch: ...


class Batches(Protocol):
    """Training cases in batches. Batch k of an epoch depends on (seed, epoch, cases) alone, so a resumed or a
    distributed fit draws what one uninterrupted process would."""

    def __len__(self) -> int:
        """Batches in an epoch."""
        ...

    def batch(self, epoch: int, index: int) -> Batch: ...


class Processors(Protocol):
    """The transformations that were fitted on the training cases of one model."""

    @property
    def holds_training_values(self) -> bool:
        """See `Model.holds_training_values`."""
        ...

    def to_json(self) -> Mapping[str, object]: ...


P = TypeVar("P")
"""Processors of one recipe."""
B = TypeVar("B", contravariant=True)
"""Its batches."""


class Recipe(Protocol[P, B]):
    """What a network needs; `learning.NetworkMethod(recipe, schedule)` makes it a Method."""

    @property
    def kind(self) -> str:
        """The key in `tasks.LOADERS` of the class whose `from_json` rebuilds this recipe."""
        ...

    def to_json(self) -> Mapping[str, object]: ...

    def processors(self, cases: Cases) -> P:
        """Fitted on the cases it is given: a fold's own."""
        ...

    def restore(self, processors: Mapping[str, object]) -> P:
        """Processors from their `to_json`."""
        ...

    def batches(self, cases: Cases, processors: P, seed: int) -> Batches: ...

    def network(self, processors: P) -> nn.Module: ...

    def loss(self, outputs: Tensor, batch: B) -> tuple[Tensor, Tensor]:
        """Sum and weight, so that shards, masks and sites add up."""
        ...

    def answering(self, network: nn.Module, processors: P) -> tuple[nn.Module, Tensor]:
        """The network with all that stands between prepared inputs and the values of the items, as one module, and
        example inputs: what is asked here and exported elsewhere is the same."""
        ...

    def infer(self, network: nn.Module, cases: Cases, processors: P, run: Run) -> Iterator[Predictions]:
        """Sliding windows, decoding and ranking live here."""
        ...

    def attribute(
        self, network: nn.Module, cases: Cases, items: Sequence[str], processors: P, run: Run
    ) -> list[Attribution]: ...

    def ablate(
        self, network: nn.Module, case: Cases, item: str, kept: np.ndarray, processors: P, run: Run
    ) -> np.ndarray: ...


def threads() -> int:
    """Cores that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    # What the process may use is known on Linux alone; elsewhere it is what the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
