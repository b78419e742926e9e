"""Tables from Excel as people keep them: below a title, among other sheets, with a header of two rows."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from medeor.contracts import Finding, Message, UserError

if TYPE_CHECKING:
    import fastexcel

_UNNAMED = "__UNNAMED__"
_TITLE_ROWS = 20
"""Rows above a header that are looked at."""


class Sheet(NamedTuple):
    """The sheet of a workbook that is read."""

    table: pl.DataFrame
    findings: tuple[Finding, ...] = ()
    raw: bool = False
    """Whether every column is text, as what stood above the header was read with it."""


def read_workbook(path: Path) -> Sheet:
    """The first sheet that is shown and not empty. Where its first rows are a title or the upper row of a header, the
    header is the first row that names every column.

    Raises: UserError where it is no workbook, or holds no table."""
    try:
        import fastexcel
    except ModuleNotFoundError:
        raise UserError("tables.workbook.no-fastexcel", path=path) from None
    errors = (pl.exceptions.PolarsError, fastexcel.FastExcelError, zipfile.BadZipFile, OSError, ValueError)
    try:
        workbook = fastexcel.read_excel(path)
        if not workbook.sheet_names:
            raise UserError("tables.workbook.no-sheet", path=path)
        shown, hidden = _sheets(workbook)
        name, *others = [*shown, *hidden] or [""]
        options = {"sheet_name": name} if name else {}
        read = partial(pl.read_excel, path, engine="calamine", infer_schema_length=None, **options)
        table: pl.DataFrame = read()
        unnamed = any(column.startswith(_UNNAMED) for column in table.columns)
        plain: pl.DataFrame = read(has_header=False) if unnamed else pl.DataFrame()
    except errors as error:
        raise UserError("tables.workbook.unreadable", path=path, detail=str(error).splitlines()[0]) from None
    findings: tuple[Finding, ...] = ()
    if others:
        text = Message("tables.workbook.sheets", path=path.name, name=name, others=tuple(map(repr, others)))
        findings = (Finding("sheets", "quality", "unknown", text),)
    above = _rows_above_header(plain)
    if above:
        cells = tuple(repr(str(value)[:40]) for value in plain.row(0) if value is not None)
        text = Message("tables.workbook.above", count=above, path=path.name, cells=cells)
        findings = (*findings, Finding("rows-above-the-header", "quality", "unknown", text))
        body = plain.slice(above + 1)
        body.columns = [" ".join(str(name).split()) for name in plain.row(above)]
        return Sheet(body.cast(pl.String), findings, True)
    return Sheet(table, findings)


def _sheets(workbook: fastexcel.ExcelReader) -> tuple[list[str], list[str]]:
    """Names of the sheets that hold something: those that are shown, and those that are hidden."""
    shown: list[str] = []
    hidden: list[str] = []
    for name in workbook.sheet_names:
        sheet = workbook.load_sheet(name, header_row=None, n_rows=3)
        if sheet.width and sheet.height > 1:
            (shown if sheet.visible == "visible" else hidden).append(name)
    return shown, hidden


def _rows_above_header(rows: pl.DataFrame) -> int:
    """How many rows stand above the first that names every column; 0 where there is none such."""
    for number, row in enumerate(rows.head(_TITLE_ROWS).iter_rows()):
        names = [str(value).strip() for value in row if value is not None and str(value).strip()]
        words = not any(name.replace(".", "").replace("-", "").isdigit() for name in names)
        if len(names) == rows.width > 1 and len(set(names)) == len(names) and words:
            return number
    return 0
