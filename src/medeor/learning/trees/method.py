"""Boosted trees (Ke et al. 2017) on a table of features: a method of its own and the strong simple baseline beside a
network. LightGBM fits them and is needed for nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
import polars as pl
from pydantic import Field

from medeor import registry
from medeor.contracts import Attribution, Cases, Fitted, Inputs, Predictions, Run, Split, Target, UserError
from medeor.files import read_text
from medeor.learning.predictions import EMPTY
from medeor.learning.saved import checked_targets, facts_of, save_model
from medeor.learning.trees.boosters import MOST_LEAVES, Booster, read_booster, write_booster
from medeor.learning.trees.lightgbm_text import MOST_BYTES, parsed
from medeor.statistics.outcomes import long_table
from medeor.targets import of


class Features(Protocol):
    """Cases as rows of numbers."""

    @property
    def kind(self) -> str:
        """The key in `registry.LOADERS` of the class whose `from_json` rebuilds this."""
        ...

    def to_json(self) -> Mapping[str, object]: ...

    def table(self, cases: Cases) -> np.ndarray:
        """Shape (cases, features), float32; NaN where a value is missing."""
        ...

    def names(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Boosting:
    """Boosted trees on a table of features."""

    rounds: Annotated[int, Field(ge=1, le=10_000)] = 200
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    leaves: Annotated[int, Field(ge=2, le=MOST_LEAVES)] = 15
    smallest_leaf: Annotated[int, Field(ge=1)] = 10
    features: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the features that one tree looks at."""


@dataclass(frozen=True)
class TreeMethod:
    """One booster a target."""

    features: Features
    boosting: Boosting = Boosting()

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        train, held_out = split.part(cases, "train"), split.part(cases, "validation")
        rows = self.features.table(train)
        boosters = tuple(self._boost(rows, train, target, run) for target in train.targets)
        model = TreeModel(self.features, cases.targets, boosters)
        return Fitted(model, model.predict(held_out, run))

    def _boost(self, rows: np.ndarray, cases: Cases, target: Target, run: Run) -> Booster:
        import lightgbm

        kind = of(target)
        chosen, extra, labels, weights = kind.boosting(kind.truth(cases.table))
        table = rows[chosen] if not extra.shape[1] else np.concatenate([rows[chosen], extra], axis=1, dtype=rows.dtype)
        settings: dict[str, Any] = {
            "objective": kind.objective,
            "learning_rate": self.boosting.learning_rate,
            "num_leaves": self.boosting.leaves,
            "min_data_in_leaf": min(self.boosting.smallest_leaf, max(1, len(labels) // 4)),
            "feature_fraction": self.boosting.features,
            # Of a handful of rows LightGBM would bag none.
            "bagging_fraction": 0.8 if len(labels) >= 10 else 1.0,
            "bagging_freq": 1,
            "seed": run.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": run.threads,
            "verbosity": -1,
        } | ({"num_class": kind.margins} if kind.margins > 1 else {})
        data = lightgbm.Dataset(table, labels, weight=weights, params={"verbosity": -1}, free_raw_data=True)
        fitted = lightgbm.train(settings, data, num_boost_round=self.boosting.rounds)
        return parsed(fitted.model_to_string(), target.name)


@dataclass(frozen=True)
class TreeModel:
    """Fitted boosters, one a target, in the order of `targets`."""

    features: Features
    targets: tuple[Target, ...]
    boosters: tuple[Booster, ...]

    def predict(self, cases: Cases, run: Run) -> Predictions:
        if not len(cases):
            return EMPTY
        rows = self.features.table(cases)
        kinds = [(of(target), booster) for target, booster in self._both()]
        tables = [long_table(cases.ids, kind.items, kind.boosted(booster.predict, rows)) for kind, booster in kinds]
        return Predictions(pl.concat(tables))

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        """Shapley values of the trees (Lundberg et al. 2020), on the scale of the margin."""
        rows, names = self.features.table(cases), self.features.names()
        reasons: dict[int, Attribution] = {}
        for item in dict.fromkeys(items):
            target, booster = self._answering(item)
            own = [place for place, one in enumerate(items) if one == item]
            asked, margin = of(target).asked(rows[own], item)
            for place, share in zip(own, booster.shapley(asked)[:, margin, : len(names)], strict=True):
                reasons[place] = Attribution(cases.ids[place], item, "shapley", share, names)
        return [reasons[place] for place in range(len(cases))]

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        """Features that are not kept are missing, which the trees know how to take."""
        target, booster = self._answering(item)
        rows = np.where(kept, self.features.table(case), np.nan)
        return of(target).boosted(booster.predict, rows)[:, of(target).items.index(item)]

    def _answering(self, item: str) -> tuple[Target, Booster]:
        return next(both for both in self._both() if item in of(both[0]).items)

    @property
    def holds_training_values(self) -> bool:
        return False

    def save(self, folder: Path) -> None:
        for number, booster in enumerate(self.boosters):
            write_booster(folder / f"booster-{number}.safetensors", booster)
        features = {"kind": self.features.kind, **self.features.to_json()}
        boosters = [booster.facts() for booster in self.boosters]
        save_model(folder, "trees", {"features": features, "targets": self.targets, "boosters": boosters})

    def _both(self) -> list[tuple[Target, Booster]]:
        return list(zip(self.targets, self.boosters, strict=True))


@dataclass(frozen=True)
class _Saved:
    features: dict[str, Any]
    targets: tuple[Target, ...]
    boosters: tuple[dict[str, Any], ...] | None = None
    """None in medeor 0.1, which kept LightGBM's text."""


def load(folder: Path) -> TreeModel:
    """Reads what `TreeModel.save` wrote, in medeor 0.1 too. Raises: UserError where it was damaged or changed."""
    facts, where = facts_of(folder, _Saved), folder / "model.json"
    features: Features = registry.rebuilt(facts.features, "table", where)
    targets = checked_targets(facts.targets, str(where))
    if facts.boosters is not None and len(facts.boosters) != len(targets):
        raise UserError("files.damaged.at", path=where, detail="boosters")
    boosters = tuple(_booster(folder, facts, number) for number in range(len(targets)))
    for number, (target, booster) in enumerate(zip(targets, boosters, strict=True)):
        if (booster.objective, booster.classes) != (of(target).objective, of(target).margins):
            raise UserError("files.damaged.at", path=where, detail=f"booster-{number}")
    return TreeModel(features, targets, boosters)


def _booster(folder: Path, facts: _Saved, number: int) -> Booster:
    if facts.boosters is not None:
        return read_booster(folder / f"booster-{number}.safetensors", facts.boosters[number])
    path = folder / f"booster-{number}.txt"
    return parsed(read_text(path, MOST_BYTES), str(path))
