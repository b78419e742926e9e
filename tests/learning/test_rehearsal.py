"""How long a method takes, from a few of the cases."""

from __future__ import annotations

from pathlib import Path

import pytest

import medeor
from medeor.learning.rehearsal import FitTime, Line

SRC = Path(medeor.__file__).parent


def test_seconds_grow_along_the_line_through_two_measurements() -> None:
    line = Line.through((100, 3.0), (300, 5.0))
    assert line == pytest.approx((2.0, 0.01))
    assert line.seconds(1000) == pytest.approx(12.0)


def test_what_falls_with_more_cases_grows_with_none() -> None:
    assert Line.through((100, 3.0), (300, 2.0)) == Line(2.0, 0.0)


def test_features_are_counted_once_and_fits_each() -> None:
    assert FitTime(Line(0.0, 0.5), Line(1.0, 0.1)).seconds(10, 5) == pytest.approx(5 + 5 * 2)


CLOCKS = ("perf_counter", "monotonic()", "time.time()", "process_time")


@pytest.mark.parametrize("room", ["trust", "learning", "statistics", "imaging", "molecules", "knowledge", "tabular"])
def test_no_clock_decides_what_is_fitted_audited_or_explained(room: str) -> None:
    """Clocks are read where a plan is made, and nowhere else in these rooms."""
    planning = {"rehearsal.py", "budget.py"}
    found = {path.name for path in (SRC / room).rglob("*.py") if any(clock in path.read_text() for clock in CLOCKS)}
    assert found <= planning
