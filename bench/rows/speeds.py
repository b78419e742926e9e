"""Speeds of the fit and of its data path beside peers and beside the limit."""

from __future__ import annotations

from bench.rows.commands import known_path
from bench.speed import alternate, faster, ratio, spread
from bench.workload import Row
from medeor.contracts import Measure


def keras(row: Row) -> dict[str, Measure]:
    """The small CNN: medeor, Keras in two precisions, and the limit."""
    threads = str(row.threads)
    speeds = alternate(
        {
            "medeor": ("medeor", "keras", "fit"),
            "Keras float32": ("peer_keras", "float32", threads),
            "Keras mixed_bfloat16": ("peer_keras", "mixed_bfloat16", threads),
            "limit": ("medeor", "keras", "bare"),
        },
        row,
    )
    ours, full, narrow = speeds["medeor"], speeds["Keras float32"], speeds["Keras mixed_bfloat16"]
    return {
        "÷ Keras float32": ratio(ours, full),
        "÷ the faster Keras": ratio(ours, faster(full, narrow)),
        "÷ limit": ratio(ours, speeds["limit"]),
        **_absolute(speeds),
    }


def resident(row: Row) -> dict[str, Measure]:
    """The default plan: the whole loop against the same step on one batch that is already on the device."""
    kind = row.data if row.data == "resnet50" else f"default:{row.data}"
    speeds = alternate({path: ("medeor", kind, path) for path in ("fit", "step", "bare")}, row)
    return {
        "÷ resident batch": ratio(speeds["fit"], speeds["step"]),
        "÷ resident batch, weights not averaged": ratio(speeds["fit"], speeds["bare"]),
        **_absolute(speeds),
    }


def cuda(row: Row) -> dict[str, Measure]:
    """As `resident`, on an accelerator; no figure where there is none."""
    import torch

    return resident(row) if torch.cuda.is_available() else {}


def monai(row: Row) -> dict[str, Measure]:
    """The same random changes of the same images, as batches alone and with the same training step."""
    from bench.sides.medeor import work

    kind = f"mild:{row.data}"
    plan = work(kind).plan
    given = (
        str(plan.training.batch),
        ",".join(map(str, plan.network.widths)),
        ",".join(map(str, plan.network.blocks)),
        str(row.threads),
    )
    sides: dict[str, tuple[str, ...]] = {}
    for path in ("data", "fit"):
        sides[f"medeor {path}"] = ("medeor", kind, path)
        for workers in ("0", "2"):
            sides[f"MONAI {path}, {workers} workers"] = ("peer_monai", str(known_path(row.data)), workers, path, *given)
    sides["limit"] = ("medeor", kind, "step")
    speeds = alternate(sides, row)
    theirs = {
        path: faster(*(speeds[f"MONAI {path}, {workers} workers"] for workers in "02")) for path in ("data", "fit")
    }
    return {
        "batches ÷ MONAI": ratio(speeds["medeor data"], theirs["data"]),
        "training ÷ MONAI": ratio(speeds["medeor fit"], theirs["fit"]),
        "training ÷ limit": ratio(speeds["medeor fit"], speeds["limit"]),
        **_absolute(speeds),
    }


def _absolute(speeds: dict[str, list[float]]) -> dict[str, Measure]:
    return {f"{name}, images/s": spread(values) for name, values in speeds.items()}
