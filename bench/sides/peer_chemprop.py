"""Chemprop's speed: `python -m bench.sides.peer_chemprop MOLECULES PATH THREADS`, where MOLECULES is a CSV with the
column `smiles` and PATH is `featurise` (SMILES to graphs), `train` (its default network, graphs at hand, as its command
trains) or `predict` (SMILES to values, as its command predicts)."""

from __future__ import annotations

import logging
import sys
import time
import warnings

import numpy as np
import pandas as pd
import torch
from chemprop.data import MoleculeDatapoint, MoleculeDataset, build_dataloader
from chemprop.featurizers import SimpleMoleculeMolGraphFeaturizer
from chemprop.models import MPNN
from chemprop.nn import BondMessagePassing, NormAggregation, RegressionFFN
from lightning.pytorch import Trainer
from rdkit import Chem

from bench.sides import answer

BATCH = 64


def main() -> None:
    source, path, threads = sys.argv[1:4]
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    smiles = pd.read_csv(source)["smiles"].tolist()
    values = np.random.default_rng(0).normal(size=(len(smiles), 1))
    model = MPNN(BondMessagePassing(), NormAggregation(norm=100), RegressionFFN())

    def trainer() -> Trainer:
        return Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                       enable_progress_bar=False, enable_model_summary=False)  # fmt: skip

    def dataset() -> MoleculeDataset:
        return MoleculeDataset([MoleculeDatapoint.from_smi(text, value) for text, value in zip(smiles, values)])

    if path == "train":
        kept = dataset()
        kept.cache = True
        batches = build_dataloader(kept, batch_size=BATCH, num_workers=0)

    def stretch() -> float:
        began = time.perf_counter()
        if path == "featurise":
            featurise = SimpleMoleculeMolGraphFeaturizer()
            for text in smiles:
                featurise(Chem.MolFromSmiles(text))
        elif path == "train":
            trainer().fit(model, batches)
        else:
            trainer().predict(model, build_dataloader(dataset(), batch_size=BATCH, num_workers=0, shuffle=False))
        return len(smiles) / (time.perf_counter() - began)

    answer(stretch)


if __name__ == "__main__":
    main()
