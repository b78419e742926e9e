"""Whether two things that must be the same are: predictions, batches, files of a run."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from medeor.contracts import Predictions
from medeor.files import read_toml
from medeor.testing.checks import require

DATED = ("run.json", "report.html", "card.md", "manifest.json")
"""Files that say when a run was made and how long it took: they must be there, and may differ."""


def same_predictions(ours: Predictions, theirs: Predictions, first: str, second: str, most: float = 0.0) -> None:
    """Raises: AssertionError naming the first value or array that differs between the first and the second, numbers by
    more than this share."""
    one, other = (p.table.sort("case_id", "item", maintain_order=True) for p in (ours, theirs))
    require(one.columns == other.columns, f"columns {one.columns} {first} and {other.columns} {second}")
    require(one.height == other.height, f"{one.height} rows {first} and {other.height} {second}")
    for column in one.columns:
        differs = one[column].ne_missing(other[column])
        if one.schema[column].is_float():
            close = np.isclose(
                one[column].to_numpy(), other[column].to_numpy(), rtol=most, atol=most / 1000, equal_nan=True
            )
            differs &= ~pl.Series(close)
        if differs.any():
            row = int(differs.arg_max() or 0)
            case = " ".join(map(str, one.select("case_id", "item").row(row)))
            what = "" if column == "value" else f"{column} of "
            raise AssertionError(f"{what}'{case}' is {one[column][row]} {first} and {other[column][row]} {second}")
    require(
        set(ours.arrays) == set(theirs.arrays), f"{len(ours.arrays)} arrays {first} and {len(theirs.arrays)} {second}"
    )
    for case, path in ours.arrays.items():
        own, its = (np.load(place, allow_pickle=False) for place in (path, theirs.arrays[case]))
        close = own.shape == its.shape and np.allclose(own, its, rtol=most, atol=most / 1000, equal_nan=True)
        require(close, f"the array of '{case}' is another {second} than {first}")


def same_files(ours: Path, theirs: Path, first: str, second: str) -> None:
    """Compares all that two run folders hold, but the times that they name.

    Raises: AssertionError naming the first file that is another, or in one of them alone."""
    one, other = dict(_contents(ours)), dict(_contents(theirs))
    for name in sorted(set(one) ^ set(other)):
        raise AssertionError(f"{name} is there {first if name in one else second} alone")
    for name, content in one.items():
        require(content == other[name], f"{name} has other bits {second} than {first}")


def names(folder: Path) -> set[str]:
    """The files below a folder, without those that are still being written and what the cache keeps."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {
        name.as_posix() for name in found if not any(part.startswith(".") or part == "cache" for part in name.parts)
    }


def _contents(folder: Path) -> Iterator[tuple[str, object]]:
    for name in sorted(names(folder)):
        path = folder / name
        if path.suffix == ".medeor":
            with zipfile.ZipFile(path) as bundle:
                for entry in bundle.namelist():
                    dated = entry in DATED or entry == "plan.toml"
                    yield f"{name}/{entry}", None if dated else bundle.read(entry)
        elif path.name == "plan.toml":
            # What was measured when planning is another time in each run.
            yield name, {key: value for key, value in read_toml(path).items() if key != "estimate"}
        else:
            yield name, None if path.name in DATED else path.read_bytes()


def numbers(value: Any) -> Iterator[np.ndarray]:
    """All tensors, arrays and numbers in a value, such as a batch, in their order."""
    if isinstance(value, torch.Tensor):
        yield value.detach().cpu().numpy()
    elif isinstance(value, np.ndarray | int | float):
        yield np.asarray(value)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from numbers(getattr(value, field.name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from numbers(inner)


def same_numbers(ours: Any, theirs: Any) -> bool:
    one, other = list(numbers(ours)), list(numbers(theirs))
    return len(one) == len(other) and all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other))


def finite(predictions: Predictions) -> None:
    """Raises: AssertionError where a value is none."""
    wrong = predictions.table.filter(~pl.col("value").is_finite().fill_null(False))
    require(wrong.is_empty(), f"{wrong.height} predictions are no numbers, of '{wrong['case_id'].head(1).to_list()}'")
