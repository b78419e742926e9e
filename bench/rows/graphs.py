"""Completion of graphs: scores, speeds beside PyKEEN, five million edges, and what a shown path is worth."""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import torch

from bench.rows.commands import known_path, medeor, program, trained
from bench.rows.molecules_speed import watched
from bench.speed import alternate, faster, ratio, spread
from bench.workload import Row, run_of
from medeor.api import query
from medeor.console import Console
from medeor.contracts import Cases, Measure, Predictions, Run, Study
from medeor.files import read_json, read_toml, replacing, write_parquet
from medeor.knowledge.evaluation import gains
from medeor.knowledge.model.baselines import GraphBaseline, mined
from medeor.knowledge.model.batches import batches_of
from medeor.knowledge.model.loss import graph_loss
from medeor.knowledge.model.network import Completer
from medeor.knowledge.model.processors import GraphProcessors
from medeor.knowledge.model.ranking import ranks
from medeor.knowledge.model.recipe import GraphRecipe
from medeor.knowledge.plan import Embedding, GraphPlan, GraphTraining
from medeor.knowledge.questions.answers import training_places
from medeor.knowledge.questions.paths import Adjacency, random_walks
from medeor.knowledge.read.cases import triples_of
from medeor.knowledge.read.graph import Graph
from medeor.knowledge.read.triples import both_ways
from medeor.learning.networks.fit import fit_network
from medeor.learning.networks.method import NetworkMethod, NetworkModel
from medeor.learning.networks.schedule import Schedule
from medeor.road.bundle import load
from medeor.road.walk import reading
from medeor.settings import build
from medeor.statistics.intervals import bootstrap
from medeor.statistics.scores import means

RELATIONS = 24


def scores(row: Row) -> dict[str, Measure]:
    """The test part, scored once."""
    folder = trained(row.data, row.seed, row.threads)
    metrics = read_json(folder / "metrics.json")["test"]
    wanted = ("mrr", "hits@1", "hits@10", "baseline/degree/mrr", "baseline/rules/mrr", "auroc", "ece")
    figures = {name: Measure(**metrics[name]) for name in wanted if name in metrics}
    return {**figures, "seconds": Measure(read_json(folder / "seconds.json")["seconds"])}


# --- popularity beside -----------------------------------------------------------------------------------


def paired(row: Row) -> dict[str, Measure]:
    """A run of each seed within some minutes, on its test part or out of fold, against popularity learnt from the same
    triples; divisions are pooled, and the interval draws whole groups: an entity that was held out, or a pair."""
    tables, ours, theirs = [], [], []
    for seed in map(int, row.workload.settings["seeds"].split()):
        run, cases = _divided(row, seed)
        degree = _by_degree(run, cases).table
        found = pl.read_parquet(run / "predictions.parquet").filter(pl.col("model") == "model")
        named = (pl.lit(f"{seed} ") + pl.col("case_id")).alias("case_id")
        tables.append(cases.table.join(found.select("case_id").unique(), on="case_id", how="semi").with_columns(named))
        ours.append(found.select(named, "item", "value"))
        theirs.append(degree.select(named, "item", "value"))
    every = replace(cases, table=pl.concat(tables))
    return gains(every, Predictions(pl.concat(ours)), Predictions(pl.concat(theirs)), "degree")


def _divided(row: Row, seed: int) -> tuple[Path, Cases]:
    """A finished run and its cases."""
    split = row.workload.settings["split"]
    run = row.place / str(seed)
    if not (run / "report.html").exists():
        minutes = row.workload.settings["minutes"]
        options = ("--split", split, "--set", f"minutes={minutes}", "--set", f"seed={seed}", "--out", run, "--quiet")
        medeor("train", row.data, *options, threads=row.threads)
    graph = Graph.open(run / "stores" / "graph")
    table = pl.read_parquet(run / "cases.parquet")
    return run, Cases(table, load(run).targets, {"graph": graph}, ("degree",))


def _by_degree(run: Path, cases: Cases) -> Predictions:
    """How often an entity answers a relation in training, of each fold or of the test part."""
    split = pl.read_parquet(run / "split.parquet")
    table = cases.table.join(split.select("case_id", "fold", parted="part"), on="case_id", how="left")
    tested = table.filter(pl.col("parted") == "test")
    # Without a test part every fold is tested by what the others teach.
    lots = [(table.filter(pl.col("parted") != "test"), tested)] if tested.height else [
        (table.filter(pl.col("fold") != fold), table.filter(pl.col("fold") == fold))
        for fold in sorted(table["fold"].drop_nulls().unique())
    ]  # fmt: skip
    parts = []
    for taught, asked in lots:
        if tested.height:
            taught = taught.filter(pl.col("parted") == "train")
        processors = GraphProcessors.of(replace(cases, table=taught))
        model = GraphBaseline(processors, mined(processors).clear(), "degree", 1 << 30)
        parts.append(model.predict(replace(cases, table=asked), Run(run)).table)
    return Predictions(pl.concat(parts))


