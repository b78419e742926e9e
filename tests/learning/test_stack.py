"""Stacks: weights against a grid, honest held-out predictions, and saving."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from medeor import registry
from medeor.contracts import Cases, Fitted, Inputs, Predictions, Run, Split, Target
from medeor.learning.stack import Stack, best_weights, blend, loss, weights_table
from medeor.learning.trees.method import Boosting, TreeMethod

NUMBER = Target("y", "continuous")
SICK = Target("sick", "binary")
STAGE = Target("stage", "multiclass", ("one", "two", "three"))


def shares(rng: np.random.Generator, truth: np.ndarray, right: float) -> np.ndarray:
    """Probabilities of three classes that lean towards the truth."""
    raw = rng.dirichlet((1, 1, 1), len(truth)) * (1 - right)
    raw[np.arange(len(truth)), truth] += right
    return raw


def test_weights_of_numbers_are_those_of_a_grid_search() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    values = np.stack([truth + rng.normal(size=len(truth)) * noise for noise in (1.0, 0.6)])[..., None]
    grid = np.linspace(0, 1, 1001)
    best = grid[np.argmin([loss(values, np.array([w, 1 - w]), truth, NUMBER) for w in grid])]
    weights = best_weights(values, truth, NUMBER)
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    assert weights[0] == pytest.approx(best, abs=0.02)


@pytest.mark.parametrize("target", [SICK, STAGE], ids=lambda target: target.kind)
def test_weights_of_classes_are_those_of_a_grid_search(target: Target) -> None:
    rng = np.random.default_rng(1)
    n = 20_000
    truth = rng.integers(0, 2 if target is SICK else 3, n)
    if target is SICK:
        values = np.stack([expit(rng.normal(truth * 2 - 1, noise)) for noise in (2.0, 3.0)])[..., None]
    else:
        values = np.stack([shares(rng, truth, right) for right in (0.02, 0.05)])
    grid = np.linspace(0, 2, 41)
    each = [(loss(values, np.array([one, other]), truth, target), one, other) for one in grid for other in grid]
    _, *best = min(each)
    assert best_weights(values, truth, target) == pytest.approx(best, abs=0.06)


def test_two_witnesses_who_err_apart_are_believed_by_the_sum_of_their_log_odds() -> None:
    """Bayes: of two signals N(±1, s²), each with its own calibrated probability and even odds before, the log-odds
    add up."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 100_000)
    values = np.stack([expit(2 * rng.normal(truth * 2 - 1, s) / s**2) for s in (1.5, 2.5)])[..., None]
    assert best_weights(values, truth, SICK) == pytest.approx([1, 1], abs=0.05)
    odds = np.prod(values[:, :5, 0] / (1 - values[:, :5, 0]), axis=0)
    assert blend(values[:, :5], np.ones(2), SICK)[:, 0] == pytest.approx(odds / (1 + odds))


def test_classes_are_blended_by_their_log_probabilities() -> None:
    values = np.array([[[0.5, 0.3, 0.2]], [[0.2, 0.6, 0.2]]])
    product = values[0, 0] ** 0.5 * values[1, 0] ** 1.5
    assert blend(values, np.array([0.5, 1.5]), STAGE)[0] == pytest.approx(product / product.sum())


