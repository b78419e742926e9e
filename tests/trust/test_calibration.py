"""Probabilities come back to the truth they were bent from, sets cover at their stated rate, decisions keep a rule."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from medeor.contracts import Cases, Predictions, Target, UserError
from medeor.targets import of
from medeor.targets.common.calibration import conformal_quantile
from medeor.trust.calibration import Calibration, calibrate

ILL = Target("state", "binary", ("well", "ill"))
KIND = Target("kind", "multiclass", ("a", "b", "c"))
DOSE = Target("dose", "continuous", unit="mg")


def sigmoid(logit):
    return 1 / (1 + np.exp(-np.asarray(logit, dtype=float)))


def table(target: Target, truth, values, group=None, **columns) -> tuple[Cases, Predictions]:
    """`values`: shape (cases,) or (cases, items)."""
    values = np.asarray(values, dtype=float).reshape(len(truth), -1)
    ids = [f"c{row}" for row in range(len(truth))]
    rows = pl.DataFrame({"case_id": ids, target.name: truth, "group": ids if group is None else group})
    long = pl.DataFrame(
        {
            "case_id": np.repeat(ids, values.shape[1]),
            "item": list(of(target).items) * len(truth),
            "value": values.ravel(),
            **columns,
        }
    )
    return Cases(rows.with_columns(pl.col("group").cast(pl.String)), (target,)), Predictions(long)


def bent_binary(seed: int, size: int, slope: float = 1.0, intercept: float = 0.0):
    """Truth drawn from a known logit; the model reports that logit bent by a slope and an intercept."""
    generator = np.random.default_rng(seed)
    logit = generator.normal(-0.5, 1.5, size)
    truth = (generator.random(size) < sigmoid(logit)).astype(int)
    return *table(ILL, truth, sigmoid((logit - intercept) / slope)), logit, truth


def some_classes(seed: int, size: int, cold: float = 1.0):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(size, 3)) * 1.3
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (probability.cumsum(axis=1) < generator.random((size, 1))).sum(axis=1).clip(0, 2)
    bent = probability ** (1 / cold) / (probability ** (1 / cold)).sum(axis=1, keepdims=True)
    return *table(KIND, truth, bent), probability, truth


# --- probabilities ---------------------------------------------------------------------------------------


def test_platt_recovers_the_planted_slope_and_intercept() -> None:
    cases, held_out, logit, _ = bent_binary(0, 5000, slope=0.5, intercept=1.0)
    calibration = calibrate(cases, held_out)
    (one,) = calibration.targets
    assert one.method == "platt"
    assert (one.slope, one.intercept) == pytest.approx((0.5, 1.0), abs=0.15)
    after = calibration.apply(held_out).table["value"].to_numpy()
    assert np.abs(after - sigmoid(logit)).mean() < 0.01


def test_platt_agrees_with_sklearns_logistic_regression() -> None:
    cases, held_out, _, truth = bent_binary(1, 4000, slope=0.6, intercept=-0.7)
    logit = np.log(held_out.table["value"] / (1 - held_out.table["value"])).to_numpy()
    line = LogisticRegression(C=1e6).fit(logit[:, None], truth)
    (one,) = calibrate(cases, held_out).targets
    assert (one.slope, one.intercept) == pytest.approx((line.coef_[0, 0], line.intercept_[0]), abs=0.01)


def test_temperature_recovers_the_planted_one_for_several_classes() -> None:
    cases, held_out, probability, _ = some_classes(0, 4000, cold=0.4)
    calibration = calibrate(cases, held_out)
    (one,) = calibration.targets
    assert one.method == "temperature"
    assert one.slope == pytest.approx(0.4, abs=0.03)
    after = calibration.apply(held_out).table["value"].to_numpy().reshape(-1, 3)
    assert after.sum(axis=1) == pytest.approx(1)
    assert np.abs(after - probability).mean() < 0.01


@pytest.mark.parametrize("size", [60, 200])
def test_calibration_helps_new_cases_when_bent_and_hardly_hurts_when_not(size: int) -> None:
    gains: dict[float, list[float]] = {1.0: [], 0.3: []}
    for seed in range(15):
        for slope, found in gains.items():
            calibration = calibrate(*bent_binary(seed, size, slope)[:2])
            _, fresh, _, truth = bent_binary(seed + 1000, 1000, slope)
            before, after = fresh.table["value"], calibration.apply(fresh).table["value"]
            found.append(sk.log_loss(truth, before) - sk.log_loss(truth, after))
    assert np.mean(gains[0.3]) > 0.1
    assert np.mean(gains[1.0]) > -0.02


@pytest.mark.parametrize("copies", [1, 8])
def test_what_is_calibrated_already_mostly_stays_as_it_is(copies: int) -> None:
    """A change is judged on groups that it was not fitted to: on its own cases it would always seem to help."""
    unchanged = 0
    for seed in range(40):
        cases, held_out, *_ = bent_binary(seed, 60, slope=1.0)
        tables = [
            pl.concat([one.with_columns(case_id=pl.col("case_id") + f"/{k}") for k in range(copies)])
            for one in (cases.table.with_columns(group=pl.col("case_id")), held_out.table)
        ]
        (one,) = calibrate(replace(cases, table=tables[0]), Predictions(tables[1])).targets
        unchanged += one.method == "identity"
        assert one.log_loss is not None
        assert one.log_loss_calibrated is not None
        assert one.log_loss_calibrated <= one.log_loss
    assert unchanged >= 20


@given(st.integers(0, 10_000), st.integers(2, 80))
@settings(max_examples=40, deadline=None)
def test_the_order_of_cases_never_turns(seed: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    # Scores that mean the opposite of the truth, with exact zeros and ones among them.
    truth = generator.integers(0, 2, size)
    value = np.clip(generator.normal(1 - truth, 0.5), 0, 1)
    cases, held_out = table(ILL, truth, value)
    after = calibrate(cases, held_out).apply(held_out).table["value"].to_numpy()
    order = np.argsort(value, kind="stable")
    assert (np.diff(after[order]) >= 0).all()
    assert np.isfinite(after).all()


def test_too_few_cases_change_nothing() -> None:
    cases, held_out, *_ = bent_binary(0, 15, slope=0.2)
    (one,) = calibrate(cases, held_out).targets
    assert (one.method, one.slope, one.intercept) == ("identity", 1, 0)


def test_no_held_out_predictions_still_decide() -> None:
    cases, held_out, *_ = bent_binary(0, 50)
    calibration = calibrate(cases, Predictions(held_out.table.head(0)))
    table = calibration.apply(held_out).table
    assert table["value"].to_list() == held_out.table["value"].to_list()
    assert table["chosen"].to_list() == (held_out.table["value"] >= 0.5).to_list()
    assert table["plausible"].null_count() == 50  # both classes of every case


# --- decisions -------------------------------------------------------------------------------------------


def test_threshold_rules_reach_what_they_aim_at() -> None:
    cases, held_out, _, truth = bent_binary(3, 4000, slope=0.7, intercept=0.5)
    score = held_out.table["value"].to_numpy()
    false, true, at = sk.roc_curve(truth, score)
    decided = {}
    for rule in ("youden", "equal", "accuracy", "sensitivity=0.95", "specificity=0.9", "prevalence", "0.3"):
        calibration = calibrate(cases, held_out, threshold=rule)
        assert calibration.targets[0].rule == rule
        decided[rule] = calibration.apply(held_out).table["chosen"].to_numpy()

    def rates(rule: str) -> tuple[float, float]:
        return decided[rule][truth == 1].mean(), (~decided[rule])[truth == 0].mean()

    best = (true - false).max()
    assert sum(rates("youden")) - 1 == pytest.approx(best, abs=0.02)
    assert rates("equal")[0] == pytest.approx(rates("equal")[1], abs=0.01)
    assert sum(rates("prevalence")) - 1 == pytest.approx(best, abs=0.02)
    most = max(np.mean((score >= one) == truth) for one in at)
    assert np.mean(decided["accuracy"] == truth) == pytest.approx(most, abs=0.005)
    assert rates("sensitivity=0.95")[0] == pytest.approx(0.95, abs=0.01)
    assert rates("specificity=0.9")[1] == pytest.approx(0.9, abs=0.01)
    assert calibration.targets[0].threshold == 0.3


def test_the_threshold_is_steadier_than_the_best_of_one_sample() -> None:
    ours, plain = [], []
    for seed in range(30):
        cases, held_out, _, truth = bent_binary(seed, 120)
        calibration = calibrate(cases, held_out)
        false, true, at = sk.roc_curve(truth, held_out.table["value"])
        _, fresh, _, new = bent_binary(seed + 500, 4000)
        chosen = calibration.apply(fresh).table["chosen"]
        ours.append(sk.balanced_accuracy_score(new, chosen))
        plain.append(sk.balanced_accuracy_score(new, fresh.table["value"] >= at[(true - false).argmax()]))
    assert np.mean(ours) > np.mean(plain)


def test_several_classes_are_decided_by_the_most_probable() -> None:
    cases, held_out, probability, _ = some_classes(1, 300)
    table = calibrate(cases, held_out).apply(held_out).table
    chosen = table["chosen"].to_numpy().reshape(-1, 3)
    assert (chosen.sum(axis=1) == 1).all()
    assert (chosen.argmax(axis=1) == probability.argmax(axis=1)).all()


# --- sets and intervals ----------------------------------------------------------------------------------


@given(st.integers(1, 60), st.floats(0.5, 0.99))
@settings(max_examples=60, deadline=None)
def test_quantile_of_single_cases_is_the_textbook_one(size: int, coverage: float) -> None:
    strange = np.random.default_rng(size).random(size)
    rank = int(np.ceil((size + 1) * coverage - 1e-9))
    expected = np.sort(strange)[rank - 1] if rank <= size else np.inf
    assert conformal_quantile(strange, np.arange(size), coverage) == expected


@given(st.lists(st.integers(1, 6), min_size=2, max_size=12), st.floats(0.1, 0.95), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_cases_of_a_group_share_its_weight_in_the_quantile(sizes: list[int], coverage: float, seed: int) -> None:
    """The smallest value that groups reach on average, the unseen one never, written out."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    strange = np.random.default_rng(seed).random(len(groups))
    reached = [
        value
        for value in np.sort(strange)
        if sum(np.mean(strange[groups == group] <= value) for group in np.unique(groups)) / (len(sizes) + 1)
        >= coverage - 1e-9
    ]
    assert conformal_quantile(strange, groups, coverage) == (reached[0] if reached else np.inf)


