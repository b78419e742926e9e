"""What comes out: predictions, measures, findings, explanations, and answers to questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from medeor.contracts import schemas
from medeor.messages import Message, Text

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from medeor.figures import Figure

IN_DOMAIN, BORDERLINE, OUT_OF_DOMAIN = "in domain", "borderline", "out of domain"
"""How a case compares with the training data: like them, at their margin, or unlike all of them."""


@dataclass(frozen=True)
class Predictions:
    """A long table, one row a case and item, and arrays on disk.

    Columns: `case_id, item, value` always; `low, high` an interval at 90 %; `chosen` what is decided, with thresholds
    that were fixed beforehand; `plausible` whether the item belongs to the 90 % conformal set (of a binary target,
    which has one item, null where both classes do); `raw` the value before calibration; `spread` the expected absolute
    error of a number (for log-scale targets, a factor), which scales its interval; `verdict` how the case compares
    with the training data (`IN_DOMAIN`, `BORDERLINE`, or `OUT_OF_DOMAIN`: then nothing is chosen for the user), and
    `reason` why it is not in domain. An item is a class, a target, a drug, a candidate tail, a span or the name of an
    array."""

    table: pl.DataFrame
    arrays: Mapping[str, Path] = field(default_factory=dict)
    """By case id: a `.npy` file of floating-point numbers, for tasks whose answer is an array: a restored volume, or
    the probability of each class in each voxel. Models are combined by the mean of their arrays, as of their values;
    what is decided from an array, such as a label map or the volume of a lesion, is decided from that mean."""

    def __post_init__(self) -> None:
        schemas.check(self.table, schemas.PREDICTIONS, "a table of predictions")


class Measure(NamedTuple):
    """A figure with its 95 % interval and the number of independent units that it rests on; None where none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None


class Answers(NamedTuple):
    """Answers to a question in words (`medeor predict RUN --query head=…`), or of a few cases."""

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
    message: Text
    cases: tuple[str, ...] = ()
    accepted: bool = False

    @property
    def stops(self) -> bool:
        """Whether the study must stop here: it fails closed on leakage."""
        return self.kind == "leakage" and self.status == "fail" and not self.accepted

    def to_json(self) -> dict[str, Any]:
        """All of it; of the message its words in the language of the moment, and its key and values."""
        kept = self.message.to_json() if isinstance(self.message, Message) else {}
        return {**dataclasses.asdict(self), "message": str(self.message), "cases": list(self.cases), **kept}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Finding:
        """What `to_json` gave, or a finding of 0.1, whose message has no key."""
        plain = {name: value for name, value in state.items() if name not in ("key", "values")}
        message = Message.from_json(state) if "key" in state else state["message"]
        return cls(**{**plain, "message": message, "cases": tuple(state["cases"])})


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
    reason: Text = ""
    """Why it is not shown."""


class Explanations(NamedTuple):
    """Explanations of some cases, with what was measured over all of them."""

    cases: tuple[Explanation, ...]
    summary: Measures
