"""Whether the reasons that a model gives can be believed: they must single out what the answer rests on better than
random maps do, and change when the weights are drawn anew. A reason that fails is not shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import polars as pl

from medeor.contracts import (
    Attribution,
    Cases,
    Explanation,
    Explanations,
    Measure,
    Message,
    Model,
    Predictions,
    Run,
    Text,
    UserError,
)
from medeor.learning.explain import explainer
from medeor.learning.rehearsal import timed
from medeor.statistics.intervals import bootstrap
from medeor.statistics.outcomes import group_codes
from medeor.targets import items, of
from medeor.targets.outcomes import with_truth

SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of the elements, that are put back or taken away: close together where few are, since lesions are small."""

RANDOM_MAPS = 19
"""Against which one map is held: a map better than all of them has p = .05."""

MOST_P = 0.05

SAME_REASONS = 0.5
"""Rank correlation with the map of an untrained model from which a map shows little of what was learned."""

_ENOUGH = 5
"""Cases from which a method is also judged as a whole."""

_ELEMENTS_AT_ONCE = 1 << 24
"""Elements of ablated copies that a model is given in one call, so that volumes fit in memory."""

Answer = Callable[[np.ndarray], np.ndarray]
"""What the model predicts, shape (m,), when only the elements marked in a boolean array (m, *elements) are left."""


@dataclass(frozen=True)
class Faithfulness:
    """How one map fares."""

    value: float
    """Mean height of the insertion curve less that of the deletion curve over `SHARES`, in units of the answer:
    to be compared with `random`, since a map that shows nothing may be well below zero."""
    random: float
    """Mean of the same over random maps."""
    spread: float
    """Standard deviation of the same over random maps."""
    p: float
    """Share of maps, the given one among them, that do as well: one-sided."""


def examine(
    model: Model, cases: Cases, items: Sequence[str], run: Run, withheld: Mapping[str, Text] = {}
) -> Explanations:
    """The model's reasons for `items[i]` in case i, by every method it knows, each with its scores and a verdict.

    A map is shown if it beats all but `MOST_P` of random maps, if its rank correlation with the map of an untrained
    model is below `SAME_REASONS`, and if, over five cases and more, its method passes both as well: the interval of
    the mean gain over random maps above zero, the mean correlation below the bound. What stands in for an element that
    is taken away is the model's to say (`ablate`). `withheld` says, by item, why no map of it is tested or shown
    (see `Calibration.withheld`).

    Summary, by method: `grad-cam/faithfulness`, `grad-cam/faithfulness/random`, `grad-cam/faithfulness/gain`,
    `grad-cam/randomised weights`, `grad-cam/shown` (a share), means over cases with intervals by group."""
    reasoner = explainer(model) if len(cases) else None
    if reasoner is None:
        return Explanations((), {})
    reasons = reasoner.attribute(cases, items, run)
    judged = []
    for done, reason in enumerate(reasons, start=1):
        case = cases.where(pl.col("case_id") == reason.case_id)
        against = withheld.get(reason.item, "")
        judged.append(_scored(reason, partial(reasoner.ablate, case, reason.item, run=run), run.seed, against))
        run.progress(Message("trust.reason.progress"), done, len(reasons))
    groups = dict(zip(cases.ids, group_codes(cases)[0].tolist(), strict=True))
    shown: list[Explanation] = []
    summary: dict[str, Measure] = {}
    for method in dict.fromkeys(explanation.method for explanation in judged):
        own = [explanation for explanation in judged if explanation.method == method]
        own, measures = _judged_together(own, [groups[explanation.case_id] for explanation in own])
        shown += own
        summary |= {f"{method}/{name}": measure for name, measure in measures.items()}
    return Explanations(tuple(shown), summary)


EXPLAINED = 6
"""Cases that a study explains, the fewer there are the fewer; `medeor explain` explains any."""

TRIED = 24
"""Parts of a case that are asked to learn how long an explanation takes."""


def seconds(model: Model, cases: Cases, items: Sequence[str], number: int, run: Run) -> float:
    """How long it takes to explain a number of cases and to test the explanations, measured on a part of the work for
    two of them; 0 where the model gives no reasons."""
    reasoner = explainer(model)
    if reasoner is None or not number:
        return 0.0
    one = cases.where(pl.col("case_id") == cases.ids[0])
    reasons, alone = timed(lambda: reasoner.attribute(one, items[:1], run))
    both = timed(lambda: reasoner.attribute(cases, items, run))[1]
    found = alone + (number - 1) * max(0.0, both - alone)
    for reason in reasons:
        kept = np.arange(TRIED * reason.values.size).reshape(TRIED, *reason.values.shape) % 2 == 0
        tried = timed(partial(reasoner.ablate, one, items[0], kept, run))[1]
        found += number * tried * (1 + RANDOM_MAPS) * 2 * len(SHARES) / TRIED
    return found


