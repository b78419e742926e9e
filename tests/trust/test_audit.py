"""The audit finds what was planted, names the cases, and finds nothing in clean data."""

import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from medeor.contracts import Cases, Finding, Predictions, Split, Target, UserError
from medeor.trust.audit import accepted, audit, label_errors
from medeor.trust.shortcuts import _binned, _out_of_fold, reached, shortcut

SICK = Target("sick", "binary", ("no", "yes"))
GRADE = Target("grade", "multiclass", ("a", "b", "c"))


def study(n: int = 300, seed: int = 0, **columns: object) -> tuple[Cases, Split]:
    """Clean cases: two images a patient, three sites that know nothing of the label, folds by patient."""
    generator = np.random.default_rng(seed)
    patient = np.arange(n) // 2
    part = np.array(["train", "train", "validation", "test"])[patient % 4]
    table = pl.DataFrame(
        {
            "case_id": [f"c{i}" for i in range(n)],
            "group": [f"p{i}" for i in patient],
            "site": generator.choice(["x", "y", "z"], n),
            "sick": generator.integers(0, 2, n),
            "header.Kernel": generator.choice(["soft", "hard"], n),
            "age": generator.normal(60, 10, n),
        }
    ).with_columns(**{name: pl.Series(values) for name, values in columns.items()})
    fold = [None if p == "test" else int(g) % 5 for p, g in zip(part, patient, strict=True)]
    split = pl.DataFrame({"case_id": table["case_id"], "part": part, "fold": pl.Series(fold, dtype=pl.Int32)})
    return Cases(table, (SICK,)), Split(split)


def verdict(findings: list[Finding], check: str) -> Finding:
    (found,) = [finding for finding in findings if finding.check == check]
    return found


def status(cases: Cases, split: Split) -> dict[str, str]:
    return {finding.check: finding.status for finding in audit(cases, split)}


def with_parts(split: Split, *rows: tuple[str, str]) -> Split:
    """The split with the part of some cases changed."""
    parts = pl.col("case_id").replace_strict(dict(rows), default=pl.col("part"))
    return Split(split.table.with_columns(part=parts))


@pytest.mark.parametrize("seed", range(5))
def test_clean_cases_pass_every_check(seed: int) -> None:
    assert set(status(*study(seed=seed)).values()) == {"pass"}


def test_a_patient_in_two_parts_is_leakage_and_is_named() -> None:
    cases, split = study()
    found = verdict(audit(cases, with_parts(split, ("c0", "test"))), "groups-across-parts")
    assert found.stops
    assert found.cases == ("c0", "c1")
    assert "1 of 150 groups" in str(found.message)


def test_a_patient_in_two_folds_is_leakage() -> None:
    cases, split = study()
    folds = pl.when(pl.col("case_id") == "c0").then(4).otherwise("fold").cast(pl.Int32)
    assert verdict(audit(cases, Split(split.table.with_columns(fold=folds))), "groups-across-parts").stops


def test_without_patients_the_check_says_that_it_does_not_know() -> None:
    cases, split = study()
    alone = Cases(cases.table.with_columns(group=pl.col("case_id")), cases.targets)
    assert status(alone, split)["groups-across-parts"] == "unknown"
    assert status(Cases(cases.table.drop("group"), cases.targets), split)["groups-across-parts"] == "unknown"


def test_groups_that_the_reader_made_of_copies_are_no_patients() -> None:
    cases, split = study()
    content = ["same", *(f"d{i}" for i in range(1, 299)), "same"]
    tied = pl.when(pl.col("case_id") == "c299").then(pl.lit("c0")).otherwise("case_id")
    table = cases.table.with_columns(group=tied, content=pl.Series(content))
    assert status(Cases(table, cases.targets), with_parts(split, ("c299", "test")))["groups-across-parts"] == "unknown"
    # Tied although they differ: the reader knew from elsewhere that it is one patient.
    other = table.with_columns(content=pl.Series([f"d{i}" for i in range(300)]))
    found = verdict(audit(Cases(other, cases.targets), with_parts(split, ("c299", "test"))), "groups-across-parts")
    assert found.stops
    assert found.cases == ("c0", "c299")


