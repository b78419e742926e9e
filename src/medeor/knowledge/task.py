"""Completion of a graph: the task that the road drives (`graph-completion`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import polars as pl

from medeor.contracts import (
    Budget,
    Cases,
    Finding,
    Measures,
    Message,
    Method,
    Predictions,
    Result,
    Sources,
    Split,
    Step,
    Study,
    Text,
    UserError,
)
from medeor.figures import Figure, Intervals, Table
from medeor.formats.graphs.tables import TRIPLE
from medeor.knowledge.audit import audit_graph
from medeor.knowledge.draw import edges
from medeor.knowledge.evaluation import evaluate
from medeor.knowledge.model.baselines import BaselineMethod
from medeor.knowledge.model.recipe import GraphRecipe
from medeor.knowledge.model.search import Searched
from medeor.knowledge.plan import GraphPlan, affordable, fingerprint, memory, rules
from medeor.knowledge.read.cases import UNDIVIDED, read_cases
from medeor.knowledge.read.graph import Graph
from medeor.knowledge.read.new_triples import read_others
from medeor.learning.folds import members
from medeor.learning.networks.budget import Networks, fit_budget
from medeor.settings import with_settings
from medeor.trust.audits.copies import rank, yielding


class GraphTask:
    """Which triples hold that nobody has written down."""

    steps: tuple[Step, ...] = (
        "read", "split", "audit", "plan", "fit", "calibrate", "evaluate", "report", "bundle",
    )  # fmt: skip
    plan_type = GraphPlan

    def read(self, sources: Sources, study: Study) -> Cases:
        return read_others(sources, study, sources.model) if sources.model else read_cases(sources, study)

    def audit(self, cases: Cases, split: Split) -> list[Finding]:
        return audit_graph(cases.store("graph", Graph), _of_edges(cases, split)["part"])

    def clean(self, cases: Cases, findings: Sequence[Finding], split: Split) -> pl.DataFrame:
        """The edges of the graph as a table that is read again (`draw.edges`), with their official parts, and
        `removed`: why an edge should go. Of an edge that is there several times, the one whose part is scored last
        stays, and of these the first."""
        graph = cases.store("graph", Graph)
        table = edges(graph)
        table = table.select(name for name in table.columns if table[name].null_count() < len(table))
        own = _of_edges(cases, split)
        table = table.with_columns(in_part=own["part"])
        later, again = (pl.lit(str(Message(f"knowledge.clean.{why}"))) for why in ("scored-later", "repeated"))
        removed = pl.when(rank() < rank().max().over(TRIPLE)).then(later).when(yielding(table, TRIPLE)).then(again)
        return own.drop("part").hstack(table.with_columns(removed=removed).drop("in_part"))

    def plan(self, cases: Cases, split: Split, budget: Budget) -> GraphPlan:
        """From the training triples: see `plan.rules`. A budget of minutes becomes a number of epochs by a short
        timed trial, and the fit then obeys the number, not the clock.

        Raises: UserError where no triple can be held out."""
        if any(one.check == UNDIVIDED.check for one in cases.store("graph", Graph).findings):
            raise UserError(UNDIVIDED.message)
        train = split.part(cases, "train")
        facts = fingerprint(train)
        plan = with_settings(rules(facts, budget.memory), budget.settings, "--set")
        plan = affordable(facts, plan)
        if not len(split.part(cases, "test")):
            plan = replace(plan, members="folds")
        plan = with_settings(plan, budget.settings, "--set")
        networks = Networks(split.folds if plan.members == "folds" else 1)
        plan = fit_budget(plan, GraphRecipe.of(plan), train, networks, budget)
        plan = replace(plan, search=replace(plan.search, epochs=max(1, plan.schedule.epochs // 5)))
        plan = with_settings(plan, budget.settings, "--set")
        estimate = replace(plan.estimate, memory_gib=round(memory(facts, plan), 2))
        return replace(plan, estimate=estimate)

    def method(self, plan: GraphPlan) -> Method:
        return members(Searched(plan), plan.members)

    def baseline(self, plan: GraphPlan) -> Method:
        return members(BaselineMethod(GraphRecipe.of(plan).memory), plan.members)

    def evaluate(self, cases: Cases, predictions: Predictions) -> Measures:
        return evaluate(cases, predictions)

    def show(self, result: Result) -> Iterable[Figure]:
        yield _table(result.measures)
        for column in ("degree", "relation"):
            yield from _by(column, result.measures)


def _of_edges(cases: Cases, split: Split) -> pl.DataFrame:
    """case_id, group and part of each edge of the graph."""
    table = pl.DataFrame({"case_id": pl.int_range(len(cases.store("graph", Graph)), eager=True).cast(pl.String)})
    for own in (cases.table.select("case_id", "group"), split.table.select("case_id", "part")):
        table = table.join(own, on="case_id", how="left", maintain_order="left")
    return table


_MODELS = {"": "model", "baseline/": "baseline", "baseline/degree/": "degree", "baseline/rules/": "rules"}
"""By the start of the names of its measures."""


def _table(measures: Measures) -> Figure:
    names = ("mrr", "hits@1", "hits@3", "hits@10", "mean_rank", "typed mrr", "typed hits@10")
    rows = tuple(
        (Message(f"knowledge.ranks.{model}"), *(_cell(measures, f"{prefix}{name}") for name in names))
        for prefix, model in _MODELS.items()
        if f"{prefix}mrr" in measures
    )
    return Table(Message("knowledge.ranks.title"), ("", *names), rows, Message("knowledge.ranks.caption"))


def _cell(measures: Measures, name: str) -> Text | None:
    found = measures.get(name)
    if found is None or found.value is None:
        return None
    if found.low is None or found.high is None:
        return f"{found.value:.3f}"
    return Message("knowledge.ranks.interval", value=found.value, low=found.low, high=found.high)


def _by(column: str, measures: Measures) -> Iterable[Figure]:
    start = f"mrr[{column}="
    rows = tuple(
        (name.removeprefix(start).removesuffix("]"), found.value, found.low, found.high)
        for name, found in measures.items()
        if name.startswith(start) and found.value is not None
    )
    if rows:
        whole = measures["mrr"].value
        yield Intervals(Message(f"knowledge.ranks.by-{column}"), "MRR", rows, Message("knowledge.ranks.enough"), whole)
