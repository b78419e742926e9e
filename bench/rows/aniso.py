"""Volumes with thick slices and a small finding in one of them, by the road's default plan. All of it is simulated."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.machine import environment
from bench.rows.commands import program
from bench.workload import ROOT, Row
from medeor.contracts import Measure
from medeor.files import read_json, write_text

SHAPE, SPACING = (20, 320, 320), (3.5, 0.5, 0.5)
"""Slices, rows and columns; millimetres between them."""


def one_slice(row: Row) -> dict[str, Measure]:
    """AUROC on the test part, minutes by the clock and of the processors, and the highest memory of all processes."""
    facts = {name: float(value) for name, value in row.workload.settings.items()}
    shutil.rmtree(row.place, ignore_errors=True)
    images = row.place / "images"
    images.mkdir(parents=True)
    rows = ["image,lesion"]
    for number in range(int(facts["cases"])):
        write(images / f"{number:03}.nii", volume(row.seed, number, bool(number % 2), facts))
        rows.append(f"{number:03}.nii,{number % 2}")
    write_text(row.place / "labels.csv", "\n".join(rows) + "\n")
    arguments = [
        "train",
        images,
        "--labels",
        row.place / "labels.csv",
        "--target",
        "lesion",
        "--out",
        row.place / "run",
    ]
    variables = {**environment(row.threads), "MEDEOR_CACHE": str(row.place / "cache")}
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = subprocess.Popen([program(), *map(str, arguments), "--quiet"], cwd=ROOT, env=variables)
    peak = Peak(command.pid)
    if command.wait():
        raise RuntimeError(f"medeor train ended with {command.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    metrics = read_json(row.place / "run" / "metrics.json")["test"]
    shutil.rmtree(images)
    shutil.rmtree(row.place / "cache", ignore_errors=True)
    return {
        "auroc": Measure(**metrics["auroc"]),
        "baseline/auroc": Measure(**metrics["baseline/auroc"]),
        "minutes": Measure((time.perf_counter() - began) / 60),
        "processor minutes": Measure(busy / 60),
        "peak memory, GiB": Measure(peak.stop() / 2**30),
    }


def volume(seed: int, number: int, lesion: bool, facts: dict[str, float]) -> NDArray[np.int16]:
    """Smooth tissue (`smooth` mm, standard deviation `tissue`) under white noise (`grain`); a lesion is a disc 8 to
    12 mm across in one slice, brighter by `contrast` standard deviations of the two together."""
    from scipy import ndimage

    random = np.random.default_rng([seed, number])
    # Tissue is drawn on a coarse grid: two points for each width of its Gaussian.
    coarse = [round(side * apart / facts["smooth"] * 2) + 2 for side, apart in zip(SHAPE, SPACING)]
    tissue = ndimage.gaussian_filter(random.normal(size=(SHAPE[0], *coarse[1:])), (0.8, 2, 2))
    tissue = ndimage.zoom(tissue, (1, *(side / few for side, few in zip(SHAPE[1:], coarse[1:]))), order=1)
    voxels = tissue * facts["tissue"] / tissue.std() + random.normal(0, facts["grain"], SHAPE)
    radius, slice_number = random.uniform(4, 6), random.integers(1, SHAPE[0] - 1)
    centre = [random.uniform(12, side * apart - 12) for side, apart in zip(SHAPE[1:], SPACING[1:])]
    if lesion:
        rows, columns = (np.arange(side) * apart - at for side, apart, at in zip(SHAPE[1:], SPACING[1:], centre))
        disc = rows[:, None] ** 2 + columns**2 < radius**2
        voxels[slice_number] += facts["contrast"] * np.hypot(facts["tissue"], facts["grain"]) * disc
    return np.round(1000 + 100 * voxels).astype(np.int16)


def write(path: Path, voxels: NDArray[np.int16]) -> None:
    """As NIfTI, its axes from left to right, to the front and upwards."""
    import nibabel

    image = nibabel.Nifti1Image(voxels.transpose(2, 1, 0), np.diag([*SPACING[::-1], 1.0]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


class Peak:
    """Watches a process and those that it started, and keeps the most memory that they held together; what they
    share counts once (proportional set sizes; Linux alone)."""

    def __init__(self, process: int) -> None:
        self.process, self.highest, self.done = process, 0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def stop(self) -> int:
        """Bytes."""
        self.done.set()
        self.thread.join()
        return self.highest

    def _watch(self) -> None:
        while not self.done.wait(1.0):
            self.highest = max(self.highest, sum(map(_held, _family(self.process))))


def _family(process: int) -> list[int]:
    """A process and all below it."""
    try:
        threads = os.listdir(f"/proc/{process}/task")
        below = " ".join(Path(f"/proc/{process}/task/{one}/children").read_text() for one in threads).split()
    except OSError:
        return []
    return [process, *(found for child in below for found in _family(int(child)))]


def _held(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
