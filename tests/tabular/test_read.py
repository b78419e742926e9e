"""Rows of plain tables as cases: roles, targets, ids, and what is asked of new rows."""

from pathlib import Path

import polars as pl
import pytest

from medeor.contracts import Cases, Sources, Study, UserError
from medeor.tabular.plan import rules
from medeor.tabular.read import _until_event, read_cases

TABLE = pl.DataFrame(
    {
        "patient": ["a", "a", "b", "c", "d", "e"],
        "hospital": ["x", "y", "x", "y", "x", None],
        "seen": ["2020-01-01", "2020-03-01", "2020-02-01", "2021-01-01", "2021-02-01", "2020-01-05"],
        "age": [50, 51, 60, 70, 80, 40],
        "sex": ["F", "F", "M", "M", "F", None],
        "ferritin": ["<5", "12", "30,5", "80", ">1000", None],
        "sick": ["no", "no", "yes", "yes", "no", None],
        "dose": [1.0, 10.0, 100.0, 2.0, 5.0, 7.0],
    }
)
QUESTION = Study(task="table-prediction", target=("sick",), group="patient", site="hospital", time="seen")


def read(table: pl.DataFrame, study: Study, labelled: bool = True) -> Cases:
    return read_cases(Sources((table,), {}, labelled), study)


def test_columns_with_a_role_are_no_features() -> None:
    cases = read(TABLE, QUESTION)
    assert cases.features == ("age", "sex", "ferritin", "dose")
    assert cases.table["group"].to_list() == ["a", "a", "b", "c", "d", "e"]
    assert cases.table["site"].to_list() == TABLE["hospital"].to_list()
    assert cases.table["sick"].to_list() == [0, 0, 1, 1, 0, None]
    assert cases.table["broken"].to_list() == [None] * 5 + ["it has no label"]


def test_columns_that_are_dropped_or_that_the_cases_are_divided_by_are_no_features() -> None:
    study = Study(target=("sick",), split="hospital", options={"drop": "dose | seen"})
    assert read(TABLE, study).features == ("patient", "age", "sex", "ferritin")


def test_an_official_split_is_found_by_its_name_and_its_values() -> None:
    parts = ["train", "train", "Test", "val", "train", "test"]
    cases = read(TABLE.with_columns(split=pl.Series(parts)), QUESTION)
    assert cases.table["part"].to_list() == ["train", "train", "test", "validation", "train", "test"]
    assert "split" not in cases.features
    assert "part" not in read(TABLE.with_columns(split=pl.Series(["a", "b"] * 3)), QUESTION).table.columns


def test_a_case_is_known_again_by_its_own_id_or_by_its_row_whatever_the_others_are() -> None:
    assert read(TABLE.tail(4), QUESTION).ids == read(TABLE, QUESTION).ids[2:]
    twice = pl.concat([TABLE, TABLE.head(1)])
    ids = read(twice, QUESTION).ids
    assert ids[-1] == f"{ids[0]}-2"
    named = read(TABLE, Study(target=("sick",), options={"id": "patient"}))
    assert "patient" not in named.features
    assert named.table["source"].to_list() == TABLE["patient"].to_list()


def test_a_number_with_limits_keeps_on_which_side_the_truth_lies() -> None:
    cases = read(TABLE, Study(target=("ferritin",)))
    assert cases.targets[0].kind == "continuous"
    assert cases.table["ferritin"].to_list() == [5.0, 12.0, 30.5, 80.0, 1000.0, None]
    assert cases.table["ferritin.limit"].to_list() == [-1, 0, 0, 0, 1, None]


def test_a_number_is_learned_by_its_logarithm_where_that_is_asked() -> None:
    assert (
        read(TABLE, Study(target=("dose",), options={"scale": "log", "kind": "continuous"})).targets[0].scale == "log"
    )
    with pytest.raises(UserError, match="scale=log"):
        read(TABLE, Study(target=("sick",), options={"scale": "log"}))


def test_several_targets_go_by_their_own_names() -> None:
    cases = read(
        TABLE.with_columns(tired=pl.Series([True, False, True, None, True, False])), Study(target=("sick", "tired"))
    )
    assert [target.name for target in cases.targets] == ["sick", "tired"]
    assert cases.table["broken"].to_list() == [None] * 6


