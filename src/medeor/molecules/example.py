"""The smallest study of compounds, on which the conformance suite checks the task."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from medeor.contracts import Study
from medeor.simulate.states import State, in_state

CORES = ("c1ccc({})cc1", "C1CCN({})CC1", "c1ccnc({})c1", "O=C(N){}", "CCOC(=O){}", "C1CC1{}")
ENDS = ("C", "CC", "CCC", "CCO", "C(C)C", "CCCl")


def example(folder: Path, state: State) -> Study:
    """Thirty-six compounds, of which are asked whether they have a ring, and a number: a stack of two ensembles, with
    its domain."""
    smiles = [core.format(end) for end in ENDS for core in CORES]
    ring = ["yes" if "1" in one else "no" for one in smiles]
    table = pl.DataFrame({"smiles": smiles, "ring": ring, "size": [len(one) / 7 for one in smiles]})
    place = folder / "compounds.csv"
    in_state(table, state, ["ring", "size"], {"smiles": "C1CC"}).write_csv(place)
    return Study(
        (str(place),),
        "molecule-property",
        target=("ring", "size"),
        accept=("near-duplicates-across-parts",),
        settings={
            "parts": '["network", "trees", "neighbours"]',
            "network.width": "8",
            "training.batch": "16",
            "schedule.epochs": "2",
            "trees.rounds": "5",
            "members": "folds",
        },
    )
