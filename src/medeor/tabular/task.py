"""Prediction from a plain table: the task that the road drives (`table-prediction`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from medeor.contracts import (
    ROAD,
    Budget,
    Cases,
    Finding,
    Measures,
    Method,
    Predictions,
    Result,
    Sources,
    Split,
    Step,
    Study,
)
from medeor.figures import Figure
from medeor.learning.budget import plan_with_budget
from medeor.learning.folds import members
from medeor.learning.network import NetworkMethod
from medeor.learning.stack import StackModel, stacked, weights_table
from medeor.learning.table_network import LinearMethod, TableRecipe
from medeor.learning.tables import TableTrees
from medeor.tabular.audit import audit_table, clean
from medeor.tabular.plan import TablePlan, rules
from medeor.tabular.read import read_cases
from medeor.trust.measures import measure


class TableTask:
    """Any kind of target from the columns of a table."""

    steps: tuple[Step, ...] = ROAD
    plan_type = TablePlan

    def read(self, sources: Sources, study: Study) -> Cases:
        return read_cases(sources, study)

    def audit(self, cases: Cases, split: Split) -> list[Finding]:
        return audit_table(cases, split)

    def clean(self, cases: Cases, findings: Sequence[Finding], split: Split) -> pl.DataFrame:
        return clean(cases, findings, split)

    def plan(self, cases: Cases, split: Split, budget: Budget) -> TablePlan:
        """From the training rows: see `plan.rules`. A budget of minutes becomes a number of epochs by a short timed
        trial, and the fit then obeys the number, not the clock."""
        return plan_with_budget(rules(split.part(cases, "train", "validation")), _recipe, cases, split, budget)

    def method(self, plan: TablePlan) -> Method:
        methods: dict[str, Method] = {
            "trees": TableTrees(plan.columns, plan.trees),
            "network": NetworkMethod(_recipe(plan), plan.schedule),
            "linear": LinearMethod(plan.columns),
        }
        return stacked(methods, plan.parts, plan.members)

    def baseline(self, plan: TablePlan) -> Method:
        """Logistic or linear regression: what can be said without interactions."""
        return members(LinearMethod(plan.columns), plan.members)

    def evaluate(self, cases: Cases, predictions: Predictions) -> Measures:
        return measure(cases, predictions, subgroups=cases.subgroups)

    def show(self, result: Result) -> Iterable[Figure]:
        if isinstance(result.model, StackModel):
            yield weights_table(result.model)


def _recipe(plan: TablePlan) -> TableRecipe:
    return TableRecipe(plan.columns, plan.network)