def leading(cases: Cases, predictions: Predictions, target: str = "") -> list[str]:
    """The item to explain of each case: the one with the highest value, which for a two-class question is its positive
    class. Of numbers, whose values cannot be compared, it is the first; targets of another kind than the first one are
    left out. Where a `target` is named, it is one of that.

    Raises: UserError where there is no such target."""
    item_of = dict(_leading(cases, predictions, target).select("case_id", "item").iter_rows())
    return [item_of[case_id] for case_id in cases.ids]


def choose(cases: Cases, predictions: Predictions, number: int) -> tuple[Cases, list[str]]:
    """Up to `number` of the predicted cases, in their own order, and the `leading` item of each: half of them the most
    wrong, where the truth is known, and then those whose item has the highest value, where an explanation matters
    most."""
    surest = _leading(cases, predictions)["case_id"].to_list()
    wrong = _most_wrong(cases, predictions)[: number // 2]
    ids = list(dict.fromkeys([*wrong, *surest]))[:number]
    chosen = cases.where(pl.col("case_id").is_in(ids))
    return chosen, leading(chosen, predictions)


def _most_wrong(cases: Cases, predictions: Predictions) -> list[str]:
    """Cases by how far the answer to their first target is from the truth, the furthest first; none without truth."""
    target = cases.targets[0]
    if target.name not in cases.table.columns:
        return []
    ids, truth, values = with_truth(cases, predictions, target)
    return ids[np.argsort(-of(target).error(values, truth), kind="stable")].to_list()


def _leading(cases: Cases, predictions: Predictions, target: str = "") -> pl.DataFrame:
    asked = [one for one in cases.targets if one.name == target] if target else list(cases.targets[:1])
    if not target and asked and of(asked[0]).comparable:
        asked = [one for one in cases.targets if one.kind == asked[0].kind]
    if not asked:
        raise UserError("trust.reason.no-target", target=target, targets=[one.name for one in cases.targets])
    table = predictions.table.filter(pl.col("item").is_in(items(asked)))
    table = table.join(cases.table.select("case_id"), on="case_id", how="semi", maintain_order="left")
    return table.sort("value", descending=True, maintain_order=True).unique(
        "case_id", keep="first", maintain_order=True
    )


def faithfulness(values: np.ndarray, answer: Answer, *, ordered: bool, seed: int = 0) -> Faithfulness:
    """Insertion less deletion area of a map (Petsiuk, Das and Saenko 2018, https://arxiv.org/abs/1806.07421), held
    against random maps. The area is taken over the logarithm of the share of elements: on their even scale a lesion of
    a hundredth of the image is found by any map that has it among its first sixth.

    Args:
        values: the map, shape (*elements,): the higher, the more an element speaks for the answer.
        answer: what the model says of parts of the case.
        ordered: whether neighbouring elements belong together (pixels, time); random maps are then as smooth as the
            map itself, else its values in another order.
        seed: of the random maps, and of the order among equal values.
    """
    generator = np.random.default_rng(seed)
    maps = np.concatenate([values[None], _random_maps(values, RANDOM_MAPS, ordered, generator)])
    flat = maps.reshape(len(maps), -1)
    order = np.lexsort((generator.random(flat.shape), flat), axis=1)
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(flat.shape[1])[None], axis=1)
    place = place.reshape(maps.shape)
    bounds = flat.shape[1] - np.ceil(flat.shape[1] * np.array(SHARES))
    step = max(1, _ELEMENTS_AT_ONCE // (2 * len(bounds) * flat.shape[1]))
    areas = [_areas(place[start : start + step], bounds, answer) for start in range(0, len(maps), step)]
    first, *others = np.concatenate(areas)
    return Faithfulness(
        float(first), float(np.mean(others)), float(np.std(others)), float(1 + np.sum(others >= first)) / len(maps)
    )


def _areas(place: np.ndarray, bounds: np.ndarray, answer: Answer) -> np.ndarray:
    """Insertion less deletion area of some maps, shape (maps,), from the rank of each element, lowest first."""
    inserted = place[:, None] >= bounds.reshape(-1, *[1] * (place.ndim - 1))
    kept = np.stack([inserted, ~inserted])
    answers = np.asarray(answer(kept.reshape(-1, *place.shape[1:])), dtype=float).reshape(kept.shape[:3])
    return (answers[0] - answers[1]).mean(axis=1)


def _random_maps(values: np.ndarray, number: int, ordered: bool, generator: np.random.Generator) -> np.ndarray:
    """Shape (number, *elements). Where elements have an order: maps with the power spectrum of this one, and so its
    smoothness, and phases drawn at random (Theiler et al. 1992)."""
    if not ordered:
        return generator.permuted(np.tile(values.ravel(), (number, 1)), axis=1).reshape(number, *values.shape)
    axes = tuple(range(1, values.ndim + 1))
    noise = np.fft.rfftn(generator.standard_normal((number, *values.shape)), axes=axes)
    spectrum = np.abs(np.fft.rfftn(values - values.mean()))
    return np.fft.irfftn(spectrum * noise / np.maximum(np.abs(noise), 1e-12), s=values.shape, axes=axes)


def sameness(values: np.ndarray, untrained: np.ndarray) -> float:
    """Rank correlation of a map with that of an untrained model (Adebayo et al. 2018,
    https://arxiv.org/abs/1810.03292); 0 where either is flat. A map that is turned around has changed, too."""
    from scipy.stats import rankdata

    ranks = [rankdata(array) for array in (values.ravel(), untrained.ravel())]
    one, other = (rank - rank.mean() for rank in ranks)
    size = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / size) if size > 0 else 0.0


