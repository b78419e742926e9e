"""What tests of the road share: the command line in this process, tiny simulated sources, and plans that are fitted in
a moment."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import polars as pl

from medeor import simulate
from medeor.cli import app
from medeor.contracts import Cases, Sources, Study
from medeor.files import write_toml
from medeor.imaging.model.augment import Augmentation
from medeor.imaging.model.prepare import Preparation
from medeor.imaging.plan import ImageNetwork, ImagePlan
from medeor.imaging.read.cases import read_cases
from medeor.learning.networks.schedule import Schedule
from medeor.settings import with_settings

SIDE = 12
WITH_TIME = ("run.json", "report.html", "card.md", "metrics.json")
"""Files of a run that say when it was made, or to which later verbs add."""


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """What was said to the user of what went wrong, line by line."""
        return [line for line in self.err.splitlines() if line.startswith("medeor: ")]


def medeor(*arguments: object) -> Said:
    """`medeor ARGUMENTS` in this process; what no user should see passes through."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    line = mock.patch.object(sys, "argv", ["medeor", *map(str, arguments)])
    with line, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app.main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def process(
    *arguments: object, program: tuple[str, ...] = ("-m", "medeor"), errors: int = subprocess.PIPE, **settings: str
) -> subprocess.Popen[str]:
    """The same as a process of its own, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **settings}
    command = [sys.executable, *program, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, start_new_session=True
    )


def plan_at(folder: Path, size: tuple[int, ...] = (SIDE, SIDE), channels: int = 1, **settings: object) -> Path:
    """Puts a tiny plan into a run folder, where `train` obeys it, and returns the folder."""
    plan = ImagePlan(
        Preparation(size, channels, "range"),
        ImageNetwork("small-cnn", widths=(4, 4)),
        Augmentation(flips=(0.0,) * (len(size) - 1) + (0.5,)),
        schedule=Schedule(epochs=2, learning_rate=0.01, averaging=0.9),
        parts=("network",),
        members="single",
    )
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
    write_toml(folder / "plan.toml", with_settings(plan, texts, "test"))
    return folder


def hospital(folder: Path, form: str = "png", patients: int = 40, **asked: Any) -> Path:
    """A simulated hospital on disk; with `form` png, dicom or npz flat images, with nifti volumes."""
    kind, size = ("ct", (8, 8, 8)) if form == "nifti" else ("xray", (SIDE, SIDE))
    asked = {"seed": 1, "images_per_patient": (1, 2), "prevalence": 0.5, "difficulty": 0.2, **asked}
    return simulate.write(simulate.hospital(patients, kind=kind, size=size, **asked), folder, form)  # type: ignore[arg-type]


def labelled(folder: Path) -> tuple[object, ...]:
    """The flags by which a hospital is studied."""
    labels = ("--labels", folder / "labels.csv", "--target", "lesion", "--group", "patient_id", "--split", "part")
    return folder / "images", *labels


def cases_of(images: np.ndarray, answers: pl.DataFrame | np.ndarray | None = None, **study: Any) -> Cases:
    """Cases in memory, as a study of these arrays reads them."""
    given = (images,) if answers is None else (images, answers)
    return read_cases(Sources(given, {}, answers is not None), Study(given, **study))


def strays(folder: Path) -> list[Path]:
    """What a clean end never leaves: hidden, temporary or empty files."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    bad = (".tmp", ".new", ".part", ".unfinished")
    return [*folder.rglob(".*"), *(path for path in found if path.suffix in bad or not path.stat().st_size)]


def bits(folder: Path, but: tuple[str, ...] = WITH_TIME) -> dict[str, bytes]:
    """The content of every file of a run that does not say when it was made, those of its bundle among them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in but)
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.suffix != ".medeor"}
    for path in folder.glob("*.medeor"):
        with zipfile.ZipFile(path) as bundle:
            names = [name for name in bundle.namelist() if name not in (*but, "manifest.json")]
            found |= {f"bundle/{name}": bundle.read(name) for name in names}
    return found
