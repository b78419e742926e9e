"""Whatever people call an entity finds it; what is not found is answered with what is near."""

import polars as pl
import pytest

from medeor.contracts import UserError
from medeor.formats.graphs.tables import GraphTables
from medeor.knowledge.read.graph import assemble
from medeor.knowledge.read.names import entity, find, near, relation

NODES = [
    ("DRUGBANK:DB00331", "Metformin", "Compound"),
    ("DOID:10652", "Alzheimer's disease", "Disease"),
    ("DOID:9352", "type 2 diabetes mellitus", "Disease"),
    ("DOID:9744", "type 1 diabetes mellitus", "Disease"),
    ("NCBIGene:1", "ACT", "Gene"),
    ("NCBIGene:2", "ACT", "Gene"),
]
SYNONYMS = [
    ("DRUGBANK:DB00331", "二甲双胍", "zh"),
    ("DRUGBANK:DB00331", "Glucophage®", "en"),
    ("DOID:9352", "2型糖尿病", "zh"),
    ("DOID:9744", "ACT", "en"),
]


@pytest.fixture(scope="module")
def graph():
    edges = pl.DataFrame({"head": ["DRUGBANK:DB00331"], "relation": ["treats_disease"], "tail": ["DOID:9352"]})
    nodes = pl.DataFrame(NODES, schema=["id", "name", "kind"], orient="row")
    synonyms = pl.DataFrame(SYNONYMS, schema=["id", "name", "language"], orient="row")
    return assemble([GraphTables(edges, nodes, synonyms)])


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("DRUGBANK:DB00331", ["DRUGBANK:DB00331"]),
        ("drugbank db00331", ["DRUGBANK:DB00331"]),
        ("DB00331", ["DRUGBANK:DB00331"]),
        ("Compound::DB00331", ["DRUGBANK:DB00331"]),
        ("METFORMIN", ["DRUGBANK:DB00331"]),
        ("ｍｅｔｆｏｒｍｉｎ", ["DRUGBANK:DB00331"]),
        ("二甲双胍", ["DRUGBANK:DB00331"]),
        ("二甲 双胍", ["DRUGBANK:DB00331"]),
        ("glucophage", ["DRUGBANK:DB00331"]),
        ("２型糖尿病", ["DOID:9352"]),
        ("Alzheimer’s disease", ["DOID:10652"]),
        ("alzheimers disease", ["DOID:10652"]),
        ("Alzheimer disease", ["DOID:10652"]),
        ("Type-2 Diabetes Mellitus", ["DOID:9352"]),
        ("9352", ["DOID:9352"]),
        ("ACT", ["NCBIGene:1", "NCBIGene:2"]),
        ("aspirin", []),
        ("", []),
        ("。", []),
    ],
)
def test_names_find_entities(graph, text: str, ids: list[str]) -> None:
    assert graph.entities["id"].gather(find(graph, text)).to_list() == ids


def test_what_is_not_found_is_answered_with_what_is_near(graph) -> None:
    assert near(graph, "metfromin")[0] == "Metformin"
    assert near(graph, "二甲双瓜")[0] == "二甲双胍"
    with pytest.raises(UserError, match="no entity is called 'metformine'; near: Metformin"):
        entity(graph, "metformine")
    with pytest.raises(UserError, match=r"no entity is called 'qqq'$"):
        entity(graph, "qqq")


def test_one_name_of_two_entities_asks_which(graph) -> None:
    with pytest.raises(UserError, match=r"'act' is the name of 2 entities.*NCBIGene:1 \(Gene\), NCBIGene:2 \(Gene\)"):
        entity(graph, "act")
    assert graph.entities["id"][entity(graph, "二甲双胍")] == "DRUGBANK:DB00331"


def test_relations_are_found_as_loosely(graph) -> None:
    assert relation(graph, "Treats disease") == 0
    with pytest.raises(UserError, match="no relation is called 'cures'; there are: treats_disease"):
        relation(graph, "cures")
