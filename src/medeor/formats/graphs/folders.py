"""Which files make a graph, which part of it each is, and which are left out."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from medeor.contracts import Finding, Message, UserError, listed
from medeor.formats.graphs.edges.layouts import PART_NAMES
from medeor.formats.graphs.edges.text import REFUSED
from medeor.formats.graphs.facts import TABLES, TEXT
from medeor.formats.graphs.tables import PARTS
from medeor.formats.graphs.umls_rrf import is_rrf

_NEGATIVE = {"negative", "negatives", "neg", "false", "tn", "fake", "corrupt", "corrupted", "nonedges", "negated"}
"""Words in the name of a file of edges that do not hold."""
_ASIDE = re.compile(r"(?i)readme|licen[cs]e|simulated|type_constrain|test2id_all|(1|n)-(1|n)\.")


class File(NamedTuple):
    path: Path
    ending: str
    """Lower case, without `.gz`; empty where it is not read."""
    part: str
    """The part of its edges by its name; empty where the name states none."""
    negative: bool
    """Whether its name states that its edges do not hold."""
    source: int
    """Its source, by number."""

    @property
    def is_read(self) -> bool:
        return bool(self.ending) or is_rrf(self.path)


def chosen_files(sources: Sequence[Path], training: bool) -> tuple[list[File], tuple[Finding, ...]]:
    """The files of a graph in the order in which they are read, and what was noticed. For `training`, files of false
    edges are left out. Where a folder, or a list of files from one, holds those of train and of validation or test,
    they keep their parts, and belong to one source.

    Raises: UserError where a source is missing or holds no file of a graph."""
    every = [file for number, source in enumerate(sources) for file in _files(source, number)]
    every = list({file.path.resolve(): file for file in reversed(every)}.values())[::-1]
    taken = [file for file in every if file.is_read]
    aside = [file.path for file in every if not file.is_read]
    negative = [file for file in taken if file.negative and training]
    taken = [file for file in taken if file not in negative]
    findings = []
    if negative:
        names = tuple(file.path.name for file in negative)
        message = Message("graphs.folders.false-edges", names=names, count=len(negative))
        findings.append(Finding("files-of-false-edges", "quality", "fail", message))
        if not taken:
            raise UserError("graphs.folders.false-edges-alone", reason=message)
    parts = [file for file in taken if file.part]
    divided = _divided(parts)
    if divided:
        firsts = {place: min(file.source for file in parts if _place(file) == place) for place in divided}
        folders = {number for number in firsts.values() if sources[number].is_dir()}
        taken = [
            file._replace(source=firsts[_place(file)]) if _place(file) in divided else file._replace(part="")
            for file in taken
        ]
        left = [file for file in taken if file.source in folders and _place(file) not in divided]
        taken = [file for file in taken if file not in left]
        aside += [file.path for file in left]
    else:
        if parts and len(taken) > 1:
            named = tuple(f"{file.path.name} ({file.part})" for file in parts[:4])
            message = Message("graphs.folders.no-other-part", files=named)
            findings.append(Finding("parts-not-kept", "quality", "fail", message))
        taken = [file._replace(part="") for file in taken]

    def order(file: File) -> tuple[int, int, str]:
        by_name = bool(divided) or sources[file.source].is_dir()
        return file.source, ("", *PARTS).index(file.part), str(file.path) if by_name else ""

    taken.sort(key=order)
    graphs = sorted({path.name for path in aside if not _ASIDE.match(path.name)})
    if graphs:
        found = tuple(dict.fromkeys(hint for name in graphs if (hint := _hint(name))))
        hints = Message("graphs.folders.hints", hints=found) if found else ""
        message = Message("graphs.folders.skipped", count=len(graphs), names=listed(graphs, 8), hints=hints)
        findings.append(Finding("files-passed-over", "quality", "unknown", message))
    return taken, tuple(findings)


def _files(path: Path, number: int) -> list[File]:
    """The files of one source; of a folder all but hidden ones."""
    if not path.exists():
        raise UserError("graphs.folders.missing", path=path)
    if path.is_file():
        file = _file(path, number)
        if not file.is_read:
            if hint := _hint(path.name):
                raise UserError("graphs.refused.file", path=path, hint=hint)
            raise UserError("graphs.folders.unknown-ending", path=path, known=(*TEXT, ".obo", ".RRF", *TABLES))
        return [file]
    found = sorted(Path(place, name) for place, _, names in os.walk(path) for name in names if name[:1] != ".")
    files = [_file(one, number, path) for one in found]
    if not any(file.is_read for file in files):
        name = min((one.name for one in found if _hint(one.name)), default="")
        more = Message("graphs.folders.refused", name=name, hint=_hint(name)) if name else ""
        raise UserError("graphs.folders.no-graph", path=path, more=more)
    return files


def _hint(name: str) -> Message | None:
    """What to do with a file of a format that is not read; None for any other."""
    return next((hint for ending, hint in REFUSED.items() if _plain(name).endswith(ending)), None)


def _plain(name: str) -> str:
    return name.lower().removesuffix(".gz")


def _file(path: Path, number: int, folder: Path | None = None) -> File:
    name = _plain(path.name)
    ending = next((one for one in (*TEXT, *TABLES, ".obo") if name.endswith(one)), "")
    aside = _ASIDE.match(name) and folder is not None
    words = _words(name.removesuffix(ending))
    part = _part(name.removesuffix(ending))
    if not part and folder is not None:
        part = next((one for one in (_part(up.name) for up in path.parents if folder in up.parents) if one), "")
    return File(path, "" if aside else ending, part, bool(words & _NEGATIVE), number)


def _words(stem: str) -> set[str]:
    plain = re.sub(r"(?<=[a-z])2id$", "", stem.lower())
    return {*re.split(r"[^a-z]+", plain), *re.split(r"[^a-z]+", re.sub("(held|hold)_out", r"\1out", plain))}


def _part(stem: str) -> str:
    """The one part that the words of a name state; empty where none or several."""
    found = {PART_NAMES[word] for word in _words(stem) if word in PART_NAMES}
    return found.pop() if len(found) == 1 else ""


def _place(file: File) -> Path:
    """The folder by which files of parts belong together: their own, or that above folders named by parts."""
    own = _part(_plain(file.path.name).removesuffix(file.ending))
    return file.path.parent if own or not file.part else file.path.parent.parent


def _divided(parts: Sequence[File]) -> set[Path]:
    """The places that hold a training part and another."""
    kinds: dict[Path, set[str]] = {}
    for file in parts:
        kinds.setdefault(_place(file), set()).add(file.part)
    return {place for place, own in kinds.items() if "train" in own and len(own) > 1}
