"""The road that every study walks: read → split → audit → plan → fit → calibrate → evaluate → explain → report →
bundle. It knows no modality; each step leaves a file in the run folder that a person can open, and is done once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from medeor import cache
from medeor.console import Console
from medeor.contracts import Logger, Message, Run, Stopped, Study, UserError
from medeor.learning.folds import fit_or_load
from medeor.learning.networks.fit import wait_for_all
from medeor.machine import keep_freed_memory, threads
from medeor.registry import open_task
from medeor.road import run_folder
from medeor.road.bundle import Trained, load
from medeor.road.walk import estimate, reading
from medeor.road.walk.ending import AROUND, STEPS, facts
from medeor.road.walk.step import RoadStep, Walk
from medeor.road.walk.steps import AUDIT, FIT, PLAN, as_read, estimated, fit_key, judged, places


def walk(
    study: Study,
    folder: Path,
    console: Console | None = None,
    stopping: Callable[[], bool] = lambda: False,
    again: bool = False,
    loggers: Sequence[Logger] = (),
) -> Trained:
    """Walks the whole road into `folder` and returns what was trained. An interrupted walk goes on where it was; of a
    finished one, only what depends on a change is done anew. What was fitted there with another plan, split or data, or
    is to be fitted `again`, is thrown away only then. `loggers` hear of each epoch of the model's networks.

    Raises: UserError when the folder holds another study or fit, a leakage check fails, or the input is at fault;
    Stopped when asked to stop."""
    keep_freed_memory()
    with cache.within(folder):
        if int(os.environ.get("RANK", "0")) > 0:
            _follow(study, folder, stopping)
        console = console or Console()
        run = Run(folder / "model", study.seed, threads(), console, stopping, loggers=tuple(loggers))
        run_folder.usable(folder)
        study = reading.resolve(study)
        key = run_folder.free(folder, study, again)
        task = open_task(study.task, study.options)
        walked = Walk(STEPS, AROUND, study, task, run, console, again)
        begun = False
        for step in walked.steps:
            done = walked.done(step)
            if not done:
                # Between two steps there is nothing to save.
                if run.stopping():
                    raise Stopped
                if not begun:
                    begun = True
                    _begin(walked, key)
            if step is FIT:
                for place in places(walked) if not done else ():
                    run_folder.begin_fit(place, fit_key(walked), again)
                wait_for_all()
            if not done:
                _expect(walked, step)
                walked.do(step)
            if step is AUDIT:
                reading.stop_on_leakage(judged(walked))
        if begun or not run_folder.finished(folder):
            run_folder.note(folder, finished=True, facts=facts(walked))
        else:
            report = folder / "report.html"
            key = "road.walk.finished-with-report" if report.exists() else "road.walk.finished"
            console.say(Message(key, folder=folder, report=report))
        return load(folder)


def _expect(walked: Walk, step: RoadStep[Any]) -> None:
    """Lets the progress line know what this step and those after it take, once there is a plan."""
    names = [one.name for one in walked.steps]
    after = names[names.index(step.name) :]
    if PLAN.name in names and PLAN.name not in after and (seconds := estimated(walked.value(PLAN))):
        now, *later = estimate.left(seconds, after)
        walked.console.expect(now, sum(later))


def _begin(walked: Walk, key: str) -> None:
    """Makes the folder the study's own. Before the first file is written it is made sure that the study can be read and
    that what was fitted there can stay: bad input leaves nothing behind, and a finished run stays one."""
    asked = as_read(walked)
    if not walked.again and any(map(run_folder.fitted, places(walked))):
        plan = reading.plan(asked, walked.folder)
        for place in places(walked):
            run_folder.same_fit(place, fit_key(walked, plan))
        reading.stop_on_leakage(asked.findings)
        reading.stop_without_contrast(asked.cases, asked.split)
    run_folder.claim(walked.folder, walked.study, key, walked.again)


def _follow(study: Study, folder: Path, stopping: Callable[[], bool]) -> NoReturn:
    """The second and further processes of `torchrun` help with the fit and leave the rest to the first: also what
    there is to say when the study cannot be read."""
    try:
        asked = reading.read(study, Console(quiet=True))
        reading.stop_on_leakage(asked.findings)
        reading.stop_without_contrast(asked.cases, asked.split)
    except UserError:
        raise SystemExit(2) from None
    # Who waits hears nothing: where the first process fails before the fit, `torchrun` must be able to end this one.
    heard = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    wait_for_all()
    signal.signal(signal.SIGTERM, heard)
    method = asked.task.method(reading.plan(asked, folder))
    run = Run(folder / "model", study.seed, threads(), stopping=stopping, leader=False)
    fit_or_load(method, asked.cases, asked.split, asked.inputs, run)
    raise SystemExit(0)
