"""What there is to see of predictions: curves, confusion, reliability, decision curves and forests, as plain figures
that a report draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from medeor.contracts import Cases, Measure, Measures, Predictions
from medeor.figures import Figure, Intervals, Lines, Matrix, Series, Table
from medeor.statistics.intervals import Statistic, interval, resample
from medeor.statistics.outcomes import Outcomes
from medeor.statistics.scores import Array, curve, mass_bins, ratio
from medeor.trust.families import confidence
from medeor.trust.measures import SubgroupRow, answers

POINTS = 200
"""Of one drawn line, at most."""
TOGETHER = 6
"""Classes or labels drawn in one plot, at most: those with the most cases."""

LABELS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "ece": "Calibration error (ECE)",
    "quadratic_weighted_kappa": "Quadratic weighted kappa",
    "grade_error": "Mean error in grades",
    "recall": "Recall",
    "coverage": "Coverage of sets and intervals",
    "set_size": "Classes in a set",
    "interval_width": "Width of the interval",
    "mae": "Mean absolute error",
    "fold_error": "Fold error (geometric mean)",
    "within_2_fold": "Within twofold",
    "within_3_fold": "Within threefold",
    "rmse": "Root mean squared error",
    "r2": "R²",
    "pearson": "Pearson's correlation",
    "spearman": "Spearman's correlation",
    "mrr": "Mean reciprocal rank (MRR)",
    "hits": "Hits",
}
"""How figures are written for a reader."""

FOREST = (
    "auroc", "auprc", "accuracy", "balanced_accuracy", "f1", "sensitivity", "specificity", "ppv", "npv",
    "quadratic_weighted_kappa", "r2", "pearson", "spearman",
)  # fmt: skip
"""Figures that share an axis on which 1 is perfect."""


def label(metric: str) -> str:
    """A metric's name for a reader: `recall/mild` is "Recall: mild", `auroc[sex=F]` "AUROC, sex: F"."""
    name, _, inside = metric.removesuffix("]").partition("[")
    name, _, of = name.partition("/")
    name, _, at = name.partition("@")
    said = LABELS.get(name, name)
    if at:
        said += " at " + " ".join(at.split("="))
    if of:
        said += f": {of}"
    return f"{said}, {inside.replace('=', ': ', 1)}" if inside else said


def figures(
    cases: Cases,
    predictions: Predictions,
    *,
    baseline: Predictions | None = None,
    measures: Mapping[str, Measure] | None = None,
    subgroups: Sequence[SubgroupRow] = (),
) -> list[Figure]:
    """All that suits these targets: the forest of `measures`, curves, reliability, confusion, decision curve,
    operating points, predicted against true, subgroups."""
    every = [one for one in answers(cases, predictions) if len(one)]
    simple: list[Outcomes] = []
    if baseline is not None and baseline.table.height:
        simple = [one for one in answers(cases, baseline) if len(one)]
    drawn: list[Figure] = []
    if measures:
        drawn += forest(measures)
    labels = [one for one in every if one.target.kind == "binary"]
    plain = [one for one in simple if one.target.kind == "binary"]
    if labels:
        drawn += [roc(labels, plain), precision_recall(labels, plain)]
    for one in every:
        if one.continuous:
            drawn.append(predicted_and_true(one))
            continue
        if one.target.kind != "binary":
            drawn += [roc([one]), precision_recall([one])]
        if one.target.kind != "binary" or len(labels) == 1:
            drawn += [reliability(one), distribution(one), confusion(one)]
    if len(labels) == 1:
        drawn.append(decision_curve(labels[0], plain[0] if plain else None))
    elif labels:
        drawn.append(label_reliability(labels))
    if measures:
        drawn += operating_points(measures)
    return drawn + subgroup_figures(subgroups, measures or {})


# --- curves over thresholds ------------------------------------------------------------------------------


def roc(every: Sequence[Outcomes], baseline: Sequence[Outcomes] = ()) -> Lines:
    """Sensitivity against 1 − specificity. One line for a binary target, one a label, or one a class of several."""

    def line(name: str, score: Array, positive: Array, dashed: bool) -> Series:
        true, false = (one[0] for one in curve(score, positive, np.ones((1, len(score)))))
        x, y = np.append(0, false / max(false[-1], 1)), np.append(0, true / max(true[-1], 1))
        return _series(name, *thinned(x, y), dashed=dashed)

    series, left_out = _lines(every, baseline, line)
    return Lines(
        "ROC curve", "1 − specificity", "Sensitivity", series, left_out, x_range=(0, 1), y_range=(0, 1), diagonal=True
    )


