"""What goes wrong in a way that the user can put right, and a run that was asked to stop. `medeor.contracts` gives them
to all rooms; the command line takes them from here, so that it starts without the rest."""

from __future__ import annotations

import re
from typing import Any

from medeor.messages import Message, Text

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def without_controls(text: str) -> str:
    """Text without control characters, among them those that reverse the direction of writing: a header of a clinical
    file, or a received one, can hold any, and a terminal obeys them."""
    return _CONTROLS.sub("", text)


class UserError(Exception):
    """Something the user can put right. The message says what was wrong, where, and what to do, in one or two
    lines; the command line prints it and exits with code 2.

    It is made from a message, or from its key and values: `UserError("road.no-run", folder=folder)`."""

    def __init__(self, message: Text, /, **values: Any) -> None:
        self.message = Message(message, **values) if isinstance(message, str) else message
        super().__init__(self.message)

    def __str__(self) -> str:
        return without_controls(str(self.message))


class Stopped(Exception):
    """The run was asked to stop (SIGINT, SIGTERM) and has saved where it was."""
