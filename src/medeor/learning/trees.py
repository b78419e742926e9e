"""Boosted trees (LightGBM; Ke et al. 2017) on a table of features: a method of its own and the strong simple baseline
beside a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import lightgbm
import numpy as np
import polars as pl
from pydantic import Field

from medeor import tasks
from medeor.contracts import Attribution, Cases, Fitted, Predictions, Run, Split, Target
from medeor.files import write_json, write_text
from medeor.learning.network import EMPTY
from medeor.learning.saved import checked_targets, facts_of


class Features(Protocol):
    """Cases as rows of numbers."""

    @property
    def kind(self) -> str:
        """The key in `tasks.LOADERS` of the class whose `from_json` rebuilds this."""
        ...

    def to_json(self) -> Mapping[str, object]: ...

    def table(self, cases: Cases) -> np.ndarray:
        """Shape (cases, features), float32; NaN where a value is missing."""
        ...

    def names(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Boosting:
    """Boosted trees on a table of features."""

    rounds: Annotated[int, Field(ge=1)] = 200
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    leaves: Annotated[int, Field(ge=2)] = 15
    smallest_leaf: Annotated[int, Field(ge=1)] = 10


@dataclass(frozen=True)
class TreeMethod:
    """One booster a target."""

    features: Features
    boosting: Boosting = Boosting()

    def fit(self, cases: Cases, split: Split, run: Run) -> Fitted:
        train, held_out = split.part(cases, "train"), split.part(cases, "validation")
        rows = self.features.table(train)
        boosters = tuple(self._boost(rows, train, target, run) for target in train.targets)
        model = TreeModel(self.features, cases.targets, boosters)
        return Fitted(model, model.predict(held_out, run) if len(held_out) else EMPTY)

    def _boost(self, rows: np.ndarray, cases: Cases, target: Target, run: Run) -> lightgbm.Booster:
        known = cases.table[target.name].is_not_null().to_numpy()
        truth = cases.table[target.name].drop_nulls().to_numpy()
        truth = np.log10(truth) if target.scale == "log" else truth
        several = target.kind in ("multiclass", "ordinal")
        settings: dict[str, Any] = {
            "objective": "multiclass" if several else "regression" if target.kind == "continuous" else "binary",
            "learning_rate": self.boosting.learning_rate,
            "num_leaves": self.boosting.leaves,
            "min_data_in_leaf": min(self.boosting.smallest_leaf, max(1, len(truth) // 4)),
            "feature_fraction": 0.5,
            # Of a handful of rows LightGBM would bag none.
            "bagging_fraction": 0.8 if len(truth) >= 10 else 1.0,
            "bagging_freq": 1,
            "seed": run.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": run.threads,
            "verbosity": -1,
        } | ({"num_class": len(target.classes)} if several else {})
        data = lightgbm.Dataset(rows[known], truth, params={"verbosity": -1}, free_raw_data=True)
        return lightgbm.train(settings, data, num_boost_round=self.boosting.rounds)


@dataclass(frozen=True)
class TreeModel:
    """Fitted boosters, one a target, in the order of `targets`."""

    features: Features
    targets: tuple[Target, ...]
    boosters: tuple[lightgbm.Booster, ...]

    def predict(self, cases: Cases, run: Run) -> Predictions:
        rows = self.features.table(cases)
        return Predictions(pl.concat([self._column(cases, rows, *both) for both in self._both()]))

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        """Shapley values of the trees (Lundberg et al. 2020), on the scale of the margin."""
        rows = self.features.table(cases)
        reasons = []
        for row, case_id, item in zip(rows, cases.ids, items, strict=True):
            target, booster = next(both for both in self._both() if item in both[0].items)
            shares = np.asarray(booster.predict(row[None], pred_contrib=True)).reshape(-1, rows.shape[1] + 1)
            which = target.items.index(item) if len(shares) > 1 else 0
            reasons.append(Attribution(case_id, item, "shapley", shares[which, :-1], self.features.names()))
        return reasons

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        """Features that are not kept are missing, which the trees know how to take."""
        target, booster = next(both for both in self._both() if item in both[0].items)
        rows = np.where(kept, self.features.table(case), np.nan)
        values = np.asarray(booster.predict(rows))
        values = 10**values if target.scale == "log" else values
        return values if values.ndim == 1 else values[:, target.items.index(item)]

    @property
    def holds_training_values(self) -> bool:
        return False

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        targets = [{**vars(target), "classes": list(target.classes)} for target in self.targets]
        features = {"kind": self.features.kind, **self.features.to_json()}
        write_json(folder / "model.json", {"kind": "trees", "features": features, "targets": targets})
        for number, booster in enumerate(self.boosters):
            write_text(folder / f"booster-{number}.txt", booster.model_to_string())

    def _both(self) -> list[tuple[Target, lightgbm.Booster]]:
        return list(zip(self.targets, self.boosters, strict=True))

    @staticmethod
    def _column(cases: Cases, rows: np.ndarray, target: Target, booster: lightgbm.Booster) -> pl.DataFrame:
        values = np.asarray(booster.predict(rows)).reshape(len(rows), -1)
        values = 10**values if target.scale == "log" else values
        return pl.DataFrame(
            {
                "case_id": np.repeat(cases.ids, len(target.items)),
                "item": list(target.items) * len(rows),
                "value": values.ravel().astype(float),
            }
        )


@dataclass(frozen=True)
class _Saved:
    features: dict[str, Any]
    targets: tuple[Target, ...]


def load(folder: Path) -> TreeModel:
    """Reads what `TreeModel.save` wrote."""
    facts, where = facts_of(folder, _Saved), folder / "model.json"
    features: Features = tasks.rebuilt(facts.features, "table", where)
    targets = checked_targets(facts.targets, str(where))
    boosters = tuple(
        lightgbm.Booster(model_str=(folder / f"booster-{number}.txt").read_text()) for number in range(len(targets))
    )
    return TreeModel(features, targets, boosters)
