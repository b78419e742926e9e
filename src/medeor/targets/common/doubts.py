"""Which labels held-out predictions contradict: of classes by confident learning, of numbers by outliers."""

from __future__ import annotations

import numpy as np

from medeor.statistics.scores import Array
from medeor.targets.common.kind import LabelDoubts

TOO_MANY = 0.10
"""Share of labels from which it is rather the predictions that are wrong."""

OUTLIER = 6.0
"""Robust standard deviations from the prediction beyond which a number looks wrong."""

_SLOPES = tuple(np.geomspace(0.1, 10, 41))
_SHARES = (0.0, *np.geomspace(0.005, 0.3, 15))
_CHANCE = 3.84
"""Exceeded by a likelihood ratio in 2.5 % of studies whose labels are all right: the share cannot be below none."""


def contradicted(labels: Array, probabilities: Array) -> LabelDoubts:
    """Labels, shape (n,), that probabilities, shape (n, classes), contradict (confident learning; Northcutt, Jiang and
    Chuang 2021, https://arxiv.org/abs/1911.00068). How many cases labelled i are of class j is estimated from those
    whose probability of j is at least what cases labelled j have on average; as many, with the most of j over i, are
    suspected.

    Where labels follow from the case by chance, even right probabilities contradict some of them: labels are suspected
    only if wrong ones explain them better than calibrated probabilities alone."""
    doubts, share = _confident(labels, probabilities)
    if share <= TOO_MANY and not _flipped(labels, probabilities):
        return LabelDoubts(np.zeros(len(labels)), 0.0, int(np.count_nonzero(doubts < 0)))
    return LabelDoubts(doubts, share)


def _confident(labels: Array, probabilities: Array) -> tuple[Array, float]:
    """For each case the margin of its label over the class that contradicts it (below zero: suspected), shape (n,),
    and the estimated share of wrong labels."""
    labels = labels.astype(int)
    one_hot = np.eye(probabilities.shape[1])[labels]
    seen = one_hot.sum(axis=0)
    usual = np.where(seen > 0, (one_hot * probabilities).sum(axis=0) / np.maximum(seen, 1), np.inf)
    sure = np.where(probabilities >= usual, probabilities, -np.inf)
    counted = np.isfinite(sure).any(axis=1)
    joint = np.zeros((len(seen), len(seen)))
    np.add.at(joint, (labels[counted], sure[counted].argmax(axis=1)), 1)
    # Cases without a confident class are shared out as those of their label that have one.
    joint *= np.divide(seen, joint.sum(axis=1), out=np.zeros_like(seen), where=joint.any(axis=1))[:, None]
    doubts = np.zeros(len(labels))
    for label, other in zip(*np.nonzero(joint * (1 - np.eye(len(seen)))), strict=True):
        rows = np.flatnonzero(labels == label)
        margin = probabilities[rows, label] - probabilities[rows, other]
        worst = np.argsort(margin, kind="stable")[: round(joint[label, other])]
        doubts[rows[worst]] = np.minimum(doubts[rows[worst]], margin[worst])
    return doubts, float(1 - np.trace(joint) / max(joint.sum(), 1))


def _flipped(labels: Array, probabilities: Array) -> bool:
    """Whether a share of labels drawn from the other classes explains the labels beyond chance: the likelihood ratio of
    a model with that share against one without, each with its own slope of the log-probabilities, so that a model that
    is merely too sure of itself or too little is no evidence (a label noise model; Bootkrajang and Kabán 2012)."""
    logs = np.log(np.clip(probabilities, 1e-12, None))
    logs -= logs.max(axis=1, keepdims=True)
    likelihoods = []
    for slope in _SLOPES:
        powers = np.exp(slope * logs)
        right = powers[np.arange(len(labels)), labels.astype(int)] / powers.sum(axis=1)
        wrong = (1 - right) / (probabilities.shape[1] - 1)
        mixed = right + np.array(_SHARES)[:, None] * (wrong - right)
        likelihoods.append(np.log(np.maximum(mixed, 1e-300)).sum(axis=1))
    best = np.max(likelihoods, axis=0)
    return bool(2 * (best.max() - best[0]) > _CHANCE)


def outliers(truth: Array, values: Array) -> LabelDoubts:
    """Numbers, shape (n,), that lie beyond `OUTLIER` robust standard deviations from their prediction."""
    residual = truth.astype(float) - values
    residual = np.abs(residual - np.median(residual))
    spread = 1.4826 * np.median(residual)
    doubts = np.minimum(OUTLIER - residual / spread, 0.0) if spread > 0 else np.zeros(len(residual))
    return LabelDoubts(doubts, float(np.mean(doubts < 0)))
