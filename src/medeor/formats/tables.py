"""Tables as people keep them: CSV in any common dialect and encoding, also compressed, TSV, Parquet, Excel."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from medeor.contracts import UserError
from medeor.formats.measurements import with_decimal_points
from medeor.formats.spreadsheet import unguarded

TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
"""How the names of tables end."""
MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A"]
"""What stands for an unknown value in text. `none` is not among them: it is a diagnosis."""


def read_table(path: Path) -> pl.DataFrame:
    """A table with a header row. Columns of text become numbers, truth values or dates where every value allows it;
    numbers with leading zeros stay text, as they are names.

    Raises: UserError where the file is missing, empty, damaged, or has rows of different lengths."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist" if not path.exists() else f"{path} is a folder, not a table")
    if not path.stat().st_size:
        raise UserError(f"{path} is empty")
    ending = path.suffix.lower()
    if ending in (".parquet", ".pq"):
        table = _parquet(path)
    elif ending in (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods"):
        table = _excel(path)
    else:
        table = _csv(path)
    if not table.height:
        raise UserError(f"{path} has a header and no rows")
    return table


def columns_of(path: Path) -> list[str]:
    """The names in the header of a table, without reading the rest; none where it cannot be read."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return list(pl.read_parquet_schema(path))
        if path.suffix.lower() in (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods"):
            return _excel(path).columns
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = [decoded(file.readline(1 << 16)) for _ in range(3)]
    except (UserError, OSError, EOFError, zlib.error, pl.exceptions.PolarsError):
        return []
    return [name.strip().strip('"') for name in head[0].rstrip("\r\n").split(delimiter("".join(head)))]


def set_apart(names: Sequence[str], taken: Callable[[str], bool]) -> dict[str, str]:
    """What the columns of a table are called beside names that are taken: those among them get ` (table)` behind, as
    often as it takes for no two to be the same."""
    new = {name: name for name in names if not taken(name)}
    for name in names:
        if name not in new:
            other = f"{name} (table)"
            while other in new.values():
                other += " (table)"
            new[name] = other
    return new


def _parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path} is not readable Parquet ({error})") from None


def _excel(path: Path) -> pl.DataFrame:
    try:
        import fastexcel
    except ModuleNotFoundError:
        raise UserError(f'{path}: Excel needs the package fastexcel: pip install "medeor[imaging]"') from None
    try:
        return pl.read_excel(path, engine="calamine", infer_schema_length=None)
    except (pl.exceptions.PolarsError, fastexcel.FastExcelError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(f"{path} is not a readable Excel workbook ({str(error).splitlines()[0]})") from None


def _csv(path: Path) -> pl.DataFrame:
    text = decoded(content_of(path))
    if "\0" in text:
        raise UserError(f"{path} is not a table of text; medeor reads CSV, TSV, Parquet and Excel")
    separator = delimiter(text)
    try:
        table = pl.read_csv(
            io.BytesIO(text.encode()), separator=separator, infer_schema=False, null_values=MISSING, quote_char='"'
        )
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{path}: {_wrong_row(text, separator) or str(error).splitlines()[0]}") from None
    names = [name.strip() for name in unguarded(pl.Series(table.columns, dtype=pl.String))]
    table = table.rename({old: new for old, new in zip(table.columns, names) if old != new}, strict=False)
    return table.select(typed(unguarded(column), decimal_comma=separator == ";") for column in table)


def content_of(path: Path) -> bytes:
    """The bytes of a file, decompressed where it is a gzip. Raises: UserError where that is damaged."""
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}); fetch it again") from None


def decoded(content: bytes) -> str:
    """Text of UTF-8, UTF-16 with its mark, GB18030 or, failing those, Windows Latin.

    Bytes of Western text are often valid GB18030. In Chinese text bytes above 127 come in runs; an accented letter
    stands alone."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    high = [byte >= 0x80 for byte in content]
    alone = sum(h and not before and not after for before, h, after in zip([False, *high], high, [*high[1:], False]))
    if alone < 0.3 * sum(high):
        try:
            return content.decode("gb18030")
        except UnicodeDecodeError:
            pass
    return content.decode("cp1252", errors="replace")


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
    `decimal_comma`, measurements that stay text, as some are limits or have units, get decimal points."""
    text = column.str.strip_chars()
    known = text.drop_nulls()
    if not len(known) or known.str.contains(r"^[+-]?0\d").any():
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
        for convert in (text.str.to_date, text.str.to_datetime):
            moment = convert(strict=False)
            if moment.null_count() == text.null_count():
                return moment
    return with_decimal_points(text) if decimal_comma else text


def _wrong_row(text: str, separator: str) -> str:
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    width = len(next(rows, []))
    for row in rows:
        if row and len(row) != width:
            return f"row {rows.line_num} has {len(row)} values where the header has {width}; check its quotes"
    return ""
