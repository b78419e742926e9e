"""Cases as a person would look at them: the best and the worst answers, with their maps where they can be believed."""

from __future__ import annotations

import numpy as np
import polars as pl

from medeor.contracts import Cases, Explanation, Message, Predictions, Result, Text, in_turn
from medeor.figures import Figure, Gallery, Picture
from medeor.imaging.model.prepare import Preparation, prepare_one
from medeor.imaging.model.prepared import prepare
from medeor.imaging.read.cases import ImageStore
from medeor.learning.networks.method import NetworkModel
from medeor.learning.stack import StackModel, innermost
from medeor.targets import categorical, of

SHOWN = 8
LARGEST = 256
"""Pixels along the longer side of a picture."""
_TONES = {"bad": "wrong", "good": "right", "": "open"}
"""Galleries by tone, in their order."""


def galleries(result: Result) -> list[Figure]:
    """The explained cases: the wrong, the right, and those of which nobody can say."""
    explained: dict[str, list[Explanation]] = {}
    for explanation in result.explanations.cases:
        explained.setdefault(explanation.case_id, []).append(explanation)
    kind = "classes" if categorical(result.cases.targets) else "numbers"
    pictures: dict[str, list[Picture]] = {tone: [] for tone in _TONES}
    preparation = preparation_of(result.model)
    for case_id, answers in explained.items():
        case = result.cases.where(pl.col("case_id") == case_id)
        (right, caption), shown = judged(case, result.predictions), [a for a in answers if a.shown]
        strongest = max(shown, key=lambda a: a.scores.get("faithfulness", 0.0), default=answers[0])
        tone = "" if right is None else "good" if right else "bad"
        pictures[tone].append(picture_of(case, strongest, caption, tone, preparation))
    return [
        Gallery(Message(f"imaging.draw.{kind}.{_TONES[tone]}"), tuple(found[:SHOWN]), Message("imaging.draw.colour"))
        for tone, found in pictures.items()
        if found
    ]


def judged(case: Cases, predictions: Predictions) -> tuple[bool | None, Text]:
    """Whether the answer for one case is right, and truth and answer in words. A decision is right where it is the
    truth, a number where the truth lies in its interval. None where no truth is known, or where nothing is wrong and
    something undecided."""
    rows = predictions.table.filter(pl.col("case_id") == case.ids[0])
    verdicts: list[bool | None] = []
    words: list[Text] = []
    for target in case.targets:
        own = rows.filter(pl.col("item").is_in(of(target).items))
        truth = case.table.get_column(target.name).cast(pl.Float64)[0]
        right, answer = of(target).judge(own, truth)
        words.append(answer)
        if truth is not None:
            verdicts.append(right)
    right = False if False in verdicts else None if None in verdicts or not verdicts else True
    return right, Message("imaging.draw.judged", case=case.ids[0], words=in_turn(words))


def preparation_of(model: object) -> Preparation | None:
    """How the network within a model has its images prepared; None where there is none."""
    model = innermost(model)  # type: ignore[arg-type]
    if isinstance(model, NetworkModel):
        return getattr(model.recipe, "preparation", None)
    inner = [*model.parts.values()] if isinstance(model, StackModel) else getattr(model, "members", ())
    return next((found for one in inner if (found := preparation_of(one))), None)


def picture_of(
    case: Cases, explanation: Explanation | None, caption: Text, tone: str = "", preparation: Preparation | None = None
) -> Picture:
    """One case as a picture, as a model with this `preparation` saw it, with the map of its explanation where that is
    shown; of a volume, the slice where the map is strongest, else the middle one."""
    # Reasons with names are about numbers of the image, such as its brightness, and lie nowhere in it.
    drawn = explanation is not None and explanation.shown and not explanation.elements
    weights = explanation.attribution if explanation is not None and drawn else None
    image = _as_stored(case) if preparation is None else prepare(case, preparation.levels)[:].numpy()[0]
    image = image if len(image) == 3 else image[:1]
    if image.ndim == 4:
        place = int(weights.max((1, 2)).argmax()) if weights is not None else image.shape[1] // 2
        image = image[:, place]
        weights = weights[place] if weights is not None else None
    grey = (image.clip(0, 1) * 255).round().astype(np.uint8)
    overlay = None
    if weights is not None:
        overlay = np.maximum(weights, 0) / max(float(weights.max()), 1e-12)
    return Picture(np.moveaxis(grey, 0, -1) if len(grey) == 3 else grey[0], caption, overlay, tone)


def _as_stored(case: Cases) -> np.ndarray:
    """The image of a case between 0 and 1, at most `LARGEST` pixels along a side; shape (channels, *sides)."""
    stored = case.store("images", ImageStore).read(case.table["images"][0].to_list())
    preparation = Preparation(_limited(stored.size), len(stored.pixels))
    return prepare_one(stored.pixels, preparation, stored.spacing).values(preparation)


def _limited(sides: tuple[int, ...]) -> tuple[int, ...]:
    factor = min(1.0, LARGEST / max(sides))
    return tuple(max(1, round(side * factor)) for side in sides)
