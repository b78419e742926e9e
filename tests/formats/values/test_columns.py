"""What a column of a plain table is taken for, and its values."""

import datetime as dt

import polars as pl
import pytest

from medeor.formats.values.columns import as_days, as_levels, as_numbers, meaning
from medeor.formats.values.people import names_people

MANY = range(60)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("age", [61.5, None, 48.0], "number"),
        ("stage", [1, 2, 3, 1], "number"),
        ("creatinine", ["1,2 mg/dL", "0,9 mg/dL", "12 mg/L", "n/a"], "number"),
        ("ferritin", ["<5", "12", "31.5", "80"], "number"),
        ("visit", [dt.date(2020, 1, 2), None], "date"),
        ("visit", ["25/03/2021", "04/04/2021", "unknown"], "date"),
        ("visit", [20210304, 20210305, 20210406], "date"),
        ("sex", ["F", "M", "F", "?"], "category"),
        ("smoker", [True, None, False], "category"),
        ("stage", ["1A", "1B", "2A", "2A"], "category"),
        ("age", ["<30", ">=30", "<30", ">=30"], "category"),
        ("ward", ["007", "008", "007"], "category"),
    ],
)
def test_a_column_is_numbers_days_or_categories(name: str, values: list[object], kind: str) -> None:
    assert meaning(pl.Series(name, values)).kind == kind


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("x", [None, None], "no value"),
        ("x", ["unknown", "?"], "no value"),
        ("x", [3, 3, 3], "the same value"),
        ("row", list(MANY), "numbers the rows"),
        ("patient_id", [7919 * i % 10007 for i in MANY], "numbers the rows"),
        ("code", [f"A{i}Z" for i in MANY], "name rows"),
        ("note", [f"came with pain for the {i}th time" for i in MANY], "free text"),
        ("visit", ["03/04/2021", "05/06/2021"], "no row shows which is meant"),
        ("beats", [[1, 2], [3]], "lists"),
    ],
)
def test_a_column_that_no_model_can_use_says_why(name: str, values: list[object], why: str) -> None:
    found = meaning(pl.Series(name, values))
    assert found.kind is None
    assert why in str(found.why)


def test_measurements_that_are_all_different_are_no_names() -> None:
    assert meaning(pl.Series("height", [150 + 3 * i for i in range(20)])).kind == "number"


def test_numbers_are_put_into_the_unit_of_most_or_into_the_one_asked() -> None:
    column = pl.Series("glucose", ["100 mg/dL", "90 mg/dL", "1 g/L", "odd"])
    assert as_numbers(column).values.to_list() == pytest.approx([100.0, 90.0, 100.0, None])
    assert as_numbers(column, "g/L").values.to_list() == pytest.approx([1.0, 0.9, 1.0, None])
    assert as_numbers(pl.Series([1.5, float("nan"), float("inf")])).values.to_list() == [1.5, None, None]


def test_days_are_counted_from_1970_whatever_the_column_holds() -> None:
    days = (dt.date(2021, 3, 4) - dt.date(1970, 1, 1)).days
    for column in (
        pl.Series([dt.date(2021, 3, 4), None]),
        pl.Series([dt.datetime(2021, 3, 4), None]),
        pl.Series([20210304, None]),
        pl.Series(["4.3.2021", "unknown"]),
    ):
        assert as_days(column).to_list() == [days, None]
    assert as_days(pl.Series([dt.datetime(2021, 3, 4, 18)])).to_list() == [days + 0.75]
    assert as_days(pl.Series(["soon"])).to_list() == [None]


def test_spellings_of_one_category_are_the_same() -> None:
    assert as_levels(pl.Series(["Yes", "yes ", "YES.", "unknown", None])).to_list() == ["yes"] * 3 + [None] * 2
    assert as_levels(pl.Series([1.0, 2.0, None])).to_list() == as_levels(pl.Series([1, 2, None])).to_list()


def test_headings_that_tell_patients_apart() -> None:
    assert all(map(names_people, ("patient_id", "PatientID", "病历号", "MRN")))
    assert not any(map(names_people, ("patients_seen", "age", "患者年龄")))


@pytest.mark.parametrize(
    ("values", "lost"),
    [
        (["same"] * 10, False),
        ([f"CPD-{n}" for n in range(60)], False),
        ([f"patient {n} was seen and left again" for n in range(60)], True),
        (["03/04/2021", "01/02/2020"] * 5, True),
        (["2021-03-04", "25/12/2020"] * 5, True),
    ],
)
def test_a_column_is_lost_only_where_it_may_hold_something(values: list[str], lost: bool) -> None:
    found = meaning(pl.Series("x", values))
    assert (found.kind, found.lost) == (None, lost)
