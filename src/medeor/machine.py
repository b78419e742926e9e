"""What this machine has, asked of each system in its own way."""

from __future__ import annotations

import ctypes
import os
import sys

ASSUMED = 8 << 30
"""Bytes of memory that a machine has where the system does not state it."""


def peak_memory() -> int:
    """Bytes of this process at its highest; 0 where the system does not state it."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free_memory() -> int:
    """Bytes that are free; where the system does not state it (macOS), half of what the machine has."""
    if hasattr(os, "sysconf"):
        for name, share in (("SC_AVPHYS_PAGES", 1.0), ("SC_PHYS_PAGES", 0.5)):
            if name in os.sysconf_names:
                return int(os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") * share)
    if hasattr(ctypes, "windll"):
        status = _MemoryStatus(ctypes.sizeof(_MemoryStatus))
        if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return int(status.available)
    return ASSUMED // 2


KEPT, LARGE = 1 << 28, 1 << 25
"""Bytes of freed memory that a process which fits keeps for itself, and of a block that it gives back all the same."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""What glibc calls these in `mallopt`."""


def keep_freed_memory() -> None:
    """Lets this process use the memory of one tensor again for the next. By default glibc hands that of large ones back
    to the system at once, and clearing new pages for each takes a third of the time of a fit. Other systems do as they
    do."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # musl has none
            libc.mallopt(_TRIM_THRESHOLD, KEPT)
            libc.mallopt(_MMAP_THRESHOLD, LARGE)


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of Windows."""

    _fields_ = [
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    ]


def threads() -> int:
    """Cores that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    # What the process may use is known on Linux alone; elsewhere it is what the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
