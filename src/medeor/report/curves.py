"""Draws `Lines` as SVG: curves with bands, marks and round axes, named at their ends or in a key above the plot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from medeor.contracts import Measure, Message
from medeor.figures import Lines, Series
from medeor.report.axes import labels, span, ticks
from medeor.report.text import escape, interval, number, width, wrapped

WIDE, HIGH = 410, 300
"""Of a plot, in the units of its `viewBox`; on a wide page one unit is about one pixel."""

TEXT = 12
"""Size of the text in a plot."""

COLOURS = 6
"""Colours in the style sheet, `s0` to `s5`; further lines repeat them with dashes."""

DASHES = ("6 4", "1.5 3.5", "10 3 2 3", "3 3")
"""For dashed lines, which are all grey: a reference is not a competitor."""

MARKED = 40
"""Points of one line, at most, that show their values under the pointer."""

Point = tuple[float, float]


@dataclass(frozen=True)
class _Style:
    colour: str
    dash: str = ""

    @property
    def line(self) -> str:
        return f'class="line {self.colour}"' + (f' stroke-dasharray="{self.dash}"' if self.dash else "")


@dataclass(frozen=True)
class _Axes:
    """From values to places: (0, 0) is the upper left corner of the plotting area."""

    x: tuple[float, float]
    y: tuple[float, float]
    across: float
    up: float

    def at(self, x: float, y: float) -> Point:
        (x0, x1), (y0, y1) = self.x, self.y
        return (x - x0) / (x1 - x0) * self.across, (y1 - y) / (y1 - y0) * self.up

    def holds(self, x: float, y: float) -> bool:
        return self.x[0] <= x <= self.x[1] and self.y[0] <= y <= self.y[1]


def lines(figure: Lines) -> str:
    """The key, where the lines are not named at their ends, and the plot. Neither key nor names lie over the data."""
    if not any(math.isfinite(y) for series in figure.series for y in series.y):
        return f'<p class="empty">{escape(Message("report.plot.no-values"))}</p>'
    x_range = span((x for series in figure.series for x in series.x), figure.x_range)
    y_range = span((y for series in figure.series for y in (*series.y, *series.low, *series.high)), figure.y_range)
    x_marks, y_marks = ticks(*x_range), ticks(*y_range)
    x_names, y_names = labels(x_marks), labels(y_marks)
    y_title = wrapped(figure.y_label, TEXT, WIDE - 8)
    named = _named_at_ends(figure.series, x_range, y_range)
    left = max(width(name, TEXT) for name in y_names) + 12
    right = max([width(x_names[-1], TEXT) / 2 + 2, 12.0, *(width(figure.series[i].name, TEXT) + 14 for i in named)])
    x_title = wrapped(figure.x_label, TEXT, WIDE - left - right)
    top, bottom = 16 * len(y_title) + 12, 26 + 16 * len(x_title)
    across = WIDE - left - right
    # Axes over one range share one scale: a diagonal is a diagonal, and plots of shares stand level.
    axes = _Axes(x_range, y_range, across, across if x_range == y_range else HIGH - top - bottom)

    styles = _styles(figure.series)
    pairs = list(zip(figure.series, styles))
    titles, grid = _titles(axes, left, top, x_title, y_title), _grid(axes, x_marks, y_marks, x_names, y_names)
    # A nested <svg> clips what leaves the axes without an id that other plots might share; half a line's width is free.
    clipped = "".join(_band(axes, *pair) for pair in pairs) + (_diagonal(axes) if figure.diagonal else "")
    clipped += "".join(_curve(axes, *pair) for pair in pairs if not pair[0].points)
    before = "".join(_marks(axes, *pair) for pair in pairs)
    for index, y in named.items():
        series, style = pairs[index]
        place = f'x="{across + 8:.1f}" y="{y * axes.up + 4:.1f}"'
        before += f'<text class="name {style.colour}" {place}>{escape(series.name)}</text>'
    size = f'width="{across + 4:.1f}" height="{axes.up + 4:.1f}"'
    return (
        ('<ul class="key"></ul>' if named else _key(pairs))
        + f'<svg class="lines" viewBox="0 0 {WIDE} {top + axes.up + bottom:.0f}" role="img"'
        + f' aria-label="{escape(_aloud(figure))}">{titles}<g transform="translate({left:.1f} {top:.1f})">{grid}'
        + f'<svg x="-2" y="-2" {size} viewBox="-2 -2 {across + 4:.1f} {axes.up + 4:.1f}">{clipped}</svg>'
        + f"{before}</g></svg>"
    )


# --- frame -----------------------------------------------------------------------------------------------


def _grid(axes: _Axes, x_marks: list[float], y_marks: list[float], x_names: list[str], y_names: list[str]) -> str:
    rows = ""
    for value, name in zip(y_marks, y_names):
        y = axes.at(axes.x[0], value)[1]
        rows += f'<path class="grid" d="M0 {y:.1f}h{axes.across:.1f}"/>'
        rows += f'<text class="tick end" x="-8" y="{y + 4:.1f}">{name}</text>'
    rows += f'<path class="spine" d="M0 {axes.up:.1f}h{axes.across:.1f}"/>'
    for value, name in zip(x_marks, x_names):
        x = axes.at(value, axes.y[0])[0]
        rows += f'<path class="spine" d="M{x:.1f} {axes.up:.1f}v4"/>'
        rows += f'<text class="tick middle" x="{x:.1f}" y="{axes.up + 18:.1f}">{name}</text>'
    return rows


def _titles(axes: _Axes, left: float, top: float, x_title: list[str], y_title: list[str]) -> str:
    """The y axis is named above itself, where the name reads without turning the head."""
    rows = "".join(
        f'<text class="axis" x="0" y="{12 + 16 * i}">{escape(line)}</text>' for i, line in enumerate(y_title)
    )
    middle, below = left + axes.across / 2, top + axes.up + 38
    for i, line in enumerate(x_title):
        rows += f'<text class="axis middle" x="{middle:.1f}" y="{below + 16 * i:.1f}">{escape(line)}</text>'
    return rows


def _diagonal(axes: _Axes) -> str:
    low, high = max(axes.x[0], axes.y[0]), min(axes.x[1], axes.y[1])
    return f'<path class="diagonal" d="{_path([axes.at(low, low), axes.at(high, high)])}"/>'


def _key(pairs: Sequence[tuple[Series, _Style]]) -> str:
    entries = ""
    for series, style in pairs:
        if not series.name:
            continue
        band = f'<rect class="band {style.colour}" y="1" width="24" height="10"/>' if series.low and series.high else ""
        sign = f'<path {style.line} d="M0 6h24"/>'
        if series.points:
            band, sign = "", f'<circle class="mark {style.colour}" cx="12" cy="6" r="4"/>'
        swatch = f'<svg width="24" height="12" aria-hidden="true">{band}{sign}</svg>'
        entries += f"<li>{swatch}<span>{escape(series.name)}</span></li>"
    return f'<ul class="key">{entries}</ul>'


def _aloud(figure: Lines) -> Message:
    runs = []
    for series in figure.series:
        points = [(x, y) for x, y in zip(series.x, series.y) if math.isfinite(x) and math.isfinite(y)]
        if points:
            x0, y0, x1, y1 = map(number, (*points[0], *points[-1]))
            runs.append(Message("report.plot.runs", name=series.name or figure.y_label, x0=x0, y0=y0, x1=x1, y1=y1))
    return Message("report.plot.aloud", title=figure.title, x=figure.x_label, y=figure.y_label, runs=runs)


def _styles(series: Sequence[Series]) -> list[_Style]:
    styles, solid, dashed = [], 0, 0
    for one in series:
        if one.dashed:
            styles.append(_Style("reference", DASHES[dashed % len(DASHES)]))
            dashed += 1
        else:
            styles.append(_Style(f"s{solid % COLOURS}", "8 3" if solid >= COLOURS else ""))
            solid += 1
    return styles


def _named_at_ends(series: Sequence[Series], x_range: Point, y_range: Point) -> dict[int, float]:
    """Places of the names at the right ends of the lines, by index, as fractions of the height from the top: only
    where each line of several ends at the right, the names are short, and spreading them moves none further
    than half its own height."""
    height = 15 / (HIGH - 70)
    ends = {}
    for index, one in enumerate(series):
        finite = [(x, y) for x, y in zip(one.x, one.y) if math.isfinite(x) and math.isfinite(y)]
        if one.points or not one.name or not finite:
            return {}
        x, y = max(finite)
        if x < x_range[0] + 0.95 * (x_range[1] - x_range[0]) or not y_range[0] <= y <= y_range[1]:
            return {}
        ends[index] = (y_range[1] - y) / (y_range[1] - y_range[0])
    if len(ends) < 2 or max(width(one.name, TEXT) for one in series) > 110:
        return {}
    placed: dict[int, float] = {}
    above = -math.inf
    for index in sorted(ends, key=ends.__getitem__):
        placed[index] = above = max(ends[index], above + height)
        if placed[index] - ends[index] > height / 2:
            return {}
    return placed


# --- data ------------------------------------------------------------------------------------------------


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    for finite, run in groupby(points, key=lambda point: math.isfinite(point[0]) and math.isfinite(point[1])):
        if finite:
            yield _thinned(list(run))


def _thinned(points: list[Point]) -> list[Point]:
    """What can be seen of a long line: in each column half a unit wide its first, lowest, highest and last point."""
    if len(points) <= 2 * WIDE:
        return points
    kept = []
    for _, column in groupby(points, key=lambda point: round(2 * point[0])):
        inside = list(column)
        low, high = (pick(range(len(inside)), key=lambda i: inside[i][1]) for pick in (min, max))
        kept += [inside[i] for i in sorted({0, low, high, len(inside) - 1})]
    return kept


def _curve(axes: _Axes, series: Series, style: _Style) -> str:
    runs = _runs([axes.at(x, y) for x, y in zip(series.x, series.y)])
    path = "".join(_path(run) for run in runs)
    return f'<path {style.line} d="{path}"><title>{escape(series.name)}</title></path>' if path else ""


def _band(axes: _Axes, series: Series, style: _Style) -> str:
    if series.points or not (series.low and series.high):
        return ""
    rows = [row for row in zip(series.x, series.low, series.high) if all(map(math.isfinite, row))]
    above = _thinned([axes.at(x, high) for x, _, high in rows])
    below = _thinned([axes.at(x, low) for x, low, _ in rows])
    return f'<path class="band {style.colour}" d="{_path(above + below[::-1])}Z"/>' if rows else ""


def _marks(axes: _Axes, series: Series, style: _Style) -> str:
    """Points with their error bars; on a line, places that show their values under the pointer."""
    rows = [i for i, (x, y) in enumerate(zip(series.x, series.y)) if axes.holds(x, y)]
    bounded = bool(series.low and series.high)
    if not series.points:
        rows = rows[:: -(-len(rows) // MARKED)] if rows else []
    marks = ""
    for i in rows:
        low, high = (series.low[i], series.high[i]) if bounded else (None, None)
        value = interval(Measure(series.y[i], low, high))
        title = f"<title>{escape(f'{series.name}: {number(series.x[i])}, {value}'.removeprefix(': '))}</title>"
        x, y = axes.at(series.x[i], series.y[i])
        if series.points and low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
            ends = (axes.at(series.x[i], min(max(bound, axes.y[0]), axes.y[1])) for bound in (low, high))
            marks += f'<path class="bar {style.colour}" d="{_path(list(ends))}"/>'
        kind = f'class="mark {style.colour}" r="4"' if series.points else 'class="place" r="6"'
        marks += f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}">{title}</circle>'
    return marks
