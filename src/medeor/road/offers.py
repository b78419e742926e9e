"""Which offer of a task a user asks for: by the keys of a query, by a name, or by the ending of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from medeor.contracts import Offer, TaskFacts, UserError
from medeor.files import writable
from medeor.registry import meanings


def question(facts: TaskFacts, query: Mapping[str, str]) -> Offer:
    """The question that takes these keys. Raises: UserError where none does."""
    offers = facts.offering("question")
    if not offers:
        raise UserError("road.offers.only-cases", task=facts.name)
    offer = max(offers, key=lambda offer: sum(key in offer.takes for key in query))
    for key in query:
        if key not in offer.takes:
            raise UserError("road.offers.unknown-query", task=facts.name, key=key, takes=meanings(offer.takes))
    return offer


def export(facts: TaskFacts, name: str, path: Path, options: Mapping[str, str]) -> Offer:
    """The file of this name, which can be written to `path`. Raises: UserError where there is none, not with these
    options, or not there."""
    offers = {offer.name: offer for offer in facts.offering("file")}
    if name not in offers:
        takes = meanings({offer.name: offer.does for offer in offers.values()})
        raise UserError("road.offers.no-export", task=facts.name, name=name, takes=takes)
    offer = offers[name]
    for key in options:
        if key not in offer.takes:
            asked, takes = f"--as {name}", meanings(offer.takes)
            raise UserError("registry.unknown-option", task=asked, key=key, options=takes)
    if not path.name.endswith(offer.endings):
        raise UserError("road.offers.other-ending", path=path, name=name, endings=offer.endings)
    writable(path)
    return offer


def table(facts: TaskFacts, path: str | Path) -> Offer | None:
    """What writes predictions to this file in a form of the task's own; None where nothing does."""
    name = Path(path).name
    return next((offer for offer in facts.offering("table") if name.endswith(offer.endings)), None)
