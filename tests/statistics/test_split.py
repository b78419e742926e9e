import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medeor.contracts import Cases, Study, Target, UserError
from medeor.formats.values.dates import in_order_of_time, read_times
from medeor.statistics.split import split_cases


def cases(groups, labels=None, **columns) -> Cases:
    table = pl.DataFrame(
        {"case_id": [f"c{i}" for i in range(len(groups))], "group": [str(g) for g in groups], **columns}
    )
    if labels is None:
        return Cases(table)
    return Cases(table.with_columns(y=pl.Series(labels)), (Target("y", "binary"),))


@given(groups=st.lists(st.integers(0, 20), min_size=8, max_size=80), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_group_is_never_divided(groups, seed):
    if len(set(groups)) < 4:
        return
    made = cases(groups)
    table = split_cases(made, Study((), seed=seed)).table.join(made.table, on="case_id")
    together = table.group_by("group").agg(pl.col("part").n_unique(), pl.col("fold").n_unique())
    assert together["part"].max() == 1
    assert together["fold"].max() == 1
    assert table.filter(pl.col("part") == "test")["fold"].null_count() == (table["part"] == "test").sum()


@given(order=st.permutations(range(40)))
@settings(max_examples=20, deadline=None)
def test_the_split_does_not_depend_on_the_order_of_the_rows(order):
    made = cases(range(40), [i % 2 for i in range(40)])
    shuffled = Cases(made.table[list(order)], made.targets)
    first, second = (split_cases(c, Study((), seed=3)).table.sort("case_id") for c in (made, shuffled))
    assert first.equals(second)


def test_folds_hold_equal_shares_of_each_class():
    labels = np.array([1] * 20 + [0] * 180)
    made = cases(range(200), labels)
    table = split_cases(made, Study((), split="cv"), labels).table.join(made.table, on="case_id")
    assert table.group_by("fold").agg(pl.col("y").sum())["y"].to_list() == [4] * 5


def test_the_official_split_is_kept_and_validation_joins_the_folds():
    made = cases(range(30), part=["train"] * 15 + ["validation"] * 5 + ["test"] * 10)
    split = split_cases(made, Study(()))
    assert split.table["part"].to_list() == made.table["part"].to_list()
    assert split.table["fold"].null_count() == 10
    first = split.fold(0)
    assert len(first.part(made, "train")) + len(first.part(made, "validation")) == 20
    assert len(first.part(made, "test")) == 10


def test_time_puts_the_latest_last():
    made = cases(range(50), time=list(range(50)))
    test = split_cases(made, Study((), split="time")).part(made, "test")
    assert test.table["time"].to_list() == list(range(40, 50))


def test_a_column_stays_together():
    made = cases(range(60), site=[f"s{i % 6}" for i in range(60)])
    table = split_cases(made, Study((), split="site")).table.join(made.table, on="case_id")
    assert table.group_by("site").agg(pl.col("part").n_unique())["part"].max() == 1


@pytest.mark.parametrize(
    ("made", "study", "says"),
    [
        (cases([1] * 9), Study(()), "one group"),
        (cases(range(9)), Study((), split="ward"), "no such column"),
        (cases(range(9)), Study((), split="time"), "time"),
    ],
)
def test_what_cannot_be_divided_is_said(made, study, says):
    with pytest.raises(UserError, match=says):
        split_cases(made, study)


@pytest.mark.parametrize("way", ["", "phase"])
def test_a_case_without_a_part_is_trained_on_and_never_tested(way):
    named = ["train"] * 10 + [None] * 5 + ["test"] * 5
    made = cases(range(20), **{way or "part": named})
    table = split_cases(made, Study((), split=way)).table
    assert table["part"].to_list() == ["train"] * 15 + ["test"] * 5


@pytest.mark.parametrize(
    ("written", "order"),
    [
        (["25/12/2020", "03/04/2021", "01/02/2020"], "day-month-year"),
        (["12/25/2020", "04/03/2021", "02/01/2020"], "month-day-year"),
        (["25.12.2020", "3.4.2021", "1.2.2020"], "day-month-year"),
        (["2020年12月25日", "2021年4月3日", "2020年2月1日"], "year-month-day"),
        (["25 Dec 2020", "3 Apr 2021", "1 Feb 2020"], "day-month-year"),
        (["December 25, 2020", "April 3, 2021", "February 1, 2020"], "day-month-year"),
        (["25. Dezember 2020", "3. April 2021", "1. Februar 2020"], "day-month-year"),
        (["25-Dec-20", "3-Apr-21", "1-Feb-20"], "day-month-year"),
        (["25122020", "03042021", "01022020"], "day-month-year"),
        ([25122020, 3042021, 1022020], "day-month-year"),
        (["2020/12/25", "2021/4/3", "2020/2/1"], "year-month-day"),
        (["25/12/2020 5:00 PM", "03/04/2021 11:30 am", "01/02/2020 8:15 am"], "day-month-year"),
        (["12/2020", "4/2021", "2/2020"], "year-month-day"),
        (["44190", "44289", "43862"], ""),
        ([44190, 44289, 43862], ""),
        ([20201225, 20210403, 20200201], ""),
        (["9", "10", "8"], ""),
    ],
)
def test_times_are_put_in_order_as_times_and_never_as_text(written, order):
    """Of each ten cases the second is the latest and the third the earliest."""
    made = in_order_of_time(cases(range(30), time=written * 10))
    parts = split_cases(made, Study((), split="time")).table["part"].to_list()
    assert {place % 3 for place, part in enumerate(parts) if part == "test"} == {1}
    said = [str(finding.message) for finding in made.findings]
    assert [message.split(":")[0] for message in said] == ([f"times are read as {order}"] if order else [])


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            ["03/04/2021", "01/02/2020"],
            r"'03/04/2021' can be read in several orders \(day-month-year, month-day-year\)",
        ),
        (["03-04-2021", "01-02-2020"], r"several orders \(day-month-year, month-day-year\)"),
        (["25/12/2020", "12/25/2020"], "no single order of day and month fits"),
        (["2021-03-04", "25/12/2020"], "writes its days in several ways, such as '2021-03-04' and '25/12/2020'"),
        (["44190", "2021-03-04"], "'44190' is neither a day nor a number"),
        (["visit 2", "baseline"], "'visit 2' is neither a day nor a number"),
        (["03/04/21", "25/12/20"], "can be read in several orders"),
    ],
)
def test_times_that_can_be_read_in_two_ways_are_refused(written, message):
    with pytest.raises(UserError, match=message):
        in_order_of_time(cases(range(20), time=written * 10))


@given(
    st.lists(st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)), min_size=1), st.sampled_from(["%Y-%m-%d", "%d.%m.%Y"])
)
def test_days_survive_being_written(days, form):
    read = read_times(pl.Series("t", [day.strftime(form) for day in days]))
    assert read is not None
    assert read.column.to_list() == days
