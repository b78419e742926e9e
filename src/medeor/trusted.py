"""Whose code may run because a file names it. A study, a plan, a run folder or a bundle may name a module, such as that
of a user's own network; it is imported only where the user trusts that module (`--trust MODULE`, `trust=[…]` in Python,
the variable `MEDEOR_TRUST`). What the user types in the same command needs no further word."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from medeor.contracts import Text, UserError

VARIABLE = "MEDEOR_TRUST"
"""Environment variable: modules, separated by commas."""

_MODULE = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_trusted: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


def modules() -> frozenset[str]:
    """The modules that are trusted here: by `trusting`, and by the environment."""
    named = os.environ.get(VARIABLE, "").split(",")
    return _trusted.get() | {name.strip() for name in named if name.strip()}


@contextmanager
def trusting(names: str | Iterable[str], settings: Iterable[str] = ()) -> Iterator[None]:
    """Trusts these modules within the block, besides those trusted already, and those that `settings`, as the user
    typed them, name in the form `package.module:Name`.

    Raises: UserError for what is no name of a module."""
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if not re.fullmatch(_MODULE, name):
            raise UserError("trusted.no-module", name=name)
    typed = [found[1] for text in settings if (found := re.fullmatch(rf"['\"]?({_MODULE}):\w+['\"]?", text.strip()))]
    token = _trusted.set(_trusted.get() | {*names, *typed})
    try:
        yield
    finally:
        _trusted.reset(token)


def require(module: str, what: Text) -> None:
    """Raises: UserError unless this module is trusted, exactly: a package does not vouch for its parts, nor they for
    it."""
    if not re.fullmatch(_MODULE, module):
        raise UserError("trusted.no-name", what=what, module=module)
    if module not in modules():
        raise UserError("trusted.untrusted", what=what, module=module, variable=VARIABLE)
