"""Properties of molecules beside chemprop, boosted trees and a forest: every side is given the same standardised
molecules in the same parts, and leaves its predictions of the test part for paired comparison."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from bench.machine import environment, peers
from bench.rows.commands import known_path, program
from bench.workload import ROOT, WORK, Row
from medeor import api
from medeor.contracts import Cases, Measure, Predictions, Run, Sources, Split
from medeor.files import read_json, replacing, write_json
from medeor.molecules.read.cases import read_cases
from medeor.registry import load_model
from medeor.road.finished import results
from medeor.road.walk import reading
from medeor.statistics.split import split_cases
from medeor.targets import of
from medeor.trust.measures import measure

HELD_OUT = 0.1
"""The share of the training part by which chemprop chooses its best epoch, as by its own defaults."""


def place(data: str, seed: int) -> Path:
    """What the sides leave of one set and seed: a folder for each."""
    return WORK / "molecules" / f"{data}-{seed}"


@cache
def divided(data: str, seed: int, way: str = "scaffold") -> tuple[Cases, Split]:
    """The usable cases of a known set and its parts, as `medeor train DATA --split scaffold --set seed=SEED` has
    them."""
    asked = reading.resolve(api.asked(data, split=way, seed=seed))
    cases = read_cases(Sources((known_path(data),), {}), asked).usable
    return cases, split_cases(cases, asked)


def tested(data: str, seed: int) -> Cases:
    cases, split = divided(data, seed)
    return split.part(cases, "test")


def written(data: str, seed: int) -> Path:
    """The cases as the peers read them: `case_id, smiles, split` and the targets, empty where not known."""
    path = place(data, seed) / "cases.csv"
    if not path.exists():
        cases, split = divided(data, seed)
        table = cases.table.join(split.table.select("case_id", pl.col("part").alias("split")), on="case_id", how="left")
        drawn = np.random.default_rng(seed).random(table.height) < HELD_OUT
        parts = pl.when((pl.col("split") == "train") & pl.Series(drawn)).then(pl.lit("val")).otherwise(pl.col("split"))
        table = table.select("case_id", "smiles", parts.alias("split"), *(target.name for target in cases.targets))
        with replacing(path) as new:
            table.write_csv(new)
    return path


def chemprop(row: Row) -> dict[str, Measure]:
    """Chemprop with its defaults: one network of 300 units and depth 3, 50 epochs, the best of them by validation."""
    folder = place(row.data, row.seed) / "chemprop"
    cases = tested(row.data, row.seed)
    names = [target.name for target in cases.targets]
    kind = "regression" if cases.targets[0].kind == "continuous" else "classification"
    if not (folder / "predictions.csv").exists():
        source = written(row.data, row.seed)
        program = Path(peers("chemprop")).with_name("chemprop")
        options = (
            "--smiles-columns", "smiles", "--splits-column", "split", "--task-type", kind, "--accelerator", "cpu",
            "--num-workers", "0", "--pytorch-seed", str(row.seed), "--data-seed", str(row.seed), "--remove-checkpoints",
        )  # fmt: skip
        command = [str(program), "train", "-q", "--data-path", str(source), "--output-dir", str(folder), *options]
        seconds = processor_seconds([*command, "--target-columns", *names], row.threads)
        write_json(folder / "seconds.json", {"seconds": seconds})
        said = pl.read_csv(folder / "model_0" / "test_predictions.csv")
        if said["smiles"].to_list() != cases.table["smiles"].to_list():
            raise ValueError(f"{folder}: the test molecules stand in another order than in the case table")
        with replacing(folder / "predictions.csv") as new:
            said.select(cases.table["case_id"], *names).write_csv(new)
    return scored(row, "chemprop")


def fingerprints(row: Row) -> dict[str, Measure]:
    """Boosted trees and a forest of 500 trees on ECFP4 counts in 2,048 places."""
    figures: dict[str, Measure] = {}
    for side in ("lightgbm", "forest"):
        folder = place(row.data, row.seed) / side
        if not (folder / "predictions.csv").exists():
            fit_fingerprints(written(row.data, row.seed), folder, side, row)
        figures |= {f"{side} {name}": figure for name, figure in scored(row, side).items()}
    return figures


def fit_fingerprints(source: Path, folder: Path, model: str, row: Row) -> None:
    """Leaves the predictions of the test rows of a table of cases, and the processor seconds of the fit."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "predictions.csv") as new:
        command = ("bench.sides.peer_fingerprints", str(source), str(new), model, str(row.seed))
        seconds = processor_seconds([peers("chemprop"), "-m", *command], row.threads)
    write_json(folder / "seconds.json", {"seconds": seconds})


