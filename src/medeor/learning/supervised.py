"""What tasks that learn targets from cases have in common: parts that each answer the whole question, fitted once or on
every fold, and stacked where there are several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from medeor.contracts import ROAD, Budget, Cases, Method, Model, Split, Step
from medeor.figures import Figure
from medeor.learning.networks.budget import StackPlan, plan_with_budget
from medeor.learning.stack import StackModel, innermost, stacked, weights_table

P = TypeVar("P", bound=StackPlan)


class SupervisedTask(ABC, Generic[P]):
    """The plan and the method of a task (see `contracts.Task`), from the rules of its plan and its parts."""

    steps: tuple[Step, ...] = ROAD

    @abstractmethod
    def rules(self, train: Cases, budget: Budget) -> P:
        """The plan for these training cases, before minutes and settings are heeded."""

    @abstractmethod
    def parts(self, plan: P) -> Mapping[str, Method]:
        """What can answer, by the names that `plan.parts` chooses from; the first gives the reasons."""

    def plan(self, cases: Cases, split: Split, budget: Budget) -> P:
        """From the training cases by the rules. A budget of minutes, for all parts together, becomes a number of epochs
        by short timed trials, and the fit then obeys the number, not the clock."""
        plan = self.rules(split.part(cases, "train", "validation"), budget)
        return plan_with_budget(plan, self.parts, cases, split, budget)

    def method(self, plan: P) -> Method:
        return stacked(self.parts(plan), plan.parts, plan.members)


def shares(model: Model | None) -> Iterator[Figure]:
    """How much each part of a model contributes, where it is a stack of several."""
    inner = model and innermost(model)
    if isinstance(inner, StackModel):
        yield weights_table(inner)
