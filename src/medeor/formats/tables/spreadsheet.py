"""Text in a CSV that a spreadsheet would run as a formula: it is written with an apostrophe before it, which a
spreadsheet takes for "this is text", and read without."""

from __future__ import annotations

import polars as pl

_SIGNS = r"[=+\-@\t\r\n＝＋－＠]"
_FORMULA = rf"(?s)^{_SIGNS}."
_NUMBER = r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$"
"""What begins with a sign and is no formula."""
_GUARDED = rf"^'+{_SIGNS}"


def guarded(table: pl.DataFrame) -> pl.DataFrame:
    """The table as it goes into a CSV: cells of text, and names of columns, that would be formulas begin with an
    apostrophe. So do those that begin with one already, and would lose it on the way back."""
    texts = pl.selectors.by_dtype(pl.String, pl.Categorical, pl.Enum)
    table = table.with_columns(_guard(column.cast(pl.String)) for column in table.select(texts))
    return table.rename(dict(zip(table.columns, _guard(pl.Series(table.columns, dtype=pl.String)))))


def unguarded(text: pl.Series) -> pl.Series:
    """A column of text as it was before `guarded`."""
    return text.str.replace(rf"^'('*{_SIGNS})", "${1}")


def _guard(text: pl.Series) -> pl.Series:
    risky = (text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)) | text.str.contains(_GUARDED)
    return text.str.replace("^", "'").zip_with(risky.fill_null(False), text)