def precision_recall(every: Sequence[Outcomes], baseline: Sequence[Outcomes] = ()) -> Lines:
    """Positive predictive value against sensitivity."""

    def line(name: str, score: Array, positive: Array, dashed: bool) -> Series:
        true, false = (one[0] for one in curve(score, positive, np.ones((1, len(score)))))
        precision = true / (true + false)
        x, y = np.append(0, true / max(true[-1], 1)), np.append(precision[0], precision)
        return _series(name, *thinned(x, y), dashed=dashed)

    series, left_out = _lines(every, baseline, line)
    rates = [float((one.truth == 1).mean()) for one in every if one.target.kind == "binary"]
    caption = f"Chance would give a precision of {rates[0]:.2f}, the share of positives. " if len(rates) == 1 else ""
    return Lines(
        "Precision and recall", "Recall (sensitivity)", "Precision (PPV)", series, caption + left_out, (0, 1), (0, 1)
    )


def _lines(
    every: Sequence[Outcomes], baseline: Sequence[Outcomes], line: Callable[[str, Array, Array, bool], Series]
) -> tuple[tuple[Series, ...], str]:
    """A line for each binary question that has both answers, at most `TOGETHER`, and what is said of those left out.
    `line` takes a name, scores, truths and whether to draw it dashed."""
    questions: list[tuple[str, Array, Array, bool]] = []
    for one in every:
        if one.target.kind == "binary":
            name = "Model" if len(every) == 1 else one.target.name
            questions.append((name, one.values[:, 0], one.truth == 1, False))
        else:
            questions += [
                (name, one.values[:, index], one.truth == index, False) for index, name in enumerate(one.classes)
            ]
    questions = [question for question in questions if 0 < np.count_nonzero(question[2]) < len(question[2])]
    common = sorted(questions, key=lambda question: -np.count_nonzero(question[2]))[:TOGETHER]
    kept = [question for question in questions if any(question is one for one in common)]
    text = f"The {TOGETHER} with the most cases of {len(questions)}." if len(kept) < len(questions) else ""
    if len(every) == 1 and len(baseline) == 1:
        kept += [("Baseline", baseline[0].values[:, 0], baseline[0].truth == 1, True)] if kept else []
    return tuple(line(*question) for question in kept), text


def thinned(x: Array, y: Array, points: int = POINTS) -> tuple[Array, Array]:
    """At most `points` of a line, evenly spread along its length in both directions, both ends kept."""
    if len(x) <= points:
        return x, y
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    at = np.searchsorted(length, np.linspace(0, length[-1], points))
    kept = np.unique(np.concatenate([[0], np.minimum(at, len(x) - 1)[1:-1], [len(x) - 1]]))
    return x[kept], y[kept]


def decision_curve(one: Outcomes, baseline: Outcomes | None = None) -> Lines:
    """Net benefit of treating by the model at each threshold probability: true positives less false positives weighed
    by the odds of the threshold, per case (Vickers and Elkin 2006), beside treating all and treating none."""
    at = np.linspace(0.01, 0.99, 99)
    odds = at / (1 - at)

    def benefit(answers: Outcomes) -> Array:
        probability, positive = answers.values[:, 0], answers.truth == 1
        treated = [
            len(side) - np.searchsorted(np.sort(side), at, side="left")
            for side in (probability[positive], probability[~positive])
        ]
        return (treated[0] - treated[1] * odds) / len(probability)

    prevalence = float((one.truth == 1).mean())
    series = [_series("Model", at, benefit(one)), _series("Treat all", at, prevalence - (1 - prevalence) * odds, True)]
    series.append(_series("Treat none", at, np.zeros_like(at), True))
    if baseline is not None:
        series.insert(1, _series("Baseline", at, benefit(baseline)))
    return Lines(
        "Decision curve",
        "Threshold probability",
        "Net benefit",
        tuple(series),
        "The model is of use at the thresholds where its line is the highest.",
        (0, 1),
        (-0.05 - prevalence / 10, max(prevalence * 1.1, 0.05)),
    )


