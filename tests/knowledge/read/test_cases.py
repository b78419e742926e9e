"""Triples as cases: how they are divided, and which false ones stand beside them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import medeor
from knowledge import wheel
from medeor.contracts import Cases, Sources, Study, UserError
from medeor.knowledge.read.cases import read_cases, triples_of, true_triples
from medeor.knowledge.read.graph import Graph
from medeor.statistics.split import split_cases


def _cases(source: object, **study: object) -> Cases:
    return read_cases(Sources((source,), {}), Study(**study))


def _edges(rows: list[tuple[int, int, int]], **kinds: str) -> pl.DataFrame:
    columns = zip(*rows, strict=True)
    named = {name: [f"{name[0]}{value}" for value in column] for name, column in zip(("x", "r", "y"), columns)}
    frame = pl.DataFrame({"head": named["x"], "relation": named["r"], "tail": named["y"]})
    return frame.with_columns(pl.lit(kind).alias(name) for name, kind in kinds.items())


def _words(cases: Cases) -> set[tuple[str, str, str]]:
    graph = cases.store("graph", Graph)
    names, relations = graph.entities["id"].to_list(), graph.relations["name"].to_list()
    return {(names[head], relations[relation], names[tail]) for head, relation, tail in triples_of(cases).tolist()}


rows_of_a_graph = some.lists(
    some.tuples(some.integers(0, 9), some.integers(0, 2), some.integers(0, 9)), min_size=60, max_size=90, unique=True
)


@settings(max_examples=25)
@given(rows_of_a_graph, some.integers(0, 5))
def test_every_entity_and_relation_has_a_training_triple_and_no_pair_is_torn(rows, seed):
    cases = _cases(_edges(rows), seed=seed)
    true = cases.table.filter(pl.col("holds") == 1)
    assert set(true["part"]) == {"train", "validation", "test"}
    taught, every = true_triples(cases.where(pl.col("part") == "train")), true_triples(cases)
    assert set(taught[:, [0, 2]].ravel()) == set(every[:, [0, 2]].ravel())
    assert set(taught[:, 1]) == set(every[:, 1])
    pairs: dict[frozenset, set] = {}
    for (head, _, tail), part in zip(every.tolist(), true["part"], strict=True):
        pairs.setdefault(frozenset((head, tail)), set()).add(part)
    assert all(len(parts) == 1 for parts in pairs.values())


@settings(max_examples=25)
@given(rows_of_a_graph, some.integers(0, 5))
def test_a_false_triple_is_in_no_part_and_changes_one_end_within_the_kind(rows, seed):
    cases = _cases(_edges(rows), seed=seed)
    table, known = cases.table, set(map(tuple, true_triples(cases).tolist()))
    taught = true_triples(cases.where(pl.col("part") == "train"))
    fit = {(side, relation): set(taught[taught[:, 1] == relation, side]) for side in (0, 2) for relation in range(3)}
    by_id = {row["case_id"]: row for row in table.iter_rows(named=True)}
    for row in table.filter(pl.col("holds") == 0).iter_rows(named=True):
        false, true = tuple(row["triple"]), by_id[row["case_id"].removesuffix("-false")]
        assert false not in known
        changed = [place for place in range(3) if false[place] != true["triple"][place]]
        assert changed in ([0], [2])
        assert false[changed[0]] in fit[changed[0], false[1]]
        assert (row["part"], row["group"]) == (true["part"], true["group"])


def test_official_parts_are_kept(tmp_path):
    cases = _cases(wheel.write(tmp_path))
    for file, part in (("train", "train"), ("valid", "validation"), ("test", "test")):
        lines = (tmp_path / f"{file}.txt").read_text().splitlines()
        found = _words(cases.where((pl.col("part") == part) & (pl.col("holds") == 1)))
        assert found == {tuple(line.split("\t")) for line in lines}


def _drugs_and_diseases() -> pl.DataFrame:
    generator = np.random.default_rng(0)
    rows = [(drug, 0, 100 + disease) for drug in range(20) for disease in generator.permutation(30)[:9].tolist()]
    return _edges(rows, head_kind="Drug", tail_kind="Disease")


def test_a_cold_split_holds_whole_entities_out():
    cases = _cases(_drugs_and_diseases(), split="cold:disease")
    split = split_cases(cases, Study(split="cold:disease"))
    diseases = {part: set(triples_of(split.part(cases, part))[:, 2]) for part in ("train", "validation", "test")}
    true = split.part(cases.where(pl.col("holds") == 1), "test")
    assert len(set(true_triples(true)[:, 2])) == 3
    assert not diseases["train"] & set(true_triples(true)[:, 2])
    assert not diseases["train"] & diseases["validation"]
    # What is asked is which known drug a new disease needs: a false triple keeps the new disease.
    assert diseases["test"] == set(true_triples(true)[:, 2])
    groups = cases.table.join(split.table, on="case_id").group_by("group").agg(pl.col("part").n_unique())
    assert groups["part"].max() == 1


def test_a_cold_split_by_an_unknown_kind_names_the_kinds():
    with pytest.raises(UserError, match="kinds: Disease, Drug"):
        _cases(_drugs_and_diseases(), split="cold:gene")


def test_folds_keep_both_directions_of_a_pair_together():
    rows = [(a, 0, b) for a in range(12) for b in range(a)] + [(b, 1, a) for a in range(12) for b in range(a)]
    cases = _cases(_edges(rows), split="cv")
    split = split_cases(cases, Study(split="cv"))
    assert split.folds == 5
    joined = cases.table.join(split.table, on="case_id").with_columns(
        pair=pl.Series([str(sorted((row[0], row[2]))) for row in triples_of(cases).tolist()])
    )
    assert joined.filter(pl.col("holds") == 1).group_by("pair").agg(pl.col("fold").n_unique())["fold"].max() == 1


def test_degrees_count_training_triples_of_the_rarer_entity():
    rows = [(0, 0, tail) for tail in range(1, 60)] + [(tail, 0, tail + 1) for tail in range(1, 30)]
    cases = _cases(_edges(rows).with_columns(part=pl.lit("train")))
    of = {tuple(row["triple"]): row["degree"] for row in cases.table.iter_rows(named=True)}
    names = cases.store("graph", Graph).entities["id"].to_list()
    place = {name: number for number, name in enumerate(names)}
    assert of[place["x0"], 0, place["y59"]] == "1 to 3"


def test_a_graph_without_a_spare_triple_is_audited_and_not_fitted(tmp_path):
    edges = _edges([(i, 0, 100 + i) for i in range(30)])
    cases = _cases(edges)
    assert set(cases.table["part"]) == {"train"}
    assert "nothing-held-out" in {finding.check for finding in cases.store("graph", Graph).findings}
    assert "nothing-held-out" in {finding.check for finding in medeor.audit(edges, task="graph-completion")}
    with pytest.raises(UserError, match="none can be held out"):
        medeor.train(edges, task="graph-completion", out=tmp_path / "run")


def _ontology(parents: dict[int, int]) -> str:
    terms = [f"[Term]\nid: X:{child:04}\nis_a: X:{parent:04}\n" for child, parent in parents.items()]
    return "\n".join(["format-version: 1.2\n", *terms])


@pytest.mark.parametrize("seed", range(3))
def test_a_tree_of_terms_is_divided_and_every_term_learnt(tmp_path, seed):
    """A term at a leaf stands once in the file: its edge is one to learn from, and edges between others are not."""
    generator = np.random.default_rng(seed)
    parents = {child: int(generator.integers(child)) for child in range(1, 300)}
    (tmp_path / "tree.obo").write_text(_ontology(parents) + "\n[Term]\nid: X:0000\n")
    cases = _cases(tmp_path / "tree.obo", seed=seed)
    true = cases.table.filter(pl.col("holds") == 1)
    count = dict(true["part"].value_counts().iter_rows())
    assert count["test"] == count["validation"] == 30
    taught = true_triples(cases.where(pl.col("part") == "train"))
    assert set(taught[:, [0, 2]].ravel()) == set(range(300))


@pytest.mark.parametrize("size", [2, 3, 6])
def test_a_small_ontology_that_runs_in_a_circle_is_named_by_the_audit(tmp_path, size):
    (tmp_path / "circle.obo").write_text(_ontology({term: (term + 1) % size for term in range(size)}))
    findings = {finding.check: finding for finding in medeor.audit(tmp_path / "circle.obo", task="graph-completion")}
    assert findings["cyclic-hierarchy"].status == "fail"
    assert "has a cycle: X:0000 → X:0001" in str(findings["cyclic-hierarchy"].message)


def test_cases_to_predict_know_no_part_and_say_what_was_asked(tmp_path):
    file = tmp_path / "new.tsv"
    file.write_text("n00\tone\tn05\nn01\topposite\tn02\n")
    cases = read_cases(Sources((file,), {}, labelled=False), Study())
    assert cases.table["source"].to_list() == ["n00 | one | n05", "n01 | opposite | n02"]
    assert not {"holds", "part"} & set(cases.table.columns)