def in_set(table: pl.DataFrame, truth, classes: int) -> np.ndarray:
    plausible = table["plausible"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if classes == 2:
        return np.where(truth == 1, plausible != 0, plausible != 1)
    return plausible.reshape(-1, classes)[np.arange(len(truth)), truth] == 1


@pytest.mark.parametrize("coverage", [0.9, 0.8])
@pytest.mark.parametrize("make", [bent_binary, some_classes])
def test_sets_cover_at_their_stated_rate(make, coverage: float) -> None:
    covered = []
    for seed in range(40):
        cases, held_out, *_ = make(seed, 150)
        _, fresh, _, truth = make(seed + 900, 500)
        table = calibrate(cases, held_out, coverage=coverage).apply(fresh).table
        covered.append(in_set(table, truth, 2 if make is bent_binary else 3).mean())
    # Sets hold the most probable class in any case, so they may cover a little more.
    assert coverage - 0.01 <= np.mean(covered) <= coverage + 0.035


def test_sets_by_class_cover_the_rare_class_too() -> None:
    covered = {"marginal": [], "by class": []}
    for seed in range(30):
        generator = np.random.default_rng(seed)

        def draw(size: int, generator=generator):
            truth = (generator.random(size) < 0.1).astype(int)
            return *table(ILL, truth, sigmoid(generator.normal(2.0 * truth - 3, 1))), truth

        cases, held_out, _ = draw(400)
        _, fresh, truth = draw(2000)
        for sets, found in covered.items():
            applied = calibrate(cases, held_out, sets=sets).apply(fresh).table
            found.append(in_set(applied, truth, 2)[truth == 1].mean())
    assert np.mean(covered["marginal"]) < 0.75
    assert 0.88 <= np.mean(covered["by class"]) <= 0.97


def numbers(generator: np.random.Generator, groups: int, size: int = 1):
    group = np.repeat(np.arange(groups), size)
    value = generator.normal(50, 10, groups)[group]
    noise = generator.normal(size=groups)[group] * 3 + generator.normal(size=len(group))
    return *table(DOSE, value + noise, value, group), value + noise


@pytest.mark.parametrize(("groups", "size"), [(60, 1), (60, 4)])
def test_intervals_of_numbers_cover_at_their_stated_rate(groups: int, size: int) -> None:
    covered = []
    for seed in range(80):
        generator = np.random.default_rng(seed)
        cases, held_out, _ = numbers(generator, groups, size)
        _, fresh, truth = numbers(generator, 300)
        table = calibrate(cases, held_out).apply(fresh).table
        covered.append(np.mean((table["low"].to_numpy() <= truth) & (truth <= table["high"].to_numpy())))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)


