"""Work that is stopped again and again, and goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from medeor.contracts import Stopped
from medeor.testing.sameness import names

MOST = 100
"""Stops after which the work is taken never to end."""


def in_stretches(work: Callable[[Callable[[], bool]], object], folder: Path) -> int:
    """Does `work`, which is handed a `stopping` as in `contracts.Run`, until it comes to its end, and asks it to stop
    as soon as there is a file below the folder of a name that was not there at the last stop, numbers aside: so after
    each step of a walk, and in each fit after the first training step and the first fold. Returns the number of stops.

    Raises: AssertionError where it comes to no end."""
    seen: set[str] = set()
    for stop in range(MOST):
        try:
            work(lambda: not _names(folder) <= seen)  # noqa: B023
        except Stopped:
            seen |= _names(folder)
        else:
            return stop
    raise AssertionError(f"stopped {MOST} times, it has not come to its end")


def _names(folder: Path) -> set[str]:
    return {re.sub(r"[0-9]+", "N", name) for name in names(folder)}
