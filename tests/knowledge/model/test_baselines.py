"""Popularity and rules on graphs whose rules are known."""

from __future__ import annotations

import polars as pl
import pytest
import torch

from medeor.knowledge.model.baselines import GraphBaseline, load, mined
from medeor.knowledge.model.processors import GraphProcessors


def _processors(rows: list[tuple[int, int, int]], entities: int, relations: int) -> GraphProcessors:
    triples = torch.tensor(sorted(set(rows)), dtype=torch.int32)
    names = tuple(f"e{i}" for i in range(entities)), tuple(f"r{i}" for i in range(relations))
    return GraphProcessors(*names, triples, len(triples))


def _confidence(rules: pl.DataFrame, relation: int, first: int, second: int) -> list[float]:
    found = rules.filter(relation=relation, first=first, second=second)
    return found["confidence"].to_list()


def test_an_inverse_relation_is_a_rule_of_one_edge():
    # Relation 1 is relation 0 turned around, for 8 of 10 pairs.
    rows = [(i, 0, 10 + i) for i in range(10)] + [(10 + i, 1, i) for i in range(8)]
    rules = mined(_processors(rows, 20, 2))
    assert _confidence(rules, relation=1, first=2, second=-1) == [pytest.approx(8 / (10 + 5))]
    assert _confidence(rules, relation=0, first=3, second=-1) == [pytest.approx(8 / (8 + 5))]


def test_a_composition_is_a_rule_of_two_edges_and_its_inverse_runs_backwards():
    # A drug (0-5) hits a gene (6-11) that a disease (12-17) has; it treats the disease in 4 of 6 cases.
    rows = (
        [(i, 0, 6 + i) for i in range(6)] + [(6 + i, 1, 12 + i) for i in range(6)] + [(i, 2, 12 + i) for i in range(4)]
    )
    rules = mined(_processors(rows, 18, 3))
    assert _confidence(rules, relation=2, first=0, second=1) == [pytest.approx(4 / (6 + 5))]
    assert _confidence(rules, relation=5, first=4, second=3) == [pytest.approx(4 / (6 + 5))]


def test_rules_score_by_noisy_or_and_popularity_breaks_ties():
    rows = (
        [(i, 0, 6 + i) for i in range(6)] + [(6 + i, 1, 12 + i) for i in range(6)] + [(i, 2, 12 + i) for i in range(4)]
    )
    processors = _processors(rows, 18, 3)
    model = GraphBaseline(processors, mined(processors), "rules", 1 << 20)
    scores = model._by_rules(torch.tensor([[5, 2], [17, 5]]))
    expected = -torch.log1p(torch.tensor(-4 / 11))
    assert scores[0].argmax() == 17
    assert scores[1].argmax() == 5
    assert scores[0, 17].item() == pytest.approx(expected.item(), abs=2e-3)
    assert scores[0, 12] > scores[0, 16]  # 12 was treated, 16 never


def test_degree_counts_how_often_an_entity_answers_a_relation():
    processors = _processors([(0, 0, 3), (1, 0, 3), (2, 0, 4), (0, 1, 4)], 5, 2)
    model = GraphBaseline(processors, mined(processors), "degree", 1 << 20)
    found = model._popularity[torch.tensor([[0, 0], [0, 1], [4, 3]])[:, 1]].exp() - 1
    assert found.round().tolist() == [[0, 0, 0, 2, 1], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]


def test_a_baseline_is_read_back_as_it_was(tmp_path):
    processors = _processors([(i, 0, 9 - i) for i in range(10)], 10, 1)
    model = GraphBaseline(processors, mined(processors), "rules", 1 << 20)
    model.save(tmp_path)
    again = load(tmp_path)
    questions = torch.tensor([[0, 0], [3, 1]])
    assert again.chosen == "rules"
    assert torch.equal(again._by_rules(questions), model._by_rules(questions))
