"""Values with signs and units are read as number and side."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medeor.formats.values.measured.measurements import decimal_sign, holds_relations, is_measured, read_measurements


@pytest.mark.parametrize(
    ("text", "value", "side"),
    [
        ("5", 5.0, 0),
        (">10", 10.0, 1),
        ("< 0.1", 0.1, -1),
        ("≥ 30", 30.0, 1),
        ("<=2.5", 2.5, -1),
        ("~5", 5.0, 0),
        ("-3.2", -3.2, 0),
        ("−3.2", -3.2, 0),
        ("1,200", 1200.0, 0),
        ("1,5", 1.5, 0),
        ("1.5e-3", 0.0015, 0),
        (".5", 0.5, 0),
        (">10 µM", 10.0, 1),
        ("0,244", 0.244, 0),
        ("1.234,5", 1234.5, 0),
        ("1,234.5", 1234.5, 0),
        ("3.0 ± 0.5", 3.0, 0),
        ("3.0 (n=2)", 3.0, 0),
        ("12 %", 12.0, 0),
        ("1.2×10⁻⁶", 1.2e-6, 0),
        ("1.2 x 10^-6", 1.2e-6, 0),
        (">1.2x10-6 M", 1.2e-6, 1),
        ("3·10^(4)", 3e4, 0),
        ("1.2 E-6", 1.2e-6, 0),
        ("'7.5", 7.5, 0),
        ("7.5 [6.1-8.2]", 7.5, 0),
    ],
)
def test_a_value_and_its_side(text: str, value: float, side: int) -> None:
    read = read_measurements(pl.Series("x", [text]))
    assert (read.values.to_list(), read.sides.to_list()) == ([value], [side])
    assert not read.unreadable.any()


@given(st.sampled_from(["", ">", "<", ">=", "<="]), st.floats(-1e6, 1e6), st.sampled_from(["", " "]))
def test_any_written_number_is_read_back(sign: str, value: float, space: str) -> None:
    read = read_measurements(pl.Series("x", [f"{sign}{space}{value!r}"]))
    assert read.values[0] == value
    assert read.sides[0] == (0 if not sign else 1 if ">" in sign else -1)


def test_what_is_no_measurement_is_listed_and_unknown() -> None:
    read = read_measurements(pl.Series("x", ["not tested", None, "3", "1.2.3", "<"]))
    assert read.values.to_list() == [None, None, 3.0, None, None]
    assert read.sides.to_list() == [None, None, 0, None, None]
    assert read.unreadable.to_list() == [True, False, False, True, True]


@pytest.mark.parametrize("text", ["5٫25", "5|6", "5^2", "5 ± 1 x10^-6", "5²·3"])
def test_digits_that_are_not_understood_are_not_left_out(text: str) -> None:
    read = read_measurements(pl.Series("x", [text]))
    assert (read.values.to_list(), read.unreadable.to_list()) == ([None], [True])


@pytest.mark.parametrize(
    "text", ["5-10", "5 – 10", "5 to 10 nM", "5 nM - 10 nM", "5nM-10nM", "<5-10", "5 x 10", "5 × 2 mg"]
)
def test_a_range_or_a_product_is_no_single_number(text: str) -> None:
    read = read_measurements(pl.Series("x", [text]))
    assert (read.values.to_list(), read.unreadable.to_list()) == ([None], [True])


def test_approximate_values_and_units_are_counted() -> None:
    read = read_measurements(pl.Series("x", ["~5 nM", "≈ 6 nM*", "7 ± 1 µM (n=3)", "8", "9 mL.min-1.kg-1", "lost"]))
    assert read.approximate == 2
    assert read.units.to_list() == ["nM", "nM", "µM", None, "mL.min-1.kg-1", None]


def test_one_comma_that_is_a_decimal_sign_makes_all_of_its_column_so() -> None:
    assert read_measurements(pl.Series("x", ["2,110", "1,200"])).values.to_list() == [2110.0, 1200.0]
    for tell_tale, value in (("<0,001", 0.001), ("1,5", 1.5), ("1,2345", 1.2345)):
        read = read_measurements(pl.Series("x", ["2,110", ">10,000 nM", "1,234,567", tell_tale]))
        assert read.values.to_list() == [2.11, 10.0, 1234567.0, value]


def test_relations_and_units_may_stand_in_columns_of_their_own() -> None:
    relations = pl.Series("r", ["'>'", "'='", None, "<="])
    read = read_measurements(pl.Series("x", [1.0, 2.0, 3.0, None]), relations, pl.Series("u", ["nM", None, "uM", "nM"]))
    assert read.sides.to_list() == [1, 0, 0, None]
    assert read.units.to_list() == ["nM", None, "uM", None]
    assert holds_relations(relations)
    assert not holds_relations(pl.Series("r", ["=", "about"]))


def test_numbers_that_are_none_are_unknown() -> None:
    read = read_measurements(pl.Series("x", [1.0, float("nan"), float("inf"), None]))
    assert read.values.to_list() == [1.0, None, None, None]
    assert read.unreadable.to_list() == [False, False, True, False]


def test_classes_are_not_taken_for_measurements() -> None:
    assert is_measured(pl.Series("x", ["5", ">10", "n/d", "7", "2"]))
    assert not is_measured(pl.Series("x", ["active", "inactive", "5"]))
    assert not is_measured(pl.Series("x", [1.0, 2.0]))


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1 234,5", "12 000"], [1234.5, 12000.0]),
        (["1'234.5", "2’000"], [1234.5, 2000.0]),
        (["1\u202f234,5 nM", "12\u00a0000 nM"], [1234.5, 12000.0]),
        (["1.234,5", "1.234", "2,5"], [1234.5, 1234.0, 2.5]),
        (["1.234.567", "5"], [1234567.0, 5.0]),
        (["1,234.5", "2,000"], [1234.5, 2000.0]),
        ([",5", "1,234"], [0.5, 1.234]),
        (["6,523", "6,5"], [6.523, 6.5]),
        (["1 23", "1e400", "inf", "-inf"], [None] * 4),
    ],
)
def test_thousands_and_decimals_as_they_are_written(texts: list[str], values: list[float | None]) -> None:
    read = read_measurements(pl.Series("x", texts))
    assert read.values.to_list() == values
    assert read.ambiguous == ()


def test_a_comma_that_may_be_either_is_told_and_can_be_decided() -> None:
    column = pl.Series("x", ["6,523", "5,100", None])
    assert read_measurements(column).ambiguous == ("6,523", "5,100")
    assert read_measurements(column, decimal="comma").values.to_list() == [6.523, 5.1, None]
    point = read_measurements(column, decimal="point")
    assert (point.values.to_list(), point.ambiguous) == ([6523.0, 5100.0, None], ())
    assert decimal_sign(column) == ""
    assert decimal_sign(pl.Series("x", ["0,5", "1"])) == "comma"
    assert decimal_sign(pl.Series("x", ["0.5", "1,234.5"])) == "point"


@given(st.floats(1, 1e7).map(lambda value: round(value, 2)), st.sampled_from([" ", ".", "'", "\u202f"]))
def test_european_numbers_are_read_back(value: float, mark: str) -> None:
    written = f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", mark)
    assert read_measurements(pl.Series("x", [written])).values[0] == value
