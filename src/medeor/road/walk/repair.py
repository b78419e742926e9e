"""A table of cases without what the audit would have removed, in the words of the user's own table."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from medeor.contracts import Study
from medeor.formats.tables.read import put_back
from medeor.road.walk.reading import Read
from medeor.statistics.split import WAYS
from medeor.targets import of
from medeor.trust.audits.copies import rank


def repaired(asked: Read) -> pl.DataFrame:
    """A table to train on: the user's columns under their names without the cases that the audit would have removed,
    classes by their names and limits by their signs (`>10`). Of a group in two parts the cases of the part that is
    scored last stay."""
    table = asked.task.clean(asked.every, asked.findings, asked.split)
    torn = {case for finding in asked.findings if finding.check == "groups-across-parts" for case in finding.cases}
    parts = asked.split.table.select("case_id", pl.col("part").alias("in_part"))
    table = table.join(parts, on="case_id", how="left", maintain_order="left")
    lesser = pl.col("case_id").is_in(list(torn)) & (rank() < rank().max().over("group"))
    words = [of(target).written(table.columns) for target in asked.every.targets if target.name in table.columns]
    limits = [target.limit for target in asked.every.targets if target.limit in table.columns]
    table = table.filter(pl.col("removed").is_null() & ~lesser).with_columns(words)
    return _as_named(table.drop("case_id", "removed", "in_part", *limits), asked.study)


def _as_named(table: pl.DataFrame, study: Study) -> pl.DataFrame:
    """The columns that play a role under the user's names. What no column named is left out, to be found again."""
    part = "part" if study.split in ("", *WAYS) else study.split
    if part in set(table.columns) - {"part"} or table.get_column("part", default=pl.Series([None])).is_null().all():
        part = ""  # The user's own column is there, or there are no parts.
    elif "part (table)" in table.columns:
        part = ""  # So is the column that the official split was read from.
    roles = {"group": study.group, "site": study.site, "time": study.time, "part": part}
    table = table.rename(_asked_for(study, "image", table.columns)).drop(
        [role for role, column in roles.items() if not column], strict=False
    )
    return put_back(table.rename({role: column for role, column in roles.items() if role in table.columns}))


def _asked_for(study: Study, what: str, columns: Sequence[str]) -> dict[str, str]:
    """What the columns `image` or `image_1`, `image_2`, … are called by `--option image=A,B`."""
    names = [name.strip() for name in study.options.get(what, "").split(",") if name.strip()]
    given = {what: names[0], f"{what}_1": names[0]} if len(names) == 1 else {}
    given |= {f"{what}_{place}": name for place, name in enumerate(names, 1)}
    return {name: new for name, new in given.items() if name in columns and new not in columns}
