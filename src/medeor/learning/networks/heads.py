"""From what a network puts out to what a study asks: the same heads for images, molecules and records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from medeor.contracts import Cases, Predictions, Target, UserError
from medeor.learning.networks.summaries import Summaries
from medeor.learning.saved import checked_targets
from medeor.settings import build
from medeor.statistics.outcomes import long_table
from medeor.targets import items, of
from medeor.targets.common.kind import Fit, TargetKind


@dataclass(frozen=True)
class Heads:
    """One group of outputs a target, an output an item: logits, standardised numbers, hazards. Fitted on training
    cases, so it is part of a model's processors."""

    targets: tuple[Target, ...]
    scales: tuple[tuple[float, float], ...]
    """By target, `Fit.scale`."""
    weights: tuple[tuple[float, ...], ...]
    """By target, `Fit.weights`."""

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return len(self.items)

    @property
    def items(self) -> list[str]:
        return items(self.targets)

    def truth(self, cases: Cases) -> Tensor:
        """The columns of all targets' truth (see `TargetKind.truth`), shape (cases, columns), float32, NaN where not
        known."""
        columns = [of(target).truth(cases.table) for target in self.targets]
        return torch.from_numpy(np.concatenate(columns, axis=1)).float()

    def loss(self, outputs: Tensor, truth: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """Loss of each case and its weight, both of shape (cases,), summed over the targets."""
        total = torch.zeros(len(outputs), device=outputs.device)
        weight = torch.zeros(len(outputs), device=outputs.device)
        for kind, fit, own, columns in self._parts:
            each, share = kind.loss(outputs[:, own].float(), truth[:, columns], fit, smoothing)
            total, weight = total + each, weight + share
        return total, weight

    def values(self, outputs: Tensor) -> Tensor:
        """Outputs as values of the items, shape (cases, items): probabilities, or numbers in the target's unit."""
        return torch.cat([kind.values(outputs[:, own].float(), fit) for kind, fit, own, _ in self._parts], 1)

    def predictions(self, cases: Cases, values: np.ndarray) -> Predictions:
        """Values of shape (cases, items) as a table, one row a case and item."""
        return Predictions(long_table(cases.ids, self.items, values))

    def to_json(self) -> Mapping[str, object]:
        return asdict(self)

    @cached_property
    def _parts(self) -> list[tuple[TargetKind, Fit, slice, slice]]:
        """Each target's kind, what was fitted of it, and where its outputs and its columns of the truth stand."""
        parts, output, column = [], 0, 0
        for target, scale, weights in zip(self.targets, self.scales, self.weights, strict=True):
            kind = of(target)
            own, columns = slice(output, output + len(kind.items)), slice(column, column + kind.columns)
            parts.append((kind, Fit(scale, weights), own, columns))
            output, column = own.stop, columns.stop
        return parts


def heads_for(summaries: Summaries, balanced: bool = False) -> Heads:
    """Heads for the targets of the training cases that these are of. With `balanced`, classes count alike however many
    cases they have."""
    fits = [of(target).fit(own, balanced) for target, own in zip(summaries.targets, summaries.truth, strict=True)]
    return Heads(summaries.targets, tuple(fit.scale for fit in fits), tuple(fit.weights for fit in fits))


def heads_from(values: object, where: str) -> Heads:
    """Heads from their `to_json`. Raises: UserError where they are damaged."""
    heads = build(Heads, values, where)  # type: ignore[arg-type]
    checked_targets(heads.targets, where)
    widths = [max(1, len(of(target).classes)) for target in heads.targets]
    spreads = [spread for _, spread in heads.scales]
    if not widths or [len(own) for own in heads.weights] != widths or len(spreads) != len(widths) or min(spreads) <= 0:
        raise UserError("files.damaged.at", path=where, detail="heads")
    return heads
