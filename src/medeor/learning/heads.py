"""From what a network puts out to what a study asks: the same heads for images, molecules and records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch.nn import functional

from medeor.contracts import Cases, Predictions, Target, UserError
from medeor.files import build
from medeor.learning.saved import checked_targets

_LEAST = 1e-30
"""What stands for a value that is not known, so that it has a logarithm."""


@dataclass(frozen=True)
class Heads:
    """One group of outputs a target: a logit (binary), a logit a class (multiclass, ordinal), a standardised number
    (continuous). Fitted on training cases, so it is part of a model's processors."""

    targets: tuple[Target, ...]
    scales: tuple[tuple[float, float], ...]
    """Mean and standard deviation of each continuous target (of its logarithm, where that is learned) in training;
    (0, 1) for the others."""
    weights: tuple[tuple[float, ...], ...]
    """Weight of each class in the loss; all ones unless balanced."""

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return sum(len(target.items) for target in self.targets)

    @property
    def items(self) -> list[str]:
        return [item for target in self.targets for item in target.items]

    def truth(self, cases: Cases) -> Tensor:
        """Shape (cases, targets), float32, NaN where not known."""
        columns = [pl.col(t.name).cast(pl.Float32).fill_null(float("nan")) for t in self.targets]
        return torch.tensor(cases.table.select(columns).to_numpy())

    def limits(self, cases: Cases) -> Tensor | None:
        """Shape (cases, targets): on which side of the value the truth lies (`Target.limit`); None where every value is
        the truth."""
        if not any(target.limit in cases.table.columns for target in self.targets):
            return None
        columns = [
            pl.col(t.limit).fill_null(0).cast(pl.Float32)
            if t.limit in cases.table.columns
            else pl.lit(0.0).alias(t.limit)
            for t in self.targets
        ]
        return torch.tensor(cases.table.select(columns).to_numpy()).float()

    def loss(
        self, outputs: Tensor, truth: Tensor, smoothing: float = 0.0, limits: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss of each case and its weight, both of shape (cases,): cross-entropy for classes, with soft neighbouring
        grades for ordinal targets (Diaz & Marathe 2019), and the Huber loss for numbers, which is 0 beyond a limit."""
        total = torch.zeros(len(outputs), device=outputs.device)
        weight = torch.zeros(len(outputs), device=outputs.device)
        first = 0
        for i, target in enumerate(self.targets):
            width = len(target.items)
            own, value = outputs[:, first : first + width].float(), truth[:, i]
            known = ~value.isnan()
            value = torch.where(known, value, 0.0)
            each = self._each(i, own, value, smoothing, None if limits is None else limits[:, i])
            balance = torch.tensor(self.weights[i], device=outputs.device)
            share = known.float() * (1.0 if target.kind == "continuous" else balance[value.long()])
            total = total + each * share
            weight = weight + share
            first += width
        return total, weight

    def _each(self, i: int, own: Tensor, value: Tensor, smoothing: float, limit: Tensor | None) -> Tensor:
        target = self.targets[i]
        if target.kind == "continuous":
            mean, spread = self.scales[i]
            value = value.clamp_min(_LEAST).log10() if target.scale == "log" else value
            value = (value - mean) / spread
            if limit is not None:
                beyond = (own[:, 0].detach() - value) * limit > 0
                value = torch.where(beyond, own[:, 0].detach(), value)
            return functional.huber_loss(own[:, 0], value, reduction="none")
        if target.kind == "binary":
            soft = value * (1 - smoothing) + smoothing / 2
            return functional.binary_cross_entropy_with_logits(own[:, 0], soft, reduction="none")
        if target.kind == "ordinal":
            grades = torch.arange(len(target.classes), device=own.device)
            return functional.cross_entropy(own, (-2.0 * (grades - value[:, None]).abs()).softmax(1), reduction="none")
        return functional.cross_entropy(own, value.long(), reduction="none", label_smoothing=smoothing)

    def values(self, outputs: Tensor) -> Tensor:
        """Outputs as values of the items, shape (cases, items): probabilities, or numbers in the target's unit."""
        columns, first = [], 0
        for target, (mean, spread) in zip(self.targets, self.scales, strict=True):
            own = outputs[:, first : first + len(target.items)].float()
            if target.kind == "continuous":
                number = own * spread + mean
                columns.append(10**number if target.scale == "log" else number)
            else:
                columns.append(own.sigmoid() if target.kind == "binary" else own.softmax(1))
            first += len(target.items)
        return torch.cat(columns, 1)

    def predictions(self, cases: Cases, values: np.ndarray) -> Predictions:
        """Values of shape (cases, items) as a table, one row a case and item."""
        return Predictions(
            pl.DataFrame(
                {
                    "case_id": np.repeat(np.asarray(cases.ids, dtype=str), len(self.items)),
                    "item": self.items * len(cases),
                    "value": values.ravel().astype(float),
                }
            )
        )

    def to_json(self) -> Mapping[str, object]:
        return asdict(self)


def heads_for(cases: Cases, balanced: bool = False) -> Heads:
    """Heads for the targets of these training cases. With `balanced`, classes count alike however many cases they
    have."""
    scales: list[tuple[float, float]] = []
    weights: list[tuple[float, ...]] = []
    for target in cases.targets:
        known = cases.table[target.name].drop_nulls().to_numpy().astype(float)
        if target.kind == "continuous":
            known = np.log10(known) if target.scale == "log" else known
            scales.append((float(known.mean()), float(known.std()) or 1.0))
            weights.append((1.0,))
            continue
        scales.append((0.0, 1.0))
        counts = np.bincount(known.astype(int), minlength=max(2, len(target.classes)))
        balance = len(known) / (np.maximum(counts, 1) * np.count_nonzero(counts)) if balanced else np.ones(len(counts))
        weights.append(tuple(float(w) for w in balance))
    return Heads(cases.targets, tuple(scales), tuple(weights))


def heads_from(values: object, where: str) -> Heads:
    """Heads from their `to_json`. Raises: UserError where they are damaged."""
    heads = build(Heads, values, where)  # type: ignore[arg-type]
    checked_targets(heads.targets, where)
    widths = [1 if target.kind == "continuous" else max(2, len(target.classes)) for target in heads.targets]
    spreads = [spread for _, spread in heads.scales]
    if not widths or [len(own) for own in heads.weights] != widths or len(spreads) != len(widths) or min(spreads) <= 0:
        raise UserError(f"{where}: the heads have no scale and weights that go with their targets")
    return heads
