"""How cases compare with those that a model was fitted on: verdicts with reasons, put beside its predictions. What
distance is, and which reasons there are, is for each kind of data to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl

from medeor.contracts import (
    BORDERLINE,
    IN_DOMAIN,
    OUT_OF_DOMAIN,
    Cases,
    Fitted,
    Inputs,
    Message,
    Method,
    Model,
    Predictions,
    Run,
    Split,
)
from medeor.learning.folds import fit_or_load
from medeor.learning.predictions import joined
from medeor.learning.saved import save_part

VERDICTS = np.array([IN_DOMAIN, BORDERLINE, OUT_OF_DOMAIN])
"""By level: 0, 1 and 2."""


class Domain(Protocol):
    """What is kept of the training cases."""

    @property
    def at_once(self) -> int | None:
        """Cases that are predicted and judged at once, so that any number fits in memory; None: all."""
        ...

    @property
    def holds_training_values(self) -> bool:
        """See `Model.holds_training_values`."""
        ...

    def judge(self, cases: Cases) -> pl.DataFrame:
        """`case_id`, where targets differ also `item`, `verdict` and, where it is not in domain, its `reason`; and
        whatever else goes beside the predictions."""
        ...

    def save(self, folder: Path) -> None:
        """Writes `model.json` and what goes with it; the model that it judges for lies in `model` beside it."""
        ...


class DomainCheck(NamedTuple):
    """How cases fare by one criterion."""

    levels: np.ndarray
    """Places in `VERDICTS`, shape (n,)."""
    reason: Callable[[int], str]
    """That of a case, by its row; asked only where it decides."""


def worst(ids: Sequence[str], checks: Sequence[DomainCheck]) -> pl.DataFrame:
    """The worst verdict of each case, with the reason of the first check that gave it."""
    levels = np.stack([check.levels for check in checks])
    level, first = levels.max(axis=0, initial=0), levels.argmax(axis=0)
    reasons = [
        checks[check].reason(row) if worst else None
        for row, (worst, check) in enumerate(zip(level.tolist(), first.tolist(), strict=True))
    ]
    schema = {"case_id": pl.String, "verdict": pl.String, "reason": pl.String}
    return pl.DataFrame({"case_id": ids, "verdict": VERDICTS[level], "reason": reasons}, schema=schema)


def with_verdicts(predictions: Predictions, judged: pl.DataFrame) -> Predictions:
    """Predictions beside what `Domain.judge` gives."""
    keys = ["case_id", "item"] if "item" in judged.columns else ["case_id"]
    return replace(predictions, table=predictions.table.join(judged, on=keys, how="left", maintain_order="left"))


@dataclass(frozen=True)
class DomainMethod:
    """A method whose model also says how a case compares with those that it was fitted on."""

    method: Method
    learn: Callable[[Cases, Split, Predictions], tuple[Domain, Predictions]]
    """Gives the domain, and the held-out predictions with the verdict on each by what the other folds hold."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        inner = fit_or_load(self.method, cases, split, inputs, run.child("model"))
        if not run.leader:
            return inner
        run.progress(str(Message("learning.domain.comparing")), 0, 1)
        domain, held_out = self.learn(cases, split, inner.held_out)
        return Fitted(DomainModel(inner.model, domain), held_out)


@dataclass(frozen=True, eq=False)
class DomainModel:
    """A fitted model with the domain of its training cases."""

    model: Model
    domain: Domain

    def predict(self, cases: Cases, run: Run) -> Predictions:
        size = self.domain.at_once or len(cases)
        parts = []
        for start in range(0, len(cases), max(1, size)):
            some = replace(cases, table=cases.table.slice(start, size))
            parts.append(with_verdicts(self.model.predict(some, run), self.domain.judge(some)))
            if len(cases) > size:
                run.progress("predict", min(start + size, len(cases)), len(cases))
        return joined(parts) if parts else self.model.predict(cases, run)

    @property
    def explained_by(self) -> Model:
        return self.model

    @property
    def holds_training_values(self) -> bool:
        return self.domain.holds_training_values or self.model.holds_training_values

    def save(self, folder: Path) -> None:
        save_part(self.model, folder / "model")
        self.domain.save(folder)
