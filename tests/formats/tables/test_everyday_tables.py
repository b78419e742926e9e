"""Tables as spreadsheets write them, through the cases that are read from them."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xlsxwriter
from PIL import Image

import medeor
from medeor import UserError
from medeor.api import Reading

COUNT = 12
LABELS = ["benign", "malignant"] * (COUNT // 2)
ROWS = [[f"{k:03d}.png", LABELS[k]] for k in range(COUNT)]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 255, (COUNT, 8, 8), dtype=np.uint8)
    for (name, _), one in zip(ROWS, pixels):
        Image.fromarray(one).save(folder / name)
    return folder


def workbook(path: Path, fill: Callable[[xlsxwriter.Workbook], None]) -> Path:
    book = xlsxwriter.Workbook(path)
    fill(book)
    book.close()
    return path


def sheet(book: xlsxwriter.Workbook, rows: list[list], first: int = 0, name: str | None = None) -> xlsxwriter.worksheet:
    made = book.add_worksheet(name)
    for number, row in enumerate(rows, first):
        made.write_row(number, 0, row)
    return made


def read(images: Path, labels: Path, **asked: object) -> Reading:
    return medeor.read(images, labels=labels, **asked)


def text(path: Path, lines: list[str], end: str = "\n") -> Path:
    path.write_bytes(end.join(lines).encode())
    return path


def test_a_title_above_a_header_in_excel_is_passed_over_and_told(images: Path, tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet(book, [["image", "label"], *ROWS], 2).merge_range(0, 0, 0, 1, "Export of March")

    found = read(images, workbook(tmp_path / "labels.xlsx", fill))
    assert found.cases.targets[0].classes == ("benign", "malignant")
    assert len(found.cases.usable) == len(found.cases) == COUNT
    assert "Export of March" in next(str(one.message) for one in found.findings if one.check == "rows-above-the-header")


def test_of_a_header_of_two_rows_the_lower_names_the_columns(images: Path, tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        rows = [
            ["image", "age", "label", "size"],
            *([name, 50.5 + k, label, k] for k, (name, label) in enumerate(ROWS)),
        ]
        made = sheet(book, rows, 1)
        made.merge_range(0, 0, 0, 1, "Patient")
        made.merge_range(0, 2, 0, 3, "Finding")

    found = read(images, workbook(tmp_path / "labels.xlsx", fill), target="label")
    assert found.cases.table["age"].to_list() == [50.5 + k for k in range(COUNT)]
    assert len(found.cases.usable) == COUNT


def test_the_sheet_that_is_shown_is_read_and_the_others_are_named(images: Path, tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        old = sheet(book, [["image", "label"], *([name, "x"] for name, _ in ROWS)], name="old")
        shown = sheet(book, [["image", "label"], *ROWS], name="final")
        shown.activate()
        shown.set_first_sheet()
        old.hide()

    found = read(images, workbook(tmp_path / "labels.xlsx", fill), target="label")
    assert found.cases.targets[0].classes == ("benign", "malignant")
    assert "'final' is read and 'old' not" in next(str(one.message) for one in found.findings if one.check == "sheets")


def test_headings_have_no_line_breaks(images: Path, tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet(book, [["image ", "label\n(biopsy)"], *ROWS])

    found = read(images, workbook(tmp_path / "labels.xlsx", fill), target="label (biopsy)")
    assert len(found.cases.usable) == COUNT


@pytest.mark.parametrize("start", [[], ["sep=;"], ['"sep=;"']])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_any_machine_and_excels_own_first_line(
    images: Path, tmp_path: Path, start: list[str], end: str
) -> None:
    lines = [*start, "image;label", *(";".join(row) for row in ROWS), ";", ""]
    found = read(images, text(tmp_path / "labels.csv", lines, end), target="label")
    assert len(found.cases.usable) == len(found.cases) == COUNT


@pytest.mark.parametrize(
    "written",
    [
        lambda value: f"{value:,.1f}".replace(",", " ").replace(".", ",").replace(" ", "."),
        lambda value: f"{int(value):,}".replace(",", ".") if value == int(value) else f"{value:.1f}".replace(".", ","),
    ],
)
def test_points_between_thousands_where_commas_are_decimal(
    images: Path, tmp_path: Path, written: Callable[[float], str]
) -> None:
    values = [1000.0 * (k + 1) + 31 * k + (0.5 if k == 2 else 0) for k in range(COUNT)]
    lines = ["image;size", *(f"{name};{written(value)}" for (name, _), value in zip(ROWS, values))]
    found = read(images, text(tmp_path / "labels.csv", lines), target="size", options={"kind": "continuous"})
    assert found.cases.table["size"].to_list() == values


def test_points_of_a_whole_column_are_thousands_where_another_has_decimal_commas(images: Path, tmp_path: Path) -> None:
    lines = ["image;size;dose", *(f"{name};{k + 1}.{k:03d};0,{k}" for k, (name, _) in enumerate(ROWS))]
    found = read(images, text(tmp_path / "labels.csv", lines), target="size", options={"kind": "continuous"})
    assert found.cases.table["size"].to_list() == [1000 * (k + 1) + k for k in range(COUNT)]


def test_points_are_decimal_where_nothing_speaks_for_commas(images: Path, tmp_path: Path) -> None:
    lines = ["image;size", *(f"{name};{k + 1}.{k:03d}" for k, (name, _) in enumerate(ROWS))]
    found = read(images, text(tmp_path / "labels.csv", lines), target="size")
    assert found.cases.table["size"].to_list() == [k + 1 + k / 1000 for k in range(COUNT)]


def test_a_table_without_a_header_is_refused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no header"):
        read(images, text(tmp_path / "labels.csv", [",".join(row) for row in ROWS]))


def test_a_second_column_of_images_is_told(images: Path, tmp_path: Path) -> None:
    lines = ["t1,t2,label", *(f"{ROWS[k][0]},{ROWS[k - 1][0]},{LABELS[k]}" for k in range(COUNT))]
    labels = text(tmp_path / "labels.csv", lines)
    found = read(images, labels, target="label")
    assert "'t2' also names images" in str(next(one.message for one in found.findings if one.check == "image-columns"))
    both = read(images, labels, target="label", options={"image": "t1,t2"})
    assert "image-columns" not in {one.check for one in both.findings}
    assert both.cases.table["channels"].to_list() == [2] * COUNT


def test_a_workbook_without_a_sheet_is_refused(tmp_path: Path) -> None:
    workbook = xlsxwriter.Workbook(tmp_path / "whole.xlsx")
    workbook.add_worksheet("a").write_row(0, 0, ["smiles", "y"])
    workbook.close()
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as whole, zipfile.ZipFile(tmp_path / "bad.xlsx", "w") as bad:
        for name in whole.namelist():
            bad.writestr(name, re.sub(rb"<sheets>.*</sheets>", b"<sheets></sheets>", whole.read(name)))
    with pytest.raises(UserError, match="holds no sheet"):
        medeor.read(tmp_path / "bad.xlsx", task="molecule-property", labelled=False)
