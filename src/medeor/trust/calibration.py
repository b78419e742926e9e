"""Turns scores into probabilities that mean what they say, fixes decisions beforehand, and gives every prediction a
set or an interval of stated coverage. All of it is learned from held-out predictions and saved as readable JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import polars as pl

from medeor.contracts import Cases, Predictions, Target, UserError
from medeor.formats.values.measured.units import is_positive
from medeor.settings import build
from medeor.statistics.outcomes import arrange
from medeor.targets import of
from medeor.targets.binary import rule
from medeor.targets.common.calibration import CalibrationOptions, Sets, TargetCalibration
from medeor.targets.outcomes import line_up


@dataclass(frozen=True)
class Calibration:
    """What was learned for every target, ready to be applied to new predictions."""

    coverage: float
    """Share of cases whose truth lies in their conformal set or interval."""
    targets: tuple[TargetCalibration, ...]

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise ValueError("coverage must lie between 0 and 1")

    def apply(self, predictions: Predictions) -> Predictions:
        """Fills `raw` with the values as they are, `value` with calibrated ones, then `chosen`, `plausible` (of a
        binary target null where both classes are) and, for numbers, `low` and `high`. Other items stay as they are.

        Raises: ValueError when the predictions were calibrated already."""
        table = predictions.table
        if "raw" in table.columns and table["raw"].null_count() < table.height:
            raise ValueError("these predictions are calibrated already")
        kinds = dict.fromkeys(("raw", "low", "high"), pl.Float64) | dict.fromkeys(("chosen", "plausible"), pl.Boolean)
        missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in kinds.items() if name not in table.columns]
        table = table.with_columns(missing).with_columns(pl.col(name).cast(kind) for name, kind in kinds.items())
        table = table.with_columns(pl.col("case_id", "item").cast(pl.String), pl.col("value").cast(pl.Float64))
        parts = [part for one in self.targets if (part := _applied(one, predictions)) is not None]
        if parts:
            new = pl.concat(parts, how="diagonal_relaxed")
            known = [name for name in new.columns if name not in ("case_id", "item")]
            joined = table.join(new, on=["case_id", "item"], how="left", suffix=" new", maintain_order="left")
            # An interval that the model gave stays unless there is a new one; a null set is an answer of its own.
            ours = {name: pl.col("raw new" if name == "plausible" else f"{name} new").is_not_null() for name in known}
            table = joined.with_columns(
                pl.when(ours[name]).then(pl.col(f"{name} new")).otherwise(pl.col(name)).alias(name) for name in known
            ).drop([f"{name} new" for name in known])
        return replace(predictions, table=table)

    @property
    def withheld(self) -> dict[str, str]:
        """By item, why its reasons are not shown: the model is not shown to know anything about it."""
        against = [(one.items, str(one.skill.missing)) for one in self.targets if one.skill]
        return {item: why for items, why in against if why for item in items}

    def check(self, targets: Sequence[Target], where: str) -> None:
        """Raises: UserError where it was not learned for these targets."""
        kinds = [of(target) for target in targets]
        known = {one.target.name: (one.target.kind, one.items, one.target.scale, len(one.classes)) for one in kinds}
        for one in self.targets:
            if known.get(one.target) != (one.kind, one.items, one.scale, len(one.plausible_from)):
                raise UserError("trust.calibration.another-target", path=where, target=one.target)

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, object], where: str = "calibration.json") -> Calibration:
        """Raises: UserError naming the first wrong key."""
        return build(Calibration, values, where)


def calibrate(
    cases: Cases,
    held_out: Predictions,
    *,
    coverage: float = 0.9,
    threshold: str = "youden",
    sets: Sets = "marginal",
    seed: int = 0,
) -> Calibration:
    """Learns from predictions of cases that did not fit the model; cases without one are left out. How is stated by
    the kind of each target. Groups count as one, their cases share their weight. The few numbers that are learned
    before the conformal sets and intervals come from the same cases, which costs the guarantee only as much as they
    can adapt. `threshold`: see `targets.binary.rule`; `sets`: one bound for all classes, or one for each.

    Raises: UserError for an unknown threshold rule or an impossible coverage."""
    if not 0 < coverage < 1:
        raise UserError("trust.calibration.coverage", coverage=coverage)
    rule(threshold)
    asked = CalibrationOptions(coverage, threshold, sets, seed)
    learned = (
        of(target).calibrate(line_up(cases, held_out, target), asked._replace(positive=is_positive(target.unit)))
        for target in cases.targets
    )
    return Calibration(coverage, tuple(learned))


def _applied(one: TargetCalibration, predictions: Predictions) -> pl.DataFrame | None:
    """The new columns of one target's rows; None where it was not predicted."""
    rows = predictions.table.filter(pl.col("item").cast(pl.String).is_in(one.items))
    ids = rows["case_id"].cast(pl.String).unique(maintain_order=True)
    given = arrange(ids, predictions, one.items, one.target)
    ids, given = ids.filter(pl.Series(given.predicted)), given.where(given.predicted)
    if not len(ids):
        return None
    columns = {
        "case_id": np.repeat(ids.to_numpy(), len(one.items)),
        "item": list(one.items) * len(ids),
        "raw": given.values.ravel(),
    }
    return pl.DataFrame(columns | dict(of(Target(one.target, one.kind, scale=one.scale)).apply(one, given)))
