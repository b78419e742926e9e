"""What a report can show, as plain values: a task says what there is to see, `medeor.report` draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Series:
    """One line of a plot; `low` and `high` draw a band around it."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    dashed: bool = False
    points: bool = False
    """Marks instead of a line."""


@dataclass(frozen=True)
class Lines:
    """Curves over common axes (ROC, reliability, decision curve, loss)."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    caption: str = ""
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    diagonal: bool = False


@dataclass(frozen=True)
class Intervals:
    """Values with their intervals, one row each (a forest plot): subgroups, metrics, contributions."""

    title: str
    x_label: str
    rows: tuple[tuple[str, float, float | None, float | None], ...]
    """Name, value, low, high."""
    caption: str = ""
    reference: float | None = None


@dataclass(frozen=True)
class Matrix:
    """Counts or values in a grid, e.g. a confusion matrix (rows: truth)."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    row_label: str = ""
    column_label: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text or numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """One image with what is said of it."""

    pixels: np.ndarray
    """Shape (height, width) or (height, width, 3), uint8."""
    caption: str
    overlay: np.ndarray | None = None
    """Shape (height, width), 0 to 1: drawn over the image in a colour scale."""
    tone: str = ""
    """`good`, `bad` or empty."""


@dataclass(frozen=True)
class Gallery:
    """Images side by side."""

    title: str
    pictures: tuple[Picture, ...]
    caption: str = ""


@dataclass(frozen=True)
class Drawing:
    """A vector picture made elsewhere (a molecule, a graph), as SVG without scripts or outside addresses."""

    title: str
    svg: str
    caption: str = ""


Figure = Lines | Intervals | Matrix | Table | Gallery | Drawing
