"""Whether held-out predictions show that a model knows anything about a target. Where they do not, its reasons explain
noise, and no map is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medeor.contracts import Cases, Predictions
from medeor.statistics.intervals import interval, resample
from medeor.statistics.outcomes import group_codes, line_up
from medeor.trust.families import statistics

GUESS = {"auroc": 0.5, "spearman": 0.0}
"""What a guess reaches: AUROC for classes, the rank correlation for numbers, whatever their scale."""


@dataclass(frozen=True)
class Skill:
    """How well held-out cases are ranked, with the 95 % interval; None where it could not be measured."""

    figure: Literal["auroc", "spearman"]
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def missing(self) -> str:
        """Why no reason of this model can be believed; empty where its interval excludes a guess."""
        guess = GUESS[self.figure]
        if self.value is None or self.low is None or self.high is None:
            return "too few held-out cases to show that the model knows anything"
        if self.low > guess:
            return ""
        found = f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"
        return f"the model is not shown to know anything: held-out {_NAMES[self.figure]} {found}, a guess {guess:g}"


_NAMES = {"auroc": "AUROC", "spearman": "Spearman correlation"}


def skills(cases: Cases, held_out: Predictions) -> tuple[Skill, ...]:
    """The skill in each target of these cases, from predictions of cases that did not fit the model."""
    found = []
    for target in cases.targets:
        held = line_up(cases, held_out, target)
        figure: Literal["auroc", "spearman"] = "spearman" if held.continuous else "auroc"
        draws = resample(statistics(held, wanted=(figure,)), group_codes(cases)[1])
        measure = interval(draws[figure]) if figure in draws else None
        found.append(Skill(figure, *measure[:3]) if measure else Skill(figure))
    return tuple(found)
