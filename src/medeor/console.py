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
        self._began: tuple[float, int] | None = None
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
        if self._bar is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bar.add_task(str(what), total=total, note=str(note))
            self._bar.update(self._tasks[what], completed=done, total=total, note=str(note))
            if done >= total:
                self._bar.remove_task(self._tasks.pop(what))
            return
        now = time.monotonic()
        due = now - self._shown.setdefault(what, now) >= 10
        if what == WHOLE:
            self._began = began, before = self._began or (now, done)
            if done >= total or not due or done <= before:
                return
            left = (now - began) * (total - done) / (done - before) / 60
            key = "console.minutes-left" if left >= 1 else "console.nearly-done"
            line: Text = Message(key, name=what, done=done, left=left)
        elif done >= total or due:
            line = f"{what}: {done}/{total}{'  ' * bool(note)}{note}"
        else:
            return
        self._shown[what] = now
        print(line, file=sys.stderr, flush=True)

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
