"""Facts are light, and whatever they name is there and can be called as they say."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import medeor
from medeor import registry
from medeor.contracts import SHAPES, FileFacts, Offer

SOURCE = Path(medeor.__file__).parent
FACTS = sorted(path for path in SOURCE.rglob("facts.py") if path.parent.name not in ("contracts", "catalogue"))
NAMES = [".".join(("medeor", *path.relative_to(SOURCE).with_suffix("").parts)) for path in FACTS]


@pytest.mark.parametrize("path", FACTS, ids=NAMES)
def test_facts_import_contracts_alone(path: Path) -> None:
    """Those of readers also each other: a workbook may hold a graph."""
    lines = [line for line in ast.walk(ast.parse(path.read_text())) if isinstance(line, ast.Import | ast.ImportFrom)]
    named = {line.module if isinstance(line, ast.ImportFrom) else line.names[0].name for line in lines}
    readers = {name for name in NAMES if name.startswith("medeor.formats.")}
    assert named <= {"medeor.contracts", *(readers if path.parent.parent.name == "formats" else ())}


def test_all_facts_are_loaded_without_a_numerical_library() -> None:
    heavy = ("numpy", "polars", "torch", "pydantic", "sklearn", "importlib.metadata")
    code = f"import sys, medeor.registry, {', '.join(NAMES)}; print([name for name in {heavy} if name in sys.modules])"
    assert len(NAMES) >= 7
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


TASKS = pytest.mark.parametrize("facts", registry.TASKS.values(), ids=lambda facts: facts.name)


@TASKS
def test_what_a_task_names_is_there(facts: registry.TaskFacts) -> None:
    task = registry.find(facts.lives)
    assert isinstance(task, type)
    members = ("steps", "plan_type", "read", "audit", "clean", "plan", "method", "baseline", "evaluate", "show")
    assert not [name for name in members if not hasattr(task, name)]
    assert set(facts.files) <= set(facts.options)
    inspect.signature(registry.find(facts.example)).bind("folder", "state")
    assert facts.formats
    assert all(isinstance(registry.find(place), FileFacts) for place in facts.formats)


OFFERS = [offer for facts in registry.TASKS.values() for offer in facts.offers]


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)
def test_an_offer_is_called_as_its_kind_says(offer: Offer) -> None:
    """By place, with one argument for each name of the kind, and with no fewer and no more."""
    signature = inspect.signature(registry.find(offer.lives))
    signature.bind(*SHAPES[offer.kind])
    assert len(signature.parameters) == len(SHAPES[offer.kind])
    assert bool(offer.endings) == (offer.kind in ("file", "table"))
    assert offer.takes or offer.kind != "question"


def test_offers_of_one_task_have_names_of_their_own() -> None:
    for facts in registry.TASKS.values():
        assert len({offer.name for offer in facts.offers}) == len(facts.offers)


@pytest.mark.parametrize("kind", registry.LOADERS)
def test_a_saved_part_has_what_rebuilds_it(kind: str) -> None:
    """A function of a folder for a model; for a part a class with `from_json`, of which the instances name the kind."""
    place = registry.find(registry.LOADERS[kind])
    if isinstance(place, type):
        assert callable(place.from_json)  # type: ignore[attr-defined]
        assert place.kind == kind  # type: ignore[attr-defined]
    else:
        inspect.signature(place).bind("folder")
