"""What the rows of a table are called."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence

import polars as pl


def digests(table: pl.DataFrame) -> list[str]:
    """12 hex digits of all that each row holds, whatever the order of the columns."""
    rows = table.select(sorted(table.columns)).write_ndjson().splitlines() if table.width else [""] * table.height
    return [digest_of(text) for text in rows]


def digest_of(text: str) -> str:
    """12 hex digits: a pseudonym."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def counted(ids: Sequence[str]) -> list[str]:
    """Ids, of which one that comes again has its number behind it."""
    before: dict[str, int] = {}
    found = []
    for one in ids:
        count = before[one] = before.get(one, 0) + 1
        found.append(one if count == 1 else f"{one}-{count}")
    return found


def unused(name: str, taken: Container[str]) -> str:
    """A name, with ` (2)`, ` (3)`, … behind it where it is taken."""
    new, number = name, 1
    while new in taken:
        number += 1
        new = f"{name} ({number})"
    return new
