"""The road of a graph completion, from files of triples to answers, and what is said of bad input."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import medeor
from knowledge import wheel
from medeor.contracts import Sources, Study, UserError
from medeor.files import read_json
from medeor.formats.graphs.facts import OPTIONS
from medeor.knowledge.read.cases import triples_of
from medeor.registry import TASKS
from medeor.road.bundle import load
from medeor.road.walk.walk import walk
from tiny import medeor as command

SETTINGS = {"embedding.dimension": "32", "schedule.epochs": "60", "embedding.n3": "0.001", "training.batch": "32"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run over the wheel, by the command line."""
    room = tmp_path_factory.mktemp("graph")
    wheel.write(room / "wheel")
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    said = command("train", room / "wheel", "--task", "graph-completion", *settings, "--out", room / "run")
    assert said.code == 0, said.err
    return room / "run"


def test_the_wheel_is_completed_far_better_than_by_popularity(run):
    measures = read_json(run / "metrics.json")["test"]
    # With 16 entities and about 14 candidates a guess reaches (1 + 1/2 + ... + 1/14) / 14 = 0.23.
    assert measures["mrr"]["value"] > 0.6
    assert measures["baseline/degree/mrr"]["value"] < 0.4
    assert measures["baseline/rules/mrr"]["value"] == measures["baseline/mrr"]["value"]
    assert measures["mrr"]["n"] == 8
    degree = measures["baseline/degree/mrr"]
    assert degree["low"] < degree["value"] < degree["high"]


def test_figures_are_means_of_the_ranks_that_were_kept(run):
    table = pl.read_parquet(run / "predictions.parquet").filter(pl.col("model") == "model")
    true = pl.read_parquet(run / "cases.parquet").filter(pl.col("holds") == 1).select("case_id")
    ranks = table.filter(pl.col("item").is_in(["rank/tail", "rank/head"])).join(true, on="case_id", how="semi")
    values = ranks["value"].to_numpy()
    measures = read_json(run / "metrics.json")["test"]
    assert len(values) == 16
    assert measures["mrr"]["value"] == pytest.approx(np.mean(1 / values))
    assert measures["hits@3"]["value"] == pytest.approx(np.mean(values <= 3))
    assert measures["mean_rank"]["value"] == pytest.approx(values.mean())


def test_predict_says_of_a_triple_what_the_evaluation_said(run, tmp_path):
    kept = pl.read_parquet(run / "predictions.parquet").filter(pl.col("model") == "model")
    cases = pl.read_parquet(run / "cases.parquet").filter((pl.col("part") == "test") & (pl.col("holds") == 1))
    file = tmp_path / "asked.tsv"
    file.write_text("\n".join(wheel.named(cases["triple"].to_numpy()[::-1])) + "\n")
    for trained in (run, run / "run.medeor"):
        said = command("predict", trained, file, "--out", tmp_path / "answers.csv")
        assert said.code == 0, said.err
        answers = pl.read_csv(tmp_path / "answers.csv", schema_overrides={"case_id": pl.String})
        for number, case_id in enumerate(reversed(cases["case_id"].to_list())):
            own = dict(kept.filter(pl.col("case_id") == case_id).select("item", "value").iter_rows())
            found = dict(answers.filter(pl.col("case_id") == str(number)).select("item", "value").iter_rows())
            assert found == pytest.approx(own)
    assert answers["source"][0].count(" | ") == 2


def test_true_triples_are_more_probable_than_false_ones(run):
    measures = read_json(run / "metrics.json")["test"]
    assert measures["auroc"]["value"] > 0.8
    values = pl.read_parquet(run / "predictions.parquet").filter(pl.col("item") == "holds")["value"]
    assert values.is_between(0, 1).all()


def test_the_report_shows_both_baselines(run):
    page = (run / "report.html").read_text()
    assert "Ranks of true triples" in page
    assert "degree" in page
    assert "rules" in page


def test_a_bundle_says_that_the_graph_is_inside(run):
    with zipfile.ZipFile(run / "run.medeor") as archive:
        assert json.loads(archive.read("manifest.json"))["training cases inside"] is True


