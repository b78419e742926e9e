"""Tables as files for other programs."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from medeor.contracts import UserError
from medeor.files import writable, write_bytes
from medeor.formats.tables.spreadsheet import guarded


def write_table(table: pl.DataFrame, path: Path) -> None:
    """A table by the ending of its name: .csv, .parquet or .json."""
    writer = writer_of(path)
    content = io.BytesIO()
    writer(table, content)
    write_bytes(path, content.getvalue())


def writer_of(path: Path, others: Sequence[str] = ()) -> Callable[[pl.DataFrame, io.BytesIO], object]:
    """What writes a table to this file; asked before long work. Raises: UserError where nothing can; it names what can,
    and `others`, the endings that the caller writes itself."""
    writers: dict[str, Callable[[pl.DataFrame, io.BytesIO], object]] = {
        ".csv": lambda table, file: guarded(table.select(~pl.selectors.list())).write_csv(file),
        ".parquet": lambda table, file: table.write_parquet(file),
        ".json": lambda table, file: table.write_json(file),
    }
    if path.suffix not in writers:
        raise UserError("tables.write.ending", path=path, endings=(*writers, *others))
    writable(path)
    return writers[path.suffix]
