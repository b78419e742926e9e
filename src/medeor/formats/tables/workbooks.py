"""Tables from Excel as people keep them: below a title, beside other sheets, with a header of two rows."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from medeor.contracts import Finding, UserError

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
        raise UserError(f'{path}: Excel needs the package fastexcel: pip install "medeor[imaging]"') from None
    errors = (pl.exceptions.PolarsError, fastexcel.FastExcelError, zipfile.BadZipFile, OSError, ValueError)
    try:
        workbook = fastexcel.read_excel(path)
        if not workbook.sheet_names:
            raise UserError(f"{path} holds no sheet; it was damaged, or is another kind of file")
        shown, hidden = _sheets(workbook)
        name = [*shown, *hidden, None][0]
        given = {} if name is None else {"sheet_name": name}
        table = pl.read_excel(path, engine="calamine", infer_schema_length=None, **given)  # type: ignore[call-overload]
        plain = pl.DataFrame()
        if any(column.startswith(_UNNAMED) for column in table.columns):
            plain = pl.read_excel(  # type: ignore[call-overload]
                path, engine="calamine", infer_schema_length=None, has_header=False, **given
            )
    except errors as error:
        raise UserError(f"{path} is not a readable Excel workbook ({str(error).splitlines()[0]})") from None
    findings = _sheets_told(path, name or "", [*shown[1:], *hidden])
    above = _rows_above_header(plain)
    if above:
        what = f"what stands in {above} rows above the header" if above > 1 else "the row above the header"
        text = f"{path.name}: {what} ({_listed(plain.row(0))}) is passed over"
        findings = (*findings, Finding("rows-above-the-header", "quality", "unknown", text))
        names = [" ".join(str(name).split()) for name in plain.row(above)]
        body = plain.slice(above + 1)
        body.columns = names
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


def _sheets_told(path: Path, name: str, others: list[str]) -> tuple[Finding, ...]:
    if not others:
        return ()
    listed = ", ".join(f"'{other}'" for other in others)
    text = f"{path.name} has several sheets: '{name}' is read and {listed} not; save another one as a file of its own"
    return (Finding("sheets", "quality", "unknown", text),)


def _rows_above_header(rows: pl.DataFrame) -> int:
    """How many rows stand above the first that names every column; 0 where there is none such."""
    for number, row in enumerate(rows.head(_TITLE_ROWS).iter_rows()):
        names = [str(value).strip() for value in row if value is not None and str(value).strip()]
        words = not any(name.replace(".", "").replace("-", "").isdigit() for name in names)
        if len(names) == rows.width > 1 and len(set(names)) == len(names) and words:
            return number
    return 0


def _listed(row: tuple[object, ...]) -> str:
    return ", ".join(f"'{str(value)[:40]}'" for value in row if value is not None)