def test_without_a_test_part_every_triple_is_ranked_out_of_fold(tmp_path):
    lines = "\n".join(wheel.named(wheel.triples())) + "\n"
    (tmp_path / "wheel.tsv").write_text(lines)
    settings = {**SETTINGS, "schedule.epochs": "3"}
    study = Study((str(tmp_path / "wheel.tsv"),), "graph-completion", split="cv", settings=settings)
    walk(study, tmp_path / "run")
    measures = read_json(tmp_path / "run" / "metrics.json")["cv"]
    assert measures["mrr"]["n"] == measures["baseline/mrr"]["n"]
    ranked = pl.read_parquet(tmp_path / "run" / "predictions.parquet").filter(
        (pl.col("model") == "model") & (pl.col("item") == "rank/tail") & ~pl.col("case_id").str.contains("false")
    )
    assert ranked.height == len(wheel.triples())


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["n00\tone\tmars"], "unknown to the model: the entity 'mars'; it knows 16 entities"),
        (["n00\torbits\tn01"], "unknown to the model: the relation 'orbits'; it knows 4 relations"),
        (["n00\topposite\tn08"] * 3 + ["n00\tone"], "2 columns where there should be 3; correct that line"),
    ],
)
def test_a_question_that_cannot_be_understood_is_refused(run, tmp_path, lines, said):
    file = tmp_path / "asked.tsv"
    file.write_text("\n".join(lines) + "\n")
    answer = command("predict", run, file, "--out", tmp_path / "out.csv")
    assert answer.code == 2
    assert len(answer.complaints) == 1
    assert said in answer.complaints[0]
    assert not (tmp_path / "out.csv").exists()


def test_a_triple_of_unknown_names_is_set_aside_and_the_rest_is_predicted(run, tmp_path):
    good, bad = ["n00\topposite\tn08", "n01\tone\tn02"], ["n00\tone\tmars", "venus\torbits\tn01"]
    (tmp_path / "good.tsv").write_text("\n".join(good) + "\n")
    (tmp_path / "all.tsv").write_text("\n".join([good[0], *bad, good[1]]) + "\n")
    for trained in (run, run / "run.medeor"):
        said = load(trained).predict(tmp_path / "all.tsv")
        alone = load(trained).predict(tmp_path / "good.tsv")
        usable = said.filter(pl.col("broken").is_null())
        assert usable["value"].to_list() == pytest.approx(alone["value"].to_list())
        broken = said.filter(pl.col("broken").is_not_null())
        assert broken.select("source", "broken", "value").rows() == [
            ("n00 | one | mars", "unknown to the model: the entity 'mars'", None),
            ("venus | orbits | n01", "unknown to the model: the entity 'venus', the relation 'orbits'", None),
        ]


def test_other_data_are_scored_by_what_the_run_knows_and_not_divided(run):
    """The very test part, given as a file: the ranks are those of the run, and what is false stays false."""
    said = command("evaluate", run, run.parent / "wheel" / "test.txt", "--json")
    assert said.code == 0, said.err
    other, own = json.loads(said.out)["other"], read_json(run / "metrics.json")["test"]
    for name in ("mrr", "hits@3", "mean_rank", "mrr/tail", "typed mrr"):
        assert other[name]["value"] == pytest.approx(own[name]["value"])
    assert other["mrr"]["n"] == 8
    assert other["auroc"]["value"] > 0.8
    trained = load(run)
    cases = trained.task.read(Sources((run.parent / "wheel" / "test.txt",), {}, model=trained), Study())
    false = set(map(tuple, triples_of(cases.where(pl.col("holds") == 0)).tolist()))
    assert len(false) == 8
    assert not false & set(map(tuple, wheel.triples().tolist()))


def test_two_runs_are_compared_by_their_ranks(run):
    said = command("compare", run, run, "--json")
    assert said.code == 0, said.err
    rows = {row["metric"]: row for row in json.loads(said.out)}
    own = read_json(run / "metrics.json")["test"]
    for name in ("mrr", "hits@1", "hits@3", "hits@10"):
        assert rows[name]["ours"] == pytest.approx(own[name]["value"])
        assert (rows[name]["difference"], rows[name]["n"]) == (0, 8)


