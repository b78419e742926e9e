"""Diagnosis from images: the task that the road drives (`image-classification`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from medeor.contracts import Budget, Cases, Method, Result
from medeor.figures import Figure
from medeor.imaging.audit import audit_images, clean
from medeor.imaging.draw import galleries
from medeor.imaging.model.domain import learned, verdict_table
from medeor.imaging.model.features import ImageFeatures
from medeor.imaging.model.gain import WithGain
from medeor.imaging.model.recipe import ImageRecipe
from medeor.imaging.plan import ImagePlan, large, rules
from medeor.imaging.read.cases import read_cases
from medeor.learning.domain import DomainMethod
from medeor.learning.folds import members
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.supervised import SupervisedTask, shares
from medeor.learning.trees.method import TreeMethod
from medeor.trust.measures import measure


class ImageTask(SupervisedTask[ImagePlan]):
    """Classes, several labels, ordered grades or a number from 2-D images or 3-D volumes."""

    plan_type = ImagePlan
    read = staticmethod(read_cases)
    audit = staticmethod(audit_images)
    clean = staticmethod(clean)
    evaluate = staticmethod(measure)

    def rules(self, train: Cases, budget: Budget) -> ImagePlan:
        return rules(train, budget.settings)

    def parts(self, plan: ImagePlan) -> Mapping[str, Method]:
        return {
            "network": NetworkMethod(ImageRecipe.of(plan), plan.schedule, not large(plan.preparation)),
            "trees": _trees(plan),
        }

    def method(self, plan: ImagePlan) -> Method:
        """The parts with their domain; where images are denoised or enhanced, compared with the same without it."""
        method = super().method(plan)
        if plan.domain:
            method = DomainMethod(method, partial(learned, plan.preparation))
        steps = [step for step in (plan.preparation.denoise, plan.preparation.enhance) if step != "none"]
        if not steps:
            return method
        plain = replace(plan, preparation=replace(plan.preparation, denoise="none", enhance="none"), domain=False)
        return WithGain(method, self.method(plain), " + ".join(steps))

    def baseline(self, plan: ImagePlan) -> Method:
        """Trees alone, without a network."""
        return members(_trees(plan), plan.members)

    def show(self, result: Result) -> Iterable[Figure]:
        yield from galleries(result)
        yield from verdict_table(result.predictions)
        yield from shares(result.model)


def _trees(plan: ImagePlan) -> Method:
    return TreeMethod(ImageFeatures(plan.preparation, spots=len(plan.preparation.size) == 3), plan.trees)
