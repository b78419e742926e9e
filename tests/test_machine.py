"""What the machine has is found out on every system."""

from __future__ import annotations

import os
import sys

import pytest

from medeor.machine import free_memory, keep_freed_memory, peak_memory, threads


@pytest.mark.parametrize("gone", ["SC_AVPHYS_PAGES", "SC_PHYS_PAGES", "sysconf"])
def test_what_only_linux_tells_is_not_needed(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if gone == "sysconf":
        monkeypatch.delattr(os, "sysconf", raising=False)
    elif hasattr(os, "sysconf"):
        monkeypatch.setattr(os, "sysconf_names", {k: v for k, v in os.sysconf_names.items() if k != gone})
    assert threads() == os.cpu_count()
    assert 1 << 28 < free_memory() < 1 << 50
    assert peak_memory() == 0


def test_memory_is_what_the_system_tells() -> None:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        assert 0 < free_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    block = bytearray(300 << 20)
    assert peak_memory() == 0 or peak_memory() >= len(block)


def test_freed_memory_is_used_again() -> None:
    """A large block that is freed and taken again costs no new page."""
    resource = pytest.importorskip("resource")
    if sys.platform != "linux":
        pytest.skip("other systems do as they do")
    keep_freed_memory()
    size = 20 << 20
    bytearray(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        bytearray(size)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 1000
