"""What every method keeps, combinators among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from medeor.contracts import Cases, Fitted, Inputs, Method, Run, Split
from medeor.learning.folds import fit_or_load
from medeor.simulate.states import in_state
from medeor.testing.checks import Check, named, refused_or_done, require
from medeor.testing.model import model_checks
from medeor.testing.sameness import finite, same_files, same_predictions
from medeor.testing.stops import in_stretches


def check_method(method: Method, cases: Cases, split: Split, inputs: Inputs | None = None) -> Iterator[Check]:
    """Checks of a method that is fitted to these cases:

    - `held-out`: what it holds out are cases of the training and validation parts, answered once an item.
    - `resume`: stopped whenever it has written a file, and gone on with, it leaves the same bits and the same
      held-out predictions, arrays among them.
    - `missing-targets`, `one-class`: fitted, or refused in words.
    - those of `check_model`, of what it fits, on the cases of the test part, or all where there are none."""
    fits = _Fits(method, cases, split, inputs or {})
    asked = split.part(cases, "test")
    checks = {
        "held-out": fits.held_out,
        "resume": fits.resume,
        "missing-targets": lambda: fits.in_state("missing targets"),
        "one-class": lambda: fits.in_state("one class"),
        **model_checks(lambda: fits.whole.model, lambda: asked if len(asked) else cases),
    }
    yield from named(type(method).__name__, checks)


class _Fits:
    def __init__(self, method: Method, cases: Cases, split: Split, inputs: Inputs) -> None:
        self.method, self.cases, self.split, self.inputs = method, cases, split, inputs
        self._room = TemporaryDirectory(prefix="medeor-testing-")

    @property
    def _folder(self) -> Path:
        return Path(self._room.name)

    @cached_property
    def whole(self) -> Fitted:
        return fit_or_load(self.method, self.cases, self.split, self.inputs, Run(self._folder / "whole"))

    def held_out(self) -> None:
        honest(self.whole, self.split.part(self.cases, "train", "validation"))

    def resume(self) -> None:
        whole, folder = self.whole, self._folder / "in-stretches"

        def fit(stopping: Callable[[], bool]) -> None:
            fit_or_load(self.method, self.cases, self.split, self.inputs, Run(folder, stopping=stopping))

        in_stretches(fit, folder)
        same_files(self._folder / "whole", folder, "in one go", "with stops")
        again = fit_or_load(self.method, self.cases, self.split, self.inputs, Run(folder))
        same_predictions(whole.held_out, again.held_out, "held out in one go", "with stops")

    def in_state(self, state: str) -> None:
        names = [target.name for target in self.cases.targets]
        cases = replace(self.cases, table=in_state(self.cases.table, state, names))  # type: ignore[arg-type]
        with refused_or_done():
            fitted = fit_or_load(self.method, cases, self.split, self.inputs, Run(self._folder / state))
            honest(fitted, self.split.part(cases, "train", "validation"))


def honest(fitted: Fitted, cases: Cases) -> None:
    """Raises: AssertionError where held-out predictions are of other cases than these, twice or no numbers."""
    table = fitted.held_out.table
    require(set(table["case_id"]) <= set(cases.ids), "it holds out cases of the test part")
    require(not table.select(pl.struct("case_id", "item").is_duplicated().any()).item(), "it holds a case out twice")
    finite(fitted.held_out)
