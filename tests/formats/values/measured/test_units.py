"""Values in several units come into one, where the units are multiples of each other."""

from fractions import Fraction

import polars as pl
import pytest

from medeor.formats.values.measured.units import factor, in_one_unit, is_positive


@pytest.mark.parametrize(
    ("unit", "into", "times"),
    [
        ("µM", "nM", 1000),
        ("M", "pM", 10**12),
        ("nmol/L", "uM", Fraction(1, 1000)),
        ("min", "h", Fraction(1, 60)),
        ("d", "s", 86400),
        ("mg/mL", "ug/mL", 1000),
        ("mg/L", "ug/mL", 1),
        ("ug.mL-1", "ug/mL", 1),
        ("mL·min⁻¹·kg⁻¹", "mL/min/kg", 1),
        ("mL/min/g", "uL/min/mg", 1),
        ("uL.min-1.(10^6cells)-1", "uL/min/10^6 cells", 1),
        ("%", "fraction", Fraction(1, 100)),
        ("log10 ug/mL", "log10 ug/mL", 1),
        ("nM", "ug/mL", None),
        ("nm", "nM", None),
        ("ug/mL", "log10 ug/mL", None),
        ("apples", "nM", None),
    ],
)
def test_units_that_are_multiples_of_each_other(unit: str, into: str, times: Fraction | int | None) -> None:
    assert factor(unit, into) == times


def test_values_come_into_the_unit_that_is_wanted_or_else_the_commonest() -> None:
    values, units = pl.Series("x", [21100.0, 2.44, 7.0, None, 3.0]), pl.Series(["nM", "µM", None, "nM", "uM"])
    wanted = in_one_unit(values, units, "nM")
    assert wanted.values.to_list() == [21100.0, 2440.0, 7.0, None, 3000.0]
    assert (wanted.converted, wanted.foreign, wanted.bare) == ((("uM", 2),), (), 1)
    common = in_one_unit(values, units)
    assert (common.unit, common.values.to_list()) == ("uM", [21.1, 2.44, 7.0, None, 3.0])


def test_values_in_units_that_do_not_belong_together_are_counted_and_left() -> None:
    one = in_one_unit(pl.Series([1.0, 2.0, 3.0]), pl.Series(["nM", "mg/L", "nM"]))
    assert (one.unit, one.foreign, one.values.to_list()) == ("nM", (("mg/L", 1),), [1.0, 2.0, 3.0])


def test_a_rare_remark_is_no_unit_of_the_whole() -> None:
    one = in_one_unit(pl.Series([1.0, 2.0, 3.0]), pl.Series([None, "roughly", None]))
    assert (one.unit, one.foreign) == ("", (("roughly", 1),))
    assert in_one_unit(pl.Series([1.0]), pl.Series([None], dtype=pl.String)).unit == ""


@pytest.mark.parametrize(
    ("unit", "into", "times"),
    [
        ("10^-6 cm/s", "cm/s", Fraction(1, 10**6)),
        ("1E-6cm/s", "cm/s", Fraction(1, 10**6)),
        ("x10-6 cm/s", "cm/s", Fraction(1, 10**6)),
        ("10⁻⁶ cm/s", "cm/s", Fraction(1, 10**6)),
        ("nanomolar", "uM", Fraction(1, 1000)),
        ("mols per litre", "M", 1),
        ("微克/毫升", "mg/L", 1),
        ("Stunden", "min", 60),
        ("10 uM", "uM", None),
        ("1000nM", "nM", None),
    ],
)
def test_units_with_a_power_of_ten_and_units_in_words(unit: str, into: str, times: Fraction | int | None) -> None:
    assert factor(unit, into) == times


def test_which_units_are_of_quantities_above_0() -> None:
    assert all(map(is_positive, ("nM", "mL/min/kg", "h", "mg/L", "10^-6 cm/s")))
    assert not any(map(is_positive, ("kcal/mol", "%", "fraction", "log10 nM", "", "ratio")))
