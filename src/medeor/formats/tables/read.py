"""Tables as people keep them: CSV in any common dialect and encoding, also compressed, TSV, Parquet, Excel."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from medeor.contracts import Finding, Message, Text, UserError
from medeor.files import read_parquet, reading
from medeor.formats.tables.encodings import decode, decoded, encoding_found
from medeor.formats.tables.facts import PARQUET, TEXTS, WORKBOOKS
from medeor.formats.tables.rows import unused
from medeor.formats.tables.spreadsheet import unguarded
from medeor.formats.tables.workbooks import read_workbook
from medeor.formats.values.measured.measurements import with_decimal_points

MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A"]
"""What stands for an unknown value in text. `none` is not among them: it is a diagnosis."""


def read_table(path: Path) -> pl.DataFrame:
    """A table with a header row. Columns of text become numbers, truth values or dates where every value allows it;
    numbers with leading zeros stay text, as they are names.

    Raises: UserError where the file is missing, empty, damaged, or has rows of different lengths."""
    path = Path(path)
    if not path.is_file():
        raise UserError("tables.read.folder" if path.exists() else "common.no-file", path=path)
    if not path.stat().st_size:
        raise UserError("tables.read.empty", path=path)
    ending = path.suffix.lower()
    if ending in PARQUET:
        table = read_parquet(path)
    elif ending in WORKBOOKS:
        table = _excel(path)
    else:
        table = _csv(path)
    if not table.height:
        raise UserError("tables.read.no-rows", path=path)
    # Spreadsheets add empty rows at the end. Those in between keep the others' numbers.
    filled = table.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
    return table.head(int(filled[-1]) + 1) if len(filled) else table


def as_frame(source: Any) -> Any:
    """A data frame of another library (pandas, Arrow, DuckDB), which lays open its memory in Arrow's way, as one of
    Polars; any other source as it is."""
    other = hasattr(source, "__arrow_c_stream__") and not isinstance(source, pl.DataFrame)
    return pl.DataFrame(source) if other else source


def table_findings(path: Path) -> tuple[Finding, ...]:
    """What a table is not plainly: text in another encoding than UTF-8, names that several columns share."""
    path = Path(path)
    if path.suffix.lower() in WORKBOOKS and path.is_file():
        return read_workbook(path).findings
    if path.suffix.lower() not in (*TEXTS, ".gz") or not path.is_file():
        return ()
    content = content_of(path)
    text, encoding = decode(content)
    text = _lines(text)
    names = _header(text, delimiter(text))
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    found = encoding_found(content, encoding, path.name)
    if not twice:
        return found
    message = Message("tables.read.repeated", path=path.name, names=tuple(map(repr, twice)), first=twice[0])
    return (*found, Finding("column-names", "quality", "fail", message))


def columns_of(path: Path) -> list[str]:
    """The names in the header of a table, without reading the rest; none where it cannot be read."""
    try:
        if path.suffix.lower() in PARQUET:
            with reading(path, "Parquet"):
                return list(pl.read_parquet_schema(path))
        if path.suffix.lower() in WORKBOOKS:
            return _excel(path).columns
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = [decoded(file.readline(1 << 16)) for _ in range(3)]
    except (UserError, OSError, EOFError, zlib.error, pl.exceptions.PolarsError):
        return []
    return [name.strip().strip('"') for name in head[0].rstrip("\r\n").split(delimiter("".join(head)))]


def set_apart(names: Sequence[str], taken: Callable[[str], bool]) -> dict[str, str]:
    """What the columns of a table are called where some names are taken: those among them get ` (table)` behind, as
    often as it takes for no two to be the same."""
    new = {name: name for name in names if not taken(name)}
    for name in names:
        if name not in new:
            other = name + _APART
            while other in new.values():
                other += _APART
            new[name] = other
    return new


_APART = " (table)"


def put_back(table: pl.DataFrame) -> pl.DataFrame:
    """The columns that `set_apart` renamed under their own names again, where these are free."""
    names = {name: name.removesuffix(_APART) for name in table.columns if name.endswith(_APART)}
    return table.rename({name: own for name, own in names.items() if own not in table.columns})


def _excel(path: Path) -> pl.DataFrame:
    sheet = read_workbook(path)
    table = sheet.table
    table.columns = _distinct(map(_one_line, table.columns))
    return table.select(typed(column) for column in table) if sheet.raw else table


def _csv(path: Path) -> pl.DataFrame:
    text = _lines(text_of(path))
    separator = delimiter(text)
    table = text_frame(text, separator, path)
    names = _header(text, separator)
    names = names if len(names) == table.width else [_one_line(name) for name in table.columns]
    table.columns = _distinct(unguarded(pl.Series(names, dtype=pl.String)))
    columns = [unguarded(column) for column in table]
    if separator == ";" and any(column.str.contains(r"^\s*[+-]?[\d.]*\d,\d+\s*$").any() for column in columns):
        columns = [_without_thousands(column) for column in columns]
    return pl.DataFrame([typed(column, decimal_comma=separator == ";") for column in columns])


def text_frame(text: str, separator: str, path: Path, quote: str | None = '"', has_header: bool = True) -> pl.DataFrame:
    """A table with its cells as text. Raises: UserError where it has rows of different lengths, or none."""
    try:
        table = pl.read_csv(
            io.BytesIO(text.encode()),
            separator=separator,
            infer_schema=False,
            null_values=MISSING,
            quote_char=quote,
            has_header=has_header,
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        detail = _wrong_row(text, separator, quote, str(path)) or str(error).splitlines()[0]
        raise UserError("tables.read.unreadable", path=path, detail=detail) from None
    if not table.height:
        raise UserError("tables.read.no-rows", path=path)
    return table


def _without_thousands(column: pl.Series) -> pl.Series:
    """Numbers without the points between thousands (`1.234`, `1.234,5`), of a table that writes decimal commas."""
    text = column.str.strip_chars()
    known = text.drop_nulls()
    if not len(known) or not known.str.contains(r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?$").all():
        return column
    return text.str.replace_all(".", "", literal=True)


def _lines(text: str) -> str:
    """Text with the line ends of today, where they are those of old Macs, without Excel's own first line `sep=;`."""
    if "\n" not in text:
        text = text.replace("\r", "\n")
    first, _, rest = text.partition("\n")
    return rest if re.fullmatch(r"\s*\"?sep=.\"?\s*", first, re.IGNORECASE) else text


