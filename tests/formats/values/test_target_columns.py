"""What kind of question a column asks."""

import polars as pl
import pytest

from medeor.contracts import Target, UserError
from medeor.formats.values.targets import read_parts, read_target, read_targets
from medeor.targets import of


def asked(values: list, **how: object) -> tuple[Target, list]:
    target, column, _ = read_target(pl.Series("t", values, strict=False), **how)  # type: ignore[arg-type]
    return target, column.to_list()


@pytest.mark.parametrize(
    ("values", "kind", "classes", "expected"),
    [
        (["b", "m", None, "b"], "binary", ("b", "m"), [0, 1, None, 0]),
        ([1, 0, 1], "binary", ("0", "1"), [1, 0, 1]),
        ([1.0, 0.0, None], "binary", ("0", "1"), [1, 0, None]),
        ([True, False], "binary", ("false", "true"), [1, 0]),
        ([10, 9, 8, 10], "multiclass", ("8", "9", "10"), [2, 1, 0, 2]),
        (["x", "z", "y"], "multiclass", ("x", "y", "z"), [0, 2, 1]),
        ([0.5, 1.0, 2.0], "continuous", (), [0.5, 1.0, 2.0]),
        (list(range(30)), "continuous", (), [float(n) for n in range(30)]),
        ([0.1, float("nan")], "continuous", (), [0.1, None]),
    ],
)
def test_the_kind_follows_from_the_values(values: list, kind: str, classes: tuple, expected: list) -> None:
    target, column = asked(values)
    assert (target.kind, target.classes, column) == (kind, classes, expected)


def test_the_kind_can_be_said() -> None:
    assert asked([3, 1, 2], kind="ordinal")[0] == Target("t", "ordinal", ("1", "2", "3"))
    assert asked([0, 1, 2], kind="continuous")[0].kind == "continuous"
    assert asked(list(range(30)), kind="classes")[0].kind == "multiclass"


def test_classes_name_values_or_numbers() -> None:
    names = ("mild", "severe", "none")
    assert asked(["none", "mild"], classes=names) == (Target("t", "multiclass", names), [2, 0])
    assert asked([2, 0], classes=names) == (Target("t", "multiclass", names), [2, 0])
    assert asked(["mild", "mild"], classes=("mild", "none"))[0] == Target("t", "binary", ("mild", "none"))


def test_the_positive_class_comes_second() -> None:
    assert asked([0, 1, 1], classes=("ill", "well"), positive="ill") == (
        Target("t", "binary", ("well", "ill")),
        [1, 0, 0],
    )
    assert asked(["a", "b"], positive="b") == (Target("t", "binary", ("a", "b")), [0, 1])


