"""What the benchmark of molecules computes itself: gains over divisions, and the memory of a family of processes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from bench.rows import molecules, molecules_paired
from bench.rows.molecules_speed import watched

from bench import machine
from medeor.contracts import Cases, Target
from medeor.files import write_json


def cases_of(truth: np.ndarray, first: int, kind: str) -> Cases:
    names = [f"molecule {first + number}" for number in range(len(truth))]
    table = pl.DataFrame({"case_id": names, "content": names, "y": truth})
    return Cases(table, (Target("y", "continuous" if kind == "rmse" else "binary"),))


@pytest.fixture
def leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Divisions that overlap by half, and what each side predicted of them."""
    divisions: dict[int, Cases] = {}

    def place(data: str, seed: int) -> Path:
        return tmp_path / f"{data}-{seed}"

    def write(seed: int, cases: Cases, **sides: np.ndarray) -> None:
        divisions[seed] = cases
        for side, values in sides.items():
            folder = place("set", seed) / side
            folder.mkdir(parents=True)
            pl.DataFrame({"case_id": cases.ids, "y": values}).write_csv(folder / "predictions.csv")
            write_json(folder / "seconds.json", {"seconds": 1.0})

    for module in (molecules, molecules_paired):
        monkeypatch.setattr(module, "place", place)
        monkeypatch.setattr(module, "tested", lambda data, seed: divisions[seed])
    return write


def test_a_gain_is_the_mean_over_divisions_of_their_error_less_ours(leave: Callable[..., None]) -> None:
    generator = np.random.default_rng(0)
    expected = []
    for seed in (0, 1):
        truth = generator.normal(size=200)
        ours, theirs = truth + generator.normal(0, 0.5, 200), truth + generator.normal(0, 1.0, 200)
        leave(seed, cases_of(truth, 100 * seed, "rmse"), ours=ours, theirs=theirs)
        expected.append(np.sqrt(np.mean((theirs - truth) ** 2)) - np.sqrt(np.mean((ours - truth) ** 2)))
    found = molecules_paired.gain("set", "ours", "theirs")
    assert found.value == pytest.approx(np.mean(expected))
    # 300 molecules are resampled, not 400 rows: those of both divisions count once.
    assert found.units <= 300
    assert np.mean(found.draws > 0) == 1


def test_a_gain_in_auroc_has_the_other_sign(leave: Callable[..., None]) -> None:
    truth = np.arange(100) % 2
    right, wrong = truth * 0.8 + 0.1, 0.9 - truth * 0.8
    leave(0, cases_of(truth, 0, "auroc"), ours=right, theirs=wrong)
    assert molecules_paired.gain("set", "ours", "theirs").value == pytest.approx(1.0)


def test_a_division_that_one_side_lacks_is_not_compared(leave: Callable[..., None]) -> None:
    truth = np.linspace(0, 1, 50)
    leave(0, cases_of(truth, 0, "rmse"), ours=truth, theirs=truth + 1)
    leave(1, cases_of(truth, 50, "rmse"), ours=truth + 9)
    assert molecules_paired.gain("set", "ours", "theirs").value == pytest.approx(1.0)
    with pytest.raises(FileNotFoundError, match="by both ours and nobody"):
        molecules_paired.gain("set", "ours", "nobody")


def test_peak_memory_counts_children() -> None:
    hold = "import time; held = bytearray(b'x') * 150_000_000; time.sleep(0.6)"
    parent = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {hold!r}])"
    seconds, memory = watched([sys.executable, "-c", parent], threads=1)
    assert 150e6 < memory < 300e6
    assert seconds > 0.6


def test_a_side_finds_its_environment() -> None:
    homes = {"medeor": "", "medeor_molecules": "", "peer_keras": "peers", "peer_chemprop": "chemprop"}
    assert {module: machine.home(module) for module in homes} == homes
