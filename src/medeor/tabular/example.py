"""The smallest study of a plain table, on which the conformance suite checks the task."""

from __future__ import annotations

from pathlib import Path

from medeor.contracts import Study
from medeor.simulate import clinic
from medeor.simulate.states import State, in_state


def example(folder: Path, state: State) -> Study:
    """Forty patients, of whom are asked whether they are readmitted, and a number: a stack of three ensembles."""
    place = folder / "clinic.csv"
    table = clinic(40, seed=0).table.with_columns(stay=1.5 + clinic(40, seed=1).risk)
    in_state(table, state, ["readmitted", "stay"], dict.fromkeys(table.columns)).write_csv(place)
    small = {"network.width": "8", "network.members": "2", "schedule.epochs": "2", "trees.rounds": "5"}
    return Study((str(place),), "table-prediction", target=("readmitted", "stay"), settings=small)
