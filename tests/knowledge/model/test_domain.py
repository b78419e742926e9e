"""An answer about something that training never had says so, in every output."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import medeor
from medeor.contracts import BORDERLINE, IN_DOMAIN, OUT_OF_DOMAIN, Message
from medeor.knowledge.model.domain import TripleDomain
from tiny import medeor as command

HEADER = "head,relation,tail,head_kind,tail_kind,part"
TRAIN = [(f"d{i}", "treats", f"x{(i + j) % 8}") for i in range(12) for j in range(3)]
TRAIN += [(f"d{i}", "inhibits", f"g{i % 4}") for i in range(12)]
TRAIN += [("rare", "treats", "x1")]
HELD = [("d0", "treats", "x5"), ("d3", "treats", "x0"), ("new", "treats", "x1"), ("d3", "cures", "x1")]
VALIDATION = [("d1", "treats", "x6"), ("d2", "treats", "x7")]
KINDS = {"d": "Drug", "n": "Drug", "r": "Drug", "x": "Disease", "g": "Gene"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("domain")
    rows = [
        ",".join((head, relation, tail, KINDS[head[0]], KINDS[tail[0]], part))
        for part, triples in (("train", TRAIN), ("validation", VALIDATION), ("test", HELD))
        for head, relation, tail in triples
    ]
    (place / "g.csv").write_text("\n".join((HEADER, *rows)) + "\n")
    settings = {"embedding.dimension": "8", "schedule.epochs": "2"}
    medeor.train(place / "g.csv", out=place / "run", settings=settings)
    return place / "run"


ASKED = {
    ("d0", "treats", "x7"): (IN_DOMAIN, None),
    ("new", "treats", "x1"): (OUT_OF_DOMAIN, "no training triple has the entity new"),
    ("d0", "treats", "new"): (OUT_OF_DOMAIN, "no training triple has the entity new"),
    ("d3", "cures", "x1"): (OUT_OF_DOMAIN, "no training triple has the relation cures"),
    ("rare", "treats", "x3"): (BORDERLINE, "only 1 training triple has the entity rare"),
    ("d0", "treats", "g1"): (BORDERLINE, "treats never has a tail of the kind Gene"),
    ("g1", "inhibits", "g2"): (BORDERLINE, "inhibits never has a head of the kind Gene"),
}
"""Triples, and what counting the training triples by hand says of them: d0 has four, x7 five, g1 three, rare one."""


@pytest.mark.parametrize("bundle", [False, True])
def test_predicted_triples_carry_a_verdict_and_its_reason(run: Path, bundle: bool) -> None:
    asked = pl.DataFrame(list(ASKED), schema=["head", "relation", "tail"], orient="row")
    table = medeor.predict(run / "run.medeor" if bundle else run, asked).filter(item="holds")
    assert table["verdict"].to_list() == [verdict for verdict, _ in ASKED.values()]
    for said, (_, reason) in zip(table["reason"], ASKED.values()):
        assert said is None if reason is None else reason in said
    out = table.filter(verdict=OUT_OF_DOMAIN)
    assert out["chosen"].null_count() == len(out)
    assert table.filter(verdict=IN_DOMAIN)["chosen"].null_count() == 0


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2), st.integers(0, 7)), min_size=1, max_size=30, unique=True),
    st.lists(st.integers(-1, 2), min_size=8, max_size=8),
)
def test_verdicts_are_those_counted_by_hand(taught: list[tuple[int, int, int]], kinds: list[int]) -> None:
    asked = [(head, relation, tail) for head in range(8) for relation in range(3) for tail in range(8)]
    domain = TripleDomain.of(np.array(taught), 8, 3, np.array(kinds))
    words = pl.DataFrame([(f"e{h}", f"r{r}", f"e{t}", "k", "k") for h, r, t in asked], orient="row",
                         schema=["head", "relation", "tail", "head_kind", "tail_kind"])  # fmt: skip
    found = domain.verdicts(np.array(asked), words)["verdict"]
    for (head, relation, tail), verdict in zip(asked, found, strict=True):
        ends = [sum((h == one) + (t == one) for h, _, t in taught) for one in (head, tail)]
        uses = sum(r == relation for _, r, _ in taught)
        heads = {kinds[h] for h, r, _ in taught if r == relation}
        tails = {kinds[t] for _, r, t in taught if r == relation}
        fit = (kinds[head] < 0 or kinds[head] in heads) and (kinds[tail] < 0 or kinds[tail] in tails)
        least = min(*ends, uses)
        expected = OUT_OF_DOMAIN if least == 0 else IN_DOMAIN if least >= 3 and fit else BORDERLINE
        assert verdict == expected


def test_a_question_about_an_entity_without_training_triples_says_so(run: Path, tmp_path: Path) -> None:
    question = {"head": "new", "relation": "treats", "top": "3"}
    table = medeor.query(run, question).table
    assert table["verdict"].to_list() == [OUT_OF_DOMAIN] * 3
    assert table["chosen"].null_count() == 3
    where = [word for key, value in question.items() for word in ("--query", f"{key}={value}")]
    shown = command("predict", run, *where).out
    assert "out of domain" in shown
    assert "no training triple has" in " ".join(shown.split())
    told = json.loads(command("predict", run, *where, "--json").out)
    assert {row["verdict"] for row in told} == {OUT_OF_DOMAIN}
    assert all("the entity new" in row["reason"] for row in told)
    medeor.query(run, question, out=tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert "out of domain" in page
    assert "no training triple has the entity new" in page


def test_only_a_margin_is_explained(run: Path) -> None:
    answers = medeor.query(run, {"head": "d0", "relation": "treats", "kind": "Disease"})
    assert set(answers.table["verdict"]) == {IN_DOMAIN}
    assert answers.figures[0].columns[-1] == Message("knowledge.answers.verdict")
    assert set(medeor.query(run, {"head": "d0", "relation": "treats", "kind": "Gene"}).table["verdict"]) == {BORDERLINE}


def test_evaluation_says_how_many_triples_are_unlike_training(run: Path, tmp_path: Path) -> None:
    (tmp_path / "e.tsv").write_text("d5\ttreats\tx1\nnew\ttreats\tx2\nnew\ttreats\tx3\n")
    said = command("evaluate", run, tmp_path / "e.tsv").err
    assert "are out of domain" in said
    kept = pl.read_parquet(run / "predictions.parquet").filter(item="holds", model="model")
    assert kept["verdict"].null_count() == 0
    assert kept.filter(pl.col("case_id").is_in([str(len(TRAIN) + len(VALIDATION) + 2)]))["verdict"][0] == OUT_OF_DOMAIN


def test_several_folds_give_the_mildest_verdict_of_their_members(tmp_path: Path) -> None:
    rows = [(f"n{i}", "r", f"n{(i + step) % 9}") for i in range(9) for step in (1, 2, 4)]
    table = pl.DataFrame([*rows, ("n0", "r", "once")], schema=["head", "relation", "tail"], orient="row")
    settings = {"embedding.dimension": "4", "schedule.epochs": "1"}
    medeor.train(table, out=tmp_path / "run", split="cv", task="graph-completion", settings=settings)
    asked = table[[0, -1]].select("head", "relation", "tail")
    found = medeor.predict(tmp_path / "run", asked).filter(item="holds")
    assert found["verdict"].to_list() == [IN_DOMAIN, BORDERLINE]
