"""Values with signs and units are read as number and side."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medeor.formats.measurements import is_measured, read_measurements


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
        ("12 %", 12.0, 0),
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


def test_approximate_values_and_units_are_counted() -> None:
    read = read_measurements(pl.Series("x", ["~5 nM", "≈ 6 nM", "7 µM"]))
    assert read.approximate == 2
    assert read.units == ("nM", "µM")


def test_numbers_that_are_none_are_unknown() -> None:
    read = read_measurements(pl.Series("x", [1.0, float("nan"), float("inf"), None]))
    assert read.values.to_list() == [1.0, None, None, None]
    assert read.unreadable.to_list() == [False, False, True, False]


def test_classes_are_not_taken_for_measurements() -> None:
    assert is_measured(pl.Series("x", ["5", ">10", "n/d", "7", "2"]))
    assert not is_measured(pl.Series("x", ["active", "inactive", "5"]))
    assert not is_measured(pl.Series("x", [1.0, 2.0]))
