"""Numbers as a reader meets them. Expected texts are written by hand after the rules of the docstrings."""

from __future__ import annotations

import html
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medeor.contracts import Measure
from medeor.report.axes import labels, span, ticks
from medeor.report.text import alike, escape, interval, number, together, wrapped


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.941, ".941"),
        (0.94149, ".941"),
        (0.9996, "1.00"),
        (1.0, "1.00"),
        (0.05234, ".0523"),
        (-0.5, "−.500"),
        (12.34, "12.3"),
        (123.4, "123"),
        (2019, "2019"),
        (1234567, "1,234,567"),
        (0, "0"),
        (-0.0, "0"),
        (0.0000213, "2.13 × 10⁻⁵"),
        (None, "–"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_have_three_significant_figures(value: float | None, shown: str) -> None:
    assert number(value) == shown


@given(st.floats(min_value=-1e6, max_value=1e6, allow_nan=False))
def test_a_shown_number_is_within_half_a_unit_of_its_third_figure(value: float) -> None:
    text = number(value).replace("−", "-").replace(",", "").replace(" × 10", "e")
    shown = float(text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
    # Half a unit of the third of three figures is at most 1 part in 200.
    assert shown == pytest.approx(value, rel=0.00501, abs=1e-300)


@pytest.mark.parametrize(
    ("measure", "shown"),
    [
        (Measure(0.941, 0.902, 0.973, 312), ".941 (.902–.973)"),
        (Measure(0.98, 0.9, 1.0), ".980 (.900–1.000)"),
        (Measure(0.0312, 0.019, 0.058), ".031 (.019–.058)"),
        (Measure(-0.012, -0.031, 0.007), "−.012 (−.031 to .007)"),
        (Measure(12.34, 8.123, 19.0), "12.3 (8.1–19.0)"),
        (Measure(0.0004, -0.02, 0.03), ".000 (−.020 to .030)"),
        (Measure(0.941), ".941"),
        (Measure(None, 0.1, 0.2), "–"),
        (Measure(0.5, math.nan, 0.6), ".500"),
    ],
)
def test_an_interval_has_the_decimals_of_its_value(measure: Measure, shown: str) -> None:
    assert interval(measure) == shown


def test_a_column_has_one_number_of_decimals_where_all_its_numbers_bear_it() -> None:
    assert alike([0.941, 0.0454, None, 1.0]) == [".941", ".045", "–", "1.000"]
    assert alike([12.34, 3.5]) == ["12.3", "3.5"]
    assert alike([149.0, 22.0]) == ["149", "22"]
    assert alike([0.9, 0.00002]) == [".900", "2.00 × 10⁻⁵"]


@given(st.text())
def test_escaped_text_holds_no_markup_and_reads_back(text: str) -> None:
    escaped = escape(text)
    assert not set("<>\"'") & set(escaped)
    assert "\u202e" not in escaped
    printable = "".join(sign for sign in text if sign.isprintable() and sign not in "\u202e")
    assert all(sign in html.unescape(escaped) for sign in printable)


def test_sentences_follow_one_another_without_gaps() -> None:
    assert [str(together(*texts)) for texts in ((), ("", "One."), ("One.", "", "Two.", "Three."))] == [
        "", "One.", "One. Two. Three.",
    ]  # fmt: skip


def test_long_text_wraps_at_spaces_and_between_chinese_characters() -> None:
    assert wrapped("net benefit", 12, 50) == ["net", "benefit"]
    # Four square characters of 12 units fit in 50 units.
    assert wrapped("预测概率与观察", 12, 50) == ["预测概率", "与观察"]


@given(
    st.floats(min_value=-1e6, max_value=1e6, allow_nan=False),
    st.floats(min_value=1e-6, max_value=1e6, allow_nan=False),
)
def test_axis_marks_are_few_even_round_and_inside(low: float, length: float) -> None:
    high = low + length
    # Below this the marks could not be told apart in double precision.
    if length < 1e-9 * abs(low):
        return
    marks = ticks(low, high)
    steps = [b - a for a, b in itertools.pairwise(marks)]
    assert 3 <= len(marks) <= 11
    assert max(steps) == pytest.approx(min(steps), rel=1e-6, abs=1e-9 * max(abs(low), abs(high)))
    step = (marks[-1] - marks[0]) / (len(marks) - 1)
    mantissa = step / 10.0 ** math.floor(math.log10(step) + 1e-6)
    assert min(abs(mantissa - factor) for factor in (1, 2, 2.5, 5, 10)) < 1e-3
    assert low - 1e-6 * step <= marks[0]
    assert marks[-1] <= high + 1e-6 * step
    assert len(set(labels(marks))) == len(marks) or step < 1e-6


@given(st.lists(st.floats(min_value=-1e6, max_value=1e6, allow_nan=False), min_size=1))
def test_an_axis_covers_its_values(values: list[float]) -> None:
    low, high = span(values)
    assert low < high
    slack = 1e-6 * (high - low)
    assert low - slack <= min(values)
    assert max(values) <= high + slack


def test_axis_marks_of_shares() -> None:
    assert labels(ticks(0, 1)) == ["0", ".2", ".4", ".6", ".8", "1.0"]
    assert labels(ticks(-0.05, 0.5)) == ["0", ".1", ".2", ".3", ".4", ".5"]
