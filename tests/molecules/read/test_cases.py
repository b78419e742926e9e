"""What the user gave becomes cases: endpoints with missing and censored values, units, groups, and reasons why not."""

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from medeor.contracts import Cases, Sources, Study, Target, UserError
from medeor.molecules.read.cases import endpoint_of, read_cases
from medeor.molecules.read.store import MoleculeStore
from medeor.targets import of

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "CCO", "c1ccccc1N", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(C)O"]


def read(table: pl.DataFrame | Path | str, labelled: bool = True, **asked: object) -> Cases:
    return read_cases(Sources((table,), {}, labelled), Study(**asked))  # type: ignore[arg-type]


def found(cases: Cases, check: str) -> str:
    """What the reader noticed."""
    (message,) = [str(one.message) for one in cases.findings if one.check == check]
    return message


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "target", "rows", "broken"),
    [("BBBP", "p_np", 2050, 11), ("bace", "Class", 1513, 0), ("clintox", "CT_TOX", 1484, 4), ("tox21", None, 7831, 8)],
)
def test_rows_that_do_not_parse_are_those_that_are_known(
    real_data: Path, file: str, target: str | None, rows: int, broken: int
) -> None:
    path = real_data / f"molecules/moleculenet/{file}.csv"
    columns = pl.read_csv(path, n_rows=1).columns
    targets = (target,) if target else tuple(name for name in columns if name not in ("smiles", "mol_id"))
    cases = read(path, target=targets)
    assert len(cases) == rows
    assert cases.table["smiles"].null_count() == broken
    bad = cases.table.filter(pl.col("smiles").is_null())
    assert bad["broken"].null_count() == 0
    assert len(cases.targets) == len(targets)
    assert cases.table["case_id"].is_unique().all()
    assert set(cases.usable.table["smiles"]) <= set(cases.store("molecules", MoleculeStore).smiles)


@pytest.mark.data
def test_the_endpoints_of_biogen_are_known_by_their_files(real_data: Path) -> None:
    for file, unit in (("HLM", "log10 mL/min/kg"), ("Sol", "log10 ug/mL"), ("MDR1_ER", "log10 ratio")):
        (target,) = read(real_data / f"molecules/biogen_adme/ADME_{file}_train.csv").targets
        assert (target.name, target.kind, target.unit) == ("activity", "continuous", unit)


def test_censored_values_have_their_side_in_a_column_beside() -> None:
    table = pl.DataFrame({"smiles": SMILES, "IC50 (nM)": [">10000", "12", "<0.5", None, "~7", "n/d"]})
    cases = read(table)
    (target,) = cases.targets
    assert (target.kind, target.unit) == ("continuous", "nM")
    assert cases.table["IC50 (nM)"].to_list() == [10000.0, 12.0, 0.5, None, 7.0, None]
    assert cases.table["IC50 (nM).limit"].to_list() == [1, 0, -1, None, 0, None]
    assert cases.table["unread"].to_list() == [[], [], [], [], [], ["IC50 (nM)"]]
    assert [why is None for why in cases.table["broken"]] == [True, True, True, False, True, False]
    known = endpoint_of(target, cases)
    assert known is not None
    assert known.scale == "log"


def test_values_written_in_several_units_come_into_the_one_of_the_endpoint_or_the_commonest() -> None:
    times = ["30 min", "1.5 h", "2", "1 d", "5-10", "3.0 ± 0.5"]
    cases = read(pl.DataFrame({"smiles": SMILES, "half_life": times}))
    assert cases.table["half_life"].to_list() == [0.5, 1.5, 2.0, 24.0, None, 3.0]
    assert cases.table["unread"].to_list() == [[], [], [], [], ["half_life"], []]
    assert "'half_life' converted into h from d (1 row), min (1 row)" in found(cases, "as-read")
    table = pl.DataFrame({"smiles": SMILES, "IC50": ["2.44 µM", "3 uM", "21100 nM", "5 uM", "700 nM", "1 uM"]})
    (target,) = (cases := read(table)).targets
    assert (target.unit, cases.table["IC50"].to_list()) == ("uM", [2.44, 3.0, 21.1, 5.0, 0.7, 1.0])
    answering = SimpleNamespace(targets=(Target("IC50", "continuous", (), "nM"),))
    again = read_cases(Sources((table,), {}, model=answering), Study(target=("IC50",)))  # type: ignore[arg-type]
    assert again.table["IC50"].to_list() == [2440.0, 3000.0, 21100.0, 5000.0, 700.0, 1000.0]


