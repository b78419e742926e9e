"""What a model is read back from: the facts in its `model.json`, and its arrays. Anybody may have written them, so each
is checked before it is used, and each size before memory is taken for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from medeor.contracts import Model, Target, UserError
from medeor.files import read_json, replacing, unreadable, write_json
from medeor.settings import build
from medeor.targets import of

T = TypeVar("T")


def facts_of(folder: Path, kind: type[T]) -> T:
    """What the `model.json` of a folder states besides its `kind`, as a dataclass with every value checked.

    Raises: UserError naming the first wrong key."""
    path = folder / "model.json"
    values = read_json(path)
    if not isinstance(values, dict):
        raise UserError("files.damaged.file", path=path)
    return build(kind, {key: value for key, value in values.items() if key != "kind"}, str(path))


class AsJson:
    """A dataclass that the `model.json` of a model keeps: all of its fields but `kind`, which says what it is."""

    @classmethod
    def from_json(cls: type[T], values: Mapping[str, object]) -> T:
        return build(cls, values, "model.json")

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "kind"}  # type: ignore[call-overload]


def checked_targets(targets: Sequence[Target], where: str) -> tuple[Target, ...]:
    """Targets whose classes go with their kind.

    Raises: UserError where they do not."""
    names = [target.name for target in targets]
    for target in targets:
        if not of(target).sound or names.count(target.name) > 1:
            raise UserError("files.damaged.at", path=where, detail=target.name)
    return tuple(targets)


def save_model(
    folder: Path, kind: str, facts: Mapping[str, object], arrays: Mapping[str, np.ndarray] | None = None, file: str = ""
) -> None:
    """Writes a model that `registry.load_model` reads back: `facts` as its `model.json`, and its arrays, where it has
    some, to `file` in the same folder."""
    if arrays is not None:
        with replacing(folder / file) as new:
            save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, new)
    write_json(folder / "model.json", {"kind": kind, **facts})


def save_part(model: Model, folder: Path) -> None:
    """Saves a model that is a part of another, unless it lies there already, as after the fit of a fold."""
    if not (folder / "model.json").exists():
        model.save(folder)


class Shape(NamedTuple):
    """What an array must be like."""

    type: str
    """As safetensors writes it: `F32`, `U8`, `I32`."""
    sides: tuple[int | None, ...]
    """None: any length."""

    def fits(self, asked: Shape) -> bool:
        """Whether an array of this shape is what is asked for."""
        alike = all(side in (None, own) for side, own in zip(asked.sides, self.sides))
        return self.type == asked.type and len(self.sides) == len(asked.sides) and alike


def arrays_of(path: Path, expected: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    """The arrays of a file.

    Raises: UserError unless they are those expected, and every number in them is finite or, where it is missing, NaN.
    """
    check_arrays(path, expected)
    with safe_open(path, "np") as file:
        arrays: dict[str, np.ndarray] = {name: file.get_tensor(name) for name in expected}
    for name, array in arrays.items():
        if np.isinf(array).any():
            raise UserError("files.damaged.at", path=path, detail=name)
    return arrays


def check_arrays(path: Path, expected: Mapping[str, Shape]) -> None:
    """Compares what a file of arrays says of itself with what is expected, before any array is read.

    Raises: UserError for the first difference."""
    try:
        with safe_open(path, "np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {name: Shape(one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}
    except FileNotFoundError:
        raise UserError("files.read.missing", path=path) from None
    except (SafetensorError, OSError, OverflowError, ValueError) as error:
        raise unreadable(path, "safetensors", error) from None
    for name in [*expected, *found]:
        if name not in found or name not in expected or not found[name].fits(expected[name]):
            raise UserError("learning.saved.another-model", path=path, name=name[:60])


def check_places(places: Any, end: int, where: str) -> None:
    """Raises: UserError unless all of these whole numbers, an array or a tensor, point to one of `end` things."""
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < end:
        raise UserError("files.damaged.file", path=where)
