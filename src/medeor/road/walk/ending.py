"""The last two steps, the report and the bundle; and all steps in their order."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medeor import __version__, simulate
from medeor.contracts import Explanations, Message, Result
from medeor.files import content_digest, read_json
from medeor.machine import threads
from medeor.report import story
from medeor.road.bundle import write_bundle
from medeor.road.study_file import study_values
from medeor.road.walk import results
from medeor.road.walk.step import RoadStep, Walk
from medeor.road.walk.steps import (
    AUDIT,
    CALIBRATE,
    EVALUATE,
    EXPLAIN,
    FIT,
    LABELS,
    PLAN,
    READ,
    SPLIT,
    json_digest,
    scored_cases,
    sources_read,
)  # fmt: skip


def facts(walk: Walk) -> dict[str, str]:
    """Whence the results are, for the report and `run.json`."""
    every = walk.value(READ).every.usable
    return {
        "medeor": __version__,
        "task": walk.study.task,
        "seed": str(walk.study.seed),
        "threads": str(walk.run.threads),
        "cases": str(Message("road.ending.cases", cases=len(every), digest=walk.digest("cases")[:12])),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "seconds": f"{sum(record['seconds'] for record in walk.records.values()):.0f}",
    }


def _report(walk: Walk) -> None:
    scored = walk.value(EVALUATE)
    explanations = walk.value(EXPLAIN) if "explain" in walk.task.steps else Explanations((), {})
    result = Result(
        scored_cases(walk, scored), scored.predictions, scored.baseline, explanations, scored.measures,
        walk.value(FIT).model,
    )  # fmt: skip
    findings, gain = walk.value(LABELS), walk.run.folder / "gain.json"
    story.write_report(
        walk.folder, walk.task, walk.value(SPLIT), scored.part, result, findings, walk.value(PLAN),
        walk.value(CALIBRATE), results.read_logs(walk.run.folder), read_json(gain) if gain.exists() else None,
        facts(walk), any(simulate.is_simulated(one) for one in walk.study.sources if isinstance(one, (str, Path))),
    )  # fmt: skip


REPORT = RoadStep(
    "report", "report",
    reads=(
        "study", "name", "cases", "targets", "split", "audit.json", "plan.toml", "model", "calibration.json",
        "predictions.parquet", "metrics.json", "explanations",
    ),
    writes={"report.html": content_digest, "card.md": content_digest},
    make=_report,
)  # fmt: skip


def _bundle_of(folder: Path) -> Path:
    return folder / f"{folder.resolve().name}.medeor"


BUNDLE = RoadStep(
    "bundle", "bundle",
    reads=("study", "name", "targets", "plan.toml", "model", "calibration.json", "card.md"),
    writes={"bundle": lambda path: content_digest(_bundle_of(path.parent))},
    make=lambda walk: write_bundle(walk.folder, _bundle_of(walk.folder)),
)  # fmt: skip

STEPS: tuple[RoadStep[Any], ...] = (
    READ, SPLIT, AUDIT, PLAN, FIT, CALIBRATE, LABELS, EVALUATE, EXPLAIN, REPORT, BUNDLE,
)  # fmt: skip

AROUND: Mapping[str, Any] = {
    "sources": sources_read,
    "threads": lambda walk: str(threads()),
    "name": lambda walk: walk.folder.resolve().name,
    "study": lambda walk: json_digest(study_values(walk.study)),
}
"""What a step may read that no step leaves."""
