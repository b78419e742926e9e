"""Cases as a person would look at them: the best and the worst answers, with their maps where they can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from medeor.contracts import Cases, Explanation, Predictions, Result
from medeor.figures import Figure, Gallery, Picture
from medeor.imaging.cases import ImageStore
from medeor.imaging.prepare import Preparation, prepare_one
from medeor.learning.network import NetworkModel
from medeor.learning.stack import StackModel

SHOWN = 8
LARGEST = 256
"""Pixels along the longer side of a picture."""


def galleries(result: Result) -> list[Figure]:
    """The explained cases, most wrong first, and a note of the maps that did not earn their place."""
    explained = _by_case(result.explanations.cases)
    preparation = preparation_of(result.model)
    worst: list[Picture] = []
    best: list[Picture] = []
    for case_id, answers in explained.items():
        case = result.cases.where(pl.col("case_id") == case_id)
        (right, caption), shown = judged(case, result.predictions), [a for a in answers if a.shown]
        strongest = max(shown, key=lambda a: a.scores.get("faithfulness", 0.0), default=answers[0])
        picture = picture_of(case, strongest, caption, "good" if right else "bad", preparation)
        (best if right else worst).append(picture)
    told = "Colour: where the answer comes from, only for maps that beat a random map of the same smoothness."
    figures: list[Figure] = []
    if worst:
        figures.append(Gallery("Most wrong", tuple(worst[:SHOWN]), told))
    if best:
        figures.append(Gallery("Most certain and right", tuple(best[:SHOWN]), told))
    return figures


def judged(case: Cases, predictions: Predictions) -> tuple[bool, str]:
    """Whether the answer for one case is right, and truth and answer in words."""
    rows = predictions.table.filter(pl.col("case_id") == case.ids[0])
    right, words = True, []
    for target in case.targets:
        own = rows.filter(pl.col("item").is_in(target.items))
        truth = case.table.get_column(target.name).cast(pl.Float64)[0]
        if target.kind == "continuous":
            value = float(own["value"][0])
            words.append(f"{target.name} {value:.3g}" + ("" if truth is None else f", truly {truth:.3g}"))
            continue
        said = _said(own, target.kind == "binary")
        likely = own["item"][int(own["value"].arg_max() or 0)]
        words.append(f"{likely} {max(own['value'].to_list()):.0%}, so said {_name(target.classes, said)}")
        if truth is not None:
            words[-1] = f"truly {_name(target.classes, int(truth))}; {words[-1]}"
            right &= said == int(truth)
    return right, f"{case.ids[0]}: {'; '.join(words)}"


def preparation_of(model: object) -> Preparation | None:
    """How the network within a model has its images prepared; None where there is none."""
    if isinstance(model, NetworkModel):
        return getattr(model.recipe, "preparation", None)
    inner = [*model.parts.values()] if isinstance(model, StackModel) else getattr(model, "members", ())
    return next((found for one in inner if (found := preparation_of(one))), None)


def picture_of(
    case: Cases,
    explanation: Explanation | None,
    caption: str,
    tone: str = "",
    preparation: Preparation | None = None,
) -> Picture:
    """One case as a picture, with the map of its explanation where that is shown; of a volume, the slice where the
    map is strongest, else the middle one. The map lies on the grid of `preparation`."""
    keys: Sequence[str] = case.table["images"][0].to_list()
    stored = case.store(ImageStore).read(keys)
    pixels = stored.pixels
    # Reasons with names are about numbers of the image, such as its brightness, and lie nowhere in it.
    drawn = explanation is not None and explanation.shown and not explanation.elements
    weights = explanation.attribution if explanation is not None and drawn else None
    size = weights.shape if weights is not None else _limited(pixels.shape[1:])
    channels = 3 if pixels.shape[0] == 3 else 1
    shown = Preparation(tuple(size), channels, "range")
    if preparation is not None and weights is not None:
        shown = replace(shown, spacing=preparation.spacing, arithmetic=preparation.arithmetic)
    image = prepare_one(pixels[:channels], shown, stored.spacing)
    if image.ndim == 4:
        place = int(weights.max((1, 2)).argmax()) if weights is not None else image.shape[1] // 2
        image = image[:, place]
        weights = weights[place] if weights is not None else None
    grey = (image.clip(0, 1) * 255).round().astype(np.uint8)
    overlay = None
    if weights is not None:
        overlay = np.maximum(weights, 0) / max(float(weights.max()), 1e-12)
    return Picture(np.moveaxis(grey, 0, -1) if channels == 3 else grey[0], caption, overlay, tone)


def _by_case(explanations: Sequence[Explanation]) -> dict[str, list[Explanation]]:
    by_case: dict[str, list[Explanation]] = {}
    for explanation in explanations:
        by_case.setdefault(explanation.case_id, []).append(explanation)
    return by_case


def _said(own: pl.DataFrame, binary: bool) -> int:
    if not binary:
        return int(own["value"].arg_max() or 0)
    if "chosen" in own.columns and own["chosen"][0] is not None:
        return int(own["chosen"][0])
    return int(own["value"][0] >= 0.5)


def _name(classes: tuple[str, ...], index: int) -> str:
    return classes[index] if classes else ("no", "yes")[index]


def _limited(sides: tuple[int, ...]) -> tuple[int, ...]:
    factor = min(1.0, LARGEST / max(sides))
    return tuple(max(1, round(side * factor)) for side in sides)
