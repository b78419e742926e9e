"""RDKit on every core: chunks of molecules go to processes of their own, as RDKit holds Python's lock while it parses.

A worker is this module run as a program. It is handed a function's name and chunks through a pipe and ends when the
pipe is closed."""

from __future__ import annotations

import importlib
import os
import pickle  # only through a pipe to a child of this process; nothing that is saved or read is a pickle
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from medeor.machine import threads

R = TypeVar("R")

CHUNK = 512
"""Molecules that are worked on together."""
WORTHWHILE = 6000
"""Molecules from which further processes earn what their start costs, about half a second."""


def in_chunks(work: Callable[..., R], texts: Sequence[str | None], *args: object, workers: int = 0) -> list[R]:
    """`work(chunk, *args)` for each chunk of `texts`, in order; side by side on `workers` processes (0: as many as
    cores, where there is enough to do). `work` is a function at the top of a module."""
    chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
    workers = workers or (threads() if len(texts) >= WORTHWHILE else 1)
    workers = min(workers, len(chunks))
    if workers < 2:
        return [work(chunk, *args) for chunk in chunks]
    name = f"{work.__module__}:{work.__qualname__}"
    with _children(workers, name, args) as ask, ThreadPoolExecutor(workers) as pool:
        return list(pool.map(ask, chunks))


@contextmanager
def _children(workers: int, name: str, args: tuple[object, ...]) -> Iterator[Callable[[Sequence[str | None]], Any]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "medeor.molecules.read.workers"]
    free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        for _ in range(workers)
    ]
    for child in children:
        free.put(child)

    def ask(chunk: Sequence[str | None]) -> Any:
        child = free.get()
        try:
            pickle.dump((name, chunk, args), child.stdin)  # type: ignore[arg-type]
            child.stdin.flush()  # type: ignore[union-attr]
            return pickle.load(child.stdout)  # type: ignore[arg-type]  # noqa: S301
        except (EOFError, OSError) as error:
            raise RuntimeError(f"a process that read molecules ended with code {child.wait()}") from error
        finally:
            free.put(child)

    try:
        yield ask
    finally:
        for child in children:
            child.communicate()


def _work() -> None:
    orders, out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not stand among the answers
    while True:
        try:
            name, chunk, args = pickle.load(orders)  # noqa: S301
        except EOFError:
            return
        module, _, function = name.partition(":")
        pickle.dump(getattr(importlib.import_module(module), function)(chunk, *args), out, protocol=5)
        out.flush()


if __name__ == "__main__":
    _work()
