"""The decisions of a report: which class is called positive, and from which probability on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medeor.contracts import Message, Target, Text, named
from medeor.figures import Table
from medeor.report.text import number, together
from medeor.targets import categorical, of
from medeor.targets.common.calibration import TargetCalibration
from medeor.trust.calibration import Calibration

LISTED = 3
"""Targets that are named in the first line; more of them stand in the table alone."""

_RULES = named("report.rule", "equal", "youden", "accuracy", "prevalence") | {"0.5": Message("report.rule.half")}
_COLUMNS = tuple(named("report.decisions", "target", "positive", "threshold", "rule").values())


def first_words(targets: Sequence[Target], calibration: Calibration | None) -> Text:
    """Sentences for the first line: `Positive class: malignant; threshold .37 (sensitivity equal to specificity).`;
    empty where no target is binary."""
    found = [(target, of(target).positive, _threshold(target, calibration)) for target in targets]
    decided = [(target, positive, threshold) for target, positive, threshold in found if positive or threshold]
    return together(
        *(_sentence(positive, from_) for target, positive, from_ in decided if target.guessed or len(decided) <= LISTED)
    )


def decisions(targets: Sequence[Target], calibration: Calibration | None) -> Iterable[Table]:
    """Each binary target with its positive class, its threshold and the rule of that."""
    rows = []
    for target in categorical(targets):
        one = _of(target, calibration)
        if one is not None and one.threshold is not None:
            positive: Text = of(target).words[1] if of(target).positive else target.name
            if target.guessed:
                positive = Message("report.decisions.guessed", positive=positive)
            rows.append((target.name, positive, number(one.threshold), _RULES.get(one.rule, one.rule)))
    if rows:
        yield Table(Message("report.decisions.title"), _COLUMNS, tuple(rows), Message("report.decisions.caption"))


def _of(target: Target, calibration: Calibration | None) -> TargetCalibration | None:
    return next((one for one in calibration.targets if one.target == target.name), None) if calibration else None


def _sentence(positive: Text, threshold: Text) -> str:
    """Either or both, with a capital."""
    key = "report.decisions.both" if positive and threshold else "report.decisions.one"
    text = str(Message(key, positive=positive, threshold=threshold, one=positive or threshold))
    return text[0].upper() + text[1:]


def _threshold(target: Target, calibration: Calibration | None) -> Text:
    one = _of(target, calibration)
    if one is None or one.threshold is None:
        return ""
    return Message("report.decisions.from", threshold=number(one.threshold), rule=_RULES.get(one.rule, one.rule))
