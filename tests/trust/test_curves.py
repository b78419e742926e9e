"""Figures show what the predictions say: areas, counts and net benefits equal independent ones."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as sk
from sklearn.calibration import calibration_curve

from medeor.contracts import Cases, Measure, Predictions, Target
from medeor.figures import Intervals, Lines, Matrix, Series, Table
from medeor.targets import of
from medeor.targets.common.drawings import POINTS
from medeor.targets.outcomes import lined_up
from medeor.trust import curves
from medeor.trust.measures import measure, subgroup_table

ILL = Target("state", "binary", ("well", "ill"))


def binary(size: int = 400, seed: int = 0):
    generator = np.random.default_rng(seed)
    truth = (generator.random(size) < 0.3).astype(int)
    value = 1 / (1 + np.exp(-generator.normal(2 * truth - 1.5, 1)))
    ids = [f"c{row}" for row in range(size)]
    table = pl.DataFrame({"case_id": ids, "state": truth, "sex": generator.choice(["F", "M"], size)})
    long = pl.DataFrame({"case_id": ids, "item": "ill", "value": value, "raw": value**2, "chosen": value >= 0.4})
    return Cases(table, (ILL,)), Predictions(long), truth, value


def drawn_of(cases: Cases, predictions: Predictions) -> dict:
    """What the kind of the target draws, by its title."""
    return {str(figure.title): figure for figure in of(cases.targets[0]).draw(lined_up(cases, predictions), [])}


def area(line: Series) -> float:
    return float(np.trapezoid(line.y, line.x))


@pytest.mark.parametrize("size", [50, 20_000])
def test_area_under_the_drawn_roc_is_the_auroc(size: int) -> None:
    cases, predictions, truth, value = binary(size)
    (line,) = drawn_of(cases, predictions)["ROC curve"].series
    assert len(line.x) <= POINTS
    assert (line.x[0], line.y[0], line.x[-1], line.y[-1]) == (0, 0, 1, 1)
    assert area(line) == pytest.approx(sk.roc_auc_score(truth, value), abs=1e-9 if size == 50 else 2e-3)


def test_precision_and_recall_lie_on_sklearns_curve() -> None:
    cases, predictions, truth, value = binary(150)
    (line,) = drawn_of(cases, predictions)["Precision and recall"].series
    precision, recall, _ = sk.precision_recall_curve(truth, value)
    known = {(round(r, 9), round(p, 9)) for r, p in zip(recall, precision, strict=True)}
    assert {(round(r, 9), round(p, 9)) for r, p in zip(line.x[1:], line.y[1:], strict=True)} <= known
    assert line.x[-1] == 1


def test_net_benefit_by_its_formula() -> None:
    cases, predictions, truth, value = binary()
    figure = drawn_of(cases, predictions)["Decision curve"]
    lines = {str(line.name): dict(zip(np.round(line.x, 2), line.y, strict=True)) for line in figure.series}
    for threshold in (0.05, 0.2, 0.5):
        treated = value >= threshold
        odds = threshold / (1 - threshold)
        expected = (np.sum(treated & (truth == 1)) - np.sum(treated & (truth == 0)) * odds) / len(truth)
        assert lines["Model"][threshold] == pytest.approx(expected)
        assert lines["Treat all"][threshold] == pytest.approx(truth.mean() - (1 - truth.mean()) * odds)
        assert lines["Treat none"][threshold] == 0


def test_reliability_agrees_with_sklearn_and_brackets_its_rates() -> None:
    cases, predictions, truth, value = binary()
    after, before = drawn_of(cases, predictions)["Reliability"].series
    observed, predicted = calibration_curve(truth, value, n_bins=10, strategy="quantile")
    assert after.y == pytest.approx(observed)
    assert after.x == pytest.approx(predicted)
    assert before.x == pytest.approx(calibration_curve(truth, value**2, n_bins=10, strategy="quantile")[1])
    assert all(low <= rate <= high for low, rate, high in zip(after.low, after.y, after.high, strict=True))
    assert max(after.high) > max(after.y)


def test_histograms_hold_every_case() -> None:
    cases, predictions, truth, value = binary()
    well, ill = drawn_of(cases, predictions)["Distribution of predictions"].series
    for line, side in ((well, value[truth == 0]), (ill, value[truth == 1])):
        heights, starts = np.array(line.y[1::2][:-1]), np.array(line.x[1::2][:-1])
        assert heights.sum() == pytest.approx(1)
        assert heights[0] == pytest.approx(np.mean(side < 0.05))
        assert starts[1] == pytest.approx(0.05)


def test_confusion_matrix_equals_sklearn() -> None:
    cases, predictions, truth, value = binary()
    figure = drawn_of(cases, predictions)["Confusion matrix"]
    assert np.array(figure.values) == pytest.approx(sk.confusion_matrix(truth, value >= 0.4))
    assert figure.rows == ("well", "ill")


def test_a_binary_study_gets_the_whole_set_in_order() -> None:
    cases, predictions, *_ = binary()
    found = measure(cases, predictions, resamples=50)
    found |= {f"baseline/{name}": one for name, one in found.items()}
    rows = subgroup_table(cases, predictions, subgroups=("sex",), resamples=50)
    drawn = curves.figures(cases, predictions, baseline=predictions, measures=found, subgroups=rows)
    assert [str(figure.title) for figure in drawn] == [
        "Measures with 95 % intervals",
        "ROC curve",
        "Precision and recall",
        "Reliability",
        "Distribution of predictions",
        "Confusion matrix",
        "Decision curve",
        "Operating points",
        "AUROC by subgroup",
        "Sensitivity by subgroup",
        "Specificity by subgroup",
        "Subgroups against all others",
    ]
    forest, roc = drawn[0], drawn[1]
    assert isinstance(forest, Intervals)
    assert [str(row[0]) for row in forest.rows[:2]] == ["AUROC", "AUROC, baseline"]
    assert isinstance(roc, Lines)
    assert [str(line.name) for line in roc.series] == ["Model", "Baseline"]
    by_sex = drawn[8]
    assert isinstance(by_sex, Intervals)
    assert by_sex.reference == found["auroc"].value
    assert [row[0].split()[:2] for row in by_sex.rows] == [["sex:", "F"], ["sex:", "M"]]


def test_many_classes_draw_the_six_most_common() -> None:
    generator = np.random.default_rng(0)
    truth = np.repeat(np.arange(9), np.arange(10, 28, 2))
    names = tuple("abcdefghi")
    ids = [f"c{row}" for row in range(len(truth))]
    cases = Cases(pl.DataFrame({"case_id": ids, "kind": truth}), (Target("kind", "multiclass", names),))
    value = generator.dirichlet(np.ones(9), len(truth))
    long = pl.DataFrame({"case_id": np.repeat(ids, 9), "item": list(names) * len(truth), "value": value.ravel()})
    drawn = {str(figure.title): figure for figure in curves.figures(cases, Predictions(long))}
    roc, matrix = drawn["ROC curve"], drawn["Confusion matrix"]
    assert isinstance(roc, Lines)
    assert [line.name for line in roc.series] == list("defghi")
    assert str(roc.caption) == "The 6 with the most cases of 9."
    assert isinstance(matrix, Matrix)
    assert np.sum(matrix.values) == len(truth)


def test_labels_share_their_plots() -> None:
    generator = np.random.default_rng(0)
    ids = [f"c{row}" for row in range(100)]
    truth = {name: generator.integers(0, 2, 100) for name in ("edema", "effusion")}
    cases = Cases(pl.DataFrame({"case_id": ids, **truth}), tuple(Target(name, "binary") for name in truth))
    long = pl.concat([pl.DataFrame({"case_id": ids, "item": n, "value": generator.random(100)}) for n in truth])
    drawn = curves.figures(cases, Predictions(long))
    assert [str(figure.title) for figure in drawn] == ["ROC curve", "Precision and recall", "Reliability"]
    for figure in drawn:
        assert isinstance(figure, Lines)
        assert [line.name for line in figure.series] == ["edema", "effusion"]


def test_numbers_are_drawn_against_the_truth() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(50, 10, 1000)
    ids = [f"c{row}" for row in range(1000)]
    cases = Cases(pl.DataFrame({"case_id": ids, "dose": truth}), (Target("dose", "continuous", unit="mg"),))
    long = pl.DataFrame({"case_id": ids, "item": "dose", "value": truth + 1})
    (figure,) = curves.figures(cases, Predictions(long))
    assert isinstance(figure, Lines)
    (cloud,) = figure.series
    assert cloud.points
    assert len(cloud.x) == 400
    assert np.subtract(cloud.y, cloud.x) == pytest.approx(np.ones(400))
    assert str(figure.x_label) == "True (mg)"


def test_operating_points_are_written_for_a_reader() -> None:
    measures = {
        "auroc": Measure(0.9, 0.8, 1.0, 50),
        "sensitivity": Measure(0.8, 0.7, 0.9, 20),
        "ppv@prevalence=0.05": Measure(0.2, None, None, 50),
        "sensitivity[sex=F]": Measure(0.8, 0.7, 0.9, 20),
        "baseline/sensitivity": Measure(0.7, 0.6, 0.8, 20),
    }
    (table,) = curves.operating_points(measures)
    assert isinstance(table, Table)
    (name, value, between), second = table.rows
    assert (str(name), value, str(between)) == ("Sensitivity", 0.8, "0.700 to 0.900")
    assert (str(second[0]), *second[1:]) == ("PPV at prevalence 0.05", 0.2, None)


def test_odd_parts_are_drawn_without_a_crash() -> None:
    cases, predictions, *_ = binary(40)
    one_class = cases.where(pl.col("state") == 0)
    for some in (one_class, cases.where(pl.col("case_id") == "c1"), cases.where(pl.lit(False))):
        for figure in curves.figures(some, predictions, measures=measure(some, predictions, resamples=30)):
            if isinstance(figure, Lines):
                values = [value for line in figure.series for value in (*line.x, *line.y, *line.low, *line.high)]
                assert np.isfinite(values).all()
