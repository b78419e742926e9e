"""The files of a run folder in which steps leave what they found: written, and read back as the same values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from medeor.contracts import Explanation, Explanations, Finding, Measure, Measures, Message, Predictions, UserError
from medeor.files import read_json, read_parquet, replacing, write_json, write_parquet
from medeor.learning.predictions import load_arrays, save_arrays
from medeor.road.walk.scoring import ScoredPart

PARTS = ("test", "cv", "validation")
"""Parts of a study itself; other data are scored under other names."""


MODELS = ("model", "baseline")


def write_findings(folder: Path, findings: Sequence[Finding]) -> None:
    write_json(folder / "audit.json", [finding.to_json() for finding in findings])


def read_findings(folder: Path) -> list[Finding]:
    """What `write_findings` wrote. Raises: UserError where it is damaged."""
    where = folder / "audit.json"
    listed = read_json(where)
    if not isinstance(listed, list):
        raise UserError("files.damaged.file", path=where)
    try:
        return [Finding.from_json(one) for one in listed]
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError("files.damaged.file", path=where) from error


def write_scored(folder: Path, scored: ScoredPart) -> None:
    """`predictions.parquet`, with the columns of the model's and the baseline's predictions together, and
    `metrics.json`."""
    tables = [
        predictions.table.with_columns(part=pl.lit(scored.part), model=pl.lit(model))
        for model, predictions in zip(MODELS, (scored.predictions, scored.baseline), strict=True)
    ]
    save_arrays(scored.predictions.arrays, place_of_arrays(folder, scored.part, "model"))
    save_arrays(scored.baseline.arrays, place_of_arrays(folder, scored.part, "baseline"))
    write_parquet(folder / "predictions.parquet", pl.concat(tables, how="diagonal_relaxed"))
    write_json(folder / "metrics.json", {scored.part: measures_json(scored.measures)})


def read_scored(folder: Path, columns: Sequence[Sequence[str]]) -> ScoredPart:
    """What `write_scored` wrote; `columns` are those that the predictions of the model, and of the baseline, had.

    Raises: UserError where it is damaged."""
    table = read_parquet(folder / "predictions.parquet", [*{name for own in columns for name in own}, "part", "model"])
    listed = read_json(folder / "metrics.json")
    part = next((part for part in PARTS if part in listed), None) if isinstance(listed, dict) else None
    if part is None:
        raise UserError("files.damaged.file", path=folder / "metrics.json")
    ours, theirs = (
        Predictions(
            table.filter(pl.col("model") == model).select(own), load_arrays(place_of_arrays(folder, part, model))
        )
        for model, own in zip(MODELS, columns, strict=True)
    )
    return ScoredPart(part, ours, theirs, _measures(listed[part]))


def place_of_arrays(folder: Path, part: str, model: str) -> Path:
    """What `save_arrays` and `load_arrays` take for the arrays of a run: `predictions.parquet` holds several parts and
    models, of which each has an index of its own."""
    return folder / f"predictions-{part}-{model}.parquet"


def read_logs(folder: Path) -> dict[str, pl.DataFrame]:
    """The epochs of each network of the model in a folder, by its name: empty for the only one."""
    paths = sorted(folder.rglob("log.jsonl"))
    return {
        path.parent.name if path.parent != folder else "": pl.read_ndjson(path, infer_schema_length=None)
        for path in paths
    }


def write_explanations(folder: Path, explanations: Explanations) -> None:
    """`explanations.json` with the scores, and an array for each map that is shown; what is not shown is not kept."""
    with replacing(folder) as new:
        new.mkdir()
        known = []
        for e in explanations.cases:
            name = f"{e.case_id}.{e.method}.npy"
            if e.shown:
                np.save(new / name, e.attribution, allow_pickle=False)
            facts = {name: getattr(e, name) for name in ("case_id", "item", "method", "shown")}
            facts |= {"reason": str(e.reason)}
            facts |= {"message": e.reason.to_json()} if isinstance(e.reason, Message) else {}
            facts |= {"elements": list(e.elements)} if e.elements else {}
            known.append({**facts, "scores": dict(e.scores), "file": name if e.shown else None})
        write_json(new / "explanations.json", {"summary": measures_json(explanations.summary), "cases": known})


def read_explanations(folder: Path) -> Explanations:
    """What `write_explanations` wrote; of a map that is not shown, none of its weights."""
    known = read_json(folder / "explanations.json")
    cases = [
        Explanation(
            attribution=np.load(folder / file, allow_pickle=False) if file else np.zeros(0),
            elements=tuple(one.pop("elements", ())),
            **{**one, "reason": Message.from_json(message) if message else one["reason"]},
        )
        for one in known["cases"]
        for file, message in [(one.pop("file"), one.pop("message", None))]
    ]
    return Explanations(tuple(cases), _measures(known["summary"]))


def measures_json(measures: Measures) -> dict[str, dict[str, object]]:
    return {name: measure._asdict() for name, measure in measures.items()}


def _measures(listed: Mapping[str, Mapping[str, float | None]]) -> dict[str, Measure]:
    return {name: Measure(**measure) for name, measure in listed.items()}  # type: ignore[arg-type]