def _scored(reason: Attribution, answer: Answer, seed: int, withheld: Text = "") -> Explanation:
    def verdict(scores: dict[str, float], against: Text) -> Explanation:
        return Explanation(
            reason.case_id, reason.item, reason.method, reason.values, reason.elements, scores, not against, against
        )

    if withheld:
        return verdict({}, withheld)
    if not np.isfinite(reason.values).all() or np.ptp(reason.values) == 0:
        return verdict({}, Message("trust.reason.flat"))
    found = faithfulness(reason.values, answer, ordered=not reason.elements, seed=seed)
    scores = {"faithfulness": found.value, "faithfulness/random": found.random, "p": found.p}
    if found.spread > 0:
        scores["effect"] = (found.value - found.random) / found.spread
    against: Text = ""
    if found.p > MOST_P:
        against = Message("trust.reason.random", p=found.p)
    if reason.untrained is not None:
        scores["randomised weights"] = same = sameness(reason.values, reason.untrained)
        if same >= SAME_REASONS and not against:
            against = Message("trust.reason.untrained", same=same)
    return verdict(scores, against)


def _judged_together(
    explanations: Sequence[Explanation], groups: Sequence[int]
) -> tuple[list[Explanation], dict[str, Measure]]:
    """The explanations of one method, withdrawn where the method as a whole fails, and what was measured."""

    def mean(name: str, values: Sequence[float | None]) -> Measure:
        known = np.array([value is not None for value in values])
        if not known.any():
            return Measure(None, n=0)
        numbers = np.array([value for value in values if value is not None])
        return bootstrap(lambda w: w @ numbers / np.maximum(w.sum(axis=1), 1e-12), np.asarray(groups)[known])

    columns = {
        name: [e.scores.get(name) for e in explanations]
        for name in ("faithfulness", "faithfulness/random", "randomised weights")
    }
    columns["faithfulness/gain"] = [
        None if one is None or other is None else one - other
        for one, other in zip(columns["faithfulness"], columns["faithfulness/random"], strict=True)
    ]
    measures = {name: mean(name, values) for name, values in columns.items()}
    against: Text = ""
    gain, same = measures["faithfulness/gain"], measures["randomised weights"]
    if (gain.n or 0) >= _ENOUGH and gain.low is not None and gain.low <= 0:
        against = Message("trust.reason.method-random")
    elif (same.n or 0) >= _ENOUGH and same.value is not None and same.value >= SAME_REASONS:
        against = Message("trust.reason.method-untrained", same=same.value)
    if against:
        explanations = [replace(e, shown=False, reason=against) if e.shown else e for e in explanations]
    measures["shown"] = mean("shown", [float(e.shown) for e in explanations])
    return list(explanations), measures
