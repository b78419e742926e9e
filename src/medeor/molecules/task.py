"""What a compound does: the task that the road drives (`molecule-property`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

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
    Target,
)
from medeor.figures import Figure, Table
from medeor.learning.budget import plan_with_budget
from medeor.learning.domain import DomainMethod
from medeor.learning.folds import members
from medeor.learning.network import NetworkMethod
from medeor.learning.stack import StackModel, innermost, stacked, weights_table
from medeor.learning.trees.method import TreeMethod
from medeor.molecules.audit import audit_molecules, clean
from medeor.molecules.model.adapt import Adapt, Unadapted, base_of
from medeor.molecules.model.domain import learned
from medeor.molecules.model.features import MoleculeFeatures
from medeor.molecules.model.neighbours import NeighbourMethod
from medeor.molecules.model.recipe import MoleculeRecipe
from medeor.molecules.plan import MoleculePlan, rules
from medeor.molecules.questions import panel
from medeor.molecules.read.cases import endpoint_of, read_cases
from medeor.targets import headlines, label, of
from medeor.trust.measures import measure


class MoleculeTask:
    """Activity, toxicity, ADMET: one or many endpoints of a compound, some of them unknown."""

    steps: tuple[Step, ...] = ROAD
    plan_type = MoleculePlan

    def read(self, sources: Sources, study: Study) -> Cases:
        return read_cases(sources, study)

    def audit(self, cases: Cases, split: Split) -> list[Finding]:
        return audit_molecules(cases, split)

    def clean(self, cases: Cases, findings: Sequence[Finding], split: Split) -> pl.DataFrame:
        return clean(cases, findings, split)

    def plan(self, cases: Cases, split: Split, budget: Budget) -> MoleculePlan:
        """From the training compounds: see `plan.rules`. A budget of minutes becomes a number of epochs by a short
        timed trial, and the fit then obeys the number, not the clock."""
        if "base" in budget.inputs:
            base_of(cases, budget.inputs)
            return MoleculePlan(parts=("base",))
        plan = rules(split.part(cases, "train", "validation"))
        return plan_with_budget(plan, MoleculeRecipe.of, cases, split, budget)

    def method(self, plan: MoleculePlan) -> Method:
        if "base" in plan.parts:
            return DomainMethod(Adapt(), partial(learned, plan.analogues))
        methods: dict[str, Method] = {
            "network": NetworkMethod(MoleculeRecipe.of(plan), plan.schedule),
            "trees": TreeMethod(MoleculeFeatures(), plan.trees),
            "neighbours": NeighbourMethod(),
        }
        return DomainMethod(stacked(methods, plan.parts, plan.members), partial(learned, plan.analogues))

    def baseline(self, plan: MoleculePlan) -> Method:
        """The nearest measured compounds: what a chemist does without a model. Beside an adapted model, the same as it
        was."""
        if "base" in plan.parts:
            return Unadapted()
        return members(NeighbourMethod(), plan.members)

    def evaluate(self, cases: Cases, predictions: Predictions) -> Measures:
        return measure(cases, predictions, subgroups=cases.subgroups)

    def show(self, result: Result) -> Iterable[Figure]:
        yield _endpoints(result)
        yield from panel.reasons(result)
        model = result.model and innermost(result.model)
        if isinstance(model, StackModel):
            yield weights_table(model)


def _endpoints(result: Result) -> Figure:
    cases, rows = result.cases, []
    for target in cases.targets:
        known = cases.table[target.name].drop_nulls()
        fact = endpoint_of(target, cases)
        limits = cases.table[target.limit].fill_null(0) if target.limit in cases.table.columns else pl.Series([0])
        rows.append(
            (
                target.name,
                fact.title if fact else None,
                target.unit or " / ".join(of(target).words),
                f"{fact.better} is better" if fact and fact.better else None,
                len(known),
                int((limits != 0).sum()) or None,
                _scored(target, result),
            )
        )
    columns = ("endpoint", "measures", "unit or classes", "direction", "known", "known by a limit", "result")
    return Table("Endpoints", columns, tuple(rows), "Of the compounds that are scored here; limits are not scored.")


def _scored(target: Target, result: Result) -> str | None:
    """The figure that says most of one endpoint, with its interval."""
    name = headlines((target,))[0]
    found = result.measures.get(f"{name}/{target.name}" if len(result.cases.targets) > 1 else name)
    if found is None or found.value is None:
        return None
    within = "" if found.low is None or found.high is None else f" ({found.low:.3g} to {found.high:.3g})"
    return f"{label(name)} {found.value:.3g}{within}"