def test_an_interval_that_is_narrowed_past_its_middle_is_a_point() -> None:
    """Truths lie in the middle of intervals 20 wide, so these shrink to nothing; two that are 4 wide must not turn."""
    ids = [f"c{i}" for i in range(40)]
    value = np.linspace(0, 100, 40)
    half = np.where(np.arange(40) < 2, 2.0, 10.0)
    given = pl.DataFrame({"case_id": ids, "item": "dose", "value": value, "low": value - half, "high": value + half})
    cases = Cases(pl.DataFrame({"case_id": ids, "dose": value}), (DOSE,))
    table = calibrate(cases, Predictions(given)).apply(Predictions(given)).table
    assert table["low"].to_list() == pytest.approx(value.tolist())
    assert table["high"].to_list() == pytest.approx(value.tolist())


def test_an_interval_of_the_model_is_widened_until_it_covers() -> None:
    generator = np.random.default_rng(0)

    def draw(size: int):
        spread = generator.uniform(1, 10, size)
        value = generator.normal(50, 10, size)
        truth = value + spread * generator.normal(size=size)
        cases, predictions = table(DOSE, truth, value, low=value - spread, high=value + spread)
        return cases, predictions, truth, spread

    cases, held_out, *_ = draw(1500)
    calibration = calibrate(cases, held_out)
    _, fresh, truth, spread = draw(4000)
    applied = calibration.apply(fresh).table
    low, high = applied["low"].to_numpy(), applied["high"].to_numpy()
    assert calibration.targets[0].method == "widened"
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.9, abs=0.02)
    assert np.corrcoef(high - low, spread)[0, 1] > 0.99