# --- speed -----------------------------------------------------------------------------------------------


def speeds(row: Row) -> dict[str, Measure]:
    """Training and filtered evaluation of the same model, in turn with PyKEEN."""
    source, threads = str(_arrays(row)), str(row.threads)
    found = alternate(
        {
            "medeor": ("medeor_graphs", source, "train", threads),
            "PyKEEN": ("peer_pykeen", source, "train", threads),
            "limit": ("medeor_graphs", source, "train limit", threads),
        },
        row,
    )
    figures = {
        "trained ÷ PyKEEN": ratio(found["medeor"], found["PyKEEN"]),
        "trained ÷ limit": ratio(found["medeor"], found["limit"]),
        **{f"{side}, triples trained/s": spread(values) for side, values in found.items()},
    }
    found = alternate(
        {
            "medeor": ("medeor_graphs", source, "evaluate", threads),
            "limit": ("medeor_graphs", source, "evaluate limit", threads),
            **{f"PyKEEN {size}": ("peer_pykeen", source, f"evaluate {size}", threads) for size in (0, 256)},
        },
        row,
    )
    found["PyKEEN"] = faster(found.pop("PyKEEN 0"), found.pop("PyKEEN 256"))
    figures["evaluated ÷ PyKEEN"] = ratio(found["medeor"], found["PyKEEN"])
    figures["evaluated ÷ limit"] = ratio(found["medeor"], found["limit"])
    return figures | {f"{side}, triples evaluated/s": spread(values) for side, values in found.items()}


def _arrays(row: Row) -> Path:
    """The triples of a row as integers: `train` and `test`."""
    path = row.place / "triples.npz"
    if row.data == "simulated":
        triples = simulated(10_000, 20_000)
        train, test = triples[:-500], triples[-500:]
    else:
        graph, part = _official(row.data)
        train, test = graph.triples[part == "train"], graph.triples[part == "test"]
    with replacing(path) as new:
        np.savez(new, train=train, test=test)
    return path


def _official(data: str) -> tuple[Graph, np.ndarray]:
    asked = reading.read(reading.resolve(Study((data,))), Console(quiet=True))
    graph = asked.cases.store("graph", Graph)
    return graph, graph.facts["part"].cast(pl.String).to_numpy()


def simulated(entities: int, edges: int) -> np.ndarray:
    """Distinct triples without meaning, shape (edges, 3), int32, whose heads are as uneven as those of real graphs."""
    generator = np.random.default_rng(0)
    drawn = int(1.3 * edges)
    head = (generator.pareto(1.0, drawn) * 10).astype(np.int64) % entities
    columns = head, generator.integers(0, RELATIONS, drawn), generator.integers(0, entities, drawn)
    table = pl.DataFrame(dict(zip("hrt", columns))).unique(maintain_order=True).head(edges)
    assert table.height == edges
    return table.to_numpy().astype(np.int32)


# --- size ------------------------------------------------------------------------------------------------


class _Enough(Exception):
    """The stretch that is timed is over."""


def big(row: Row) -> dict[str, Measure]:
    """A timed stretch of the fit loop scaled to an epoch, and the ranking of 10,000 triples, in one process."""
    settings = row.workload.settings
    entities, edges = int(settings["entities"]), int(settings["edges"])
    triples = torch.from_numpy(simulated(entities, edges))
    names = tuple(map(str, range(entities))), tuple(map(str, range(RELATIONS)))
    processors = GraphProcessors(*names, triples, edges)
    embedding = Embedding(dimension=200, n3=0.001)
    training = GraphTraining("negatives", batch=8192, negatives=64)
    torch.set_num_threads(row.threads)
    batches = batches_of(triples, entities, RELATIONS, training, row.seed)
    network = Completer(processors, embedding, batches.chunk)
    schedule = Schedule(epochs=1, learning_rate=0.03, weight_decay=0.0, averaging=0.0, clip=0.0, checkpoint=1 << 30)
    times: list[float] = []

    def watch() -> bool:
        times.append(time.perf_counter())
        if times[-1] - times[0] > float(settings["seconds"]):
            raise _Enough
        return False

    try:
        with tempfile.TemporaryDirectory() as room:
            run = Run(Path(room), row.seed, row.threads, stopping=watch)
            fit_network(network, batches, lambda o, b: graph_loss(o, b, training, embedding.n3), schedule, run)
    except _Enough:
        pass
    step = (times[-1] - times[1]) / (len(times) - 2)
    network.eval()
    began = time.perf_counter()
    with torch.inference_mode():
        ranks(network.candidate_scorer(), both_ways(triples[:10_000], RELATIONS), network.known, 1 << 30)
    evaluated = time.perf_counter() - began
    return {
        "minutes an epoch": Measure(step * len(batches) / 60),
        "peak memory, GiB": Measure(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20),
        "minutes to evaluate 10,000 triples": Measure(evaluated / 60),
    }


