"""A graph that leaks between its parts is repaired into triples that train again."""

from __future__ import annotations

import xml.dom.minidom
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import medeor
from medeor.contracts import UserError
from medeor.knowledge.draw import export, picture
from medeor.knowledge.read.graph import Graph, read_graph
from tiny import medeor as command

TRAIN = [(f"d{i}", "t", f"x{i % 5}") for i in range(60)]


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """Two test and two validation triples that are in training too, one of them twice."""
    parts = {
        "train": [*TRAIN, TRAIN[0]],
        "valid": [("d1", "t", "x1"), ("d3", "t", "x4")],
        "test": [("d2", "t", "x2"), ("d0", "t", "x3"), ("d5", "t", "x0")],
    }
    place = tmp_path / "graph"
    place.mkdir()
    for name, rows in parts.items():
        (place / f"{name}.txt").write_text("".join("\t".join(row) + "\n" for row in rows))
    return place


def test_a_repaired_graph_trains(leaking: Path, tmp_path: Path) -> None:
    medeor.audit(leaking, clean=tmp_path / "clean.csv")
    settings = {"embedding.dimension": "8", "schedule.epochs": "1"}
    with pytest.raises(UserError, match="duplicate-edges-across-parts"):
        medeor.train(leaking, out=tmp_path / "leaking", settings=settings)
    trained = medeor.train(tmp_path / "clean.csv", out=tmp_path / "run", task="graph-completion", settings=settings)
    answers = trained.query({"head": "d1", "relation": "t", "top": "2"}).table
    assert answers.height == 2


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_repaired_graph_passes_the_audit_and_keeps_its_parts(leaking: Path, tmp_path: Path, ending: str) -> None:
    before = {finding.check: finding for finding in medeor.audit(leaking)}
    assert before["duplicate-edges-across-parts"].stops
    said = command("audit", leaking, "--clean", tmp_path / f"clean{ending}")
    # The audit of what was given still fails.
    assert said.code == 1
    assert "62 of 66 rows stay" in said.err
    reading = medeor.read(tmp_path / f"clean{ending}")
    after = {finding.check: finding.status for finding in reading.findings}
    assert after["duplicate-edges-across-parts"] == after["duplicate-edges"] == "pass"
    graph = reading.cases.store("graph", Graph)
    ids = graph.entities["id"].to_list()
    held = {(ids[h], ids[t]): part for (h, _, t), part in zip(graph.triples.tolist(), graph.facts["part"])}
    assert held[("d2", "x2")] == held[("d5", "x0")] == held[("d0", "x3")] == "test"
    assert held[("d1", "x1")] == held[("d3", "x4")] == "validation"
    # Of 60 training triples three are also held out; a fourth line repeats one of training.
    assert len(graph) == 60 - 3 + 2 + 3
    assert sum(part == "train" for part in held.values()) == 57


def test_a_graph_without_parts_is_repaired_too(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text(
        "head,relation,tail,head_name,dose\n" + "".join(f"{h},{r},{t},the {h},5\n" for h, r, t in [*TRAIN, *TRAIN[:3]])
    )
    medeor.audit(tmp_path / "g.csv", clean=tmp_path / "clean.csv")
    table = pl.read_csv(tmp_path / "clean.csv")
    assert table.select("head", "relation", "tail").rows() == TRAIN
    assert table["head_name"].to_list() == [f"the {head}" for head, _, _ in TRAIN]
    assert table["dose"].unique().to_list() == [5]
    assert "part" not in table.columns


# --- what is written for others --------------------------------------------------------------------------

_ODD = st.text(st.sampled_from("ab\"<>&'\x07\x0b\x1b\t\n\r\ufffe,;#=é"), min_size=1, max_size=10).filter(
    lambda text: bool(text.strip())
)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(_ODD, _ODD, _ODD), min_size=2, max_size=6), fact=_ODD)
def test_odd_names_leave_xml_well_formed(
    rows: list[tuple[str, str, str]], fact: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place, fact = tmp_path_factory.mktemp("x"), " ".join(fact.splitlines())
    table = pl.DataFrame(rows, schema=["head", "relation", "tail"], orient="row")
    graph = read_graph([table.with_columns(pl.Series(f"{fact} fact", [f"{fact}{i}" for i in range(len(rows))]))])
    export(graph, place / "g.graphml")
    document = xml.dom.minidom.parse(str(place / "g.graphml"))
    names = [key.getAttribute("attr.name") for key in document.getElementsByTagName("key")]
    assert len(names) == len(set(names)) >= 5
    assert len(document.getElementsByTagName("edge")) == len(rows)
    keys = {key.getAttribute("id") for key in document.getElementsByTagName("key")}
    assert {data.getAttribute("key") for data in document.getElementsByTagName("data")} <= keys
    drawn = picture(graph, np.arange(len(graph)), "").svg
    assert not xml.dom.minidom.parseString(drawn).getElementsByTagName("script")
    export(graph, place / "g.tsv")
    again = read_graph([place / "g.tsv"])
    assert again.entities.rows() == graph.entities.rows()
    assert (again.triples == graph.triples).all()


def test_a_broken_line_is_named_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "g.tsv").write_text("a\tr\tb\na\tr\n")
    with pytest.raises(UserError, match="line 2"):
        medeor.audit(tmp_path / "g.tsv", task="graph-completion", clean=tmp_path / "clean.csv")
    assert not (tmp_path / "clean.csv").exists()
