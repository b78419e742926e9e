"""medeor's properties of molecules set against each peer on the same test molecules, over several divisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from bench.rows.molecules import figure_of, place, predicted, predictions, tested
from bench.workload import Row
from medeor.contracts import Measure
from medeor.statistics.intervals import Resampled, average, difference, holm, interval, p_value, resample
from medeor.targets.outcomes import lined_up
from medeor.trust.families import estimators
from medeor.trust.measures import measure

SEEDS = (0, 1, 2)
SIDES = ("medeor", "chemprop", "lightgbm", "forest")


def paired(row: Row) -> dict[str, Measure]:
    """One side of ours against the peer that the row is named after, on the sets that both have predicted: the gain on
    each with its 95 % interval, and its p-value adjusted for their number. A gain is ours less theirs of AUROC, theirs
    less ours of RMSE."""
    ours = row.workload.settings.get("side", "medeor")
    sets = [data for data in row.workload.settings["sets"].split() if divisions(data, (ours, row.data))]
    gains = {data: gain(data, ours, row.data) for data in sets}
    adjusted = holm([p_value(one) for one in gains.values()])
    known = list(zip(gains.values(), adjusted))
    worse = [p is not None and p < 0.05 and one.value < 0 for one, p in known]
    better = [p is not None and p < 0.05 and one.value > 0 for one, p in known]
    figures = {
        "sets compared": Measure(float(len(sets))),
        "sets worse": Measure(float(sum(worse))),
        "sets better": Measure(float(sum(better))),
        "divisions a set": Measure(float(np.mean([len(divisions(data, (ours, row.data))) for data in sets]))),
    }
    for data, one, p in zip(gains, gains.values(), adjusted):
        figures |= {f"gain on {data}": interval(one), f"adjusted p on {data}": Measure(p)}
    return figures


def divisions(data: str, sides: Sequence[str]) -> list[int]:
    """The seeds whose test part all these sides have predicted."""
    return [seed for seed in SEEDS if all(predicted(place(data, seed) / side) for side in sides)]


def gain(data: str, ours: str, theirs: str) -> Resampled:
    """The mean gain over the divisions that both have predicted. One bootstrap draws molecules for all divisions at
    once, as one molecule may be tested in several.

    Raises: FileNotFoundError where there is none."""
    seeds = divisions(data, (ours, theirs))
    if not seeds:
        raise FileNotFoundError(f"{data} has not been predicted by both {ours} and {theirs}")
    cases = {seed: tested(data, seed) for seed in seeds}
    molecules = np.unique(np.concatenate([one.table["content"].to_numpy().astype(str) for one in cases.values()]))
    name = figure_of(cases[seeds[0]])
    parts = []
    for seed, one in cases.items():
        codes = np.searchsorted(molecules, one.table["content"].to_numpy().astype(str))
        for side in (ours, theirs):
            for answer in lined_up(one, predictions(one, place(data, seed) / side)):
                answer = replace(answer, groups=codes[answer.rows])
                for part in estimators(answer, wanted=(name,)):
                    title = f"{side} {seed} {answer.target.name} "
                    parts.append(replace(part, names=tuple(title + figure for figure in part.names)))
    found = resample(parts, len(molecules), resamples=2000)

    def mean(side: str) -> Resampled:
        return average([average(_of(found, f"{side} {seed} ", f" {name}")) for seed in seeds])

    return difference(mean(theirs), mean(ours)) if name == "rmse" else difference(mean(ours), mean(theirs))


def _of(found: Mapping[str, Resampled], start: str, end: str) -> list[Resampled]:
    return [figure for name, figure in found.items() if name.startswith(start) and name.endswith(end)]


def ranks(row: Row) -> dict[str, Measure]:
    """The mean over the sets that every side has predicted of each side's rank, by its mean over the divisions that
    all have; of equals the mean rank."""
    table = []
    for data in row.workload.settings["sets"].split():
        if seeds := divisions(data, SIDES):
            table.append([np.mean([_value(data, seed, side) for seed in seeds]) for side in SIDES])
    if not table:
        raise FileNotFoundError(f"no set has been predicted by all of {', '.join(SIDES)}")
    ranked = np.array([pl.Series(values).rank("average").to_numpy() for values in table])
    means = dict(zip(SIDES, ranked.mean(axis=0).tolist()))
    first = 1.0 + sum(other < means["medeor"] for other in means.values())
    figures = {f"mean rank, {name}": Measure(mean) for name, mean in means.items()}
    return {"sets compared": Measure(float(len(table))), "place by mean rank": Measure(first), **figures}


def _value(data: str, seed: int, side: str) -> float:
    """The less the better."""
    cases = tested(data, seed)
    name = figure_of(cases)
    value = measure(cases, predictions(cases, place(data, seed) / side), resamples=0)[name].value
    assert value is not None
    return value if name == "rmse" else -value
