"""Damaged and odd files of every format are read or refused in a line or two: no traceback, no end of the process, none
that takes longer than 20 s or more than 6 GB. MEDEOR_FUZZ says how many are tried; the examples are always the same."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import fuzz

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="bounds of memory and time as Linux has them"),
]
COUNT = int(os.environ.get("MEDEOR_FUZZ", "400"))
FIRST = int(os.environ.get("MEDEOR_FUZZ_FIRST", "0"))
"""The number of the first input, so that a run can go on where another ended."""
PATIENCE = 200
"""Seconds after which a process that uses no processor time counts as stuck, on however busy a machine."""


class Reader:
    """A process that reads inputs until one of them ends it."""

    def __init__(self) -> None:
        settings = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "MEDEOR_CACHE": "off", "PYTHONFAULTHANDLER": "1"}
        self.process = subprocess.Popen(
            [sys.executable, fuzz.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=os.environ | settings,
        )  # fmt: skip

    def __call__(self, path: Path, task: str) -> str:
        """What became of this input."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([str(path), task]) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        if not ready:
            self.close()
            return "stuck"
        line = self.process.stdout.readline()
        return str(json.loads(line)) if line else f"ended with {self.process.wait()}"

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> tuple[fuzz.Seed, ...]:
    return fuzz.seeds(tmp_path_factory.mktemp("fuzz"), tiny_run / "tiny.medeor")


def test_every_seed_is_read(seeds: tuple[fuzz.Seed, ...], tmp_path: Path) -> None:
    reader = Reader()
    try:
        for seed in seeds:
            path = tmp_path / seed.name
            path.write_bytes(seed.content)
            assert reader(path, seed.task) == "read", seed.name
    finally:
        reader.close()


def test_a_changed_file_is_read_or_refused(seeds: tuple[fuzz.Seed, ...], tmp_path: Path) -> None:
    reader, wrong, became = Reader(), {}, Counter[str]()
    try:
        for number in range(FIRST, FIRST + COUNT):
            one = fuzz.mutated(seeds, number)
            path = tmp_path / one.name
            path.write_bytes(one.content)
            said = reader(path, one.task)
            became[said if said in ("read", "refused") else "wrong"] += 1
            if said not in ("read", "refused"):
                kept = tmp_path / f"wrong-{number}-{one.name}"
                path.rename(kept)
                wrong[str(kept)] = said
                if reader.process.poll() is not None:
                    reader = Reader()
            else:
                path.unlink()
    finally:
        reader.close()
    print(dict(became))
    assert not wrong, "\n".join(f"{path}: {said}" for path, said in wrong.items())
    # Were all refused, the changes would be too coarse to find anything.
    assert min(became["read"], became["refused"]) > COUNT // 20
