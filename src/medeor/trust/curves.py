"""What can be seen of predictions: forests of figures, what each kind of target draws, operating points and
subgroups, as plain figures that a report draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medeor.contracts import Cases, Measure, Measures, Message, Predictions, Text, named
from medeor.figures import Figure, Intervals, Table
from medeor.statistics.outcomes import Outcomes
from medeor.targets import label, of, statistic
from medeor.targets.outcomes import lined_up
from medeor.trust.measures import SubgroupRow

POINTS = tuple(named("trust.figures", "figure", "value", "interval").values())
COLUMNS = named("trust.figures", "subgroup", "figure", "cases", "value", "others", "difference", "holm").values()


def figures(
    cases: Cases,
    predictions: Predictions,
    *,
    baseline: Predictions | None = None,
    measures: Mapping[str, Measure] | None = None,
    subgroups: Sequence[SubgroupRow] = (),
) -> list[Figure]:
    """All that suits these targets: the forest of `measures`, what the kind of each target draws, operating points,
    subgroups."""
    drawn: list[Figure] = [*forest(measures or {})]
    simple = lined_up(cases, baseline) if baseline is not None and baseline.table.height else []
    baselines = _by_kind(simple)
    for kind, every in _by_kind(lined_up(cases, predictions)).items():
        drawn += of(every[0].target).draw(every, baselines.get(kind, []))
    return [*drawn, *operating_points(measures or {}), *subgroup_figures(subgroups, measures or {})]


def _by_kind(every: Sequence[Outcomes]) -> dict[str, list[Outcomes]]:
    """Those with a case, by the kind of their target."""
    found: dict[str, list[Outcomes]] = {}
    for one in every:
        if len(one):
            found.setdefault(one.target.kind, []).append(one)
    return found


def forest(measures: Measures) -> list[Intervals]:
    """The figures that share an axis on which 1 is perfect, the baseline's beneath each; empty where there are none."""
    rows: list[tuple[Text, float, float | None, float | None]] = []
    # With two classes, sensitivity and specificity say the same as the recall of each.
    left_out = {"recall"} if "sensitivity" in measures else set()
    for name, measure in measures.items():
        figure, plain = statistic(name), not set(name) & set("/@[")
        shown = figure.on_forest if plain else figure.details and name.startswith(f"{figure.name}/")
        if not shown or figure.name in left_out:
            continue
        simple = Message("trust.figures.baseline", label=label(name))
        for title, one in ((label(name), measure), (simple, measures.get(f"baseline/{name}"))):
            if one is not None and one.value is not None:
                rows.append((title, one.value, one.low, one.high))
    return [Intervals(Message("trust.figures.measures"), "", tuple(rows))] if rows else []


def operating_points(measures: Measures) -> list[Table]:
    """Decisions as they were fixed beforehand, points read off the ROC curve, predictive values by prevalence."""
    rows: list[tuple[Text | float | int | None, ...]] = []
    for name, measure in measures.items():
        if statistic(name).operating_point and "[" not in name and measure.value is not None:
            given = measure.low is not None and measure.high is not None
            between = Message("trust.figures.between", low=measure.low, high=measure.high) if given else None
            rows.append((label(name), measure.value, between))
    title, caption = Message("trust.figures.points"), Message("trust.figures.points-caption")
    return [Table(title, POINTS, tuple(rows), caption)] if rows else []


def subgroup_figures(rows: Sequence[SubgroupRow], measures: Measures) -> list[Figure]:
    """A forest of each headline figure by subgroup, with the overall value as its reference, and the table of how each
    subgroup differs from the rest."""
    if not rows:
        return []
    drawn: list[Figure] = []
    for metric in dict.fromkeys(row.metric for row in rows):
        lines = tuple(
            (f"{row.column}: {row.level} ({row.cases})", row.measure.value, row.measure.low, row.measure.high)
            for row in rows
            if row.metric == metric and row.measure.value is not None
        )
        overall = measures.get(metric)
        caption = Message("trust.figures.subgroup-caption") if overall else ""
        reference = overall.value if overall else None
        if lines:
            title = Message("trust.figures.by-subgroup", label=label(metric))
            drawn.append(Intervals(title, label(metric), lines, caption, reference))
    cells: list[tuple[Text | float | int | None, ...]] = [
        (
            f"{row.column}: {row.level}",
            label(row.metric),
            row.cases,
            row.measure.value,
            row.rest.value,
            row.difference.value,
            row.p,
            Message("trust.figures.differs") if row.differs else "",
        )
        for row in rows
    ]
    caption = Message("trust.figures.subgroups-caption", count=len(rows))
    return [*drawn, Table(Message("trust.figures.subgroups"), (*COLUMNS, ""), tuple(cells), caption)]
