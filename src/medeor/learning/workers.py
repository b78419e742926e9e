"""Folds fitted side by side, each in a process of its own with one share of the threads: small networks keep no more
than one core busy, and the bits of a fold do not depend on how many run beside it.

A worker is this module run as a program. It is handed its job through a pipe, says what it does in lines of JSON, saves
and ends when it is asked to stop, and ends when whoever started it is gone."""

from __future__ import annotations

import json
import os
import pickle  # only through a pipe to a child of this process; nothing that is saved or read is a pickle
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from medeor import cache, trusted
from medeor.contracts import Cases, Inputs, Method, Run, Split, Stopped, UserError
from medeor.files import enough_memory


def fit_folds_in_processes(method: Method, cases: Cases, split: Split, inputs: Inputs, run: Run, workers: int) -> None:
    """Fits every fold that is not finished yet; each leaves its model in its folder, for `folds.fit_or_load` to read.

    Raises: Stopped when the run was asked to stop, after every worker has saved; UserError as the fit would."""
    from medeor.learning.folds import finished, member

    waiting = [number for number in range(split.folds) if not finished(member(run, number).folder)]
    workers = min(workers, split.folds)
    if workers < 2 or not waiting:
        return
    # The share of a fold follows from the study alone: the last one of a resumed fit must not have more.
    share = max(1, run.threads // workers)
    news: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
    job = pickle.dumps((method, cases, split, inputs, run.folder, run.seed, share))
    children = [_start(job, share, index, news) for index in range(min(workers, len(waiting)))]
    busy = len(children)
    try:
        while busy:
            try:
                index, said = news.get(timeout=0.2)
            except queue.Empty:
                index, said = -1, {}
            if run.stopping():
                raise Stopped
            if "error" in said:
                raise UserError(said["error"])
            if "gone" in said:
                raise _loss(children[index].wait())
            if "progress" in said:
                run.progress(*said["progress"])
            if "free" in said:
                if waiting:
                    _send(children[index], f"{waiting.pop(0)}\n".encode())
                else:
                    busy -= 1
    finally:
        for child in children:
            if busy:
                child.terminate()
            # One that waits for its next fold hears no signal, but the end of its orders.
            with suppress(BrokenPipeError):
                child.stdin.close()  # type: ignore[union-attr]
        for child in children:
            child.wait()


def _loss(code: int) -> Exception:
    """Why a worker is gone before its work was done."""
    if code == -signal.SIGKILL:
        return UserError(
            "the system ended a process that fitted a fold, most likely for want of memory; set a smaller "
            "training.batch, or OMP_NUM_THREADS=1 to fit one fold at a time"
        )
    return RuntimeError(f"a worker that fitted a fold ended with code {code}; its last words are above")


def _start(
    job: bytes, threads: int, index: int, news: queue.Queue[tuple[int, dict[str, Any]]]
) -> subprocess.Popen[bytes]:
    # PyTorch takes as many threads as MKL may, whatever OpenMP is told.
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    environment = {**os.environ, **counts, "PYTHONPATH": os.pathsep.join(sys.path)}
    if (shared := cache.folder()) is not None:  # also the one that a run lends where the cache is off
        environment["MEDEOR_CACHE"] = str(shared)
    environment[trusted.VARIABLE] = ",".join(sorted(trusted.modules()))
    child = subprocess.Popen(
        [sys.executable, "-m", "medeor.learning.workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # an interrupt at the terminal is for the parent to pass on
    )
    assert child.stdout is not None
    _send(child, job)
    threading.Thread(target=_listen, args=(child.stdout, index, news), daemon=True).start()
    return child


def _listen(lines: IO[bytes], index: int, news: queue.Queue[tuple[int, dict[str, Any]]]) -> None:
    for line in lines:
        news.put((index, json.loads(line)))
    news.put((index, {"gone": True}))


def _send(child: subprocess.Popen[bytes], content: bytes) -> None:
    """To one that is gone nothing can be sent; that it is gone, `_listen` tells."""
    assert child.stdin is not None
    with suppress(BrokenPipeError):
        child.stdin.write(content)
        child.stdin.flush()


def _work() -> None:
    """The life of a worker: one fold after another, as it is told, until its pipe is closed."""
    from medeor.learning.folds import fit_or_load, member

    orders, out = sys.stdin.buffer, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not stand among our lines

    def say(**what: Any) -> None:
        out.write(json.dumps(what) + "\n")
        out.flush()

    parent, asked = os.getppid(), threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    method, cases, split, inputs, folder, seed, threads = pickle.load(orders)  # noqa: S301
    run = Run(
        Path(folder),
        seed,
        threads,
        lambda what, done, total, note="": say(progress=[what, done, total, note]),
        lambda: asked.is_set() or os.getppid() != parent,
    )
    say(free=True)
    for line in orders:
        number = int(line)
        try:
            with enough_memory():
                fit_or_load(method, cases, split.fold(number), inputs, member(run, number))
        except Stopped:
            return
        except UserError as error:
            say(error=str(error))
            return
        say(free=True)


if __name__ == "__main__":
    _work()
