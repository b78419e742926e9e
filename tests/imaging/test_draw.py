"""Cases as a person would look at them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import tiny
from medeor.contracts import OUT_OF_DOMAIN, Cases, Explanation, Explanations, Predictions, Result, Target
from medeor.figures import Gallery
from medeor.imaging.draw import LARGEST, galleries, judged, picture_of
from medeor.targets import of


def predictions(
    cases: Cases, values: list[float], items: tuple[str, ...], chosen: list[bool | None] | None = None
) -> Predictions:
    rows = {"case_id": np.repeat(cases.ids, len(items)), "item": list(items) * len(cases), "value": values}
    table = pl.DataFrame(rows)
    return Predictions(table if chosen is None else table.with_columns(pl.Series("chosen", chosen)))


def asked(target: Target, truth: list[float | None]) -> Cases:
    images = np.random.default_rng(0).integers(0, 255, (len(truth), 10, 12), np.uint8)
    cases = tiny.cases_of(images)
    return Cases(cases.table.with_columns(pl.Series(target.name, truth)), (target,), cases.stores)


def test_a_decision_is_judged_by_its_threshold_and_told_in_words() -> None:
    target = Target("lesion", "binary", ("benign", "malignant"))
    cases = asked(target, [1, 0, None])
    said = predictions(cases, [0.3, 0.3, 0.9], ("malignant",), [True, True, True])
    one = [judged(cases.where(pl.col("case_id") == case), said) for case in cases.ids]
    assert [right for right, _ in one] == [True, False, None]
    assert [str(words).split(": ", 1)[1].split(";")[0] for _, words in one[:2]] == ["truth malignant", "truth benign"]
    assert "truth" not in str(one[2][1])
    assert all(str(words).startswith(case) for case, (_, words) in zip(cases.ids, one))


def test_the_likeliest_class_and_a_number_are_told() -> None:
    grades = Target("grade", "ordinal", ("0", "I", "II"))
    cases = asked(grades, [2, 1])
    said = predictions(cases, [0.1, 0.2, 0.7, 0.5, 0.3, 0.2], of(grades).items)
    results = [judged(cases.where(pl.col("case_id") == case), said) for case in cases.ids]
    assert [right for right, _ in results] == [True, False]
    assert "truth II; II 70%, decision II" in str(results[0][1])
    number = Target("size", "continuous")
    cases = asked(number, [12.5])
    assert "size 11.2, truth 12.5" in str(judged(cases, predictions(cases, [11.25], ("size",)))[1])


def test_who_decides_nothing_is_neither_right_nor_wrong() -> None:
    target = Target("lesion", "binary", ("benign", "malignant"))
    cases = asked(target, [1, 0, None])
    for withheld in (
        predictions(cases, [0.41, 0.41, 0.41], ("malignant",), [None, None, None]),
        predictions(cases, [0.41, 0.41, 0.41], ("malignant",), [True, False, True]),
    ):
        table = withheld.table.with_columns(verdict=pl.lit(OUT_OF_DOMAIN))
        said = Predictions(table if withheld.table["chosen"].null_count() == 0 else withheld.table)
        for case in cases.ids:
            right, words = judged(cases.where(pl.col("case_id") == case), said)
            assert right is None
            assert "malignant 41%, decision undecided" in str(words)


def test_of_several_labels_one_error_is_an_error_and_one_gap_leaves_it_open() -> None:
    first, second = Target("a", "binary", values=("no", "yes")), Target("b", "binary", values=("no", "yes"))
    cases = asked(first, [1.0, 1.0, 1.0])
    cases = Cases(cases.table.with_columns(b=pl.Series([0.0, None, 0.0])), (first, second), cases.stores)
    said = predictions(cases, [0.9, 0.9, 0.9, 0.9, 0.9, 0.1], ("a", "b"), [True, True, True, True, True, None])
    judgements = [judged(cases.where(pl.col("case_id") == case), said) for case in cases.ids]
    assert [right for right, _ in judgements] == [False, True, None]
    assert "truth no; b 90%, decision yes" in str(judgements[0][1])


@pytest.mark.parametrize(
    ("truth", "low", "high", "right"),
    [(12.5, 10.0, 14.0, True), (12.5, 11.0, 12.0, False), (12.5, None, None, None), (None, 10.0, 14.0, None)],
)
def test_a_number_is_right_where_its_interval_holds_the_truth(
    truth: float | None, low: float | None, high: float | None, right: bool | None
) -> None:
    cases = asked(Target("size", "continuous"), [truth])
    said = predictions(cases, [11.25], ("size",))
    ends = [pl.lit(end, pl.Float64).alias(name) for name, end in (("low", low), ("high", high))]
    assert judged(cases, Predictions(said.table.with_columns(ends)))[0] is right


def test_galleries_of_numbers_say_where_the_truth_lies_and_of_new_cases_that_nobody_knows() -> None:
    target = Target("size", "continuous")
    cases = asked(target, [12.5, 40.0, None])
    table = predictions(cases, [11.0, 11.0, 11.0], ("size",)).table.with_columns(low=pl.lit(9.0), high=pl.lit(13.0))
    maps = tuple(Explanation(case, "size", "weak", np.ones((10, 12), np.float32)) for case in cases.ids)
    figures = galleries(Result(cases, Predictions(table), Predictions(table), Explanations(maps, {}), {}))
    assert {str(figure.title): figure.pictures[0].tone for figure in figures} == {  # type: ignore[union-attr]
        "Truth outside the interval": "bad",
        "Truth inside the interval": "good",
        "Not judged: no truth, or no interval": "",
    }


@pytest.mark.parametrize("shape", [(600, 300), (40, 30)])
def test_a_picture_keeps_its_aspect(shape: tuple[int, int]) -> None:
    image = (np.arange(shape[0] * shape[1]).reshape(1, *shape) % 256).astype(np.uint8)
    picture = picture_of(tiny.cases_of(image), None, "caption")
    rows, columns = np.asarray(picture.pixels).shape[:2]
    assert max(rows, columns) <= LARGEST
    assert rows / columns == pytest.approx(shape[0] / shape[1], rel=0.05)
    assert picture.overlay is None


def test_of_a_volume_the_slice_is_shown_where_the_map_is_strongest() -> None:
    volume = np.zeros((1, 6, 8, 8), np.uint8) + np.arange(6, dtype=np.uint8)[:, None, None] * 40
    cases = tiny.cases_of(volume)
    weights = np.zeros((6, 8, 8), np.float32)
    weights[4, 2, 3] = 2.0
    shown = picture_of(cases, Explanation(cases.ids[0], "x", "grad-cam", weights), "caption")
    assert np.asarray(shown.pixels).mean() == pytest.approx(160, abs=2)
    assert shown.overlay is not None
    assert np.unravel_index(np.argmax(shown.overlay), (8, 8)) == (2, 3)
    assert np.max(shown.overlay) == 1.0
    hidden = picture_of(cases, Explanation(cases.ids[0], "x", "grad-cam", weights, shown=False), "caption")
    assert hidden.overlay is None
    assert np.asarray(hidden.pixels).mean() == pytest.approx(120, abs=2)


def test_right_and_wrong_cases_are_shown_apart_by_their_best_map() -> None:
    target = Target("lesion", "binary", ("no", "yes"))
    cases = asked(target, [1, 1])
    said = predictions(cases, [0.9, 0.2], ("yes",))
    maps = []
    for case in cases.ids:
        for method, score in (("weak", 0.1), ("strong", 0.9), ("unbelieved", 5.0)):
            weights = np.full((10, 12), score, np.float32)
            weights[0, 0] = 0
            scores = {"faithfulness": score}
            maps.append(Explanation(case, "yes", method, weights, scores=scores, shown=method != "unbelieved"))
    figures = galleries(Result(cases, said, said, Explanations(tuple(maps), {}), {}))
    assert all(isinstance(figure, Gallery) for figure in figures)
    titles = {str(figure.title): figure.pictures for figure in figures}  # type: ignore[union-attr]
    assert set(titles) == {"Wrong", "Right"}
    assert [str(picture.caption).split(":")[0] for picture in titles["Wrong"]] == [cases.ids[1]]
    assert [str(picture.caption).split(":")[0] for picture in titles["Right"]] == [cases.ids[0]]
