"""Tables of assays as databases and spreadsheets export them, through `medeor.read`: the values, their unit and scale,
and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import medeor
from medeor.api import Reading
from medeor.contracts import Target, UserError

SMILES = [f"{'C' * (1 + n // 10)}c1ccc({tail})cc1" for n, tail in enumerate(
    ["O", "N", "C(=O)O", "F", "Cl", "Br", "C#N", "OC", "C=O", "S"] * 4)]  # fmt: skip
"""40 compounds, none twice."""


def read(place: Path, columns: dict[str, Sequence[object]], separator: str = ",", **asked: object) -> Reading:
    """A table of the compounds with these columns, as text, as `medeor.read` has it."""
    rows = zip(SMILES, *columns.values(), strict=True)
    lines = [("smiles", *columns), *rows]
    path = place / "assay.csv"
    path.write_text("".join(separator.join(map(str, line)) + "\n" for line in lines), encoding="utf-8")
    return medeor.read(path, task="molecule-property", **asked)


def target(reading: Reading) -> Target:
    (found,) = reading.cases.targets
    return found


def failed(reading: Reading) -> set[str]:
    return {one.check for one in reading.findings if one.status == "fail"}


NUMBERS = [round(1000 * 0.8**n, 4) for n in range(40)]


@pytest.mark.parametrize(
    ("heading", "unit"),
    [
        ("%inh at 1 µM", "%"),
        ("% inhibition @10 uM", "%"),
        ("IC50 uM @ 24h", "uM"),
        ("IC50 nM at 37 C", "nM"),
        ("Ki_uM", "uM"),
    ],
)
def test_a_condition_in_the_heading_is_not_the_unit(heading: str, unit: str, tmp_path: Path) -> None:
    assert target(read(tmp_path, {heading: NUMBERS}, target=heading)).unit == unit


def test_zeros_do_not_hide_that_a_quantity_spans_decades(tmp_path: Path) -> None:
    values = [0 if n % 4 == 0 else value for n, value in enumerate(NUMBERS)]
    found = read(tmp_path, {"IC50": values})
    assert target(found).scale == "linear"
    assert "scale" in failed(found)


def test_a_difference_of_either_sign_is_no_such_quantity(tmp_path: Path) -> None:
    values = [-value if n % 2 else value for n, value in enumerate(NUMBERS)]
    assert "scale" not in failed(read(tmp_path, {"shift": values}))


@pytest.mark.parametrize("write", ["{0}/{1}", "{0}; {1}", "{0} | {1}"])
def test_two_numbers_in_a_cell_are_no_class(write: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of the 40 cases can be used"):
        read(tmp_path, {"IC50": [write.format(value, value + 1) for value in NUMBERS]}, target="IC50")


def test_a_number_that_a_spreadsheet_marked_as_text_is_a_number(tmp_path: Path) -> None:
    found = read(tmp_path, {"IC50": [f"'{value}" for value in NUMBERS]})
    assert found.cases.table["IC50"].to_list() == NUMBERS


def test_values_without_a_unit_among_others_with_one_are_a_finding(tmp_path: Path) -> None:
    values = [f"{value}%" if n % 2 else round(value / 1e4, 6) for n, value in enumerate(NUMBERS)]
    found = read(tmp_path, {"bound": values})
    assert target(found).unit == "%"
    assert "units" in failed(found)


@pytest.mark.parametrize(
    ("column", "kinds"),
    [
        ("Assay Type", ("B", "F")),
        ("Assay Organism", ("Homo sapiens", "Mus musculus")),
        ("Standard Type", ("IC50", "Ki")),
    ],
)
def test_several_kinds_of_assay_in_one_column_are_a_finding(
    column: str, kinds: tuple[str, str], tmp_path: Path
) -> None:
    values = {"Standard Value": NUMBERS, column: [kinds[n % 2] for n in range(40)]}
    assert "mixed-measurements" in failed(read(tmp_path, values, target="Standard Value"))
    values[column] = [kinds[0]] * 40
    assert "mixed-measurements" not in failed(read(tmp_path, values, target="Standard Value"))


def test_rows_by_which_pubchem_describes_its_columns_are_no_compounds(tmp_path: Path) -> None:
    path = tmp_path / "AID_1.csv"
    head = "PUBCHEM_RESULT_TAG,PUBCHEM_EXT_DATASOURCE_SMILES,PUBCHEM_ACTIVITY_OUTCOME,Potency,Efficacy\n"
    head += "RESULT_TYPE,,,FLOAT,FLOAT\nRESULT_DESCR,,,Concentration of half the effect,\n"
    head += "RESULT_UNIT,,,MICROMOLAR,PERCENT\n"
    path.write_text(
        head + "".join(f"{n + 1},{SMILES[n]},Active,{value},{n}\n" for n, value in enumerate(NUMBERS)), encoding="utf-8"
    )
    found = medeor.read(path, task="molecule-property", target="Potency")
    assert (target(found).unit, target(found).scale) == ("uM", "log")
    assert found.cases.table["Potency"].to_list() == NUMBERS
    assert found.cases.table["place"][0] == "row 5 of AID_1.csv"


@pytest.mark.parametrize(("above", "mark"), [("sep=;\n", ";"), ("# exported\n# by hand\n", ","), ("SEP=|\n", "|")])
def test_lines_above_a_header_are_no_rows(above: str, mark: str, tmp_path: Path) -> None:
    path = tmp_path / "assay.csv"
    rows = [f"smiles{mark}y", *(f"{one}{mark}{value}" for one, value in zip(SMILES, NUMBERS))]
    path.write_text(above + "\n".join(rows) + "\n", encoding="utf-8")
    found = medeor.read(path, task="molecule-property")
    assert found.cases.table["y"].to_list() == NUMBERS
    assert found.cases.table["place"][0] == f"row {2 + above.count(chr(10))} of assay.csv"


def test_a_header_that_begins_with_a_hash_is_a_header(tmp_path: Path) -> None:
    path = tmp_path / "assay.csv"
    path.write_text(
        "#smiles,y\n" + "".join(f"{one},{value}\n" for one, value in zip(SMILES, NUMBERS)), encoding="utf-8"
    )
    assert medeor.read(path, task="molecule-property").cases.table["y"].to_list() == NUMBERS


def test_a_tautomer_in_another_part_is_a_finding(tmp_path: Path) -> None:
    hydroxy = [f"{'C' * n}c1ccc(O)nc1" for n in range(1, 41)]
    pyridone = [f"{'C' * n}C1=CNC(=O)C=C1" for n in range(1, 11)]
    rows = [(one, n, "train") for n, one in enumerate(hydroxy)] + [(one, n, "test") for n, one in enumerate(pyridone)]
    path = tmp_path / "t.csv"
    path.write_text("smiles,y,split\n" + "".join(f"{a},{b}.5,{c}\n" for a, b, c in rows), encoding="utf-8")
    found = medeor.read(path, task="molecule-property", target="y", split="split")
    assert "tautomers-across-parts" in failed(found)
    found = medeor.read(path, task="molecule-property", target="y", split="split", options={"tautomer": "canonical"})
    assert "duplicates-across-parts" in failed(found)


@pytest.mark.parametrize("again", [{}, {"options": {"unit": "uM"}}])
def test_a_cleaned_table_says_the_unit_that_its_values_are_in(again: dict[str, object], tmp_path: Path) -> None:
    """Its heading still names the unit from which they were converted."""
    read(tmp_path, {"IC50 (nM)": NUMBERS})
    source, repaired = tmp_path / "assay.csv", tmp_path / "clean.csv"
    medeor.audit(source, task="molecule-property", options={"unit": "uM"}, clean=repaired)
    found = medeor.read(repaired, task="molecule-property", target="IC50 (nM)", **again)
    factor = 1e-3 if again else 1.0
    assert target(found).unit == ("uM" if again else "nM")
    assert found.cases.table["IC50 (nM)"].to_list() == pytest.approx([value * factor for value in NUMBERS])


def test_a_cleaned_table_keeps_units_that_stood_in_its_cells(tmp_path: Path) -> None:
    read(tmp_path, {"IC50": [f">{value} uM" if n % 5 == 0 else f"{value} uM" for n, value in enumerate(NUMBERS)]})
    medeor.audit(tmp_path / "assay.csv", task="molecule-property", clean=tmp_path / "clean.csv")
    found = medeor.read(tmp_path / "clean.csv", task="molecule-property")
    assert target(found).unit == "uM"
    assert found.cases.table["IC50"].to_list() == NUMBERS
    assert found.cases.table["IC50.limit"].to_list() == [int(n % 5 == 0) for n in range(40)]
