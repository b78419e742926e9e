"""Work for several processes: folds of a fit, chunks of molecules (RDKit holds Python's lock while it parses).

A worker is a program of its own, so that a script needs no guard, a notebook will do, and the number of its threads is
set before anything is imported. It is handed its work through a pipe, passes on what it reports, saves and ends when it
is asked to stop, and ends when whoever started it is gone."""

from __future__ import annotations

import os
import pickle  # only through a pipe to a child of this process; nothing that is saved or read is a pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, TypeVar

from medeor import cache, trusted
from medeor.contracts import Logger, Message, Progress, Stopped, Text, UserError
from medeor.files import enough_memory
from medeor.machine import keep_freed_memory
from medeor.machine import threads as cores

R = TypeVar("R")

CHUNK = 512
"""Items that are worked on together by `in_chunks`."""
WORTHWHILE = 6000
"""Items from which further processes earn what their start costs, about half a second."""


class Work(NamedTuple):
    """What all workers are given at their start: `do(job, *shared)` is done for each job."""

    do: Callable[..., Any]
    """A function at the top of a module."""
    shared: tuple[object, ...]


class WorkerReport(NamedTuple):
    """What a worker reports."""

    what: Literal["free", "done", "progress", "epoch", "error", "gone"]
    content: Any = None
    worker: int = 0


def in_chunks(do: Callable[..., R], items: Sequence[Any], *shared: object, workers: int = 0) -> list[R]:
    """`do(chunk, *shared)` for each chunk of the items, in order; side by side on `workers` processes (0: as many as
    cores, where there is enough to do)."""
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    workers = min(workers or (cores() if len(items) >= WORTHWHILE else 1), len(chunks))
    if workers < 2:
        return [do(chunk, *shared) for chunk in chunks]
    return in_processes(Work(do, shared), chunks, workers)


def in_processes(
    work: Work,
    jobs: Sequence[Any],
    workers: int,
    threads: int = 1,
    progress: Progress = lambda what, done, total, note="": None,
    stopping: Callable[[], bool] = lambda: False,
    relief: Text = Message("learning.pool.relief"),  # noqa: B008
    loggers: Sequence[Logger] = (),
    turn: Callable[[Any], Hashable] | None = None,
) -> list[Any]:
    """What the work gives for each job, in the order of the jobs, by so many workers of so many threads.

    Args:
        progress: takes what the workers report of their progress.
        stopping: whether the run was asked to stop.
        relief: what the user can do where the memory does not suffice.
        loggers: take what the workers report of each epoch.
        turn: jobs for which it gives the same are done one after another, never at the same time.

    Raises: Stopped when the run was asked to stop, after every worker has saved; UserError as the work would."""
    reports: queue.Queue[WorkerReport] = queue.Queue()
    results: list[Any] = [None] * len(jobs)
    waiting, given, idle = list(range(len(jobs))), dict[int, int](), list[int]()
    turns = [turn(job) if turn else number for number, job in enumerate(jobs)]
    start = pickle.dumps(work, protocol=5)
    children = [_start(start, threads, number, reports) for number in range(min(workers, len(jobs)))]
    ended = False
    try:
        while waiting or given:
            try:
                report = reports.get(timeout=0.2)
            except queue.Empty:
                report = WorkerReport("progress")
            if stopping():
                raise Stopped
            if report.what == "error":
                raise UserError(Message.from_json(report.content))
            if report.what == "gone":
                raise _loss(children[report.worker].wait(), relief)
            if report.what == "progress" and report.content:
                progress(*report.content)
            if report.what == "epoch":
                for logger in loggers:
                    logger.on_epoch(*report.content)
            if report.what == "done":
                results[given.pop(report.worker)] = report.content
            if report.what in ("free", "done"):
                idle.append(report.worker)
                for number in list(waiting):
                    if idle and turns[number] not in {turns[own] for own in given.values()}:
                        worker = idle.pop()
                        given[worker] = number
                        waiting.remove(number)
                        _send(children[worker], pickle.dumps(jobs[number], protocol=5))
        ended = True
    finally:
        for child in children:
            if not ended:
                child.terminate()
            # One that waits for its next job hears no signal, but the end of its orders.
            with suppress(BrokenPipeError):
                child.stdin.close()  # type: ignore[union-attr]
        for child in children:
            child.wait()
    return results


