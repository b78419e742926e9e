import polars as pl
import pytest

from medeor.contracts import Predictions, Split


def test_predictions_are_typed() -> None:
    table = pl.DataFrame({"case_id": ["a"], "item": ["sick"], "value": [0.5]})
    assert Predictions(table).table is table
    with pytest.raises(TypeError, match="'value' is String, not Float32"):
        Predictions(table.with_columns(value=pl.lit("high")))
    with pytest.raises(TypeError, match="no column 'case_id'; it has item, value"):
        Predictions(table.drop("case_id"))
    with pytest.raises(TypeError, match="'chosen' is Int32, not Boolean"):
        Predictions(table.with_columns(chosen=pl.lit(1, pl.Int32)))


def test_a_column_without_values_may_have_any_type() -> None:
    table = pl.DataFrame({"case_id": ["a"], "item": [None], "value": [None]})
    assert Predictions(table).table is table


def test_every_case_of_a_split_is_in_a_part() -> None:
    with pytest.raises(TypeError, match="'part' has 1 nulls"):
        Split(pl.DataFrame({"case_id": ["a", "b"], "part": ["train", None]}))