@pytest.mark.parametrize(
    ("values", "how", "message"),
    [
        (["a", "a"], {}, r"'t' has one class alone \('a'\)"),
        ([None, None], {}, "'t' has no value"),
        (["a", "b"], {"positive": "c"}, r"one class of 't' \(a, b\)"),
        (["a", "b"], {"kind": "continuous"}, "holds 'a'"),
        (["a", "b"], {"kind": "numbers"}, "classes, ordinal, continuous"),
        (["a", "b"], {"classes": ("a", "c")}, "'b', which is none of the classes a, c"),
        ([f"text {n}" for n in range(60)], {}, "60 different texts in 60 rows"),
        ([f"CPD-{n}" for n in range(8)], {}, "8 different texts in 8 rows"),
    ],
)
def test_what_cannot_be_asked_is_told(values: list, how: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        asked(values, **how)


@pytest.mark.parametrize(
    ("absent", "looked_for"),
    [("inactive", "active"), ("Non-blocker", "Blocker"), ("normal", "abnormal"), ("control", "case"), ("a", "b"),
     ("no", "maybe"), ("0", "1"), ("unstable", "stable"), ("benign", "atypical")],
)  # fmt: skip
def test_of_two_classes_the_one_that_is_looked_for_comes_second(absent: str, looked_for: str) -> None:
    for values in ([absent, looked_for], [looked_for, absent]):
        target, column = asked(values)
        assert target.classes == (absent, looked_for)
        assert column == [target.classes.index(value) for value in values]


def test_each_of_several_targets_has_its_own_positive_class() -> None:
    table = pl.DataFrame({"herg": ["active", "inactive"], "ames": ["clean", "mutagenic"], "age": [50.5, 60.1]})
    targets, _, _ = read_targets(table, list(table.columns), positive="inactive|clean")
    assert [of(target).words for target in targets] == [("active", "inactive"), ("mutagenic", "clean"), ()]
    with pytest.raises(UserError, match=r"one class of 'ames' \(clean, mutagenic\)"):
        read_targets(table, list(table.columns), positive="active")


def test_several_binary_targets_go_by_their_own_names() -> None:
    table = pl.DataFrame({"oedema": ["no", "yes"], "effusion": [1, 0], "age": [50.5, 60.1]})
    targets, columns, _ = read_targets(table, ["oedema", "effusion", "age"])
    assert [target.kind for target in targets] == ["binary", "binary", "continuous"]
    assert [of(target).items for target in targets] == [("oedema",), ("effusion",), ("age",)]
    assert columns.rows() == [(0, 1, 50.5), (1, 0, 60.1)]


def test_parts_are_read_in_any_of_their_usual_words() -> None:
    words = pl.Series("split", ["Train", "training", "VAL", "dev", "test", None])
    assert read_parts(words).to_list() == ["train", "train", "validation", "validation", "test", None]
    with pytest.raises(UserError, match="column 'split' does not name parts: found 'a'"):
        read_parts(pl.Series("split", ["a", "train"]))


@pytest.mark.parametrize(
    ("values", "target", "expected"),
    [
        ([1, 2, 3], Target("t", "continuous", (), "h", "log"), [1.0, 2.0, 3.0]),
        (["m", "m", None], Target("t", "binary", ("b", "m")), [1, 1, None]),
        ([2, 2], Target("t", "multiclass", ("mild", "none", "severe")), [2, 2]),
        ([1.0, 1.0], Target("t", "binary"), [1, 1]),
        (["yes", "yes"], Target("t", "binary", values=("no", "yes")), [1, 1]),
        ([None, None], Target("t", "ordinal", ("1", "2", "3")), [None, None]),
    ],
)
def test_a_known_question_is_not_guessed_anew(values: list, target: Target, expected: list) -> None:
    assert asked(values, expected=target) == (target, expected)
    with pytest.raises(UserError, match="'x'"):
        asked(["x"], expected=target)


def test_a_label_that_is_constant_elsewhere_is_read_by_its_own_words() -> None:
    targets, _, _ = read_targets(pl.DataFrame({"oedema": ["no", "yes"], "effusion": [0, 1]}), ["oedema", "effusion"])
    other = pl.DataFrame({"oedema": ["yes", "yes"], "effusion": [0, 0]})
    again, columns, _ = read_targets(other, ["oedema", "effusion"], expected=targets)
    assert again == targets
    assert columns.rows() == [(1, 0), (1, 0)]


@pytest.mark.parametrize(
    ("values", "classes", "indices"),
    [
        (["Yes", "yes", "YES ", "No", "no", "yes"], ("No", "yes"), [1, 1, 1, 0, 0, 1]),
        (["Malignant", "malignant", "malignant", "Benign"], ("Benign", "malignant"), [1, 1, 1, 0]),
        (["ｙｅｓ", "yes", "yes", "no"], ("no", "yes"), [1, 1, 1, 0]),
        (["yes.", "yes", "yes", "no"], ("no", "yes"), [1, 1, 1, 0]),
        (["grade  II", "grade II", "grade II", "grade I"], ("grade I", "grade II"), [1, 1, 1, 0]),
        (["le\u0301sion", "l\u00e9sion", "l\u00e9sion", "sain"], ("sain", "l\u00e9sion"), [1, 1, 1, 0]),
        (["1.0", "1", "1", "0"], ("0", "1"), [1, 1, 1, 0]),
        (["y", "yes", "yes", "no"], ("no", "yes"), [1, 1, 1, 0]),
        (["1", "yes", "yes", "no"], ("no", "yes"), [1, 1, 1, 0]),
        (["阳性", "+", "+", "-"], ("-", "+"), [1, 1, 1, 0]),
    ],
)
def test_spellings_of_one_class_are_one_and_the_finding_names_them(values: list, classes: tuple, indices: list) -> None:
    target, column, findings = read_target(pl.Series("t", values))
    assert (target.kind, target.classes, column.to_list()) == ("binary", classes, indices)
    (found,) = findings
    assert (found.check, found.status) == ("class-spellings", "fail")
    assert all(
        repr(value) in str(found.message) for value in values if values.count(value) == 1 and value not in classes
    )


@pytest.mark.parametrize(
    "values", [["normal", "benign", "malignant"], ["-", "+", "++"], ["0", "1", "2"], ["N", "O", "1"]]
)
def test_what_is_more_than_yes_and_no_stays_several_classes(values: list) -> None:
    target, _, findings = read_target(pl.Series("t", values))
    assert set(target.classes) == set(values)
    assert findings == ()


def test_genotypes_that_differ_in_case_alone_stay_apart() -> None:
    target, _, findings = read_target(pl.Series("t", ["AA", "Aa", "aa"]))
    assert target.classes == ("AA", "Aa", "aa")
    assert findings == ()


def test_named_classes_are_found_in_any_spelling() -> None:
    values = pl.Series("t", ["YES", "no ", "Unknown", "yes"])
    target, column, findings = read_target(values, classes=("no", "yes"))
    assert (target.classes, column.to_list()) == (("no", "yes"), [1, 0, None, 1])
    assert [found.check for found in findings] == ["class-codes", "class-spellings"]
    target, column, _ = read_target(values, classes=("no", "unknown", "yes"))
    assert (target.classes, column.to_list()) == (("no", "unknown", "yes"), [2, 0, 1, 2])
    assert read_target(values, expected=Target("t", "binary", ("no", "yes"))).values.to_list() == [1, 0, None, 1]


@pytest.mark.parametrize(
    ("values", "classes", "code"),
    [
        ([0, 1, -1, 1], ("0", "1"), "-1"),
        ([0.0, 1.0, float("inf"), None], ("0", "1"), "inf"),
        (["yes", "no", "unknown", "yes"], ("no", "yes"), "unknown"),
        (["positive", "negative", "equivocal"], ("negative", "positive"), "equivocal"),
        (["阳性", "阴性", "不详"], ("阴性", "阳性"), "不详"),
        (["0", "1", "n/d"], ("0", "1"), "n/d"),
    ],
)
def test_what_says_unknown_is_no_class_and_the_finding_counts_it(values: list, classes: tuple, code: str) -> None:
    target, column, findings = read_target(pl.Series("t", values, strict=False))
    assert target.classes == classes
    assert column[2] is None
    (found,) = findings
    assert (found.check, found.status) == ("class-codes", "fail")
    assert f"'{code}' in 1 row," in str(found.message)


def test_one_class_beside_unknown_values_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"one class alone \('yes'\) besides values read as unknown \('unknown'"):
        asked(["yes", "unknown", "yes"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 1.5, 2.5, float("inf"), -999], [0.5, 1.5, 2.5, None, None]),
        (["0.5", "1.5", "2.5", "n/d", "1e400"], [0.5, 1.5, 2.5, None, None]),
        (["6,5", "7,25", "8,125", "unbekannt"], [6.5, 7.25, 8.125, None]),
        (["12.5 mm", "3 mm", "4.25 mm"], [12.5, 3.0, 4.25]),
    ],
)
def test_numbers_come_without_what_is_no_measurement(values: list, expected: list) -> None:
    for kind in ("", "continuous"):
        target, column, findings = read_target(pl.Series("t", values, strict=False), kind)
        assert (target.kind, column.to_list()) == ("continuous", expected)
        assert [found.check for found in findings] == ["number-codes"] * (None in expected)