def uneven(generator: np.random.Generator, size: int, factor: float = 3.0):
    """Numbers that are off by a normal error of a known size each; the model tells a multiple of that size."""
    off = generator.uniform(0.2, 2, size)
    truth = generator.normal(size=size)
    cases, told = table(DOSE, truth, truth + off * generator.normal(size=size), spread=off * factor)
    return cases, told, truth, off


def test_intervals_follow_the_spread_and_cover_where_it_is_small_and_where_it_is_large() -> None:
    sure, unsure, widths = [], [], []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        cases, held_out, *_ = uneven(generator, 400)
        _, fresh, truth, off = uneven(generator, 400)
        calibration = calibrate(cases, held_out)
        assert calibration.targets[0].method == "spread"
        new = calibration.apply(fresh).table
        low, high = new["low"].to_numpy(), new["high"].to_numpy()
        covered = (low <= truth) & (truth <= high)
        sure.append(covered[off < 0.7].mean())
        unsure.append(covered[off > 1.5].mean())
        # 90 % of a normal error lies within 1.645 of its standard deviations.
        widths.append(np.median((high - low) / (2 * 1.645 * off)))
    assert np.mean(sure) == pytest.approx(0.9, abs=0.03)
    assert np.mean(unsure) == pytest.approx(0.9, abs=0.03)
    assert np.mean(widths) == pytest.approx(1, abs=0.07)


