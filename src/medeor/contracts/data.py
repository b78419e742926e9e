"""The data: targets, cases with their stores, and the split of the cases into parts and folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, runtime_checkable

from medeor.contracts import schemas

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from medeor.contracts.results import Finding


@dataclass(frozen=True)
class Target:
    """One thing to be predicted. The case table holds it in the column `name`: an index into `classes`, a number in
    `unit`, or what else its kind says; null where it is not known. A multi-label question is several binary targets."""

    name: str
    kind: str
    """A key of `targets.KINDS`; what depends on it is asked of `targets.of`."""
    classes: tuple[str, ...] = ()
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"
    """log: a positive, skewed number, learned by its logarithm and scored as fold error."""
    values: tuple[str, ...] = field(default=(), compare=False)
    """What the user's column says for no and for yes, of a binary target that goes by its own name."""
    guessed: bool = field(default=False, compare=False)
    """Whether the positive class of a binary target is only the second in order: its words decide nothing."""

    @property
    def limit(self) -> str:
        """The column that says, where some values are censored, on which side the truth lies: 1 above the value, -1
        below, 0 where it is the value."""
        return f"{self.name}.limit"


@runtime_checkable
class Store(Protocol):
    """Data too large for a table (images on disk, events, a graph), known by a digest of its content."""

    @property
    def digest(self) -> str: ...


@runtime_checkable
class Kept(Store, Protocol):
    """A store that a run keeps below `stores/`, because questions to its model are answered with it. No bundle does."""

    def save(self, folder: Path) -> None: ...


@runtime_checkable
class OnDisk(Store, Protocol):
    """A store that reads its content from files of the user's, where these lie, when it is asked."""

    @property
    def files(self) -> Mapping[str, tuple[str, ...]]:
        """The files of each thing in it, by its key."""
        ...


S = TypeVar("S")


Inputs = Mapping[str, Store]
"""What a study uses of others, by role: a model that is adapted, a table of embeddings, the goal of a search."""


@dataclass(frozen=True)
class Cases:
    """A table with one row a case (`case_id, group`, and where known `site, time, part`, targets, subgroup columns)
    and the stores that its rows point into."""

    table: pl.DataFrame
    targets: tuple[Target, ...] = ()
    stores: Mapping[str, Store] = field(default_factory=dict)
    """By name: two series of one patient, the truth as label maps."""
    subgroups: tuple[str, ...] = ()
    """Columns by which the results are also reported."""
    features: tuple[str, ...] = ()
    """Columns that a model is given, of a modality whose data lie in the table itself."""
    prevalences: tuple[float, ...] = ()
    """At which predictive values are stated; empty: the usual ones."""
    findings: tuple[Finding, ...] = ()
    """What the reader noticed: files passed over, a guessed positive class, a unit taken from a heading. The audit
    begins with them."""
    carried: tuple[str, ...] = ()
    """Columns that a table of predictions keeps: what names a case in the user's file, what was made of the case."""

    def __len__(self) -> int:
        return self.table.height

    @property
    def ids(self) -> list[str]:
        return self.table["case_id"].to_list()

    def store(self, name: str, kind: type[S]) -> S:
        """The store of this name, which is of this type."""
        store = self.stores.get(name)
        if not isinstance(store, kind):
            raise LookupError(f"these cases carry no {kind.__name__} called '{name}'")
        return store

    @property
    def usable(self) -> Cases:
        """The cases that can be used: where the table has a column `broken`, those without a reason in it."""
        import polars as pl

        return self.where(pl.col("broken").is_null()) if "broken" in self.table.columns else self

    def where(self, rows: pl.Expr | pl.Series) -> Cases:
        """The cases for which `rows` holds; the stores are shared."""
        return replace(self, table=self.table.filter(rows))


Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Split:
    """Which part each case belongs to: a table of `case_id, part, fold`.

    `train` fits; `validation` is held out from the fit and only calibrates and fixes thresholds; `test` is scored
    once. `fold` (null on test cases) divides train and validation together, never a group."""

    table: pl.DataFrame

    def __post_init__(self) -> None:
        schemas.check(self.table, schemas.SPLIT, "the split")

    def part(self, cases: Cases, *parts: Part) -> Cases:
        """The cases of these parts, in the order of the case table."""
        chosen = self.table.filter(self.table["part"].is_in(parts))
        return replace(cases, table=cases.table.join(chosen.select("case_id"), on="case_id", how="semi"))

    @property
    def folds(self) -> int:
        """The number of folds; 0 when the split has none."""
        last = self.table["fold"].max()
        return 0 if last is None else int(last) + 1  # type: ignore[arg-type]

    def folds_of(self, cases: Cases) -> np.ndarray:
        """The fold of each case, shape (n,); -1 where it has none."""
        rows = cases.table.select("case_id").join(self.table, on="case_id", how="left", maintain_order="left")
        return rows["fold"].fill_null(-1).to_numpy()

    def fold(self, number: int) -> Split:
        """The same cases with fold `number` as validation and the other folds as train: a combinator need only hand
        this to the method it combines."""
        import polars as pl

        held = pl.when(pl.col("fold") == number).then(pl.lit("validation")).otherwise(pl.lit("train"))
        part = pl.when(pl.col("fold").is_null()).then(pl.col("part")).otherwise(held)
        return Split(self.table.with_columns(part.alias("part")))
