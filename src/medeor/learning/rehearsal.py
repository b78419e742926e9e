"""How long a method takes, measured on a few of the cases when planning: what a plan states beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from medeor.contracts import Cases, Inputs, Method, Run, Split

WARM, FEW, MORE = 12, 96, 256
"""Cases that warm up what is done once in a process, and the two numbers of cases that are timed."""
FOLDS = 5


class Line(NamedTuple):
    """Seconds as they grow with the number of cases."""

    start: float = 0.0
    case: float = 0.0

    @classmethod
    def through(cls, few: tuple[int, float], more: tuple[int, float]) -> Line:
        """The line through two measurements of cases and seconds; neither part is negative."""
        (least, short), (most, long) = few, more
        case = max(0.0, (long - short) / (most - least)) if most > least else long / max(1, most)
        return cls(max(0.0, long - case * most), case)

    def seconds(self, cases: float) -> float:
        return self.start + self.case * cases


class FitTime(NamedTuple):
    """What fitting a method takes, by the number of cases."""

    once: Line
    """The first time: what later fits find in memory, such as features of the same cases."""
    each: Line
    """Every time."""

    def seconds(self, cases: float, fits: float) -> float:
        return self.once.seconds(cases) + fits * self.each.seconds(cases)


def timed(do: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and the seconds it took."""
    began = time.perf_counter()
    found = do()
    return found, time.perf_counter() - began


def sample(cases: Cases, number: int, first: int = 0) -> tuple[Cases, Split]:
    """So many cases, drawn anyhow but always the same (those from the place `first` on), in five folds of which the
    first is held out."""
    order = np.random.default_rng(0).permutation(len(cases))[first : first + number]
    chosen = cases.where(pl.Series(np.isin(np.arange(len(cases)), order)))
    fold = pl.Series(np.arange(len(chosen)) % FOLDS, dtype=pl.Int32)
    part = pl.when(pl.col("fold") == 0).then(pl.lit("validation")).otherwise(pl.lit("train"))
    return chosen, Split(chosen.table.select("case_id").with_columns(fold=fold).with_columns(part=part))


def fit_time(method: Method, cases: Cases, inputs: Inputs, threads: int) -> FitTime:
    """How long the method takes to be fitted, from two samples of the cases; each is fitted twice."""

    def fit(number: int, first: int) -> tuple[int, float]:
        chosen, split = sample(cases, number, first)
        with TemporaryDirectory() as room:
            return len(chosen), timed(lambda: method.fit(chosen, split, inputs, Run(Path(room), threads=threads)))[1]

    fit(WARM, len(cases) - WARM if len(cases) > WARM else 0)
    cold, warm = ([fit(FEW, 0), fit(MORE, FEW if len(cases) > FEW + WARM else 0)] for _ in range(2))
    extra = [(count, max(0.0, first - again)) for (count, first), (_, again) in zip(cold, warm, strict=True)]
    return FitTime(Line.through(*extra), Line.through(*warm))
