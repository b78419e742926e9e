"""An entity that nothing was taught of is spoken for by those of its kind with names like its own."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from medeor.contracts import Run, Sources, Study
from medeor.knowledge.evaluation import gains
from medeor.knowledge.model.baselines import GraphBaseline, mined
from medeor.knowledge.model.network import Completer
from medeor.knowledge.model.processors import GraphProcessors
from medeor.knowledge.model.recipe import GraphRecipe
from medeor.knowledge.model.similar_entities import substitutes_for
from medeor.knowledge.plan import Embedding, GraphTraining
from medeor.knowledge.read.cases import read_cases
from medeor.knowledge.read.graph import Graph
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.networks.schedule import Schedule
from medeor.registry import load_model
from medeor.statistics.split import split_cases

NAMES = {
    "D:1": ("breast cancer", "Disease"),
    "D:2": ("lung cancer", "Disease"),
    "D:3": ("schizophrenia", "Disease"),
    "D:4": ("ovarian cancer", "Disease"),
    "G:1": ("cancer antigen", "Gene"),
}


@pytest.fixture
def graph() -> Graph:
    ids = sorted(NAMES)
    entities = pl.DataFrame({"id": ids, "name": [NAMES[one][0] for one in ids], "kind": [NAMES[one][1] for one in ids]})
    triples = np.array([[0, 0, 4], [1, 0, 4], [2, 0, 4], [3, 0, 4]], np.int32)
    synonyms = pl.DataFrame(schema={"entity": pl.Int32, "name": pl.String, "language": pl.String})
    return Graph(entities, pl.DataFrame({"name": ["gene"]}), triples, pl.DataFrame({"part": [None] * 4}), synonyms)


def test_kin_are_of_the_same_kind_and_the_likelier_the_more_alike_the_name(graph):
    found = substitutes_for(graph, graph.triples[:3])
    assert found.unseen.tolist() == [3]
    share = np.bincount(found.near[0].numpy(), found.weight[0].numpy(), 5)
    assert np.flatnonzero(share).tolist() == [0, 1, 2]
    assert min(share[0], share[1]) > 3 * share[2]
    assert float(found.weight.sum()) == pytest.approx(1)


def test_names_that_are_mere_identifiers_are_not_compared(graph):
    bare = Graph(graph.entities.with_columns(name="id"), graph.relations, graph.triples, graph.facts, graph.synonyms)
    found = substitutes_for(bare, graph.triples[:3])
    assert sorted(found.weight[0].tolist())[-3:] == pytest.approx([1 / 3] * 3, rel=1e-3)


def test_nobody_stands_in_where_all_were_taught(graph):
    assert not len(substitutes_for(graph, graph.triples).unseen)


def test_a_network_answers_for_the_untaught_by_the_mean_of_their_kin_once_it_is_taught(graph):
    processors = GraphProcessors(
        tuple(graph.entities["id"]),
        ("gene",),
        torch.from_numpy(graph.triples),
        3,
        substitutes_for(graph, graph.triples[:3]),
    )
    network = Completer(processors, Embedding(dimension=4)).train()
    assert torch.equal(network.entities(), network.entity)
    told = network.eval().entities()
    assert torch.equal(told[[0, 1, 2, 4]], network.entity[[0, 1, 2, 4]])
    weights = torch.zeros(5).index_add_(0, processors.substitutes.near[0], processors.substitutes.weight[0])
    assert torch.allclose(told[3], weights @ network.entity)


def test_diseases_never_taught_are_answered_for_by_their_names(tmp_path):
    """Diseases of one family share their genes and a word of their name; popularity knows neither."""
    generator = np.random.default_rng(0)
    lines = ["head\trelation\ttail\thead_name\thead_kind\ttail_kind"]
    for number in range(60):
        family = ("cancer", "anaemia", "psychosis")[number % 3]
        for gene in generator.permutation(20)[:14]:
            name = f"{family} of sort {number}"
            lines.append(f"D{number}\tcaused by\tG{number % 3}{gene:02}\t{name}\tDisease\tGene")
    (tmp_path / "edges.tsv").write_text("\n".join(lines) + "\n")
    study = Study((str(tmp_path / "edges.tsv"),), split="cold:Disease", task="graph-completion")
    cases = read_cases(Sources((tmp_path / "edges.tsv",), {}), study)
    split = split_cases(cases, study)
    recipe = GraphRecipe(Embedding(dimension=32, n3=0.003), GraphTraining(batch=64), 1 << 28)
    schedule = Schedule(epochs=20, learning_rate=0.03, weight_decay=0.0, averaging=0.0, clip=0.0)
    run = Run(tmp_path / "run")
    model = NetworkMethod(recipe, schedule).fit(cases, split, {}, run).model
    model.save(tmp_path / "model")
    test = split.part(cases, "test")
    ours = load_model(tmp_path / "model").predict(test, run)
    processors = GraphProcessors.of(split.part(cases, "train"))
    degree = GraphBaseline(processors, mined(processors).clear(), "degree", 1 << 28).predict(test, run)
    found = gains(test, ours, degree, "degree")
    for figure in ("mrr", "auroc"):
        assert found[f"{figure} less degree"].low > 0
