"""Five small tasks, each far from a table of images and classes, walk the road and find what is known of their data.
What every task keeps is checked in `testing/test_conformance.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medeor import registry
from medeor.contracts import Study
from medeor.files import read_json
from medeor.road.bundle import load
from medeor.road.walk.walk import walk
from road import deaths, effect, links, patches, search


@pytest.fixture(autouse=True)
def enrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    for toy in (deaths, effect, links, patches, search):
        monkeypatch.setitem(registry.TASKS, toy.FACTS.name, toy.FACTS)
        for kind, place in toy.LOADERS.items():
            monkeypatch.setitem(registry.LOADERS, kind, place)
    monkeypatch.setitem(registry.TASKS, search.GOAL.name, search.GOAL)


def test_the_effect_is_found_where_the_naive_difference_is_biased(tmp_path: Path) -> None:
    walk(Study(effect.simulated(2000), "toy-effect", split="cv"), tmp_path / "run")
    metrics = read_json(tmp_path / "run" / "metrics.json")["cv"]
    assert metrics["ate"]["low"] < effect.EFFECT < metrics["ate"]["high"]
    assert metrics["baseline/ate"]["value"] > effect.EFFECT + 1


@pytest.mark.data
def test_tails_of_umls_are_found(tmp_path: Path, real_data: Path) -> None:
    walk(Study((str(real_data / "graphs" / "umls"),), "toy-links"), tmp_path / "run")
    metrics = read_json(tmp_path / "run" / "metrics.json")["test"]
    assert metrics["hits@10"]["value"] > 0.9
    assert metrics["mrr"]["value"] > metrics["baseline/mrr"]["value"] + 0.1


def test_a_lesion_is_found_by_an_ensemble_of_sliding_windows(tmp_path: Path) -> None:
    trained = walk(Study((patches.simulated(12),), "toy-patches"), tmp_path / "run")
    metrics = read_json(tmp_path / "run" / "metrics.json")["test"]
    assert metrics["dice/lesion"]["value"] > 0.9
    found = trained.predict_cases(trained.read(patches.simulated(1)))
    (array,) = [np.load(path) for path in found.arrays.values()]
    # The volume of a lesion is decided from the mean of the members' arrays.
    assert found.table["value"].item() == pytest.approx(array.sum(), rel=1e-5)


def test_a_search_climbs_on_the_bundle_of_another_study(tmp_path: Path) -> None:
    table = search.simulated(600)
    walk(Study((table,), "toy-property"), tmp_path / "goal")
    trained = walk(Study((), "toy-search", inputs={"goal": str(tmp_path / "goal" / "goal.medeor")}), tmp_path / "run")
    best = trained.predict_cases(trained.read()).table
    assert best["item"][0].count("N") >= 5
    assert best["value"][0] > table["property"].quantile(0.95)


def test_a_censored_outcome_takes_the_whole_road(tmp_path: Path) -> None:
    source = deaths.simulated(400)
    trained = walk(Study(source, "toy-deaths", split="cv"), tmp_path / "run")
    metrics = read_json(tmp_path / "run" / "metrics.json")["cv"]
    # The true hazard itself orders about .77 of the pairs.
    assert metrics["c_index"]["value"] > 0.72
    assert metrics["c_index"]["value"] > metrics["baseline/c_index"]["value"]
    assert metrics["integrated_brier"]["value"] < metrics["baseline/integrated_brier"]["value"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "C-index (Harrell)" in page
    assert "death: reliability" in page
    few = [part[:5] for part in source]
    new = trained.predict_cases(trained.read(*few)).table
    assert (np.diff(new["value"].to_numpy().reshape(5, -1), axis=1) >= 0).all()
    bundle = load(tmp_path / "run" / "run.medeor")
    assert bundle.predict_cases(bundle.read(*few)).table.equals(new)
