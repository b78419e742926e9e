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
    decided = [target for target in targets if of(target).positive or _threshold(_of(target, calibration))]
    shown = decided if len(decided) <= LISTED else [target for target in decided if target.guessed]
    return together(*(_sentence(of(target).positive, _threshold(_of(target, calibration))) for target in shown))


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


def _threshold(one: TargetCalibration | None) -> Text:
    if one is None or one.threshold is None:
        return ""
    return Message("report.decisions.from", threshold=number(one.threshold), rule=_RULES.get(one.rule, one.rule))
