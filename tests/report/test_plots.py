"""Drawings read back from their SVG: what stands where, against the arithmetic of the axes."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medeor.figures import Drawing, Figure, Gallery, Intervals, Lines, Matrix, Series, Table
from medeor.report.plots import arranged, draw
from medeor.report.tables import DEEPEST

Element = ET.Element


def drawn(figure: Figure) -> Element:
    """The figure parsed: every drawing is also well-formed XML."""
    return ET.fromstring(draw(figure))


def of_class(root: Element, name: str) -> list[Element]:
    return [element for element in root.iter() if name in element.get("class", "").split()]


def points(path: Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.get("d", ""))]


def plot(*series: Series, **more: object) -> Lines:
    return Lines("A plot", "x", "y", series, **more)  # type: ignore[arg-type]


def test_a_line_stands_where_its_axes_say() -> None:
    figure = plot(Series("a", (0.0, 0.5, 1.0), (0.0, 0.25, 1.0)), x_range=(0, 1), y_range=(0, 1))
    root = drawn(figure)
    (corner, middle, end) = points(of_class(root, "line")[-1])
    side = end[0]
    assert corner == pytest.approx((0, side), abs=0.1)
    assert middle == pytest.approx((side / 2, 0.75 * side), abs=0.1)
    assert end == pytest.approx((side, 0), abs=0.1)


def test_axes_over_one_range_share_one_scale_and_the_diagonal_joins_their_corners() -> None:
    figure = plot(Series("a", (0.0, 1.0), (0.0, 1.0)), x_range=(0, 1), y_range=(0, 1), diagonal=True)
    start, end = points(of_class(drawn(figure), "diagonal")[0])
    assert end[0] - start[0] == pytest.approx(start[1] - end[1], abs=0.1)


def test_a_band_goes_out_along_its_upper_bound_and_back_along_its_lower() -> None:
    series = Series("a", (0.0, 1.0), (0.5, 0.5), low=(0.25, 0.25), high=(1.0, 0.75))
    root = drawn(plot(series, x_range=(0, 1), y_range=(0, 1)))
    (band,) = [element for element in of_class(root, "band") if element.tag == "path"]
    (_, y1), (side, y2), (_, y3), (_, y4) = points(band)
    assert (y1, y2, y3, y4) == pytest.approx((0, 0.25 * side, 0.75 * side, 0.75 * side), abs=0.1)


def test_a_missing_value_breaks_the_line() -> None:
    root = drawn(plot(Series("a", (0.0, 1.0, 2.0, 3.0, 4.0), (0.0, 1.0, math.nan, 1.0, 2.0))))
    assert of_class(root, "line")[-1].get("d", "").count("M") == 2


def test_a_long_line_keeps_its_spikes_and_sheds_the_rest() -> None:
    x = tuple(float(i) for i in range(50_000))
    y = tuple(1.0 if i == 31_415 else 0.0 for i in range(50_000))
    line = points(of_class(drawn(plot(Series("a", x, y), y_range=(0, 1))), "line")[-1])
    assert len(line) < 4_000
    assert min(y for _, y in line) == pytest.approx(0, abs=0.1)


def test_points_tell_their_values_and_have_bars() -> None:
    series = Series("Calibrated", (0.3,), (0.25,), low=(0.2,), high=(0.31,), points=True)
    root = drawn(plot(series, x_range=(0, 1), y_range=(0, 1)))
    assert [title.text for title in root.iter("title")] == ["Calibrated: .300, .250 (.200–.310)"]
    (x1, low), (x2, high) = points(of_class(root, "bar")[0])
    assert x1 == x2
    assert low > high


def test_points_outside_the_axes_are_left_out() -> None:
    root = drawn(plot(Series("a", (0.5, 2.0), (0.5, 0.5), points=True), x_range=(0, 1), y_range=(0, 1)))
    assert len(list(root.iter("title"))) == 1


def test_lines_that_end_apart_are_named_at_their_ends_and_need_no_key() -> None:
    x = (0.0, 1.0)
    root = drawn(plot(Series("upper", x, (0.0, 0.9)), Series("lower", x, (0.0, 0.1)), y_range=(0, 1)))
    upper, lower = (element for element in root.iter("text") if element.text in ("upper", "lower"))
    assert float(lower.get("y", "")) - float(upper.get("y", "")) > 100
    assert len(of_class(root, "key")[0]) == 0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_names_at_the_ends_never_lie_on_one_another(ends: list[float]) -> None:
    series = [Series(f"line {i}", (0.0, 1.0), (0.5, end)) for i, end in enumerate(ends)]
    root = drawn(plot(*series, y_range=(0, 1)))
    heights = sorted(float(name.get("y", "")) for name in of_class(root, "name"))
    assert len(heights) in (0, len(ends))
    # Text of 12 units needs as much from line to line.
    assert all(b - a >= 12 for a, b in itertools.pairwise(heights))


def test_lines_that_end_together_have_a_key_above_the_plot() -> None:
    root = drawn(plot(Series("model", (0.0, 1.0), (0.0, 1.0)), Series("baseline", (0.0, 1.0), (0.0, 1.0), dashed=True)))
    key, svg = [child for child in root if child.tag in ("ul", "svg")]
    assert [key.tag, svg.tag] == ["ul", "svg"]
    assert [span.text for span in key.iter("span")] == ["model", "baseline"]
    assert not of_class(svg, "name")


def test_every_line_of_many_looks_different() -> None:
    x = (0.0, 1.0)
    solid = [Series(f"class {i}", x, (0.0, 1.0)) for i in range(9)]
    dashed = [Series(f"reference {i}", x, (0.0, 1.0), dashed=True) for i in range(3)]
    root = drawn(plot(*solid, *dashed))
    lines = list(of_class(root.findall("svg")[0], "line"))
    assert len({(path.get("class"), path.get("stroke-dasharray")) for path in lines}) == 12


def test_a_plot_without_values_says_so() -> None:
    assert "No values to draw." in draw(plot(Series("a", (), ())))
    assert "No values to draw." in draw(plot(Series("a", (1.0,), (math.nan,))))
    assert "No values to draw." in draw(Intervals("A forest", "AUROC", ()))


@given(
    st.lists(
        st.tuples(st.floats(allow_nan=True, width=32), st.floats(allow_nan=True, width=32)),
        max_size=8,
    ),
    st.booleans(),
)
def test_any_values_can_be_drawn(rows: list[tuple[float, float]], marks: bool) -> None:
    series = Series("a", tuple(x for x, _ in rows), tuple(y for _, y in rows), points=marks)
    assert "nan" not in draw(plot(series)).lower().replace("no values", "")


def test_a_plot_is_read_aloud() -> None:
    (svg,) = drawn(plot(Series("model", (0.0, 1.0), (0.5, 0.9)))).findall("svg")
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "A plot: y against x. model runs from .500 at 0 to .900 at 1.00."


# --- tables ----------------------------------------------------------------------------------------------


def percent(element: Element, name: str) -> float:
    return float(element.get(name, "").rstrip("%"))


def test_a_forest_places_every_interval_on_one_scale() -> None:
    rows = (("all", 0.5, 0.25, 0.75), ("one", 0.75, 0.5, 1.0), ("alone", 0.25, None, None))
    root = drawn(Intervals("A forest", "AUROC", rows, reference=0.5))
    marks = [percent(mark, "cx") for mark in of_class(root, "mark")]
    bars = [(percent(bar, "x1"), percent(bar, "x2")) for bar in of_class(root, "bar")]
    unit = marks[1] - marks[0]
    assert marks[0] - marks[2] == pytest.approx(unit, abs=0.02)
    assert bars[0] == pytest.approx((marks[0] - unit, marks[0] + unit), abs=0.02)
    assert bars[1] == pytest.approx((marks[1] - unit, marks[1] + unit), abs=0.02)
    assert len(bars) == 2
    assert {percent(line, "x1") for line in of_class(root, "diagonal")} == {marks[0]}
    assert all(0 < place < 100 for pair in bars for place in pair)


def test_a_confusion_matrix_states_counts_and_shares_of_rows() -> None:
    root = drawn(Matrix("Confusion", ("a", "b"), ("a", "b"), ((9, 1), (30, 10)), "Truth", "Prediction"))
    cells = [cell for cell in root.iter("td") if cell.get("style")]
    assert [cell.text for cell in cells] == ["9", "1", "30", "10"]
    assert [small.text for small in root.iter("small")] == ["90 %", "10 %", "75 %", "25 %"]
    shades = [float(cell.get("style", "").removeprefix("--shade:")) for cell in cells]
    assert shades == pytest.approx([DEEPEST * share for share in (0.9, 0.1, 0.75, 0.25)], abs=0.001)


def test_a_matrix_with_negative_values_shows_their_sign_by_colour_and_no_share() -> None:
    root = drawn(Matrix("Correlation", ("a",), ("b", "c"), ((0.5, -1.0),)))
    cells = [cell for cell in root.iter("td") if cell.get("style")]
    assert [cell.text for cell in cells] == [".500", "−1.000"]
    assert [("minus" in cell.get("class", "")) for cell in cells] == [False, True]
    assert not list(root.iter("small"))


def test_an_empty_row_of_a_matrix_is_not_shaded() -> None:
    assert draw(Matrix("Confusion", ("a", "b"), ("a", "b"), ((0, 0), (1, 0)))).count("--shade:0.000") == 3


def test_columns_of_numbers_are_set_to_the_right() -> None:
    root = drawn(Table("T", ("name", "value", "mixed"), (("a", 0.5, 1), ("b", None, "x"))))
    rows = [[(cell.text, cell.get("class")) for cell in row.iter("td")] for row in root.iter("tr")][1:]
    assert rows == [
        [("a", None), (".500", "number"), ("1", None)],
        [("b", None), ("–", "number"), ("x", None)],
    ]


def test_plots_stand_in_pairs_and_wide_figures_alone() -> None:
    curve, wide = plot(Series("a", (0.0, 1.0), (0.0, 1.0))), Table("T", ("a",), (("b",),))
    root = ET.fromstring(f"<main>{arranged((curve, curve, curve, wide, curve))}</main>")
    assert [len(child) if child.tag == "div" else child.get("class") for child in root] == [2, 1, "full", 1]


TEXT = "<script>alert(1)</script>\"'&"


@pytest.mark.parametrize(
    "figure",
    [
        Lines(
            TEXT, TEXT, TEXT, (Series(TEXT, (0.0, 1.0), (0.0, 1.0)), Series(TEXT, (0.5,), (0.5,), points=True)), TEXT
        ),
        Lines("", "", "", (Series(TEXT, (0.0, 1.0), (0.0, 0.0)), Series("b", (0.0, 1.0), (0.0, 1.0)))),
        Intervals(TEXT, TEXT, ((TEXT, 0.5, 0.4, 0.6),), TEXT),
        Matrix(TEXT, (TEXT,), (TEXT,), ((1,),), TEXT, TEXT, TEXT),
        Table(TEXT, (TEXT,), ((TEXT,),), TEXT),
        Gallery(TEXT, (), TEXT),
        Drawing(TEXT, "<svg/>", TEXT),
    ],
)
def test_text_of_a_figure_is_never_markup(figure: Figure) -> None:
    root = drawn(figure)
    assert not [element for element in root.iter() if element.tag == "script"]
    assert TEXT in "".join(root.itertext())
