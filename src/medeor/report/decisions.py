"""What a report says of its decisions: which class is called positive, and from which probability on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medeor.contracts import Target
from medeor.figures import Table
from medeor.report.text import number
from medeor.targets import categorical, of
from medeor.targets.common.calibration import TargetCalibration
from medeor.trust.calibration import Calibration

LISTED = 3
"""Targets that are named in the first line; of more the table tells."""

_RULES = {
    "equal": "sensitivity equal to specificity",
    "youden": "largest sum of sensitivity and specificity",
    "accuracy": "highest accuracy",
    "prevalence": "share of positives",
    "0.5": "even odds",
}


def first_words(targets: Sequence[Target], calibration: Calibration | None) -> str:
    """Sentences for the first line: `Positive class: malignant; threshold .37 (sensitivity equal to specificity). `;
    empty where no target is binary."""
    decided = [target for target in targets if of(target).positive or _threshold(_of(target, calibration))]
    shown = decided if len(decided) <= LISTED else [target for target in decided if target.guessed]
    said = ["; ".join(filter(None, (of(target).positive, _threshold(_of(target, calibration))))) for target in shown]
    return "".join(f"{text[0].upper()}{text[1:]}. " for text in said if text)


def decisions(targets: Sequence[Target], calibration: Calibration | None) -> Iterable[Table]:
    """Each binary target with its positive class, its threshold and the rule of that."""
    rows = []
    for target in categorical(targets):
        one = _of(target, calibration)
        if one is not None and one.threshold is not None:
            named = of(target).words[1] if of(target).positive else target.name
            guessed = " (guessed)" if target.guessed else ""
            rows.append((target.name, f"{named}{guessed}", number(one.threshold), _RULES.get(one.rule, one.rule)))
    if rows:
        caption = "A case is called positive from this calibrated probability on."
        yield Table("Decisions", ("target", "positive class", "threshold", "rule"), tuple(rows), caption)


def _of(target: Target, calibration: Calibration | None) -> TargetCalibration | None:
    return next((one for one in calibration.targets if one.target == target.name), None) if calibration else None


def _threshold(one: TargetCalibration | None) -> str:
    if one is None or one.threshold is None:
        return ""
    return f"threshold {number(one.threshold)} ({_RULES.get(one.rule, one.rule)})"
