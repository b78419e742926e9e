"""What is done with predictions, those that are arrays on disk among them: joined over cases, averaged over models, and
kept with a run.

An array holds numbers that can be averaged, as `value` does: a restored volume, or the probability of each class in
each voxel. Which class a voxel belongs to, how large a lesion is: what is decided from an array is decided after the
members were averaged."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from medeor.contracts import BORDERLINE, IN_DOMAIN, OUT_OF_DOMAIN, Predictions, Run, UserError
from medeor.files import digest, private_folder, read_json, read_parquet, replacing, sha256, write_json, write_parquet

EMPTY = Predictions(pl.DataFrame(schema={"case_id": pl.String, "item": pl.String, "value": pl.Float64}))

ARRAYS = "arrays"
"""The folder below that of a run in which its arrays lie."""


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of several batches of cases as one."""
    if not parts:
        return EMPTY
    arrays = {case: path for part in parts for case, path in part.arrays.items()}
    return Predictions(pl.concat([part.table for part in parts], how="diagonal_relaxed"), arrays)


def averaged(parts: Sequence[Predictions], run: Run) -> Predictions:
    """What several models answer to the same cases: the mean of each value and of each array, and the mildest of their
    verdicts, as what one of them was trained on is known to all. The arrays are written below the run's folder."""
    every = pl.concat([part.table for part in parts])
    arrays = averaged_arrays(parts, run)
    mean = every.group_by("case_id", "item", maintain_order=True).agg(pl.col("value").mean())
    if "verdict" not in every.columns:
        return Predictions(mean, arrays)
    order = pl.col("verdict").replace_strict({IN_DOMAIN: 0, BORDERLINE: 1, OUT_OF_DOMAIN: 2}, default=None)
    mildest = every.select("case_id", "item", "verdict", "reason").sort(order, nulls_last=True, maintain_order=True)
    mildest = mildest.unique(["case_id", "item"], keep="first")
    return Predictions(mean.join(mildest, on=["case_id", "item"], how="left", maintain_order="left"), arrays)


# --- arrays ----------------------------------------------------------------------------------------------


def averaged_arrays(parts: Sequence[Predictions], run: Run) -> dict[str, Path]:
    """The mean of the arrays of each case over the parts that have one of it, written below the run's folder.

    Raises: TypeError where an array holds decisions (whole numbers, yes or no), which have no mean."""
    having = [part.arrays for part in parts if part.arrays]
    cases = dict.fromkeys(case for arrays in having for case in arrays)
    own = {case: [arrays[case] for arrays in having if case in arrays] for case in cases}
    return {case: write_array(run, case, _mean(paths)) for case, paths in own.items()}


@contextmanager
def scratch(run: Run) -> Iterator[Run]:
    """A run for the answers of the members of one model: the arrays that they write are gone when the block ends, and
    never take the place of those that a member held out in its own folder."""
    apart = run.child(f"members-{os.getpid()}")
    try:
        yield apart
    finally:
        shutil.rmtree(apart.folder, ignore_errors=True)


def write_array(run: Run, case_id: str, values: np.ndarray) -> Path:
    """Writes the array of one case below the run's folder, and returns where: for `Recipe.infer` and whoever else makes
    `Predictions.arrays`.

    Raises: TypeError where it holds decisions (whole numbers, yes or no), which have no mean."""
    if not np.issubdtype(values.dtype, np.floating):
        raise TypeError(f"an array of predictions holds values that can be averaged, not {values.dtype}")
    # An id may be no name of a file, or differ from another in capitals alone.
    name = f"{re.sub(r'[^A-Za-z0-9]+', '-', case_id)[:40]}-{digest(case_id)[:8]}.npy"
    path = run.folder / ARRAYS / name
    private_folder(path.parent)
    with replacing(path) as new:
        np.save(new, values, allow_pickle=False)
    return path


def _mean(paths: Iterable[Path]) -> np.ndarray:
    """Of arrays of one shape, in the type of the first; one at a time is in memory."""
    total, count, kind = np.zeros(()), 0, np.dtype(np.float32)
    for count, path in enumerate(paths, 1):
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        kind = kind if count > 1 else values.dtype
        total = total + values.astype(np.float64)
    return np.asarray(total / count, kind)


# --- with a run ------------------------------------------------------------------------------------------


def save_predictions(predictions: Predictions, path: Path) -> Predictions:
    """Writes predictions to a Parquet file, with an index of their arrays (see `save_arrays`), and returns them as
    `load_predictions` reads them. The file is there only when all that it needs is."""
    kept = replace(predictions, arrays=save_arrays(predictions.arrays, path))
    write_parquet(path, predictions.table)
    return kept


def load_predictions(path: Path) -> Predictions:
    """Reads what `save_predictions` wrote. Raises: UserError where it, or one of its arrays, is missing or damaged."""
    return Predictions(read_parquet(path, ["case_id", "item", "value"]), load_arrays(path))


def save_arrays(arrays: Mapping[str, Path], path: Path) -> dict[str, Path]:
    """Keeps arrays for the predictions at `path`: an index `NAME.arrays.json` with the place and SHA-256 of each. Those
    that lie below the same folder stay where they are; others are copied there. No index is written for none."""
    index = _index(path)
    index.unlink(missing_ok=True)
    kept = {case: _within(array, path) for case, array in arrays.items()}
    if kept:
        listed = {case: [one.relative_to(path.parent).as_posix(), sha256(one)] for case, one in kept.items()}
        write_json(index, listed)
    return kept


def load_arrays(path: Path) -> dict[str, Path]:
    """The arrays that were kept for the predictions at `path`, each compared with its SHA-256.

    Raises: UserError where one is missing or damaged."""
    index = _index(path)
    listed = read_json(index) if index.exists() else {}
    if not isinstance(listed, dict) or not all(_is_entry(one) for one in listed.values()):
        raise UserError("files.damaged.file", path=index)
    arrays = {case: path.parent / place for case, (place, _) in listed.items()}
    for case, array in arrays.items():
        if not array.is_file() or sha256(array) != listed[case][1]:
            raise UserError("learning.predictions.array", path=array)
    return arrays


def _index(path: Path) -> Path:
    return path.with_name(f"{path.stem}.arrays.json")


def _within(array: Path, path: Path) -> Path:
    """The array where it lies, if that is below the folder of `path`, else a copy that does."""
    if array.is_relative_to(path.parent):
        return array
    place = path.parent / f"{path.stem}.arrays" / array.name
    private_folder(place.parent)
    with replacing(place) as new:
        shutil.copyfile(array, new)
    return place


def _is_entry(one: object) -> bool:
    """Whether this is a place below the folder, and a digest."""
    if not (isinstance(one, list) and len(one) == 2 and all(isinstance(part, str) for part in one)):
        return False
    return not Path(one[0]).is_absolute() and ".." not in Path(one[0]).parts
