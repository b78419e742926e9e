"""Several ways to answer one question, weighted by how well each did on cases that it had not seen (stacking; Wolpert
1992, Breiman 1996)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from scipy.optimize import minimize

from medeor import tasks
from medeor.contracts import Attribution, Cases, Fitted, Method, Model, Predictions, Run, Split, Target
from medeor.figures import Figure, Table
from medeor.files import read_json, write_json
from medeor.learning.folds import members, remembered
from medeor.learning.network import joined

PRIOR = 50
"""Cases that it takes to move the weights half of the way from equal ones."""


class Earned(NamedTuple):
    """What one part did by itself, and what it is worth beside the others."""

    part: str
    target: str
    weight: float
    loss: float
    """On held-out cases: log-loss for classes, mean squared error for numbers (of logarithms, where these are
    learnt)."""


@dataclass(frozen=True)
class Stack:
    """Parts that each answer the whole question, by name, and hold out the same cases. The first gives the reasons."""

    parts: Mapping[str, Method]

    def fit(self, cases: Cases, split: Split, run: Run) -> Fitted:
        fitted = {name: remembered(method, cases, split, run.child(name)) for name, method in self.parts.items()}
        tables = {name: one.held_out.table for name, one in fitted.items()}
        weights: dict[str, np.ndarray] = {}
        earned: list[Earned] = []
        held_out: list[Predictions] = []
        for target in cases.targets:
            known = _lined_up(cases, split, target, tables)
            weights[target.name] = best_weights(known.values, known.truth, target)
            held_out.append(_blended(known, target))
            alone = [
                loss(known.values[part : part + 1], np.ones(1), known.truth, target) for part in range(len(tables))
            ]
            earned += map(Earned, tables, [target.name] * len(tables), weights[target.name].tolist(), alone)
            stacked = held_out[-1].table["value"].to_numpy().reshape(1, -1, len(target.items))[:, known.labelled]
            earned.append(Earned("together", target.name, 1.0, loss(stacked, np.ones(1), known.truth, target)))
        models = {name: one.model for name, one in fitted.items()}
        plain = {name: tuple(own.tolist()) for name, own in weights.items()}
        return Fitted(StackModel(models, cases.targets, plain, tuple(earned)), joined(held_out))


def stacked(methods: Mapping[str, Method], chosen: Sequence[str], how: Literal["folds", "single"]) -> Method:
    """Those of the methods that were chosen, each on every fold or once, as a stack; one alone needs none."""
    parts = {name: members(method, how) for name, method in methods.items() if name in chosen}
    return Stack(parts) if len(parts) > 1 else next(iter(parts.values()))


@dataclass(frozen=True)
class StackModel:
    """Fitted parts and, for each target, their weights, which add up to one."""

    parts: Mapping[str, Model]
    targets: tuple[Target, ...]
    weights: Mapping[str, tuple[float, ...]]
    earned: tuple[Earned, ...]

    def predict(self, cases: Cases, run: Run) -> Predictions:
        tables = [part.predict(cases, run.child(name)).table for name, part in self.parts.items()]
        target_of = {item: target for target in self.targets for item in target.items}
        values = [
            table.select("case_id", "item", pl.col("value").alias(f"part {place}"))
            for place, table in enumerate(tables)
        ]
        table = values[0]
        for other in values[1:]:
            table = table.join(other, on=("case_id", "item"), how="left", maintain_order="left")
        each = table.select(pl.selectors.starts_with("part ")).to_numpy().T
        share = np.array([self.weights[target_of[item].name] for item in table["item"].to_list()]).T
        skewed = np.array([target_of[item].scale == "log" for item in table["item"].to_list()])
        mean = np.where(skewed, 10 ** (share * np.log10(np.where(skewed, each, 1.0))).sum(0), (share * each).sum(0))
        return Predictions(table.select("case_id", "item", pl.Series("value", mean)))

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        """The reasons of the first part: those of the others are about other elements."""
        return self._first.attribute(cases, items, run)

    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        return self._first.ablate(case, item, kept, run)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, part in self.parts.items():
            if not (folder / name / "model.json").exists():
                part.save(folder / name)
        targets = [{**vars(target), "classes": list(target.classes)} for target in self.targets]
        facts = {"parts": list(self.parts), "weights": dict(self.weights), "earned": [e._asdict() for e in self.earned]}
        write_json(folder / "model.json", {"kind": "stack", "targets": targets, **facts})

    @property
    def _first(self) -> Model:
        return next(iter(self.parts.values()))


def load(folder: Path) -> StackModel:
    """Reads what `StackModel.save` wrote."""
    facts = read_json(folder / "model.json")
    targets = tuple(Target(**{**target, "classes": tuple(target["classes"])}) for target in facts["targets"])
    parts = {name: tasks.load_model(folder / name) for name in facts["parts"]}
    weights = {name: tuple(own) for name, own in facts["weights"].items()}
    return StackModel(parts, targets, weights, tuple(Earned(**one) for one in facts["earned"]))


def earned_table(model: StackModel) -> Figure:
    """What each part earned, target by target, as a table for the report."""
    names = [*model.parts, "together"]
    rows = []
    for target in model.targets:
        own = {one.part: one for one in model.earned if one.target == target.name}
        weights = " : ".join(f"{own[name].weight:.2f}" for name in model.parts)
        rows.append((target.name, *(f"{own[name].loss:.4f}" for name in names), weights))
    caption = (
        "Log-loss (classes) or mean squared error (numbers) on cases that the part had not seen; less is better. "
        "Together: by weights that were chosen without the fold that is scored. "
        f"What is explained is the answer of the {next(iter(model.parts))}."
    )
    return Table("What each part earned", ("", *names, f"weights ({' : '.join(model.parts)})"), tuple(rows), caption)


# --- weights ---------------------------------------------------------------------------------------------


def best_weights(values: np.ndarray, truth: np.ndarray, target: Target) -> np.ndarray:
    """Weights of the parts, shape (parts,), none negative, that add up to one and make the loss least; the fewer cases,
    the nearer to equal.

    Args:
        values: what each part says of each item, shape (parts, cases, items).
        truth: index of the class or number, shape (cases,).
    """
    parts, cases = values.shape[:2]
    equal = np.full(parts, 1 / parts)
    if parts == 1 or cases == 0:
        return equal
    scale = loss(values, equal, truth, target) or 1.0

    def cost(weights: np.ndarray) -> float:
        pull = PRIOR / cases * np.square(weights - equal).sum()
        return loss(values, weights, truth, target) / scale + pull

    found = minimize(
        cost,
        equal,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * parts,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
    )
    weights = np.clip(found.x, 0, 1) if found.success else equal
    return weights / weights.sum()


def loss(values: np.ndarray, weights: np.ndarray, truth: np.ndarray, target: Target) -> float:
    """The mean loss of the weighted mean; see `best_weights` for the arguments."""
    if target.kind == "continuous":
        if target.scale == "log":
            values, truth = np.log10(values), np.log10(truth)
        return float(np.square(np.tensordot(weights, values[..., 0], 1) - truth).mean())
    mean = np.tensordot(weights, values, 1)
    right = np.take_along_axis(mean, truth.astype(int)[:, None], 1)[:, 0] if target.kind != "binary" else mean[:, 0]
    if target.kind == "binary":
        right = np.where(truth > 0.5, right, 1 - right)
    return float(-np.log(np.clip(right, 1e-6, 1)).mean())


class _Known(NamedTuple):
    """The held-out predictions of one target by all parts, where its truth is known or not."""

    case_ids: pl.Series
    everyone: np.ndarray
    """Shape (parts, cases, items), of all cases."""
    labelled: np.ndarray
    """Shape (cases,): whether the truth is known, and not only a limit of it."""
    fold: np.ndarray
    """Shape (cases,)."""
    answers: np.ndarray
    """Shape (cases,): the truth, NaN where it is not known."""

    @property
    def values(self) -> np.ndarray:
        return self.everyone[:, self.labelled]

    @property
    def truth(self) -> np.ndarray:
        return self.answers[self.labelled]


def _lined_up(cases: Cases, split: Split, target: Target, tables: Mapping[str, pl.DataFrame]) -> _Known:
    """Raises: ValueError where the parts held out different cases."""
    rows = cases.table.join(split.table.select("case_id", "fold"), on="case_id", how="left", maintain_order="left")
    first = next(iter(tables.values()))
    rows = rows.filter(pl.col("case_id").is_in(first["case_id"].unique().implode()))
    values = []
    for name, table in tables.items():
        wide = table.filter(pl.col("item").is_in(target.items)).pivot("item", index="case_id", values="value")
        both = rows.select("case_id").join(wide, on="case_id", how="left", maintain_order="left")
        if wide.height != rows.height or both.select(target.items).null_count().sum_horizontal()[0]:
            raise ValueError(f"the part '{name}' of a stack held out other cases than the first")
        values.append(both.select(target.items).to_numpy())
    answers = rows[target.name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    exact = rows[target.limit].fill_null(0).to_numpy() == 0 if target.limit in rows.columns else np.True_
    fold = rows["fold"].fill_null(-1).to_numpy()
    return _Known(rows["case_id"], np.stack(values), ~np.isnan(answers) & exact, fold, answers)


def _blended(known: _Known, target: Target) -> Predictions:
    """The weighted means of all held-out cases, those of each fold by weights that were chosen on the other folds."""
    blended = np.empty(known.everyone.shape[1:])
    for fold in np.unique(known.fold):
        here = known.fold == fold
        others = known.labelled & ~here
        if not others.any():
            others = known.labelled
        weights = best_weights(known.everyone[:, others], known.answers[others], target)
        if target.scale == "log":
            blended[here] = 10 ** np.tensordot(weights, np.log10(known.everyone[:, here]), 1)
        else:
            blended[here] = np.tensordot(weights, known.everyone[:, here], 1)
    ids = np.repeat(known.case_ids.to_numpy(), len(target.items))
    items = list(target.items) * len(known.case_ids)
    return Predictions(pl.DataFrame({"case_id": ids, "item": items, "value": blended.ravel()}))
