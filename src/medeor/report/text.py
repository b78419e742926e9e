"""How the report writes numbers and text: three significant figures, one form of an interval, everything escaped."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Sequence

from medeor.contracts import Measure, Message, Text, without_controls

UNKNOWN = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def escape(text: object) -> str:
    """Text that is safe inside an element and inside a quoted attribute, and `clean`."""
    return html.escape(clean(text), quote=True)


def clean(text: object) -> str:
    """Text without control characters (see `contracts.without_controls`)."""
    return without_controls(str(text))


def paragraphs(text: Text, kind: str = "") -> str:
    """HTML paragraphs, divided where the text has an empty line."""
    label = f' class="{kind}"' if kind else ""
    return "".join(
        f"<p{label}>{escape(block)}</p>" for block in re.split(r"\n\s*\n", str(text).strip()) if block.strip()
    )


def number(value: float | None) -> str:
    """Three significant figures, without the zero before the point: `.941`, `12.3`, `1,234,567`, `2.10 × 10⁻⁵`.

    Whole numbers keep all their figures; None and NaN are an en dash."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if isinstance(value, bool):
        return str(Message("report.number.yes" if value else "report.number.no"))
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and (isinstance(value, int) or value == 0 or abs(value) >= 100):
        return fixed(value, 0)
    if abs(value) < 1e-4:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")
    return fixed(value, decimals(value))


def alike(values: Sequence[float | None]) -> list[str]:
    """Numbers of one column with the same decimals: as many as the largest needs for three significant figures, three
    for shares up to 1.000. Each has its own where that would leave the smallest fewer than two."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if any(isinstance(value, bool) for value in known):
        return [number(value) for value in values]
    largest = max(map(abs, known), default=0.0)
    places = 3 if largest == 1 else decimals(largest)
    if all(value == int(value) for value in known):
        places = 0
    elif any(0 < abs(value) < 10.0 ** (1 - places) for value in known):
        return [number(value) for value in values]
    shown = {value: fixed(value, places) for value in known}
    return [number(value) if value is None else shown.get(value) or number(value) for value in values]


def interval(measure: Measure) -> str:
    """A value with its interval, all to the same number of decimals: `.941 (.902–.973)`, `−.012 (−.031 to .007)`."""
    value, bounds = parts(measure)
    return f"{value} ({bounds})" if bounds else value


def parts(measure: Measure) -> tuple[str, str]:
    """The value and its bounds, which are empty where there are none."""
    value, low, high, _ = measure
    if value is None or not math.isfinite(value) or low is None or high is None:
        return number(value), ""
    if not (math.isfinite(low) and math.isfinite(high)):
        return number(value), ""
    # An effect near zero needs no more decimals than its interval is wide, and a share no more than three.
    scale = max(abs(value), abs(high - low) / 2)
    places = min(decimals(scale), 3) if scale >= 0.01 else decimals(scale)
    shown, low_shown, high_shown = (fixed(one, places) for one in (value, low, high))
    key = "report.number.signed" if low < 0 else "report.number.between"
    return shown, str(Message(key, low=low_shown, high=high_shown))


def decimals(value: float) -> int:
    """Decimals that show three significant figures of `value`: 3 for .941, 1 for 12.3, at most 6."""
    rounded = abs(float(f"{value:.3g}"))
    return 0 if rounded == 0 else min(6, max(0, 2 - math.floor(math.log10(rounded))))


def fixed(value: float, places: int) -> str:
    """A number with so many decimals, a true minus sign, and thousands separated from 10,000 on: years stay years."""
    text = f"{abs(value):,.{places}f}"
    if abs(value) < 9999.5:
        text = text.replace(",", "")
    if places and text.startswith("0."):
        text = text[1:]
    negative = value < 0 and any(figure in "123456789" for figure in text)
    return "−" + text if negative else text


def together(*texts: Text) -> Text:
    """One sentence after another, as far as there are words."""
    first, *others = [text for text in texts if text] or [""]
    for text in others:
        first = Message("report.text.together", first=first, then=text)
    return first


def width(text: Text, size: float) -> float:
    """About how wide text of this size is, in the same unit; Chinese characters are square."""
    return size * sum(1.0 if unicodedata.east_asian_width(sign) in "WF" else 0.54 for sign in str(text))


def wrapped(text: Text, size: float, limit: float) -> list[str]:
    """Lines of text no wider than `limit`, broken at spaces and between Chinese characters."""
    lines, line = [], ""
    for piece in re.findall(r"[^\s\u2e80-\u9fff\uff00-\uffef]+\s*|[\u2e80-\u9fff\uff00-\uffef]\s*|\s+", str(text)):
        if line and width(line + piece.rstrip(), size) > limit:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()] if line.strip() else lines
