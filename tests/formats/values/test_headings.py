"""The heading of a column says the unit of its numbers, and whether they are logarithms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medeor.formats.values.headings import read_heading


@pytest.mark.parametrize(
    ("heading", "measured_in"),
    [
        ("HLM CLint (mL/min/kg)", "mL/min/kg"),
        ("IC50 (M)", "M"),
        ("IC50 [µM]", "uM"),
        ("IC50 [μM]", "uM"),
        ("IC50_uM", "uM"),
        ("ic50_nm", "nM"),
        ("Ki (NM)", "nM"),
        ("IC50 nM", "nM"),
        ("IC50, nM", "nM"),
        ("IC50 / nM", "nM"),
        ("IC50 in nM", "nM"),
        ("IC50.nM.", "nM"),
        ("IC50（nM）", "nM"),
        ("IC50【μM】", "uM"),
        ("IC50（纳摩尔/升）", "nmol/L"),
        ("EC50 (uM, 24 h)", "uM"),
        ("exp_mean [nM]", "nM"),
        ("IC50 nanomolar", "nM"),
        ("Inhibition (%)", "%"),
        ("% inhibition at 10 uM", "%"),
        ("半衰期(小时)", "h"),
        ("half_life_h", "h"),
        ("t1/2 (min)", "min"),
        ("CLint_uL_min_mg", "uL/min/mg"),
        ("Papp (10^-6 cm/s)", "10^-6 cm/s"),
        ("Papp 10-6 cm/s", "10-6 cm/s"),
        ("Löslichkeit [µg/mL]", "ug/mL"),
        ("Solubility in mg/L (pH 7.4)", "mg/L"),
        ("log(IC50/nM)", "log10 nM"),
        ("log10(IC50 [nM])", "log10 nM"),
        ("LOG HLM_CLint (mL/min/kg)", "log10 mL/min/kg"),
        ("measured log solubility in mols per litre", "log10 mol/L"),
        ("lnIC50 (uM)", "ln uM"),
        ("pIC50 (M)", "-log10 M"),
    ],
)
def test_a_unit_is_read_wherever_a_heading_has_it(heading: str, measured_in: str) -> None:
    assert read_heading(heading).measured_in == measured_in


@pytest.mark.parametrize(
    "heading",
    ["exp", "expt", "logSolubility", "activity", "value", "standard_value", "Inhibition at 10 uM", "dose_g", "Target_m",
     "conc (1000 nM)", "group_d", "NR-AR", "y", "PKD activity", "catalogue number"],
)  # fmt: skip
def test_what_is_no_unit_is_not_taken_for_one(heading: str) -> None:
    assert read_heading(heading).unit == ""


@pytest.mark.parametrize(
    ("heading", "logarithm"),
    [("logD", "log10 "), ("lgIC50", "log10 "), ("pKi", "-log10 "), ("-log(IC50)", "-log10 "),
     ("pChEMBL Value", "-log10 "), ("kinase pEC50", "-log10 "), ("PKD IC50 (nM)", ""), ("analogue", ""),
     ("logical", "")],
)  # fmt: skip
def test_logarithms_are_told_by_their_names(heading: str, logarithm: str) -> None:
    assert read_heading(heading).logarithm == logarithm


@given(st.text(max_size=40))
def test_any_text_is_a_heading(text: str) -> None:
    read_heading(text)
