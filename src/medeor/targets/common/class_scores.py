"""Figures of targets with classes, in families that are computed together, ready to be resampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medeor.contracts import Text
from medeor.statistics import scores
from medeor.statistics.intervals import Estimator
from medeor.statistics.outcomes import Outcomes, units
from medeor.statistics.scores import Array
from medeor.targets.common.kind import Family

if TYPE_CHECKING:
    from medeor.targets.common.categories import Categories

AREAS = ("auroc", "auprc")


def families(kind: Categories, one: Outcomes, prevalences: Sequence[float]) -> list[Family]:
    """All figures of a target with classes."""
    held = tuple(units(one.groups[one.truth == index]) for index in range(len(kind.classes)))
    ranked, order = kind.ranking(one, held)
    fewest = min([count for count in held if count], default=0)
    everyone = units(one.groups)
    # Pairs of a positive and a negative group that share no group: AUROC θ lets all of k pairs be in order with a
    # probability of at most θ^k.
    pairs = min(fewest, everyone // 2) or None
    decided = tuple(kind.decided(np.zeros((1, len(kind.classes), len(kind.classes))), prevalences))

    def decisions() -> Estimator:
        counts = scores.confusion(one.truth, kind.decision(one), len(kind.classes))

        def figures(counted: Array) -> Array:
            return np.stack(list(kind.decided(counted, prevalences).values()), axis=1)

        own = {"accuracy": everyone} | {f"recall/{name}": held[index] for index, name in enumerate(kind.classes)}
        own |= kind.rests_on(one, held)
        trials = dict.fromkeys(("balanced_accuracy", "f1", "quadratic_weighted_kappa"), fewest) | own
        return Estimator(
            decided,
            counts.then(figures),
            one.groups,
            tuple(own.get(name, everyone) for name in decided),
            tuple(trials.get(name) for name in decided),
        )

    def ranking() -> Estimator:
        return Estimator(ranked, order, one.groups, (everyone,) * len(ranked), (pairs,) * len(ranked))

    columns = _losses(kind, one.values, one.truth)
    if one.raw is not None:
        columns |= {f"{name}/uncalibrated": loss for name, loss in _losses(kind, one.raw, one.truth).items()}
    trials: dict[str, int] = {}
    if one.plausible is not None:
        columns["coverage"] = one.plausible[np.arange(len(one)), one.truth].astype(float)
        columns["set_size"] = one.plausible.sum(axis=1).astype(float)
        trials["coverage"] = everyone

    def error(values: Array) -> Callable[[], scores.Score]:
        return lambda: scores.calibration_error(*kind.confidence(values, one.truth), one.groups)

    parts = [(ranked, ranking), (decided, decisions), mean_family(one, columns, trials)]
    parts.append(calibration_family("ece", error(one.values), one.groups))
    if one.raw is not None:
        parts.append(calibration_family("ece/uncalibrated", error(one.raw), one.groups))
    return parts


def areas_by_class(one: Outcomes, classes: Sequence[Text]) -> tuple[tuple[str, ...], scores.Score]:
    """Means over the classes of one against the rest, then the AUROC of each."""
    present = np.array([0 < np.count_nonzero(one.truth == index) < len(one) for index in range(len(classes))])
    places = np.flatnonzero(present)

    each = scores.side_by_side([scores.areas(one.values[:, index], one.truth == index) for index in places])

    def figures(areas: Array) -> Array:
        by_class = np.full((len(areas), 2, len(classes)), np.nan)
        by_class[:, :, places] = areas.reshape(len(areas), -1, 2).swapaxes(1, 2)
        return np.concatenate([scores.mean(by_class), by_class[:, 0]], axis=1)

    return AREAS + tuple(f"auroc/{name}" for name in classes), each.then(figures)


def rates(counts: Array) -> tuple[Array, Array, Array, Array]:
    """Accuracy and balanced accuracy, shape (resamples,), F1 and recall of each class, shape (resamples, k). As in the
    field's libraries, a mean over classes leaves out those that do not occur."""
    right = np.einsum("rii->ri", counts)
    truths, calls = counts.sum(axis=2), counts.sum(axis=1)
    recall = scores.ratio(right, truths)
    f1 = scores.ratio(2 * right, truths + calls)
    accuracy = scores.ratio(right.sum(axis=1), counts.sum(axis=(1, 2)))
    balanced = np.where((truths > 0).sum(axis=1) > 1, scores.mean(recall), np.nan)
    return accuracy, balanced, f1, recall


def mean_family(one: Outcomes, columns: dict[str, Array], trials: dict[str, int]) -> Family:
    """Means over cases of columns, each of shape (n,)."""
    names = tuple(columns)

    def build() -> Estimator:
        everyone = (units(one.groups),) * len(columns)
        shares = tuple(trials.get(name) for name in names)
        return Estimator(names, scores.means(list(columns.values())), one.groups, everyone, shares)

    return names, build


def _losses(kind: Categories, values: Array, truth: Array) -> dict[str, Array]:
    """Brier score and log loss of each case, shape (n,); probabilities are kept off 0 and 1 by one rounding error."""
    probability = kind.probability(values)
    off = np.square(probability - np.eye(probability.shape[1])[truth])
    tiny = np.finfo(float).eps
    chance = np.clip(probability[np.arange(len(truth)), truth], tiny, 1 - tiny)
    return {"brier": kind.brier(off), "log_loss": -np.log(chance)}


def calibration_family(name: str, score: Callable[[], scores.Score], groups: Array) -> Family:
    """An error as `scores.calibration_error` has it, made ready by `score`."""
    return (name,), lambda: Estimator((name, f"observed {name}", f"chance {name}"), score(), groups)