# --- calibration -----------------------------------------------------------------------------------------


def reliability(one: Outcomes, bins: int = 10, seed: int = 0) -> Lines:
    """Observed against predicted frequency in bins of equal mass, with 95 % intervals clustered by group, and before
    calibration where that is known. Of several classes: of the most probable one."""
    probability, outcome = confidence(one.target, one.values, one.truth)
    x, y, low, high = _binned(probability, outcome, one.groups, bins, seed)
    series = [Series("Calibrated" if one.raw is not None else "Model", x, y, low, high)]
    if one.raw is not None:
        probability, outcome = confidence(one.target, one.raw, one.truth)
        x, y, _, _ = _binned(probability, outcome, one.groups, bins, seed)
        series.append(Series("Before calibration", x, y, dashed=True))
    binary = one.target.kind == "binary"
    return Lines(
        "Reliability",
        "Predicted probability" if binary else "Probability of the most probable class",
        "Observed frequency" if binary else "Share that was right",
        tuple(series),
        "On the diagonal, predictions mean what they say.",
        (0, 1),
        (0, 1),
        diagonal=True,
    )


def label_reliability(every: Sequence[Outcomes], bins: int = 10) -> Lines:
    """The same for several labels in one plot, without intervals."""
    common = sorted(every, key=lambda one: -np.count_nonzero(one.truth == 1))[:TOGETHER]
    series = []
    for one in common:
        x, y, _, _ = _binned(one.values[:, 0], one.truth.astype(float), one.groups, bins, 0, resamples=0)
        series.append(Series(one.target.name, x, y))
    text = f"The {TOGETHER} with the most cases of {len(every)}." if len(common) < len(every) else ""
    return Lines(
        "Reliability",
        "Predicted probability",
        "Observed frequency",
        tuple(series),
        text,
        (0, 1),
        (0, 1),
        diagonal=True,
    )


Floats = tuple[float, ...]