@pytest.mark.parametrize("values", [[">10", "3.5", "4.5"], ["3 mm", "4 cm", "5 mm"], ["3.5", "4.5", "big"]])
def test_what_is_no_number_in_one_unit_is_no_number(values: list) -> None:
    with pytest.raises(UserError, match=r"'t'.*(limit|must be a number)"):
        asked(values, kind="continuous")


def test_grades_with_a_sign_and_names_with_zeros_stay_classes() -> None:
    assert asked(["0", "1+", "2+", "3+"])[0].classes == ("0", "1+", "2+", "3+")
    assert asked(["01", "02", "03", "01"])[0].classes == ("01", "02", "03")


@pytest.mark.parametrize(
    "values",
    [["03/04/2021", "25/12/2020"], ["2021年3月4日", "2020年1月2日"], ["4.3.2021", "1.2.2020"],
     [20210304, 20201231, 20200229], ["2021-03-04 10:15", "2020-01-02"], ["4 Mar 2021", "5 Apr 2020"]],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["", "classes", "continuous"])
def test_days_are_no_target(values: list, kind: str) -> None:
    with pytest.raises(UserError, match="'t' holds days or times"):
        asked(values, kind=kind)


def test_columns_of_one_class_are_told_from_labels_of_their_own() -> None:
    one_hot = pl.DataFrame({"mel": [1, 0, 0, 0] * 5, "nev": [0, 1, 0, 1] * 5, "bcc": [0, 0, 1, 0] * 5})
    (found,) = read_targets(one_hot, one_hot.columns).findings
    assert (found.check, found.status) == ("exclusive-labels", "fail")
    assert "'mel', 'nev', 'bcc'" in str(found.message)
    both = one_hot.with_columns(nev=pl.Series([1, 1, 0, 1] * 5))
    assert read_targets(both, both.columns).findings == ()
    neither = one_hot.with_columns(mel=pl.Series([1, 0, 0, 0] * 4 + [0] * 4))
    assert read_targets(neither, neither.columns).findings == ()
