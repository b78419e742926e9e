"""Trees as arrays: what they answer is what LightGBM answers, and what is no tree is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from math import factorial
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from learning.test_stack import Columns
from medeor import registry
from medeor.contracts import Cases, Run, Split, Target, UserError
from medeor.learning.trees.boosters import Booster
from medeor.learning.trees.lightgbm_text import parsed
from medeor.learning.trees.method import Boosting, TreeMethod

OLD = Path(__file__).parent / "trees_of_0_1"
"""Trees that medeor 0.1 saved, and what it answered with them."""
BAGGED = {"bagging_fraction": 0.5, "bagging_freq": 1, "feature_fraction": 0.5}
EDGES = np.array([np.nan, 0.0, -0.0, np.inf, -np.inf, 1e-35, -1e-35, 1e-38, 1.0, -1.0, 3e38, 0.1])


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.LOADERS, "columns", "learning.test_stack:Columns")


def fitted(
    seed: int, objective: str, *, n: int = 60, features: int = 4, leaves: int = 6, rounds: int = 4, **more: object
) -> tuple[lightgbm.Booster, np.ndarray]:
    """A booster of LightGBM and rows to ask it about, with every number that is easily mistaken."""
    rng = np.random.default_rng(seed)
    kind = np.float32 if seed % 2 else np.float64
    rows = np.round(rng.normal(size=(n, features)), seed % 3).astype(kind)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    rows[rng.random(rows.shape) < 0.1 * (seed % 4)] = 0
    rows[:, 0] = np.where(np.isnan(rows[:, 0]), 1, rows[:, 0])
    rows[:, -1] = 3
    truth = np.nan_to_num(rows).sum(1) + rng.normal(size=n)
    answers = truth if objective == "regression" else (truth > 3).astype(int)
    if objective == "multiclass":
        answers = np.digitize(truth, [2.0, 4.0])
    asked = {"objective": objective, "num_leaves": leaves, "min_data_in_leaf": 1, "verbosity": -1, "num_threads": 1}
    asked |= {"num_class": 3} if objective == "multiclass" else {}
    booster = lightgbm.train(asked | more, lightgbm.Dataset(rows, answers), rounds)
    odd = rng.choice(EDGES, size=(20, features)).astype(kind)
    near = rows[:10].copy()
    near[:, 1] = np.nextafter(near[:, 1], kind(np.inf))
    return booster, np.concatenate([rows, odd, near])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    objective=st.sampled_from(["binary", "regression", "multiclass"]),
    leaves=st.integers(2, 20),
    more=st.sampled_from([{}, {"zero_as_missing": True}, {"use_missing": False}, BAGGED]),
)
def test_trees_answer_as_lightgbm_does(seed: int, objective: str, leaves: int, more: dict[str, object]) -> None:
    theirs, rows = fitted(seed, objective, leaves=leaves, **more)
    ours = parsed(theirs.model_to_string(), "text")
    for predict, options in (
        (ours.margins, {"raw_score": True}),
        (ours.predict, {}),
        (ours.shapley, {"pred_contrib": True}),
    ):
        expected = np.asarray(theirs.predict(rows, **options)).reshape(len(rows), -1)
        np.testing.assert_allclose(predict(rows).reshape(len(rows), -1), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("objective", ["binary", "regression", "multiclass"])
def test_trees_of_one_leaf_are_constants(objective: str) -> None:
    theirs, rows = fitted(1, objective, min_data_in_leaf=1000)
    ours = parsed(theirs.model_to_string(), "text")
    assert ours.leaves.max() == 1
    np.testing.assert_allclose(ours.predict(rows).squeeze(), theirs.predict(rows), rtol=1e-12)
    expected = np.asarray(theirs.predict(rows, pred_contrib=True)).reshape(len(rows), -1)
    np.testing.assert_allclose(ours.shapley(rows).reshape(len(rows), -1), expected, atol=1e-12)


def test_many_trees_of_many_leaves_answer_as_lightgbm_does() -> None:
    """More leaves than a byte counts, more trees than are evaluated together, one much larger than the others."""
    theirs, rows = fitted(3, "regression", n=3000, leaves=400, rounds=40, features=9, min_data_in_leaf=1)
    ours = parsed(theirs.model_to_string(), "text")
    assert ours.leaves.max() > 256
    np.testing.assert_array_equal(ours.margins(rows)[:, 0], theirs.predict(rows, raw_score=True))
    expected = theirs.predict(rows[:20], pred_contrib=True)
    np.testing.assert_allclose(ours.shapley(rows[:20])[:, 0], expected, rtol=1e-11, atol=1e-11)


def test_what_is_said_of_a_row_does_not_depend_on_the_others() -> None:
    theirs, rows = fitted(7, "multiclass", n=200, rounds=60)
    ours = parsed(theirs.model_to_string(), "text")
    whole, reasons = ours.predict(rows), ours.shapley(rows)
    for size in (1, 2, 3, 17):
        assert np.array_equal(
            np.concatenate([ours.predict(rows[i : i + size]) for i in range(0, len(rows), size)]), whole
        )
        parts = [ours.shapley(rows[i : i + size]) for i in range(0, 40, size)]
        np.testing.assert_allclose(np.concatenate(parts)[:40], reasons[:40], rtol=1e-13, atol=1e-15)
    assert ours.predict(rows[:0]).shape == (0, 3)
    assert ours.shapley(rows[:0]).shape == (0, 3, 5)


def test_shares_are_shapley_values_by_their_definition() -> None:
    """One tree, every subset of its features: the unknown ones split a case as the training cases were split."""
    theirs, rows = fitted(2, "regression", features=3, rounds=1, leaves=7)
    ours = parsed(theirs.model_to_string(), "text")
    row = rows[5]

    def value(known: tuple[int, ...], node: int = 0) -> float:
        if node < 0:
            return float(ours.value[~node])
        below = int(ours.left[node]), int(ours.right[node])
        if (feature := int(ours.feature[node])) in known:
            x = row[feature]
            gone = np.isnan(x) and ours.missing[node] == 2
            left = ours.default_left[node] if gone else np.nan_to_num(x) <= ours.threshold[node]
            return value(known, below[0] if left else below[1])
        count = [ours.leaf_count[~b] if b < 0 else ours.count[b] for b in below]
        return float(sum(c * value(known, b) for c, b in zip(count, below, strict=True)) / sum(count))

    shares = np.zeros(3)
    for feature in range(3):
        for size in range(3):
            for known in combinations([f for f in range(3) if f != feature], size):
                weight = factorial(size) * factorial(2 - size) / factorial(3)
                shares[feature] += weight * (value((*known, feature)) - value(known))
    np.testing.assert_allclose(ours.shapley(row[None])[0, 0], [*shares, value(())], atol=1e-12)


def test_another_number_of_features_is_refused() -> None:
    ours = parsed(fitted(1, "binary")[0].model_to_string(), "text")
    with pytest.raises(UserError, match="fitted on 4 features"):
        ours.predict(np.zeros((2, 5), np.float32))


# --- models and their files ------------------------------------------------------------------------------

TARGETS = (
    Target("sick", "binary"),
    Target("stage", "multiclass", ("a", "b", "c")),
    Target("dose", "continuous", unit="mg", scale="log"),
)


def cases_of(rows: np.ndarray, targets: tuple[Target, ...] = TARGETS) -> Cases:
    columns = {f"x{i}": rows[:, i] for i in range(rows.shape[1])}
    ids = [f"c{i}" for i in range(len(rows))]
    return Cases(pl.DataFrame({"case_id": ids, "group": ids, **columns}), targets)


def model_of(folder: Path):
    """A fitted model and cases to ask it about."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 4)).astype(np.float32)
    sick = (rows[:, 0] > 0).astype(int)
    answers = {"sick": sick, "stage": sick + (rows[:, 1] > 0), "dose": 10 ** rows[:, 0].astype(float)}
    cases = cases_of(rows)
    cases = Cases(cases.table.with_columns(**{name: pl.Series(value) for name, value in answers.items()}), TARGETS)
    parts = pl.DataFrame({"case_id": cases.ids, "part": ["train"] * 60, "fold": pl.Series([0] * 60, dtype=pl.Int32)})
    method = TreeMethod(Columns(("x0", "x1", "x2", "x3")), Boosting(rounds=5, leaves=4))
    return method.fit(cases, Split(parts), {}, Run(folder)).model, cases


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model, cases = model_of(tmp_path)
    model.save(tmp_path)
    again = registry.load_model(tmp_path)
    run = Run(tmp_path)
    assert again.predict(cases, run).table.equals(model.predict(cases, run).table)
    items = ["sick", "b", "dose"] * 20
    for one, other in zip(model.attribute(cases, items, run), again.attribute(cases, items, run), strict=True):
        assert (one.case_id, one.item) == (other.case_id, other.item)
        assert np.array_equal(one.values, other.values)
    assert not list(tmp_path.glob("*.txt"))