def _one_line(name: str) -> str:
    """A heading without line breaks and with single spaces."""
    return " ".join(name.split())


def rows_of(text: str, separator: str, where: str, quote: str | None = '"') -> Iterator[tuple[int, list[str]]]:
    """The values of each row of text, and the number of the line on which it ends. A carriage return within a line is
    a space.

    Raises: UserError where a value is longer than any that is meant."""
    lines = io.StringIO(text.replace("\r\n", "\n").replace("\r", " "))
    reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error:
        most = csv.field_size_limit()
        raise UserError("tables.read.long-value", path=where, line=reader.line_num, most=most) from None


def _header(text: str, separator: str) -> list[str]:
    try:
        row = next((row for _, row in rows_of(text, separator, "") if row), [])
    except UserError:
        return []
    return [_one_line(name.strip().strip('"')) for name in row]


def _distinct(names: Iterable[str]) -> list[str]:
    """The names, those that come again with a number behind them."""
    found: list[str] = []
    for name in names:
        found.append(unused(name, found))
    return found


def text_of(path: Path) -> str:
    """The text of a file, decompressed and decoded. Raises: UserError where it is empty, damaged or no text."""
    text = decoded(content_of(path))
    if "\0" in text:
        raise UserError("tables.read.not-text", path=path)
    if not text.strip():
        raise UserError("tables.read.empty", path=path)
    return text


def content_of(path: Path) -> bytes:
    """The bytes of a file, decompressed where it is a gzip. Raises: UserError where that is damaged."""
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError("tables.read.damaged", path=path, detail=str(error)) from None


def delimiter(text: str) -> str:
    """The separator that stands most often in the first row, outside of quotes; where none does, a single blank, if it
    divides every one of the first rows into as many parts; else a comma."""
    rows = [line for line in text.splitlines()[:20] if line.strip()]
    first = rows[0] if rows else ""
    plain = "".join(part for i, part in enumerate(first.split('"')) if i % 2 == 0)
    if not any(mark in plain for mark in ",;\t|") and len(rows) > 1:
        parts = {len(row.split(" ")) for row in rows}
        if len(parts) == 1 and parts != {1} and not any("  " in row for row in rows):
            return " "
    return max(",;\t|", key=lambda mark: (plain.count(mark), mark == ","))


def typed(column: pl.Series, decimal_comma: bool = False) -> pl.Series:
    """A column of text as whole numbers, numbers, truth values, days or times, if every value is one. With
    `decimal_comma`, measurements that stay text, as some are limits or have units, get decimal points. What would lose
    digits as a number is a name and stays text: `007`, codes of more digits than a number holds, plates such as
    `12E2`."""
    text = column.str.strip_chars()
    known = text.drop_nulls()
    if not len(known) or known.str.contains(r"^[+-]?0\d").any() or _are_names(known):
        return text
    if decimal_comma and known.str.contains(r"^[+-]?\d+(,\d+)?([eE][+-]?\d+)?$").all():
        text = text.str.replace(",", ".", literal=True)
        known = text.drop_nulls()
    if known.str.to_lowercase().is_in(["true", "false"]).all():
        return text.str.to_lowercase() == "true"
    for kind in (pl.Int64, pl.Float64):
        number = text.cast(kind, strict=False)
        if number.null_count() == text.null_count():
            return number
    if known.str.contains(r"^\d{4}-\d{2}-\d{2}").all():
        for convert in (partial(text.str.to_date, "%Y-%m-%d"), text.str.to_datetime):
            try:
                moment = convert(strict=False)
            except pl.exceptions.PolarsError:
                continue
            if moment.null_count() == text.null_count():
                return moment
    return with_decimal_points(text) if decimal_comma else text


def _are_names(known: pl.Series) -> bool:
    """Whether texts of digits are names: more digits than 64 bits hold among whole numbers, or, among texts without a
    decimal point or a sign, digits, an E and digits, which no program writes for a number."""
    if known.str.contains(r"^[+-]?\d+$").all():
        return bool(known.str.contains(r"^[+-]?\d{19,}$").any()) and known.cast(pl.Int64, strict=False).null_count() > 0
    plain = known.str.contains(r"^\d+([eE]\d+)?$").all()
    return bool(plain) and (known.str.contains("E").any() or known.str.contains(r"^\d{2,}e").any())


def _wrong_row(text: str, separator: str, quote: str | None, where: str) -> Text:
    rows = rows_of(text, separator, where, quote)
    _, first = next(rows, (0, []))
    wrong = next(((line, row) for line, row in rows if row and len(row) != len(first)), None)
    return Message("tables.read.width", line=wrong[0], count=len(wrong[1]), width=len(first)) if wrong else ""
