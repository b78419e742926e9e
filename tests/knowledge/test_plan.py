"""From the facts of a graph to a plan within its memory, and the search of settings."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from knowledge import wheel
from medeor.contracts import Budget, Run, Sources, Study, UserError
from medeor.files import read_json
from medeor.knowledge.model.search import Searched
from medeor.knowledge.plan import (
    Embedding,
    GraphFingerprint,
    GraphPlan,
    GraphTraining,
    Search,
    affordable,
    memory,
    rules,
    tries,
)
from medeor.knowledge.read.cases import read_cases
from medeor.knowledge.task import GraphTask
from medeor.learning.networks import budget
from medeor.learning.networks.budget import Trial
from medeor.learning.networks.schedule import Schedule
from medeor.statistics.split import split_cases

GIB = 2**30


def test_a_small_graph_is_held_against_all_entities_and_a_large_one_against_drawn_ones():
    assert rules(GraphFingerprint(135, 46, 5216), 8 * GIB).training.scheme == "one-versus-all"
    large = rules(GraphFingerprint(50_000, 24, 5_000_000), 8 * GIB)
    assert large.training.scheme == "negatives"
    assert (large.embedding.dimension, large.training.negatives) == (200, 64)
    assert affordable(GraphFingerprint(50_000, 24, 5_000_000), large) == large


def test_the_tables_are_held_five_times_with_gradient_and_moments():
    plan = GraphPlan(Embedding(dimension=100), GraphTraining("negatives", batch=1, shared=1, negatives=1))
    million, two = (memory(GraphFingerprint(entities, 1, 0), plan) for entities in (1_000_000, 2_000_000))
    assert (two - million) * GIB == pytest.approx(5 * 4 * 100 * 1_000_000)


def test_a_plan_is_made_smaller_to_fit_and_a_graph_too_large_is_refused():
    facts = GraphFingerprint(4_000_000, 30, 10_000_000)
    small = affordable(facts, rules(facts, 8 * GIB))
    assert small.embedding.dimension < 200
    assert memory(facts, small) <= small.memory_gib
    with pytest.raises(UserError, match=r"takes .* GiB even with 32 numbers an entity"):
        affordable(GraphFingerprint(100_000_000, 30, 10_000_000), rules(facts, 8 * GIB))


def test_what_the_user_fixed_is_estimated(tmp_path, monkeypatch):
    """A step of 1.5 s; memory grows by the tables of each further number of an entity, and what a batch holds of it."""
    monkeypatch.setattr(budget, "trial", lambda *_: Trial(1.5, 10, 3 << 30))
    cases = read_cases(Sources((wheel.write(tmp_path / "wheel"),), {}), Study())
    fixed = {"schedule.epochs": "5000", "embedding.dimension": "100000", "memory_gib": "64", "search.epochs": "3"}
    plan = GraphTask().plan(cases, split_cases(cases, Study()), Budget(1.0, 8 * GIB, 1, fixed))
    assert (plan.schedule.epochs, plan.search.epochs) == (5000, 3)
    assert plan.estimate.minutes == pytest.approx(5000 * 10 * 1.5 / 60)
    assert plan.estimate.memory_gib > 4 * 10 * plan.training.batch * 100_000 / GIB


def test_a_search_keeps_the_setting_that_ranks_best_and_gives_the_same_twice(tmp_path):
    cases = read_cases(Sources((wheel.write(tmp_path / "wheel"),), {}), Study())
    split = split_cases(cases, Study())
    plan = GraphPlan(
        # With such a norm nothing is learnt; the ninth setting has none.
        Embedding(dimension=16, n3=30.0),
        GraphTraining(batch=32),
        Schedule(epochs=10, learning_rate=0.05, weight_decay=0.0, averaging=0.0, clip=0.0),
        search=Search(settings=9, epochs=25),
    )
    fitted = [Searched(plan).fit(cases, split, {}, Run(tmp_path / name, seed=1)) for name in ("one", "two")]
    told = read_json(tmp_path / "one" / "search.json")
    assert len(told) == 9
    assert [one["mrr"] for one in told if one["chosen"]] == [max(one["mrr"] for one in told)]
    assert not told[0]["chosen"]
    assert told == read_json(tmp_path / "two" / "search.json")
    assert fitted[0].held_out.table.equals(fitted[1].held_out.table)
    assert set(fitted[0].held_out.table["case_id"]) == set(split.part(cases, "validation").ids)


def test_the_first_setting_tried_is_the_plan_and_no_two_are_alike():
    plan = replace(GraphPlan(), embedding=Embedding(n3=0.01))
    settings = tries(plan, 99)
    assert settings[0] == plan
    assert len(set(map(repr, settings))) == len(settings)
    assert tries(plan, 3) == settings[:3]


def test_a_search_judges_by_triples_that_were_to_be_learnt(tmp_path):
    from medeor.knowledge.model.search import _inner

    cases = read_cases(Sources((wheel.write(tmp_path / "wheel"),), {}), Study())
    split = split_cases(cases, Study())
    inner = _inner(cases, split, 0)
    train = set(split.part(cases, "train").ids)
    judged = inner.table.filter(pl.col("part") == "validation")["case_id"]
    assert set(inner.table["case_id"]) == train
    assert 0 < len(judged) < len(train) / 5
