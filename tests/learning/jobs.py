"""Jobs for workers, in a module that is quickly imported."""

from __future__ import annotations

import os
import time
from pathlib import Path

from medeor.contracts import Message, Stopped, UserError
from medeor.learning import pool
from medeor.messages import VARIABLE


def reported(number: int) -> int:
    """Says its number on every channel that a library may use."""
    print("not a report", flush=True)
    pool.report_progress("count", number, 3, "half way")
    return -number


def refuse(job: str) -> None:
    raise UserError(f"no {job}")


def refuse_by_key(job: int) -> None:
    raise UserError("learning.trees.features", fitted=job, found=Message("common.count.case", count=2))


def language(job: int) -> str | None:
    return os.environ.get(VARIABLE)


def fall(job: str) -> None:
    os.kill(os.getpid(), 9)


def wait(job: int, folder: Path) -> None:
    (folder / f"started-{job}").touch()
    while not pool.asked_to_stop():
        time.sleep(0.01)
    (folder / f"saved-{job}").touch()
    raise Stopped


def at_work(job: str, folder: Path) -> int:
    """How many jobs of the same first letter are being done."""
    own = folder / job
    own.touch()
    time.sleep(0.05)
    found = len(list(folder.glob(f"{job[0]}*")))
    own.unlink()
    return found
