"""What is measured, as the files in `workloads/` say it, and the rows that one workload consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medeor.contracts import Measure
from medeor.files import read_toml
from medeor.settings import build

HERE = Path(__file__).parent
ROOT = HERE.parent
WORK = HERE / ".work"


@dataclass(frozen=True)
class Bar:
    """What a figure has to reach."""

    figure: str
    data: str = ""
    """The one data set that it is asked of; empty: each."""
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    limit: str = ""
    """A figure that is a share of the limit: the same arithmetic with everything else removed."""
    of_limit: float | None = None
    """The share of the limit that meets the bar as well."""

    @property
    def words(self) -> str:
        named = {"≥": self.at_least, "≤": self.at_most, ">": self.above}
        said = ", ".join(f"{sign} {value:g}" for sign, value in named.items() if value is not None)
        return f"{said}, or {self.of_limit:g} of the limit" if self.of_limit is not None else said

    def met(self, figures: Mapping[str, Measure]) -> bool | None:
        """Whether these figures reach it; None where the figure was not measured."""
        value = figures[self.figure].value if self.figure in figures else None
        if value is None:
            return None
        reached = (
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
        )
        share = figures[self.limit].value if self.limit in figures else None
        return reached or (self.of_limit is not None and share is not None and share >= self.of_limit)


@dataclass(frozen=True)
class Workload:
    """One file in `workloads/`."""

    name: str
    what: str
    measure: str
    """What measures one row: `MODULE:FUNCTION` of `bench.rows`."""
    peer: str = ""
    """What stands beside it."""
    bars: tuple[Bar, ...] = ()
    known: str = ""
    """What others have reported."""
    data: tuple[str, ...] = ("simulated",)
    seeds: tuple[int, ...] = (0,)
    threads: tuple[int, ...] = (2,)
    order: int = 0
    """Workloads of a higher order come later: they use what others have left, or take long."""
    repeats: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    """What else the module asks."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """Seed by seed, so that what is measured of a part of them is whole."""
        return tuple(
            Row(self, data, seed, threads) for seed in self.seeds for data in self.data for threads in self.threads
        )


@dataclass(frozen=True)
class Row:
    """One thing that is measured in one process, and remembered by its name."""

    workload: Workload
    data: str
    seed: int
    threads: int

    @property
    def name(self) -> str:
        return f"{self.workload.name}-{self.data}-seed{self.seed}-threads{self.threads}"

    @property
    def place(self) -> Path:
        """A folder for what the row leaves beside its figures."""
        return WORK / "rows" / self.name

    @property
    def result(self) -> Path:
        return WORK / "results" / f"{self.name}.json"


def workloads(folder: Path = HERE / "workloads") -> dict[str, Workload]:
    """Every workload by name, in the order in which they are run.

    Raises: UserError where a file has a wrong key or value."""
    made = []
    for path in sorted(folder.glob("*.toml")):
        made.append(build(Workload, {"name": path.stem, **read_toml(path)}, str(path)))
    return {workload.name: workload for workload in sorted(made, key=lambda one: one.order)}


def run_of(data: str, seed: int) -> Path:
    """The run folder of `medeor train DATA --set seed=SEED` with the default plan, which several workloads read."""
    return WORK / "runs" / f"{data}-{seed}"
