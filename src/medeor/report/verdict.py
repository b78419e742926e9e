"""The one sentence that a report opens with: whether the model is shown to know anything, and more than a baseline."""

from __future__ import annotations

from medeor.contracts import Measure, Message, Result, Text, listed
from medeor.report.page import Tone
from medeor.report.text import together
from medeor.targets import label, main_figure, of, statistic
from medeor.trust.compare import compare
from medeor.trust.usefulness import Floor, against_chance, bracketed, floors


def own_figure(result: Result) -> str:
    """What a task measures first and no other: its headline, before those that all targets of a kind have."""
    first = next(iter(result.measures), "")
    known = {one.name for target in result.cases.targets for one in of(target).statistics}
    return first if statistic(first).name not in known else ""


def verdict(result: Result) -> tuple[Text, Tone]:
    """A model that is not shown to know anything explains nothing, whatever the baseline does. Else the paired interval
    of the difference in the main figure decides whether it beats the simple baseline; of a task's own figure, whether
    the two intervals overlap. It is ahead only in the direction of that figure."""
    if own := own_figure(result):
        return _by_own_figure(result, own)
    known = floors(result.cases, result.predictions)
    blind = [floor for floor in known if not floor.useful]
    if known and len(blind) == len(known):
        reasons = [_named(floor, len(known) > 1) for floor in blind]
        return Message("report.verdict.nothing", why=listed(reasons, 3)), "bad"
    words, tone = _against_baseline(result)
    if blind:
        words = together(words, Message("report.verdict.nothing-of", targets=[floor.target.name for floor in blind]))
    if empty := [floor.target.name for floor in known if floor.useful and not floor.informs]:
        words = together(words, Message("report.verdict.shares-alone", targets=empty))
    return words, "neutral" if tone == "good" and (blind or empty) else tone


def _named(floor: Floor, several: bool) -> Message:
    text = against_chance(floor.figure, floor.measure)
    return Message("report.verdict.of-target", target=floor.target.name, text=text) if several else text


def _by_own_figure(result: Result, own: str) -> tuple[Text, Tone]:
    ours, theirs = (result.measures.get(prefix + own, Measure(None)) for prefix in ("", "baseline/"))
    ranking = result.measures.get("auroc", Measure(None))
    ahead = ours.value is not None and theirs.value is not None and _gain(own, ours.value, theirs.value) > 0
    if ranking.low is not None and ranking.low <= 0.5 and not ahead:
        return Message("report.verdict.nothing", why=against_chance("auroc", ranking)), "bad"
    if ours.value is None or theirs.value is None:
        return Message("report.verdict.no-baseline"), "neutral"
    both = Message("report.verdict.both", label=label(own), ours=bracketed(ours), theirs=bracketed(theirs))
    worst, best = (ours.low, theirs.high) if statistic(own).higher_is_better else (ours.high, theirs.low)
    if ahead and worst is not None and best is not None and _gain(own, worst, best) > 0:
        return Message("report.verdict.beats", figures=both), "good"
    if ahead:
        return Message("report.verdict.intervals-overlap", figures=both), "neutral"
    return Message("report.verdict.does-not-beat", figures=both), "bad"


def _against_baseline(result: Result) -> tuple[Text, Tone]:
    name = main_figure(result.cases.targets)
    rows = compare(result.cases, result.predictions, result.baseline, metrics=[name]) if name else []
    row = rows[0] if rows else None
    if row is None or row.difference is None or row.ours is None or row.theirs is None:
        return Message("report.verdict.no-baseline"), "neutral"
    ours, theirs = (bracketed(Measure(value)) for value in (row.ours, row.theirs))
    text = Message("report.verdict.both", label=label(name), ours=ours, theirs=theirs)
    if row.low is not None and row.high is not None:
        text = Message("report.verdict.paired", both=text, difference=row.difference, low=row.low, high=row.high)
    if row.better == "ours":
        return Message("report.verdict.beats", figures=text), "good"
    if _gain(name, row.ours, row.theirs) > 0:
        return Message("report.verdict.not-beyond-chance", figures=text), "neutral"
    return Message("report.verdict.does-not-beat", figures=text), "bad"


def _gain(name: str, ours: float, theirs: float) -> float:
    return ours - theirs if statistic(name).higher_is_better else theirs - ours
