"""Questions to a completed graph: answers, their evidence, and the table of what was learnt."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest

import medeor
from medeor.console import renamed
from medeor.contracts import UserError
from medeor.formats.tables.embeddings import Embeddings, read_embeddings
from medeor.road.bundle import load, opened
from medeor.simulate.knowledge import knowledge, write_graph
from tiny import medeor as command

SETTINGS = ("embedding.dimension=32", "schedule.epochs=60", "training.batch=256", "embedding.n3=0.01")
FACTS = ["source", "licence", "release"]


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> Path:
    """A simulated graph, to which a relation is added that never holds where `treats` does."""
    folder = write_graph(knowledge(40, 60, 30, seed=1, leaks=0.0), tmp_path_factory.mktemp("graph") / "graph")
    edges = pl.read_csv(folder / "edges.tsv", separator="\t")
    treated = set(edges.filter(pl.col("relation") == "treats").select("head", "tail").iter_rows())
    pairs = edges.filter(pl.col("relation") == "treats").select("head").unique(maintain_order=True)
    pairs = pairs.join(edges.filter(pl.col("relation") == "treats").select("tail").unique(), how="cross")
    harms = [pair for pair in pairs.iter_rows() if pair not in treated]
    harms = [harms[i] for i in np.random.default_rng(0).permutation(len(harms))[: len(harms) // 2]]
    added = pl.DataFrame(sorted(harms), schema=["head", "tail"], orient="row").with_columns(
        relation=pl.lit("contraindicates"), source=pl.lit("Simulated Label"), part=pl.lit("train")
    )
    pl.concat([edges, added], how="diagonal").write_csv(folder / "edges.tsv", separator="\t")
    return folder


@pytest.fixture(scope="module")
def run(graph) -> Path:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    said = command("train", graph, "--task", "graph-completion", *settings, "--out", graph.parent / "run")
    assert said.code == 0, said.err
    return graph.parent / "run"


@pytest.fixture(scope="module")
def drug(graph) -> str:
    """The compound that most diseases are treated with."""
    edges = pl.read_csv(graph / "edges.tsv", separator="\t").filter(pl.col("relation") == "treats")
    return edges["head"].value_counts().sort("count", "head", descending=[True, False])["head"][0]


@pytest.fixture(scope="module")
def answered(run, drug) -> pl.DataFrame:
    return medeor.query(run, {"head": drug, "relation": "treats", "top": "6"}).table


@pytest.mark.parametrize(("asked", "tested"), [({}, 3), ({"evidence": "1"}, 1), ({"evidence": "0"}, 0)])
def test_the_paths_of_the_first_answers_are_tested(run, drug, asked, tested):
    table = medeor.query(run, {"head": drug, "relation": "treats", "top": "6", **asked}).table
    measured = [any(path["drop"] is not None for path in paths) for paths in table["paths"]]
    having = [len(paths) > 0 for paths in table["paths"]]
    assert measured == [there and number < tested for number, there in enumerate(having)]
    assert sum(having) > 3
    with pytest.raises(medeor.UserError, match="evidence=some: evidence is of how many answers"):
        medeor.query(run, {"head": drug, "relation": "treats", "evidence": "some"})


def test_every_edge_of_a_path_is_one_of_the_source_with_its_facts(graph, answered):
    source = pl.read_csv(graph / "edges.tsv", separator="\t").select("head", "relation", "tail", *FACTS)
    paths = [path for paths in answered["paths"] for path in paths]
    shown = [{key: edge[key] for key in source.columns} for path in paths for edge in path["edges"]]
    assert len(shown) > 6
    found = pl.DataFrame(shown, schema=source.schema)
    assert found.join(source, on=source.columns, how="semi", nulls_equal=True).height == found.height


def test_a_path_leads_from_the_head_to_the_answer_without_the_edge_that_is_asked(drug, answered):
    for row in answered.iter_rows(named=True):
        for path in row["paths"]:
            at = drug
            for edge in path["edges"]:
                assert (edge["head"], edge["relation"], edge["tail"]) != (drug, "treats", row["answer"])
                at = edge["tail"] if edge["head"] == at else edge["head"] if edge["tail"] == at else None
            assert at == row["answer"]


def test_what_was_written_down_is_marked_and_stays(graph, drug, answered):
    edges = pl.read_csv(graph / "edges.tsv", separator="\t").filter(relation="treats", head=drug)
    part = {
        tail: "in training data" if part == "train" else "held out"
        for tail, part in edges.select("tail", "part").rows()
    }
    assert answered["known"].to_list() == [part.get(answer) for answer in answered["answer"]]
    assert "in training data" in answered["known"].to_list()


def test_a_contradiction_is_found_in_the_source_and_by_what_never_occurs_together(graph, run, drug):
    edges = pl.read_csv(graph / "edges.tsv", separator="\t")
    table = medeor.query(run, {"head": drug, "relation": "treats", "top": "200", "kind": "Disease"}).table
    harmed = set(edges.filter(relation="contraindicates", head=drug)["tail"])
    assert {row["answer"] for row in table.iter_rows(named=True) if row["contradictions"]} == harmed
    (first, *_), *_ = (row for row in table["contradictions"] if len(row))
    assert (first["relation"], first["source"]) == ("contraindicates", "Simulated Label")
    assert first["why"].startswith("never together")
    gene = edges.filter(relation="inhibits", head=drug)["tail"][0]
    named = medeor.query(run, {"head": drug, "relation": "treats", "tail": gene, "excludes": "inhibits"}).table
    assert [one["why"] for one in named["contradictions"][0]] == ["named in the query"]


def test_the_rank_by_popularity_is_that_of_counting(graph, answered):
    taught = pl.read_csv(graph / "edges.tsv", separator="\t").filter(relation="treats", part="train")
    count = dict(taught["tail"].value_counts().rows())
    nodes = pl.read_csv(graph / "nodes.tsv", separator="\t").height - 1
    for row in answered.iter_rows(named=True):
        own = count.get(row["answer"], 0)
        more = sum(n > own for n in count.values())
        alike = sum(n == own for n in count.values()) if own else nodes - len(count)
        assert row["rank_by_degree"] == 1 + more + (alike - 1) / 2


def test_probabilities_are_those_of_predicting_the_triples_and_fall_from_the_first(run, drug, answered):
    values = answered["value"].to_list()
    assert values == sorted(values, reverse=True)
    asked = answered.head(3).select(pl.lit(drug).alias("head"), pl.lit("treats").alias("relation"), tail="answer")
    said = load(run).predict(asked).filter(item="holds")["value"]
    assert said.to_list() == pytest.approx(values[:3])


def test_a_file_may_spell_identifiers_otherwise_and_use_synonyms(run, drug, answered, tmp_path):
    nodes = pl.read_csv(run.parent / "graph" / "nodes.tsv", separator="\t").filter(id=drug).row(0, named=True)
    disease = answered["answer"][0]
    file = tmp_path / "asked.tsv"
    spellings = (drug, f"DRUGBANK:{drug}", nodes["synonyms"].split("|")[0])
    file.write_text("".join(f"{said}\ttreats\t{disease}\n" for said in spellings))
    values = load(run).predict(file).filter(item="holds")["value"].to_list()
    assert values == pytest.approx([answered["value"][0]] * 3)


def test_names_and_synonyms_in_two_languages_ask_the_same(run, drug, answered):
    nodes = pl.read_csv(run.parent / "graph" / "nodes.tsv", separator="\t").filter(id=drug).row(0, named=True)
    assert "模拟药物" in nodes["synonyms"]
    for said in (nodes["name"].upper(), *nodes["synonyms"].split("|")):
        table = medeor.query(run, {"head": said, "relation": "Treats", "top": "2"}).table
        assert table["answer"].to_list() == answered["answer"].to_list()[:2]


def test_heads_are_asked_for_by_a_tail_and_one_triple_by_both(run, drug, answered):
    disease = answered["answer"][0]
    heads = medeor.query(run, {"tail": disease, "relation": "treats", "kind": "compound", "top": "3"}).table
    assert set(heads["kind"]) == {"Compound"}
    one = medeor.query(run, {"head": heads["answer"][1], "tail": disease, "relation": "treats"}).table
    assert one["answer"].to_list() == [disease]
    assert one["value"][0] == pytest.approx(heads["value"][1])


def test_a_bundle_answers_alike_without_paths_and_says_so(run, drug, answered):
    said = medeor.query(run / "run.medeor", {"head": drug, "relation": "treats", "top": "6"})
    assert said.table["answer"].to_list() == answered["answer"].to_list()
    assert said.table["value"].to_list() == pytest.approx(answered["value"].to_list())
    assert said.table["paths"].null_count() == 6
    assert "answers have no paths" in str(said.figures[-1].caption)


def test_the_command_prints_answers_and_writes_their_table(run, drug, tmp_path):
    where = "--query", f"head={drug}", "--query", "relation=treats"
    said = command("predict", run, *where, "--query", "top=2")
    assert said.code == 0, said.err
    assert "Paths to the answers" in said.out
    assert "Simulated Atlas (CC BY 4.0, simulated)" in " ".join(said.out.split())
    for ending in ("csv", "parquet", "json"):
        out = tmp_path / f"answers.{ending}"
        said = command("predict", run, *where, "--query", "top=5", "--out", out)
        assert said.code == 0, said.err
    kept = pl.read_parquet(tmp_path / "answers.parquet")
    assert kept.height == 5
    assert kept["paths"][0][0]["edges"][0]["head_name"].startswith("Simulated")
    assert len(json.loads((tmp_path / "answers.json").read_text())) == 5


def test_a_page_of_answers_shows_where_they_lie(run, graph, drug, answered, tmp_path):
    said = command("predict", run, "--query", f"head={drug}", "--query", "relation=treats", "--query", "top=2",
                   "--out", tmp_path / "why.html")  # fmt: skip
    assert said.code == 0, said.err
    page = (tmp_path / "why.html").read_text()
    nodes = pl.read_csv(graph / "nodes.tsv", separator="\t")
    drawn = page[page.index("The paths in the graph") :]
    for id_ in (drug, *answered["answer"][:2]):
        assert nodes.filter(id=id_)["name"][0] in drawn


def test_the_graph_of_a_run_is_exported_as_it_was_read(run, graph, tmp_path):
    for name in ("g.tsv", "g.graphml"):
        said = command("export", run, "--as", "graph", tmp_path / name)
        assert said.code == 0, said.err
    columns = ["head", "relation", "tail", *FACTS, "part"]
    source = pl.read_csv(graph / "edges.tsv", separator="\t").select(columns)
    assert pl.read_csv(tmp_path / "g.tsv", separator="\t").select(columns).sort(columns).equals(source.sort(columns))
    assert (tmp_path / "g.graphml").read_text().count("<edge ") == source.height


def test_the_graph_of_a_run_is_drawn_around_an_entity(run, graph, drug, tmp_path):
    name = pl.read_csv(graph / "nodes.tsv", separator="\t").filter(id=drug)["name"][0]
    said = command("export", run, "--as", "graph", tmp_path / "g.svg", "--option", f"around={drug}")
    assert said.code == 0, said.err
    root = ET.parse(tmp_path / "g.svg").getroot()
    assert name in {one.text for one in root}
    edges = pl.read_csv(graph / "edges.tsv", separator="\t")
    most = pl.concat([edges["head"], edges["tail"]]).value_counts().sort("count", "head", descending=[True, False])
    most = most["head"][0]
    assert command("export", run, "--as", "graph", tmp_path / "hub.svg").code == 0
    hub = pl.read_csv(graph / "nodes.tsv", separator="\t").filter(id=most)["name"][0]
    assert hub in {one.text for one in ET.parse(tmp_path / "hub.svg").getroot()}


def test_a_graph_that_cannot_be_exported_is_told(run, tiny_run, tmp_path):
    for trained, words, complaint in (
        (run, ("g.json",), "written to a file ending in .tsv"),
        (run, ("g.svg", "--option", "around=Marsian"), "no entity is called 'Marsian'"),
        (run / "run.medeor", ("g.tsv",), "a bundle carries no graph"),
        (run, ("g.tsv", "--option", "about=x"), "--as graph has no option 'about'; --option takes around"),
        (tiny_run, ("g.tsv",), "has no graph to export; --as takes onnx"),
    ):
        said = command("export", trained, "--as", "graph", tmp_path / words[0], *words[1:])
        assert said.code == 2
        assert complaint in said.complaints[0]
        assert not (tmp_path / words[0]).exists()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"head": "Simulated compund 1", "relation": "treats"}, "no entity is called.*near: Simulated compound"),
        ({"head": "DB90001", "relation": "treat"}, "no relation is called 'treat'; there are: .*treats"),
        ({"head": "DB90001"}, "names a relation and an end"),
        ({"relation": "treats"}, "names a relation and an end"),
        ({"head": "DB90001", "relation": "treats", "top": "0"}, "whole number from 1"),
        ({"head": "DB90001", "relation": "treats", "kind": "Planet"}, "kinds: Compound, Disease, Gene"),
        ({"head": "DB90001", "relation": "treats", "tail": "DB90001"}, "joins two entities"),
        ({"hed": "DB90001"}, "has 'hed'; --query takes head"),
    ],
)
def test_a_question_that_cannot_be_understood_says_what_can(run, where, said):
    with pytest.raises(UserError, match=said):
        medeor.query(run, where)


def test_cases_and_a_question_at_once_or_neither_are_refused(run):
    both = command("predict", run, "x.tsv", "--query", "head=DB90001")
    assert both.code == 2
    assert "not both" in both.complaints[0]
    with pytest.raises(UserError, match="nothing to predict"):
        medeor.predict(run)


def test_explaining_a_file_points_to_the_question_that_is_answered_with_reasons(run, drug, answered, tmp_path):
    file = tmp_path / "asked.tsv"
    file.write_text(f"{drug}\ttreats\t{answered['answer'][0]}\n")
    said = command("explain", run, file, "--out", tmp_path / "why.html")
    assert said.code == 2
    assert "medeor predict RUN --query head=… --query relation=…" in said.complaints[0]
    assert not (tmp_path / "why.html").exists()


def test_models_of_cases_answer_no_question(tiny_run):
    said = command("predict", tiny_run, "--query", "head=x")
    assert said.code == 2
    assert "asked about cases" in said.complaints[0]


def test_embeddings_are_read_back_as_the_input_of_a_study(run, graph, drug, tmp_path):
    said = command("export", run, "--as", "embeddings", tmp_path / "table.parquet")
    assert said.code == 0, said.err
    store = opened(tmp_path / "table.parquet")
    assert isinstance(store, Embeddings)
    nodes = pl.read_csv(graph / "nodes.tsv", separator="\t").select("id", "name", "kind").sort("id")
    assert store.table.select("id", "name", "kind").equals(nodes)
    vectors, known = store.vectors([drug, "nobody", drug])
    assert known.tolist() == [True, False, True]
    weights = load(run).model.network.entity.detach().numpy()
    assert np.array_equal(vectors[0], weights[nodes["id"].to_list().index(drug)])
    assert np.array_equal(vectors[0], vectors[2])
    assert not vectors[1].any()
    assert store.dimension == 32
    assert store.digest == read_embeddings(tmp_path / "table.parquet").digest


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"id": ["a"], "x": [1.0]}, "a table of embeddings has id and vector"),
        ({"id": ["a", "a"], "vector": [[1.0], [2.0]]}, "the id 'a' is empty or occurs more than once"),
        ({"id": ["a", "b"], "vector": [[1.0], [2.0, 3.0]]}, "same length"),
        ({"id": ["a"], "vector": [[float("nan")]]}, "not finite"),
        ({"id": ["a"], "vector": [3.0]}, "not lists of numbers"),
    ],
)
def test_what_is_no_table_of_embeddings_is_refused(tmp_path, columns, said):
    pl.DataFrame(columns).write_parquet(tmp_path / "table.parquet")
    with pytest.raises(UserError, match=said):
        read_embeddings(tmp_path / "table.parquet")


def test_an_export_says_what_it_can_write(run, tmp_path):
    for words, complaint in (
        ((), "name what to export"),
        (("--as", "graph"), "name what to export"),
        (("--as", "embeddings", tmp_path / "t.csv"), "embeddings is written to a file ending in .parquet"),
        (("--as", "onnx", tmp_path / "m.onnx"), "has no onnx to export; --as takes embeddings"),
    ):
        said = command("export", run, *words)
        assert said.code == 2
        assert complaint in said.complaints[0]
    assert not list(tmp_path.iterdir())


def test_flags_of_0_1_export_the_same_with_one_warning_each(run, drug, tmp_path):
    renamed.cache_clear()
    said = command("export", f"--embeddings={tmp_path / 'old.parquet'}", "--trust", "nets", run)
    assert said.code == 0, said.err
    assert said.out == f"{tmp_path / 'old.parquet'}\n"
    assert said.err.count("--embeddings is now called --as embeddings; the old name works through 0.3") == 1
    said = command("export", run, "--around", drug, "--graph", tmp_path / "old.svg")
    assert said.code == 0, said.err
    assert "--around is now called --option around" in said.err
    command("export", run, "--as", "graph", tmp_path / "new.svg", "--option", f"around={drug}")
    assert (tmp_path / "old.svg").read_bytes() == (tmp_path / "new.svg").read_bytes()
