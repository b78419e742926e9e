"""A million cases divided, digested and measured, and the near duplicates among 100,000 images: seconds and memory."""

from __future__ import annotations

import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import polars as pl

from bench.workload import Row
from medeor.contracts import Cases, Measure, Predictions, Study, Target
from medeor.imaging.near_duplicates import describer, near_duplicates
from medeor.road.walk.reading import cases_digest
from medeor.statistics.split import split_cases
from medeor.targets.outcomes import strata
from medeor.trust.measures import measure

CASES, IMAGES, COPIES = 1_000_000, 100_000, 1000


def measured(row: Row) -> dict[str, Measure]:
    """`seconds` of the work and `GiB` of memory at most, its data included, of a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        figures = pool.submit({"cases": _cases, "images": _images}[row.data], row.seed).result()
    return {name: Measure(value) for name, value in figures.items()}


def _cases(seed: int) -> dict[str, float]:
    """Nine columns, eight cases of ten in a group of several; figures of all and of two columns of subgroups."""
    generator = np.random.default_rng(seed)
    group = generator.integers(0, CASES * 8 // 10, CASES)
    log_odds = 1.2 * generator.normal(size=CASES)[group] + 0.5 * generator.normal(size=CASES) - 2
    chance = 1 / (1 + np.exp(-0.8 * log_odds - 0.5 * generator.normal(size=CASES)))
    names = {"sex": ("female", "male"), "site": ("a", "b", "c", "d")}
    text = {name: np.array(words)[generator.integers(0, len(words), CASES)] for name, words in names.items()}
    numbers = {name: generator.normal(size=CASES) for name in ("age", "pressure", "glucose", "sodium")}
    sick = (generator.random(CASES) < 1 / (1 + np.exp(-log_odds))).astype(int)
    ids = pl.Series("case_id", generator.permutation(CASES)).cast(pl.String)
    table = pl.DataFrame({"case_id": ids, "group": group, **text, **numbers, "sick": sick})
    cases = Cases(
        table.with_columns(pl.col("group").cast(pl.String)),
        (Target("sick", "binary", ("no", "yes")),),
        subgroups=tuple(names),
        features=tuple(numbers),
    )
    answers = {"case_id": ids, "item": ["yes"] * CASES, "value": chance, "raw": chance**1.1, "chosen": chance > 0.3}
    predictions = Predictions(pl.DataFrame(answers))
    began = time.perf_counter()
    split_cases(cases, Study((), seed=seed), strata(cases))
    cases_digest(cases)
    measure(cases, predictions)
    return _spent(began)


def _images(seed: int) -> dict[str, float]:
    """Thumbnails, smooth as pictures are, some of them mirrored and brighter copies of others."""
    from scipy.ndimage import zoom

    generator = np.random.default_rng(seed)
    small = np.concatenate(
        [zoom(generator.normal(size=(100, 12, 12)), (1, 32 / 12, 32 / 12)) for _ in range(IMAGES // 100)]
    )
    small = small.astype(np.float32)
    small[-COPIES:] = 1.2 * small[:COPIES, :, ::-1] + 0.1 * generator.normal(size=(COPIES, 32, 32))
    content, own = np.arange(IMAGES) + 1, np.arange(IMAGES)
    began = time.perf_counter()
    pairs = set(near_duplicates(small, small, content, content, describer(small), own))
    found = sum((IMAGES - COPIES + row, row) in pairs for row in range(COPIES))
    return {**_spent(began), "share of copies found": found / COPIES}


def _spent(began: float) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": time.perf_counter() - began, "GiB": peak / 2**20}
