"""Every figure equals that of an independent library, and every odd input has an answer."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medeor.contracts import Cases, Predictions, Target, UserError
from medeor.statistics import scores
from medeor.trust.measures import levels, measure, subgroup_table

EXACT = 1e-9
FEW = 60


def cases_of(targets: tuple[Target, ...], truth: dict, **columns) -> Cases:
    size = len(next(iter(truth.values())))
    table = pl.DataFrame({"case_id": [f"c{row:04d}" for row in range(size)], **truth, **columns})
    return Cases(table, targets)


def long(cases: Cases, values: dict, **columns) -> Predictions:
    """`values`: by item, shape (cases,); other columns likewise by name, then item."""
    parts = [
        pl.DataFrame(
            {"case_id": cases.table["case_id"], "item": [item] * len(cases), "value": value}
            | {name: by_item[item] for name, by_item in columns.items()}
        )
        for item, value in values.items()
    ]
    return Predictions(pl.concat(parts).sample(fraction=1.0, shuffle=True, seed=1))


ILL = Target("state", "binary", ("well", "ill"))


def binary(size: int = 300, seed: int = 0, **columns) -> tuple[Cases, Predictions, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = (generator.random(size) < 0.35).astype(int)
    # Rounded, so that there are ties.
    value = np.round(1 / (1 + np.exp(-generator.normal(1.8 * truth - 1, 1))), 2)
    cases = cases_of((ILL,), {"state": truth}, **columns)
    chosen = value >= 0.4
    return cases, long(cases, {"ill": value}, chosen={"ill": chosen}), truth, value


def test_binary_figures_equal_sklearn() -> None:
    cases, predictions, truth, value = binary()
    found = {name: one.value for name, one in measure(cases, predictions, resamples=FEW).items()}
    decided = value >= 0.4
    expected = {
        "auroc": sk.roc_auc_score(truth, value),
        "auprc": sk.average_precision_score(truth, value),
        "accuracy": sk.accuracy_score(truth, decided),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, decided),
        "f1": sk.f1_score(truth, decided),
        "sensitivity": sk.recall_score(truth, decided),
        "recall/ill": sk.recall_score(truth, decided),
        "specificity": sk.recall_score(truth, decided, pos_label=0),
        "ppv": sk.precision_score(truth, decided),
        "npv": sk.precision_score(truth, decided, pos_label=0),
        "brier": sk.brier_score_loss(truth, value),
        "log_loss": sk.log_loss(truth, value),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=EXACT)


def test_operating_points_equal_the_best_of_sklearns_roc_curve() -> None:
    cases, predictions, truth, value = binary()
    found = measure(cases, predictions, resamples=FEW)
    false, true, _ = sk.roc_curve(truth, value, drop_intermediate=False)
    for fixed in (0.95, 0.9):
        best = true[1 - false >= fixed - EXACT].max()
        assert found[f"sensitivity@specificity={fixed:.2f}"].value == pytest.approx(best)
        best = (1 - false[true >= fixed - EXACT]).max()
        assert found[f"specificity@sensitivity={fixed:.2f}"].value == pytest.approx(best)


@pytest.mark.parametrize(("positives", "negatives"), [(39, 60), (60, 39), (40, 40)])
def test_a_point_of_the_curve_is_given_from_forty_cases_of_the_fixed_class(positives: int, negatives: int) -> None:
    truth = np.repeat([1, 0], [positives, negatives])
    value = np.random.default_rng(0).uniform(size=len(truth))
    ids = [f"c{i}" for i in range(len(truth))]
    cases = Cases(pl.DataFrame({"case_id": ids, "ill": truth}), (Target("ill", "binary", ("well", "ill")),))
    found = measure(cases, Predictions(pl.DataFrame({"case_id": ids, "item": "ill", "value": value})), resamples=FEW)
    assert ("specificity@sensitivity=0.95" in found) == (positives >= 40)
    assert ("sensitivity@specificity=0.90" in found) == (negatives >= 40)
    assert found["auroc"].value == pytest.approx(sk.roc_auc_score(truth, value))


def test_predictive_values_at_a_prevalence_by_bayes() -> None:
    cases, predictions, truth, value = binary()
    found = measure(replace(cases, prevalences=(0.02,)), predictions, resamples=FEW)
    sensitivity, specificity = np.mean(value[truth == 1] >= 0.4), np.mean(value[truth == 0] < 0.4)
    ppv = sensitivity * 0.02 / (sensitivity * 0.02 + (1 - specificity) * 0.98)
    npv = specificity * 0.98 / (specificity * 0.98 + (1 - sensitivity) * 0.02)
    assert found["ppv@prevalence=0.02"].value == pytest.approx(ppv)
    assert found["npv@prevalence=0.02"].value == pytest.approx(npv)


@pytest.mark.parametrize("kind", ["multiclass", "ordinal"])
def test_figures_of_several_classes_equal_sklearn(kind) -> None:
    generator = np.random.default_rng(2)
    truth = generator.integers(0, 4, 250)
    logits = generator.normal(size=(250, 4)) + 1.2 * np.eye(4)[truth]
    value = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    grades = ("none", "mild", "severe", "fatal")
    cases = cases_of((Target("grade", kind, grades),), {"grade": truth})
    measures = measure(cases, long(cases, dict(zip(grades, value.T, strict=True))), resamples=FEW)
    found = {name: one.value for name, one in measures.items()}
    decided = value.argmax(axis=1)
    expected = {
        "auroc": sk.roc_auc_score(truth, value, multi_class="ovr"),
        "auroc/severe": sk.roc_auc_score(truth == 2, value[:, 2]),
        "auprc": sk.average_precision_score(np.eye(4)[truth], value),
        "accuracy": sk.accuracy_score(truth, decided),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, decided),
        "f1": sk.f1_score(truth, decided, average="macro"),
        "recall/mild": sk.recall_score(truth, decided, labels=[1], average="macro"),
        "log_loss": sk.log_loss(truth, value),
        "brier": np.mean(np.sum((value - np.eye(4)[truth]) ** 2, axis=1)),
    }
    if kind == "ordinal":
        expected["quadratic_weighted_kappa"] = sk.cohen_kappa_score(truth, decided, weights="quadratic")
        expected["grade_error"] = sk.mean_absolute_error(truth, decided)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=EXACT)


def test_figures_of_numbers_equal_sklearn_and_scipy() -> None:
    generator = np.random.default_rng(4)
    truth = np.round(generator.normal(1000, 3, 120))
    value = np.round(truth + generator.normal(1, 2, 120))
    cases = cases_of((Target("weight", "continuous", unit="g"),), {"weight": truth})
    predictions = long(cases, {"weight": value}, low={"weight": value - 2}, high={"weight": value + 3})
    found = {name: one.value for name, one in measure(cases, predictions, resamples=FEW).items()}
    assert found == pytest.approx(
        {
            "mae": sk.mean_absolute_error(truth, value),
            "rmse": sk.root_mean_squared_error(truth, value),
            "r2": sk.r2_score(truth, value),
            "pearson": stats.pearsonr(truth, value).statistic,
            "spearman": stats.spearmanr(truth, value).statistic,
            "coverage": np.mean((value - 2 <= truth) & (truth <= value + 3)),
            "interval_width": 5.0,
        },
        abs=EXACT,
    )


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_weights_count_as_repeated_cases(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth, value = generator.integers(0, 2, 30), generator.integers(0, 8, 30) / 8
    truth[:2] = 0, 1
    weights = generator.integers(0, 4, 30)
    weights[:2] = 1
    copies = np.repeat(np.arange(30), weights)
    ranked = scores.ranking(value, truth)(weights[None].astype(float))[0]
    with_sklearn = [
        score(truth, value, sample_weight=weights) for score in (sk.roc_auc_score, sk.average_precision_score)
    ]
    assert ranked[:2] == pytest.approx(with_sklearn, abs=EXACT)
    noisy = value + generator.normal(size=30)
    agreed = scores.agreement(noisy, value)(weights[None].astype(float))[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant input, which scipy answers with NaN as we do
        rank = stats.spearmanr(noisy[copies], value[copies]).statistic
        line = stats.pearsonr(noisy[copies], value[copies]).statistic
    assert agreed[1:] == pytest.approx([sk.r2_score(noisy[copies], value[copies]), line, rank], abs=EXACT, nan_ok=True)


def calibration_case(generator: np.random.Generator, groups: int, size: int, steep: float):
    group = np.repeat(np.arange(groups), size)
    logit = generator.normal(-0.5, 1.5, groups)[group]
    outcome = (generator.random(groups)[group] < 1 / (1 + np.exp(-logit))).astype(int)
    return group, 1 / (1 + np.exp(-steep * logit)), outcome


@pytest.mark.parametrize(("groups", "size", "steep"), [(200, 1, 1.0), (120, 3, 1.0), (300, 1, 2.0), (150, 3, 2.5)])
def test_interval_of_the_calibration_error_covers_the_truth(groups: int, size: int, steep: float) -> None:
    logit = np.random.default_rng(99).normal(-0.5, 1.5, 1_000_000)
    truth = np.mean(np.abs(1 / (1 + np.exp(-steep * logit)) - 1 / (1 + np.exp(-logit))))
    covered = []
    for seed in range(80):
        group, value, outcome = calibration_case(np.random.default_rng(seed), groups, size, steep)
        cases = cases_of((ILL,), {"state": outcome}, group=[f"g{one}" for one in group])
        found = measure(cases, long(cases, {"ill": value}), resamples=100, seed=seed)["ece"]
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) >= 0.88  # 80 simulations: the standard error of .95 is .024


def test_calibration_error_is_nearer_to_the_truth_than_the_plain_one() -> None:
    plain, debiased = [], []
    for seed in range(30):
        _, value, outcome = calibration_case(np.random.default_rng(seed), 300, 1, 1.0)
        cases = cases_of((ILL,), {"state": outcome})
        debiased.append(measure(cases, long(cases, {"ill": value}), resamples=0)["ece"].value)
        bins = np.array_split(np.argsort(value), 15)
        plain.append(sum(len(b) * abs(value[b].mean() - outcome[b].mean()) for b in bins) / 300)
    assert np.mean(debiased) < 0.7 * np.mean(plain)  # the model is perfectly calibrated: the truth is 0


def test_coverage_and_size_of_sets_where_null_says_both() -> None:
    cases = cases_of((ILL,), {"state": [0, 1, 0, 1]})
    sets = pl.Series([None, True, True, False], dtype=pl.Boolean)
    found = measure(cases, long(cases, {"ill": [0.5, 0.9, 0.8, 0.1]}, plausible={"ill": sets}), resamples=FEW)
    assert found["coverage"].value == 0.5
    assert found["set_size"].value == 1.25


def test_uncalibrated_figures_come_from_raw() -> None:
    cases, predictions, truth, value = binary()
    raw = Predictions(predictions.table.with_columns(raw=pl.col("value"), value=pl.col("value") ** 2))
    found = measure(cases, raw, resamples=FEW)
    assert found["brier/uncalibrated"].value == pytest.approx(sk.brier_score_loss(truth, value))
    assert found["brier"].value == pytest.approx(sk.brier_score_loss(truth, value**2))
    assert found["ece/uncalibrated"].value != found["ece"].value


def test_several_labels_have_their_own_figures_and_a_mean() -> None:
    generator = np.random.default_rng(5)
    targets = (Target("edema", "binary"), Target("effusion", "binary"))
    truth = {target.name: generator.integers(0, 2, 200).astype(float) for target in targets}
    truth["effusion"][:50] = np.nan
    value = {name: np.clip(np.nan_to_num(one) * 0.3 + generator.random(200) * 0.7, 0, 1) for name, one in truth.items()}
    cases = cases_of(targets, truth)
    found = measure(cases, long(cases, value), resamples=FEW)
    each = [
        sk.roc_auc_score(truth["edema"], value["edema"]),
        sk.roc_auc_score(truth["effusion"][50:], value["effusion"][50:]),
    ]
    assert [found["auroc/edema"].value, found["auroc/effusion"].value] == pytest.approx(each, abs=EXACT)
    assert found["auroc"].value == pytest.approx(np.mean(each), abs=EXACT)
    assert found["auroc/effusion"].n == 150


def test_n_is_the_number_of_groups_a_figure_rests_on() -> None:
    cases, predictions, truth, _ = binary(group=[f"g{row // 3}" for row in range(300)])
    found = measure(cases, predictions, resamples=FEW)
    assert found["auroc"].n == 100
    assert found["sensitivity"].n == len({row // 3 for row in np.flatnonzero(truth)})


@pytest.mark.parametrize("only", [0, 1])
def test_a_single_class_has_no_auroc_but_an_accuracy(only: int) -> None:
    cases = cases_of((ILL,), {"state": [only] * 20})
    found = measure(cases, long(cases, {"ill": np.linspace(0.1, 0.9, 20)}), resamples=FEW)
    assert found["auroc"] == found["auroc"]._replace(value=None, low=None, high=None)
    assert found["auprc"].value is None
    assert found["balanced_accuracy"].value is None
    assert found["accuracy"].value == 0.5


def test_a_class_that_no_case_has_is_left_out_of_the_means() -> None:
    generator = np.random.default_rng(0)
    truth, value = generator.integers(0, 2, 80), generator.dirichlet((1, 1, 1), 80)
    cases = cases_of((Target("kind", "multiclass", ("a", "b", "c")),), {"kind": truth})
    found = measure(cases, long(cases, dict(zip("abc", value.T, strict=True))), resamples=FEW)
    both = [sk.roc_auc_score(truth == index, value[:, index]) for index in (0, 1)]
    assert found["auroc"].value == pytest.approx(np.mean(both))
    assert found["auroc/c"].value is None
    assert found["auroc"].low is not None


def test_one_group_alone_has_values_without_intervals() -> None:
    cases, predictions, *_ = binary(40, group=["same"] * 40)
    found = measure(cases, predictions, resamples=FEW)
    assert found["auroc"].value is not None
    assert {one.low for one in found.values()} == {None}


def test_no_case_at_all_has_no_figures() -> None:
    cases, predictions, *_ = binary(40)
    assert measure(cases.where(pl.lit(False)), predictions) == {}


def test_a_perfect_model_is_not_called_certain() -> None:
    truth = [0] * 20 + [1] * 10
    cases = cases_of((ILL,), {"state": truth})
    found = measure(cases, long(cases, {"ill": np.array(truth) * 0.8 + 0.1}), resamples=FEW)
    # With an AUROC below .025 ** (1 / 10), ten disjoint pairs would all be in order with less than 2.5 %.
    assert found["auroc"][:3] == pytest.approx((1, 0.025**0.1, 1))


def test_errors_say_what_to_do() -> None:
    cases, predictions, *_ = binary(40)
    with pytest.raises(UserError, match="1 of 40 cases have no prediction of 'state', the first is c0007"):
        measure(cases, Predictions(predictions.table.filter(pl.col("case_id") != "c0007")))
    with pytest.raises(UserError, match="predicted twice for case"):
        measure(cases, Predictions(pl.concat([predictions.table, predictions.table.head(1)])))
    with pytest.raises(UserError, match="40 predictions of 'state' are no numbers"):
        measure(cases, Predictions(predictions.table.with_columns(value=pl.lit(float("nan")))))
    with pytest.raises(UserError, match="only 0 to 1 are classes: well, ill"):
        measure(Cases(cases.table.with_columns(state=pl.lit(2)), cases.targets), predictions)
    with pytest.raises(UserError, match="no column is called 'sx'"):
        measure(cases, predictions, subgroups=("sx",))


# --- subgroups -------------------------------------------------------------------------------------------


def test_subgroups_are_values_or_quarters_and_null_is_unknown() -> None:
    table = pl.DataFrame({"sex": ["F", "M", None, "F"] * 25, "age": list(range(100)), "late": [True, False] * 50})
    named = {column: {name: int(mask.sum()) for name, mask in levels(table, column)} for column in table.columns}
    assert named["sex"] == {"F": 50, "M": 25, "unknown": 25}
    assert named["age"] == {"under 24.75": 25, "24.75 to 49.5": 25, "49.5 to 74.25": 25, "74.25 and over": 25}
    assert named["late"] == {"false": 50, "true": 50}


def test_subgroup_figures_are_those_of_its_cases() -> None:
    sex = np.array(["F", "M", "X"])[np.random.default_rng(1).choice(3, 300, p=(0.5, 0.45, 0.05))]
    cases, predictions, truth, value = binary(sex=sex)
    found = measure(cases, predictions, subgroups=("sex",), resamples=FEW)
    assert found["auroc[sex=F]"].value == pytest.approx(sk.roc_auc_score(truth[sex == "F"], value[sex == "F"]))
    assert found["auroc[sex=F]"].n == np.sum(sex == "F")
    assert not [name for name in found if "sex=X" in name]  # too few cases


def test_only_the_planted_subgroup_differs() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 1200)
    site = generator.integers(0, 4, 1200)
    # At site 3 the scores know nothing.
    value = 1 / (1 + np.exp(-generator.normal(np.where(site == 3, 0, 2.0 * truth - 1), 1)))
    cases = cases_of((ILL,), {"state": truth}, site=[f"s{one}" for one in site], coin=generator.integers(0, 2, 1200))
    rows = subgroup_table(cases, long(cases, {"ill": value}), subgroups=("site", "coin"), resamples=500)
    auroc = {row.level: row for row in rows if row.metric == "auroc"}
    assert auroc["s3"].differs
    assert auroc["s3"].difference.high < 0
    assert not auroc["0"].differs
    assert not auroc["1"].differs


def test_differences_by_chance_are_rare() -> None:
    false_alarms = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        columns = {f"x{number}": generator.integers(0, 2, 150).astype(str) for number in range(3)}
        cases, predictions, *_ = binary(150, seed, **columns)
        rows = subgroup_table(cases, predictions, subgroups=tuple(columns), resamples=200, seed=seed)
        false_alarms += any(row.differs for row in rows)
    assert false_alarms <= 6  # of 40; at 5 % each, 7 or more have a probability below 1 %


def test_a_sensitivity_of_exactly_the_stated_share_is_enough() -> None:
    """38 of 40 positives are .95: the threshold at the 38th costs one negative, at the 39th all of them."""
    positives = [0.9] * 38 + [0.1] * 2
    negatives = [0.95] + [0.2] * 39
    ids = [f"c{i}" for i in range(80)]
    cases = Cases(
        pl.DataFrame({"case_id": ids, "ill": [1] * 40 + [0] * 40}), (Target("ill", "binary", ("well", "ill")),)
    )
    table = pl.DataFrame({"case_id": ids, "item": "ill", "value": positives + negatives})
    found = measure(cases, Predictions(table), resamples=FEW)
    assert found["specificity@sensitivity=0.95"].value == pytest.approx(39 / 40)
    turned = table.with_columns(value=1 - pl.col("value"))
    well = Cases(cases.table.with_columns(ill=1 - pl.col("ill")), cases.targets)
    assert measure(well, Predictions(turned), resamples=FEW)["sensitivity@specificity=0.95"].value == pytest.approx(
        39 / 40
    )