@pytest.mark.parametrize("groups", [30, 300])
def test_a_spread_that_says_nothing_costs_no_coverage(groups: int) -> None:
    covered, widths = [], []
    for seed in range(80):
        generator = np.random.default_rng(seed)
        cases, held_out, _ = numbers(generator, groups)
        _, fresh, truth = numbers(generator, 300)
        noise = [generator.uniform(0.5, 2, one.table.height) for one in (held_out, fresh)]
        told, asked = (
            Predictions(one.table.with_columns(spread=pl.Series(n))) for one, n in zip((held_out, fresh), noise)
        )
        plain = calibrate(cases, held_out).apply(fresh).table
        new = calibrate(cases, told).apply(asked).table
        covered.append(np.mean((new["low"].to_numpy() <= truth) & (truth <= new["high"].to_numpy())))
        widths.append((new["high"] - new["low"]).mean() / (plain["high"] - plain["low"]).mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.025)
    assert np.mean(widths) == pytest.approx(1, abs=0.05)


def test_without_its_spread_a_case_gets_the_interval_that_fits_all() -> None:
    cases, held_out, *_ = uneven(np.random.default_rng(0), 400)
    calibration = Calibration.from_json(json.loads(json.dumps(calibrate(cases, held_out).to_json())))
    plain = calibrate(cases, Predictions(held_out.table.drop("spread")))
    bare = calibration.apply(Predictions(held_out.table.drop("spread"))).table
    assert bare.equals(plain.apply(Predictions(held_out.table.drop("spread"))).table)


def test_of_a_number_learnt_by_its_logarithm_the_interval_is_a_factor() -> None:
    generator = np.random.default_rng(0)
    half_life = Target("half-life", "continuous", unit="h", scale="log")
    value = 10 ** generator.uniform(-1, 3, 400)
    factor = 10 ** generator.normal(0, 0.3, 400)
    cases, told = table(half_life, value * factor, value)
    new = calibrate(cases, told).apply(told).table
    low, high = new["low"].to_numpy(), new["high"].to_numpy()
    assert low.min() > 0
    assert np.allclose(high / value, value / low)
    # 90 % of a normal error lies within 1.645 of its standard deviations.
    assert np.log10(high / value) == pytest.approx(1.645 * 0.3, rel=0.12)


def test_of_a_number_learnt_by_its_logarithm_the_spread_is_a_factor_too() -> None:
    generator = np.random.default_rng(0)
    off = generator.uniform(0.05, 0.5, 400)
    truth = generator.normal(size=400)
    value = truth + off * generator.normal(size=400)
    half_life = Target("half-life", "continuous", unit="h", scale="log")
    plain, factors = (
        calibrate(cases, told).apply(told).table
        for cases, told in (
            table(DOSE, truth, value, spread=off),
            table(half_life, 10**truth, 10**value, spread=10**off),
        )
    )
    for end in ("low", "high"):
        assert np.log10(factors[end].to_numpy()) == pytest.approx(plain[end].to_numpy(), abs=1e-9)
    width = (plain["high"] - plain["low"]).to_numpy()
    assert np.corrcoef(width, off)[0, 1] > 0.99


def test_too_few_numbers_give_no_interval() -> None:
    cases, held_out, _ = numbers(np.random.default_rng(0), 5)
    table = calibrate(cases, held_out).apply(held_out).table
    assert table["low"].null_count() == 5


# --- keeping it ------------------------------------------------------------------------------------------


