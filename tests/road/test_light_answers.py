"""One answer imports only what the model needs, and leaves nothing behind."""

from __future__ import annotations

import gc
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import medeor
import tiny

OLD = Path(__file__).parents[1] / "old"
ALWAYS = (
    "lightning_fabric", "lightning_utilities", "torch._dynamo", "torch._inductor", "torch.onnx._internal",
    "torch.fx.experimental.symbolic_shapes", "sympy", "sklearn", "lightgbm", "pandas", "pyarrow", "scipy.optimize",
    "scipy.sparse", "scipy.stats", "scipy.ndimage", "medeor.simulate", "medeor.report", "medeor.road.walk",
)  # fmt: skip
"""What only fits, audits and reports need."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    for room in ("images", "molecules", "graphs"):
        with tarfile.open(OLD / f"{room}.tar.xz") as archive:
            archive.extractall(folder / room, filter="data")
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of all parts that a table may have."""
    folder = tmp_path_factory.mktemp("table")
    age, grave = np.random.default_rng(0).normal((60, 0), (10, 8), (80, 2)).round(1).T
    pl.DataFrame({"age": age, "sex": ["F", "M"] * 40, "sick": age + grave > 60}).write_csv(folder / "table.csv")
    quick = ("schedule.epochs=2", "network.width=8", "network.members=2", "trees.rounds=5")
    settings = [word for one in quick for word in ("--set", one)]
    said = tiny.medeor("train", folder / "table.csv", "--target", "sick", *settings, "--out", folder / "run")
    assert said.code == 0, said.err
    return folder / "run" / "run.medeor"


def imported(*arguments: object) -> list[str]:
    """Which of `ALWAYS` are there when `medeor ARGUMENTS` ends, in a process of its own."""
    code = (
        f"import sys\nfrom medeor.cli.app import main\nmain()\nprint([one for one in {ALWAYS} if one in sys.modules])"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return said.stdout.splitlines()[-1].strip("[]").replace("'", "").split(", ")


QUESTION = ("--query", "head=n00", "--query", "relation=one")


@pytest.mark.parametrize(
    ("bundle", "asked"),
    [
        ("images/runs/default/default.medeor", ["images/new/images/n1.png"]),
        ("images/runs/network/network.medeor", ["images/new/images/n1.png"]),
        ("images/runs/labels/labels.medeor", ["images/new/images/n1.png"]),
        ("images/runs/classes/classes.medeor", ["images/new/images/n1.png"]),
        ("molecules/runs/default/default.medeor", ["CCO"]),
        ("molecules/runs/attention/attention.medeor", ["CCO"]),
        ("molecules/runs/adapted/adapted.medeor", ["CCO"]),
        ("graphs/runs/complex/complex.medeor", QUESTION),
        ("graphs/runs/conve/conve.medeor", QUESTION),
        ("graphs/runs/folds/folds.medeor", QUESTION),
    ],
)
def test_an_answer_imports_no_training_stack(bundle: str, asked: Sequence[str], old: Path) -> None:
    places = [old / one if "/" in one else one for one in asked]
    assert imported("predict", old / bundle, *places) == [""]


def test_a_row_of_a_table_imports_no_training_stack(table: Path, tmp_path: Path) -> None:
    pl.DataFrame({"age": [61.0], "sex": ["F"]}).write_csv(tmp_path / "one.csv")
    assert imported("predict", table, tmp_path / "one.csv") == [""]


def test_what_a_bundle_unpacks_goes_with_its_model(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = old / "molecules/runs/default/default.medeor"
    three = [medeor.load(path) for _ in range(3)]
    assert len(list(tmp_path.iterdir())) == 3
    first = three[0].predict("CCO")
    assert first.equals(three[0].predict("CCO"))
    assert len(list(tmp_path.iterdir())) == 3
    with three.pop():
        assert len(list(tmp_path.iterdir())) == 3
    assert len(list(tmp_path.iterdir())) == 2
    del three
    gc.collect()
    assert not list(tmp_path.iterdir())
