"""Ten small public tables with a question each, as a user would hand them in."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from medeor.contracts import Study

SUPPORT = (
    "age", "sex", "dzgroup", "dzclass", "num.co", "edu", "income", "race", "scoma", "hday", "diabetes",
    "dementia", "ca", "meanbp", "wblc", "hrt", "resp", "temp", "pafi", "alb", "bili", "crea", "sod", "ph",
    "glucose", "bun", "urine",
)  # fmt: skip
"""Columns of SUPPORT2 that are known on the third day."""
NHEFS = (
    "qsmk", "sbp", "dbp", "sex", "age", "race", "income", "marital", "school", "education", "ht", "wt71",
    "smokeintensity", "smokeyrs", "asthma", "bronch", "hbp", "diabetes", "tumor", "nervousbreak", "alcoholfreq",
    "alcoholtype", "alcoholhowmuch", "headache", "otherpain", "weakheart", "allergies", "nerves", "hbpmed",
    "boweltrouble", "wtloss", "infection", "active", "exercise", "birthcontrol", "pregnancies", "cholesterol",
)  # fmt: skip
"""Columns of NHEFS that were asked at its begin."""
DIARY = ("", "id", "date", "nremhr", "bpm", "activityType", "badgeType")
STATIC = ("RecordID", "Gender", "Height", "ICUType", "Age", "Weight")


class TableSet(NamedTuple):
    """A table and what is asked of it."""

    table: pl.DataFrame
    study: Study


def table_set(name: str) -> TableSet:
    """One of the ten, from the folder of public data that `MEDEOR_DATA` names."""
    table, options = SETS[name](Path(os.environ["MEDEOR_DATA"]))
    return TableSet(table, Study((table,), "table-prediction", target=("answer",), split="cv", **options))  # type: ignore[arg-type]


def followed(name: str) -> pl.DataFrame:
    """One of the sets `metabric`, `gbsg` (official parts), `support` (a fifth is tested) and `fed_tcga_brca` (no part),
    with the columns `time, event, part`."""
    data = Path(os.environ["MEDEOR_DATA"])
    if name == "fed_tcga_brca":
        table = (
            _csv(data / "records" / "survival" / "fed_tcga_brca.csv").drop("pid").rename({"T": "time", "E": "event"})
        )
    elif name == "support":
        table = _support(data)
        tested = np.random.default_rng(0).random(table.height) < 0.2
        table = table.with_columns(part=pl.when(pl.Series(tested)).then(pl.lit("test")).otherwise(pl.lit("train")))
    else:
        table = _csv(data / "omics" / f"deepsurv_{name}" / f"{name}.csv.gz").rename({"time_months": "time"})
    return table.with_columns(pl.col("event").cast(pl.Int64))


Made = tuple[pl.DataFrame, Mapping[str, object]]


def nhanes(data: Path) -> Made:
    """Death within ten years of the examination; the sign of `y` says who was last seen alive."""
    table, years = (_csv(data / "health" / "nhanes1" / f"{name}.csv.gz").drop("") for name in "Xy")
    return _by(table.with_columns(time=years["y"].abs(), event=years["y"] > 0), 10.0), {}


def support(data: Path) -> Made:
    """Death within 180 days, from what is known on the third day."""
    return _by(_support(data), 180.0), {}


def _support(data: Path) -> pl.DataFrame:
    table = _csv(data / "records" / "survival" / "support2.csv.gz")
    table = table.with_columns(pl.col(pl.String).str.strip_chars())
    table = table.select(*SUPPORT, time=pl.col("d.time").cast(pl.Float64), event=pl.col("death") == 1)
    numbers = [name for name in SUPPORT if name not in ("sex", "dzgroup", "dzclass", "income", "race", "ca")]
    return table.with_columns(pl.col(numbers).cast(pl.Float64))


def pbc(data: Path) -> Made:
    """Death within five years, from the first visit."""
    table = _csv(data / "records" / "survival" / "pbc2.csv.gz").filter(pl.col("year") == 0)
    table = table.with_columns(time="years", event=pl.col("status") == "dead")
    return _by(table.drop("sno.", "id", "years", "status", "status2", "year"), 5.0), {}


def metabric(data: Path) -> Made:
    """Death within ten years."""
    table = _csv(data / "omics" / "deepsurv_metabric" / "metabric.csv.gz")
    return _by(table.drop("part").rename({"time_months": "time"}), 120.0), {}


def gbsg(data: Path) -> Made:
    """Relapse or death within three years."""
    table = _csv(data / "omics" / "deepsurv_gbsg" / "gbsg.csv.gz")
    return _by(table.drop("part").rename({"time_months": "time"}), 36.0), {}


def brca(data: Path) -> Made:
    """Death within five years."""
    table = _csv(data / "records" / "survival" / "fed_tcga_brca.csv")
    return _by(table.drop("pid").rename({"T": "time", "E": "event"}), 1826.0), {}


def physionet(data: Path) -> Made:
    """Death in hospital, from first, last, lowest, highest and mean value of each variable over 48 hours."""
    folder = data / "records" / "physionet2012"
    rows = []
    with tarfile.open(folder / "set-a.tar.xz") as archive:
        for member in archive:
            if member.name.endswith(".txt"):
                content = archive.extractfile(member)
                assert content is not None
                stay = pl.read_csv(io.BytesIO(content.read()), schema_overrides={"Value": pl.Float64})
                rows.append(stay.with_columns(stay=pl.lit(int(Path(member.name).stem))))
    long = pl.concat(rows).filter(pl.col("Parameter").is_not_null() & (pl.col("Value") >= 0))
    value = pl.col("Value")
    summary = (value.first(), value.last().alias("last"), value.min().alias("min"), value.max().alias("max"),
               value.mean().alias("mean"), pl.len().alias("count"))  # fmt: skip
    wide = long.group_by("stay", "Parameter", maintain_order=True).agg(*summary)
    wide = wide.pivot("Parameter", index="stay", values=["Value", "last", "min", "max", "mean", "count"])
    wide = wide.drop([name for name in wide.columns if name.endswith(tuple(f"_{one}" for one in STATIC))
                      and not name.startswith("Value")] + ["Value_RecordID"])  # fmt: skip
    outcomes = _csv(folder / "Outcomes-a.txt").select(stay="RecordID", answer="In-hospital_death")
    return wide.join(outcomes, on="stay", maintain_order="left").drop("stay"), {}


def nhefs(data: Path) -> Made:
    """Change of weight over eleven years."""
    table = _csv(data / "therapy" / "nhefs_nsw" / "nhefs_complete.csv.gz")
    return table.select(*NHEFS, answer="wt82_71"), {}


def earnings(data: Path) -> Made:
    """Earnings in 1978 from those of 1974 and 1975, of every fourth person."""
    table = _csv(data / "therapy" / "nhefs_nsw" / "cps_mixtape.csv.gz").gather_every(4)
    return table.drop("data_id", "treat").rename({"re78": "answer"}), {}


def pulse(data: Path) -> Made:
    """The resting pulse of a day from what else a wristband knows; days of one person stay together."""
    table = _csv(data / "health" / "lifesnaps_daily" / "daily.csv.gz").filter(pl.col("resting_hr").is_not_null())
    table = table.with_columns(person="id").drop(DIARY)
    return table.rename({"resting_hr": "answer"}), {"group": "person"}


SETS: dict[str, Callable[[Path], Made]] = {
    "nhanes": nhanes, "support": support, "pbc": pbc, "metabric": metabric, "gbsg": gbsg, "brca": brca,
    "physionet": physionet, "nhefs": nhefs, "earnings": earnings, "pulse": pulse,
}  # fmt: skip


def _csv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema_length=None, null_values=["NA", ""])


def _by(table: pl.DataFrame, horizon: float) -> pl.DataFrame:
    """`answer`: whether the event has happened by a horizon, of those of whom that is known."""
    time, event = pl.col("time"), pl.col("event").cast(pl.Boolean)
    happened = event & (time <= horizon)
    known = happened | (time > horizon)
    return table.filter(known).with_columns(answer=happened.cast(pl.Int64)).drop("time", "event")