def _binned(
    probability: Array, outcome: Array, groups: Array, bins: int, seed: int, resamples: int = 500
) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean prediction, observed rate and its interval, bin by bin. Where an interval is missing it is the rate."""
    place = mass_bins(probability, bins)
    used, place = np.unique(place, return_inverse=True)
    one_hot = np.eye(len(used))[place]
    names = tuple(f"{number}" for number in range(len(used)))
    units = tuple(len(np.unique(groups[place == number])) for number in range(len(used)))

    def rates(weights: Array) -> Array:
        return ratio(weights @ (one_hot * outcome[:, None]), weights @ one_hot)

    _, codes = np.unique(groups, return_inverse=True)
    statistic = Statistic(names, rates, codes, units, units)
    found = resample([statistic], int(codes.max()) + 1, resamples=resamples, seed=seed)
    measured = [interval(found[name]) for name in names]
    y = [measure.value or 0.0 for measure in measured]
    low = [value if measure.low is None else measure.low for value, measure in zip(y, measured)]
    high = [value if measure.high is None else measure.high for value, measure in zip(y, measured)]
    x = ratio(one_hot.T @ probability, one_hot.sum(axis=0))
    return tuple(x.tolist()), tuple(y), tuple(low), tuple(high)


def distribution(one: Outcomes, bins: int = 20) -> Lines:
    """Where predictions lie, as a histogram for each true class (of several classes: right and wrong)."""
    probability, outcome = confidence(one.target, one.values, one.truth)
    names = one.classes if one.target.kind == "binary" else ("Wrong", "Right")
    edges = np.linspace(0, 1, bins + 1)
    series = []
    for index, name in enumerate(names):
        of_class = probability[outcome == index]
        if len(of_class):
            share = np.histogram(of_class, edges)[0] / len(of_class)
            # A step: each height stands over its whole bin.
            series.append(_series(name, np.repeat(edges, 2), np.concatenate([[0], np.repeat(share, 2), [0]])))
    axis = "Predicted probability" if one.target.kind == "binary" else "Probability of the most probable class"
    return Lines("Distribution of predictions", axis, "Share of cases", tuple(series), x_range=(0, 1))


# --- decisions, numbers, forests -------------------------------------------------------------------------


def confusion(one: Outcomes) -> Matrix:
    """Cases by true and decided class."""
    classes = one.classes
    counts = np.bincount(one.truth * len(classes) + one.decision, minlength=len(classes) ** 2)
    values = tuple(tuple(float(count) for count in row) for row in counts.reshape(len(classes), -1))
    return Matrix("Confusion matrix", classes, classes, values, "Truth", "Decision")


def predicted_and_true(one: Outcomes, points: int = 400) -> Lines:
    """Predicted against true values, the logarithms where these are learnt; of many cases an even choice along the
    truth."""
    truth, values, unit = one.truth, one.values[:, 0], one.target.unit
    if one.target.scale == "log":
        truth, values, unit = np.log10(truth), np.log10(values), f"log10 {unit}".rstrip()
    order = np.argsort(truth, kind="stable")
    kept = order[np.linspace(0, len(order) - 1, min(points, len(order))).round().astype(np.int64)]
    unit = f" ({unit})" if unit else ""
    ends = np.concatenate([truth[kept], values[kept]])
    span = (float(ends.min()), float(ends.max()))
    text = f"{len(kept)} of {len(order)} cases." if len(kept) < len(order) else ""
    cloud = Series("Cases", tuple(truth[kept].tolist()), tuple(values[kept].tolist()), points=True)
    name = one.target.name
    return Lines(
        f"{name}: predicted and true", f"True{unit}", f"Predicted{unit}", (cloud,), text, span, span, diagonal=True
    )


def forest(measures: Measures) -> list[Intervals]:
    """The figures that share an axis on which 1 is perfect, the baseline's beneath each; empty where there are none."""
    rows: list[tuple[str, float, float | None, float | None]] = []
    for name, measure in measures.items():
        # With two classes, sensitivity and specificity say the same as the recall of each.
        details = ("auroc/",) if "sensitivity" in measures else ("auroc/", "recall/")
        if name not in FOREST and not name.startswith(details):
            continue
        for said, one in ((label(name), measure), (f"{label(name)}, baseline", measures.get(f"baseline/{name}"))):
            if one is not None and one.value is not None:
                rows.append((said, one.value, one.low, one.high))
    return [Intervals("Measures with 95 % intervals", "", tuple(rows))] if rows else []


def operating_points(measures: Measures) -> list[Table]:
    """Decisions as they were fixed beforehand, points read off the ROC curve, predictive values by prevalence."""
    rows: list[tuple[str | float | int | None, ...]] = []
    for name, measure in measures.items():
        plain = name.split("@")[0].split("/")[0]
        if plain in ("sensitivity", "specificity", "ppv", "npv") and "[" not in name and measure.value is not None:
            given = measure.low is not None and measure.high is not None
            rows.append((label(name), measure.value, f"{measure.low:.3f} to {measure.high:.3f}" if given else None))
    caption = (
        "Points at a fixed sensitivity or specificity are read off these cases' own ROC curve. All others use the "
        "threshold that was fixed beforehand on held-out cases, at the stated prevalence or the one of these cases."
    )
    return [Table("Operating points", ("Figure", "Value", "95 % interval"), tuple(rows), caption)] if rows else []


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
        caption = "In brackets the number of cases; the line is the value of all." if overall else ""
        reference = overall.value if overall else None
        if lines:
            drawn.append(Intervals(f"{label(metric)} by subgroup", label(metric), lines, caption, reference))
    cells: list[tuple[str | float | int | None, ...]] = [
        (
            f"{row.column}: {row.level}",
            label(row.metric),
            row.cases,
            row.measure.value,
            row.rest.value,
            row.difference.value,
            row.p,
            "differs" if row.differs else "",
        )
        for row in rows
    ]
    columns = ("Subgroup", "Figure", "Cases", "Value", "All others", "Difference", "p (Holm)", "")
    caption = f"p-values are adjusted for these {len(rows)} comparisons; no difference found is not proof of none."
    return [*drawn, Table("Subgroups against all others", columns, tuple(cells), caption)]


def _series(name: str, x: Array, y: Array, dashed: bool = False) -> Series:
    return Series(name, tuple(x.tolist()), tuple(y.tolist()), dashed=dashed)
