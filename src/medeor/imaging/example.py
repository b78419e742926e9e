"""The smallest study of images, on which the conformance suite checks the task."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from medeor import simulate
from medeor.contracts import Study
from medeor.simulate.states import State, in_state


def example(folder: Path, state: State) -> Study:
    """Chest radiographs of a simulated hospital, of which are asked whether they show a lesion and whether the patient
    is old: a stack of two ensembles, with its domain."""
    side = 12
    patients = simulate.hospital(32, kind="xray", size=(side, side), seed=1, images_per_patient=(1, 1), prevalence=0.5)
    place = simulate.write(patients, folder / "hospital")
    labels = pl.read_csv(place / "labels.csv").with_columns(old=(pl.col("age") > 65).cast(pl.Int8))
    if state == "broken case":
        (place / labels["image"][0]).write_bytes(b"no image")
    in_state(labels, state, ["lesion", "old"]).write_csv(place / "labels.csv")
    return Study(
        (str(place / "images"),),
        "image-classification",
        labels=str(place / "labels.csv"),
        target=("lesion", "old"),
        group="patient_id",
        split="part",
        settings={
            "preparation.size": f"[{side}, {side}]",
            "network.name": "small-cnn",
            "network.widths": "[4, 4]",
            "training.batch": "16",
            "schedule.epochs": "2",
            "trees.rounds": "5",
            "members": "folds",
        },
    )
