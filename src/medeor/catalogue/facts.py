"""What is known of each public data set, read from `facts.toml` and the other tables of this folder."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

from medeor.contracts import Message, Study, Text, UserError
from medeor.registry import known_task

TASK = "image-classification"


@dataclass(frozen=True)
class Copy:
    """Another file that is known to hold the same data set."""

    sha256: str
    note: str
    """How it differs from the published file."""


@dataclass(frozen=True)
class Facts:
    """What is known of one data set; of images, at one size."""

    name: str
    """`breastmnist`, or `breastmnist_64` for another size."""
    title: str
    shows: str
    split: str
    """`official` where the publishers divided it, else `none`."""
    licence: str
    source: str
    """The paper of what it was made from."""
    citation: str = ""
    """The paper of the collection."""
    kind: Literal["", "binary", "multiclass", "ordinal", "multi-label", "continuous"] = ""
    classes: tuple[str, ...] = ()
    """By label; for a multi-label set, one name a target."""
    dimensions: int = 0
    """Axes of an image; 0 for what is none."""
    channels: int = 0
    task: str = TASK
    """The task that it is made for."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options that its files need."""
    positive: str = ""
    """The class that counts as positive in a two-class question."""
    modality: str = ""
    """What made the images, where their intensities are still those of that machine."""
    cases: Mapping[str, int] = field(default_factory=dict)
    """Cases by part: train, validation, test; `all` where nobody divided them."""
    note: str = ""
    """What a reader of results should know."""
    size: int | None = None
    """Side in pixels or voxels."""
    sizes: tuple[int, ...] = ()
    """Sizes in which it is published."""
    file: str = ""
    address: str = ""
    """Where its publishers offer it; empty when it cannot be downloaded."""
    md5: str = ""
    """As published."""
    sha256: str = ""
    """Computed from a file with the published MD5; empty where no such file was at hand."""
    copies: tuple[Copy, ...] = ()
    folder: str = ""
    """The name of its folder, for a set that is a folder."""
    holds: tuple[str, ...] = ()
    """What must lie in that folder."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of files in that folder."""
    labels: str = ""
    """The table of targets in that folder."""
    target: tuple[str, ...] = ()
    accept: Mapping[str, str] = field(default_factory=dict)
    """Findings of the audit that belong to the published set, by check, with the reason."""

    @property
    def checksums(self) -> tuple[str, ...]:
        """Every known checksum, as a message writes it."""
        own = [f"{kind} {value}" for kind, value in (("sha256", self.sha256), ("md5", self.md5)) if value]
        return (*own, *(f"sha256 {copy.sha256} ({copy.note})" for copy in self.copies))


def names() -> list[str]:
    """Every name that `facts` takes: the sets, the best for a demonstration first, then their larger sizes."""
    sets = _tables()["sets"]
    sizes = {name: [int(size) for size in table.get("md5", {})] for name, table in sets.items()}
    larger = [f"{name}_{size}" for name, offered in sizes.items() for size in offered if size != min(offered)]
    return [*sets, *larger]


def facts(name: str) -> Facts:
    """What is known of a data set. A size other than the smallest is asked for as `breastmnist_64`.

    Raises: UserError for an unknown name or size, with what comes close."""
    base, _, size = name.lower().partition("_")
    tables = _tables()
    if base not in tables["sets"]:
        close = difflib.get_close_matches(base, tables["sets"], n=3) or list(tables["sets"])
        raise UserError("catalogue.facts.unknown", name=name, close=close)
    table: dict[str, Any] = {
        **tables["collections"].get(tables["sets"][base].get("collection"), {}),
        **tables["sets"][base],
    }
    table.pop("collection", None)
    address, folder, sha256 = (table.pop(key, {}) for key in ("address", "folder", "sha256"))
    sums = {int(side): value for side, value in table.pop("md5", {}).items()}
    chosen = int(size) if size.isdigit() else min(sums, default=None)
    if size and chosen not in sums:
        offered = tuple(_sized(base, number, sums) for number in sums) or base
        raise UserError("catalogue.facts.unknown-size", name=name, base=base, offered=offered)
    own = base if chosen is None else _sized(base, chosen, sums)
    file = table.pop("file", "") if chosen is None else f"{own}.npz"
    table |= {key: tuple(table.get(key, ())) for key in ("classes", "target")}
    copies = (Copy(copy["sha256"], copy["note"]) for copy in table.pop("copies", ()) if copy["size"] == chosen)
    return Facts(
        name=own,
        size=chosen,
        sizes=tuple(sums),
        file=file,
        address=address.format(file=file) if address and file else "",
        md5="" if chosen is None else sums[chosen],
        sha256=sha256 if isinstance(sha256, str) else sha256.get(str(chosen), ""),
        copies=tuple(copies),
        folder=folder.get("name", ""),
        holds=tuple(dict.fromkeys([*folder.get("holds", ()), *table.get("files", ())])),
        **table,
    )