def test_a_claimed_split_by_time_is_checked_by_the_last_case_of_each_patient() -> None:
    cases, split = study()
    days = np.array([100.0 if part == "test" else 10.0 for part in split.table["part"]])
    timed = Cases(cases.table.with_columns(time=pl.Series(days)), cases.targets)
    assert verdict(audit(timed, split, by="time"), "times-across-parts").status == "pass"
    days[0] = 101.0
    late = Cases(cases.table.with_columns(time=pl.Series(days)), cases.targets)
    assert verdict(audit(late, split, by="time"), "times-across-parts").cases == ("c0", "c1")
    assert verdict(audit(cases, split, by="time"), "times-across-parts").status == "unknown"
    assert "times-across-parts" not in status(late, split)


def test_a_class_seen_only_in_the_test_part_is_found() -> None:
    cases, split = study()
    grade = np.where(split.table["part"].to_numpy() == "test", 2, np.arange(300) % 2)
    graded = Cases(cases.table.with_columns(grade=pl.Series(grade)), (GRADE,))
    found = verdict(audit(graded, split), "class-missing-in-training")
    assert found.status == "fail"
    assert str(found.message).startswith("grade = c appears")
    assert set(found.cases) == set(split.table.filter(pl.col("part") == "test")["case_id"])


def test_one_class_alone_is_found() -> None:
    cases, split = study(sick=np.ones(300, dtype=int))
    found = verdict(audit(cases, split), "one-class")
    assert found.status == "fail"
    assert "than sick = yes" in str(found.message)


@pytest.mark.parametrize(
    ("rare", "expected", "said"),
    [(14, "pass", "138 with sick = no, 14 with sick = yes"), (13, "fail", "139 with sick = no, 13 with sick = yes")],
)
def test_imbalance_is_held_against_ten_to_one(rare: int, expected: str, said: str) -> None:
    cases, split = study()
    # The training part has 152 cases.
    train = split.table["part"].to_numpy() == "train"
    sick = np.where(train, np.cumsum(train) <= rare, np.arange(300) % 3 == 0).astype(int)
    found = verdict(audit(Cases(cases.table.with_columns(sick=pl.Series(sick)), cases.targets), split), "imbalance")
    assert found.status == expected
    assert said in str(found.message)


def test_missing_labels_are_counted_and_named() -> None:
    cases, split = study()
    some = pl.when(pl.col("case_id").is_in(["c3", "c7"])).then(None).otherwise("sick")
    found = verdict(audit(Cases(cases.table.with_columns(sick=some), cases.targets), split), "missing-labels")
    assert (found.status, found.cases) == ("fail", ("c3", "c7"))
    size = Target("age", "continuous", unit="years")
    gaps = pl.when(pl.col("case_id") == "c5").then(float("nan")).otherwise("age")
    found = verdict(audit(Cases(cases.table.with_columns(age=gaps), (size,)), split), "missing-labels")
    assert found.cases == ("c5",)


def test_a_part_of_few_patients_is_called_tiny() -> None:
    cases, split = study(152)
    found = verdict(audit(cases, split), "tiny-part")
    assert found.status == "fail"
    assert "test has 19 independent units" in str(found.message)


def test_a_site_that_gives_the_label_away_is_found_and_a_lone_site_is_unknown() -> None:
    cases, split = study()
    sick = cases.table["sick"].to_numpy()
    given_away = Cases(cases.table.with_columns(site=pl.Series(np.where(sick == 1, "x", "y"))), cases.targets)
    assert status(given_away, split)["site-alone-predicts-the-label"] == "fail"
    lone = Cases(cases.table.with_columns(site=pl.lit("x")), cases.targets)
    assert status(lone, split)["site-alone-predicts-the-label"] == "unknown"


def test_header_facts_that_give_the_label_away_are_found_words_numbers_and_gaps_alike() -> None:
    cases, split = study()
    sick = cases.table["sick"].to_numpy()
    generator = np.random.default_rng(1)
    flipped = np.where(generator.random(300) < 0.15, 1 - sick, sick)
    table = cases.table.with_columns(
        pl.Series("header.Kernel", np.where(flipped == 1, "soft", "hard")),
        pl.Series("header.Dose", 10 * flipped + generator.normal(size=300)),
        pl.Series("header.Note", [str(i) if s else None for i, s in enumerate(flipped)]),
        pl.Series("header.Number", [f"n{i}" for i in range(300)]),
    )
    found = status(Cases(table, cases.targets), split)
    assert found["shortcut/header.Kernel"] == found["shortcut/header.Dose"] == "fail"
    assert found["shortcut/age"] == "pass"
    # A word of its own for each case is a name and no fact.
    assert "shortcut/header.Number" not in found


