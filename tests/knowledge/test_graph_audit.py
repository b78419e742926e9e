"""Each check finds what was planted, by its rows, and nothing where nothing was planted."""

import numpy as np
import polars as pl
import pytest

from medeor.contracts import Finding
from medeor.knowledge.audit import audit_graph, relation_pairs
from medeor.knowledge.read.graph import Graph, assemble, read_graph
from medeor.simulate.knowledge import knowledge


def graph(rows: list[tuple[str, str, str]], parts: list[str] | None = None, **facts: list[str | None]) -> Graph:
    table = pl.DataFrame(rows, schema=["head", "relation", "tail"], orient="row")
    own = {"part": parts, **facts} if parts else facts
    return read_graph([table.with_columns(pl.Series(name, values) for name, values in own.items())])


def finding(of: Graph, check: str, parts: pl.Series | None = None) -> Finding:
    (found,) = (one for one in audit_graph(of, parts) if one.check == check)
    return found


def chain(relation: str, size: int, start: str = "x") -> list[tuple[str, str, str]]:
    return [(f"{start}{i}", relation, f"{start}{i + 1}") for i in range(size)]


def test_the_leaks_of_the_simulator_are_found_one_by_one() -> None:
    known = knowledge()
    made = assemble([known.tables])
    ids, names = made.entities["id"], made.relations["name"]
    found = finding(made, "implied-by-inverse")
    assert (found.kind, found.status) == ("quality", "fail")
    rows = made.triples[[int(case) for case in found.cases]]
    assert {(ids[h], names[r], ids[t]) for h, r, t in rows.tolist()} == set(known.leaked.rows())
    assert finding(assemble([knowledge(leaks=0).tables]), "implied-by-inverse").cases == ()


def test_relations_that_say_the_same_are_named_with_their_share() -> None:
    rows = chain("treats", 20)
    rows += [(tail, "treated_by", head) for head, _, tail in rows[:18]]
    rows += [(head, "helps", tail) for head, _, tail in chain("treats", 20)]
    pairs = chain("near", 10, "y")
    rows += [edge for head, _, tail in pairs for edge in ((head, "near", tail), (tail, "near", head))]
    made = graph(rows)
    names = made.relations["name"]
    table = relation_pairs(made)
    found = {(names[a], names[b], way): (x, y) for a, b, way, x, y in table.rows()}
    assert found[("treated_by", "treats", "inverse")] == (1.0, 0.9)
    assert found[("helps", "treats", "duplicate")] == (1.0, 1.0)
    assert found[("near", "near", "symmetric")] == (1.0, 1.0)
    # The copy of treats is as much an inverse of treated_by; each pair stands there both ways.
    assert len(found) == 2 + 2 + 2 + 1
    assert found[("helps", "treated_by", "inverse")] == (0.9, 1.0)
    said = {"inverse": "treated_by and treats", "duplicate": "helps and treats", "symmetric": "near 100%"}
    for way, words in said.items():
        assert words in str(finding(made, f"{way}-relations").message)


def test_symmetric_relations_leak_when_the_parts_tear_a_pair() -> None:
    pairs = chain("near", 40)
    rows = pairs + [(tail, relation, head) for head, relation, tail in pairs]
    # Of the 40 pairs, 4 are torn: one direction trains and the other is tested.
    made = graph(rows, ["train"] * 76 + ["test"] * 4)
    found = finding(made, "implied-by-inverse")
    assert found.cases == ("76", "77", "78", "79")
    assert "4 of 4 test" in str(found.message)
    assert found.status == "fail"


def test_a_small_relation_is_not_called_a_copy() -> None:
    rows = chain("treats", 3) + [(tail, "treated_by", head) for head, _, tail in chain("treats", 3)]
    assert relation_pairs(graph(rows)).height == 0


