"""What answers a question: tasks, the methods that they combine, the models that these fit, and where they work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from medeor.contracts.data import Store
from medeor.contracts.study import Step
from medeor.messages import Text

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from torch import Tensor

    from medeor.contracts.data import Cases, Inputs, Split, Target
    from medeor.contracts.results import Attribution, Explanations, Finding, Measures, Predictions
    from medeor.contracts.study import Budget, Source, Sources, Study
    from medeor.figures import Figure


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
    loggers: tuple[Logger, ...] = ()
    """What hears of each epoch of a fit."""
    join: Join | None = None
    """How this fit and those at other sites become one."""
    kept: Mapping[str, Path] = field(default_factory=dict)
    """What a finished run keeps for questions to its model, by name: the tables `cases` and `split`, and its stores. A
    bundle keeps none of these."""

    def child(self, name: str) -> Run:
        """The run of one member of a combination (a fold, a stacked method), in a folder of its own."""
        return replace(self, folder=self.folder / name)


class Logger(Protocol):
    """Hears how a fit goes, as for a board of curves. It must change nothing: the fit does not wait for its answer."""

    def on_epoch(self, folder: Path, record: Mapping[str, float | None]) -> None:
        """After each epoch of the fit in `folder`: what `log.jsonl` says of it, `step, epoch, loss, learning_rate` and
        where there is a held-out part `held_out_loss` (None where it was not measured) and `held_out_auroc` or the
        like."""
        ...


class Join(Protocol):
    """Makes one fit of those that several sites run at the same time, each on its own cases. Every call waits for the
    other sites."""

    def summaries(self, own: Any) -> Any:
        """Before the fit: what `Recipe.summaries` gave here, to the sum of those of all sites."""
        ...

    def weights(self, own: Mapping[str, Tensor], weight: float) -> Mapping[str, Tensor]:
        """After each round, which is an epoch: the weights here, and what they weigh, to those that all sites go on
        with. Floating-point tensors by name, on the device of the fit."""
        ...


class Progress(Protocol):
    """How long work says where it is."""

    def __call__(self, what: Text, done: int, total: int, note: Text = "") -> None: ...


def _silent(what: Text, done: int, total: int, note: Text = "") -> None:
    return None


class Model(Protocol):
    """What was fitted, processors and all. It is saved as plain files, and `registry.LOADERS` names what reads it. One
    that can give reasons is also `Explains`, or `ExplainedBy`."""

    def predict(self, cases: Cases, run: Run) -> Predictions:
        """What it answers to each case, whichever others are asked with it: to no cases, nothing. Arrays are written
        below the run's folder (`learning.predictions.write_array`)."""
        ...

    @property
    def holds_training_values(self) -> bool:
        """Whether what `save` writes holds training cases, or values from which one of them can be read; the manifest
        of a bundle says so."""
        ...

    def save(self, folder: Path) -> None: ...


@runtime_checkable
class Explains(Protocol):
    """A model that gives its reasons; whether they are believed is for `trust` to measure, in one way for all
    modalities. `learning.explain.explainer` finds it within a combination."""

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        """Reasons for `items[i]` in case i, by each method that the model knows."""
        ...

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        """The value of `item` for one case, shape (m,), when only the elements marked in `kept`, a boolean array of
        shape (m, *elements), are left."""
        ...


@runtime_checkable
class ExplainedBy(Protocol):
    """A model whose reasons are those of another within it."""

    @property
    def explained_by(self) -> Model: ...


@runtime_checkable
class Answering(Store, Protocol):
    """A trained model with its calibration: what an `Offer` asks, and a store where
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

    def read(self, *sources: Source) -> Cases:
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

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted: ...


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
    """A question about a kind of data, whatever method answers it."""

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