def test_a_fact_known_of_a_few_cases_does_not_reach_the_bound() -> None:
    cases, _ = study(1000)
    sick = cases.table["sick"].to_numpy()
    marked = [1.0 if s and i % 20 == 0 else None for i, s in enumerate(sick)]
    assert shortcut("shortcut/mark", "a mark", pl.DataFrame({"mark": marked}), cases).status == "pass"


def test_the_small_model_is_the_log_likelihood_ratio_of_the_other_folds() -> None:
    codes = np.array([[0], [0], [1], [1], [0], [1]])
    positive = np.array([True, False, False, True, True, False])
    fold = np.array([0, 0, 0, 1, 1, 1])
    # Without fold 1: bin 0 holds one of each class, bin 1 one healthy case; half a case is added to each cell.
    expected = np.log((1.5 / 2.0) / (1.5 / 3.0)), np.log((0.5 / 2.0) / (1.5 / 3.0))
    score = _out_of_fold(codes, positive, fold)
    np.testing.assert_allclose(score[[4, 3, 5]], [expected[0], expected[1], expected[1]])


def test_the_small_model_finds_no_signal_in_noise_and_the_true_one_in_signal() -> None:
    generator = np.random.default_rng(0)
    sick = generator.integers(0, 2, 4000)
    fold = np.arange(4000) % 5
    value = sick + generator.normal(size=4000)
    score = _out_of_fold(_binned(pl.Series("n", value))[:, None], sick == 1, fold)
    # Two normal distributions one standard deviation apart: Phi(1 / sqrt 2).
    assert roc_auc_score(sick, score) == pytest.approx(0.760, abs=0.025)
    noise = _out_of_fold(_binned(pl.Series("n", generator.permutation(value)))[:, None], sick == 1, fold)
    assert roc_auc_score(sick, noise) == pytest.approx(0.5, abs=0.03)


def test_a_shortcut_to_a_number_or_to_one_of_several_classes_is_found() -> None:
    cases, split = study()
    grade = np.arange(300) % 3
    kernel = pl.Series("header.Kernel", np.where(grade == 1, "soft", "hard"))
    graded = Cases(cases.table.with_columns(kernel, grade=pl.Series(grade)), (GRADE,))
    found = verdict(audit(graded, split), "shortcut/header.Kernel")
    assert found.status == "fail"
    assert "predicts grade = b" in str(found.message)
    age = Target("age", "continuous", unit="years")
    kernel = pl.Series("header.Kernel", np.where(cases.table["age"].to_numpy() > 60, "soft", "hard"))
    found = verdict(audit(Cases(cases.table.with_columns(kernel), (age,)), split), "shortcut/header.Kernel")
    assert found.status == "fail"


def test_accepting_marks_a_failure_and_refuses_an_unknown_name() -> None:
    findings = [Finding("imbalance", "labels", "pass", ""), Finding("groups-across-parts", "leakage", "fail", "")]
    first, second = accepted(findings, ("groups-across-parts", "imbalance"))
    assert not first.accepted
    assert second.accepted
    assert not second.stops
    with pytest.raises(UserError, match=r"imbalanse.*groups-across-parts, imbalance"):
        accepted(findings, ("imbalanse",))


# --- label errors ----------------------------------------------------------------------------------------


def predicted(truth: np.ndarray, sharpness: float, seed: int = 0) -> np.ndarray:
    """Probabilities of a good model, shape (n, 3), of cases whose true class is `truth`."""
    logits = np.random.default_rng(seed).normal(size=(len(truth), 3)) + sharpness * np.eye(3)[truth]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def judged(labels: np.ndarray, probabilities: np.ndarray) -> Finding:
    ids = [f"c{i}" for i in range(len(labels))]
    long = pl.DataFrame(
        {"case_id": np.repeat(ids, 3), "item": ["a", "b", "c"] * len(ids), "value": probabilities.ravel()}
    )
    return label_errors(Cases(pl.DataFrame({"case_id": ids, "grade": labels}), (GRADE,)), Predictions(long))


