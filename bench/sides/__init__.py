"""The contestants: each module is run as a program, sets itself up, and then answers every line on its standard input
with one timed stretch, in images a second. Modules named `peer_…` run in the peers' environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def answer(stretch: Callable[[], float]) -> None:
    """Warms up by one stretch and tells its speed; then a stretch for each line that is asked."""
    # Libraries print to standard output as well; what they say goes to standard error.
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(stretch(), file=said, flush=True)
    for _ in sys.stdin:
        print(stretch(), file=said, flush=True)
