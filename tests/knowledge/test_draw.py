"""What is exported is read back, by this house and by others; what is drawn is let into a report."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest

from medeor.contracts import UserError
from medeor.knowledge.draw import around, edges, export, picture
from medeor.knowledge.read.graph import Graph, assemble, read_graph
from medeor.report.pictures import drawing
from medeor.simulate.knowledge import knowledge


@pytest.fixture(scope="module")
def graph() -> Graph:
    return assemble([knowledge(20, 30, 15).tables])


@pytest.mark.parametrize("name", ["g.tsv", "g.tsv.gz"])
def test_triples_are_read_back_with_names_kinds_and_facts(graph: Graph, tmp_path: Path, name: str) -> None:
    export(graph, tmp_path / name)
    read = read_graph([tmp_path / name])
    assert edges(read).equals(edges(graph))


def test_graphml_opens_in_networkx(graph: Graph, tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    export(graph, tmp_path / "g.graphml")
    opened = networkx.read_graphml(tmp_path / "g.graphml", force_multigraph=True)
    ids = {node: data["id"] for node, data in opened.nodes(data=True)}
    assert sorted(ids.values()) == graph.entities["id"].to_list()
    triples = sorted((ids[start], data["relation"], ids[end]) for start, end, data in opened.edges(data=True))
    assert triples == sorted(edges(graph).select(pl.col("head", "relation", "tail").cast(pl.String)).rows())
    assert {data["licence"] for _, _, data in opened.edges(data=True)} == {"CC BY 4.0", "CC0 1.0"}


def test_graphml_bears_any_name(tmp_path: Path) -> None:
    odd = 'a <b> & "c" \x07 糖'
    export(read_graph([np.array([[odd, "r", "b"]])]), tmp_path / "g.graphml")
    root = ET.parse(tmp_path / "g.graphml").getroot()
    space = "{http://graphml.graphdrawing.org/xmlns}"
    said = [data.text for data in root.iter(f"{space}data") if data.get("key") == "node.id"]
    assert odd.replace("\x07", "") in said


def test_other_endings_are_refused(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"written to \.tsv or \.graphml"):
        export(graph, tmp_path / "g.json")


def test_a_neighbourhood_holds_the_rarest_of_an_entity(graph: Graph) -> None:
    degree = np.bincount(graph.triples[:, [0, 2]].ravel())
    hub = int(degree.argmax())
    rows = around(graph, hub, most=6)
    assert len(rows) == 6
    own = (graph.triples[:, [0, 2]] == hub).any(1)
    assert own[rows].all()
    other = graph.triples[:, [0, 2]].sum(1) - hub
    assert degree[other[rows]].max() <= degree[other[np.setdiff1d(np.flatnonzero(own), rows)]].min()


def test_a_picture_names_its_entities_and_is_let_into_a_report(graph: Graph) -> None:
    rows = around(graph, 5)
    made = picture(graph, rows, "Around one", marked=[5])
    assert made == picture(graph, rows, "Around one", marked=[5])
    page = drawing(made)
    for name in graph.entities["name"].gather(np.unique(graph.triples[rows][:, [0, 2]])):
        assert name in page
    root = ET.fromstring(made.svg)
    width, height = map(float, root.get("viewBox", "").split()[2:])
    circles = [one for one in root if one.tag.endswith("circle")]
    assert all(0 <= float(c.get("cx", "-1")) <= width and 0 <= float(c.get("cy", "-1")) <= height for c in circles)
    lines = {frozenset(pair) for pair in graph.triples[rows][:, [0, 2]].tolist() if pair[0] != pair[1]}
    assert sum(one.tag.endswith("line") for one in root) >= len(lines)


def test_a_thicket_is_not_drawn(graph: Graph) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        picture(graph, np.arange(len(graph)), "all")
