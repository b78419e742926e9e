"""Reads the source of medeor for what users see: calls that take words, and the keys and values that they are given."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import medeor

SOURCE = Path(medeor.__file__).parent

SHOWN = {
    "UserError", "BrokenImage", "Finding", "found", "say", "aside", "Section", "Report", "Headline", "Lines",
    "Intervals", "Matrix", "Table", "Picture", "Gallery", "Drawing", "Offer", "TaskFacts", "Statistic", "Option",
    "Argument", "Message", "shortcut",
}  # fmt: skip
"""Calls whose words a user reads."""

_KEYED = {"Message": 0, "UserError": 0, "named": 0, "BrokenImage": 1}
"""Calls that take the key of a message, and the place of that argument."""

WORDS = re.compile(r"[A-Za-z]{2,}[,;:]? +[A-Za-z({]|\} [A-Za-z]|[A-Za-z][,;:]? \{")
"""What makes a text a sentence, or a part of one, and no name."""


class Call(NamedTuple):
    """A message as the code makes it."""

    where: str
    key: str
    values: frozenset[str] | None
    """The names of its values; None where they are not written out."""


@cache
def trees() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(SOURCE.rglob("*.py"))]


def plain() -> list[str]:
    """Where a call of `SHOWN` is given a sentence in place of a message."""
    return [
        f"{path.relative_to(SOURCE)}:{inner.lineno}: {_text(inner)}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _name(node.func) in SHOWN
        for argument in (*node.args, *(keyword.value for keyword in node.keywords))
        for inner in _texts(argument)
        if WORDS.search(_text(inner))
    ]


def messages() -> Iterator[Call]:
    """Every `Message(…)`, `UserError(…)` and `BrokenImage(path, …)` with its key written out, and every `named(…)`."""
    for path, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or _name(node.func) not in _KEYED:
                continue
            place = _KEYED[_name(node.func)]
            if len(node.args) <= place:
                continue
            where = f"{path.relative_to(SOURCE)}:{node.lineno}"
            if _name(node.func) == "named":
                words = [one.value for one in node.args if isinstance(one, ast.Constant)]
                yield from (Call(where, f"{words[0]}.{word}", frozenset()) for word in words[1:])
                continue
            given = {keyword.arg for keyword in node.keywords}
            values = None if None in given else frozenset(name for name in given if name)
            yield from (Call(where, key, values) for key in _keys(node.args[place]))


def _keys(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return [*_keys(node.body), *_keys(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _texts(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node
    elif not isinstance(node, ast.Call):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from _texts(child)


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


if __name__ == "__main__":
    print(*plain(), sep="\n")
