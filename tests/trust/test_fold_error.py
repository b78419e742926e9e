"""Fold errors of numbers that are learned by their logarithm."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from medeor.contracts import Cases, Predictions, Target
from medeor.figures import Lines
from medeor.trust.curves import figures
from medeor.trust.measures import headlines, measure


def test_fold_error_is_the_geometric_mean_and_what_is_known_by_a_limit_is_not_scored() -> None:
    rng = np.random.default_rng(0)
    truth = 10 ** rng.normal(size=200)
    factor = np.tile([1.5, 1 / 2.5, 4.0, 1.0], 50)
    ids = [f"c{i}" for i in range(204)]
    limit = pl.Series([0] * 200 + [1] * 4, dtype=pl.Int8)
    table = pl.DataFrame({"case_id": ids, "group": ids, "y": [*truth, *[100.0] * 4], "y.limit": limit})
    said = pl.DataFrame({"case_id": ids, "item": "y", "value": [*truth * factor, *[1e9] * 4]})
    target = Target("y", "continuous", unit="h", scale="log")
    found = measure(Cases(table, (target,)), Predictions(said))
    assert found["fold_error"].value == pytest.approx((1.5 * 2.5 * 4.0) ** 0.25)
    assert found["within_2_fold"].value == 0.5
    assert found["within_3_fold"].value == 0.75
    assert found["fold_error"].n == 200
    (drawn,) = [one for one in figures(Cases(table, (target,)), Predictions(said)) if isinstance(one, Lines)]
    assert str(drawn.x_label) == "True (log10 h)"
    assert dict(zip(drawn.series[0].x, drawn.series[0].y)) == pytest.approx(
        dict(zip(np.log10(truth), np.log10(truth * factor)))
    )
    assert headlines((target,))[0] == "fold_error"
