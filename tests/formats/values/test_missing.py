"""What stands for a value that nobody knows."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medeor.formats.values.missing import plain, says_unknown, without_missing_classes, without_missing_numbers


@pytest.mark.parametrize(
    "word",
    ["unknown", "Unknown ", "UNKNOWN", "n/d", "N/A", "?", "??", "not tested", "Not_Tested", "(unknown)", "未知", "不详",
     "不詳", "inconnu", "Non renseigné", "non renseigne", "unbekannt", "k.A.", "keine Angabe", "desconocido",
     "sin datos", "sconosciuto", "não informado", "ｕｎｋｎｏｗｎ", "unknown\u200b", "NaN"],
)  # fmt: skip
def test_words_for_unknown_are_no_class(word: str) -> None:
    found = without_missing_classes(pl.Series("t", ["yes", "no", word, word]))
    assert found.column.to_list() == ["yes", "no", None, None]
    assert found.codes == {word: 2}
    assert says_unknown(word)


@pytest.mark.parametrize(
    "word", ["indeterminate", "Uncertain", "equivocal", "不确定", "indéterminé", "unklar", "dudoso"]
)
def test_what_is_undecided_is_no_class_beside_two_others_and_may_be_a_grade(word: str) -> None:
    values = pl.Series("t", ["positive", "negative", word])
    assert without_missing_classes(values).codes == {word: 1}
    assert without_missing_classes(values, grades=True).codes == {}
    assert without_missing_classes(pl.Series([-1, 0, 1]), grades=True).codes == {}
    assert without_missing_classes(pl.Series("t", ["positive", word])).codes == {}


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ([0, 1, -1, 1], {"-1": 1}),
        ([0.0, 1.0, -1.0, None], {"-1": 1}),
        (["0", "1", "-1"], {"-1": 1}),
        (["yes", "no", "-9", "-9"], {"-9": 2}),
        ([1, 2, 9], {"9": 1}),
        ([0, 1, 2, 3, 99], {"99": 1}),
        ([0, 1, -99], {"-99": 1}),
        ([0, 1, 999], {"999": 1}),
        (["yes", "no", "-"], {"-": 1}),
        (["A", "B", "ND", "NA"], {"ND": 1, "NA": 1}),
        # What stays a class.
        ([-1, 1], {}),
        ([-2, -1, 0, 1, 2], {}),
        ([-1, 0, 1, 2], {}),
        ([-1, 1, 2, 3], {"-1": 1}),
        ([6, 7, 8, 9, 10], {}),
        ([0, 1, 2, 3, 9], {}),
        (["-", "+", "++"], {}),
        (["-", "+"], {}),
        (["AD", "ND"], {}),
        (["none", "mild"], {}),
        (["R", "NR", "PD"], {}),
        ([True, False, None], {}),
    ],
)
def test_codes_beside_classes(values: list, codes: dict[str, int]) -> None:
    assert without_missing_classes(pl.Series("t", values)).codes == codes


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ([0.5, 1.5, 2.5, -999.0], {"-999": 1}),
        ([0.5, 1.5, 2.5, -9999], {"-9999": 1}),
        ([61, 48, 72, 999], {"999": 1}),
        ([61.5, 48, 72, 9999, 9999], {"9999": 2}),
        ([61.5, 48, 72, float("inf"), float("-inf")], {"inf": 1, "-inf": 1}),
        ([5e3, 2e3, 4e3, 9999, 9999, 9999, 6e3], {"9999": 3}),
        ([12, 45, 31, -1, -1], {"-1": 2}),
        ([12, 45, 31, 2147483647], {"2147483647": 1}),
        ([1.2, 2.3, 3.4, 9.969209968386869e36], {"9.969209968e+36": 1}),
        # Measurements.
        ([-1.0, -1.0, 0.5, 3.2, 4.4], {}),
        ([-1000, -999, 40, 300, 1200], {}),
        ([85, 99, 92, 99], {}),
        ([1.5, 2.5, float("nan"), 3.5], {}),
        ([-99, -50, 20, 150], {}),
        ([-99, 0, 20, 150], {}),
        ([-99, 0, 20, 50], {"-99": 1}),
        ([-99, -99, 0, 150, 7], {"-99": 2}),
        ([12, 45, 31, -1], {}),
        ([300, 2000, 999, 50], {}),
        ([0, 9, 9], {}),
    ],
)
def test_numbers_that_no_instrument_measures(values: list, codes: dict[str, int]) -> None:
    found = without_missing_numbers(pl.Series("t", values, strict=False))
    assert found.codes == codes
    unknown = sum(value != value for value in values)
    assert found.column.null_count() == sum(codes.values()) + unknown


@given(st.lists(st.floats(-1e6, 1e6).filter(lambda one: round(one) != one), min_size=1))
def test_fractions_are_never_codes(values: list[float]) -> None:
    assert without_missing_numbers(pl.Series(values)).codes == {}


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ([0, 10, 20, 99], {"99": 1}),
        ([0, 10, 21, 99], {}),
        ([1, 2, 3, 9], {}),
        ([1, 2, 9], {"9": 1}),
        ([0, 1, 2, -1], {}),
        ([0, 1, 2, -9], {"-9": 1}),
        ([1, 2, 3, -1], {"-1": 1}),
        ([-2, 0, 2, -9], {}),
    ],
)
def test_nines_and_numbers_below_zero_are_codes_beside_grades(values: list[int], codes: dict[str, int]) -> None:
    assert without_missing_classes(pl.Series("t", values)).codes == codes


def test_a_measured_nine_is_a_code_only_where_it_lies_far_from_all_others() -> None:
    for values, codes in (
        ([12, 15, 18, 99, 99], {"99": 2}),
        ([12, 15, 18, 99], {}),
        ([12, 15, 20, 99, 99], {}),
        ([12, 19, 31, -1, -1], {"-1": 2}),
        ([12, 14, 19, -1, -1], {}),
        ([1.0, 2.0, 3.0, 3.41e38], {"3.41e+38": 1}),
    ):
        assert without_missing_numbers(pl.Series("t", values, strict=False)).codes == codes


def test_spellings_have_one_plain_form() -> None:
    assert len({plain(word) for word in ["Yes", "yes", "YES ", "ｙｅｓ", "yes.", " Yes,", "yes\u200b"]}) == 1
    assert plain("le\u0301sion  b\u00e9nigne") == plain("L\u00e9sion b\u00e9nigne ")
    assert len({plain(word) for word in ["HER2+", "HER2-", "HER2", "?", "+", "-"]}) == 6
