"""A report's first sentence follows the main figure of the field, its interval and a floor of usefulness."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from medeor.contracts import Cases, Explanations, Measure, Predictions, Result, Target
from medeor.report.verdict import verdict
from medeor.targets import of
from medeor.trust.measures import measure

CASES = 200
GENERATOR = np.random.default_rng(0)
NOISE, OTHER = GENERATOR.normal(size=(2, CASES))
BINARY = Target("sick", "binary", ("no", "yes"))
LABELS = BINARY, Target("oedema", "binary", ("none", "oedema"))
GRADES = Target("grade", "ordinal", ("0", "1", "2"))
NUMBER = Target("size", "continuous")
LOGARITHM = Target("dose", "continuous", (), "nM", "log")
NOTHING = "This model explains nothing, as far as these cases can show: "


def judge(targets: Target | tuple[Target, ...], truth: list, ours: list, theirs: list) -> tuple[str, str]:
    """The verdict on answers of shape (cases,) or (cases, items) for each target."""
    targets = targets if isinstance(targets, tuple) else (targets,)
    ids = [f"c{n}" for n in range(CASES)]
    table = pl.DataFrame({"case_id": ids, **{one.name: known for one, known in zip(targets, truth, strict=True)}})

    def predictions(values: list) -> Predictions:
        parts = []
        for target, value in zip(targets, values, strict=True):
            value = np.broadcast_to(np.reshape(value, (-1, len(of(target).items))), (CASES, len(of(target).items)))
            items = list(of(target).items) * CASES
            parts.append(
                pl.DataFrame({"case_id": np.repeat(ids, len(of(target).items)), "item": items, "value": value.ravel()})
            )
        return Predictions(pl.concat(parts))

    cases = Cases(table, targets)
    return words(Result(cases, predictions(ours), predictions(theirs), Explanations((), {}), {}))


def words(result: Result) -> tuple[str, str]:
    text, tone = verdict(result)
    return str(text), tone


def chance_of(signal: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-signal))


SICK = (NOISE > 0).astype(int)
GOOD, FAIR, RANDOM = chance_of(3 * NOISE + OTHER), chance_of(0.6 * NOISE + OTHER), chance_of(OTHER)
GRADE = np.digitize(NOISE, [-0.5, 0.5])
SURE, FLAT = np.eye(3)[np.digitize(NOISE + 0.2 * OTHER, [-0.5, 0.5])] * 0.8 + 0.2 / 3, np.array([0.3, 0.4, 0.3])


@pytest.mark.parametrize(
    ("target", "truth", "ours", "figure"),
    [
        (BINARY, SICK, RANDOM, "AUROC"),
        (BINARY, SICK, [0.5], "AUROC 0.500, where 0.5 is chance"),
        (Target("kind", "multiclass", ("a", "b", "c")), GRADE, FLAT, "AUROC 0.500"),
        (GRADES, GRADE, FLAT, "Quadratic weighted kappa 0.000"),
        (NUMBER, NOISE, OTHER, "R² -"),
        (NUMBER, NOISE, [NOISE.mean()], "R² 0.000"),
        (NUMBER, NOISE, -NOISE, "R² -"),
        (LOGARITHM, 10**NOISE, 10**OTHER, "R² of the logarithm -"),
        (LOGARITHM, 10**NOISE, [1.0], "R² of the logarithm -"),
    ],
)  # fmt: skip
def test_a_model_that_knows_nothing_is_called_so_even_before_a_worse_baseline(
    target: Target, truth: np.ndarray, ours: np.ndarray, figure: str
) -> None:
    worse = {"binary": 1 - SICK * 1.0, "continuous": 10 ** (-3 * NOISE)}.get(target.kind, SURE[:, ::-1])
    said, tone = judge(target, [truth], [ours], [worse])
    assert tone == "bad"
    assert said.startswith(NOTHING + figure)
    assert "beats" not in said
    assert "ahead" not in said


def test_whatever_grades_are_decided_probabilities_that_rank_know_something() -> None:
    rare = np.array([0.9, 0.06, 0.04]) + np.outer(GRADE, [-0.1, 0.06, 0.04])
    said, _ = judge(GRADES, [GRADE], [rare], [FLAT])
    assert not said.startswith(NOTHING)


@pytest.mark.parametrize(
    ("target", "truth", "ours", "theirs", "figure"),
    [
        (BINARY, SICK, GOOD, FAIR, "AUROC"),
        (NUMBER, NOISE, NOISE + 0.1 * OTHER, NOISE + OTHER, "R²"),
        (LOGARITHM, 10**NOISE, 10 ** (NOISE + 0.1 * OTHER), 10 ** (NOISE + OTHER), "Fold error"),
        (GRADES, GRADE, SURE, FLAT, "Quadratic weighted kappa"),
    ],
)
def test_who_knows_more_beats_the_baseline_and_the_other_way_round_does_not(
    target: Target, truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray, figure: str
) -> None:
    said, tone = judge(target, [truth], [ours], [theirs])
    assert (tone, said.split(": ")[0]) == ("good", "The model beats the simple baseline")
    assert figure in said
    said, tone = judge(target, [truth], [theirs], [ours])
    assert tone == "bad"
    assert said.startswith(("The model does not beat the simple baseline", NOTHING))


def test_a_smaller_error_does_not_make_up_for_a_smaller_r2() -> None:
    """Ours has the smaller mean absolute error and the smaller R², as far tails weigh more in the square."""
    ours, theirs = NOISE + 0.05 * OTHER, NOISE + 0.35
    ours[:3] += 4.0
    cases = Cases(pl.DataFrame({"case_id": [f"c{n}" for n in range(CASES)], "size": NOISE}), (NUMBER,))
    errors = [np.abs(one - NOISE).mean() for one in (ours, theirs)]
    squares = [np.square(one - NOISE).mean() for one in (ours, theirs)]
    assert len(cases) == CASES
    assert errors[0] < errors[1]
    assert squares[0] > squares[1]
    said, tone = judge(NUMBER, [NOISE], [ours], [theirs])
    assert tone == "bad"
    assert said.startswith("The model does not beat the simple baseline: R²")


def test_of_several_labels_those_that_are_not_known_are_named() -> None:
    said, tone = judge(LABELS, [SICK, SICK], [GOOD, RANDOM], [FAIR, RANDOM])
    assert "It explains nothing of oedema." in said
    assert tone != "good"
    said, tone = judge(LABELS, [SICK, SICK], [RANDOM, RANDOM], [FAIR, FAIR])
    assert tone == "bad"
    assert said.startswith(NOTHING + "sick: AUROC")


def test_probabilities_that_rank_and_say_no_more_than_the_share_are_called_so() -> None:
    said, tone = judge(BINARY, [SICK], [0.9 + 0.1 * GOOD], [RANDOM])
    assert "probabilities of sick are no better than the prevalence of each class" in said
    assert tone == "neutral"


def test_a_ranking_task_that_cannot_tell_true_from_false_explains_nothing() -> None:
    cases = Cases(pl.DataFrame({"case_id": ["a"], "y": [1]}), (Target("y", "binary"),))
    empty = Predictions(pl.DataFrame(schema={"case_id": pl.String, "item": pl.String, "value": pl.Float64}))

    def said(mrr: float) -> tuple[str, str]:
        measures = {"mrr": Measure(mrr, mrr - 0.02, mrr + 0.02), "auroc": Measure(0.51, 0.47, 0.55)}
        measures["baseline/mrr"] = Measure(0.1, 0.08, 0.12)
        return words(Result(cases, empty, empty, Explanations((), {}), measures))

    assert said(0.1) == (NOTHING + "AUROC 0.510 (0.470 to 0.550), where 0.5 is chance.", "bad")
    assert said(0.3)[1] == "good"


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "tone"),
    [
        ("mrr", (0.30, 0.28, 0.32), (0.25, 0.23, 0.27), "good"),
        ("mrr", (0.30, 0.26, 0.34), (0.25, 0.23, 0.27), "neutral"),
        ("mrr", (0.20, 0.18, 0.22), (0.25, 0.23, 0.27), "bad"),
        ("mean_rank", (1.2, 1.1, 1.3), (2.0, 1.9, 2.1), "good"),
        ("mean_rank", (1.9, 1.8, 2.0), (2.0, 1.9, 2.1), "neutral"),
        ("mean_rank", (2.1, 2.0, 2.2), (2.0, 1.9, 2.1), "bad"),
    ],
)
def test_of_a_figure_of_its_own_the_intervals_decide_in_its_direction(
    name: str, ours: tuple[float, ...], theirs: tuple[float, ...], tone: str
) -> None:
    """A rank is the better the smaller it is."""
    cases = Cases(pl.DataFrame({"case_id": ["a"], "y": [1]}), (Target("y", "binary"),))
    empty = Predictions(pl.DataFrame(schema={"case_id": pl.String, "item": pl.String, "value": pl.Float64}))
    measures = {name: Measure(*ours), f"baseline/{name}": Measure(*theirs), "auroc": Measure(0.8, 0.7, 0.9)}
    assert verdict(Result(cases, empty, empty, Explanations((), {}), measures))[1] == tone


def test_the_interval_that_is_quoted_is_the_one_of_the_measures() -> None:
    cases = Cases(pl.DataFrame({"case_id": [f"c{n}" for n in range(CASES)], "sick": SICK}), (BINARY,))
    predicted = pl.DataFrame({"case_id": cases.ids, "item": "yes", "value": RANDOM})
    area = measure(cases, Predictions(predicted))["auroc"]
    said, _ = judge(BINARY, [SICK], [RANDOM], [FAIR])
    assert f"AUROC {area.value:.3f} ({area.low:.3f} to {area.high:.3f})" in said
