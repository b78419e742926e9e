"""What kind of question a column asks."""

import polars as pl
import pytest

from medeor.contracts import Target, UserError
from medeor.formats.targets import read_parts, read_target, read_targets


def asked(values: list, **how: object) -> tuple[Target, list]:
    target, column = read_target(pl.Series("t", values, strict=False), **how)  # type: ignore[arg-type]
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
        (["a", "b"], {"positive": "c"}, "classes a and b"),
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
    targets, _ = read_targets(table, list(table.columns), positive="inactive|clean")
    assert [target.words for target in targets] == [("active", "inactive"), ("mutagenic", "clean"), ()]
    with pytest.raises(UserError, match="clean and mutagenic of 'ames'"):
        read_targets(table, list(table.columns), positive="active")


def test_several_binary_targets_go_by_their_own_names() -> None:
    table = pl.DataFrame({"oedema": ["no", "yes"], "effusion": [1, 0], "age": [50.5, 60.1]})
    targets, columns = read_targets(table, ["oedema", "effusion", "age"])
    assert [target.kind for target in targets] == ["binary", "binary", "continuous"]
    assert [target.items for target in targets] == [("oedema",), ("effusion",), ("age",)]
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
    targets, _ = read_targets(pl.DataFrame({"oedema": ["no", "yes"], "effusion": [0, 1]}), ["oedema", "effusion"])
    other = pl.DataFrame({"oedema": ["yes", "yes"], "effusion": [0, 0]})
    again, columns = read_targets(other, ["oedema", "effusion"], expected=targets)
    assert again == targets
    assert columns.rows() == [(1, 0), (1, 0)]
