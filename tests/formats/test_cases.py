"""A user's columns become the same columns of the case table in every reader: images, compounds and plain tables."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medeor.contracts import Cases, Finding, Sources, Study, UserError
from medeor.formats.cases import OWN, case_columns, class_names
from medeor.imaging.read.cases import read_cases as read_images
from medeor.molecules.read.cases import read_cases as read_molecules
from medeor.statistics.split import split_cases
from medeor.tabular.read import read_cases as read_tables

ROWS = 24
PIXELS = np.random.default_rng(0).integers(0, 255, (ROWS, 8, 8), dtype=np.uint8)
SMILES = [f"{'C' * (row // 3 + 1)}{'NOS'[row % 3]}" for row in range(ROWS)]

Reader = Callable[..., Cases]


def columns(**given: list) -> pl.DataFrame:
    """A label, and these columns, whose values repeat."""
    every = {"label": ["no", "yes"], **given}
    return pl.DataFrame({name: (values * ROWS)[:ROWS] for name, values in every.items()}, strict=False)


def images(table: pl.DataFrame, sources: Sources, study: Study) -> Cases:
    return read_images(sources._replace(given=(PIXELS, table)), study)


def molecules(table: pl.DataFrame, sources: Sources, study: Study) -> Cases:
    return read_molecules(sources._replace(given=(table.with_columns(smiles=pl.Series(SMILES)),)), study)


def tables(table: pl.DataFrame, sources: Sources, study: Study) -> Cases:
    return read_tables(sources._replace(given=(table.with_columns(age=pl.int_range(ROWS)),)), study)


@pytest.fixture(params=[images, molecules, tables], ids=lambda read: read.__name__)
def read(request: pytest.FixtureRequest) -> Reader:
    def read(table: pl.DataFrame, labelled: bool = True, inherited: tuple[str, ...] = (), **asked: object) -> Cases:
        sources = Sources((), {}, labelled, inherited)
        return request.param(table, sources, Study(**{"target": ("label",), **asked}))  # type: ignore[arg-type]

    return read


def noticed(cases: Cases, check: str) -> list[Finding]:
    return [one for one in cases.findings if one.check == check]


# Roles -----------------------------------------------------------------------------------------------------------


def test_roles_are_columns_of_their_own(read: Reader) -> None:
    table = columns(patient=["P1", "P1 ", "Ｐ２", "P2", None], hospital=[1, 2, 3], day=["2020-01-01", "2020-02-01"])
    cases = read(table, group="patient", site="hospital", time="day", subgroups=("hospital", "patient", "label"))
    assert cases.table["group"][:4].to_list() == ["P1", "P1", "P2", "P2"]
    assert cases.table["group"][4] == cases.ids[4]
    assert cases.table["site"][:3].to_list() == ["1", "2", "3"]
    assert cases.table["time"].to_list() == table["day"].to_list()
    assert cases.subgroups == ("site", "group", "label")
    assert not {"patient", "hospital", "day"} & set(cases.table.columns)


@pytest.mark.parametrize(
    "asked", [{"group": "gone"}, {"site": "gone"}, {"time": "gone"}, {"subgroups": ("gone",)}, {"target": ("gone",)}]
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(read: Reader, asked: dict[str, object]) -> None:
    with pytest.raises(UserError, match="there is no column 'gone' in the table; there are label, sex"):
        read(columns(sex=["f", "m", "f"]), **asked)


def test_new_cases_need_no_roles(read: Reader) -> None:
    asked = {"group": "patient", "site": "hospital", "time": "day", "subgroups": ("sex", "ward"), "split": "part"}
    cases = read(columns(sex=["f", "m", "f"]), labelled=False, **asked)
    assert cases.subgroups == ("sex",)
    assert not cases.targets


def test_subgroups_of_another_study_are_taken_where_they_are(read: Reader) -> None:
    assert read(columns(sex=["f", "m", "f"]), inherited=("sex", "ward")).subgroups == ("sex",)


@pytest.mark.parametrize("name", sorted(OWN - {"part"}))
def test_a_column_called_like_one_of_medeors_is_set_apart(read: Reader, name: str) -> None:
    table = columns(**{name: ["u", "v", "w", None]})
    cases = read(table, subgroups=(name,))
    assert cases.table[f"{name} (table)"].to_list() == table[name].to_list()
    assert cases.subgroups == (f"{name} (table)",)
    with pytest.raises(UserError, match=f"cannot be called '{name}'"):
        read(table, target=(name,), time=name if name == "time" else "")


# The official split ------------------------------------------------------------------------------------------------

WORDS = ["Train", "train ", "TRAINING", "val", "Test"]
MEANT = ["train", "train", "train", "validation", "test"]


@pytest.mark.parametrize("name", ["Set", "part", "my division"])
def test_a_split_that_the_study_names_is_the_one_that_is_used(read: Reader, name: str) -> None:
    cases = read(columns(**{name: WORDS}), split=name)
    assert cases.table["part"][:5].to_list() == MEANT
    assert not noticed(cases, "official-split") + noticed(cases, "parts-not-used")
    assert split_cases(cases, Study(split=name)).table["part"].to_list() == cases.table["part"].to_list()


@pytest.mark.parametrize("words", [["train", "tset", "test"], ["trian", "tset"]])
def test_a_slip_in_the_split_that_the_study_names_is_refused(read: Reader, words: list[str]) -> None:
    with pytest.raises(UserError, match="'tset'"):
        read(columns(subset=words), split="subset")


@pytest.mark.parametrize("name", ["part", "Split", "subset", "set", "fold", "partition"])
def test_a_split_that_no_study_names_is_used_or_reported(read: Reader, name: str) -> None:
    """Compounds are divided by what they are: there it is reported alone."""
    cases = read(columns(**{name: WORDS}))
    if "smiles" in cases.table.columns:
        assert "part" not in cases.table.columns
        assert f"--split {name} uses them" in str(noticed(cases, "parts-not-used")[0].message)
    else:
        assert cases.table["part"][:5].to_list() == MEANT
        assert not noticed(cases, "parts-not-used")
    assert name not in cases.features


@pytest.mark.parametrize("values", [[0, 1, 2], ["a", "b"], ["train", "trian", "test"]])
def test_a_column_called_like_a_split_that_is_none_is_reported(read: Reader, values: list[object]) -> None:
    cases = read(columns(fold=values))
    (found,) = noticed(cases, "official-split")
    assert found.status == "unknown"
    assert repr(str(values[-1])) in str(found.message)
    assert "part" not in cases.table.columns or cases.table["part"].is_null().all()
    assert not noticed(read(columns(fold=values), split="cv"), "official-split")
    assert not noticed(read(columns(fold=values), labelled=False), "official-split")


@pytest.mark.parametrize(("name", "site"), [("hospital", "hospital"), ("hospital", ""), ("site", ""), ("site", "site")])
def test_the_rows_of_a_site_stay_together_whatever_it_is_called(read: Reader, name: str, site: str) -> None:
    study = Study(split=name, site=site)
    cases = read(columns(**{name: list("abcdef")}), split=name, site=site)
    parts = cases.table.join(split_cases(cases, study).table.select("case_id", in_part="part"), on="case_id")
    assert parts.group_by(name).agg(pl.col("in_part").n_unique())["in_part"].to_list() == [1] * 6


# Targets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", ["mild|severe", "mild,severe", " mild , severe "])
def test_classes_are_separated_by_bars_or_commas(read: Reader, classes: str) -> None:
    cases = read(columns(grade=[0, 1]), target=("grade",), options={"classes": classes})
    assert cases.targets[0].classes == ("mild", "severe")


def test_a_comma_in_the_name_of_a_class_stays_where_bars_separate() -> None:
    assert class_names({"classes": "mild, early|severe"}) == ("mild, early", "severe")


def test_kind_and_positive_class_are_those_that_the_study_states(read: Reader) -> None:
    options = {"positive": "no", "kind": "classes"}
    assert read(columns(), options=options).targets[0].classes == ("yes", "no")


def test_a_case_of_which_no_target_is_known_cannot_be_used(read: Reader) -> None:
    cases = read(columns(a=["x", "y", None], b=[None, "u", None, "v"]), target=("a", "b"))
    unknown = cases.table.select(pl.col("a").is_null() & pl.col("b").is_null()).to_series()
    assert unknown.any()
    assert cases.table["broken"].to_list() == ["it has no label" if none else None for none in unknown]


# Names of cases, files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [images, tables], ids=["images", "tables"])
def test_cases_are_known_by_the_users_ids_whatever_else_changes(read: Callable[..., Cases]) -> None:
    """Compounds are known by their structures."""
    names = [f"Doe {row}" for row in range(ROWS)]
    sources, study = Sources((), {}), Study(target=("label",), options={"id": "name"})
    ids = read(columns(name=names), sources, study).ids
    assert "Doe" not in "".join(ids)
    padded = columns(name=[f" {name} " for name in names], more=[1, 2])
    assert read(padded, sources, study).ids == ids
    assert read(columns(case_id=names), sources, Study(target=("label",))).ids == ids
    # A table that medeor wrote keeps its names; only digits may be a person's number.
    again = read(columns(case_id=ids), sources, Study(target=("label",))).ids
    assert all(new == old for new, old in zip(again, ids) if not old.isdigit())
    blank = read(columns(name=[*names[:-1], " "]), sources, study).ids
    assert blank[:-1] == ids[:-1]
    assert blank[-1] != ids[-1]
    with pytest.raises(UserError, match="no column 'gone'"):
        read(columns(), sources, Study(target=("label",), options={"id": "gone"}))


def test_what_a_file_is_not_plainly_is_found_in_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    text = "".join(f"{smiles},{row % 2},{row % 3},{row}\n" for row, smiles in enumerate(SMILES))
    path.write_text("smiles,y,x,x\n" + text)
    sources, study = Sources((path,), {}), Study(target=("y",))
    for cases in (
        read_images(Sources((PIXELS, path), {}), study),
        read_molecules(sources, study),
        read_tables(sources, study),
    ):
        assert len(noticed(cases, "column-names")) == 1


# Any table ---------------------------------------------------------------------------------------------------------

_NAMES = st.sampled_from([*sorted(OWN), "hospital", "split", "set", "fold (table)", "sex", "part (table)"])


@given(names=st.lists(_NAMES, min_size=1, max_size=8, unique=True), data=st.data())
def test_no_column_is_lost_or_there_twice(names: list[str], data: st.DataObject) -> None:
    role = st.sampled_from(["", *names])
    study = Study(
        group=data.draw(role), site=data.draw(role), time=data.draw(role), split=data.draw(role), subgroups=tuple(names)
    )
    values = st.lists(st.sampled_from(["train", "test", "Val", "x", None]), min_size=3, max_size=3)
    facts = pl.DataFrame({name: pl.Series(data.draw(values), dtype=pl.String) for name in names})
    targets = tuple({*names} - OWN - {study.group, study.site, study.time, study.split})[:1]
    found = case_columns(facts, Sources((), {}), study, "the table")
    try:
        found = found.predicting(targets)
        part = [] if found.split.part is None else [found.split.part]
    except UserError as error:
        assert "does not name parts" in str(error)  # noqa: PT017
        return
    others = found.others()
    made = [*targets, "group", "case_id", *(one.name for one in (*found.roles, *part, *others.values()))]
    assert len(made) == len(set(made))
    moved = {*targets, found.study.group, found.study.site, found.study.time}
    assert {*names} - moved <= {*others} | ({"part"} if part else set())
    assert {*found.subgroups} <= {*made}
    assert all(column.to_list() == facts[name].to_list() for name, column in others.items() if name != study.split)
