"""Diagnosis from images: the task that the road drives (`image-classification`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
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
)
from medeor.figures import Figure
from medeor.imaging.audit import audit_images, clean
from medeor.imaging.draw import galleries
from medeor.imaging.model.domain import learned, verdict_table
from medeor.imaging.model.features import ImageFeatures
from medeor.imaging.model.gain import WithGain
from medeor.imaging.model.recipe import ImageRecipe
from medeor.imaging.plan import ImagePlan, large, rules
from medeor.imaging.read.cases import read_cases
from medeor.learning.budget import plan_with_budget
from medeor.learning.domain import DomainMethod
from medeor.learning.folds import members
from medeor.learning.network import NetworkMethod
from medeor.learning.stack import StackModel, innermost, stacked, weights_table
from medeor.learning.trees.method import TreeMethod
from medeor.trust.measures import measure


class ImageTask:
    """Classes, several labels, ordered grades or a number from 2-D images or 3-D volumes."""

    steps: tuple[Step, ...] = ROAD
    plan_type = ImagePlan

    def read(self, sources: Sources, study: Study) -> Cases:
        return read_cases(sources, study)

    def audit(self, cases: Cases, split: Split) -> list[Finding]:
        return audit_images(cases, split)

    def clean(self, cases: Cases, findings: Sequence[Finding], split: Split) -> pl.DataFrame:
        return clean(cases, findings, split)

    def plan(self, cases: Cases, split: Split, budget: Budget) -> ImagePlan:
        """From the training images: see `plan.rules`. A budget of minutes becomes a number of epochs by a short
        timed trial, and the fit then obeys the number, not the clock."""
        train = split.part(cases, "train", "validation")
        plan = rules(train, budget.settings)
        return plan_with_budget(plan, ImageRecipe.of, cases, split, budget)

    def method(self, plan: ImagePlan) -> Method:
        methods: dict[str, Method] = {
            "network": NetworkMethod(ImageRecipe.of(plan), plan.schedule, not large(plan.preparation)),
            "trees": _trees(plan),
        }
        method = stacked(methods, plan.parts, plan.members)
        if plan.domain:
            method = DomainMethod(method, partial(learned, plan.preparation))
        steps = [step for step in (plan.preparation.denoise, plan.preparation.enhance) if step != "none"]
        if not steps:
            return method
        plain = replace(plan, preparation=replace(plan.preparation, denoise="none", enhance="none"), domain=False)
        return WithGain(method, self.method(plain), " and ".join(steps))

    def baseline(self, plan: ImagePlan) -> Method:
        """Trees alone: what can be said without a network."""
        return members(_trees(plan), plan.members)

    def evaluate(self, cases: Cases, predictions: Predictions) -> Measures:
        return measure(cases, predictions, subgroups=cases.subgroups)

    def show(self, result: Result) -> Iterable[Figure]:
        yield from galleries(result)
        yield from verdict_table(result.predictions)
        model = result.model and innermost(result.model)
        if isinstance(model, StackModel):
            yield weights_table(model)


def _trees(plan: ImagePlan) -> Method:
    return TreeMethod(ImageFeatures(plan.preparation, spots=len(plan.preparation.size) == 3), plan.trees)
