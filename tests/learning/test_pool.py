"""Work in processes of their own: in order, with its errors, its progress and its stops; and folds fitted so, each with
its own share of the threads, whatever else is left to do."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from learning import jobs
from medeor import registry, trusted
from medeor.contracts import Cases, Fitted, Inputs, Message, Predictions, Run, Split, Stopped, UserError
from medeor.files import read_json, write_json
from medeor.learning.folds import Folds
from medeor.learning.pool import Work, in_processes
from medeor.messages import VARIABLE


@dataclass(frozen=True)
class Told:
    """A model that knows with how many threads it was fitted."""

    threads: int

    def save(self, folder: Path) -> None:
        write_json(folder / "model.json", {"kind": "told", "threads": self.threads})


def load(folder: Path) -> Told:
    return Told(read_json(folder / "model.json")["threads"])


@dataclass(frozen=True)
class Tell:
    """Learns the number of threads that it was given."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        rows = split.part(cases, "validation").table.select("case_id", item=pl.lit("y"), value=pl.lit(1.0))
        return Fitted(Told(run.threads), Predictions(rows))  # type: ignore[arg-type]


@dataclass(frozen=True)
class TellTrust:
    """Learns how many of two modules it may import."""

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        rows = split.part(cases, "validation").table.select("case_id", item=pl.lit("y"), value=pl.lit(1.0))
        return Fitted(Told(len(trusted.modules() & {"ours", "theirs.nets"})), Predictions(rows))  # type: ignore[arg-type]


def test_a_fold_in_a_process_of_its_own_trusts_the_same_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.LOADERS, "told", f"{__name__}:load")
    monkeypatch.setenv("MEDEOR_TRUST", "ours")
    ids = [f"c{i}" for i in range(4)]
    cases = Cases(pl.DataFrame({"case_id": ids, "group": ids}))
    fold = pl.Series([0, 0, 1, 1], dtype=pl.Int32)
    split = Split(pl.DataFrame({"case_id": ids, "part": ["train"] * 4, "fold": fold}))
    with trusted.trusting("theirs.nets"):
        model = Folds(TellTrust(), 2).fit(cases, split, {}, Run(tmp_path, threads=2)).model
    assert [member.threads for member in model.members] == [2, 2]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("threads", "workers", "share"), [(2, 2, 1), (8, 2, 4), (16, 16, 5)])
def test_a_fold_has_the_same_share_alone_as_among_others(
    threads: int, workers: int, share: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.LOADERS, "told", f"{__name__}:load")
    ids = [f"c{i}" for i in range(9)]
    cases = Cases(pl.DataFrame({"case_id": ids, "group": ids}))
    fold = pl.Series([i % 3 for i in range(9)], dtype=pl.Int32)
    split = Split(pl.DataFrame({"case_id": ids, "part": ["train"] * 9, "fold": fold}))
    method, run = Folds(Tell(), workers), Run(tmp_path, threads=threads)
    first = method.fit(cases, split, {}, run).model
    shutil.rmtree(tmp_path / "fold-2")
    again = method.fit(cases, split, {}, run).model
    for model in (first, again):
        assert [member.threads for member in model.members] == [share] * 3  # type: ignore[attr-defined]


def test_results_come_in_the_order_of_the_jobs_and_progress_is_passed_on() -> None:
    seen: list[tuple[object, ...]] = []
    found = in_processes(Work(jobs.reported, ()), [3, 1, 2], 2, progress=lambda *what: seen.append(what))
    assert found == [-3, -1, -2]
    assert sorted(seen) == [("count", number, 3, "half way") for number in (1, 2, 3)]


@pytest.mark.parametrize(("do", "message"), [(jobs.refuse, "no more"), (jobs.fall, "want of memory; buy some")])
def test_what_goes_wrong_in_a_worker_is_an_error_here(do: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        in_processes(Work(do, ()), ["more"], 1, relief="buy some")  # type: ignore[arg-type]


def test_an_error_of_a_worker_keeps_its_key_and_values() -> None:
    with pytest.raises(UserError) as raised:
        in_processes(Work(jobs.refuse_by_key, ()), [4], 1)
    expected = Message("learning.trees.features", fitted=4, found=Message("common.count.case", count=2))
    assert raised.value.message == expected


def test_workers_speak_the_language_of_who_started_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "tlh")
    assert in_processes(Work(jobs.language, ()), [1, 2], 2) == ["tlh", "tlh"]


def test_every_worker_saves_before_a_stopped_run_ends(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        in_processes(Work(jobs.wait, (tmp_path,)), [1, 2], 2, stopping=lambda: len(list(tmp_path.iterdir())) == 2)
    assert {path.name for path in tmp_path.glob("saved-*")} == {"saved-1", "saved-2"}


def test_jobs_that_must_take_turns_are_never_done_at_the_same_time(tmp_path: Path) -> None:
    names = ["a1", "a2", "a3", "b1", "b2"]
    assert in_processes(Work(jobs.at_work, (tmp_path,)), names, 2, turn=lambda name: name[0]) == [1] * 5


SCRIPT = """
from pathlib import Path
from medeor.learning.pool import Work, in_processes
from medeor.messages import VARIABLE
import {module}
print(in_processes(Work({do}, {shared}), {jobs}, 2))
"""


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(module="math", do="math.sqrt", shared="()", jobs="[4.0, 9.0]"))
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [str([math.sqrt(4), math.sqrt(9)])]


def test_a_worker_ends_with_who_started_it(tmp_path: Path) -> None:
    code = SCRIPT.format(
        module="learning.jobs", do="learning.jobs.wait", shared=f"(Path({str(tmp_path)!r}),)", jobs="[1]"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    waited = time.monotonic() + 60
    while not (tmp_path / "started-1").exists() and time.monotonic() < waited:
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    while not (tmp_path / "saved-1").exists() and time.monotonic() < waited:
        time.sleep(0.01)
    assert (tmp_path / "saved-1").exists()