def test_several_targets_and_foreign_items_live_in_one_table() -> None:
    first, of_first, *_ = bent_binary(0, 80)
    second, of_second, _ = numbers(np.random.default_rng(0), 80)
    both = Cases(first.table.join(second.table.drop("group"), on="case_id"), (ILL, DOSE))
    foreign = pl.DataFrame({"case_id": ["c1"], "item": ["map"], "value": [7.0]})
    predictions = Predictions(pl.concat([of_first.table, of_second.table, foreign]))
    applied = calibrate(both, predictions).apply(predictions).table
    assert applied.select("case_id", "item").equals(predictions.table.select("case_id", "item"))
    assert applied.filter(pl.col("item") == "map").row(0, named=True)["value"] == 7
    assert applied.filter(pl.col("item") == "map")["raw"].null_count() == 1
    assert applied.filter(pl.col("item") == "dose")["low"].null_count() == 0
    assert applied.filter(pl.col("item") == "ill")["low"].null_count() == 80
    assert applied.filter(pl.col("item") == "ill")["chosen"].null_count() == 0


def test_json_brings_the_same_calibration_back() -> None:
    for cases, held_out, *_ in (bent_binary(0, 200, 0.5), some_classes(0, 8), numbers(np.random.default_rng(0), 40)):
        calibration = calibrate(cases, held_out)
        kept = json.loads(json.dumps(calibration.to_json(), allow_nan=False))
        again = Calibration.from_json(kept)
        assert again == calibration
        assert again.apply(held_out).table.equals(calibration.apply(held_out).table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"coverage": 1.5}, "coverage must lie between 0 and 1"),
        ({"coverage": "much"}, "coverage: input should be a valid number"),
        ({"extra": 1}, "no setting is called 'extra'"),
        ({"targets": [{"target": "state"}]}, "targets.0.kind: field required"),
        ({"targets": [{"target": "s", "kind": "binary", "items": ["s"], "cases": 3, "slope": -1}]}, "above zero"),
    ],
)
def test_a_changed_file_is_refused(change: dict, said: str) -> None:
    cases, held_out, *_ = bent_binary(0, 60)
    with pytest.raises(UserError, match=said):
        Calibration.from_json(calibrate(cases, held_out).to_json() | change)


def test_the_same_seed_learns_the_same() -> None:
    cases, held_out, *_ = bent_binary(0, 150, 0.5)
    assert calibrate(cases, held_out, seed=4) == calibrate(cases, held_out, seed=4)


def test_misuse_is_refused() -> None:
    cases, held_out, *_ = bent_binary(0, 60)
    with pytest.raises(UserError, match="no threshold rule is called 'best'; there are youden"):
        calibrate(cases, held_out, threshold="best")
    with pytest.raises(UserError, match="a coverage of 90 is impossible"):
        calibrate(cases, held_out, coverage=90)
    calibration = calibrate(cases, held_out)
    with pytest.raises(ValueError, match="calibrated already"):
        calibration.apply(calibration.apply(held_out))


# --- what cannot be negative -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "least"), [("nM", 0.0), ("mL/min/kg", 0.0), ("kcal/mol", None), ("", None), ("log10 nM", None)]
)
def test_a_concentration_and_its_interval_stay_above_zero(unit: str, least: float | None) -> None:
    truth = np.linspace(0.1, 9.0, 60)
    target = Target("y", "continuous", (), unit)
    cases, held = table(target, truth, truth + np.tile([3.0, -3.0], 30))
    found = Calibration.from_json(json.loads(json.dumps(calibrate(cases, held).to_json())))
    assert found.targets[0].least == least
    new = found.apply(table(target, truth[:2], np.array([-0.5, 1.0]))[1]).table
    lowest = -0.5 if least is None else 0.0
    assert new["value"].to_list() == [lowest, 1.0]
    assert (new["low"] < 0).any() == (least is None)
    assert new["raw"].to_list() == [-0.5, 1.0]
    assert (new["low"] <= new["value"]).all()
    assert (new["value"] <= new["high"]).all()


def test_a_calibration_with_an_unknown_figure_of_skill_is_refused() -> None:
    values = json.loads(json.dumps(calibrate(*bent_binary(0, 40)[:2]).to_json()))
    values["targets"][0]["skill"] = {"figure": "luck", "value": 0.9, "low": 0.8, "high": 0.95}
    with pytest.raises(UserError, match="figure"):
        Calibration.from_json(values)
