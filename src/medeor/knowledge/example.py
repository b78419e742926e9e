"""The smallest graph, on which the conformance suite checks the task."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medeor.contracts import Study
from medeor.files import write_text
from medeor.simulate.states import State

NUMBERS = 6
PARTS = {"train": slice(6, None), "valid": slice(3, 6), "test": slice(3)}


def example(folder: Path, state: State) -> Study | None:
    """Numbers on a wheel, and relations that turn it by one, two or three places. The reader makes the targets, so that
    none is missing, and refuses a line that is no triple."""
    if state not in ("whole", "no cases"):
        return None
    turns = [(head, turn, (head + turn) % NUMBERS) for turn in (1, 2, 3) for head in range(NUMBERS)]
    order = np.random.default_rng(0).permutation(len(turns))
    lines = [f"n{head}\tby {turn}\tn{tail}\n" for head, turn, tail in (turns[place] for place in order)]
    if state == "no cases":
        lines = []
    for part, rows in PARTS.items():
        write_text(folder / f"{part}.txt", "".join(lines[rows]))
    settings = {"embedding.dimension": "8", "training.batch": "8", "schedule.epochs": "2"}
    return Study((str(folder),), "graph-completion", settings=settings)
