"""The conformance suite on every registered task, and on the small ones of the road. One test a task: its checks share
what was walked and fitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from medeor import registry
from medeor.contracts import TaskFacts
from medeor.testing import check_task
from road import effect, links, patches, search

TOYS = (effect, links, patches, search)
ELSEWHERE = {"molecule-adapted"}
"""Kinds that no example has: see `molecules/model/test_adapt.py`."""


@pytest.fixture(autouse=True)
def enrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.TASKS, search.GOAL.name, search.GOAL)
    for toy in TOYS:
        for kind, place in toy.LOADERS.items():
            monkeypatch.setitem(registry.LOADERS, kind, place)


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The kinds of models and parts that were loaded."""
    kinds: set[str] = set()
    known = registry._known_kind

    def noting(facts: Any, where: Any) -> Any:
        kinds.add(facts["kind"])
        return known(facts, where)

    monkeypatch.setattr(registry, "_known_kind", noting)
    return kinds


def failures(facts: TaskFacts) -> Iterator[str]:
    for _, check in check_task(facts):
        try:
            check()
        except AssertionError as error:
            yield str(error)


@pytest.mark.parametrize("facts", registry.TASKS.values(), ids=lambda facts: facts.name)
def test_a_task_its_methods_models_and_recipes_keep_what_all_keep(facts: TaskFacts, met: set[str]) -> None:
    assert list(failures(facts)) == []
    room = facts.lives.rpartition(".")[0]
    assert {kind for kind, place in registry.LOADERS.items() if place.startswith(room)} <= met | ELSEWHERE


@pytest.mark.parametrize("facts", [*(toy.FACTS for toy in TOYS), search.GOAL], ids=lambda facts: facts.name)
def test_small_tasks_keep_it_too(facts: TaskFacts) -> None:
    assert list(failures(facts)) == []
