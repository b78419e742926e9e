"""Prediction from a plain table: the task that the road drives (`table-prediction`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from medeor.contracts import Budget, Cases, Method, Result
from medeor.figures import Figure
from medeor.learning.folds import members
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.supervised import SupervisedTask, shares
from medeor.learning.table_network import LinearMethod, TableRecipe
from medeor.learning.tables import TableTrees
from medeor.tabular.audit import audit_table, clean
from medeor.tabular.plan import TablePlan, rules
from medeor.tabular.read import read_cases
from medeor.trust.measures import measure


class TableTask(SupervisedTask[TablePlan]):
    """Any kind of target from the columns of a table."""

    plan_type = TablePlan
    read = staticmethod(read_cases)
    audit = staticmethod(audit_table)
    clean = staticmethod(clean)
    evaluate = staticmethod(measure)

    def rules(self, train: Cases, budget: Budget) -> TablePlan:
        return rules(train)

    def parts(self, plan: TablePlan) -> Mapping[str, Method]:
        return {
            "trees": TableTrees(plan.columns, plan.trees),
            "network": NetworkMethod(TableRecipe(plan.columns, plan.network), plan.schedule),
            "linear": LinearMethod(plan.columns),
        }

    def baseline(self, plan: TablePlan) -> Method:
        """Logistic or linear regression: what can be said without interactions."""
        return members(LinearMethod(plan.columns), plan.members)

    def show(self, result: Result) -> Iterable[Figure]:
        yield from shares(result.model)