def test_new_rows_need_neither_roles_nor_a_target() -> None:
    cases = read(TABLE.select("age", "sex", "ferritin", "dose"), QUESTION, labelled=False)
    assert cases.targets == ()
    assert cases.table["group"].to_list() == cases.ids


def test_rows_without_any_value_are_set_aside() -> None:
    empty = pl.DataFrame([pl.Series(name, [None], TABLE[name].dtype) for name in TABLE.columns])
    table = pl.concat([TABLE.head(5), empty.with_columns(sick=pl.lit("no"))])
    assert read(table, QUESTION).table["broken"].to_list() == [None] * 5 + ["it has no value in any column"]


def test_files_are_put_together_and_what_they_say_oddly_is_found(tmp_path: Path) -> None:
    TABLE.head(3).write_csv(tmp_path / "a.csv")
    TABLE.tail(3).write_parquet(tmp_path / "b.parquet")
    cases = read_cases(Sources((str(tmp_path / "a.csv"), tmp_path / "b.parquet"), {}), Study(target=("sick",)))
    assert len(cases) == 6
    (tmp_path / "twice.csv").write_text("x,x,y\n1,2,a\n3,4,b\n")
    found = read_cases(Sources((tmp_path / "twice.csv",), {}), Study(target=("y",))).findings
    assert "column-names" in [finding.check for finding in found]


@pytest.mark.parametrize(
    ("study", "said"),
    [
        (Study(), "name the column to predict with --target"),
        (Study(target=("gone",)), "no column 'gone' in the table"),
        (Study(target=("sick",), group="gone"), "no column 'gone'"),
        (Study(target=("sick",), options={"drop": "|".join(TABLE.drop("sick").columns)}), "no column to predict from"),
        (Study(target=("sick",), options={"drop": "gone"}), "no column 'gone'"),
    ],
)
def test_what_is_not_there_is_named(study: Study, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read(TABLE, study)


def test_a_source_that_is_no_table_is_refused() -> None:
    with pytest.raises(UserError, match="not from int"):
        read_cases(Sources((3,), {}), QUESTION)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no source"):
        read_cases(Sources((), {}), QUESTION)


def test_the_plan_names_the_columns_and_what_each_is_read_as() -> None:
    cases = read(TABLE.with_columns(note=pl.lit("same")), Study(target=("sick",)))
    plan = rules(cases)
    assert plan.columns == {
        "patient": "category", "hospital": "category", "seen": "date", "age": "number", "sex": "category",
        "ferritin": "number", "dose": "number",
    }  # fmt: skip
    with pytest.raises(UserError, match="no column can be used"):
        rules(read(TABLE.select("sick", note=pl.lit("same")), Study(target=("sick",))))


FOLLOWED = pl.DataFrame(
    {"age": range(40, 50), "dead": ["no", "yes"] * 5, "last_seen": [5.0, 3.0, 8.0, 1.0, 9.0, 2.0, 7.0, 4.0, 9.5, 6.0]}
)
SURVIVAL = Study(target=("dead",), options={"follow_up": "last_seen", "horizons": "2|5"})


def test_the_time_until_an_event_is_read_of_two_columns_neither_of_which_is_a_feature() -> None:
    cases = read(FOLLOWED, SURVIVAL)
    assert cases.features == ("age",)
    (target,) = cases.targets
    assert (target.kind, target.classes, target.values) == ("survival", ("2", "5"), ("no", "yes"))
    assert cases.table["dead"].to_list() == FOLLOWED["last_seen"].to_list()
    assert cases.table["dead.limit"].to_list() == [1, 0] * 5


def test_new_cases_are_read_with_the_horizons_and_words_of_the_model() -> None:
    expected = read(FOLLOWED, SURVIVAL).targets
    found = _until_event(FOLLOWED.tail(4), ("dead",), {"follow_up": "last_seen"}, expected)
    assert found.targets == expected
    assert found.values["dead.limit"].to_list() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"follow_up": "gone"}, "no column 'gone'"),
        ({"follow_up": "last_seen", "horizons": "soon"}, "these are times"),
        ({"follow_up": "last_seen", "horizons": "20"}, "up to 9.5"),
    ],
)
def test_a_question_about_time_that_cannot_be_answered_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        read(FOLLOWED, Study(target=("dead",), options=options))
    with pytest.raises(UserError, match="one target"):
        read(FOLLOWED, Study(target=("dead", "age"), options=SURVIVAL.options))