def test_planted_label_errors_are_found_and_ranked_first() -> None:
    truth = np.random.default_rng(1).integers(0, 3, 900)
    labels = truth.copy()
    labels[:45] = (truth[:45] + 1) % 3
    found = judged(labels, predicted(truth, 7))
    planted = {f"c{i}" for i in range(45)}
    assert found.status == "fail"
    assert len(planted & set(found.cases)) >= 43
    assert len(planted & set(found.cases[:45])) >= 43
    assert re.search("an estimated [45][.]", str(found.message))


def test_right_labels_pass() -> None:
    truth = np.random.default_rng(1).integers(0, 3, 900)
    assert judged(truth, predicted(truth, 7)).status == "pass"


def test_models_that_know_little_cannot_judge_labels() -> None:
    truth = np.random.default_rng(1).integers(0, 3, 900)
    assert judged(truth, predicted(truth, 1)).status == "unknown"


def test_label_errors_of_a_two_class_question_and_of_a_number() -> None:
    generator = np.random.default_rng(0)
    ids = [f"c{i}" for i in range(400)]
    sick = generator.integers(0, 2, 400)
    risk = 1 / (1 + np.exp(6 - 12 * sick + generator.normal(0, 1.5, 400)))
    age = generator.normal(60, 10, 400)
    labels = np.where(np.arange(400) < 12, 1 - sick, sick)
    said = age + generator.normal(0, 2, 400)
    ages = np.where(np.arange(400) >= 388, age + 50, age)
    table = pl.DataFrame({"case_id": ids, "sick": labels, "age": ages})
    cases = Cases(table, (SICK, Target("age", "continuous")))
    values = {"yes": risk, "age": said}
    parts = [pl.DataFrame({"case_id": ids, "item": item, "value": value}) for item, value in values.items()]
    found = label_errors(cases, Predictions(pl.concat(parts)))
    planted = {f"c{i}" for i in [*range(12), *range(388, 400)]}
    assert set(found.cases) <= planted
    # How many are wrong is an estimate: the least doubtful one may be missed.
    assert len(found.cases) >= 23
    assert found.status == "fail"


