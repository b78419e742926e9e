"""What the names of classes give away, through the cases that are read."""

import numpy as np
import polars as pl
import pytest

import medeor
from medeor import UserError
from medeor.contracts import Finding, Target

IMAGES = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8)


def read(labels: list, kind: str = "") -> tuple[Target, dict[str, Finding]]:
    """The question that these labels ask, repeated to thirty rows or more, and what was noticed."""
    labels = labels * -(-30 // len(labels)) if len(labels) < 30 else labels
    table = pl.DataFrame({"label": labels}, strict=False)
    where = {"kind": kind} if kind else {}
    found = medeor.read(IMAGES[: len(labels)], table, target="label", options=where)
    return found.cases.targets[0], {one.check: one for one in found.findings if one.status != "pass"}


@pytest.mark.parametrize(
    "ordered",
    [
        ["none", "mild", "moderate", "severe"],
        ["low", "medium", "high"],
        ["无", "轻度", "中度", "重度"],
        ["leicht", "mittel", "schwer"],
        ["léger", "modéré", "sévère"],
        [f"grade {k}" for k in range(1, 12)],
        ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"],
        ["stage Ia", "stage Ib", "stage II", "stage IV"],
        ["3", "4A", "4B", "5"],
        ["T1", "T2", "T3", "T10"],
        ["A", "B", "C"],
    ],
)
def test_grades_have_the_order_of_their_words_and_numbers(ordered: list[str]) -> None:
    target, _ = read(ordered[::-1], "ordinal")
    assert (target.kind, target.classes) == ("ordinal", tuple(ordered))


@pytest.mark.parametrize("names", [["red", "green", "blue"], ["3+3", "3+4", "4+3"], ["mild", "moderate", "awful"]])
def test_grades_of_unknown_order_are_refused_with_the_flag_that_names_it(names: list[str]) -> None:
    with pytest.raises(UserError, match="--option classes="):
        read(names, "ordinal")
    ordered = medeor.read(
        IMAGES[:30],
        pl.DataFrame({"label": names * 10}),
        target="label",
        options={"kind": "ordinal", "classes": "|".join(names)},
    )
    assert ordered.cases.targets[0].classes == tuple(names)


@pytest.mark.parametrize(
    "labels",
    [
        ["pneumonia|effusion", "pneumonia", "effusion"],
        ["edema, effusion", "edema", "none"],
        ["肺炎、积液", "肺炎", "积液"],
        ["['a', 'b']", "['a']", "['b']"],
        ["mass and nodule", "mass", "nodule"],
    ],
)
def test_several_labels_in_a_cell_are_told(labels: list[str]) -> None:
    assert read(labels)[1]["several-labels-in-a-cell"].status == "fail"


@pytest.mark.parametrize("labels", [["3+3", "3+4", "4+3"], ["grade 1/2", "grade 3"], ["nose and throat", "ear"]])
def test_signs_within_one_name_are_no_several_labels(labels: list[str]) -> None:
    assert "several-labels-in-a-cell" not in read(labels)[1]


@pytest.mark.parametrize(
    "labels",
    [["benign", "bénin", "benin", "malin"], ["low grade", "low-grade", "low_grade", "high grade"]],
)
def test_spellings_with_other_accents_or_signs_between_words_are_one_class(labels: list[str]) -> None:
    target, noticed = read(labels)
    assert len(target.classes) == len(labels) - (1 if "bénin" in labels else 2)
    assert noticed["class-spellings"].status == "fail"


@pytest.mark.parametrize(
    "labels",
    [
        ["benign"] * 15 + ["malignant"] * 14 + ["malignnat"],
        ["tumor", "tumors", "normal"],
        ["B", "benign", "M", "malignant"],
        ["adenocarcinoma"] * 20 + ["adenocarcinom"] + ["squamous"] * 10,
    ],
)
def test_names_that_differ_by_a_slip_are_told(labels: list[str]) -> None:
    assert read(labels)[1]["similar-classes"].status == "fail"


@pytest.mark.parametrize(
    "labels", [["I", "II", "III", "V", "VIII"], ["A", "AB", "B", "0"], ["no", "normal", "nodule"], ["T1", "T2"]]
)
def test_short_names_of_their_own_are_no_slips(labels: list[str]) -> None:
    assert "similar-classes" not in read(labels)[1]


@pytest.mark.parametrize(
    "labels",
    [["阳性", "阴性", "可疑"], ["yes", "no", "perhaps"], ["0", "1", "2", "bad scan"], ["case", "control", "excluded"]],
)
def test_a_third_class_beside_yes_and_no_is_told(labels: list[str]) -> None:
    assert read(labels)[1]["third-class"].status == "unknown"


@pytest.mark.parametrize("labels", [["normal", "benign", "malignant"], ["0", "1", "2"], ["1", "2", "3", "4a"]])
def test_three_classes_of_one_kind_are_three_classes(labels: list[str]) -> None:
    target, noticed = read(labels)
    assert len(target.classes) == len(labels)
    assert "third-class" not in noticed


@pytest.mark.parametrize("labels", [[0, 1, 8, 9], [1, 2, 77, 99], [1, 2, 3, 4, 9]])
def test_codes_far_above_the_classes_are_told(labels: list[int]) -> None:
    assert "class-codes" in read(labels)[1]


def test_ten_digits_hold_no_code() -> None:
    assert "class-codes" not in read(list(range(10)))[1]


@pytest.mark.parametrize("odd", ["<5", "~5", "too small", "5 or 6"])
def test_a_text_among_measurements_makes_no_classes_of_them(odd: str) -> None:
    with pytest.raises(UserError, match="holds numbers and also"):
        read([odd, *(str(k * 1.5) for k in range(20)), *(str(k * 1.5) for k in range(20))])


def test_times_of_day_are_no_classes() -> None:
    with pytest.raises(UserError, match="days or times"):
        read([f"{k:02d}:30" for k in range(24)] * 2)


def test_an_empty_text_is_no_class() -> None:
    assert read(["yes", "", "no"])[0].classes == ("no", "yes")


def test_words_and_codes_for_yes_stand_second_however_they_are_mixed() -> None:
    target, _ = read(["yes", "y", "1", "TRUE", "no", "n", "0", "FALSE"])
    assert target.classes[1] in ("yes", "y", "1", "TRUE")
    assert not target.guessed


@pytest.mark.parametrize("unlabelled", [0, 3])
def test_labels_of_which_none_meet_are_told_to_exclude_each_other(unlabelled: int) -> None:
    one_hot = np.eye(3, dtype=int)[np.arange(60) % 3]
    one_hot[:unlabelled] = 0
    found = medeor.read(IMAGES, pl.DataFrame(one_hot, schema=["a", "b", "c"]), target=("a", "b", "c"))
    assert "exclusive-labels" in {one.check for one in found.findings}


def test_rare_labels_may_never_meet() -> None:
    rare = np.zeros((60, 2), int)
    rare[:3, 0] = rare[3:6, 1] = 1
    found = medeor.read(IMAGES, pl.DataFrame(rare, schema=["a", "b"]), target=("a", "b"))
    assert "exclusive-labels" not in {one.check for one in found.findings}
