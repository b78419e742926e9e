"""What a compound does: the task that the road drives (`molecule-property`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from medeor.contracts import Budget, Cases, Message, Method, Result, Split, Target, Text, named
from medeor.figures import Figure, Table
from medeor.learning.domain import DomainMethod
from medeor.learning.folds import members
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.supervised import SupervisedTask, shares
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


class MoleculeTask(SupervisedTask[MoleculePlan]):
    """Activity, toxicity, ADMET: one or many endpoints of a compound, some of them unknown."""

    plan_type = MoleculePlan
    read = staticmethod(read_cases)
    audit = staticmethod(audit_molecules)
    clean = staticmethod(clean)
    evaluate = staticmethod(measure)

    def rules(self, train: Cases, budget: Budget) -> MoleculePlan:
        return rules(train)

    def plan(self, cases: Cases, split: Split, budget: Budget) -> MoleculePlan:
        """A base among the inputs is adapted, and there is nothing to plan."""
        if "base" in budget.inputs:
            base_of(cases, budget.inputs)
            return MoleculePlan(parts=("base",))
        return super().plan(cases, split, budget)

    def parts(self, plan: MoleculePlan) -> Mapping[str, Method]:
        return {
            "network": NetworkMethod(MoleculeRecipe.of(plan), plan.schedule),
            "trees": TreeMethod(MoleculeFeatures(), plan.trees),
            "neighbours": NeighbourMethod(),
        }

    def method(self, plan: MoleculePlan) -> Method:
        method = Adapt() if "base" in plan.parts else super().method(plan)
        return DomainMethod(method, partial(learned, plan.analogues))

    def baseline(self, plan: MoleculePlan) -> Method:
        """The nearest measured compounds: what a chemist does without a model. For an adapted model, its base."""
        if "base" in plan.parts:
            return Unadapted()
        return members(NeighbourMethod(), plan.members)

    def show(self, result: Result) -> Iterable[Figure]:
        yield _endpoints(result)
        yield from panel.reasons(result)
        yield from shares(result.model)


def _endpoints(result: Result) -> Figure:
    cases, rows = result.cases, []
    for target in cases.targets:
        fact, known = endpoint_of(target, cases), cases.table[target.name].count()
        limits = (cases.table[target.limit] != 0).sum() if target.limit in cases.table.columns else 0
        title, direction = (fact.title, fact.direction) if fact else (None, None)
        unit = target.unit or " / ".join(of(target).words)
        rows.append((target.name, title, unit, direction, known, int(limits) or None, _scored(target, result)))
    heads = named("molecules.endpoints", "endpoint", "measures", "unit", "direction", "known", "limit", "result")
    title, caption = named("molecules.endpoints", "title", "caption").values()
    return Table(title, tuple(heads.values()), tuple(rows), caption)


def _scored(target: Target, result: Result) -> Text | None:
    """The figure that says most of one endpoint, with its interval."""
    name = headlines((target,))[0]
    found = result.measures.get(f"{name}/{target.name}" if len(result.cases.targets) > 1 else name)
    if found is None or found.value is None:
        return None
    key = "score" if found.low is None or found.high is None else "interval"
    values = {"value": found.value, "low": found.low, "high": found.high}
    return Message(f"molecules.endpoints.{key}", measure=label(name), **values)
