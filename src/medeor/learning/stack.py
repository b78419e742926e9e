"""Several ways to answer one question, weighted by how well each did on cases that it had not seen (stacking; Wolpert
1992, Breiman 1996)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import polars as pl
from pydantic import Field

from medeor import registry
from medeor.contracts import Cases, Fitted, Inputs, Message, Method, Model, Predictions, Run, Split, Target, UserError
from medeor.figures import Figure, Table
from medeor.learning.domain import DomainMethod
from medeor.learning.folds import fit_or_load, members
from medeor.learning.predictions import EMPTY, averaged_arrays, joined, scratch
from medeor.learning.saved import checked_targets, facts_of, save_model, save_part
from medeor.statistics.outcomes import arrange, long_table
from medeor.targets import of

PRIOR = 50
"""Cases that it takes to move the weights half of the way from equal ones."""
POOL = "log-odds"
"""How classes are pooled; kept with a model, as the weights mean nothing without it."""


class StackWeight(NamedTuple):
    """The loss of one part alone, and its weight in the stack."""

    part: str
    target: str
    weight: float
    loss: float
    """On held-out cases: log-loss for classes, mean squared error for numbers, on the learned scale."""


@dataclass(frozen=True)
class Stack:
    """Parts that each answer the whole question, by name, and hold out the same cases. The first gives the reasons."""

    parts: Mapping[str, Method]

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        fitted = {
            name: fit_or_load(method, cases, split, inputs, run.child(name)) for name, method in self.parts.items()
        }
        tables = {name: one.held_out.table for name, one in fitted.items()}
        weights: dict[str, np.ndarray] = {}
        earned: list[StackWeight] = []
        held_out: list[Predictions] = []
        for target in cases.targets:
            known = _lined_up(cases, split, target, tables)
            values, truth = known.values[:, known.labelled], known.truth[known.labelled]
            weights[target.name] = best_weights(values, truth, target)
            blended = _blended(known, target)
            held_out.append(Predictions(long_table(known.case_ids, of(target).items, blended)))
            each = [*values, blended[known.labelled]]
            losses = [loss(own[None], np.ones(1), truth, target) for own in each]
            shares = [*weights[target.name].tolist(), 1.0]
            earned += map(StackWeight, [*tables, "together"], [target.name] * len(each), shares, losses)
        models = {name: one.model for name, one in fitted.items()}
        plain = {name: tuple(own.tolist()) for name, own in weights.items()}
        arrays = averaged_arrays([one.held_out for one in fitted.values()], run)
        return Fitted(StackModel(models, cases.targets, plain, tuple(earned)), replace(joined(held_out), arrays=arrays))


def stacked(methods: Mapping[str, Method], chosen: Sequence[str], how: Literal["folds", "single"]) -> Method:
    """Those of the methods that were chosen, each on every fold or once, as a stack; one alone needs none."""
    parts = {name: members(method, how) for name, method in methods.items() if name in chosen}
    return Stack(parts) if len(parts) > 1 else next(iter(parts.values()))


def place_within(method: Method, wanted: Method) -> Path | None:
    """Where, below the folder of a fit of `method`, stands what `wanted` would fit to the same cases; None where it is
    no part of it."""
    if method == wanted:
        return Path()
    parts = method.parts if isinstance(method, Stack) else {}
    if isinstance(method, DomainMethod):
        parts = {"model": method.method}
    places = ((name, place_within(part, wanted)) for name, part in parts.items())
    return next((Path(name) / place for name, place in places if place is not None), None)


@dataclass(frozen=True)
class StackModel:
    """Fitted parts and, for each target, their weights (see `blend`). Arrays have no target, and each part counts alike
    in their mean."""

    parts: Mapping[str, Model]
    targets: tuple[Target, ...]
    weights: Mapping[str, tuple[float, ...]]
    earned: tuple[StackWeight, ...]

    def predict(self, cases: Cases, run: Run) -> Predictions:
        if not len(cases):
            return EMPTY
        with scratch(run) as own:
            found = [part.predict(cases, own.child(name)) for name, part in self.parts.items()]
            arrays = averaged_arrays(found, run)
        blended = []
        for target in self.targets:
            values = np.stack([_by_case(one.table, cases.table["case_id"], target) for one in found])
            together = blend(values, np.array(self.weights[target.name]), target)
            blended.append(long_table(cases.ids, of(target).items, together))
        return Predictions(pl.concat(blended), arrays)

    @property
    def explained_by(self) -> Model:
        """The first part: the reasons of the others are about other elements."""
        return next(iter(self.parts.values()))

    @property
    def holds_training_values(self) -> bool:
        return any(part.holds_training_values for part in self.parts.values())

    def save(self, folder: Path) -> None:
        for name, part in self.parts.items():
            save_part(part, folder / name)
        facts = {"parts": list(self.parts), "weights": dict(self.weights), "earned": [e._asdict() for e in self.earned]}
        save_model(folder, "stack", {"pool": POOL, "targets": self.targets, **facts})


@dataclass(frozen=True)
class _Saved:
    pool: str
    targets: tuple[Target, ...]
    parts: Annotated[tuple[Annotated[str, Field(pattern=f"^{registry.PART}$")], ...], Field(min_length=1)]
    weights: dict[str, tuple[Annotated[float, Field(ge=0, le=1e6)], ...]]
    earned: tuple[StackWeight, ...]


def load(folder: Path) -> StackModel:
    """Reads what `StackModel.save` wrote. Raises: UserError where it is damaged."""
    facts, where = facts_of(folder, _Saved), str(folder / "model.json")
    if facts.pool != POOL:
        raise UserError("learning.stack.another-version", where=where)
    targets = checked_targets(facts.targets, where)
    fits = {target.name: len(facts.parts) for target in targets}
    if {name: len(own) for name, own in facts.weights.items()} != fits or len(set(facts.parts)) < len(facts.parts):
        raise UserError("files.damaged.at", path=where, detail="weights")
    parts = {name: registry.load_part(folder, name) for name in facts.parts}
    return StackModel(parts, targets, facts.weights, facts.earned)


@runtime_checkable
class Wrapper(Protocol):
    """A model that adds to what another one answers, such as how a case compares with the training data."""

    @property
    def model(self) -> Model: ...


def innermost(model: Model) -> Model:
    """The model that answers, without those that only add to its answers."""
    while isinstance(model, Wrapper):
        model = model.model
    return model


def weights_table(model: StackModel) -> Figure:
    """The weight and the loss of each part, target by target, as a table for the report."""
    names = [*model.parts, "together"]
    rows = []
    for target in model.targets:
        own = {one.part: one for one in model.earned if one.target == target.name}
        weights = " : ".join(f"{own[name].weight:.2f}" for name in model.parts)
        rows.append((target.name, *(f"{own[name].loss:.4f}" for name in names), weights))
    shares = Message("learning.stack.weights", parts=" : ".join(model.parts))
    caption = Message("learning.stack.caption", explained=next(iter(model.parts)))
    heads = "", *model.parts
    return Table(
        Message("learning.stack.title"), (*heads, Message("learning.stack.together"), shares), tuple(rows), caption
    )


# --- weights ---------------------------------------------------------------------------------------------


def blend(values: np.ndarray, weights: np.ndarray, target: Target) -> np.ndarray:
    """The values of all parts, shape (parts, cases, items), as the kind of the target combines them, shape (cases,
    items)."""
    return of(target).combine(values, weights)


def best_weights(values: np.ndarray, truth: np.ndarray, target: Target) -> np.ndarray:
    """Weights of the parts, shape (parts,), none negative, that make the loss of `blend` least; the fewer cases, the
    nearer to equal. Those of what is averaged add up to one.

    Args:
        values: of each part and item, shape (parts, cases, items).
        truth: as `TargetKind.truth` gives it, or its first column.
    """
    from scipy.optimize import minimize

    parts, cases = values.shape[:2]
    equal = np.full(parts, 1 / parts)
    if parts == 1 or cases == 0:
        return equal
    scale = loss(values, equal, truth, target) or 1.0

    def cost(weights: np.ndarray) -> float:
        pull = PRIOR / cases * np.square(weights - equal).sum()
        return loss(values, weights, truth, target) / scale + pull

    whole = {"type": "eq", "fun": lambda weights: weights.sum() - 1}
    constraints = [whole] if of(target).sums_to_one else []
    found = minimize(cost, equal, method="SLSQP", bounds=[(0.0, 2.0)] * parts, constraints=constraints)
    return np.clip(found.x, 0, None) if found.success else equal


def loss(values: np.ndarray, weights: np.ndarray, truth: np.ndarray, target: Target) -> float:
    """The mean loss of `blend`, with its arguments."""
    return of(target).mistake(blend(values, weights, target), truth.reshape(len(truth), -1))


class _Known(NamedTuple):
    """The held-out predictions of one target by all parts, where its truth is known or not."""

    case_ids: pl.Series
    values: np.ndarray
    """Shape (parts, cases, items)."""
    labelled: np.ndarray
    """Shape (cases,): whether a case is scored."""
    fold: np.ndarray
    """Shape (cases,)."""
    truth: np.ndarray
    """See `TargetKind.truth`."""


def _lined_up(cases: Cases, split: Split, target: Target, tables: Mapping[str, pl.DataFrame]) -> _Known:
    """Raises: ValueError where the parts held out different cases."""
    rows = cases.table.join(split.table.select("case_id", "fold"), on="case_id", how="left", maintain_order="left")
    first = next(iter(tables.values()))
    rows = rows.filter(pl.col("case_id").is_in(first["case_id"].unique().implode()))
    values = []
    for name, table in tables.items():
        if table["case_id"].n_unique() != rows.height:
            raise ValueError(f"the part '{name}' of a stack held out other cases than the first")
        values.append(_by_case(table, rows["case_id"], target))
    truth = of(target).truth(rows)
    fold = rows["fold"].fill_null(-1).to_numpy()
    return _Known(rows["case_id"], np.stack(values), of(target).scored(truth), fold, truth)


def _blended(known: _Known, target: Target) -> np.ndarray:
    """The blend of all held-out cases, shape (cases, items), that of each fold by weights that were chosen on the other
    folds."""
    blended = np.empty(known.values.shape[1:])
    for fold in np.unique(known.fold):
        here = known.fold == fold
        others = known.labelled & ~here
        if not others.any():
            others = known.labelled
        weights = best_weights(known.values[:, others], known.truth[others], target)
        blended[here] = blend(known.values[:, here], weights, target)
    return blended


def _by_case(table: pl.DataFrame, case_ids: pl.Series, target: Target) -> np.ndarray:
    """Values of a target, shape (cases, items). Raises: UserError where one is missing."""
    given = arrange(case_ids, Predictions(table), of(target).items, target.name)
    if not given.predicted.all():
        raise UserError("learning.stack.unanswered", target=target.name)
    return given.values
