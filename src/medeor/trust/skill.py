"""Whether held-out predictions show that a model knows anything about a target. Where they do not, its reasons explain
noise, and no map is drawn."""

from __future__ import annotations

from medeor.contracts import Cases, Predictions
from medeor.statistics.intervals import interval, resample
from medeor.statistics.outcomes import group_codes
from medeor.targets import of
from medeor.targets.common.calibration import Skill
from medeor.targets.outcomes import line_up
from medeor.trust.families import estimators


def skills(cases: Cases, held_out: Predictions) -> tuple[Skill, ...]:
    """The skill in each target of these cases, from predictions of cases that did not fit the model."""
    found = []
    for target in cases.targets:
        figure = of(target).skill
        held = line_up(cases, held_out, target)
        draws = resample(estimators(held, wanted=(figure,)), group_codes(cases)[1])
        measure = interval(draws[figure]) if figure in draws else None
        found.append(Skill(figure, *measure[:3]) if measure else Skill(figure))
    return tuple(found)
