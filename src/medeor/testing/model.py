"""What every fitted model keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from medeor import registry
from medeor.contracts import Cases, Model, Run
from medeor.learning.explain import explainer
from medeor.targets import of
from medeor.testing.checks import Check, named, require
from medeor.testing.sameness import finite, names, same_numbers, same_predictions

MARKS = {".json": (0, b"{"), ".safetensors": (8, b"{"), ".parquet": (0, b"PAR1"), ".npy": (0, b"\x93NUMPY")}
"""Where a file of each kind says what it is, and how."""

SINGLE = 1e-6
"""Share by which numbers of single precision may differ when they are added up in another order."""

KEPT = {".json", ".safetensors"}
"""How the files end that a model saves. Each model is known by the `kind` in its model.json."""


def check_model(model: Model, cases: Cases) -> Iterator[Check]:
    """Checks of a fitted model, which is asked about these cases:

    - `answers`: each case is answered once an item, by a number; arrays hold numbers that can be averaged, and are
      there where a part of the model has them.
    - `subset`: what is answered to a case depends neither on the others nor on their order, to six digits: the last
      bits of a product of matrices follow their size.
    - `no-cases`: no cases have no answers.
    - `comes-back`: saved and loaded it answers with the same bits, and saves the same files again.
    - `saves`: it saves JSON and safetensors alone, every model.json of a registered kind.
    - `reasons`: what it says of its reasons is made of numbers, and it answers for a part of a case."""
    yield from named(type(model).__name__, model_checks(lambda: model, lambda: cases))


def model_checks(model: Callable[[], Model], cases: Callable[[], Cases]) -> dict[str, Callable[[], None]]:
    """The same of a model that is fitted when the first check asks for it."""

    def on(check: Callable[[Model, Cases, Run], object]) -> Callable[[], None]:
        def run() -> None:
            with TemporaryDirectory(prefix="medeor-testing-") as room:
                check(model(), cases(), Run(Path(room)))

        return run

    return {
        "answers": on(_answers),
        "subset": on(_subset),
        "no-cases": on(_no_cases),
        "comes-back": on(_comes_back),
        "saves": on(_saves),
        "reasons": on(lambda model, cases, run: reasons_of(model, replace(cases, table=cases.table.head(2)), run)),
    }


def _answers(model: Model, cases: Cases, run: Run) -> None:
    found = model.predict(cases, run)
    require({"case_id", "item", "value"} <= set(found.table.columns), f"its columns are {found.table.columns}")
    ids = set(cases.ids)
    require(set(found.table["case_id"]) == ids, f"{len(ids)} cases are asked, others or fewer are answered")
    require(set(found.arrays) in (set(), ids), f"{len(found.arrays)} of {len(ids)} cases have an array")
    for part in inner(model):
        lost = not found.arrays and part.predict(cases, run.child("part")).arrays
        require(not lost, f"it loses the arrays of a {type(part).__name__}")
    twice = found.table.filter(pl.struct("case_id", "item").is_duplicated())
    require(twice.is_empty(), f"'{twice['case_id'].head(1).to_list()}' is answered twice for the same item")
    finite(found)
    for case, path in found.arrays.items():
        kind = np.load(path, mmap_mode="r", allow_pickle=False).dtype
        require(np.issubdtype(kind, np.floating), f"the array of '{case}' is of {kind}: decide after averaging")
    again = model.predict(cases, run.child("again"))
    same_predictions(found, again, "at first", "when asked again")


def inner(value: object) -> Iterator[Any]:
    """A model and all models in it."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple):
        for one in value:
            yield from inner(one)
    elif hasattr(value, "predict") and hasattr(value, "save"):
        yield value
        for one in vars(value).values():
            yield from inner(one)


def _subset(model: Model, cases: Cases, run: Run) -> None:
    found = model.predict(cases, run.child("whole"))
    some = replace(cases, table=cases.table[::-2])
    own = found.table.filter(pl.col("case_id").is_in(some.ids))
    arrays = {case: path for case, path in found.arrays.items() if case in set(some.ids)}
    fewer = model.predict(some, run.child("some"))
    same_predictions(
        replace(found, table=own, arrays=arrays), fewer, "of all cases", "of some in another order", SINGLE
    )


def _no_cases(model: Model, cases: Cases, run: Run) -> None:
    found = model.predict(replace(cases, table=cases.table.clear()), run)
    require(found.table.is_empty() and not found.arrays, f"no cases have {found.table.height} answers")


def _comes_back(model: Model, cases: Cases, run: Run) -> None:
    first, second = run.folder / "first", run.folder / "second"
    model.save(first)
    loaded = registry.load_model(first)
    before, after = model.predict(cases, run.child("before")), loaded.predict(cases, run.child("after"))
    same_predictions(before, after, "before it is saved", "after it is loaded")
    require(bool(model.holds_training_values) == bool(loaded.holds_training_values), "it forgets what it holds")
    loaded.save(second)
    for name in sorted(names(first) | names(second)):
        own = [(folder / name).read_bytes() if (folder / name).exists() else None for folder in (first, second)]
        require(own[0] == own[1], f"{name} is another file when what was loaded is saved")


def _saves(model: Model, cases: Cases, run: Run) -> None:
    model.save(run.folder / "model")
    only_registered(run.folder / "model", KEPT)


def only_registered(folder: Path, endings: set[str]) -> None:
    """Raises: AssertionError for a file with another ending or with a pickle in it, and for a model.json of a kind that
    is not registered."""
    for name in sorted(names(folder)):
        path = folder / name
        require(path.suffix in endings, f"{name} is no file of a model: {', '.join(sorted(endings))} are")
        with path.open("rb") as file:
            start = file.read(16)
        place, mark = MARKS.get(path.suffix, (0, b""))
        require(start[place:].startswith(mark), f"{name} is no file of this kind")
        if path.name == "model.json":
            kind = registry.read_json(path).get("kind")
            require(kind in registry.LOADERS, f"{name} is of the kind {kind!r}, which is not registered")


def reasons_of(model: Model, cases: Cases, run: Run) -> int:
    """The number of reasons that a model gives for these cases, each of them checked: asked again they are the same,
    their weights are numbers, and the model answers for the whole case and for one without any of its elements."""
    reasoner = explainer(model)
    if not cases.targets or reasoner is None:
        return 0
    items = [of(cases.targets[0]).items[0]] * len(cases)
    reasons, again = (reasoner.attribute(cases, items, run) for _ in range(2))
    for reason, same in zip(reasons, again, strict=True):
        whose, finite_alone = f"the reasons for '{reason.case_id}'", np.isfinite(reason.values).all()
        require(reason.values.size and finite_alone, f"{whose} are no numbers")
        require(same_numbers(reason.values, same.values), f"{whose} are others when asked again")
        case = cases.where(pl.col("case_id") == reason.case_id)
        kept = np.stack([np.ones(reason.values.shape, bool), np.zeros(reason.values.shape, bool)])
        left = np.asarray(reasoner.ablate(case, reason.item, kept, run))
        require(left.shape == (2,) and np.isfinite(left).all(), f"of parts of '{reason.case_id}' it answers {left}")
    return len(reasons)
