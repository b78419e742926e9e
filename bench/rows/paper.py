"""The recipe of the MedMNIST paper beside medeor: fitted by the peers, then compared on the same test cases."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from bench.machine import environment, peers
from bench.rows.commands import known_path, trained
from bench.workload import ROOT, WORK, Row
from medeor.contracts import Cases, Measure, Predictions
from medeor.files import read_json
from medeor.road.finished import results
from medeor.statistics.intervals import Resampled, average, difference, interval, p_value
from medeor.statistics.outcomes import group_codes
from medeor.targets import of
from medeor.targets.outcomes import lined_up
from medeor.trust import families
from medeor.trust.compare import compare
from medeor.trust.families import estimators

FIGURES = ("auroc", "accuracy")


def place(data: str, seed: int) -> Path:
    """What one fit of the paper's recipe leaves: a checkpoint every epoch, in the end `predictions.npz`."""
    return WORK / "paper" / f"{data}-{seed}"


def fit(row: Row) -> dict[str, Measure]:
    """Goes on where an interrupted fit was; a hundred epochs of ResNet-18."""
    folder = place(row.data, row.seed)
    epochs = row.workload.settings.get("epochs", "100")
    subprocess.run(
        [peers(), "-m", "bench.sides.peer_paper", str(known_path(row.data)), str(row.seed), epochs, str(folder)],
        check=True,
        cwd=ROOT,
        env=environment(row.threads),
    )
    kept = np.load(folder / "predictions.npz")
    return {name: Measure(float(kept[name])) for name in ("auroc", "accuracy", "seconds")}


def paired(row: Row) -> dict[str, Measure]:
    """Differences over all seeds that both have, ours less theirs. Each seed is compared on the same cases, and all
    seeds on the same bootstrap samples, so that the interval of their mean is one over cases."""
    seeds = [seed for seed in range(100) if (place(row.data, seed) / "predictions.npz").exists()]
    runs = [trained(row.data, seed, row.threads) for seed in seeds]
    cases, _ = results(runs[0])
    ours = [results(run)[1] for run in runs]
    theirs = [predictions(cases, place(row.data, seed)) for seed in seeds]
    figures = mean_differences(cases, ours, theirs)
    for seed, one, other in zip(seeds, ours, theirs):
        for found in compare(cases, one, other, metrics=FIGURES):
            value = Measure(found.difference, found.low, found.high, found.n)
            figures[f"difference of {found.metric}, seed {seed}"] = value
    times = [read_json(run / "seconds.json")["seconds"] for run in runs]
    waited = [float(np.load(place(row.data, seed) / "predictions.npz")["seconds"]) for seed in seeds]
    shares = [2 * one / other for one, other in zip(times, waited)]
    figures["time ÷ paper's"] = Measure(float(np.mean(shares)), min(shares), max(shares), len(shares))
    return figures


def mean_differences(cases: Cases, ours: Sequence[Predictions], theirs: Sequence[Predictions]) -> dict[str, Measure]:
    """The mean over pairs of predictions of ours less theirs, with its 95 % interval and, as `p of …`, the p-value."""
    sides = {
        (side, number): estimators(lined_up(cases, one)[0], wanted=FIGURES)
        for side, every in (("ours", ours), ("theirs", theirs))
        for number, one in enumerate(every)
    }
    found = families.figures(sides, cases.targets, group_codes(cases)[1], resamples=2000, seed=0)

    def mean(side: str, name: str) -> Resampled:
        return average([found[side, number][name] for number in range(len(ours))])

    figures = {}
    for name in FIGURES:
        gap = difference(mean("ours", name), mean("theirs", name))
        figures[f"difference of {name}"] = interval(gap)
        figures[f"p of {name}"] = Measure(p_value(gap))
    return figures


def predictions(cases: Cases, folder: Path) -> Predictions:
    """The test predictions of the paper's recipe. The archive and the case table list test cases in one order, which
    is checked by their labels.

    Raises: ValueError where the labels differ."""
    kept = np.load(folder / "predictions.npz")
    target = cases.targets[0]
    named = kept["classes_positive"] == 1
    truth = cases.table[target.name].to_numpy() == 1
    if len(truth) != len(named) or not (np.array_equal(truth, named) or np.array_equal(truth, ~named)):
        raise ValueError(f"{folder}: the test cases stand in another order than in the case table")
    # The catalogue may count the other class as the positive one.
    value = kept["probability"] if np.array_equal(truth, named) else 1 - kept["probability"]
    table = pl.DataFrame({"case_id": cases.ids, "item": of(target).items[0], "value": value, "chosen": value >= 0.5})
    return Predictions(table)
