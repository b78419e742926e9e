"""Where the figures were measured, and the environment of the peers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.workload import ROOT, WORK

Commands = tuple[tuple[str, ...], ...]

# torch first, so that what follows does not bring another build of it.
TORCH = ("-m", "pip", "install", "--quiet", "torch==2.13.0")
PEERS: Mapping[str, Commands] = {
    "peers": (TORCH, ("-m", "pip", "install", "--quiet", "tensorflow-cpu", "keras", "monai", "scikit-learn")),
    "chemprop": (TORCH, ("-m", "pip", "install", "--quiet", "chemprop==2.3.1", "lightgbm", "scikit-learn")),
    "survival": (("-m", "pip", "install", "--quiet", "scikit-survival==0.28.0", "polars"),),
    "pykeen": (TORCH, ("-m", "pip", "install", "--quiet", "pykeen==1.11.1")),
}
"""The environments of the peers by name, and the commands that fill them: those whose needs collide live apart."""


def peers(name: str = "peers") -> str:
    """The interpreter of an environment of peers, which is made when it is first asked for (2.6 and 1.6 GB)."""
    folder = WORK / name
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        print(f"making the environment {name}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for command in PEERS[name]:
            subprocess.run([str(python), *command], check=True)
        ready.write_text("\n".join(" ".join(command) for command in PEERS[name]) + "\n")
    return str(python)


def home(module: str) -> str:
    """The environment in which a module of `bench.sides` runs; empty: medeor's own. What is not named after an
    environment of its own runs in `peers`."""
    kind, _, name = module.partition("_")
    return "" if kind != "peer" else name if name in PEERS else "peers"


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


def versions(packages: Sequence[str], name: str = "peers") -> Mapping[str, str]:
    """Versions of packages in an environment of the peers."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    said = subprocess.run([peers(name), "-c", code, *packages], check=True, capture_output=True, text=True)
    return dict(zip(packages, said.stdout.split()))


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