def drawn(n: int, apart: float, wrong: float, seed: int, sure: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of two normal distributions, a share of them wrong, and log-odds: exact, or `sure` times as large."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, n)
    odds = sure * apart * generator.normal(apart * (truth - 0.5))
    return np.where(generator.random(n) < wrong, 1 - truth, truth), odds


def two_classes(n: int, apart: float, wrong: float, seed: int, sure: float = 1.0) -> Finding:
    labels, odds = drawn(n, apart, wrong, seed, sure)
    risk = 1 / (1 + np.exp(-odds))
    ids = [f"c{i}" for i in range(n)]
    cases = Cases(pl.DataFrame({"case_id": ids, "sick": labels}), (SICK,))
    return label_errors(cases, Predictions(pl.DataFrame({"case_id": ids, "item": "yes", "value": risk})))


@pytest.mark.parametrize(("apart", "sure"), [(2.0, 1.0), (3.0, 1.0), (4.0, 1.0), (3.0, 3.0), (3.0, 0.3)])
def test_labels_that_are_only_hard_are_not_called_wrong(apart: float, sure: float) -> None:
    """Also by models that are too sure of themselves, or too little."""
    claims = [two_classes(600, apart, 0.0, seed, sure).cases for seed in range(40)]
    # One is expected among forty studies, and four or more in one of fifty times forty.
    assert sum(bool(cases) for cases in claims) <= 3


def test_hard_labels_of_several_classes_are_not_called_wrong() -> None:
    claims = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        probabilities = np.exp(4 * generator.normal(size=(600, 3)))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        labels = (probabilities.cumsum(axis=1) < generator.random((600, 1))).sum(axis=1).clip(0, 2)
        claims += bool(judged(labels, probabilities).cases)
    assert claims <= 4


def test_labels_are_called_wrong_where_that_explains_them_beyond_chance() -> None:
    """Twice the gain in log-likelihood by a share of wrong labels, found by a general optimiser, against 3.84."""

    def loss(parameters: np.ndarray, labels: np.ndarray, odds: np.ndarray) -> float:
        right = expit(np.exp(parameters[0]) * np.where(labels == 1, odds, -odds))
        return -float(np.log(right + parameters[1] * (1 - 2 * right) + 1e-300).sum())

    claimed = []
    for seed in range(20):
        labels, odds = drawn(600, 4.0, 0.004, seed)
        free, none = (
            minimize(loss, (0.0, start), (labels, odds), bounds=[(-2.3, 2.3), (0, most)]).fun
            for start, most in ((0.01, 0.3), (0.0, 0.0))
        )
        gain = 2 * (none - free)
        if abs(gain - 3.84) > 0.3:
            claimed.append(gain > 3.84)
            assert bool(two_classes(600, 4.0, 0.004, seed).cases) == claimed[-1]
    assert 4 < sum(claimed) < len(claimed) - 2


def test_wrong_labels_among_hard_ones_are_still_found() -> None:
    found = [two_classes(600, 4.0, 0.05, seed) for seed in range(20)]
    assert sum(finding.status == "fail" for finding in found) >= 19


def test_without_held_out_predictions_label_errors_are_unknown() -> None:
    cases, _ = study()
    empty = Predictions(pl.DataFrame(schema={"case_id": pl.String, "item": pl.String, "value": pl.Float64}))
    assert label_errors(cases, empty).status == "unknown"


# --- the edges of the bounds -----------------------------------------------------------------------------


def test_shortcuts_are_looked_for_without_the_test_part() -> None:
    """A column that gives the label away among test cases alone: to look at it would be to look at their labels."""
    cases, split = study()
    tested = (split.table["part"] == "test").to_numpy()
    sick = cases.table["sick"].to_numpy()
    generator = np.random.default_rng(5)
    kernel = np.where(tested, sick == 1, generator.random(300) < 0.5)
    table = cases.table.with_columns(pl.Series("header.Kernel", np.where(kernel, "soft", "hard")))
    found = verdict(audit(Cases(table, (SICK,)), split), "shortcut/header.Kernel")
    assert found.status == "pass"
    blind = table.with_columns(sick=pl.when(pl.Series(tested)).then(None).otherwise("sick"))
    assert verdict(audit(Cases(blind, (SICK,)), split), "shortcut/header.Kernel").message == found.message


@pytest.mark.parametrize(("hour", "status"), [(12, "pass"), (13, "fail")])
def test_a_training_case_of_the_first_test_cases_moment_is_not_from_the_future(hour: int, status: str) -> None:
    cases, split = study(40)
    tested = split.table["part"] == "test"
    times = pl.select(pl.when(tested).then(pl.datetime(2020, 5, 1, 12)).otherwise(pl.datetime(2020, 5, 1, hour)))
    timed = Cases(cases.table.with_columns(time=times.to_series()), (SICK,))
    assert verdict(audit(timed, split, by="time"), "times-across-parts").status == status


@pytest.mark.parametrize(("common", "status"), [(100, "pass"), (101, "fail")])
def test_imbalance_fails_beyond_ten_to_one_and_names_both_classes(common: int, status: str) -> None:
    n = common + 10
    cases, split = study(n, sick=[1] * 10 + [0] * common)
    every = Split(split.table.with_columns(part=pl.lit("train")))
    found = verdict(audit(cases, every), "imbalance")
    assert found.status == status
    assert f"{common} with sick = no, 10 with sick = yes" in str(found.message)


def test_features_of_the_model_are_no_shortcuts() -> None:
    cases, split = study(age=study()[0].table["sick"].to_numpy())
    assert status(cases, split)["shortcut/age"] == "fail"
    assert "shortcut/age" not in status(replace(cases, features=("age",)), split)


def test_each_feature_alone_reaches_what_its_column_tells() -> None:
    cases, _ = study()
    sick = cases.table["sick"]
    told = reached(pl.DataFrame({"same": sick, "noise": cases.table["age"], "word": sick.cast(pl.String)}), cases)
    assert told["same"] == told["word"] == 1.0
    assert told["noise"] < 0.65
    few = cases.where(pl.col("sick").cum_sum() < 5)
    assert reached(few.table.select(same="sick"), few) == {"same": 0.0}


def test_findings_read_the_same_when_they_come_back_from_json() -> None:
    cases, split = study(152, sick=[None, *(np.arange(151) % 3 == 0).astype(int)], site=["x", "y"] * 76)
    findings = [*audit(cases, with_parts(split, ("c0", "test")), by="time"), two_classes(600, 4.0, 0.05, 0)]
    assert {finding.status for finding in findings} == {"pass", "fail", "unknown"}
    for finding in findings:
        again = Finding.from_json(json.loads(json.dumps(finding.to_json())))
        assert str(again.message) == str(finding.message)
