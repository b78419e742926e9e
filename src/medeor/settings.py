"""Dataclasses from what a person wrote, in a file or after `--set`: every key, type and bound is checked."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from medeor.contracts import Message, Text, UserError

if TYPE_CHECKING:
    import pydantic

T = TypeVar("T")


def build(kind: type[T], values: Mapping[str, object], where: Text) -> T:
    """A dataclass from its values by name.

    Raises: UserError naming the first wrong key, its value and what was expected."""
    import pydantic

    if not isinstance(values, Mapping):
        raise UserError("files.settings.no-table", where=where, found=str(values)[:40])
    _leaves(kind, values, where)
    try:
        made: T = _adapter(kind).validate_python(dict(values))
        return made
    except pydantic.ValidationError as error:
        raise _refused(error, where) from None


def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    """Made once for each dataclass: a stack of five folds has some of them ten times."""
    import pydantic

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = pydantic.TypeAdapter(kind)
    return _ADAPTERS[kind]


_ADAPTERS: dict[Any, pydantic.TypeAdapter[Any]] = {}


def with_settings(value: T, settings: Mapping[str, str], where: Text) -> T:
    """A copy of a dataclass with some values replaced by what a user typed: `epochs=20`, `network.widths=[16, 32]`.
    A value is read as TOML where it can be and as plain text otherwise.

    Raises: UserError as `build`."""
    return build(type(value), _merged(dataclasses.asdict(value), _nested(settings)), where)  # type: ignore[call-overload]


def check_settings(kind: type, settings: Mapping[str, str], where: Text) -> None:
    """Finds out, before there is a value to set them in, whether these are settings and each may be so set.

    Raises: UserError as `build`."""
    import pydantic

    for key, hint, value in _leaves(kind, _nested(settings), where):
        try:
            pydantic.TypeAdapter(hint).validate_python(value)
        except pydantic.ValidationError as error:
            raise _refused(error, where, key) from None


def _refused(error: pydantic.ValidationError, where: Text, above: str = "") -> UserError:
    first = error.errors()[0]
    key = ".".join([above] * bool(above) + [str(part) for part in first["loc"]])
    found = "" if first["type"] == "missing" else Message("files.settings.found", value=repr(first["input"])[:80])
    return UserError("files.settings.wrong", where=where, key=key, reason=first["msg"].lower(), found=found)


def _leaves(kind: type, values: Mapping[str, object], where: Text, above: str = "") -> list[tuple[str, Any, object]]:
    """Full name, type and value of all that is not itself a dataclass. A key that the dataclass, or one within it, does
    not have is refused: a misspelt one must not pass in silence."""
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind)]
    found: list[tuple[str, Any, object]] = []
    for key, inner in values.items():
        if key not in names:
            raise UserError("files.settings.unknown", where=where, key=f"{above}{key}", names=sorted(names))
        if isinstance(inner, Mapping) and dataclasses.is_dataclass(hints[key]):
            found += _leaves(hints[key], inner, where, f"{above}{key}.")
        else:
            found.append((f"{above}{key}", hints[key], inner))
    return found


def flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The full name and the value of all in nested tables that is no table itself."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _nested(settings: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, text in settings.items():
        *path, last = key.split(".")
        inner = values
        for part in path:
            if not isinstance(inner.get(part), dict):
                inner[part] = {}
            inner = inner[part]
        try:
            inner[last] = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            inner[last] = text
    return values


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    def both(key: str, change: Any) -> Any:
        within = isinstance(change, dict) and isinstance(values.get(key), dict)
        return _merged(values[key], change) if within else change

    return {**values, **{key: both(key, change) for key, change in changes.items()}}
