"""What was measured is read in its unit and on its scale, and what is no measurement is none."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import medeor
from medeor.contracts import Finding, Target, UserError

TAILS = ("O", "N", "C(=O)O", "F", "Cl", "Br", "C#N", "OC", "C=O", "S")
SMILES = [f"{'C' * (1 + i // 10)}c1ccc({TAILS[i % 10]})cc1" for i in range(60)]
PIC50 = [3.0 + 0.06 * i for i in range(60)]
NANOMOLAR = [10 ** (9 - value) for value in PIC50]


def read(**columns: Any) -> tuple[pl.DataFrame, Target, dict[str, Finding]]:
    """The case table, the one target and the findings by name, of a table with these columns beside the structures."""
    asked = columns.pop("asked", {})
    found = medeor.read(pl.DataFrame({"smiles": SMILES, **columns}), task="molecule-property", **asked)
    (target,) = found.cases.targets
    return found.cases.table, target, {one.check: one for one in found.findings}


def file(path: Path, text: str, **asked: Any) -> tuple[pl.DataFrame, Target, dict[str, Finding]]:
    path.write_text(text)
    found = medeor.read(path, task="molecule-property", **asked)
    (target,) = found.cases.targets
    return found.cases.table, target, {one.check: one for one in found.findings}


@pytest.mark.parametrize(
    ("heading", "unit", "size"),
    [
        ("HLM CLint (mL/min/kg)", "mL/min/kg", 1e-3),
        ("IC50 (M)", "M", 1e-9),
        ("IC50 [µM]", "uM", 1e-3),
        ("potency_nM", "nM", 1.0),
        ("Ki in pM", "pM", 1e3),
        ("IC50（nM）", "nM", 1.0),
        ("溶解度 (微克/毫升)", "ug/mL", 1e-2),
    ],
)
def test_a_positive_quantity_over_decades_is_learnt_by_its_logarithm(heading: str, unit: str, size: float) -> None:
    table, target, found = read(**{heading: [value * size for value in NANOMOLAR]})
    assert (target.unit, target.scale) == (unit, "log")
    assert table[heading].to_list() == pytest.approx([value * size for value in NANOMOLAR])
    assert found["scale"].status == "pass"
    assert "log scale" in str(found["scale"].message)


def test_a_quantity_without_a_unit_is_learnt_by_its_logarithm_where_it_is_skewed() -> None:
    assert read(y=NANOMOLAR)[1].scale == "log"
    even = np.linspace(0.01, 4.5, 60).tolist()
    _, target, found = read(y=even)
    assert (target.scale, found["scale"].status) == ("linear", "unknown")
    for heading in ("logD", "pIC50", "log(IC50/nM)", "logK"):
        _, target, found = read(**{heading: even}, asked={"target": heading})
        assert target.scale == "linear"
        assert "scale" not in found
    _, target, found = read(y=[*NANOMOLAR[:58], 0.0, -1.5])
    assert (target.scale, found["scale"].status) == ("linear", "fail")
    assert read(y=[value - 5000 for value in NANOMOLAR])[1].scale == "linear"
    assert read(**{"dG (kcal/mol)": even})[1].scale == "linear"


def test_the_user_states_scale_unit_and_endpoint() -> None:
    where = {"scale": "linear", "unit": "nM"}
    _, target, found = read(y=NANOMOLAR, asked={"options": where})
    assert (target.unit, target.scale) == ("nM", "linear")
    assert "scale" not in found
    table, target, _ = read(**{"IC50 (uM)": NANOMOLAR}, asked={"options": {"unit": "nM"}})
    assert target.unit == "nM"
    assert table["IC50 (uM)"].to_list() == pytest.approx([1000 * value for value in NANOMOLAR])
    _, target, found = read(exp=PIC50, asked={"options": {"endpoint": "pic50"}})
    assert target.unit == "-log10 mol/L"
    assert found["units"].status == "pass"
    for where, said in (
        ({"scale": "cubic"}, "is not one of linear, log"),
        ({"endpoint": "pic5"}, "pic50"),
        ({"unit": "h"}, "cannot be converted"),
        ({"decimal": "dot"}, "is not one of comma, point"),
    ):
        with pytest.raises(UserError, match=said):
            read(**{"IC50 (uM)": NANOMOLAR}, asked={"options": where})


def test_units_in_cells_and_columns_come_into_one_and_strange_ones_are_unread() -> None:
    cells = [f"{value / 1000:.6g} uM" if i % 2 else f"{value:.6g} nM" for i, value in enumerate(NANOMOLAR)]
    table, target, _ = read(IC50=cells)
    size = {"nM": 1.0, "uM": 1000.0}[target.unit]
    assert target.scale == "log"
    assert (table["IC50"] * size).to_list() == pytest.approx(NANOMOLAR, rel=1e-5)
    for name in (
        "Standard Units",
        "standard_units",
        "Units",
        "Unit",
        "value_unit",
        "Einheit",
        "单位",
        "IC50 unit",
        "UOM",
    ):
        units = ["nM"] * 30 + ["uM"] * 28 + ["AU", "mg/L"]
        subject = "Standard Value" if "tandard" in name else "IC50" if "IC50" in name else "value"
        table, target, found = read(**{subject: NANOMOLAR, name: units}, asked={"target": subject})
        assert (target.unit, target.scale) == ("nM", "log"), name
        assert table[subject][30] == pytest.approx(1000 * NANOMOLAR[30])
        assert table[subject][58:].to_list() == [None, None]
        assert table["unread"][58].to_list() == [subject]
        assert found["units"].status == "fail"
        assert "AU (1 row)" in str(found["units"].message)
        assert set(found["unread-values"].cases) == set(table["case_id"][58:])


@pytest.mark.parametrize(
    "name", ["exp", "expt", "logSolubility", "sol", "HLM", "hlm_clint", "cl", "clearance", "Caco2"]
)
def test_a_name_that_may_mean_anything_gives_no_unit(name: str) -> None:
    _, target, found = read(**{name: PIC50}, asked={"target": name})
    assert target.unit == ""
    assert found["units"].status == "unknown"


def test_a_unit_that_only_the_name_suggests_is_told(tmp_path: Path) -> None:
    _, target, found = read(half_life=PIC50, asked={"target": "half_life"})
    assert target.unit == "h"
    assert found["units"].status == "unknown"
    _, target, found = read(**{"half_life (min)": PIC50}, asked={"target": "half_life (min)"})
    assert target.unit == "min"
    assert found["units"].status == "pass"
    text = "smiles,exp\n" + "".join(f"{s},{v}\n" for s, v in zip(SMILES, PIC50))
    _, target, found = file(tmp_path / "kinase_pIC50.csv", text)
    assert found["units"].status == "unknown"
    assert "its file's" in str(found["units"].message)


@pytest.mark.parametrize("code", ["-999", "-9999", "9999", "-999.0", "1e400", "inf", "-inf", "Infinity", "NaN"])
def test_codes_and_infinite_numbers_are_no_measurements(tmp_path: Path, code: str) -> None:
    lines = [f"{s},{code if i % 20 == 3 else v}" for i, (s, v) in enumerate(zip(SMILES, PIC50))]
    table, _, found = file(tmp_path / "x.csv", "\n".join(["smiles,foo", *lines]), target="foo")
    assert table["foo"].null_count() == 3
    assert table["foo"].drop_nulls().is_between(3, 7).all()
    if code != "NaN":  # that is an empty cell
        assert found["unread-values"].status == "fail"
        assert len(found["unread-values"].cases) == 3
    if "999" in code:
        assert set(found["missing-codes"].cases) == set(found["unread-values"].cases)
        assert "999" in str(found["missing-codes"].message)


def test_an_infinite_number_among_a_few_whole_ones_is_no_class(tmp_path: Path) -> None:
    rows = [f"{s},{i % 10 if i else '91e400'}" for i, s in enumerate(SMILES)]
    table, target, _ = file(tmp_path / "x.csv", "\n".join(["smiles,y", *rows]))
    assert "inf" not in target.classes
    assert table["y"].null_count() == 1


@pytest.mark.parametrize("name", ["Standard Type", "Type", "Activity Type", "Measurement", "standard_type", "endpoint"])
@pytest.mark.parametrize("kinds", [("IC50", "Ki", "EC50"), ("IC50", "% inhibition"), ("Kd", "Inhibition")])
def test_several_kinds_of_measurement_in_one_column_are_a_finding(name: str, kinds: tuple[str, ...]) -> None:
    types = [kinds[i % len(kinds)] for i in range(60)]
    found = read(**{"Standard Value": NANOMOLAR, name: types}, asked={"target": "Standard Value"})[2]
    assert found["mixed-measurements"].status == "fail"
    assert f"'{name}'" in str(found["mixed-measurements"].message)
    assert all(kind in str(found["mixed-measurements"].message) for kind in kinds)
    same = read(**{"Standard Value": NANOMOLAR, name: ["IC50"] * 60}, asked={"target": "Standard Value"})[2]
    assert "mixed-measurements" not in same


def test_several_targets_in_one_column_are_a_finding() -> None:
    kinases = [f"CHEMBL{i % 3}" for i in range(60)]
    found = read(value=NANOMOLAR, **{"Target ChEMBL ID": kinases}, asked={"target": "value"})[2]
    assert found["mixed-measurements"].status == "fail"
    assert "'Target ChEMBL ID'" in str(found["mixed-measurements"].message)


# Decimal commas ------------------------------------------------------------------------------------------


def table_of(mark: str, heading: str, values: list[str], other: list[str] | None = None) -> str:
    lines = [
        mark.join([s, f'"{v}"' if mark == "," else v, *([o] if o is not None else [])])
        for s, v, o in zip(SMILES, values, other or [None] * 60)
    ]
    return "\n".join([mark.join(["smiles", heading, *(["other"] if other else [])]), *lines])


def commas(values: list[float]) -> list[str]:
    return [f"{value:.3f}".replace(".", ",") for value in values]


@pytest.mark.parametrize("mark", ["\t", ",", "|", ";"])
def test_a_comma_that_the_endpoint_decides_is_a_decimal_sign(tmp_path: Path, mark: str) -> None:
    table, _, found = file(tmp_path / "x.csv", table_of(mark, "pIC50", commas(PIC50)), target="pIC50")
    assert table["pIC50"].to_list() == pytest.approx(PIC50, abs=1e-3)
    if mark != ";":
        assert found["decimal-commas"].status == "pass"


def test_a_comma_that_other_columns_or_the_user_decide(tmp_path: Path) -> None:
    path, plain = tmp_path / "x.tsv", [f"{i},5" for i in range(60)]
    table, _, found = file(path, table_of("\t", "foo", commas(PIC50), plain), target="foo")
    assert table["foo"].to_list() == pytest.approx(PIC50, abs=1e-3)
    assert found["decimal-commas"].status == "pass"
    points = [f"{i}.5" for i in range(60)]
    table, _, found = file(path, table_of("\t", "foo", commas(PIC50), points), target="foo")
    assert table["foo"].to_list() == pytest.approx([1000 * value for value in PIC50])
    table, _, found = file(path, table_of("\t", "foo", commas(PIC50)), target="foo")
    assert found["decimal-commas"].status == "fail"
    assert "decimal=comma" in str(found["decimal-commas"].message)
    asked = {"target": "foo", "options": {"decimal": "comma"}}
    table, _, found = file(path, table_of("\t", "foo", commas(PIC50)), **asked)
    assert table["foo"].to_list() == pytest.approx(PIC50, abs=1e-3)


def test_points_for_thousands_beside_decimal_commas(tmp_path: Path) -> None:
    plain, grouped = [f"{i},5" for i in range(60)], [f"{i + 1}.{i:03d}" for i in range(60)]
    for mark in ";\t":
        table, _, found = file(tmp_path / "x.csv", table_of(mark, "foo", grouped, plain), target="foo")
        assert table["foo"].to_list() == [1000.0 * (i + 1) + i for i in range(60)]
        assert found["decimal-commas"].status == "pass"


# Parts ---------------------------------------------------------------------------------------------------


def test_a_slip_among_parts_is_refused_and_its_value_named() -> None:
    parts = ["train"] * 30 + ["test"] * 20 + ["tset"] * 10
    with pytest.raises(UserError, match="'tset'"):
        read(y=PIC50, split=parts, asked={"target": "y", "split": "split"})
    with pytest.raises(UserError, match="'trian'"):
        read(y=PIC50, split=["trian"] * 30 + ["tset"] * 30, asked={"target": "y", "split": "split"})
    table, *_ = read(y=PIC50, series=[f"s{i % 6}" for i in range(60)], asked={"target": "y", "split": "series"})
    assert "part" not in table.columns
    found = read(y=PIC50, split=["train"] * 30 + ["test"] * 30, asked={"target": "y"})[2]
    assert "--split split" in str(found["parts-not-used"].message)


# Whole files ---------------------------------------------------------------------------------------------

FEW = """smiles,y
CCO,0
c1ccccc1,1
C[C@H](N)C(=O)O,2
CC(=O)Oc1ccccc1C(=O)O,3
[Na+].[Cl-],4
CCN,5
OC,6
CCCC,7
c1ccsc1,8
F/C=C/F,91e400"""


@pytest.mark.parametrize("name", ["x.csv", "x.smi", "x.txt"])
def test_a_number_too_large_for_any_is_unknown_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    table, target, _ = file(tmp_path / name, FEW, target="y")
    assert table["y"].to_list()[-1] is None
    assert not {"inf", "9223372036854775807"} & set(target.classes)
    assert table.height == 10


def test_an_export_of_chembl_is_read_whole(tmp_path: Path) -> None:
    head = '"Molecule ChEMBL ID";"Smiles";"Standard Type";"Standard Relation";"Standard Value";"Standard Units"\n'
    lines = [
        f'"CHEMBL{i}";"{s}";"IC50";"\'{">" if i % 10 == 0 else "="}\'";"{v:.2f}";"nM"'
        for i, (s, v) in enumerate(zip(SMILES, NANOMOLAR))
    ]
    table, target, found = file(tmp_path / "x.csv", head + "\n".join(lines), target="Standard Value")
    assert (target.unit, target.scale) == ("nM", "log")
    assert table["Standard Value"].to_list() == pytest.approx(NANOMOLAR, abs=0.01)
    assert (table[target.limit] == 1).sum() == 6
    assert table["Molecule ChEMBL ID"][3] == "CHEMBL3"
    assert found["units"].status == "pass"


def test_an_amount_learnt_by_its_logarithm_is_predicted_above_0(tmp_path: Path) -> None:
    cells = [f"{value / 1000:.4g} uM" for value in NANOMOLAR]
    run = medeor.train(
        pl.DataFrame({"smiles": SMILES, "IC50": cells}),
        out=tmp_path / "run",
        accept=("near-duplicates-across-parts",),
        settings={"parts": '["trees"]', "trees.rounds": "20", "members": "single"},
    )
    table = run.predict(pl.DataFrame({"smiles": [*SMILES, "CCO", "C" * 30]}))
    assert (table["low"] > 0).all()
    assert (table["value"] > 0).all()
    assert set(table["unit"]) == {"uM"}


def test_a_code_for_unknown_is_no_limit() -> None:
    table = pl.DataFrame(
        {"smiles": ["C" * n for n in range(1, 9)], "y": ["0.5", "<0.1", "1.5", "2.5", "<-999", "3.5", "0.7", "-0.4"]}
    )
    cases = medeor.read(table, target="y").cases
    assert cases.table["y"].to_list() == [0.5, 0.1, 1.5, 2.5, None, 3.5, 0.7, -0.4]
    assert cases.table["y.limit"].to_list() == [0, -1, 0, 0, None, 0, 0, 0]
