"""Draws `Table`, `Matrix` and `Intervals` as HTML tables: they wrap, print and read aloud by themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from medeor.contracts import Measure, Message, Text
from medeor.figures import Intervals, Matrix, Table
from medeor.report.axes import labels, span, ticks
from medeor.report.text import alike, escape, fixed, number, parts

LONG = 15
"""Rows above which a table scrolls in a window of its own on a screen; on paper all rows stand."""

DEEPEST, TURN = 0.9, 0.68
"""The strongest shade of a cell, and the shade from which its text changes sides (see `--shade` in style.css)."""


def table(figure: Table) -> str:
    """Rows as given; columns of numbers are set to the right."""
    if not figure.rows:
        return f'<p class="empty">{escape(Message("report.table.no-rows"))}</p>'
    columns = [cells(column) for column in zip(*figure.rows)]
    classes = [' class="number"' if numbers_alone(column) else "" for column in zip(*figure.rows)]
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(figure.columns, classes))
    body = ""
    for row in zip(*columns):
        body += "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, classes)) + "</tr>"
    html = f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return window(html, figure.title, len(figure.rows) > LONG)


def window(html: str, title: Text, long: bool = False) -> str:
    """A table that may be wider, or longer, than its place scrolls inside it, with the keyboard too."""
    kind = "window long" if long else "window"
    return f'<div class="{kind}" tabindex="0" role="region" aria-label="{escape(title)}">{html}</div>'


Cell = Text | float | int | None


def numbers_alone(column: Sequence[Cell]) -> bool:
    return not any(isinstance(cell, Text) for cell in column) and any(cell is not None for cell in column)


def cells(column: Sequence[Cell]) -> list[str]:
    """The cells of one column as text; numbers among themselves are written alike."""
    if numbers_alone(column):
        return alike([cell for cell in column if not isinstance(cell, Text)])
    return [str(cell) if isinstance(cell, Text) else number(cell) for cell in column]


def heat_map(figure: Matrix) -> str:
    """The grid, each cell shaded by its share of its row. Counts also state that share; where a value is negative,
    cells are shaded by their size and carry the colour of their sign instead."""
    values = figure.values
    finite = [value for row in values for value in row if math.isfinite(value)]
    signed = any(value < 0 for value in finite)
    counts = not signed and all(value == int(value) for value in finite)
    largest = max(map(abs, finite), default=0) or 1
    written = iter(alike([value for row in values for value in row]))
    corner = f'<th class="corner">{escape(figure.row_label)}</th>'
    over = f'<th class="over" scope="colgroup" colspan="{len(figure.columns)}">{escape(figure.column_label)}</th>'
    above = f"<tr><td></td>{over}</tr>" if figure.column_label else ""
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in figure.columns)
    body = ""
    for name, row in zip(figure.rows, values):
        total = sum(value for value in row if math.isfinite(value))
        body += f'<tr><th scope="row">{escape(name)}</th>'
        for column, value in zip(figure.columns, row):
            shown = next(written)
            if not math.isfinite(value):
                body += f"<td>{shown}</td>"
                continue
            share = abs(value) / largest if signed else value / total if total else 0.0
            shade = DEEPEST * share
            kind = " ".join(name for name, true in (("deep", shade >= TURN), ("minus", value < 0)) if true)
            below = f"<small>{fixed(100 * share, 0)} %</small>" if counts else ""
            title = f"{name}, {column}: {shown}"
            body += f'<td class="{kind}" style="--shade:{shade:.3f}" title="{escape(title)}">{shown}{below}</td>'
        body += "</tr>"
    many = " many" if len(figure.columns) > 6 else ""
    html = f'<table class="cells{many}"><thead>{above}<tr>{corner}{head}</tr></thead><tbody>{body}</tbody></table>'
    return window(html, figure.title)


def forest(figure: Intervals) -> str:
    """A forest plot: name, interval on a common axis, and the numbers, in one table. The marks are placed in percent,
    so that the plot takes what width there is and its text keeps its size."""
    if not figure.rows:
        return f'<p class="empty">{escape(Message("report.plot.no-values"))}</p>'
    numbers = [value for _, *row in figure.rows for value in row if value is not None]
    low, high = span([*numbers, *([] if figure.reference is None else [figure.reference])])
    marks = ticks(low, high)
    # A margin keeps marks at the very ends whole.
    margin = (high - low) * 0.03
    low, high = low - margin, high + margin

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    grid = "".join(f'<line class="grid" x1="{at(mark)}" x2="{at(mark)}" y1="0" y2="100%"/>' for mark in marks)
    if figure.reference is not None:
        place = at(figure.reference)
        grid += f'<line class="diagonal" x1="{place}" x2="{place}" y1="0" y2="100%"/>'
    written = [parts(Measure(value, lower, upper)) for _, value, lower, upper in figure.rows]
    bounded = any(bounds for _, bounds in written)
    body = ""
    for (name, value, lower, upper), (shown, bounds) in zip(figure.rows, written):
        drawn = grid
        if bounds and lower is not None and upper is not None:
            drawn += f'<line class="bar s0" x1="{at(lower)}" x2="{at(upper)}" y1="50%" y2="50%"/>'
        if math.isfinite(value):
            title = escape(f"{name}: {shown} ({bounds})" if bounds else f"{name}: {shown}")
            drawn += f'<circle class="mark s0" cx="{at(value)}" cy="50%" r="4.5"><title>{title}</title></circle>'
        body += (
            f'<tr role="row"><th role="rowheader" scope="row">{escape(name)}</th>'
            f'<td role="presentation" class="strip"><svg aria-hidden="true">{drawn}</svg></td>'
            f'<td role="cell" class="number"><b>{shown}</b>{f" <span>{bounds}</span>" if bounded else ""}</td></tr>'
        )
    names = "".join(
        f'<text class="tick middle" x="{at(mark)}" y="14">{name}</text>' for mark, name in zip(marks, labels(marks))
    )
    scale = f'<td class="strip axis"><svg aria-hidden="true">{names}</svg></td>'
    axis = f'<tr role="presentation"><td></td>{scale}<td></td></tr>'
    head = f'<tr role="presentation"><td></td><th class="over">{escape(figure.x_label)}</th><td></td></tr>'
    return (
        f'<table class="forest" role="table" aria-label="{escape(f"{figure.title}: {figure.x_label}")}">'
        f"<thead>{head}</thead><tbody>{body}</tbody><tfoot>{axis}</tfoot></table>"
    )
