"""Which offer of a task a user asks for: by the keys of a query, by a name, or by the ending of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from medeor.contracts import Offer, TaskFacts, UserError
from medeor.files import writable
from medeor.registry import listed


def question(facts: TaskFacts, query: Mapping[str, str]) -> Offer:
    """The question that takes these keys. Raises: UserError where none does."""
    offers = facts.offering("question")
    if not offers:
        raise UserError(f"a model of {facts.name} is asked about cases: name files, folders or a data set instead")
    offer = max(offers, key=lambda offer: sum(key in offer.takes for key in query))
    for key in query:
        if key not in offer.takes:
            raise UserError(f"no question to a model of {facts.name} has '{key}'; --query takes {listed(offer.takes)}")
    return offer


def export(facts: TaskFacts, name: str, path: Path, options: Mapping[str, str]) -> Offer:
    """The file of this name, which can be written to `path`. Raises: UserError where there is none, not with these
    options, or not there."""
    offers = {offer.name: offer for offer in facts.offering("file")}
    if name not in offers:
        known = "; ".join(f"{offer.name} ({offer.does})" for offer in offers.values())
        has = f"--as takes {known}" if known else "pass its bundle on"
        raise UserError(f"a model of {facts.name} has no {name} to export; {has}")
    offer = offers[name]
    for key in options:
        if key not in offer.takes:
            takes = listed(offer.takes) or "nothing"
            raise UserError(f"--as {name} does not ask for '{key}'; --option takes {takes}")
    if not path.name.endswith(offer.endings):
        raise UserError(f"{path}: {name} is written to a file ending in {', '.join(offer.endings)}")
    writable(path)
    return offer


def table(facts: TaskFacts, path: str | Path) -> Offer | None:
    """What writes predictions to this file in a form of the task's own; None where nothing does."""
    name = Path(path).name
    return next((offer for offer in facts.offering("table") if name.endswith(offer.endings)), None)
