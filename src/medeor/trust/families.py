"""Which figures each kind of target has, in families that are computed together, ready to be resampled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from medeor.contracts import Target
from medeor.statistics import scores
from medeor.statistics.intervals import Resampled, Statistic, average
from medeor.statistics.outcomes import Outcomes, probabilities
from medeor.statistics.scores import Array

PREVALENCES = (0.01, 0.05, 0.1)
"""At which predictive values are stated: those of a part with many cases say little about a clinic with few."""

ENOUGH = 40
"""Independent positives from which the specificity at a stated sensitivity is given, and negatives for the sensitivity
at a stated specificity: an order statistic of fewer is too coarse to be resampled."""

_AREAS = ("auroc", "auprc")
_SENSITIVITIES = tuple(f"sensitivity@specificity={fixed:.2f}" for fixed in scores.SPECIFICITIES)
_SPECIFICITIES = tuple(f"specificity@sensitivity={fixed:.2f}" for fixed in scores.SENSITIVITIES)

LABEL_MEANS = ("auroc", "auprc", "accuracy", "balanced_accuracy", "f1", "brier", "log_loss", "ece")
"""Figures whose mean over several binary targets (the macro mean) is reported under the plain name."""


def statistics(
    one: Outcomes,
    *,
    prevalences: Sequence[float] = PREVALENCES,
    wanted: Collection[str] | None = None,
    named: bool = False,
) -> list[Statistic]:
    """What is to be resampled for one target: all figures, or the families that hold a `wanted` one. With `named`
    the target's name follows each figure's."""
    if not len(one):
        return []
    parts = _of_numbers(one) if one.continuous else _of_classes(one, prevalences)
    built = [build() for names, build in parts if wanted is None or set(names) & set(wanted)]
    if not named:
        return built
    return [replace(part, names=tuple(f"{name}/{one.target.name}" for name in part.names)) for part in built]


Family = tuple[tuple[str, ...], Callable[[], Statistic]]


def _of_classes(one: Outcomes, prevalences: Sequence[float]) -> list[Family]:
    classes = one.classes
    binary = one.target.kind == "binary"
    held = tuple(_units(one.groups[one.truth == index]) for index in range(len(classes)))
    fewest = min([units for units in held if units], default=0)
    everyone = _units(one.groups)
    # Pairs of a positive and a negative group that share no group: AUROC θ lets all of k pairs be in order with a
    # probability of at most θ^k.
    pairs = min(fewest, everyone // 2) or None

    def ranking() -> Statistic:
        if binary:
            every = scores.ranking(one.values[:, 0], one.truth == 1)
            places = [(_AREAS + _SENSITIVITIES + _SPECIFICITIES).index(name) for name in ranked]
            return Statistic(
                ranked, lambda w: every(w)[:, places], one.groups, (everyone,) * len(ranked), (pairs,) * len(ranked)
            )
        present = np.array([0 < np.count_nonzero(one.truth == index) < len(one) for index in range(len(classes))])
        each = [scores.areas(one.values[:, index], one.truth == index) for index in np.flatnonzero(present)]

        def of(weights: Array) -> Array:
            by_class = np.full((len(weights), 2, len(classes)), np.nan)
            for index, score in zip(np.flatnonzero(present), each):
                by_class[:, :, index] = score(weights)
            return np.concatenate([scores.mean(by_class), by_class[:, 0]], axis=1)

        return Statistic(ranked, of, one.groups, (everyone,) * len(ranked), (pairs,) * len(ranked))

    if binary:
        # The fixed side is an order statistic of one class, of negatives or of positives.
        ranked = _AREAS + _SENSITIVITIES * (held[0] >= ENOUGH) + _SPECIFICITIES * (held[1] >= ENOUGH)
    else:
        ranked = _AREAS + tuple(f"auroc/{name}" for name in classes)
    decided = decision_names(one.target, prevalences)

    def decisions() -> Statistic:
        counts = scores.confusion(one.truth, one.decision, len(classes))

        def of(weights: Array) -> Array:
            return _decided(one.target, counts(weights), prevalences)

        units = {"accuracy": everyone} | {f"recall/{name}": held[index] for index, name in enumerate(classes)}
        if binary:
            units |= {"sensitivity": held[1], "specificity": held[0]}
            for name, index in (("ppv", 1), ("npv", 0)):
                units[name] = _units(one.groups[one.decision == index])
        trials = dict.fromkeys(("balanced_accuracy", "f1", "quadratic_weighted_kappa"), fewest) | units
        return Statistic(
            decided,
            of,
            one.groups,
            tuple(units.get(name, everyone) for name in decided),
            tuple(trials.get(name) for name in decided),
        )

    parts: list[Family] = [(ranked, ranking), (decided, decisions)]
    columns = _losses(one.target, one.values, one.truth)
    if one.raw is not None:
        columns |= {f"{name}/uncalibrated": loss for name, loss in _losses(one.target, one.raw, one.truth).items()}
    trials: dict[str, int] = {}
    if one.plausible is not None:
        columns["coverage"] = one.plausible[np.arange(len(one)), one.truth].astype(float)
        columns["set_size"] = one.plausible.sum(axis=1).astype(float)
        trials["coverage"] = everyone
    parts.append(_mean_family(one, columns, trials))
    parts.append(_calibration_family(one, "ece", one.values))
    if one.raw is not None:
        parts.append(_calibration_family(one, "ece/uncalibrated", one.raw))
    return parts


def decision_names(target: Target, prevalences: Sequence[float]) -> tuple[str, ...]:
    names: tuple[str, ...] = ("accuracy", "balanced_accuracy", "f1")
    if target.kind == "binary":
        names += ("sensitivity", "specificity", "ppv", "npv")
        names += tuple(f"{value}@prevalence={rate:g}" for rate in prevalences for value in ("ppv", "npv"))
    if target.kind == "ordinal":
        names += ("quadratic_weighted_kappa", "grade_error")
    return names + tuple(f"recall/{name}" for name in target.classes)


def _decided(target: Target, counts: Array, prevalences: Sequence[float]) -> Array:
    """Figures of confusion matrices, shape (resamples, k, k), in the order of `decision_names`. As in the field's
    libraries, a mean over classes leaves out those that do not occur."""
    right = np.einsum("rii->ri", counts)
    truths, calls = counts.sum(axis=2), counts.sum(axis=1)
    total = counts.sum(axis=(1, 2))
    recall = scores.ratio(right, truths)
    f1 = scores.ratio(2 * right, truths + calls)
    accuracy = scores.ratio(right.sum(axis=1), total)
    balanced = np.where((truths > 0).sum(axis=1) > 1, scores.mean(recall), np.nan)
    if target.kind == "binary":
        sensitivity, specificity = recall[:, 1], recall[:, 0]
        ppv, npv = scores.ratio(right[:, 1], calls[:, 1]), scores.ratio(right[:, 0], calls[:, 0])
        columns = [accuracy, balanced, f1[:, 1], sensitivity, specificity, ppv, npv]
        for rate in prevalences:
            true, false = sensitivity * rate, (1 - specificity) * (1 - rate)
            columns.append(scores.ratio(true, true + false))
            true, false = specificity * (1 - rate), (1 - sensitivity) * rate
            columns.append(scores.ratio(true, true + false))
    else:
        columns = [accuracy, balanced, scores.mean(f1)]
    if target.kind == "ordinal":
        grades = np.arange(counts.shape[1])
        apart = np.abs(grades[:, None] - grades)
        columns += [scores.kappa(counts), scores.ratio(np.einsum("rij,ij->r", counts, apart), total)]
    columns += list(recall.T) if target.classes else []
    return np.stack(columns, axis=1)


def _losses(target: Target, values: Array, truth: Array) -> dict[str, Array]:
    """Brier score and log loss of each case, shape (n,); probabilities are kept off 0 and 1 by one rounding error."""
    probability = probabilities(target, values)
    off = np.square(probability - np.eye(probability.shape[1])[truth])
    tiny = np.finfo(float).eps
    chance = np.clip(probability[np.arange(len(truth)), truth], tiny, 1 - tiny)
    return {"brier": off[:, 1] if target.kind == "binary" else off.sum(axis=1), "log_loss": -np.log(chance)}


def confidence(target: Target, values: Array, truth: Array) -> tuple[Array, Array]:
    """What calibration is judged on, each of shape (n,): the probability of the positive class and whether it was
    true; of several classes the probability of the most probable one and whether that was right (Guo et al. 2017)."""
    if target.kind == "binary":
        return values[:, 0], truth.astype(float)
    return values.max(axis=1), (values.argmax(axis=1) == truth).astype(float)


def _calibration_family(one: Outcomes, name: str, values: Array) -> Family:
    def build() -> Statistic:
        score = scores.calibration_error(*confidence(one.target, values, one.truth), one.groups)
        return Statistic((name, f"observed {name}", f"chance {name}"), score, one.groups)

    return (name,), build


def _mean_family(one: Outcomes, columns: dict[str, Array], trials: dict[str, int]) -> Family:
    def build() -> Statistic:
        everyone = (_units(one.groups),) * len(columns)
        return Statistic(
            names, scores.means(list(columns.values())), one.groups, everyone, tuple(trials.get(name) for name in names)
        )

    names = tuple(columns)
    return names, build


def _of_numbers(one: Outcomes) -> list[Family]:
    predicted = one.values[:, 0]
    columns = {"mae": np.abs(one.truth - predicted)}
    trials: dict[str, int] = {}
    if one.low is not None and one.high is not None:
        # An end that is not there does not bound.
        low, high = np.nan_to_num(one.low, nan=-np.inf), np.nan_to_num(one.high, nan=np.inf)
        columns["coverage"] = ((low <= one.truth) & (one.truth <= high)).astype(float)
        trials["coverage"] = _units(one.groups)
        if np.isfinite(high - low).all():
            columns["interval_width"] = high - low
    agreed = ("rmse", "r2", "pearson", "spearman")
    if one.target.scale == "log":
        with np.errstate(invalid="ignore", divide="ignore"):
            apart = np.abs(np.log10(predicted) - np.log10(one.truth))
        columns |= {f"within_{fold}_fold": (apart <= np.log10(fold)).astype(float) for fold in (2, 3)}
        trials |= dict.fromkeys(("within_2_fold", "within_3_fold"), _units(one.groups))
        distance = scores.means([apart])
        folds = [(("fold_error",), lambda: Statistic(("fold_error",), lambda w: 10 ** distance(w), one.groups))]
    else:
        folds = []
    return [
        *folds,
        _mean_family(one, columns, trials),
        (agreed, lambda: Statistic(agreed, scores.agreement(one.truth, predicted), one.groups)),
    ]


def settle(found: dict[str, Resampled]) -> dict[str, Resampled]:
    """Calibration errors made ready for an interval: a mean of absolute values grows on every resampling, so the draws
    are moved back to the value; where chance alone explains what was observed, zero is not excluded."""
    result = {}
    for name, figure in found.items():
        if name.startswith(("observed ", "chance ")):
            continue
        if f"observed {name}" in found and len(figure.draws):
            explained = found[f"observed {name}"].value <= found[f"chance {name}"].value
            draws = np.maximum(figure.draws - np.nanmean(figure.draws) + figure.value, 0.0)
            figure = replace(figure, draws=draws, left_out=draws[:0], least=0.0 if explained else None)
        result[name] = figure
    return result


def label_means(targets: Sequence[Target], found: dict[str, Resampled]) -> dict[str, Resampled]:
    """The macro means of several binary targets; empty for other questions."""
    if len(targets) < 2 or any(target.kind != "binary" for target in targets):
        return {}
    return {
        name: average(each)
        for name in LABEL_MEANS
        if (each := [found[key] for target in targets if (key := f"{name}/{target.name}") in found])
    }


def _units(groups: Array) -> int:
    return len(np.unique(groups))
