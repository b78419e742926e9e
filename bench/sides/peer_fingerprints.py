"""A forest or boosted trees on ECFP4 counts, as a chemist would first try:
`python -m bench.sides.peer_fingerprints CASES OUT MODEL SEED`, where MODEL is `forest` or `lightgbm`. CASES has the
columns `case_id, smiles, split`, then one a target, empty where it is not known; all rows but those of `test` teach.
OUT gets `case_id` and the predicted targets of the test rows."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

TREES = 500
FACTS = ("case_id", "smiles", "split")


def model(name: str, classes: bool, seed: int) -> object:
    """Library defaults but for the number of trees; a forest of numbers tries a third of the substructures at each
    node, as Breiman advises, where the library would try all."""
    if name == "lightgbm":
        kind = LGBMClassifier if classes else LGBMRegressor
        return kind(random_state=seed, n_jobs=1, verbose=-1)
    if classes:
        return RandomForestClassifier(TREES, random_state=seed)
    return RandomForestRegressor(TREES, random_state=seed, max_features=1 / 3)


def main() -> None:
    source, out, name, seed = sys.argv[1:5]
    table = pd.read_csv(source)
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    counts = np.stack([generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(text)) for text in table["smiles"]])
    counts = counts.astype(np.float32)
    test = (table["split"] == "test").to_numpy()
    counts = counts[:, counts[~test].any(axis=0)]
    predicted = {"case_id": table["case_id"][test]}
    for target in table.columns.difference(FACTS, sort=False):
        truth = table[target].to_numpy()
        known = ~test & ~np.isnan(truth)
        classes = bool(np.isin(truth[known], (0, 1)).all())
        fitted = model(name, classes, int(seed)).fit(counts[known], truth[known])
        predicted[target] = fitted.predict_proba(counts[test])[:, 1] if classes else fitted.predict(counts[test])
    pd.DataFrame(predicted).to_csv(out, index=False)


if __name__ == "__main__":
    main()
