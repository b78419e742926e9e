"""Faithfulness against formulas, and verdicts against planted truth: a model that is a known sum of its elements."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from medeor.contracts import Attribution, Cases, Predictions, Run, Target, UserError
from medeor.trust import faithfulness as module
from medeor.trust.faithfulness import choose, examine, faithfulness, leading, sameness

RUN = Run(Path("unused"))
SHAPE = (12, 12)


def spot(seed: int = 0) -> np.ndarray:
    """What the model of these tests really weighs: a patch of 3 x 3 pixels."""
    weights = np.zeros(SHAPE)
    row, column = np.random.default_rng(seed).integers(1, 9, 2)
    weights[row : row + 3, column : column + 3] = 1 / 9
    return weights


def smooth(seed: int) -> np.ndarray:
    return gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.5)


def additive(weights: np.ndarray) -> module.Answer:
    return lambda kept: (kept * weights).reshape(len(kept), -1).sum(axis=1)


def areas_by_hand(values: np.ndarray, weights: np.ndarray) -> float:
    """Mean height of the two curves, one sum of weights at a time: the answer of an additive model."""
    ranked = [weight for _, weight in sorted(zip(values.ravel(), weights.ravel(), strict=True), reverse=True)]
    counts = [math.ceil(len(ranked) / 2**power) for power in (6, 5, 4, 3, 2, 1)]
    insertion = sum(sum(ranked[:count]) for count in counts) / 6
    deletion = sum(sum(ranked[count:]) for count in counts) / 6
    return insertion - deletion


@pytest.mark.parametrize("shape", [(12, 12), (4, 6, 8), (60,)])
def test_the_area_is_that_of_the_two_curves(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    values, weights = generator.normal(size=shape), generator.normal(size=shape)
    found = faithfulness(values, additive(weights), ordered=True)
    assert found.value == pytest.approx(areas_by_hand(values, weights))


def test_few_elements_at_once_give_the_same_areas(monkeypatch: pytest.MonkeyPatch) -> None:
    values, weights = smooth(0), spot()
    found = faithfulness(values, additive(weights), ordered=True)
    monkeypatch.setattr(module, "_ELEMENTS_AT_ONCE", 5000)
    assert faithfulness(values, additive(weights), ordered=True) == found


def test_a_true_map_beats_all_random_ones_and_random_maps_do_so_at_the_stated_rate() -> None:
    true = faithfulness(spot() + 1e-3 * smooth(1), additive(spot()), ordered=True)
    assert true.p == pytest.approx(1 / 20)
    assert true.value > true.random
    # The map and the random ones it is held against come from different seeds.
    p = [faithfulness(smooth(seed + 1000), additive(spot(seed)), ordered=True, seed=seed).p for seed in range(300)]
    # Exact under exchangeability: uniform over 1/20 ... 20/20. Bounds: three binomial standard errors.
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.038)
    assert np.mean(np.array(p) <= 0.5) == pytest.approx(0.5, abs=0.087)


def test_equal_values_are_ordered_at_random_and_not_by_place() -> None:
    weights = np.zeros(SHAPE)
    weights[:6] = 1 / 72
    areas = [faithfulness(np.zeros(SHAPE), additive(weights), ordered=False, seed=seed).value for seed in range(100)]
    shares = [math.ceil(144 / 2**power) / 144 for power in (6, 5, 4, 3, 2, 1)]
    assert np.mean(areas) == pytest.approx(2 * np.mean(shares) - 1, abs=0.02)


def test_random_maps_are_as_smooth_as_the_map_or_hold_its_values_in_another_order() -> None:
    generator = np.random.default_rng(0)
    values = smooth(3)
    maps = module._random_maps(values, 5, True, generator)
    spectrum = np.abs(np.fft.fft2(values - values.mean()))
    np.testing.assert_allclose(np.abs(np.fft.fft2(maps)), np.broadcast_to(spectrum, maps.shape), atol=1e-9)
    assert abs(spearmanr(maps[0].ravel(), values.ravel()).statistic) < 0.5
    shuffled = module._random_maps(values, 5, False, generator)
    np.testing.assert_array_equal(np.sort(shuffled.reshape(5, -1)), np.sort(np.tile(values.ravel(), (5, 1))))


def test_sameness_is_spearmans_correlation() -> None:
    one = smooth(0)
    other = np.round(one - 0.5 * smooth(1), 1)
    assert sameness(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert sameness(one, -one) == pytest.approx(-1)
    assert sameness(one, np.ones(SHAPE)) == 0


# --- verdicts --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summing:
    """A model whose answer is the sum of a patch, and who may or may not say so."""

    says: dict[str, str] = field(default_factory=lambda: {"honest": "spot"})
    asked: list[int] = field(default_factory=list)

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        return [
            self._reason(method, how, int(case_id[1:]), item)
            for method, how in self.says.items()
            for case_id, item in zip(cases.ids, items, strict=True)
        ]

    def _reason(self, method: str, how: str, seed: int, item: str) -> Attribution:
        noise = smooth(seed + 1000)
        values = {
            "spot": spot(seed) + 1e-3 * noise,
            "random": noise,
            "flat": np.full(SHAPE, 0.3),
            "broken": np.full(SHAPE, np.nan),
            "untrained": spot(seed) + 1e-3 * noise,
        }[how]
        untrained = values if how == "untrained" else smooth(seed + 5000)
        return Attribution(f"c{seed}", item, method, values, untrained=untrained)

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        self.asked.append(len(kept))
        return additive(spot(int(case.ids[0][1:])))(kept)


def some(n: int) -> Cases:
    ids = [f"c{i}" for i in range(n)]
    return Cases(pl.DataFrame({"case_id": ids, "group": [f"p{i // 2}" for i in range(n)]}))


def explained(how: str, n: int = 12) -> module.Explanations:
    return examine(Summing({"grad": how}), some(n), ["yes"] * n, RUN)  # type: ignore[arg-type]


def test_true_reasons_are_shown_with_their_scores() -> None:
    found = explained("spot")
    assert all(e.shown and not e.reason for e in found.cases)
    assert [e.case_id for e in found.cases] == [f"c{i}" for i in range(12)]
    scores = found.cases[0].scores
    assert set(scores) == {"faithfulness", "faithfulness/random", "p", "effect", "randomised weights"}
    gain = found.summary["grad/faithfulness/gain"]
    each = [e.scores["faithfulness"] - e.scores["faithfulness/random"] for e in found.cases]
    assert gain.value == pytest.approx(np.mean(each))
    assert gain.n == 6
    assert gain.low is not None
    assert 0 < gain.low <= gain.value <= gain.high  # type: ignore[operator]
    assert found.summary["grad/shown"].value == 1


def test_random_reasons_are_not_shown_not_even_the_lucky_ones() -> None:
    found = explained("random", 40)
    assert not any(e.shown for e in found.cases)
    assert all("random map" in str(e.reason) for e in found.cases)
    assert found.summary["grad/shown"].value == 0


def test_reasons_that_an_untrained_model_gives_too_are_not_shown() -> None:
    (alone,) = explained("untrained", 1).cases
    assert not alone.shown
    assert "untrained model gives the same reasons (rank correlation 1.00)" in str(alone.reason)
    assert explained("untrained").summary["grad/randomised weights"].value == pytest.approx(1)


@pytest.mark.parametrize("how", ["flat", "broken"])
def test_a_map_without_a_peak_is_not_shown_and_costs_nothing(how: str) -> None:
    model = Summing({"grad": how})
    found = examine(model, some(6), ["yes"] * 6, RUN)  # type: ignore[arg-type]
    assert not any(e.shown for e in found.cases)
    assert found.summary["grad/faithfulness"].value is None
    assert model.asked == []


def test_each_method_is_judged_on_its_own_and_asks_a_few_hundred_answers_a_case() -> None:
    model = Summing({"honest": "spot", "idle": "random"})
    found = examine(model, some(8), ["yes"] * 8, RUN)  # type: ignore[arg-type]
    assert {e.method for e in found.cases if e.shown} == {"honest"}
    assert found.summary["honest/shown"].value == 1
    assert found.summary["idle/shown"].value == 0
    assert sum(model.asked) == 8 * 2 * (module.RANDOM_MAPS + 1) * 2 * len(module.SHARES)


def test_without_cases_there_is_nothing_to_explain() -> None:
    assert examine(Summing(), some(0), [], RUN) == module.Explanations((), {})  # type: ignore[arg-type]


# --- what is explained -----------------------------------------------------------------------------------


def predictions(values: dict[str, list[float]]) -> Predictions:
    tables = [
        pl.DataFrame({"case_id": [f"c{i}" for i in range(len(column))], "item": item, "value": column})
        for item, column in values.items()
    ]
    return Predictions(pl.concat(tables))


def test_the_leading_item_is_the_likeliest_class_or_the_positive_one() -> None:
    grade = Target("grade", "multiclass", ("a", "b", "c"))
    sick = Target("sick", "binary", ("no", "yes"))
    three = predictions({"a": [0.2, 0.1], "b": [0.5, 0.2], "c": [0.3, 0.7]})
    assert leading(Cases(some(2).table, (grade,)), three) == ["b", "c"]
    assert leading(Cases(some(2).table, (sick,)), predictions({"yes": [0.1, 0.9]})) == ["yes", "yes"]
    many = tuple(Target(name, "binary") for name in ("nodule", "mass"))
    beside = (*many, Target("age", "continuous"))
    labels = predictions({"nodule": [0.1, 0.8], "mass": [0.4, 0.3], "age": [60.0, 70.0]})
    assert leading(Cases(some(2).table, beside), labels) == ["mass", "nodule"]
    assert leading(Cases(some(2).table, beside), labels, "age") == ["age", "age"]
    with pytest.raises(UserError, match="no target 'sex'; there are nodule, mass, age"):
        leading(Cases(some(2).table, beside), labels, "sex")


def test_numbers_in_different_units_are_not_compared() -> None:
    targets = (Target("clearance", "continuous"), Target("half-life", "continuous"))
    values = predictions({"clearance": [1.0, 2.0], "half-life": [30.0, 40.0]})
    assert leading(Cases(some(2).table, targets), values) == ["clearance", "clearance"]


@pytest.mark.parametrize(("cases", "number"), [(100, 12), (13, 12), (12, 12), (5, 12), (1, 12)])
def test_chosen_cases_are_the_surest_where_no_truth_is_known(cases: int, number: int) -> None:
    value = np.random.default_rng(0).permutation(cases) / cases
    sick = Cases(some(cases).table, (Target("sick", "binary", ("no", "yes")),))
    chosen, items = choose(sick, predictions({"yes": value.tolist()}), number)
    taken = [int(case_id[1:]) for case_id in chosen.ids]
    assert items == ["yes"] * len(taken)
    assert set(taken) == set(np.argsort(-value)[:number].tolist())


def test_half_of_the_chosen_cases_are_the_most_wrong() -> None:
    value = np.linspace(0, 1, 100)
    truth = (value > 0.5).astype(int)
    truth[[3, 97]] = 1, 0
    table = some(100).table.with_columns(sick=pl.Series(truth))
    sick = Cases(table, (Target("sick", "binary", ("no", "yes")),))
    chosen, _ = choose(sick, predictions({"yes": value.tolist()}), 4)
    assert {int(case_id[1:]) for case_id in chosen.ids} == {3, 97, 99, 98}
    grade = Cases(table.rename({"sick": "grade"}), (Target("grade", "multiclass", ("a", "b")),))
    chosen, _ = choose(grade, predictions({"a": (1 - value).tolist(), "b": value.tolist()}), 4)
    assert {3, 97} <= {int(case_id[1:]) for case_id in chosen.ids}
