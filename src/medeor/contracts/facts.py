"""What is known of a task, of what its models offer and of the files that it reads, before anything is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from medeor.messages import Message, Text

OfferKind = Literal["question", "page", "table", "file"]

SHAPES: Mapping[OfferKind, tuple[str, ...]] = {
    "question": ("model", "query"),
    "page": ("model", "cases", "predictions", "withheld"),
    "table": ("model", "cases", "predictions", "path"),
    "file": ("model", "path", "options"),
}
"""What the function of an offer is called with, by kind."""


@dataclass(frozen=True)
class Offer:
    """What the models of a task do beyond predicting cases. Where a user finds it, and what its function takes and
    returns, follows from its kind; the first argument is always the trained model, a `contracts.Answering`.

    - `question`: `predict RUN --query key=value`: (model, query) → `contracts.Answers`.
    - `page`: `predict RUN CASES` on the screen or `--out page.html`, of a few cases: (model, cases, predictions, why
      the reasons for an item are not shown, by item, or None where no reasons are wanted) → `figures.Figure`s.
    - `table`: `predict RUN CASES --out name.ENDING`: (model, cases, predictions, path) → None; it writes the file.
    - `file`: `export RUN --as NAME PATH`: (model, path, options) → what the user should know of the file that it
      writes, or an empty text.

    The path of a file is a new one, which takes the place of the user's file when the function has ended well."""

    name: str
    kind: OfferKind
    does: Text
    lives: str
    """`module:function`."""
    takes: Mapping[str, Text] = field(default_factory=dict)
    """What a query, or `--option` of an export, may ask, and what each key means."""
    endings: tuple[str, ...] = ()
    """How the names of the files end that it writes."""

    @property
    def usage(self) -> list[tuple[str, Text]]:
        """How the command line uses it, and what each argument means."""
        if self.kind == "question":
            return [(f"predict --query {key}=…", meaning) for key, meaning in self.takes.items()]
        ending = ".html" if self.kind == "page" else next(iter(self.endings), "")
        does = Message("common.endings", what=self.does, endings=self.endings) if len(self.endings) > 1 else self.does
        if self.kind != "file":
            return [(f"predict --out FILE{ending}", does)]
        export = f"export --as {self.name}"
        keys = [(f"{export} --option {key}=…", meaning) for key, meaning in self.takes.items()]
        return [(f"{export} FILE{ending}", does), *keys]


@dataclass(frozen=True)
class FileFacts:
    """What names alone say of a kind of file; the `facts.py` of a folder of `formats` states it."""

    endings: tuple[str, ...] = ()
    """How the names of files end that hold this kind of data and no other; an empty text stands for a name without a
    dot."""
    columns: tuple[str, ...] = ()
    """Names of columns, in lower case, any of which says that a table holds this kind of data; `*`: any table in
    which no other task knows a column."""


@dataclass(frozen=True)
class TaskFacts:
    """What is known of a task; the `facts.py` of each modality states it."""

    name: str
    does: Text
    lives: str
    """`module:class` of the Task."""
    extra: str
    """The extra that installs what it needs: `pip install "medeor[imaging]"`."""
    reads: Text
    options: Mapping[str, Text]
    """What `--option` may ask of it, and what each key means."""
    files: tuple[str, ...] = ()
    """Which keys of `options` name a file: it lies with the data, and no bundle says where."""
    formats: tuple[str, ...] = ()
    """`module:name` of the `FileFacts` that show this task where the user names none."""
    example: str = ""
    """`module:function` that makes a small study in each state in which the conformance suite asks for it: see
    `medeor.testing.Example`."""
    inputs: Mapping[str, Text] = field(default_factory=dict)
    """What of other studies it can use (`--set inputs.ROLE=path`), by role, and what for."""
    offers: tuple[Offer, ...] = ()
    package: str = ""
    """The package that adds it; empty for a task of medeor itself. The registry states it."""

    @property
    def install(self) -> str:
        """The command that installs what it needs."""
        return f"pip install {self.package}" if self.package else f'pip install "medeor[{self.extra}]"'

    @property
    def places(self) -> tuple[str, ...]:
        """Every `module:name` that it names."""
        named = (self.lives, self.example, *self.formats, *(offer.lives for offer in self.offers))
        return tuple(place for place in named if place)

    def offering(self, kind: OfferKind) -> tuple[Offer, ...]:
        """Its offers of one kind."""
        return tuple(offer for offer in self.offers if offer.kind == kind)
