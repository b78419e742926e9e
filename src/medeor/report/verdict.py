"""The one sentence that a report opens with: whether the model is shown to know anything, and more than a baseline."""

from __future__ import annotations

from medeor.contracts import Measure, Result
from medeor.report.page import Tone
from medeor.targets import label, main_figure, of, statistic
from medeor.trust.compare import compare
from medeor.trust.usefulness import Floor, floors


def own_figure(result: Result) -> str:
    """What a task measures first and no other: its headline, before those that all targets of a kind have."""
    first = next(iter(result.measures), "")
    known = {one.name for target in result.cases.targets for one in of(target).statistics}
    return first if statistic(first).name not in known else ""


def verdict(result: Result) -> tuple[str, Tone]:
    """A model that is not shown to know anything explains nothing, whatever the baseline does. Else the paired interval
    of the difference in the main figure decides whether it beats the simple baseline; of a task's own figure, whether
    the two intervals overlap. It is ahead only in the direction of that figure."""
    if own := own_figure(result):
        return _by_own_figure(result, own)
    known = floors(result.cases, result.predictions)
    blind = [floor for floor in known if not floor.useful]
    if known and len(blind) == len(known):
        said = "; ".join(_named(floor, len(known) > 1) for floor in blind[:3])
        more = f" and {len(blind) - 3} more" if len(blind) > 3 else ""
        return f"This model explains nothing, as far as these cases can show: {said}{more}.", "bad"
    said, tone = _against_baseline(result)
    if blind:
        said += f" It explains nothing of {', '.join(floor.target.name for floor in blind)}."
    if empty := [floor.target.name for floor in known if floor.useful and not floor.informs]:
        said += f" The probabilities of {', '.join(empty)} say no more than how common each class is (log loss)."
    return said, "neutral" if tone == "good" and (blind or empty) else tone


def _named(floor: Floor, several: bool) -> str:
    return f"{floor.target.name}: {floor.said}" if several else floor.said


def _by_own_figure(result: Result, own: str) -> tuple[str, Tone]:
    ours, theirs = (result.measures.get(prefix + own, Measure(None)) for prefix in ("", "baseline/"))
    apart = result.measures.get("auroc", Measure(None))
    ahead = ours.value is not None and theirs.value is not None and _gain(own, ours.value, theirs.value) > 0
    if apart.low is not None and apart.low <= 0.5 and not ahead:
        text = f"AUROC {bracketed(apart)}, where 0.5 is chance"
        return f"This model explains nothing, as far as these cases can show: {text}.", "bad"
    if ours.value is None or theirs.value is None:
        return "There is no baseline to hold this model against.", "neutral"
    text = f"{label(own)} {bracketed(ours)} against {bracketed(theirs)} of the simple baseline"
    worst, best = (ours.low, theirs.high) if statistic(own).higher_is_better else (ours.high, theirs.low)
    if ahead and worst is not None and best is not None and _gain(own, worst, best) > 0:
        return f"The model beats the simple baseline: {text}.", "good"
    if ahead:
        return f"The model is ahead of the simple baseline, but their intervals overlap: {text}.", "neutral"
    return f"The model does not beat the simple baseline: {text}.", "bad"


def _against_baseline(result: Result) -> tuple[str, Tone]:
    name = main_figure(result.cases.targets)
    rows = compare(result.cases, result.predictions, result.baseline, metrics=[name]) if name else []
    row = rows[0] if rows else None
    if row is None or row.difference is None or row.ours is None or row.theirs is None:
        return "There is no baseline to hold this model against.", "neutral"
    text = f"{label(name)} {row.ours:.3f} against {row.theirs:.3f} of the simple baseline"
    if row.low is not None and row.high is not None:
        text += f" (difference {row.difference:+.3f}, {row.low:+.3f} to {row.high:+.3f}, paired)"
    if row.better == "ours":
        return f"The model beats the simple baseline: {text}.", "good"
    if _gain(name, row.ours, row.theirs) > 0:
        return f"The model is ahead of the simple baseline, but not beyond chance: {text}.", "neutral"
    return f"The model does not beat the simple baseline: {text}.", "bad"


def _gain(name: str, ours: float, theirs: float) -> float:
    """By how much ours is better."""
    return ours - theirs if statistic(name).higher_is_better else theirs - ours


def bracketed(measure: Measure) -> str:
    between = "" if measure.low is None or measure.high is None else f" ({measure.low:.3f} to {measure.high:.3f})"
    return f"{measure.value:.3f}{between}"
