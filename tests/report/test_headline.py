"""A report opens with the figure that its task alone has, held against the simple baseline's."""

from __future__ import annotations

import polars as pl
import pytest

from medeor.contracts import Cases, Explanations, Measure, Predictions, Result, Target
from medeor.report import story
from medeor.report.verdict import own_figure, verdict

EMPTY = pl.DataFrame(schema={"case_id": pl.String, "item": pl.String, "value": pl.Float64})


def _result(baseline: float | None = None, **measures: Measure) -> Result:
    cases = Cases(pl.DataFrame({"case_id": ["a"], "group": ["a"], "y": [1]}), (Target("y", "binary"),))
    beside = {} if baseline is None else {"baseline/mrr": Measure(baseline, baseline - 0.1, baseline + 0.1)}
    return Result(cases, Predictions(EMPTY), Predictions(EMPTY), Explanations((), {}), measures | beside)


def test_what_a_task_measures_first_comes_before_what_every_target_has():
    result = _result(mrr=Measure(0.9), auroc=Measure(0.8), baseline=0.5)
    assert [one.measure.value for one in story._headlines(result)] == [0.9, 0.8]
    assert story._headlines(result)[0].baseline == Measure(0.5, 0.4, 0.6)


def test_what_every_target_has_is_no_task_s_own():
    assert not own_figure(_result(auroc=Measure(0.8), mrr=Measure(0.9)))


@pytest.mark.parametrize(
    ("low", "value", "tone"), [(0.71, 0.8, "good"), (0.65, 0.8, "neutral"), (0.3, 0.5, "bad")], ids=str
)
def test_the_verdict_asks_whether_the_intervals_overlap(low, value, tone):
    result = _result(mrr=Measure(value, low, 0.9), baseline=0.6)
    said, found = verdict(result)
    assert found == tone
    assert f"{value:.3f} ({low:.3f} to 0.900) against 0.600 (0.500 to 0.700)" in str(said)
