"""The suite itself: it passes a task that keeps all, and for each check it names one that does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from medeor import registry
from medeor.contracts import Cases, Run, Sources, Split
from medeor.statistics.split import split_cases
from medeor.testing import check_method, check_model, check_recipe, check_task
from testing import toy

CHECKS = [name for name, _ in check_task(toy.FACTS) if not name.startswith("baseline/")]


@pytest.fixture(autouse=True)
def enrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, place in toy.LOADERS.items():
        monkeypatch.setitem(registry.LOADERS, kind, place)


def checks(facts: registry.TaskFacts = toy.FACTS) -> dict[str, Callable[[], None]]:
    return dict(check_task(facts))


def test_a_task_that_keeps_all_passes_every_check() -> None:
    for check in checks().values():
        check()


@pytest.mark.parametrize("fault", CHECKS)
def test_a_task_with_a_fault_is_named_with_the_check(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "FAULT", fault)
    facts = replace(toy.FACTS, formats=("testing.toy:nowhere",)) if fault == "facts" else toy.FACTS
    with pytest.raises(AssertionError, match=re.escape(f"toy fails the check '{fault}': ")):
        checks(facts)[fault]()


@pytest.fixture
def studied(tmp_path: Path) -> tuple[Cases, Split]:
    study = toy.example(tmp_path, "whole")
    cases = toy.ToyTask().read(Sources(study.sources, {}), study)
    return cases, split_cases(cases, study)


METHOD = toy.ToyMethod(toy.Schedule(epochs=2))


@pytest.mark.parametrize("fault", ["", "held-out", "resume", "missing-targets", "one-class", "subset"])
def test_a_method_with_a_fault_is_named_with_the_check(
    fault: str, studied: tuple[Cases, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy, "FAULT", fault)
    found = dict(check_method(METHOD, *studied))
    for check in found.values() if not fault else ():
        check()
    if fault:
        with pytest.raises(AssertionError, match=f"ToyMethod fails the check '{fault}': "):
            found[fault]()


def test_models_and_recipes_are_checked_by_themselves(
    studied: tuple[Cases, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, split = studied
    model = METHOD.fit(cases, split, {}, Run(tmp_path)).model
    for _, check in (*check_model(model, cases), *check_recipe(toy.ToyRecipe(), cases)):
        check()
    monkeypatch.setattr(toy, "FAULT", "answers")
    with pytest.raises(AssertionError, match=r"ToyModel fails the check 'answers': .* no numbers"):
        dict(check_model(model, cases))["answers"]()
    monkeypatch.setattr(toy, "FAULT", "loss")
    with pytest.raises(AssertionError, match="ToyRecipe fails the check 'loss': the sum of a batch"):
        dict(check_recipe(toy.ToyRecipe(), cases))["loss"]()


def test_arrays_that_a_model_loses_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "FAULT", "arrays")
    with pytest.raises(AssertionError, match="toy fails the check 'answers': it loses the arrays of a "):
        checks()["answers"]()


def test_an_array_of_decisions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "FAULT", "decided")
    with pytest.raises(AssertionError, match="an array of predictions holds values that can be averaged, not bool"):
        checks()["answers"]()


def test_a_task_without_an_example_is_named() -> None:
    with pytest.raises(AssertionError, match="toy fails the check 'walk': its facts name no example"):
        checks(replace(toy.FACTS, example=""))["walk"]()
