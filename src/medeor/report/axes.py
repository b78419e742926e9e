"""The axes of a plot: their range, their round marks, and how the marks are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from medeor.report.text import decimals, fixed


def ticks(low: float, high: float, target: int = 5) -> list[float]:
    """Round values from `low` to `high`, about `target` steps: multiples of 1, 2, 2.5 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / target
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((factor * power for factor in (1, 2, 2.5, 5, 10)), key=lambda step: abs(math.log(step / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def labels(values: Sequence[float]) -> list[str]:
    """Labels with as many decimals as the step between them needs; zero is `0`."""
    step = abs(values[1] - values[0]) if len(values) > 1 else abs(values[0])
    places = next((places for places in range(7) if abs(round(step, places) - step) <= 1e-6 * step), decimals(step))
    return [fixed(value, places) if abs(value) > step * 1e-9 else "0" for value in values]


def span(values: Iterable[float], given: tuple[float, float] | None = None) -> tuple[float, float]:
    """The range of an axis: as given, else from round value to round value around all finite values."""
    if given is not None and given[1] > given[0]:
        return given
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-12):
        margin = abs(low) / 2 or 0.5
        return low - margin, high + margin
    marks = ticks(low, high)
    step = marks[1] - marks[0] if len(marks) > 1 else high - low
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