OURS: dict[str, tuple[str, ...]] = {
    "medeor": ("--split", "scaffold"),
    "medeor-random": ("--split", "random"),
    "medeor-cv": ("--split", "cv"),
}
"""What `medeor train` is told beside the data, by the name of a side."""
PARTS = {"network": "network/fold-0", "networks": "network", "trees": "trees"}
"""Where a default run keeps what it stacks: one network, which four fifths of the training part have taught, five of
them together, and boosted trees."""


def trained(data: str, seed: int, side: str, threads: int) -> Path:
    """The run of one of our sides, with its processor seconds beside it. One that was interrupted is begun anew, so
    that its time is that of one go."""
    folder = place(data, seed) / side
    if not predicted(folder):
        shutil.rmtree(folder, ignore_errors=True)
        told = ("--set", f"seed={seed}", "--out", str(folder / "run"), "--quiet")
        seconds = processor_seconds([program(), "train", data, *OURS[side], *told], threads)
        write_json(folder / "seconds.json", {"seconds": seconds})
    return folder / "run"


def ours(row: Row) -> dict[str, Measure]:
    """`medeor train DATA --split scaffold`; what its parts would have scored alone; its own baseline."""
    run = trained(row.data, row.seed, "medeor", row.threads)
    cases = tested(row.data, row.seed)
    for side, part in PARTS.items():
        folder = place(row.data, row.seed) / side
        if not predicted(folder):
            items = {of(target).items[0]: target.name for target in cases.targets}
            (found,) = (run / "model").rglob(f"{part}/model.json")
            long = load_model(found.parent).predict(cases, Run(folder / "run of the part")).table
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(folder / "predictions.csv") as new:
                long.pivot("item", index="case_id", values="value").rename(items).write_csv(new)
            write_json(folder / "seconds.json", {"seconds": None})
    name = figure_of(cases)
    measures = read_json(run / "metrics.json")["test"]
    others = {key: Measure(**measures[key]) for key in (f"baseline/{name}", "coverage") if key in measures}
    alone = {f"{side} alone, {name}": scored(row, side)[name] for side in PARTS}
    return {**scored(row, "medeor"), **alone, **others}


def scored(row: Row, side: str) -> dict[str, Measure]:
    """AUROC (the mean over endpoints) or the root mean squared error of one side, and what it took."""
    folder = place(row.data, row.seed) / side
    cases = tested(row.data, row.seed)
    name = figure_of(cases)
    found = measure(cases, predictions(cases, folder))[name]
    return {name: found, "processor seconds": Measure(read_json(folder / "seconds.json")["seconds"])}


def figure_of(cases: Cases) -> str:
    return "rmse" if cases.targets[0].kind == "continuous" else "auroc"


def predicted(folder: Path) -> bool:
    """Whether a side has finished."""
    return (folder / "seconds.json").exists()


def predictions(cases: Cases, folder: Path) -> Predictions:
    """What a side predicted of these cases."""
    if (folder / "run").exists():
        table = results(folder / "run")[1].table
        return Predictions(table.filter(pl.col("case_id").is_in(cases.ids)))
    wide = pl.read_csv(folder / "predictions.csv", schema_overrides={"case_id": pl.String})
    items = {target.name: of(target).items[0] for target in cases.targets}
    long = wide.rename(items).unpivot(index="case_id", variable_name="item", value_name="value")
    return Predictions(long)


def processor_seconds(command: Sequence[str], threads: int) -> float:
    """Runs a command and returns the processor seconds of all its processes, which other work on the machine changes
    little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, cwd=ROOT, env=environment(threads), stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