def test_trees_are_asked_without_lightgbm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, cases = model_of(tmp_path)
    model.save(tmp_path)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert len(registry.load_model(tmp_path).predict(cases, Run(tmp_path)).table) == 5 * len(cases)
    code = "import sys; sys.modules['lightgbm'] = None; import medeor.learning.trees.method"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_trees_of_medeor_0_1_answer_as_they_did(tmp_path: Path) -> None:
    expected = json.loads((OLD / "answers.json").read_text())
    rows = np.array(expected["rows"], dtype=np.float32)
    model = registry.load_model(OLD)
    cases = cases_of(rows, model.targets)
    run = Run(tmp_path)
    np.testing.assert_allclose(model.predict(cases, run).table["value"], expected["values"], rtol=1e-12)
    for item, shares in expected["shapley"].items():
        ours = [one.values for one in model.attribute(cases, [item] * len(cases), run)]
        np.testing.assert_allclose(ours, shares, atol=1e-12)
    model.save(tmp_path / "new")
    again = registry.load_model(tmp_path / "new")
    assert again.predict(cases, run).table.equals(model.predict(cases, run).table)


def _line(key: str, value: str) -> Callable[[str], str]:
    """Changes the first such line."""
    return lambda text: re.sub(rf"(?m)^{key}=.*$", f"{key}={value}", text, count=1)