def test_edges_that_are_there_twice() -> None:
    rows = [("a", "r", "b"), ("a", "r", "b"), ("b", "r", "a"), ("c", "r", "d"), ("c", "r", "d"), ("a", "s", "b")]
    made = graph(rows, ["train", "train", "train", "train", "test", "train"])
    assert finding(made, "duplicate-edges").cases == ("1",)
    across = finding(made, "duplicate-edges-across-parts")
    assert (across.kind, across.status, across.cases) == ("leakage", "fail", ("4",))


def test_parts_of_a_split_stand_in_for_those_of_the_source() -> None:
    made = graph([("a", "r", "b"), ("a", "r", "b")])
    checks = {one.check for one in audit_graph(made)}
    assert "duplicate-edges-across-parts" not in checks
    assert finding(made, "duplicate-edges-across-parts", pl.Series(["train", "validation"])).cases == ("1",)


def test_entities_and_relations_that_are_never_trained() -> None:
    rows = [("a", "r", "b"), ("b", "r", "c"), ("a", "r", "z"), ("a", "s", "b")]
    made = graph(rows, ["train", "train", "test", "validation"])
    assert finding(made, "untrained-entities").cases == ("2", "3")


def test_loops_orphans_and_hubs() -> None:
    star = [("hub", "r", f"leaf{i}") for i in range(200)]
    made = graph([*star, ("leaf1", "r", "leaf1")])
    assert finding(made, "self-loops").cases == ("200",)
    hubs = finding(made, "hubs")
    assert hubs.status == "fail"
    assert "hub has 200" in str(hubs.message)
    lonely = assemble([knowledge().tables])
    degree = np.bincount(lonely.triples[:, [0, 2]].ravel(), minlength=len(lonely.entities))
    assert f"{(degree == 0).sum()} of {len(lonely.entities)}" in str(finding(lonely, "orphans").message)


def test_a_circle_in_a_hierarchy_is_shown() -> None:
    rows = [("a", "is_a", "b"), ("b", "is_a", "c"), ("c", "is_a", "a"), ("d", "is_a", "a"), ("c", "is_a", "top")]
    found = finding(graph(rows), "cyclic-hierarchy")
    assert found.status == "fail"
    assert "a → b → c → a" in str(found.message)
    assert found.cases == ("0", "1", "2")
    assert finding(graph(rows[1:]), "cyclic-hierarchy").status == "pass"


@pytest.mark.parametrize(
    ("licences", "status", "said"),
    [
        (["CC BY 4.0", "CC BY-NC 4.0"], "fail", "CC BY-NC 4.0 (1 edge) is non-commercial"),
        (["CC0", "CC BY-SA 4.0"], "fail", "share-alike"),
        (["ODbL 1.0", "CC BY-SA 4.0"], "fail", "each require the whole graph to be under that licence alone"),
        (["CC BY-NC-SA 4.0", "CC0"], "fail", "non-commercial, share-alike"),
        (["CC0", "CC BY 4.0"], "pass", "CC0 1"),
        (["CC0", None], "unknown", "1 edge has none"),
        ([None, None], "unknown", "no edge has a licence"),
    ],
)
def test_licences_that_do_not_go_together(licences: list[str | None], status: str, said: str) -> None:
    made = graph([("a", "r", "b"), ("b", "r", "c")], licence=licences)
    found = finding(made, "licences")
    assert found.status == status
    assert said in str(found.message)
    bound = [
        str(row) for row, name in enumerate(licences) if name and any(sign in name for sign in ("NC", "SA", "ODbL"))
    ]
    assert found.cases == (tuple(bound) if status == "fail" else ())


@pytest.mark.data
def test_umls_joins_most_of_its_held_out_pairs_in_training(real_data) -> None:
    made = read_graph([real_data / "graphs" / "umls"])
    part = made.facts["part"].cast(pl.String).to_list()
    train = {frozenset((h, t)) for (h, _, t), own in zip(made.triples.tolist(), part) if own == "train"}
    held = [frozenset((h, t)) in train for (h, _, t), own in zip(made.triples.tolist(), part) if own != "train"]
    assert f"{np.mean(held):.1%} of held-out edges" in str(finding(made, "implied-by-inverse").message)
