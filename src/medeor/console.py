"""How medeor talks: progress with the time left on a terminal, plain lines elsewhere, nothing when asked to be quiet.
Messages go to standard error, so that standard output carries results alone."""

from __future__ import annotations

import sys
import time
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING

from medeor.errors import without_controls
from medeor.messages import Message, Text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


WHOLE = Message("console.whole")
"""How far all fits together are, in percent; elsewhere than on a terminal, a line now and then with the time left."""


class Console:
    """A progress line and messages. Used as a context manager; as a function it is a `contracts.Progress`."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._bar: Progress | None = None
        self._tasks: dict[Text, TaskID] = {}
        self._shown: dict[Text, float] = {}
        """When a line was last printed."""
        self._fits: tuple[float, int] | None = None
        """When fits were first heard of, and how much of them was done then."""
        self._ends: float | None = None
        """When the step that has begun is expected to end."""
        self._later: float | None = None
        """Seconds that those after it take; None where nobody knows."""
        self._terminal = sys.stderr.isatty() and not quiet

    def __enter__(self) -> Console:
        if self._terminal:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=32),
                TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                TimeElapsedColumn(),
                TextColumn(str(Message("console.remaining"))),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                TextColumn("{task.fields[in_all]}"),
                console=RichConsole(stderr=True),
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, what: Text, done: int, total: int, note: Text = "") -> None:
        if self.quiet:
            return
        now = time.monotonic()
        due = now - self._shown.setdefault(what, now) >= 10
        if what == WHOLE:
            self._pace(done, total, now)
        in_all = self._left() if self._later is not None else ""
        if self._bar is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bar.add_task(str(what), total=total, note=str(note), in_all="")
            self._bar.update(self._tasks[what], completed=done, total=total, note=str(note), in_all=str(in_all))
            if done >= total:
                self._bar.remove_task(self._tasks.pop(what))
            return
        if not (done >= total and what != WHOLE) and not due:
            return
        if what != WHOLE:
            line: Text = "  ".join(str(part) for part in (f"{what}: {done}/{total}", note, in_all) if part)
        elif done < total and (left := self._left()):
            line = Message("console.done", name=what, done=done, left=left)
        else:
            return
        self._shown[what] = now
        print(line, file=sys.stderr, flush=True)

    def expect(self, step: float, later: float) -> None:
        """A step begins: the seconds that it is expected to take, and those after it together."""
        self._ends, self._later, self._fits = time.monotonic() + step, later, None

    def _pace(self, done: int, total: int, now: float) -> None:
        """When the fits end, by what was done of them since they were first heard of."""
        began, before = self._fits = self._fits or (now, done)
        if done > before:
            self._ends = now + (now - began) * (total - done) / (done - before)

    def _left(self) -> Message | str:
        """The time left: of the whole run where that is known, else of the fits."""
        if self._ends is None:
            return ""
        left = max(0.0, self._ends - time.monotonic()) + (self._later or 0.0)
        words = "minutes" if left >= 60 else "soon"
        return Message(f"console.{words}" if self._later is None else f"console.all-{words}", left=left / 60)

    def say(self, message: Text) -> None:
        if self.quiet:
            return
        line = without_controls(str(message))
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)


@cache
def renamed(old: str, new: str) -> None:
    """Warns once that a name which the user wrote has changed, and how long the old one works."""
    aside(Message("console.renamed", old=old, new=new))


def aside(message: Text) -> None:
    """A word to the user from a place that has no console, as about a damaged file that is made anew."""
    print(f"medeor: {without_controls(str(message))}", file=sys.stderr, flush=True)
