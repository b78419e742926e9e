"""Figures of censored times equal tables by hand and double loops over pairs."""

from __future__ import annotations

import numpy as np
import pytest

from medeor.statistics import survival

TIME = np.array([1.0, 2.0, 3.0, 4.0])
EVENT = np.array([True, False, True, True])


def test_kaplan_meier_and_its_mirror_by_hand() -> None:
    times, left = survival.kaplan_meier(TIME, EVENT)
    assert times.tolist() == [1, 2, 3, 4]
    assert left == pytest.approx([3 / 4, 3 / 4, 3 / 8, 0])
    assert survival.left_after((times, left), np.array([0.5, 1.0, 3.5])) == pytest.approx([1, 3 / 4, 3 / 8])
    assert survival.left_before((times, left), np.array([1.0, 3.0])) == pytest.approx([1, 3 / 4])
    assert survival.censoring(TIME, EVENT)[1] == pytest.approx([1, 2 / 3, 2 / 3, 2 / 3])


def test_of_equal_times_events_come_before_censoring() -> None:
    """Two at risk of being lost at 1 after the event there: one of them is."""
    time, event = np.array([1.0, 1.0, 2.0]), np.array([True, False, True])
    assert survival.kaplan_meier(time, event)[1] == pytest.approx([2 / 3, 0])
    assert survival.censoring(time, event)[1] == pytest.approx([1 / 2, 1 / 2])


def test_weights_stand_for_the_censored() -> None:
    happened, weight = survival.known_by(TIME, EVENT, 2.5)
    assert happened.tolist() == [True, False, False, False]
    assert weight == pytest.approx([1, 0, 3 / 2, 3 / 2])
    assert weight.sum() == pytest.approx(len(TIME))
    # Lost at the horizon itself is lost before it is over.
    assert survival.known_by(TIME, EVENT, 2.0)[1] == pytest.approx([1, 0, 3 / 2, 3 / 2])


def test_brier_score_by_hand_and_over_time() -> None:
    risk = np.array([[0.8, 0.9], [0.5, 0.6], [0.2, 0.7], [0.1, 0.3]])
    horizons = np.array([1.5, 3.5])
    columns = survival.brier_columns(TIME, EVENT, risk, horizons)
    first = [0.2**2, 0.5**2, 0.2**2, 0.1**2]
    second = [0.1**2, 0.0, 3 / 2 * 0.3**2, 3 / 2 * 0.3**2]
    assert columns == pytest.approx(np.array([first, second]).T)
    assert survival.integrated(columns, horizons) == pytest.approx((np.array(first) + second) / 2)
    assert survival.integrated(columns[:, :1], horizons[:1]) == pytest.approx(first)
    uneven = np.array([1.0, 2.0, 4.0])
    assert survival.integrated(np.array([[1.0, 3.0, 5.0]]), uneven) == pytest.approx([(2 * 1 + 4 * 2) / 3])


def by_pairs(time, event, score, weights, until=np.inf) -> list[float]:
    """Harrell's and Uno's C by a loop over all pairs."""
    times, left = survival.censoring(time, event)
    chance = dict(zip(times, np.append(1, left)))  # just before each time
    sums = np.zeros((2, 2))
    for i in np.flatnonzero(event & (time <= until)):
        for j in range(len(time)):
            if time[j] > time[i] or (time[j] == time[i] and not event[j]):
                pair = weights[i] * weights[j] * np.array([1, 1 / chance[time[i]] ** 2])
                sums[0] += pair * ((score[i] > score[j]) + 0.5 * (score[i] == score[j]))
                sums[1] += pair
    return (sums[0] / sums[1]).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_concordance_equals_a_loop_over_pairs(seed: int) -> None:
    generator = np.random.default_rng(seed)
    time, event = generator.integers(1, 12, 40).astype(float), generator.random(40) < 0.6
    score = np.round(generator.normal(size=40) - time / 10, 1 if seed else 8)
    weights = generator.integers(0, 3, (3, 40)).astype(float)
    for until in (np.inf, 6.0):
        found = survival.concordance(time, event, score, until)(weights)
        assert found == pytest.approx(np.array([by_pairs(time, event, score, one, until) for one in weights]))


def test_concordance_by_hand() -> None:
    """Comparable pairs: the first with all others, the third with the fourth; the second begins none."""
    found = survival.concordance(TIME, EVENT, np.array([0.9, 0.1, 0.5, 0.7]))(np.ones((1, 4)))
    assert found[0, 0] == pytest.approx(3 / 4)
    uno = (3 * 1) / (3 * 1 + 1 / (2 / 3) ** 2)
    assert found[0, 1] == pytest.approx(uno)


def test_without_an_event_there_is_no_concordance() -> None:
    assert np.isnan(survival.concordance(TIME, ~np.ones(4, bool), TIME)(np.ones((2, 4)))).all()
