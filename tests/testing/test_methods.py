"""The conformance suite on the methods that any table can use, and on their stack."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from medeor.contracts import Cases, Method, Split, Target
from medeor.learning.folds import Folds
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.networks.schedule import Schedule
from medeor.learning.stack import Stack
from medeor.learning.table_network import LinearMethod, TableNetwork, TableRecipe
from medeor.learning.tables import TableTrees
from medeor.learning.trees.method import Boosting
from medeor.testing import check_method, check_recipe

RECIPE = TableRecipe(
    {"age": "number", "town": "category"}, TableNetwork(width=4, depth=1, members=2, pieces=4, batch=8)
)
PARTS: dict[str, Method] = {
    "network": NetworkMethod(RECIPE, Schedule(epochs=2)),
    "trees": TableTrees(RECIPE.columns, Boosting(rounds=5)),
    "linear": LinearMethod(RECIPE.columns),
}
METHODS = {**PARTS, "stack": Stack({name: Folds(part) for name, part in PARTS.items()})}


@pytest.fixture(scope="module")
def studied() -> tuple[Cases, Split]:
    """Forty people, of whom are asked whether they are sick, which of three grades they have, and a number."""
    draw = np.random.default_rng(0)
    ids, row = [f"p{i}" for i in range(40)], np.arange(40)
    age = [None if i % 9 == 0 else value for i, value in enumerate(draw.normal(60, 10, 40))]
    table = pl.DataFrame({"case_id": ids, "group": ids, "age": age, "town": draw.choice(list("abc"), 40)})
    table = table.with_columns(
        sick=pl.Series(row % 2), grade=pl.Series(row % 3), weight=pl.Series(draw.normal(80, 9, 40))
    )
    part = np.where(row < 30, "train", np.where(row < 35, "validation", "test"))
    fold = pl.Series([place % 3 if place < 35 else None for place in row.tolist()], dtype=pl.Int32)
    targets = (
        Target("sick", "binary"), Target("grade", "multiclass", ("mild", "fair", "bad")), Target("weight", "continuous")
    )  # fmt: skip
    return Cases(table, targets), Split(pl.DataFrame({"case_id": ids, "part": part, "fold": fold}))


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_tables_keep_what_all_keep(name: str, studied: tuple[Cases, Split]) -> None:
    for _, check in check_method(METHODS[name], *studied):
        check()


def test_the_recipe_of_tables_keeps_what_all_keep(studied: tuple[Cases, Split]) -> None:
    for _, check in check_recipe(RECIPE, studied[0]):
        check()
