"""What is said of an answer's reasons, against an objective that is minimised in full, planted truth, and refits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr

from knowledge import wheel
from medeor.contracts import Run, Sources, Study
from medeor.knowledge.model.batches import GraphBatch
from medeor.knowledge.model.fitted import networks_of
from medeor.knowledge.model.loss import graph_loss
from medeor.knowledge.model.network import Completer
from medeor.knowledge.model.processors import GraphProcessors
from medeor.knowledge.plan import Embedding, GraphTraining
from medeor.knowledge.questions import answers
from medeor.knowledge.questions.evidence import Refit, excluding, realistic_places
from medeor.knowledge.questions.paths import Adjacency, between
from medeor.knowledge.read.cases import read_cases
from medeor.knowledge.read.triples import both_ways


def network(scorer: str, reciprocal: bool = True) -> Completer:
    torch.manual_seed(0)
    triples = torch.from_numpy(wheel.triples())
    names = tuple(f"n{i}" for i in range(wheel.SIZE)), tuple(wheel.TURNS)
    plan = Embedding(scorer, 8, reciprocal=reciprocal, n3=0.05, spread=0.5)
    return Completer(GraphProcessors(*names, triples, len(triples)), plan).eval()


def minimised(of: Completer, known: torch.Tensor, ends: list[int]) -> None:
    """Learns the rows of `ends` anew by the loss of a fit over every question, all else fixed, by plain descent."""
    for name, parameter in of.named_parameters():
        parameter.requires_grad_(name == "entity")
    questions = both_ways(known, of.relations)
    batch = GraphBatch(questions, questions[:, 2])
    optimiser = torch.optim.Adam([of.entity], lr=0.01)
    for step in range(800):
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * (1 - step / 800)
        optimiser.zero_grad()
        total, weight = graph_loss(of(questions), batch, GraphTraining(), of.plan.n3)
        (total / weight).backward()
        rest = torch.ones(len(of.entity), dtype=torch.bool)
        rest[ends] = False
        of.entity.grad[rest] = 0
        optimiser.step()


def log_probability(of: Completer, triple: list[int]) -> float:
    questions = both_ways(torch.tensor([triple]), of.relations)
    with torch.no_grad():
        said = torch.log_softmax(of.candidate_scorer()(questions[:, :2]), 1)
    return float(said.gather(1, questions[:, 2:]).mean())


@pytest.mark.parametrize(("scorer", "reciprocal"), [("complex", True), ("distmult", False), ("transe", True)])
def test_a_refit_is_the_minimum_of_the_loss_of_a_fit(scorer, reciprocal):
    triples = wheel.triples()
    triple = triples[5].tolist()
    gone = np.flatnonzero((triples[:, 0] == triple[0]) | (triples[:, 2] == triple[2]))
    gone = gone[gone != 5][:2]
    drop = Refit(network(scorer, reciprocal), torch.from_numpy(triples)).drops(triple, [gone])
    said = []
    for out in ([5], [5, *gone]):
        own = network(scorer, reciprocal)
        minimised(own, torch.from_numpy(np.delete(triples, out, 0)), [triple[0], triple[2]])
        said.append(log_probability(own, triple))
    assert drop[0] == pytest.approx(said[0] - said[1], abs=0.05 if scorer == "transe" else 0.01)


def test_nothing_taken_away_changes_nothing():
    triples = wheel.triples()
    drops = Refit(network("complex"), torch.from_numpy(triples)).drops(triples[0].tolist(), [np.zeros(0, int)])
    assert drops == pytest.approx([0], abs=1e-6)


def test_relations_that_never_meet_exclude_each_other():
    generator = np.random.default_rng(0)
    mask = generator.integers(3, size=(20, 20))
    head, tail = np.indices(mask.shape)
    treats, harms = mask == 0, mask == 1
    other = generator.random(mask.shape) < 0.3
    rows = [np.stack((head[m], np.full(m.sum(), r), 20 + tail[m]), 1) for r, m in enumerate((treats, harms, other))]
    found = excluding(np.concatenate(rows).astype(np.int32), 40, 0)
    assert set(found) == {1}
    # Every compound and disease has both relations here, so chance is the product of their sizes over all pairs.
    assert found[1] == pytest.approx(treats.sum() * harms.sum() / 400)


def test_places_share_ties():
    values = np.random.default_rng(0).integers(5, size=50)
    assert realistic_places(values).tolist() == rankdata(-values).tolist()


@pytest.mark.data
@pytest.mark.slow
def test_what_a_refit_says_agrees_with_fits_without_the_path(tmp_path, real_data):
    """Whole fits of UMLS, once with and once without each of some sets of edges."""
    from medeor.contracts import Split
    from medeor.knowledge.model.search import Searched
    from medeor.road.bundle import load
    from medeor.road.walk.walk import walk

    source = str(real_data / "graphs" / "umls")
    walk(Study((source,), "graph-completion", settings={"embedding.dimension": "100"}), tmp_path / "run")
    trained = load(tmp_path / "run")
    networks, processors = networks_of(trained.model)
    cases = read_cases(Sources((source,), {}), Study((source,), "graph-completion"))
    from medeor.files import read_toml
    from medeor.knowledge.plan import GraphPlan
    from medeor.knowledge.read.graph import Graph
    from medeor.settings import build

    graph, plan = cases.store("graph", Graph), build(GraphPlan, read_toml(tmp_path / "run" / "plan.toml"), "plan.toml")
    place = answers.training_places(graph, processors.training_triples.numpy())
    adjacency = Adjacency.of(graph.triples, len(graph.entities), np.flatnonzero(place >= 0))
    tested = np.flatnonzero((graph.facts["part"] == "test").to_numpy())[[3, 50, 200, 400]]

    def fitted(without: np.ndarray) -> Completer:
        part = cases.table["part"].to_numpy().astype(object)
        part[without] = "unused"
        split = Split(cases.table.select("case_id", fold=None).with_columns(part=part.astype(str)))
        model = Searched(plan).fit(cases, split, {}, Run(tmp_path / f"without-{len(list(tmp_path.iterdir()))}")).model
        return model.network

    estimated, true = [], []
    for row in tested:
        triple = graph.triples[row].tolist()
        path = list(between(adjacency, triple[0], triple[2], 1, np.array([row]))[0])
        around = [adjacency.around(np.array([end]))[2] for end in (triple[0], triple[2])]
        # As many edges as decide over an entity: a third of those at either end.
        sets = [path, np.concatenate([rows[::3] for rows in around])]
        whole = log_probability(fitted(np.zeros(0, int)), triple)
        true += [whole - log_probability(fitted(np.array(out)), triple) for out in sets]
        estimated += (
            Refit(networks[0], processors.training_triples).drops(triple, [place[out] for out in sets]).tolist()
        )
    assert spearmanr(estimated, true).statistic > 0.5
