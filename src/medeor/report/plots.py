"""Draws any `medeor.figures` value as HTML with inline SVG: no plotting library, no script. Colours come from the
page's style sheet by class, so one drawing serves light, dark and print."""

from __future__ import annotations

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
    match figure:
        case Lines():
            kind, body = "half", lines(figure)
        case Matrix():
            kind, body = "half" if len(figure.columns) <= BROAD else "full", heat_map(figure)
        case Drawing():
            kind, body = "half", drawing(figure)
        case Intervals():
            kind, body = "full", forest(figure)
        case Gallery():
            kind, body = "full", gallery(figure)
        case Table():
            kind, body = "full tabular", table(figure)
    title = f"<figcaption>{escape(figure.title)}</figcaption>"
    return f'<figure class="{kind}">{title}{body}{paragraphs(figure.caption, "caption")}</figure>'
