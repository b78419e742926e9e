"""The question: what a study asks, what it reads, and the limits of its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from medeor.contracts.data import Inputs, Store, Target
    from medeor.contracts.methods import Answering

    Source = str | Path | np.ndarray | pl.DataFrame
    """What a study reads: a path, the name of a known data set, an array or a table."""
else:
    Source = str  # all that a file can name

Step = Literal["read", "split", "audit", "plan", "fit", "calibrate", "evaluate", "explain", "report", "bundle"]
ROAD: tuple[Step, ...] = (
    "read", "split", "audit", "plan", "fit", "calibrate", "evaluate", "explain", "report", "bundle",
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """What is asked: which cases, which question, within what limits. Read from `study.toml` or from flags."""

    sources: tuple[Source, ...] = ()
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
    options: Mapping[str, str] = field(default_factory=dict)
    """What only this task asks (`--option key=value`)."""
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

    given: tuple[Source, ...]
    inputs: Inputs
    labelled: bool = True
    """False for cases that are only to be predicted: whatever labels they carry are left alone."""
    subgroups: tuple[str, ...] = ()
    """Columns by which the results are also reported, besides the study's, where these cases have them."""
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
    inputs: Mapping[str, Store] = {}
    """The opened inputs of the study by role."""