def road(row: Row) -> dict[str, Measure]:
    """The command as a user gives it; the most memory that its processes held."""
    settings = row.workload.settings
    shutil.rmtree(row.place, ignore_errors=True)
    source = row.place / "edges.parquet"
    head, relation, tail = simulated(int(settings["entities"]), int(settings["edges"])).T
    told = {"head": head, "relation": relation, "tail": tail}
    words = [pl.lit(name[0]).add(pl.col(name).cast(pl.String)).alias(name) for name in told]
    write_parquet(source, pl.DataFrame(told).select(words))
    command = [program(), "train", str(source), "--set", "schedule.epochs=1", "--out", str(row.place / "run")]
    seconds, memory = watched([*command, "--quiet"], row.threads)
    return {"peak memory, GiB": Measure(memory / 2**30), "minutes": Measure(seconds / 60)}


# --- paths -----------------------------------------------------------------------------------------------


def paths(row: Row) -> dict[str, Measure]:
    """Every shown edge is looked up in the files of the source. Of some test triples the log-probability
    (mean of head and tail among all entities) with the whole fit, less that of a fit with the same seed to the triples
    without the first shown path, and without a random path as long from either end; paired, triples resampled."""
    settings = row.workload.settings
    run = trained(row.data, row.seed, row.threads)
    asked = reading.read(reading.resolve(Study((row.data,))), Console(quiet=True))
    graph = asked.cases.store("graph", Graph)
    test = asked.split.part(asked.cases.where(pl.col("holds") == 1), "test")
    generator = np.random.default_rng(row.seed)
    triples = generator.permutation(triples_of(test))[: int(settings["questions"])]
    source = _lines(known_path(row.data))
    stands: list[bool] = []
    chosen: list[tuple[np.ndarray, dict]] = []
    names, relations = graph.entities["id"], graph.relations["name"]
    for triple in triples:
        head, relation, tail = triple.tolist()
        where = {"head": names[head], "relation": relations[relation], "tail": names[tail]}
        told = query(run, where).table["paths"][0].to_list()
        stands += [(e["head"], e["relation"], e["tail"]) in source for path in told for e in path["edges"]]
        if told:
            chosen.append((triple, told[0]))
    chosen = chosen[: int(settings["refits"])]
    place = training_places(graph, _taught(asked, graph))
    adjacency = Adjacency.of(graph.triples, len(graph.entities), np.flatnonzero(place >= 0))
    whole = _refitted(row, asked, [])
    drops = []
    for triple, path in chosen:
        rows = [edge["row"] for edge in path["edges"]]
        itself = np.flatnonzero((graph.triples == triple).all(1))
        end = int(generator.choice(triple[[0, 2]]))
        random = random_walks(adjacency, end, len(rows), 1, itself, generator)[0]
        before = _said(whole, triple)
        without = [before - _said(_refitted(row, asked, list(gone)), triple) for gone in (rows, random)]
        drops.append((*without, path["drop"]))
    path, random, quick = np.array(drops).T
    units = np.arange(len(path))
    return {
        "share of shown edges in the source": Measure(float(np.mean(stands)), n=len(stands)),
        "drop, path less random path": bootstrap(means([path - random]), units),
        "drop without the path": bootstrap(means([path]), units),
        "drop without a random path": bootstrap(means([random]), units),
        "correlation of the shown drop with a new fit": Measure(float(np.corrcoef(quick, path)[0, 1]), n=len(path)),
    }


def _taught(asked: reading.Read, graph: Graph) -> np.ndarray:
    return triples_of(asked.split.part(asked.cases.where(pl.col("holds") == 1), "train"))


def _lines(folder: Path) -> set[tuple[str, ...]]:
    return {tuple(line.split("\t")) for part in folder.glob("*.txt") for line in part.read_text().splitlines()}


def _refitted(row: Row, asked: reading.Read, gone: Sequence[int]) -> Completer:
    """The default network fitted to the training triples without some rows of the graph."""
    plan = _plan(row.data, row.seed)
    kept = ~pl.col("case_id").is_in([str(number) for number in gone])
    method = NetworkMethod(GraphRecipe.of(plan), plan.schedule)
    with tempfile.TemporaryDirectory() as room:
        model = method.fit(asked.cases.where(kept), asked.split, {}, Run(Path(room), row.seed, row.threads)).model
    assert isinstance(model, NetworkModel)
    assert isinstance(model.network, Completer)
    return model.network.eval()


@cache
def _plan(data: str, seed: int) -> GraphPlan:
    path = run_of(data, seed) / "plan.toml"
    return build(GraphPlan, read_toml(path), str(path))


def _said(network: Completer, triple: np.ndarray) -> float:
    """Mean log-probability of the tail and of the head among all entities."""
    questions = both_ways(torch.from_numpy(triple[None].astype(np.int64)), network.relations)
    with torch.inference_mode():
        told = network.candidate_scorer()(questions[:, :2]).log_softmax(1)
    return float(told.gather(1, questions[:, 2:]).mean())
