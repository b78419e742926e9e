"""What a check is, and how it says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from medeor.contracts import UserError

Check = tuple[str, Callable[[], None]]
"""Its name, and what raises an AssertionError where it fails."""


def named(owner: str, checks: Mapping[str, Callable[[], None]]) -> Iterator[Check]:
    """Checks of one owner, who is named with the check where one fails."""
    for name, check in checks.items():
        yield name, partial(_run, owner, name, check)


def _run(owner: str, name: str, check: Callable[[], None]) -> None:
    try:
        check()
    except Exception as error:
        why = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        raise AssertionError(f"{owner} fails the check '{name}': {why}") from error


def require(holds: object, otherwise: str) -> None:
    """An assertion that stays where Python leaves out its own."""
    if not holds:
        raise AssertionError(otherwise)


@contextmanager
def refused_or_done() -> Iterator[None]:
    """Around what may be refused in words for the user, or done, and ends in no other way."""
    try:
        yield
    except UserError as error:
        require(str(error).strip(), "it is refused without a word")
