"""The truth that a simulated graph claims is true of it."""

from pathlib import Path

import polars as pl
import pytest

from medeor.contracts import UserError
from medeor.simulate import is_simulated
from medeor.simulate.knowledge import KnownGraph, knowledge, large_graph, write_graph


@pytest.fixture(scope="module")
def known() -> KnownGraph:
    return knowledge(seed=3)


def pairs(known: KnownGraph, relation: str) -> set[tuple[str, str]]:
    return set(known.tables.edges.filter(pl.col("relation") == relation).select("head", "tail").rows())


def test_treats_is_what_inhibits_and_causes_imply(known: KnownGraph) -> None:
    causes = pairs(known, "causes")
    implied = {(drug, disease) for drug, gene in pairs(known, "inhibits") for other, disease in causes if gene == other}
    assert set(known.implied.select("head", "tail").rows()) == implied
    assert implied < pairs(known, "treats")
    for drug, _, disease, gene in known.implied.rows():
        assert (drug, gene) in pairs(known, "inhibits")
        assert (gene, disease) in causes


def test_leaks_are_held_out_and_their_inverse_trains(known: KnownGraph) -> None:
    edges = known.tables.edges
    held = edges.filter((pl.col("part") != "train") & (pl.col("relation") == "treats"))
    assert len(held) == pytest.approx(len(pairs(known, "treats")) / 5, abs=1)
    assert len(known.leaked) == round(0.2 * len(held))
    asked = set(held.select("head", "relation", "tail").rows())
    back = set(edges.filter(pl.col("part") == "train").select("head", "relation", "tail").rows())
    for head, relation, tail in asked:
        assert ((tail, "treated_by", head) in back) == ((head, relation, tail) in set(known.leaked.rows()))


def test_the_hub_is_inhibited_most_and_causes_nothing(known: KnownGraph) -> None:
    inhibited = [gene for _, gene in pairs(known, "inhibits")]
    assert max(set(inhibited), key=inhibited.count) == known.hub
    assert known.hub not in {gene for gene, _ in pairs(known, "causes")}


def test_everything_has_a_name_in_two_languages(known: KnownGraph) -> None:
    languages = known.tables.synonyms.group_by("id").agg(pl.col("language").sort())
    assert languages["language"].to_list() == [["en", "zh"]] * known.tables.nodes.height


def test_the_seed_decides() -> None:
    assert knowledge(seed=1).tables.edges.equals(knowledge(seed=1).tables.edges)
    assert not knowledge(seed=1).tables.edges.equals(knowledge(seed=2).tables.edges)
    with pytest.raises(UserError, match="at least 5"):
        knowledge(compounds=2)


def test_a_folder_says_that_it_is_simulated(known: KnownGraph, tmp_path: Path) -> None:
    assert is_simulated(write_graph(known, tmp_path / "g"))


def test_a_large_graph_has_the_edges_asked_for() -> None:
    edges = large_graph(100_000, 2000, 7, seed=5).edges
    assert edges.height == 100_000
    assert edges.unique().height == 100_000
    assert (edges["relation"].n_unique(), edges["head"].n_unique() <= 2000) == (7, True)
    degree = edges["head"].value_counts()["count"].sort(descending=True)
    assert degree[:20].sum() > 5 * 100_000 * 20 / 2000
    assert edges.select((pl.col("head").cast(pl.String) == pl.col("tail").cast(pl.String)).sum()).item() == 0
    with pytest.raises(UserError, match="do not allow 1,000 distinct edges"):
        large_graph(1000, 10, 1)
