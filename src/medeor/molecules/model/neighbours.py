"""The compound is as its nearest measured analogues are: the control that every model of compounds has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field

from medeor.contracts import Attribution, Cases, Fitted, Inputs, Predictions, Run, Split, Target, UserError
from medeor.learning.saved import Shape, arrays_of, checked_targets, facts_of, save_model
from medeor.molecules.read.fingerprints import fingerprints, nearest
from medeor.statistics.outcomes import long_table
from medeor.targets import by_item, of


@dataclass(frozen=True)
class NeighbourMethod:
    """The mean of the k most alike training compounds (Tanimoto of ECFP4) that are known, weighted by likeness."""

    k: int = 5

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        train, held_out = split.part(cases, "train"), split.part(cases, "validation")
        answers = tuple(of(target).one_hot(of(target).truth(train.table)) for target in cases.targets)
        model = NeighbourModel(cases.targets, fingerprints(train.table["smiles"].to_list()), answers, self.k)
        return Fitted(model, model.predict(held_out, run))


@dataclass(frozen=True, eq=False)
class NeighbourModel:
    """Fingerprints of the training compounds, and what is known of them."""

    targets: tuple[Target, ...]
    prints: np.ndarray
    """Shape (compounds, bits), uint8."""
    answers: tuple[np.ndarray, ...]
    """By target, shape (compounds, items), float32; NaN where unknown."""
    k: int

    def predict(self, cases: Cases, run: Run) -> Predictions:
        prints = fingerprints(cases.table["smiles"].to_list())
        tables = []
        for place, kind in enumerate(map(of, self.targets)):
            tables.append(long_table(cases.ids, kind.items, kind.stated(self._means(prints, place))))
        return Predictions(pl.concat(tables))

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        """The weight of each neighbour, times how far its value lies from the mean."""
        prints = fingerprints(cases.table["smiles"].to_list())
        reasons = []
        for case_id, item, row in zip(cases.ids, items, prints, strict=True):
            values, weights = self._neighbours(row[None], item)
            apart = values[0] - np.average(values[0], weights=weights[0])
            names = tuple(f"neighbour {number}" for number in range(1, len(apart) + 1))
            reasons.append(Attribution(case_id, item, "neighbours", weights[0] * apart, names))
        return reasons

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        """The mean of the neighbours that are kept; of none, that of all."""
        values, weights = self._neighbours(fingerprints(case.table["smiles"].to_list()), item)
        shares = np.where(kept.any(axis=1, keepdims=True), kept, True) * weights
        kind = of(by_item(self.targets)[item])
        return kind.stated((shares * values).sum(axis=1) / shares.sum(axis=1))

    @property
    def holds_training_values(self) -> bool:
        return True

    def save(self, folder: Path) -> None:
        arrays = {"prints": np.packbits(self.prints > 0, axis=1)}
        arrays |= {f"answers-{number}": one for number, one in enumerate(self.answers)}
        facts = {"k": self.k, "bits": self.prints.shape[1], "targets": self.targets}
        save_model(folder, "molecule-neighbours", facts, arrays, "neighbours.safetensors")

    def _neighbours(self, prints: np.ndarray, item: str) -> tuple[np.ndarray, np.ndarray]:
        target = by_item(self.targets)[item]
        place = self.targets.index(target)
        known, found, weights = self._nearest(prints, place)
        return self.answers[place][known][found, of(target).items.index(item)], weights

    def _nearest(self, prints: np.ndarray, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compounds of which the target is known; rows of the nearest of them, and their weights, (queries, k)."""
        known = np.flatnonzero(~np.isnan(self.answers[place][:, 0]))
        found = nearest(prints, self.prints[known], self.k)
        # Squared, the likest count most; nothing is so unlike that it has no weight.
        return known, found.places, np.maximum(found.similarity, 0.01) ** 2

    def _means(self, prints: np.ndarray, place: int) -> np.ndarray:
        """Shape (queries, items)."""
        known, found, weights = self._nearest(prints, place)
        values = self.answers[place][known][found].astype(np.float64)
        return (values * weights[..., None]).sum(axis=1) / weights.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class _Saved:
    k: Annotated[int, Field(ge=1, le=1000)]
    bits: Literal[2048]
    targets: tuple[Target, ...]


def load(folder: Path) -> NeighbourModel:
    """Reads what `NeighbourModel.save` wrote. Raises: UserError where it is damaged."""
    facts, where = facts_of(folder, _Saved), str(folder / "model.json")
    targets = checked_targets(facts.targets, where)
    shapes = {f"answers-{n}": Shape("F32", (None, len(of(target).items))) for n, target in enumerate(targets)}
    arrays = arrays_of(folder / "neighbours.safetensors", {"prints": Shape("U8", (None, facts.bits // 8)), **shapes})
    if not len(arrays["prints"]) or any(len(array) != len(arrays["prints"]) for array in arrays.values()):
        raise UserError("molecules.model.damaged", path=where)
    prints = np.unpackbits(arrays["prints"], axis=1, count=facts.bits)
    return NeighbourModel(targets, prints, tuple(arrays[f"answers-{n}"] for n in range(len(targets))), facts.k)
