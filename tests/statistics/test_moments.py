import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medeor.statistics.moments import Moments

VALUES = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=30).map(np.array)


@given(VALUES, VALUES)
def test_moments_of_two_parts_add_up_to_those_of_the_whole(one, other):
    whole = np.concatenate((one, other))
    known = whole[~np.isnan(whole)]
    found = Moments.of(one) + Moments.of(other)
    assert found.count == len(known)
    if len(known):
        assert found.mean == pytest.approx([known.mean()], rel=1e-9, abs=1e-6)
        assert found.deviation == pytest.approx([known.std()], rel=1e-6, abs=1e-6)


def test_moments_come_back_from_json():
    found = Moments.of(np.array([1.0, 2.0, np.nan]), np.array([4.0]))
    again = Moments.from_json(json.loads(json.dumps(found.to_json())))
    assert (found.mean.tolist(), found.deviation.tolist()) == ([1.5, 4.0], [0.5, 0.0])
    assert again.to_json() == found.to_json()
