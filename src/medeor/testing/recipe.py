"""What every recipe of a network keeps."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from medeor import registry
from medeor.contracts import Cases, Recipe
from medeor.testing.checks import Check, named, require
from medeor.testing.sameness import numbers, same_numbers

SHARDS = 2


def check_recipe(recipe: Recipe[Any, Any, Any], cases: Cases) -> Iterator[Check]:
    """Checks of a recipe on cases to train on:

    - `recipe-comes-back`: it is rebuilt from its JSON, and its processors from theirs.
    - `summaries`: where they can be added up, those of two halves of the cases give the processors of all cases.
    - `batches`: batch k of an epoch follows from (seed, epoch, k), whatever was drawn before it.
    - `loss`: sum and weight of a batch are those of its shards added up."""
    yield from named(type(recipe).__name__, recipe_checks(lambda: [(recipe, cases)]))


def recipe_checks(found: Callable[[], list[tuple[Recipe[Any, Any, Any], Cases]]]) -> dict[str, Callable[[], None]]:
    """The same of several recipes, which are found when the first check asks for them."""

    def on(check: Callable[[Recipe[Any, Any, Any], Cases], None]) -> Callable[[], None]:
        def run() -> None:
            for recipe, cases in found():
                check(recipe, cases)

        return run

    return {
        "recipe-comes-back": on(_comes_back),
        "summaries": on(_summaries),
        "batches": on(_batches),
        "loss": on(_loss),
    }


def _comes_back(recipe: Recipe[Any, Any, Any], cases: Cases) -> None:
    values = json.loads(json.dumps({"kind": recipe.kind, **recipe.to_json()}))
    rebuilt = registry.rebuilt(values, "network", Path("model.json"))
    require(rebuilt == recipe, f"{recipe} is {rebuilt} when it is read from its JSON")
    fitted = json.loads(json.dumps(recipe.processors(recipe.summaries(cases)).to_json()))
    restored = recipe.restore(fitted).to_json()
    require(json.loads(json.dumps(restored)) == fitted, "its processors are others when they are read from their JSON")


def _summaries(recipe: Recipe[Any, Any, Any], cases: Cases) -> None:
    if not recipe.joinable:
        return
    half = np.arange(len(cases)) % 2 == 0
    parts = [recipe.summaries(cases.where(pl.Series(chosen))) for chosen in (half, ~half)]
    whole, joined = (recipe.processors(one).to_json() for one in (recipe.summaries(cases), parts[0] + parts[1]))
    require(_close(whole, joined), f"the processors of two halves joined are {joined}, and those of the whole {whole}")


def _close(one: Any, other: Any) -> bool:
    """Whether two values of JSON are equal, numbers up to rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(value, other[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6)
    return bool(one == other)


def _batches(recipe: Recipe[Any, Any, Any], cases: Cases) -> None:
    processors = recipe.processors(recipe.summaries(cases))
    _stir(1)
    batches = recipe.batches(cases, processors, 7)
    count = len(batches)
    require(count > 0, "there is no batch to train on")
    places = [(epoch, index) for epoch in range(2) for index in range(count)]
    drawn = {place: list(numbers(batches.batch(*place))) for place in places}
    require(any(drawn.values()), "its batches hold no numbers")
    _stir(2)
    anew = recipe.batches(cases, processors, 7)
    for epoch, index in reversed(places):
        same = same_numbers(drawn[epoch, index], anew.batch(epoch, index))
        require(same, f"batch {index} of epoch {epoch} is another one when others were drawn before it")


def _loss(recipe: Recipe[Any, Any, Any], cases: Cases) -> None:
    processors = recipe.processors(recipe.summaries(cases))
    torch.manual_seed(0)
    network = recipe.network(processors).eval()
    batch = recipe.batches(cases, processors, 7).batch(0, 0)
    with torch.no_grad():
        whole = _loss_of(recipe, network, batch)
        shards = [_loss_of(recipe, network, batch.shard(rank, SHARDS)) for rank in range(SHARDS)]
    require(whole[1] > 0, f"the weight of a batch is {whole[1]:g}")
    for name, one, parts in zip(("sum", "weight"), whole, zip(*shards, strict=True), strict=True):
        added = sum(parts)
        close = abs(added - one) <= 1e-4 * max(abs(one), 1e-3)
        require(close, f"the {name} of a batch is {one:g}, and that of its {SHARDS} shards {added:g}")


def _loss_of(recipe: Recipe[Any, Any, Any], network: torch.nn.Module, batch: Any) -> tuple[float, float]:
    total, weight = recipe.loss(network(batch.inputs), batch)
    return float(total), float(weight)


def _stir(seed: int) -> None:
    """Puts every global stream of random numbers elsewhere."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
