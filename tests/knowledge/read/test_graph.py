"""A graph is the same however it was read, is kept as mapped files, and says when they were changed."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medeor.contracts import Finding, Store, UserError
from medeor.knowledge.read.graph import Graph, assemble, read_graph
from medeor.simulate.knowledge import knowledge, large_graph, write_graph

EDGES = pl.DataFrame(
    {
        "head": ["b", "a", "b"],
        "relation": ["treats", "causes", "treats"],
        "tail": ["c", "b", "a"],
        "head_name": ["B", "A", "bee"],
        "head_kind": ["Drug", "Gene", "Drug"],
        "licence": ["CC0", None, "MIT"],
        "part": ["train", "test", None],
        "weight": [0.5, 1.0, 2.0],
    }
)


def test_rows_are_entities_and_relations_by_name() -> None:
    graph = read_graph([EDGES])
    assert graph.entities.rows() == [("a", "A", "Gene"), ("b", "B", "Drug"), ("c", "c", None)]
    assert graph.relations["name"].to_list() == ["causes", "treats"]
    assert graph.triples.tolist() == [[1, 1, 2], [0, 0, 1], [1, 1, 0]]
    assert graph.triples.dtype == np.int32
    assert graph.facts.drop("weight").rows() == [
        (None, "CC0", None, "train"), (None, None, None, "test"), (None, "MIT", None, None),
    ]  # fmt: skip
    assert graph.facts["weight"].to_list() == [0.5, 1.0, 2.0]
    assert graph.synonyms.rows() == [(1, "bee", None)]
    assert isinstance(graph, Store)


@given(st.lists(st.tuples(*[st.sampled_from("abcdé中")] * 3), min_size=1, max_size=30))
def test_triples_point_at_the_names_that_were_read(rows: list[tuple[str, str, str]]) -> None:
    graph = read_graph([np.array(rows)])
    ids, names = graph.entities["id"], graph.relations["name"]
    assert [(ids[h], names[r], ids[t]) for h, r, t in graph.triples.tolist()] == rows
    assert ids.is_sorted()
    assert ids.is_unique().all()


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    first = read_graph([EDGES])
    EDGES.select(*reversed(EDGES.columns)).write_csv(tmp_path / "a.csv")
    # Whatever categories were known before.
    pl.Series(["MIT", "zzz", "CC0"], dtype=pl.Categorical)
    assert read_graph([tmp_path / "a.csv"]).digest == first.digest
    changes = [
        pl.col("licence").fill_null("CC0"),
        pl.col("weight") + 1,
        pl.col("head").replace("a", "x"),
        pl.lit("test").alias("part"),
    ]
    digests = {read_graph([EDGES.with_columns(change)]).digest for change in changes}
    assert len(digests | {first.digest}) == len(changes) + 1


def test_a_saved_graph_opens_as_it_was(tmp_path: Path) -> None:
    graph = assemble([knowledge().tables])
    graph = Graph(
        graph.entities, graph.relations, graph.triples, graph.facts, graph.synonyms,
        (Finding("first-row", "quality", "unknown", "said", ("0",)),),
    )  # fmt: skip
    graph.save(tmp_path / "g")
    opened = read_graph([tmp_path / "g"])
    assert opened.digest == graph.digest
    assert opened.findings == graph.findings
    for name in ("entities", "relations", "facts", "synonyms"):
        assert getattr(opened, name).equals(getattr(graph, name))
    assert (opened.triples == graph.triples).all()
    assert (opened.facts["part"] == "train").sum() == (graph.facts["part"] == "train").sum()


def test_triples_are_mapped_not_read(tmp_path: Path) -> None:
    graph = assemble([large_graph(200_000, 1000, 3)])
    graph.save(tmp_path / "g")
    triples = Graph.open(tmp_path / "g").triples
    maps = Path("/proc/self/maps").read_text().splitlines()
    mapped = [line.split()[0].split("-") for line in maps if line.endswith("triples.arrow")]
    address = triples.__array_interface__["data"][0]
    assert any(int(low, 16) <= address < int(high, 16) for low, high in mapped)


def test_a_changed_folder_is_refused(tmp_path: Path) -> None:
    read_graph([EDGES]).save(tmp_path / "g")
    path = tmp_path / "g" / "entities.arrow"
    path.write_bytes(path.read_bytes().replace(b"Drug", b"Drag"))
    with pytest.raises(UserError, match="was changed or damaged"):
        Graph.open(tmp_path / "g")
    path.write_bytes(b"none")
    with pytest.raises(UserError, match=r"entities\.arrow is missing or damaged"):
        Graph.open(tmp_path / "g")
    (tmp_path / "g" / "graph.json").write_text('{"version": 99}')
    with pytest.raises(UserError, match="is not of a graph that this medeor reads"):
        Graph.open(tmp_path / "g")


def test_saving_replaces_what_was_there(tmp_path: Path) -> None:
    read_graph([EDGES]).save(tmp_path / "g")
    other = read_graph([EDGES.head(1)])
    other.save(tmp_path / "g")
    assert Graph.open(tmp_path / "g").digest == other.digest


def test_ids_of_two_kinds_are_told() -> None:
    edges = EDGES.with_columns(head_kind=pl.Series(["Drug", "Gene", "Disease"]))
    (finding,) = read_graph([edges]).findings
    assert finding.check == "entities-of-two-kinds"
    assert "b (Drug, Disease)" in str(finding.message)


def test_a_simulated_graph_is_read_back(tmp_path: Path) -> None:
    known = knowledge()
    graph = assemble([known.tables])
    read = read_graph([write_graph(known, tmp_path / "g")])
    assert read.entities.equals(graph.entities)
    assert (read.triples == graph.triples).all()
    assert read.facts.equals(graph.facts)
    assert set(read.synonyms["name"]) == set(graph.synonyms["name"])


def test_nothing_to_read_is_told() -> None:
    with pytest.raises(UserError, match="a graph needs a source"):
        read_graph([])


@pytest.mark.data
def test_the_parts_of_hetionet_have_their_published_size(real_data: Path) -> None:
    """12,623 associations; 755 disease-modifying and 390 symptomatic indications, and 243 that are none."""
    graph = read_graph([real_data / "graphs" / "hetionet_parts"])
    count = dict(graph.relations["name"].gather(graph.triples[:, 1]).value_counts().rows())
    assert count == {"associates": 12_623, "treats": 755, "palliates": 390, "not_indicated_for": 243}
    assert graph.facts["licence"].null_count() > 0
    row = graph.facts.row(1, named=True)
    assert (row["source"], row["licence"]) == ("DisGeNET", "ODbL 1.0")


@pytest.mark.data
def test_edges_of_ndfrt_all_lead_from_a_drug_to_a_disease(real_data: Path) -> None:
    graph = read_graph([real_data / "graphs" / "ndfrt_dda"], {"relation": "treats", "head_kind": "drug"})
    kinds = graph.entities["kind"].to_numpy()
    assert set(kinds[graph.triples[:, 0]]) == {"drug"}
    assert set(kinds[graph.triples[:, 2]]) == {"disease"}
    assert (len(graph.entities), len(graph)) == (13_545, 56_515)
