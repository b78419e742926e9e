"""No room asks which kind of target, which task or which modality it serves: it asks the kind, the task or the room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import medeor
from medeor.registry import TASKS
from medeor.targets import KINDS

SOURCE = Path(medeor.__file__).parent
MODALITIES = sorted({facts.lives.split(".")[1] for facts in TASKS.values()})
ROOM_OF = dict.fromkeys(KINDS, "targets") | {name: name for name in MODALITIES}
ROOM_OF |= {facts.name: facts.lives.split(".")[1] for facts in TASKS.values()}
"""By each name the room that may compare with it."""
OWN = {
    "learning/trees": {"binary", "multiclass"},  # objectives of LightGBM
    "knowledge": {"binary"},  # a loss of embeddings
}
"""Where one of these words names something of the room's own."""


def compared(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that code compares with, looks up in a literal, or matches against, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            held: list[ast.expr] = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            held = [node.value]
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.value, ast.Dict):
            held = [key for key in node.value.keys if key]
        else:
            continue
        for one in held:
            parts = one.elts if isinstance(one, ast.Tuple | ast.List | ast.Set) else [one]
            for part in parts:
                if isinstance(part, ast.Constant) and part.value in ROOM_OF:
                    yield node.lineno, str(part.value)


def strangers() -> list[str]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        room = place.split("/")[0]
        text = path.read_text(encoding="utf-8")
        for line, name in compared(ast.parse(text)) if any(name in text for name in ROOM_OF) else ():
            allowed = any(place.startswith(own) and name in names for own, names in OWN.items())
            if ROOM_OF[name] != room and not allowed:
                found.append(f"{place}:{line} compares with '{name}'")
    return found


def test_no_room_compares_with_the_name_of_a_kind_a_task_or_a_modality() -> None:
    assert strangers() == []


@pytest.mark.parametrize(
    "code",
    [
        'target.kind == "binary"',
        '"ordinal" != kind',
        'target.kind in ("multiclass", "ordinal")',
        '{"binary": 1, "continuous": 2}[target.kind]',
        '{"binary": 1}.get(target.kind, 0)',
        'match kind:\n case "survival": pass',
        'study.task == "image-classification"',
    ],
)
def test_a_comparison_is_found_however_it_is_written(code: str) -> None:
    assert list(compared(ast.parse(code)))


def test_facts_are_no_comparisons() -> None:
    code = 'Target("holds", "binary"); KINDS = {"binary": 1}; kind: Literal["", "binary"] = ""; x == "other"'
    assert not list(compared(ast.parse(code)))
