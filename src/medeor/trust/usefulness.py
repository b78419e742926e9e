"""Whether a model is shown to know anything at all, before it is compared with another or its reasons are shown: the
reasons of one that knows nothing explain noise."""

from __future__ import annotations

from typing import NamedTuple

from medeor.contracts import Cases, Measure, Message, Predictions, Target
from medeor.statistics.intervals import interval, resample
from medeor.statistics.outcomes import group_codes
from medeor.targets import of, statistic
from medeor.targets.common.calibration import Skill
from medeor.targets.outcomes import line_up, lined_up
from medeor.trust.families import estimators


class Floor(NamedTuple):
    """How one target fares against knowing nothing."""

    target: Target
    figure: str
    """The first by which the model is shown to know something, else the first there is."""
    measure: Measure
    informs: bool = True
    """Of classes: whether the log loss is below that of the share of each class, the same for every case."""

    @property
    def useful(self) -> bool:
        """Whether the interval (without one, the value) lies above chance."""
        least = self.measure.value if self.measure.low is None else self.measure.low
        return least is not None and least > (statistic(self.figure).chance or 0.0)


def against_chance(figure: str, measure: Measure) -> Message:
    """A figure, and what a guess reaches."""
    known = statistic(figure)
    return Message("trust.floor.chance", label=known.label, measure=bracketed(measure), chance=known.chance)


def bracketed(measure: Measure) -> Message:
    """A value, with its interval where it has one."""
    value, low, high, _ = measure
    key = "trust.floor.value" if low is None or high is None else "trust.floor.interval"
    return Message(key, value=value, low=low, high=high)


def floors(cases: Cases, predictions: Predictions) -> list[Floor]:
    """Each target whose truth is known well enough to judge, by the figures that its kind names: a class is known where
    the interval of the AUROC lies above .5, a number where that of R² lies above 0. A model that answers the same for
    every case knows nothing."""
    groups = group_codes(cases)[1]
    found = []
    for one in lined_up(cases, predictions):
        test = of(one.target).against_chance(one)
        figures = {name: interval(figure) for name, figure in resample(test.estimators, groups).items()}
        known = [Floor(one.target, name, figures[name], test.informs) for name in test.names if name in figures]
        known = [floor for floor in known if floor.measure.value is not None]
        if known:
            found.append(next((floor for floor in known if floor.useful), known[0]))
    return found


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
