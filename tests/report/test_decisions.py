"""A report says which class is called positive, from which probability on, and by which rule."""

from __future__ import annotations

import pytest

from medeor.contracts import Target
from medeor.report.decisions import decisions, first_words
from medeor.targets import of
from medeor.targets.common.calibration import TargetCalibration
from medeor.trust.calibration import Calibration


def targets(count: int, guessed: int = -1) -> list[Target]:
    return [Target(f"t{n}", "binary", (f"no{n}", f"yes{n}"), guessed=n == guessed) for n in range(count)]


def calibrated(asked: list[Target]) -> Calibration:
    learnt = (TargetCalibration(one.name, "binary", of(one).items, 50, rule="equal", threshold=0.25) for one in asked)
    return Calibration(0.9, tuple(learnt))


@pytest.mark.parametrize("count", [1, 3])
def test_the_first_line_names_class_and_threshold_of_a_few_targets(count: int) -> None:
    asked = targets(count)
    said = str(first_words(asked, calibrated(asked)))
    for n in range(count):
        assert f"ositive class: yes{n}; threshold .250 (sensitivity equal to specificity)." in said
    assert said.startswith("Positive class: yes0")


def test_of_many_targets_only_what_was_guessed_stands_there() -> None:
    asked = targets(4, guessed=2)
    said = str(first_words(asked, calibrated(asked)))
    assert "yes2 (guessed; change it with --option positive=no2)" in said
    assert "yes0" not in said
    assert first_words(targets(4), calibrated(asked)) == ""


def test_the_table_names_every_positive_class() -> None:
    asked = [*targets(2, guessed=1), Target("size", "continuous"), Target("bound", "binary")]
    (table,) = decisions(asked, calibrated(asked))
    assert [tuple(map(str, row[:3])) for row in table.rows] == [
        ("t0", "yes0", ".250"), ("t1", "yes1 (guessed)", ".250"), ("bound", "bound", ".250"),
    ]  # fmt: skip
    assert not list(decisions(asked, None))
    assert first_words(asked[2:], None) == ""