def _loss(code: int, relief: Text) -> Exception:
    """Why a worker is gone before its work was done."""
    if code == -9:  # SIGKILL, which Windows does not know
        return UserError("learning.pool.killed", relief=relief)
    return RuntimeError(f"a worker ended with code {code}; its last words are above")


def _start(work: bytes, threads: int, number: int, reports: queue.Queue[WorkerReport]) -> subprocess.Popen[bytes]:
    # PyTorch takes as many threads as MKL may, whatever OpenMP is told.
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    environment = {**os.environ, **counts, "PYTHONPATH": os.pathsep.join(sys.path)}
    if (shared := cache.folder()) is not None:  # also the one that a run lends where the cache is off
        environment["MEDEOR_CACHE"] = str(shared)
    environment[trusted.VARIABLE] = ",".join(sorted(trusted.modules()))
    child = subprocess.Popen(
        [sys.executable, "-c", "from medeor.learning import pool; pool.serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # an interrupt at the terminal is for the parent to pass on
    )
    assert child.stdout is not None
    _send(child, work)
    threading.Thread(target=_listen, args=(child.stdout, number, reports), daemon=True).start()
    return child


def _listen(pipe: IO[bytes], number: int, reports: queue.Queue[WorkerReport]) -> None:
    with suppress(EOFError, pickle.UnpicklingError):
        while True:
            what, content = pickle.load(pipe)  # noqa: S301
            reports.put(WorkerReport(what, content, number))
    reports.put(WorkerReport("gone", worker=number))


def _send(child: subprocess.Popen[bytes], content: bytes) -> None:
    """To one that is gone nothing can be sent; that it is gone, `_listen` reports."""
    assert child.stdin is not None
    with suppress(BrokenPipeError):
        child.stdin.write(content)
        child.stdin.flush()


# --- in a worker -----------------------------------------------------------------------------------------

_asked = threading.Event()
_reports: list[IO[bytes]] = []
"""The pipe to the process that started this one, in a worker."""
_parent = os.getppid()


def report_progress(what: Text, done: int, total: int, note: Text = "") -> None:
    """Passes the progress of a job on to the process that started this worker; a `contracts.Progress`."""
    _report("progress", (what, done, total, note))


class EpochReports:
    """Passes each epoch of a fit on to the process that started this worker; a `contracts.Logger`."""

    def on_epoch(self, folder: Path, record: Mapping[str, float | None]) -> None:
        _report("epoch", (folder, dict(record)))


def asked_to_stop() -> bool:
    """Whether this worker must save and end: it was asked to, or nobody waits for it."""
    return _asked.is_set() or os.getppid() != _parent


def _report(what: str, content: object = None) -> None:
    for pipe in _reports:
        with suppress(BrokenPipeError):  # nobody waits any longer, which `asked_to_stop` says
            pickle.dump((what, content), pipe, protocol=5)
            pipe.flush()


def serve() -> None:
    """The life of a worker: one job after another, until its pipe is closed."""
    keep_freed_memory()
    orders = sys.stdin.buffer
    _reports.append(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # whatever a library prints must not stand among the reports
    signal.signal(signal.SIGTERM, lambda number, frame: _asked.set())
    do, shared = pickle.load(orders)  # noqa: S301
    _report("free")
    while True:
        try:
            job = pickle.load(orders)  # noqa: S301
        except EOFError:
            return
        try:
            with enough_memory():
                _report("done", do(job, *shared))
        except Stopped:
            return
        except UserError as error:
            _report("error", error.message.to_json())
            return
