import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medeor.contracts import Cases, Study, Target, UserError
from medeor.learning.split import split_cases


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
    table = split_cases(made, Study((), split="cv")).table.join(made.table, on="case_id")
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
