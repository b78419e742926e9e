"""A model that is not shown to know anything shows no reasons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import medeor
import tiny
from medeor.console import Console
from medeor.contracts import Cases, Predictions, Target
from medeor.targets import of
from medeor.targets.common.calibration import Skill
from medeor.trust.calibration import Calibration
from medeor.trust.usefulness import skills

SICK = Target("sick", "binary", ("no", "yes"))


def held_out(truth: np.ndarray, values: np.ndarray, target: Target) -> tuple[Cases, Predictions]:
    ids = [f"c{i}" for i in range(len(truth))]
    table = pl.DataFrame({"case_id": ids, target.name: truth})
    (item,) = of(target).items
    return Cases(table, (target,)), Predictions(pl.DataFrame({"case_id": ids, "item": item, "value": values}))


def test_what_ranks_the_held_out_cases_is_knowledge_and_noise_is_not() -> None:
    generator = np.random.default_rng(0)
    sick = generator.integers(0, 2, 300)
    (informed,) = skills(*held_out(sick, generator.uniform(size=300) / 2 + sick / 4, SICK))
    # Uniform on 0 to .5 against .25 to .75: the order is right with a probability of 1 - .5 ** 2 / 2.
    assert informed.value == pytest.approx(0.875, abs=0.04)
    assert not informed.missing
    (noise,) = skills(*held_out(sick, generator.uniform(size=300), SICK))
    assert "held-out AUROC" in str(noise.missing)
    assert "a guess reaches 0.5" in str(noise.missing)


def test_many_images_of_a_patient_show_no_more_than_one() -> None:
    """Noise, each value and label 40 times: as if there were 16 cases and not 640."""
    generator = np.random.default_rng(4)
    known = []
    for _ in range(30):
        sick = np.repeat(generator.permutation(np.arange(16) % 2), 40)
        cases, predictions = held_out(sick, np.repeat(generator.uniform(size=16), 40), SICK)
        groups = np.repeat(np.arange(16), 40).astype(str)
        (found,) = skills(Cases(cases.table.with_columns(group=groups), cases.targets), predictions)
        known.append(not found.missing)
    assert sum(known) <= 5  # of independent rows four in ten are


@pytest.mark.parametrize(("figure", "guess"), [("auroc", 0.5), ("spearman", 0.0)])
def test_an_interval_that_begins_at_a_guess_shows_nothing(figure: str, guess: float) -> None:
    assert Skill(figure, guess + 0.1, guess, guess + 0.2).missing
    assert Skill(figure, guess + 0.1, None, None).missing
    assert not Skill(figure, guess + 0.1, guess + 0.001, guess + 0.2).missing


def test_models_of_random_labels_are_shown_to_know_something_in_one_of_forty() -> None:
    generator = np.random.default_rng(1)
    known = [
        not skills(*held_out(generator.integers(0, 2, 120), generator.uniform(size=120), SICK))[0].missing
        for _ in range(200)
    ]
    # One side of a 95 % interval: 5 of 200 are expected, and 12 or more in one of 200 such tests.
    assert sum(known) <= 12


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_number_is_known_where_its_order_is(scale: str) -> None:
    generator = np.random.default_rng(2)
    target = Target("dose", "continuous", scale=scale)  # type: ignore[arg-type]
    truth = 10 ** generator.uniform(0, 5, 100)
    (informed,) = skills(*held_out(truth, truth * 10 ** generator.normal(0, 1, 100), target))
    assert informed.figure == "spearman"
    assert not informed.missing
    (noise,) = skills(*held_out(truth, generator.permutation(truth), target))
    assert "Spearman's correlation" in str(noise.missing)


def test_too_few_cases_show_nothing() -> None:
    (found,) = skills(*held_out(np.array([0, 1]), np.array([0.1, 0.9]), SICK))
    assert str(found.missing) == "too few held-out cases to show that the model knows anything"


def test_a_calibration_written_before_skill_was_measured_withholds_nothing() -> None:
    old = {"coverage": 0.9, "targets": [{"target": "sick", "kind": "binary", "items": ["yes"], "cases": 40}]}
    assert Calibration.from_json(old).withheld == {}


def test_random_labels_show_no_map_in_the_run_and_none_afterwards(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    images = generator.integers(0, 255, (60, tiny.SIDE, tiny.SIDE), dtype=np.uint8)
    labels = pl.DataFrame({"sick": generator.permutation(np.arange(60) % 2), "patient": np.arange(60)})
    out = tiny.plan_at(tmp_path / "run", members="folds")
    trained = medeor.train(
        images, labels, target="sick", group="patient", split="cv", out=out, console=Console(quiet=True)
    )
    kept = json.loads((out / "explanations" / "explanations.json").read_text())
    assert kept["cases"]
    assert not any(case["shown"] for case in kept["cases"])
    assert all("not shown to know anything" in case["reason"] for case in kept["cases"])
    for asked in (trained, medeor.load(out / "run.medeor")):
        found = medeor.explain(asked, images[:2])
        assert not any(case.shown for case in found.cases)
        assert found.cases[0].attribution.shape == (tiny.SIDE, tiny.SIDE)
