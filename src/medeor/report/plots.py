"""Draws any `medeor.figures` value as HTML with inline SVG: no plotting library, no script. Colours come from the
page's style sheet by class, so one drawing serves light, dark and print."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from medeor.figures import Drawing, Figure, Gallery, Intervals, Lines, Matrix, Table
from medeor.report.curves import lines
from medeor.report.pictures import drawing, gallery
from medeor.report.tables import forest, heat_map, table
from medeor.report.text import escape, paragraphs

BROAD = 6
"""Columns above which a matrix takes the full width of the page."""


def draw(figure: Figure) -> str:
    """One `<figure>`: its title, the drawing, its caption.

    Raises: ValueError for pixels that are no image, and for a drawing with a script or an outside address in it."""
    caption = f'<div class="caption">{paragraphs(figure.caption)}</div>' if figure.caption else ""
    match figure:
        case Lines():
            body = lines(figure) + caption
        case Matrix():
            body = f'<div class="block">{heat_map(figure)}{caption}</div>'
        case Drawing():
            body = f'<div class="block">{drawing(figure)}{caption}</div>'
        case Intervals():
            body = forest(figure) + caption
        case Gallery():
            body = gallery(figure) + caption
        case Table():
            body = table(figure) + caption
    kind = "half" if _half(figure) else "full"
    return f'<figure class="{kind}"><figcaption>{escape(figure.title)}</figcaption>{body}</figure>'


def arranged(figures: Iterable[Figure]) -> str:
    """All figures in order, plots and small matrices two a row where the page is wide enough."""
    html = ""
    for half, run in groupby(figures, key=_half):
        drawn = [draw(figure) for figure in run]
        step = 2 if half else 1
        pairs = ["".join(drawn[i : i + step]) for i in range(0, len(drawn), step)]
        html += "".join(f'<div class="pair">{pair}</div>' if half else pair for pair in pairs)
    return html


def _half(figure: Figure) -> bool:
    return isinstance(figure, Lines | Drawing) or (isinstance(figure, Matrix) and len(figure.columns) <= BROAD)