_OPTION = {"binary": "classes", "multiclass": "classes", "ordinal": "ordinal"}
"""What `--option kind=` says for the kind of a set."""


def completed(study: Study, name: str) -> Study:
    """The study with what the catalogue knows of this data set wherever the study is silent: the task, what the task
    asks, the targets, the accepted findings. What the user states stands."""
    known = facts(name)
    task = study.task or known.task
    known_answers = {
        "kind": _OPTION.get(known.kind, ""),
        "classes": " | ".join(known.classes),
        "positive": known.positive,
    }
    asked = known_task(task)
    options = {key: value for key, value in known_answers.items() if value and asked and key in asked.options}
    # The options of the set are those of its own task.
    options |= {**(known.options if task == known.task else {}), **study.options}
    return replace(
        study,
        task=task,
        options=options,
        labels=study.labels or known.labels,
        target=study.target or known.target,
        accept=tuple(dict.fromkeys([*study.accept, *known.accept])),
    )


def describe(name: str = "") -> list[str]:
    """The facts of a data set as lines of text; without a name, one line a set."""
    if not name:
        known = [facts(name) for name in _tables()["sets"]]
        width = max(len(one.name) for one in known)
        cases = (str(sum(one.cases.values()) or "") for one in known)
        return [f"{o.name:<{width}}  {n:>7}  {o.licence:<12}  {o.shows}" for o, n in zip(known, cases, strict=True)]
    one = facts(name)
    side = Message("catalogue.facts.side", pixels=one.size) if one.size else ""
    values: dict[str, Text] = {
        "shows": one.shows,
        "question": f"{one.kind}: {' | '.join(one.classes)}" if one.classes else one.kind,
        "predicts": ", ".join(one.target),
        "positive": one.positive,
        "images": Message("catalogue.facts.images", dimensions=one.dimensions, count=one.channels, side=side)
        if one.dimensions
        else "",
        "sizes": ", ".join(map(str, one.sizes)),
        "cases": ", ".join(f"{part} {count}" for part, count in one.cases.items()),
        "split": one.split,
        "licence": one.licence,
        "citation": one.citation,
        "source": one.source,
        "address": one.address or Message("catalogue.facts.no-address"),
        "checksum": "; ".join(one.checksums),
        "note": one.note,
        "accepted": "; ".join(f"{check}: {reason}" for check, reason in one.accept.items()),
    }
    lines = ((Message(f"catalogue.describe.{key}"), value) for key, value in values.items() if value)
    return [f"{one.name}: {one.title}", *(f"  {label:<9} {value}" for label, value in lines)]


@lru_cache(maxsize=1)
def _tables() -> dict[str, Any]:
    """All tables as one, those of `facts.toml` first."""
    found = (file for file in resources.files("medeor.catalogue").iterdir() if file.name.endswith(".toml"))
    every: dict[str, Any] = {"collections": {}, "sets": {}}
    for file in sorted(found, key=lambda file: (file.name != "facts.toml", file.name)):
        for kind, tables in tomllib.loads(file.read_text(encoding="utf-8")).items():
            every[kind] |= tables
    return every


def _sized(base: str, size: int, sizes: Mapping[int, str]) -> str:
    """MedMNIST's own naming: the smallest size goes without its number."""
    return base if size == min(sizes) else f"{base}_{size}"