def _first(key: str, number: str) -> Callable[[str], str]:
    """Changes the first number of the first such line."""
    return lambda text: re.sub(rf"(?m)^{key}=-?[0-9.e+-]+", f"{key}={number}", text, count=1)


ATTACKS: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "another file": lambda text: '{"kind": "trees"}',
    "split_feature huge": _first("split_feature", "99999999"),
    "split_feature beyond": _first("split_feature", "4"),
    "split_feature negative": _first("split_feature", "-1"),
    "split_feature beyond 64 bits": _first("split_feature", "9" * 30),
    "left_child loop": _first("left_child", "0"),
    "left_child far": _first("left_child", "99999999"),
    "left_child beyond 32 bits": _first("left_child", str(1 << 32)),
    "leaf far negative": _first("right_child", "-99999999"),
    "leaf twice": lambda text: re.sub(r"(?m)^(right_child=.*)-\d+$", r"\1-1", text, count=1),
    "num_leaves huge": _first("num_leaves", "2000000000"),
    "num_leaves 0": _first("num_leaves", "0"),
    "num_leaves less": _first("num_leaves", "2"),
    "num_leaves negative": _first("num_leaves", "-4"),
    "max_feature_idx huge": _first("max_feature_idx", "2000000000"),
    "max_feature_idx -5": _first("max_feature_idx", "-5"),
    "max_feature_idx 2": _first("max_feature_idx", "2"),
    "num_class 0": _first("num_class", "0"),
    "num_class huge": _first("num_class", "1000000"),
    "trees an iteration": _first("num_tree_per_iteration", "0"),
    "tree_sizes bad": _first("tree_sizes", "999999999"),
    "tree_sizes larger": _first("tree_sizes", "9999"),
    "tree_sizes smaller": _first("tree_sizes", "99"),
    "tree_sizes short": lambda text: re.sub(r"tree_sizes=\d+ ", "tree_sizes=", text),
    "tree_sizes long": lambda text: text.replace("tree_sizes=", "tree_sizes=300 "),
    "truncated": lambda text: text[: len(text) // 4],
    "truncated within the last tree": lambda text: text[: text.index("end of trees") - 40],
    "num_cat": _first("num_cat", "1000000"),
    "decision_type of a category": _first("decision_type", "1"),
    "decision_type unknown": _first("decision_type", "12"),
    "decision_type negative": _first("decision_type", "-2"),
    "linear leaves": _first("is_linear", "1"),
    "another objective": _line("objective", "poisson"),
    "another slope": _line("objective", "binary sigmoid:2"),
    "a root of the label": _line("objective", "regression sqrt"),
    "another version": _line("version", "v5"),
    "averaged trees": lambda text: text.replace("label_index", "average_output\nlabel_index", 1),
    "an unknown line": lambda text: text.replace("num_cat=0", "num_cat=0\ncat_boundaries=0 5", 1),
    "a line twice": lambda text: text.replace("num_cat=0", "num_cat=0\nnum_cat=0", 1),
    "threshold NaN": _first("threshold", "nan"),
    "threshold in words": _first("threshold", "0x10"),
    "threshold with a bar": _first("threshold", "1_0"),
    "threshold too few": _line("threshold", "1.5"),
    "leaf_value infinite": _first("leaf_value", "inf"),
    "leaf_value too large": _first("leaf_value", "1e999"),
    "leaf_value beyond measure": _first("leaf_value", "1e300"),
    "leaf_count 0": _first("leaf_count", "0"),
    "internal_count negative": _first("internal_count", "-7"),
    "feature names": _line("feature_names", "a b"),
    "no end": lambda text: text.replace("end of trees", ""),
    "control characters": lambda text: text.replace("num_cat=0", "num_cat=\0", 1),
    "not in UTF-8": lambda text: "\udcff" + text,
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_changed_text_is_refused_in_a_line(attack: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(OLD, folder)
    text = (folder / "booster-0.txt").read_text()
    changed = ATTACKS[attack](text)
    # The sizes of the trees are put right, so that what is refused is the change itself.
    if "tree_sizes" not in attack and "Tree=" in changed:
        sizes = [len(part) + len("Tree=") for part in changed.partition("end of trees")[0].split("Tree=")[1:]]
        changed = _line("tree_sizes", " ".join(map(str, sizes)))(changed)
    assert changed != text
    (folder / "booster-0.txt").write_bytes(changed.encode(errors="surrogateescape"))
    with pytest.raises(UserError) as said:
        registry.load_model(folder)
    assert "booster-0.txt" in str(said.value)
    assert "\n" not in str(said.value)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_changed_character_is_refused_or_read_as_a_tree(data: st.DataObject) -> None:
    text = (OLD / "booster-0.txt").read_text()
    at = data.draw(st.integers(0, text.index("end of trees")))
    changed = text[:at] + data.draw(st.sampled_from("0123456789-. \n=e")) + text[at + 1 :]
    try:
        booster = parsed(changed, "text")
    except UserError:
        return
    assert np.isfinite(booster.predict(np.zeros((2, 4), np.float32))).all()
    assert np.isfinite(booster.shapley(np.ones((2, 4), np.float32))).all()


def _one(name: str, place: int, value: float) -> Callable[[dict[str, np.ndarray]], None]:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[name][place] = value

    return change


def _typed(name: str, kind: type) -> Callable[[dict[str, np.ndarray]], None]:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = arrays[name].astype(kind)

    return change


def _shaped(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, np.ndarray]], None]:
    def changed(arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = np.ascontiguousarray(change(arrays[name]))

    return changed


CHANGES: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "a feature beyond": _one("feature", 0, 4),
    "a negative feature": _one("feature", 1, -1),
    "a loop": _one("left", 0, 0),
    "a child beyond": _one("left", 0, 1 << 30),
    "a leaf beyond": _one("right", 0, -(1 << 31)),
    "a threshold that is none": _one("threshold", 0, np.nan),
    "a leaf that is none": _one("value", 0, np.nan),
    "an infinite leaf": _one("value", 0, -np.inf),
    "an unknown kind of missing": _one("missing", 0, 3),
    "an unknown side": _one("default_left", 0, 2),
    "nobody came by": _one("count", 0, 0),
    "a negative count": _one("leaf_count", 0, -1),
    "no leaves": _one("leaves", 0, 0),
    "too many leaves": _one("leaves", 0, 1 << 30),
    "negative leaves": _one("leaves", 0, -5),
    "another type": _typed("feature", np.float32),
    "a shorter array": _shaped("value", lambda a: a[:-1]),
    "a longer array": _shaped("threshold", lambda a: np.append(a, 0.0)),
    "more axes": _shaped("leaves", lambda a: a[None]),
    "no trees": lambda arrays: arrays.update({name: array[:0] for name, array in arrays.items()}),
    "a missing array": lambda arrays: arrays.pop("count"),
    "an unknown array": lambda arrays: arrays.update(more=np.zeros(1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_arrays_that_are_no_trees_are_refused(change: str, tmp_path: Path) -> None:
    model_of(tmp_path)[0].save(tmp_path)
    path = tmp_path / "booster-0.safetensors"
    arrays = {name: array.copy() for name, array in load_file(path).items()}
    CHANGES[change](arrays)
    save_file(arrays, path)
    with pytest.raises(UserError, match=r"booster-0\.safetensors"):
        registry.load_model(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"boosters": None},
        {"boosters": []},
        {"boosters": [1, 2, 3]},
        {"boosters": [{"objective": "binary", "features": 4, "classes": 1}] * 3},
        {"boosters": [{"objective": "binary", "features": True, "classes": 1}] * 3},
        {"boosters": [{"objective": ["binary"], "features": 4, "classes": 1}] * 3},
        {"boosters": [{"objective": "binary", "features": 10**12, "classes": 1}] * 3},
        {"boosters": [{"objective": "binary", "features": 4, "classes": 0}] * 3},
        {"targets": {}},
        {"targets": [1, 2, 3]},
        {"features": {"kind": ["trees"]}},
        {"features": {"kind": "trees"}},
        {"features": "columns"},
    ],
)
def test_facts_that_do_not_go_with_the_arrays_are_refused(change: dict[str, object], tmp_path: Path) -> None:
    model_of(tmp_path)[0].save(tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**facts, **change}))
    with pytest.raises(UserError):
        registry.load_model(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}", (1 << 60).to_bytes(8, "little")])
def test_a_damaged_file_of_arrays_is_refused(content: bytes | None, tmp_path: Path) -> None:
    model_of(tmp_path)[0].save(tmp_path)
    (tmp_path / "booster-1.safetensors").unlink()
    if content is not None:
        (tmp_path / "booster-1.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"booster-1\.safetensors"):
        registry.load_model(tmp_path)


def test_trees_that_are_too_deep_are_not_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    ours: Booster = parsed(fitted(1, "binary")[0].model_to_string(), "text")
    monkeypatch.setattr("medeor.learning.trees.shapley.MOST_STEPS", 10)
    with pytest.raises(UserError, match="too deep"):
        ours.shapley(np.zeros((1, 4)))
