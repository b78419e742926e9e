"""Every sentence that a user reads, by key: code names what happened and with which values, `LANGUAGE/ROOM.toml` holds
the words. A message is rendered where it is shown, in the language chosen there, and kept as key and values."""

from __future__ import annotations

import math
import os
import string
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any

HOME = Path(__file__).parent
ENGLISH = "en"

VARIABLE = "MEDEOR_LANGUAGE"
"""The environment variable that names the language; worker processes inherit it."""

Template = str | dict[str, str]
"""Words with named placeholders, `{count:,}` say; or, by the number `count`, the words for `one` and for `other`."""


class Message:
    """A sentence, or a part of one, by its key: `imaging.audit.constant` stands in `imaging.toml`, below `[audit]`.

    Values may be messages themselves, and sequences of anything; a sequence is rendered as a list, `{names:;}` with
    semicolons. A key that no catalogue holds is its own template, so that packages from elsewhere may write their words
    in place."""

    __slots__ = ("key", "values")

    def __init__(self, key: str, /, **values: Any) -> None:
        self.key = key
        self.values = values

    def __str__(self) -> str:
        found = _template(self.key)
        if found is None and not self.values:
            return self.key
        found = self.key if found is None else found
        if isinstance(found, dict):
            found = found["one"] if self.values.get("count") == 1 and "one" in found else found["other"]
        return _FORMATTER.vformat(found, (), self.values)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        return f"Message({self.key!r}, **{self.values!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and (self.key, self.values) == (other.key, other.values)

    def __hash__(self) -> int:
        return hash((self.key, str(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self.key, self.values)

    def to_json(self) -> dict[str, Any]:
        """Key and values; values that JSON does not know become text."""
        return {"key": self.key, "values": {name: _plain(value) for name, value in self.values.items()}}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Message:
        return _made(state["key"], {name: _restored(value) for name, value in state["values"].items()})


Text = str | Message
"""What may be shown: a message, or words of the user's own, such as the name of a column."""


def named(prefix: str, *names: str) -> dict[str, Message]:
    """A message for each name: `PREFIX.NAME`."""
    return {name: Message(f"{prefix}.{name}") for name in names}


def listed(values: Iterable[object], most: int = 12) -> Message | tuple[object, ...]:
    """The first of many values, and how many there are besides."""
    every = tuple(values)
    return every if len(every) <= most else Message("common.more", values=every[:most], count=len(every) - most)


def in_turn(statements: Iterable[Text]) -> Text:
    """Several statements as one, in their order."""
    every = tuple(statements)
    return Message("common.in-turn", statements=every) if len(every) > 1 else (*every, "")[0]


def language() -> str:
    """The language in which messages are rendered: that of `MEDEOR_LANGUAGE` where it has words, or English."""
    wanted = os.environ.get(VARIABLE, ENGLISH)
    return wanted if wanted in languages() else ENGLISH


@cache
def languages() -> tuple[str, ...]:
    """The languages that there are words in."""
    return tuple(sorted(folder.name for folder in HOME.iterdir() if (folder / "common.toml").is_file()))


@cache
def catalogue(spoken: str, room: str) -> Mapping[str, Any]:
    """The templates of one room in one language, in tables below tables; empty where there are none."""
    path = HOME / spoken / f"{room}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def template(key: str, spoken: str) -> Template | None:
    """The words of a key in one language; None where it has none."""
    room, *path = key.split(".")
    if not path or not room.isidentifier():
        return None
    found: Any = catalogue(spoken, room)
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) or is_plural(found) else None


def is_plural(found: object) -> bool:
    """Whether this entry has a form for each number, and is no table of further entries."""
    return isinstance(found, dict) and "other" in found and set(found) <= {"one", "other"}


def _template(key: str) -> Template | None:
    found = template(key, language())
    return template(key, ENGLISH) if found is None else found


class _Formatter(string.Formatter):
    """Placeholders are names and nothing else: no attribute or element of a value can be asked for."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        return kwargs.get(field_name, f"{{{field_name}}}"), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, (list, tuple)):
            separator = str(_template("common.strong-separator" if format_spec == ";" else "common.separator"))
            value, format_spec = separator.join(self.format_field(one, "") for one in value), ""
        return format(value if isinstance(value, Real) else str(value), format_spec)


_FORMATTER = _Formatter()


def _made(key: str, values: Mapping[str, Any]) -> Message:
    message = Message(key)
    message.values = dict(values)
    return message


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) and math.isfinite(value) else str(value)


def _restored(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Message.from_json(value)
    return tuple(map(_restored, value)) if isinstance(value, list) else value