def test_what_taught_the_model_does_not_score_it(run, tmp_path):
    """One held-out triple beside all that were taught: it alone is scored, however few that is."""
    held = (run.parent / "wheel" / "test.txt").read_text().splitlines()[0]
    taught = (run.parent / "wheel" / "train.txt").read_text()
    (tmp_path / "other.tsv").write_text(f"{held}\n{taught}n00\tone\tmars\n")
    said = command("evaluate", run, tmp_path / "other.tsv", "--json")
    assert json.loads(said.out)["other"]["mrr"]["n"] == 1
    assert "49 of 51 cases are excluded" in said.err
    (tmp_path / "taught.tsv").write_text(taught)
    said = command("evaluate", run, tmp_path / "taught.tsv")
    assert said.code == 2
    assert "none of 48 triples can score this model" in said.complaints[0]


def test_a_test_entity_that_was_never_taught_is_found_by_the_audit(tmp_path):
    folder = wheel.write(tmp_path / "wheel")
    with (folder / "test.txt").open("a") as file:
        file.write("n00\tone\tn99\n")
    findings = {finding.check: finding for finding in medeor.audit(str(folder), task="graph-completion")}
    found = findings["untrained-entities"]
    assert found.status == "fail"
    assert re.match("[12] of", str(found.message))
    before = {f.check: f for f in medeor.audit(str(wheel.write(tmp_path / "whole")), task="graph-completion")}
    assert before["untrained-entities"].status == "pass"


def test_sources_that_a_mapping_joins_are_one_graph_from_the_first_step_to_the_last(tmp_path):
    """Half of the wheel calls its numbers otherwise: the run knows both names, and its bundle tells no path."""
    lines = np.random.default_rng(0).permutation(wheel.named(wheel.triples())).tolist()
    (tmp_path / "a.tsv").write_text("\n".join(lines[:32]) + "\n")
    (tmp_path / "b.tsv").write_text("\n".join(lines[32:]).replace("n", "m").replace("ome", "one") + "\n")
    (tmp_path / "map.csv").write_text("from,to\n" + "".join(f"m{i:02},n{i:02}\n" for i in range(16)))
    where = {"mapping": str(tmp_path / "map.csv")}
    sources = str(tmp_path / "a.tsv"), str(tmp_path / "b.tsv")
    trained = walk(
        Study(sources, "graph-completion", options=where, settings={**SETTINGS, "schedule.epochs": "3"}),
        tmp_path / "run",
    )
    cases = pl.read_parquet(tmp_path / "run" / "cases.parquet").filter(pl.col("holds") == 1)
    assert set(map(tuple, cases["triple"].to_list())) == set(map(tuple, wheel.triples().tolist()))
    for name in "mn":
        (tmp_path / f"{name}.tsv").write_text(f"{name}00\topposite\t{name}08\n{name}01\tone\t{name}02\n")
    values = [trained.predict(tmp_path / f"{name}.tsv")["value"].to_list() for name in "mn"]
    assert values[0] == values[1]
    with zipfile.ZipFile(tmp_path / "run" / "run.medeor") as archive:
        assert "map.csv" not in archive.read("study.toml").decode()


def test_a_setting_that_does_not_fit_the_scorer_is_refused(tmp_path):
    folder = wheel.write(tmp_path / "wheel")
    study = Study((str(folder),), "graph-completion", settings={"embedding.dimension": "7"})
    with pytest.raises(UserError, match="even dimension"):
        walk(study, tmp_path / "run")


def test_the_registry_asks_of_tables_what_their_readers_take():
    assert set(TASKS["graph-completion"].options) == set(OPTIONS)


@pytest.mark.data
@pytest.mark.slow
def test_umls_is_completed_as_well_as_the_best_that_was_published(tmp_path, real_data):
    walk(Study((str(real_data / "graphs" / "umls"),), "graph-completion"), tmp_path / "run")
    measures = read_json(tmp_path / "run" / "metrics.json")["test"]
    assert measures["mrr"]["value"] >= 0.955
    assert measures["hits@10"]["value"] >= 0.99