def test_columns_of_relations_and_units_speak_of_the_one_target() -> None:
    beside = {"relation": ["'>'", "'='", None, "'='", "'<'", "'='"], "Units": ["nM", "uM", "nM", "nM", "nM", "uM"]}
    table = pl.DataFrame({"smiles": SMILES, "value": [1.5, 2.0, 3.0, 4.0, 5.0, 6.0], **beside})
    cases = read(table)
    (target,) = cases.targets
    assert (target.name, target.unit) == ("value", "nM")
    assert cases.table["value"].to_list() == [1.5, 2000.0, 3.0, 4.0, 5.0, 6000.0]
    assert cases.table["value.limit"].to_list() == [1, 0, 0, 0, -1, 0]
    assert cases.table["value.given relation"].to_list() == beside["relation"]
    again = read(cases.table.select("smiles", "value", "^value.given.*$"), target=("value",))
    assert again.table["value"].equals(cases.table["value"])
    assert "relations of 'value' in column 'relation'" in found(cases, "as-read")


@pytest.mark.parametrize(
    ("names", "limited"),
    [
        (("standard_value", "standard_relation"), ["standard_value"]),
        (("IC50 (nM)", "IC50_qualifier"), ["IC50 (nM)"]),
        (("pchembl_value", "relation"), []),  # of a concentration, whose limits are the other way round
        (("pchembl_value", "pchembl relation"), ["pchembl_value"]),
    ],
)
def test_whose_relations_a_column_holds_its_name_tells(names: tuple[str, str], limited: list[str]) -> None:
    table = pl.DataFrame({"smiles": SMILES, names[0]: [5.1, 6.2, 7.3, 8.4, 5.5, 6.6], names[1]: [">", "="] * 3})
    cases = read(table, target=names[:1])
    assert [target.name for target in cases.targets if target.limit in cases.table.columns] == limited


def test_relations_of_a_general_name_are_no_ones_among_several_measured() -> None:
    numbers = {"a": [1.5, 2.0, 3.0, 4.0, 5.0, 6.0], "b": [2.5, 2.0, 3.0, 4.0, 5.0, 6.0]}
    table = pl.DataFrame({"smiles": SMILES, **numbers, "relation": [">", "="] * 3, "b_relation": ["<"] * 6})
    cases = read(table, target=("a", "b"))
    assert "a.limit" not in cases.table.columns
    assert cases.table["b.limit"].to_list() == [-1] * 6
    assert cases.table["relation"].to_list() == [">", "="] * 3


def test_several_endpoints_may_each_be_unknown() -> None:
    table = pl.DataFrame({"smiles": SMILES, "a": [1, 0, None, 1, 0, None], "b": [None, 1, 0, 0, 1, None]})
    cases = read(table, target=("a", "b"))
    assert [of(target).items for target in cases.targets] == [("a",), ("b",)]
    assert cases.usable.table["a"].to_list() == [1, 0, None, 1, 0]
    assert cases.table["broken"].to_list() == [None] * 5 + ["it has no label"]


