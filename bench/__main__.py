"""Runs the workloads row by row, each row in a process of its own; a row that is done is not run again."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WORK = HERE / ".work"


def main() -> None:
    """`python -m bench [--only NAME]`: missing rows are run, then RESULTS.md is written from all that are done."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", help="one workload, by the name of its file")
    only = parser.parse_args().only
    workloads = {path.stem: tomllib.loads(path.read_text()) for path in sorted(HERE.glob("workloads/*.toml"))}
    if only and only not in workloads:
        parser.error(f"no workload is called {only}; there are {', '.join(workloads)}")
    for name, workload in workloads.items():
        if only in (None, name):
            for seed in workload["seeds"]:
                row(name, workload, seed)
    (HERE / "RESULTS.md").write_text(results(workloads))
    print(results(workloads))


def row(name: str, workload: dict[str, Any], seed: int) -> None:
    """One run of `medeor train`, unless it has finished before; an interrupted one goes on."""
    folder = place(name, seed)
    if finished(folder):
        return
    print(f"{name}: seed {seed}", flush=True)
    command = ["train", workload["data"], "--set", f"seed={seed}", "--out", str(folder), "--quiet"]
    subprocess.run([sys.executable, "-c", "from medeor.cli import main; main()", *command], check=True)


def results(workloads: dict[str, dict[str, Any]]) -> str:
    """The table of what has been measured, with the command that prints each line."""
    lines = [
        "# Results",
        "",
        f"Written {time.strftime('%Y-%m-%d')} by `make bench`: means over seeds, in brackets the lowest and highest.",
        "",
        "| workload | metric | measured | baseline | bar | known | seconds | command |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, workload in workloads.items():
        folders = [place(name, seed) for seed in workload["seeds"] if finished(place(name, seed))]
        if not folders:
            continue
        metrics = [json.loads((folder / "metrics.json").read_text())["test"] for folder in folders]
        seconds = [float(json.loads((folder / "run.json").read_text())["facts"]["seconds"]) for folder in folders]
        for metric, bar in workload["bars"].items():
            ours, theirs = ([m[key]["value"] for m in metrics] for key in (metric, f"baseline/{metric}"))
            verdict = "met" if statistics.mean(ours) >= bar else "not met"
            lines.append(
                f"| {workload['what']}; {len(folders)} seeds | {metric} | {told(ours)} | {statistics.mean(theirs):.3f} "
                f"| {bar} ({verdict}) | {workload['known']} | {statistics.median(seconds):.0f} "
                f"| `python -m bench --only {name}` |"
            )
    return "\n".join(lines) + "\n"


def told(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def place(name: str, seed: int) -> Path:
    return WORK / "runs" / f"{name}-{seed}"


def finished(folder: Path) -> bool:
    run = folder / "run.json"
    return run.exists() and bool(json.loads(run.read_text()).get("finished"))


if __name__ == "__main__":
    main()
