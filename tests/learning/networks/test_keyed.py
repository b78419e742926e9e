import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medeor.learning.networks.keyed import case_keys, normal, uniform

seeds = st.integers(0, 2**63 - 1)


def test_keys_are_those_of_splitmix64():
    """Against the reference algorithm in Python's unlimited integers (https://prng.di.unimi.it/splitmix64.c)."""

    def mixed(state: int) -> int:
        state = state % 2**64
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        return state ^ (state >> 31)

    step = 0x9E3779B97F4A7C15
    seed, epoch, case = 2**63 - 25, 7, 123_456
    expected = seed
    for number in (epoch, case):
        expected = mixed(expected + step) ^ number
    expected = mixed(expected + step)
    assert int(case_keys(seed, epoch, torch.tensor([case]))[0]) % 2**64 == expected


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_uniform_numbers_fill_the_unit_interval(seed):
    values = uniform(case_keys(seed, 0, torch.arange(2000)), stream=3, count=4)
    assert values.min() >= 0
    assert values.max() < 1
    # Standard error of a mean of 8,000: 0.0032; of ten bins: 27 around 800. Five of each.
    assert abs(float(values.mean()) - 0.5) < 0.016
    assert (torch.histc(values, 10, 0, 1) - 800).abs().max() < 135
    assert np.corrcoef(values.T.numpy())[np.triu_indices(4, 1)] == pytest.approx(0, abs=0.12)


def test_normal_numbers_have_the_moments_of_a_gaussian():
    values = normal(case_keys(0, 0, torch.arange(200)), stream=0, count=501).double()
    assert values.shape == (200, 501)
    assert bool(values.isfinite().all())
    moments = [float((values**power).mean()) for power in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.06)


def test_seed_epoch_case_and_stream_each_change_the_numbers():
    cases = torch.arange(4)
    draws = [
        uniform(case_keys(seed, epoch, cases), stream, 3)
        for seed, epoch, stream in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    ]
    values = torch.cat(draws).flatten()
    assert len(values.unique()) == len(values)
