"""medeor's speed on molecules: `python -m bench.sides.medeor_molecules MOLECULES PATH THREADS`, where MOLECULES is
a CSV with the column `smiles` and PATH is `featurise` (SMILES to graphs), `train` (the fit loop as `NetworkMethod`
calls it, graphs at hand), `predict` (SMILES to values), or one of these two followed by ` limit`: the same network on
batches that are already made."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch

from bench.sides import answer
from medeor.contracts import Cases, Run, Target
from medeor.learning.networks.devices import fast_bfloat16
from medeor.learning.networks.fit import _optimiser, fit_network
from medeor.learning.networks.schedule import Schedule
from medeor.molecules.model.network import Molecules, slices_of
from medeor.molecules.model.recipe import ATOMS_AT_ONCE, MoleculeRecipe
from medeor.molecules.plan import MoleculeNetwork, MoleculeTraining
from medeor.molecules.read.graphs import graphs
from medeor.molecules.read.store import MoleculeStore

BATCH = 64


def table(path: str) -> pl.DataFrame:
    """Each molecule once, with a number to learn."""
    smiles = pl.read_csv(path)["smiles"].unique(maintain_order=True)
    values = np.random.default_rng(0).normal(size=len(smiles))
    return pl.DataFrame({"case_id": smiles, "smiles": smiles, "y": values})


def cases_of(given: pl.DataFrame) -> Cases:
    """As the road has them, without graphs yet."""
    return Cases(given, (Target("y", "continuous"),), {"molecules": MoleculeStore(given["smiles"])})


def work(path: str, given: pl.DataFrame) -> Callable[[], object]:
    """What is timed."""
    texts = given["smiles"].to_list()
    if path == "featurise":
        return lambda: graphs(texts, workers=1)
    cases = cases_of(given)
    recipe = MoleculeRecipe(MoleculeNetwork(), MoleculeTraining(batch=BATCH))
    processors = recipe.processors(recipe.summaries(cases))
    network = recipe.network(processors)
    precision: Literal["bf16", "f32"] = "bf16" if fast_bfloat16() else "f32"
    schedule = Schedule(epochs=1, precision=precision, checkpoint=1 << 30)
    kept = cases.store("molecules", MoleculeStore).graphs
    if path == "train":
        batches = recipe.batches(cases, processors, 0)

        def train() -> None:
            with tempfile.TemporaryDirectory() as room:
                fit_network(network, batches, recipe.loss, schedule, Run(Path(room)))  # type: ignore[arg-type]

        return train
    if path == "train limit":
        made = [recipe.batches(cases, processors, 0).batch(0, index) for index in range(len(texts) // BATCH)]
        inputs = [one.inputs for one in made]
        optimiser = _optimiser(network.train(), schedule)

        def steps() -> None:
            for molecules, batch in zip(inputs, made, strict=True):
                with torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
                    outputs = network(molecules)
                total, weight = recipe.loss(outputs.float(), batch)
                (total / weight).backward()
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)

        return steps
    network.eval()
    if path == "predict":

        def predict() -> None:
            with torch.inference_mode():
                list(recipe.infer(network, cases_of(given), processors, Run(Path("."))))

        return predict
    order = np.argsort(np.diff(kept.atom_start), kind="stable")
    sizes = np.diff(kept.atom_start)[order].tolist()
    chunks = [order[chunk] for chunk in slices_of(sizes, ATOMS_AT_ONCE)]
    made_already = [Molecules.of(kept.batch(chunk), len(chunk), MoleculeNetwork().depth) for chunk in chunks]

    def ask() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
            for molecules in made_already:
                network(molecules)

    return ask


def main() -> None:
    source, path, threads = sys.argv[1:4]
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    given = table(source)
    timed = work(path, given)

    def stretch() -> float:
        began = time.perf_counter()
        timed()
        return given.height / (time.perf_counter() - began)

    answer(stretch)


if __name__ == "__main__":
    main()
