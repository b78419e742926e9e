"""What a report can show, as plain values: a task says what there is to see, `medeor.report` draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medeor.messages import Text

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Series:
    """One line of a plot; `low` and `high` draw a band around it."""

    name: Text
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

    title: Text
    x_label: Text
    y_label: Text
    series: tuple[Series, ...]
    caption: Text = ""
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    diagonal: bool = False


@dataclass(frozen=True)
class Intervals:
    """Values with their intervals, one row each (a forest plot): subgroups, metrics, contributions."""

    title: Text
    x_label: Text
    rows: tuple[tuple[Text, float, float | None, float | None], ...]
    """Name, value, low, high."""
    caption: Text = ""
    reference: float | None = None


@dataclass(frozen=True)
class Matrix:
    """Counts or values in a grid, e.g. a confusion matrix (rows: truth)."""

    title: Text
    rows: tuple[Text, ...]
    columns: tuple[Text, ...]
    values: tuple[tuple[float, ...], ...]
    row_label: Text = ""
    column_label: Text = ""
    caption: Text = ""


@dataclass(frozen=True)
class Table:
    """Rows of text or numbers."""

    title: Text
    columns: tuple[Text, ...]
    rows: tuple[tuple[Text | float | int | None, ...], ...]
    caption: Text = ""


@dataclass(frozen=True)
class Picture:
    """One image with its caption."""

    pixels: np.ndarray
    """Shape (height, width) or (height, width, 3), uint8."""
    caption: Text
    overlay: np.ndarray | None = None
    """Shape (height, width), 0 to 1: drawn over the image in a colour scale."""
    tone: str = ""
    """`good`, `bad` or empty."""


@dataclass(frozen=True)
class Gallery:
    """Images side by side."""

    title: Text
    pictures: tuple[Picture, ...]
    caption: Text = ""


@dataclass(frozen=True)
class Drawing:
    """A vector picture made elsewhere (a molecule, a graph), as SVG without scripts or outside addresses."""

    title: Text
    svg: str
    caption: Text = ""


Figure = Lines | Intervals | Matrix | Table | Gallery | Drawing
