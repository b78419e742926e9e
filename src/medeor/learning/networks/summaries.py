"""What sites send of their training cases, so that processors are fitted on all of them and no case leaves its site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from medeor.contracts import Cases, Target, UserError
from medeor.learning.saved import checked_targets
from medeor.settings import build
from medeor.statistics.moments import Moments
from medeor.targets import of


@dataclass(frozen=True)
class Summaries:
    """Sums over cases: those of two sites, added, are those of all their cases."""

    targets: tuple[Target, ...]
    truth: tuple[Moments, ...]
    """Of each target, as its kind states (see `TargetKind.summary`)."""
    inputs: Moments | None = None
    """Of the inputs of a network, where its recipe fits anything to them."""

    def __add__(self, other: Summaries) -> Summaries:
        """Raises: UserError where the two are not of the same targets and inputs."""
        if self.targets != other.targets or (self.inputs is None) != (other.inputs is None):
            raise UserError("learning.summaries.differ")
        truth = tuple(own + others for own, others in zip(self.truth, other.truth, strict=True))
        inputs = None if self.inputs is None or other.inputs is None else self.inputs + other.inputs
        return Summaries(self.targets, truth, inputs)

    def to_json(self) -> Mapping[str, object]:
        inputs = {} if self.inputs is None else {"inputs": self.inputs.to_json()}
        return {
            "targets": [asdict(target) for target in self.targets],
            "truth": [own.to_json() for own in self.truth],
            **inputs,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], where: str) -> Summaries:
        """What `to_json` gave. Raises: UserError where it is damaged."""
        targets = tuple(build(Target, one, where) for one in values["targets"])
        checked_targets(targets, where)
        truth = tuple(Moments.from_json(own) for own in values["truth"])
        return cls(targets, truth, Moments.from_json(values["inputs"]) if "inputs" in values else None)


def summaries_of(cases: Cases, inputs: Moments | None = None) -> Summaries:
    """Of the truth of these cases, and of their inputs."""
    kinds = [of(target) for target in cases.targets]
    return Summaries(cases.targets, tuple(kind.summary(kind.truth(cases.table)) for kind in kinds), inputs)