def test_of_several_endpoints_an_empty_or_constant_one_is_left_out_and_named() -> None:
    table = pl.DataFrame({"smiles": SMILES, "a": [1, 0, 1, 0, 1, 0], "b": [None] * 6, "c": [1] * 6})
    cases = read(table, target=("a", "b", "c"))
    assert [target.name for target in cases.targets] == ["a"]
    assert found(cases, "constant-targets").endswith("left out: b, c")
    with pytest.raises(UserError, match=r"none of the targets b, c .* has two different values"):
        read(table, target=("b", "c"))
    with pytest.raises(UserError, match="'b' has no value in any row"):
        read(table, target=("b",))


def test_compounds_that_differ_in_stereochemistry_belong_together() -> None:
    cases = read(pl.DataFrame({"smiles": SMILES, "y": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}))
    assert cases.table["group"][3] == cases.table["group"][4]
    assert cases.table["smiles"][3] != cases.table["smiles"][4]
    assert cases.table["group"].n_unique() == 5


def test_a_case_keeps_its_name_whatever_stands_beside_it() -> None:
    table = pl.DataFrame({"smiles": SMILES, "y": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]})
    whole, part = read(table).table, read(table[2:]).table
    assert whole["case_id"][2:].to_list() == part["case_id"].to_list()
    twice = read(pl.concat([table, table])).table["case_id"]
    assert twice.is_unique().all()


def test_roles_and_the_columns_of_the_user_are_kept() -> None:
    table = pl.DataFrame(
        {"smiles": SMILES, "y": [1, 0, 1, 0, 1, 0], "series": list("aabbcc"), "lab": list("xyxyxy"), "part": [1] * 6}
    )
    cases = read(table, target=("y",), group="series", site="lab", subgroups=("part",))
    assert cases.table["group"].to_list() == list("aabbcc")
    assert cases.table["site"].to_list() == list("xyxyxy")
    assert cases.subgroups == ("part (table)",)
    assert cases.table["part (table)"].to_list() == [1] * 6


def test_subgroups_of_another_study_are_taken_where_they_are() -> None:
    table = pl.DataFrame({"smiles": SMILES, "y": [1, 0, 1, 0, 1, 0], "lab": list("xyxyxy")})
    other = Sources((table,), {}, subgroups=("sex", "lab"))
    assert read_cases(other, Study(target=("y",))).subgroups == ("lab",)
    with pytest.raises(UserError, match="'sex'"):
        read(table, target=("y",), subgroups=("sex",))


def test_parts_that_are_given_are_read() -> None:
    table = pl.DataFrame({"smiles": SMILES, "y": [1, 0, 1, 0, 1, 0], "Set": ["Train", "TEST", "valid"] * 2})
    assert read(table, target=("y",), split="Set").table["part"].to_list() == ["train", "test", "validation"] * 2


def test_one_smiles_to_predict_needs_no_target() -> None:
    cases = read("CC(=O)[O-].[Na+]", labelled=False)
    assert cases.table["smiles"].to_list() == ["CC(=O)O"]
    assert cases.targets == ()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "name the column to predict with --target; it has p, q"),
        ({"target": ("z",)}, "no column 'z' in the table"),
        ({"target": ("p",), "group": "z"}, "no column 'z'"),
        ({"target": ("p",), "options": {"stereo": "maybe"}}, "stereo=maybe is not one of keep, drop"),
        ({"target": ("p",), "options": {"smiles": "z"}}, "no column 'z'"),
    ],
)
def test_what_is_asked_has_to_be_there(asked: dict[str, object], said: str) -> None:
    table = pl.DataFrame({"smiles": SMILES, "p": [1, 0, 1, 0, 1, 0], "q": [0, 0, 1, 0, 1, 0]})
    with pytest.raises(UserError, match=said):
        read(table, **asked)


def test_a_table_without_one_molecule_is_refused() -> None:
    table = pl.DataFrame({"smiles": ["CN(C)(C)(C)C", "c1ccc1C(C)(C)(C)(C)C"], "y": [0, 1]})
    with pytest.raises(UserError, match=r"none of the 2 rows of the table is a molecule; row 2 of the table: no such"):
        read(table)