def test_weights_of_uncorrelated_errors_go_by_their_precision() -> None:
    """The least variance of a weighted mean: weights as 1 / variance."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=100_000)
    values = np.stack([truth + rng.normal(size=len(truth)) * noise for noise in (1.0, 2.0)])[..., None]
    assert best_weights(values, truth, NUMBER) == pytest.approx([0.8, 0.2], abs=0.01)


def test_few_cases_hardly_move_equal_weights() -> None:
    truth = np.array([0.0, 1.0, 2.0])
    values = np.stack([truth, truth + 5])[..., None]
    few, many = (best_weights(np.tile(values, (1, n, 1)), np.tile(truth, n), NUMBER)[0] for n in (1, 1000))
    assert 0.5 < few < many
    assert many > 0.95


@dataclass(frozen=True)
class Columns:
    """Columns of the case table as features."""

    columns: tuple[str, ...]
    kind: str = "columns"

    def to_json(self) -> dict[str, object]:
        return {"columns": list(self.columns)}

    @classmethod
    def from_json(cls, values: dict[str, list[str]]) -> Columns:
        return cls(tuple(values["columns"]))

    def table(self, cases: Cases) -> np.ndarray:
        return cases.table.select(self.columns).to_numpy().astype(np.float32)

    def names(self) -> tuple[str, ...]:
        return self.columns


@dataclass(frozen=True)
class OutOfFold:
    """Trees fitted on every fold, the last of which is kept."""

    method: TreeMethod

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        fitted = [
            self.method.fit(cases, split.fold(number), {}, run.child(str(number))) for number in range(split.folds)
        ]
        return Fitted(fitted[-1].model, Predictions(pl.concat([one.held_out.table for one in fitted])))


def made(target: Target, n: int = 300) -> tuple[Cases, Split, Stack]:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, n))
    y = 10 ** (a + b) if target.scale == "log" else a + b
    answer = (y > 0).astype(int) if target.kind == "binary" else y
    ids = [f"c{i}" for i in range(n)]
    table = pl.DataFrame({"case_id": ids, "group": ids, "a": a, "b": b, target.name: answer})
    fold = pl.Series(np.arange(n) % 3, dtype=pl.Int32)
    split = Split(pl.DataFrame({"case_id": ids, "part": ["train"] * n, "fold": fold}))
    parts = {name: OutOfFold(TreeMethod(Columns((name,)), Boosting(rounds=40))) for name in ("a", "b")}
    return Cases(table, (target,)), split, Stack(parts)


@pytest.mark.parametrize("target", [NUMBER, SICK, replace(NUMBER, scale="log")], ids=["number", "class", "skewed"])
def test_a_stack_is_better_than_its_parts_and_comes_back(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.LOADERS, "columns", f"{__name__}:Columns")
    cases, split, stack = made(target)
    run = Run(tmp_path / "fit")
    fitted = stack.fit(cases, split, {}, run)
    assert fitted.held_out.table["case_id"].sort().to_list() == sorted(cases.ids)
    losses = {one.part: one.loss for one in fitted.model.earned}
    assert losses["together"] < 0.95 * min(losses["a"], losses["b"])
    held = cases.table.join(fitted.held_out.table, on="case_id", maintain_order="left")
    values, truth = held["value"].to_numpy().reshape(1, -1, 1), held[target.name].to_numpy()
    assert losses["together"] == pytest.approx(loss(values, np.ones(1), truth, target))
    fitted.model.save(tmp_path / "kept")
    again = registry.load_model(tmp_path / "kept")
    said, repeated = (model.predict(cases, run).table for model in (fitted.model, again))
    assert said.equals(repeated)
    assert [row[0] for row in weights_table(again).rows] == [target.name]  # type: ignore[union-attr]


def test_cases_without_an_answer_are_held_out_and_not_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.LOADERS, "columns", f"{__name__}:Columns")
    cases, split, stack = made(SICK)
    gaps = pl.when(pl.int_range(pl.len()) % 4 > 0).then("sick").alias("sick")
    fitted = stack.fit(replace(cases, table=cases.table.with_columns(gaps)), split, {}, Run(tmp_path))
    assert fitted.held_out.table["case_id"].to_list() == cases.ids
    known = np.arange(len(cases)) % 4 > 0
    said, truth = fitted.held_out.table["value"].to_numpy()[known], cases.table["sick"].to_numpy()[known]
    together = next(one.loss for one in fitted.model.earned if one.part == "together")
    assert together == pytest.approx(-np.log(np.where(truth == 1, said, 1 - said)).mean())


def test_the_weights_of_a_fold_do_not_know_its_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.LOADERS, "columns", f"{__name__}:Columns")
    cases, split, stack = made(NUMBER, 60)
    before = stack.fit(cases, split, {}, Run(tmp_path / "a")).held_out.table
    # Parts are read back from the first fit, so only the weights can hear of the new truth.
    changed = pl.when(pl.col("case_id").is_in(split.table.filter(pl.col("fold") == 1)["case_id"].implode()))
    other = replace(cases, table=cases.table.with_columns(changed.then(-pl.col("y")).otherwise("y").alias("y")))
    after = stack.fit(other, split, {}, Run(tmp_path / "a")).held_out.table
    both = before.join(after, on="case_id").join(split.table, on="case_id")
    same = both.filter(pl.col("fold") == 1)
    assert same["value"].to_list() == pytest.approx(same["value_right"].to_list())
    assert not np.allclose(both["value"], both["value_right"])


def test_a_limit_is_no_truth_to_weigh_parts_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.LOADERS, "columns", f"{__name__}:Columns")
    cases, split, stack = made(NUMBER, 90)
    limited = np.arange(90) % 3 == 1
    y = np.where(limited, 1e6, cases.table["y"].to_numpy())
    table = cases.table.with_columns(y=pl.Series(y), **{"y.limit": pl.Series(limited.astype(np.int8))})
    unknown = cases.table.with_columns(y=pl.Series(y).set(pl.Series(limited), None))
    # Parts are read back from the first fit, so only the weights can hear of the limits.
    first = stack.fit(replace(cases, table=unknown), split, {}, Run(tmp_path)).model
    second = stack.fit(replace(cases, table=table), split, {}, Run(tmp_path)).model
    assert first.weights["y"] == pytest.approx(second.weights["y"])
    assert first.earned[-1].loss == pytest.approx(second.earned[-1].loss)
