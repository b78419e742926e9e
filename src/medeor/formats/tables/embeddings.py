"""Tables of embeddings: what one study learned of each entity, compound or protein, an input for another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from medeor.contracts import UserError
from medeor.files import digest, read_parquet

_COLUMNS = {"id": pl.String, "name": pl.String, "kind": pl.String}


@dataclass(frozen=True, eq=False)
class Embeddings:
    """A vector for each thing, by its id. As the input of a study it is a store.

    >>> vectors, known = embeddings.vectors(["DB00331", "DB99999"])
    >>> known
    array([ True, False])
    """

    table: pl.DataFrame
    """id (each once), name, kind (null where unknown), vector (as many numbers in every row)."""

    @cached_property
    def digest(self) -> str:
        values = np.ascontiguousarray(self.table["vector"].to_numpy())
        return digest(self.table.select(*_COLUMNS).write_json(), values.data)

    @property
    def dimension(self) -> int:
        return int(self.table["vector"].dtype.shape[0])  # type: ignore[attr-defined]

    def vectors(self, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of some things, shape (n, dimension) float32, and which of them are known, shape (n,); of the others
        the vector is zero."""
        place = self.table.select("id", place=pl.int_range(pl.len()))
        rows = pl.DataFrame({"id": list(ids)}, schema={"id": pl.String})
        found = rows.join(place, on="id", how="left", maintain_order="left")["place"]
        known = found.is_not_null().to_numpy()
        values = np.zeros((len(known), self.dimension), np.float32)
        values[known] = self.table["vector"].to_numpy()[found.drop_nulls().to_numpy()]
        return values, known


def read_embeddings(path: Path) -> Embeddings:
    """From the Parquet file that `medeor export --as embeddings` wrote, or another with the columns id and vector.

    Raises: UserError where it is no such table, an id is there twice, or a vector is missing or not finite."""
    if not path.exists():
        raise UserError("common.no-file", path=path)
    table = read_parquet(path)
    if not {"id", "vector"} <= set(table.columns):
        raise UserError("tables.embeddings.columns", path=path, columns=table.columns)
    if not isinstance(table["vector"].dtype, pl.Array | pl.List):
        raise UserError("tables.embeddings.not-numbers", path=path, kind=table["vector"].dtype)
    sizes = table["vector"].arr.len() if isinstance(table["vector"].dtype, pl.Array) else table["vector"].list.len()
    if table.is_empty() or sizes.null_count() or sizes.n_unique() != 1:
        raise UserError("tables.embeddings.lengths", path=path)
    dimension = int(sizes[0])
    known = [pl.col(name).cast(kind) if name in table.columns else pl.lit(None, kind).alias(name)
             for name, kind in _COLUMNS.items()]  # fmt: skip
    table = table.select(*known, pl.col("vector").cast(pl.Array(pl.Float32, dimension)))
    twice = table.filter(pl.col("id").is_duplicated() | pl.col("id").is_null())["id"]
    if len(twice):
        raise UserError("tables.embeddings.repeated", path=path, name=twice[0])
    if not np.isfinite(table["vector"].to_numpy()).all():
        raise UserError("tables.embeddings.not-finite", path=path)
    return Embeddings(table)
