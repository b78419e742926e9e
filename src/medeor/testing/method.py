"""What every method keeps, combinators among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from medeor.contracts import Cases, Fitted, Inputs, Method, Run, Split
from medeor.learning.folds import fit_or_load
from medeor.simulate.states import State, in_state
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
    room = TemporaryDirectory(prefix="medeor-testing-")

    def place(name: str) -> Path:
        return Path(room.name) / name

    def fit(name: str, given: Cases = cases, stopping: Callable[[], bool] = lambda: False) -> Fitted:
        return fit_or_load(method, given, split, inputs or {}, Run(place(name), stopping=stopping))

    whole = cache(partial(fit, "whole"))

    def resume() -> None:
        expected = whole().held_out
        in_stretches(lambda stopping: fit("stops", stopping=stopping), place("stops"))
        same_files(place("whole"), place("stops"), "in one go", "with stops")
        same_predictions(expected, fit("stops").held_out, "held out in one go", "with stops")

    def spoilt(state: State) -> None:
        given = replace(cases, table=in_state(cases.table, state, [target.name for target in cases.targets]))
        with refused_or_done():
            honest(fit(state, given), split.part(given, "train", "validation"))

    asked = split.part(cases, "test")
    checks: dict[str, Callable[[], None]] = {
        "held-out": lambda: honest(whole(), split.part(cases, "train", "validation")),
        "resume": resume,
        "missing-targets": partial(spoilt, "missing targets"),
        "one-class": partial(spoilt, "one class"),
        **model_checks(lambda: whole().model, lambda: asked if len(asked) else cases),
    }
    yield from named(type(method).__name__, checks)


def honest(fitted: Fitted, cases: Cases) -> None:
    """Raises: AssertionError where held-out predictions are of other cases than these, twice or no numbers."""
    table = fitted.held_out.table
    require(set(table["case_id"]) <= set(cases.ids), "it holds out cases of the test part")
    require(not table.select(pl.struct("case_id", "item").is_duplicated().any()).item(), "it holds a case out twice")
    finite(fitted.held_out)
