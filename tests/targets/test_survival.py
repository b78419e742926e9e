"""Times until an event: by closed forms of constant hazards, tables by hand, and simulated patients of known risk."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from medeor.contracts import Cases, Predictions, Run, Split, Target, UserError
from medeor.learning.networks.heads import heads_for
from medeor.learning.networks.summaries import summaries_of
from medeor.learning.trees.method import Boosting, TreeMethod
from medeor.targets import headlines, label, of
from medeor.targets.survival import Survival, read_survival
from medeor.trust.calibration import calibrate
from medeor.trust.compare import compare
from medeor.trust.measures import measure

DEATH = Target("death", "survival", ("1", "3"), "y")
KIND = Survival(DEATH)


def cases_of(time, event, target: Target = DEATH) -> Cases:
    ids = [f"c{row}" for row in range(len(time))]
    limit = 1 - np.asarray(event).astype(np.int8)
    return Cases(pl.DataFrame({"case_id": ids, "group": ids, "death": time, "death.limit": limit}), (target,))


def predictions_of(risk: np.ndarray, target: Target = DEATH) -> Predictions:
    items = of(target).items
    ids = np.repeat([f"c{row}" for row in range(len(risk))], len(items))
    return Predictions(pl.DataFrame({"case_id": ids, "item": list(items) * len(risk), "value": risk.ravel()}))


def test_items_are_horizons() -> None:
    assert KIND.items == ("death by 1 y", "death by 3 y")
    assert str(label("c_index")) == "C-index (Harrell)"
    assert headlines((DEATH,)) == ("c_index", "integrated_brier")
    assert [of(Target("d", "survival", ends)).sound for ends in (("1", "2"), ("2", "1"), ("a",), ("0",), ())] == [
        True, False, False, False, False,
    ]  # fmt: skip


# --- learning --------------------------------------------------------------------------------------------


def test_the_loss_is_the_likelihood_of_hazards_that_are_constant_between_horizons() -> None:
    """Of an event at t in an interval with rate h a year: h · time spent − log(h), by interval length."""
    rates = np.array([0.3, 0.5])  # per interval, of 1 and of 2 years
    time, event = [0.5, 2.0, 2.0, 1.0, 5.0, 9.0], [1, 1, 0, 1, 1, 0]
    spent = [(0.5, 0), (1, 0.5), (1, 0.5), (1, 0), (1, 1), (1, 1)]
    died = [0, 1, None, 0, None, None]  # what is after the last horizon is not asked
    expected = [np.dot(rates, own) - (0 if at is None else math.log(rates[at])) for own, at in zip(spent, died)]
    cases = cases_of([*time, None], [*event, 0])
    heads = heads_for(summaries_of(cases))
    outputs = torch.tensor(np.log(np.expm1(rates))).float().expand(7, 2)
    loss, weight = heads.loss(outputs, heads.truth(cases))
    assert weight.tolist() == [1.0] * 6 + [0.0]
    assert loss.tolist() == pytest.approx([*expected, 0.0], abs=1e-6)
    assert heads.values(outputs)[0].tolist() == pytest.approx([1 - math.exp(-0.3), 1 - math.exp(-0.8)])


def test_the_least_loss_is_events_over_time_at_risk() -> None:
    generator = np.random.default_rng(0)
    time, event = generator.exponential(2, 200), generator.random(200) < 0.7
    one = Target("death", "survival", ("100",))
    cases = cases_of(time, event, one)
    heads = heads_for(summaries_of(cases))
    rate = event.sum() / (time.sum() / 100)
    output = torch.tensor([[math.log(math.expm1(rate))]], requires_grad=True)
    heads.loss(output.expand(200, 1), heads.truth(cases))[0].sum().backward()
    assert output.grad is not None
    assert abs(float(output.grad)) < 1e-3


def test_trees_are_fitted_to_the_intervals_that_each_case_enters() -> None:
    truth = np.array([[0.5, 0], [2.0, 0], [2.0, 1], [np.nan, 0], [0.5, 1], [9.0, 0]])
    boosted = KIND.boosting(truth)
    found = list(zip(boosted.rows.tolist(), boosted.extra[:, 0].tolist(), boosted.labels.tolist(), strict=True))
    assert found == [(0, 0, 1), (1, 0, 0), (1, 1, 1), (2, 0, 0), (2, 1, 0), (4, 0, 0), (5, 0, 0), (5, 1, 0)]
    assert boosted.weights is not None
    assert boosted.weights.tolist() == [1, 1, 1, 1, 0.5, 0.5, 1, 1]
    hazards = {0: 0.2, 1: 0.5}
    risk = KIND.boosted(lambda rows: np.array([[hazards[row[-1]]] for row in rows]), np.zeros((1, 3)))
    assert risk[0] == pytest.approx([0.2, 1 - 0.8 * 0.5])


class OneNumber:
    kind = "one-number"

    def to_json(self) -> dict:
        return {}

    def table(self, cases: Cases) -> np.ndarray:
        return cases.table.select("x").to_numpy().astype(np.float32)

    def names(self) -> tuple[str, ...]:
        return ("x",)


def simulated(size: int, seed: int, slope: float = 1.0) -> tuple[Cases, np.ndarray]:
    """Exponential times with the hazard exp(x) a year, half of them censored, and the true risks by 1 and 3 years,
    bent by a slope of the log cumulative hazard."""
    generator = np.random.default_rng(seed)
    x = generator.normal(-1, 1, size)
    death, lost = generator.exponential(np.exp(-x)), generator.exponential(3, size)
    cases = cases_of(np.minimum(death, lost), death <= lost)
    hazard = np.exp(x)[:, None] * np.array([1.0, 3.0])
    cases = Cases(cases.table.with_columns(x=pl.Series(x)), cases.targets)
    return cases, 1 - np.exp(-(hazard**slope))


def test_trees_find_who_is_at_risk_and_say_why(tmp_path: Path) -> None:
    cases, risk = simulated(400, 0)
    part = ["train"] * 250 + ["validation"] * 150
    split = Split(pl.DataFrame({"case_id": cases.ids, "part": part, "fold": [0] * 400}))
    fitted = TreeMethod(OneNumber(), Boosting(rounds=40, leaves=4)).fit(cases, split, {}, Run(tmp_path))
    held = split.part(cases, "validation")
    found = measure(held, fitted.held_out, resamples=50)
    best = measure(held, predictions_of(risk), resamples=50)
    assert found["c_index"].value > best["c_index"].value - 0.03
    assert found["integrated_brier"].value < best["integrated_brier"].value + 0.03
    ill = held.where(pl.col("x") == held.table["x"].max())
    (reason,) = fitted.model.attribute(ill, ["death by 1 y"], Run(tmp_path))
    assert reason.elements == ("x",)
    assert reason.values[0] > 0


# --- trust -----------------------------------------------------------------------------------------------


def test_true_risks_are_calibrated_and_beat_none() -> None:
    cases, risk = simulated(2000, 1)
    found = measure(cases, predictions_of(risk), resamples=100)
    assert found["c_index"].low < found["c_index"].value < found["c_index"].high
    assert found["ece/death by 1 y"].low == 0  # no more than chance
    bent = measure(cases, predictions_of(simulated(2000, 1, slope=0.5)[1]), resamples=30)
    assert bent["ece/death by 1 y"].low > 0.05
    flat = np.tile(risk.mean(axis=0), (len(risk), 1))
    rows = {row.metric: row for row in compare(cases, predictions_of(risk), predictions_of(flat), resamples=200)}
    assert rows["c_index"].better == "ours"
    assert rows["integrated_brier"].better == "ours"
    assert rows["integrated_brier"].difference < 0


def test_calibration_straightens_a_bent_hazard_and_keeps_the_order_of_horizons() -> None:
    cases, bent = simulated(2000, 2, slope=0.5)
    _, true = simulated(2000, 2)
    calibration = calibrate(cases, predictions_of(bent))
    (one,) = calibration.targets
    assert one.method == "platt" or one.intercept == pytest.approx(0, abs=0.1)
    assert one.slope == pytest.approx(2, abs=0.15)
    after = calibration.apply(predictions_of(bent)).table["value"].to_numpy().reshape(-1, 2)
    assert np.abs(after - true).mean() < 0.02
    assert (np.diff(after, axis=1) > 0).all()
    unbent = calibrate(cases, predictions_of(true)).targets[0]
    assert unbent.slope == pytest.approx(1, abs=0.1)


def test_parts_are_combined_by_their_log_hazards() -> None:
    hazards = np.array([[[0.1, 0.4]], [[0.9, 1.6]]])
    together = KIND.combine(1 - np.exp(-hazards), np.array([0.5, 0.5]))
    assert -np.log(1 - together)[0] == pytest.approx([0.3, 0.8])


def test_a_guess_is_the_kaplan_meier_estimate() -> None:
    """Of four, two die by 1 and one is lost at 2: at 3 years 2/4 are dead for certain, and then 1/2 · 1/1."""
    cases = cases_of([0.5, 1.0, 2.0, 4.0], [1, 1, 0, 1])
    truth = KIND.truth(cases.table)
    guess = np.tile([0.5, 0.5], (4, 1))
    # 0.25 for each known case and horizon; the lost one counts nothing at 3 years, and the last for both.
    assert KIND.error(guess, truth) == pytest.approx([0.25, 0.25, 0.125, 0.375])
    assert KIND.mistake(guess, truth) == pytest.approx(0.25)


# --- reading ---------------------------------------------------------------------------------------------


def test_two_columns_become_a_target_with_horizons_at_quantiles_of_the_events() -> None:
    time = pl.Series("days", [10, 20, 30, 40, 50, 60, None, 70])
    event = pl.Series("dead", [1, 1, 1, 1, 1, 0, 1, None])
    target, values = read_survival("dead", event, time, unit="d")
    assert target == Target("dead", "survival", ("20", "30", "40"), "d")  # events at 10 to 50, the shares .2 to .8
    assert values["dead"].to_list() == [10, 20, 30, 40, 50, 60, None, None]
    assert values["dead.limit"].to_list() == [0, 0, 0, 0, 0, 1, 0, None]
    assert read_survival("dead", event, time, (30, 15))[0].classes == ("15", "30")


@pytest.mark.parametrize(
    ("event", "time", "horizons", "text"),
    [
        ([1, 0], [-1.0, 2.0], (), "-1"),
        ([0, 0], [1.0, 2.0], (), "no event"),
        ([1, 0], [1.0, 2.0], (3,), "up to 2"),
        ([1, 1], [0.0, 0.0], (), "above 0"),
    ],
)
def test_what_cannot_be_a_time_until_an_event_is_refused(event, time, horizons, text) -> None:
    with pytest.raises(UserError, match=text):
        read_survival("dead", pl.Series("dead", event), pl.Series("days", time), horizons)
