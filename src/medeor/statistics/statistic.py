"""What a figure of merit is: who prints, compares or draws one asks it here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medeor.messages import Message, Text


@dataclass(frozen=True)
class Statistic:
    """A figure of merit as it is known by its name, whatever it is computed for."""

    name: str
    """As in `metrics.json`, without what follows a `/`, `@` or `[`."""
    given: Text = ""
    """What a reader calls it; by default, the catalogue has it under the name."""
    higher_is_better: bool = True
    headline: Literal["", "alone", "together", "always"] = ""
    """Whether it is reported of subgroups and drawn first: where a target stands alone, where several of its kind are
    averaged, or in both."""
    main: bool = False
    """Whether models of a target are compared by it."""
    compared: bool = False
    """Whether it is compared unless the user names other figures."""
    averaged: bool = False
    """Whether its mean over several targets of the kind is reported."""
    on_forest: bool = False
    """Whether it is drawn on the axis on which 1 is perfect."""
    details: bool = False
    """Whether its values by class or target are drawn there."""
    operating_point: bool = False
    """Whether it is listed among what a threshold gives."""
    chance: float | None = None
    """Its value for a model that knows nothing."""

    @property
    def label(self) -> Text:
        return self.given or Message(f"statistics.label.{self.name}")
