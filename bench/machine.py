"""Where the figures were measured, and the environment of the peers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.workload import ROOT, WORK

PEERS = WORK / "peers"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("-m", "pip", "install", "--quiet", "torch==2.13.0"),
    ("-m", "pip", "install", "--quiet", "tensorflow-cpu", "keras", "monai", "scikit-learn"),
)
"""torch first, so that what follows does not bring another build of it."""


def peers() -> str:
    """The interpreter of the peers' environment, which is made when it is first asked for (2.6 GB)."""
    python = PEERS / "bin" / "python"
    ready = PEERS / "ready"
    if not ready.exists():
        print("making the environment of the peers", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        for command in COMMANDS:
            subprocess.run([str(python), *command], check=True)
        ready.write_text("\n".join(" ".join(command) for command in COMMANDS) + "\n")
    return str(python)


def environment(threads: int) -> dict[str, str]:
    """The variables of a process that may use so many threads and finds both `bench` and medeor."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    path = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    return {**os.environ, **counts, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONWARNINGS": "ignore"}


def facts() -> Mapping[str, str]:
    """Processor, cores, memory and versions."""
    import torch

    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "accelerator": accelerator,
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "torch": torch.__version__,
    }


def versions(packages: Sequence[str]) -> Mapping[str, str]:
    """Versions of packages in the peers' environment."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    said = subprocess.run([peers(), "-c", code, *packages], check=True, capture_output=True, text=True)
    return dict(zip(packages, said.stdout.split()))


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
