"""Days and times of a column are read as who wrote them meant them."""

import datetime as dt

import polars as pl
import pytest

from medeor.formats.values.dates import are_written_days, read_times


def read(*texts: str) -> list:
    found = read_times(pl.Series("t", list(texts)))
    assert found is not None
    return found.column.to_list()


def test_two_digits_of_a_year_are_of_the_century_that_posix_says() -> None:
    """69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068 (POSIX, strptime)."""
    days = read("25/12/68", "25/12/69", "25/12/99", "25/12/00", "25/12/21")
    assert [day.year for day in days] == [2068, 1969, 1999, 2000, 2021]


@pytest.mark.parametrize(
    ("text", "hour", "minute"),
    [("12:05 am", 0, 5), ("12:05 pm", 12, 5), ("1:05 p.m.", 13, 5), ("11:05 a.m.", 11, 5), ("23:05", 23, 5),
     ("8h05", 8, 5)],
)  # fmt: skip
def test_a_time_of_day_is_that_of_its_clock(text: str, hour: int, minute: int) -> None:
    assert read(f"2021-03-04 {text}") == [dt.datetime(2021, 3, 4, hour, minute)]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-03-04T10:15:30.25Z", dt.datetime(2021, 3, 4, 10, 15, 30, 250_000)),
        ("2021-03-04 10:15+02:00", dt.datetime(2021, 3, 4, 8, 15)),
        ("2021-03-04 22:15-0530", dt.datetime(2021, 3, 5, 3, 45)),
    ],
)
def test_times_of_several_zones_are_compared_in_one(text: str, moment: dt.datetime) -> None:
    """ISO 8601: the offset is what the clock there is ahead of UTC."""
    assert read(text) == [moment]


def test_a_month_by_its_name_may_stand_first() -> None:
    assert read("March 4, 2021", "12th of May 2020") == [dt.date(2021, 3, 4), dt.date(2020, 5, 12)]


@pytest.mark.parametrize("texts", [["2021-03-04", "soon"], ["2021-03-04 25:10", "2021-03-05"], ["12.5", "13.5"], [""]])
def test_what_is_no_day_leaves_the_column_as_it_is(texts: list[str]) -> None:
    assert read_times(pl.Series("t", texts)) is None


def test_numbers_are_days_where_all_of_them_are() -> None:
    assert are_written_days([20210304, 20201231, 20200229])
    for numbers in ([20210304, 20201231], [20210304, 20201231, 5], [20210304, 20201231, 20210230], [20210304.5] * 3):
        assert not are_written_days(numbers)
