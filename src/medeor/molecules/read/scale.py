"""Whether a number is modelled as it stands or by its logarithm."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from medeor.contracts import Finding, Message, Target, UserError
from medeor.formats.values.measured.units import is_positive
from medeor.molecules.read.endpoints import Endpoint, in_unit
from medeor.targets import of

Scale = Literal["linear", "log"]

SPAN = 100.0
"""Times the smallest value, above 0, that the largest of a quantity is that is modelled by its logarithm."""
SPAN_OF_POSITIVE = 10.0
"""The same where the unit says that the quantity is above 0 by its nature."""
_TRIMMED, _SPAN_LEFT = 0.01, 50.0
"""A share of the values at each end that may be slips, and how far the others must reach."""
_FEW_BELOW = 0.1
"""Share of values below 0, up to which a quantity may be one that is above 0."""


def scale_of(
    target: Target, values: pl.Series, endpoint: Endpoint | None, logarithm: str, asked: str
) -> tuple[Scale, list[Finding]]:
    """Whether a number is modelled by its logarithm: where the user or its endpoint says so; where all values are above
    0 and span two decades, or one if its unit is of such a quantity. A number of an unknown unit has to be skewed for
    that, as one that is spread evenly from near 0 on spans any number of decades; then the user is asked."""
    if asked:
        if asked not in ("linear", "log"):
            raise UserError("molecules.option.choice", key="scale", value=asked, allowed=("linear", "log"))
        return ("log" if asked == "log" else "linear"), []
    if endpoint is not None and in_unit(endpoint, target.unit) is not None:
        if endpoint.scale != "log":
            return "linear", []
        text = Message("molecules.scale.endpoint", target=target.name, title=endpoint.title)
        return "log", [Finding("scale", "quality", "pass", text)]
    if logarithm or target.unit.startswith(("log", "-log", "ln")):
        return "linear", []
    known = np.sort(values.drop_nulls().to_numpy().astype(float))
    above = known[known > 0]
    positive = is_positive(target.unit)
    if len(np.unique(above)) < 3 or (known < 0).sum() > _FEW_BELOW * len(known):
        return "linear", []
    cut = int(np.ceil(_TRIMMED * len(above))) if len(above) > 20 else 0
    wide = above[-1] / above[0] >= SPAN and above[-1 - cut] / above[cut] >= _SPAN_LEFT
    if not wide and not (positive and above[-1] / above[0] >= SPAN_OF_POSITIVE):
        return "linear", []
    spans = {"target": target.name, "span": f"{above[0]:.3g} – {above[-1]:.3g} {target.unit}".rstrip()}
    if len(above) < len(known):
        text = Message("molecules.scale.below", **spans, count=len(known) - len(above))
        return "linear", [Finding("scale", "quality", "fail", text)]
    if positive or abs(_skew(np.log(above))) < abs(_skew(above)):
        return "log", [Finding("scale", "quality", "pass", Message("molecules.scale.log", **spans))]
    return "linear", [Finding("scale", "quality", "unknown", Message("molecules.scale.linear", **spans))]


def _skew(values: np.ndarray) -> float:
    off = values - values.mean()
    return float(np.mean(off**3) / (np.mean(off**2) ** 1.5 or 1.0))


def check_positive(target: Target, values: pl.Series, where: str) -> None:
    """Raises: UserError where a number that is modelled by its logarithm has values of 0 or below."""
    if of(target).logarithmic and (bad := int((values <= 0).sum())):
        raise UserError("molecules.scale.not-positive", where=where, count=bad, target=target.name)
