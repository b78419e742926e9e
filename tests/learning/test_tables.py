"""Columns of a table as numbers, fitted on training rows, and the models that learn from them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from medeor.contracts import Cases, Run, Split, Target, UserError
from medeor.learning.explain import explainer
from medeor.learning.networks.fit import fit_network
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.networks.schedule import Schedule
from medeor.learning.table_network import LinearMethod, TableNetwork, TableRecipe
from medeor.learning.tables import TableFeatures, TableTrees
from medeor.learning.trees.method import Boosting
from medeor.registry import load_model

SICK = Target("sick", "binary", ("no", "yes"))
COLUMNS = {"age": "number", "sex": "category", "town": "category"}
SMALL = TableNetwork(width=8, depth=1, members=2, pieces=4, batch=32)


def simulated(n: int = 300, seed: int = 0) -> Cases:
    """The log-odds of being sick rise with age by 1 a decade and are 1.5 higher in women; towns know nothing."""
    generator = np.random.default_rng(seed)
    age, sex = generator.normal(60, 10, n), generator.choice(["F", "M"], n)
    odds = (age - 60) / 10 + np.where(sex == "F", 0.75, -0.75)
    sick = (generator.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    town = generator.choice(list("abc"), n)
    ids = [f"c{i}" for i in range(n)]
    return Cases(pl.DataFrame({"case_id": ids, "age": age, "sex": sex, "town": town, "sick": sick}), (SICK,))


def half(cases: Cases) -> Split:
    part = ["train", "validation"] * (len(cases) // 2)
    return Split(
        pl.DataFrame({"case_id": cases.ids, "part": part, "fold": pl.Series([0] * len(cases), dtype=pl.Int32)})
    )


def of(**columns: list[object]) -> Cases:
    (height,) = {len(values) for values in columns.values()}
    return Cases(pl.DataFrame({"case_id": [str(i) for i in range(height)], **columns}))


# --- features ------------------------------------------------------------------------------------------------


def test_trees_are_given_numbers_less_their_median_and_places_of_categories() -> None:
    train = of(age=[50, 60, 90, None, 60, 60], sex=["M", "F", "F", "F", "F", "F"])
    features = TableFeatures.of(train, {"sex": "category", "age": "number"})
    assert features.names() == ("age", "sex")
    rows = features.table(of(age=[70.0, None], sex=["f ", "M"]))
    # F is the commonest; M is rarer than five rows and stands behind all levels, as a new one does.
    np.testing.assert_array_equal(rows, np.array([[10, 0], [np.nan, 1]], np.float32))


def test_a_network_is_given_standardised_numbers_their_pieces_and_levels_less_their_training_means() -> None:
    train = of(age=[0.0, 1.0, 2.0, 3.0, None], sex=list("FFFFF"))
    features = TableFeatures.of(train, {"age": "number"}, pieces=3)
    (age,) = features.numbers
    assert age.edges == (0.0, 1.0, 2.0, 3.0)
    inputs = features.inputs(of(age=[1.5, None]))
    deviation = np.std([0, 1, 2, 3])
    pieces = np.array([1.0, 0.5, 0.0]) - np.array([3 / 4, 2 / 4, 1 / 4])
    np.testing.assert_allclose(inputs[0], [0.0, *pieces, -0.2], atol=1e-6)
    np.testing.assert_allclose(inputs[1], [0, 0, 0, 0, 0.8], atol=1e-6)
    assert age.deviation == pytest.approx(deviation)


def test_categories_become_one_number_a_level_and_new_ones_lie_where_nothing_is_known() -> None:
    train = of(sex=["F"] * 6 + ["M"] * 6)
    features = TableFeatures.of(train, {"sex": "category"})
    np.testing.assert_allclose(features.inputs(of(sex=["F", "X"])), [[0.5, -0.5], [0, 0]])
    rare = TableFeatures.of(of(sex=["F"] * 6 + ["M"] * 6 + ["D"] * 3), {"sex": "category"})
    np.testing.assert_allclose(rare.inputs(of(sex=["X"])), [[-0.4, -0.4, 0.8]], rtol=1e-6)


def test_a_column_of_more_levels_than_a_network_tells_apart_keeps_the_commonest() -> None:
    names = [f"{i // 6:03d}x" for i in range(600)]
    features = TableFeatures.of(of(code=names, odd=["a", None] * 300), {"code": "category", "odd": "category"})
    inputs = features.inputs(of(code=["000x", "099x", None], odd=[None, "a", None]))
    assert inputs.shape == (3, 64 + 1 + 2)
    assert inputs[:, :65].argmax(axis=1)[:2].tolist() == [0, 64]
    assert not inputs[2, :65].any()


def test_codes_units_and_days_are_read_as_in_training() -> None:
    train = of(
        lab=[30.0, 41.5, 38.0, 52.0, -999.0], dose=["1 g", "2 g", "3 g", "4 g", "500 mg"], day=["2020-01-01"] * 5
    )
    features = TableFeatures.of(train, {"lab": "number", "dose": "number", "day": "date"})
    rows = features.table(of(lab=["-999", "42"], dose=["1500 mg", "2"], day=["2020-01-11", None]))
    np.testing.assert_allclose(rows, [[np.nan, -0.5, 10], [42 - 39.75, 0, np.nan]], rtol=1e-5)


def test_features_come_back_from_their_json_and_damaged_ones_are_refused() -> None:
    cases = simulated()
    features = TableFeatures.of(cases, COLUMNS, pieces=4)
    values = json.loads(json.dumps(features.to_json()))
    again = TableFeatures.from_json(values)
    np.testing.assert_array_equal(again.inputs(cases), features.inputs(cases))
    with pytest.raises(UserError, match="damaged"):
        TableFeatures.from_json({**values, "means": values["means"][1:]})


def test_a_column_that_is_missing_in_new_cases_is_named() -> None:
    features = TableFeatures.of(simulated(), COLUMNS)
    with pytest.raises(UserError, match="no column 'town'"):
        features.table(of(age=[1], sex=["F"]))


def test_a_table_without_rows_or_known_values_makes_no_error() -> None:
    features = TableFeatures.of(of(age=[None, None], sex=[None, None]), {"age": "number", "sex": "category"}, pieces=8)
    assert features.inputs(of(age=[3.0], sex=["F"])).shape == (1, len(features.means))
    assert TableFeatures.of(simulated(), COLUMNS).table(simulated().where(pl.col("age") < 0)).shape == (0, 3)


# --- models --------------------------------------------------------------------------------------------------


def test_the_linear_model_is_logistic_regression_with_a_ridge(tmp_path: Path) -> None:
    cases = simulated()
    fitted = LinearMethod(COLUMNS).fit(cases, half(cases), {}, Run(tmp_path))
    train, held_out = half(cases).part(cases, "train"), half(cases).part(cases, "validation")
    features = TableFeatures.of(train, COLUMNS)
    reference = LogisticRegression(C=1.0, tol=1e-8).fit(features.inputs(train), train.table["sick"])
    expected = reference.predict_proba(features.inputs(held_out))[:, 1]
    np.testing.assert_allclose(fitted.held_out.table["value"].to_numpy(), expected, atol=2e-3)


def test_trees_and_network_learn_what_is_there_to_learn(tmp_path: Path) -> None:
    cases = simulated(600)
    odds = (cases.table["age"] - 60) / 10 + (cases.table["sex"] == "F").cast(pl.Float64) * 1.5
    held = half(cases).part(cases, "validation").table
    best = roc_auc_score(held["sick"], odds.filter(cases.table["case_id"].is_in(held["case_id"].implode())))
    schedule = Schedule(epochs=12, learning_rate=3e-3)
    for method in (TableTrees(COLUMNS, Boosting(rounds=60)), NetworkMethod(TableRecipe(COLUMNS, SMALL), schedule)):
        fitted = method.fit(cases, half(cases), {}, Run(tmp_path / type(method).__name__))
        assert roc_auc_score(held["sick"], fitted.held_out.table["value"]) > best - 0.06


def test_models_come_back_as_they_were_and_answer_each_case_by_itself(tmp_path: Path) -> None:
    cases = simulated(120)
    run = Run(tmp_path)
    for number, method in enumerate(
        (TableTrees(COLUMNS, Boosting(rounds=5)), NetworkMethod(TableRecipe(COLUMNS, SMALL), Schedule(epochs=1)),
         LinearMethod(COLUMNS))
    ):  # fmt: skip
        model = method.fit(cases, half(cases), {}, run.child(f"m{number}")).model
        model.save(tmp_path / f"saved-{number}")
        values = model.predict(cases, run).table["value"]
        loaded = load_model(tmp_path / f"saved-{number}")
        assert loaded.predict(cases, run).table["value"].equals(values)
        few = loaded.predict(cases.where(pl.col("case_id").is_in(["c3", "c40"])), run).table["value"]
        np.testing.assert_allclose(few, values.gather([3, 40]), atol=1e-6)


def test_reasons_add_up_and_columns_that_are_taken_away_count_as_unknown(tmp_path: Path) -> None:
    cases, run = simulated(120), Run(tmp_path)
    model = LinearMethod(COLUMNS).fit(cases, half(cases), {}, run).model
    reasons = explainer(model)
    assert reasons is not None
    (reason,) = reasons.attribute(cases.where(pl.col("case_id") == "c7"), ["yes"], run)
    assert reason.elements == ("age", "sex", "town")
    kept = np.array([[True, True, True], [False, False, False]])
    whole, nothing = reasons.ablate(cases.where(pl.col("case_id") == "c7"), "yes", kept, run)
    # Integrated gradients from nothing known to all of it are the difference of the log-odds.
    assert reason.values.sum() == pytest.approx(np.log(whole / (1 - whole)) - np.log(nothing / (1 - nothing)), abs=1e-4)
    unknown = cases.where(pl.col("case_id") == "c7").table.with_columns(
        age=pl.lit(None, pl.Float64), sex=pl.lit(None, pl.String), town=pl.lit(None, pl.String)
    )
    assert model.predict(replace(cases, table=unknown), run).table["value"][0] == pytest.approx(nothing, abs=1e-6)


def test_members_of_a_network_share_layers_and_their_mean_counts() -> None:
    cases = simulated(60)
    recipe = TableRecipe(COLUMNS, SMALL)
    processors = recipe.processors(recipe.summaries(cases))
    network = recipe.network(processors).eval()
    inputs = torch.from_numpy(processors.features.inputs(cases))
    outputs = network(inputs)
    assert outputs.shape == (60, 2, 1)
    module, example = recipe.export_module(network, processors)
    assert example.shape[1] == inputs.shape[1]
    torch.testing.assert_close(module(inputs)[:, 0], outputs.sigmoid().mean(1)[:, 0])


def test_ridge_on_a_number_agrees_with_scikit_learn_near_the_middle(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=200)
    cases = Cases(
        pl.DataFrame({"case_id": [str(i) for i in range(200)], "x": x, "y": 2 * x + generator.normal(0, 0.1, 200)}),
        (Target("y", "continuous"),),
    )
    fitted = LinearMethod({"x": "number"}).fit(cases, half(cases), {}, Run(tmp_path))
    train, held = half(cases).part(cases, "train").table, half(cases).part(cases, "validation").table
    reference = Ridge(1.0).fit(train.select("x").to_numpy(), train["y"].to_numpy())
    np.testing.assert_allclose(
        fitted.held_out.table["value"].to_numpy(), reference.predict(held.select("x").to_numpy()), atol=0.06
    )


def test_a_stopped_fit_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    from medeor.contracts import Stopped

    cases, schedule = simulated(100), Schedule(epochs=2, checkpoint=1)
    recipe = TableRecipe(COLUMNS, SMALL)
    processors = recipe.processors(recipe.summaries(cases))

    def fitted(run: Run) -> torch.Tensor:
        torch.manual_seed(0)
        network = recipe.network(processors)
        batches = recipe.batches(cases, processors, 0)
        return fit_network(network, batches, recipe.loss, schedule, run).state_dict()["weights"]

    whole = fitted(Run(tmp_path / "whole"))
    with pytest.raises(Stopped):
        fitted(Run(tmp_path / "again", stopping=iter([False, False, True]).__next__))
    torch.testing.assert_close(fitted(Run(tmp_path / "again")), whole, rtol=0, atol=0)
