"""Which files make a graph, which part of it each is, and which are left out."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from medeor.contracts import Finding, UserError
from medeor.formats.graphs.edge_text import REFUSED
from medeor.formats.graphs.facts import TABLES, TEXT
from medeor.formats.graphs.layouts import PART_NAMES
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
    """What its name says of the edges in it; empty where nothing."""
    negative: bool
    """Whether its name says that its edges do not hold."""
    given: int
    """Which of the sources it belongs to, in their order."""


class Chosen(NamedTuple):
    files: list[File]
    findings: tuple[Finding, ...]


def chosen_files(sources: Sequence[Path], learnt: bool) -> Chosen:
    """The files of a graph in these sources. Where a folder, or a list of files from one, holds those of train and of
    validation or test, they keep their parts, and belong to one source.

    Raises: UserError where a source is missing or holds no file of a graph."""
    every = [file for number, source in enumerate(sources) for file in _files(source, number)]
    every = list({file.path.resolve(): file for file in reversed(every)}.values())[::-1]
    taken = [file for file in every if file.ending or is_rrf(file.path)]
    aside = [file.path for file in every if not (file.ending or is_rrf(file.path))]
    negative = [file for file in taken if file.negative and learnt]
    taken = [file for file in taken if file not in negative]
    findings = []
    if negative:
        names = ", ".join(file.path.name for file in negative)
        message = f"{names}: by its name the file holds edges that are false; it is never learnt from"
        findings.append(Finding("files-of-false-edges", "quality", "fail", message))
        if not taken:
            raise UserError(f"{message}; rename it if its edges hold")
    parts = [file for file in taken if file.part]
    divided = _divided(parts)
    if divided:
        firsts = {place: min(file.given for file in parts if _place(file) == place) for place in divided}
        given = {number for place in divided for number in [firsts[place]]}
        taken = [
            file._replace(given=firsts[_place(file)]) if _place(file) in divided else file._replace(part="")
            for file in taken
        ]
        folders = {number for number in given if sources[number].is_dir()}
        left = [file for file in taken if file.given in folders and _place(file) not in divided]
        taken = [file for file in taken if file not in left]
        aside += [file.path for file in left]
    else:
        if parts and len(taken) > 1:
            names = ", ".join(f"{file.path.name} ({file.part})" for file in parts[:4])
            message = f"{names}: no other file is named as a part beside it; all edges are taken together and divided"
            message += " anew. Name the files train, valid and test to keep them apart"
            findings.append(Finding("parts-not-kept", "quality", "fail", message))
        taken = [file._replace(part="") for file in taken]
    order = ("", *PARTS)
    taken.sort(
        key=lambda file: (
            file.given,
            order.index(file.part) if divided else 0,
            str(file.path) if divided or sources[file.given].is_dir() else "",
        )
    )
    graphs = sorted({path.name for path in aside if not _ASIDE.match(path.name)})
    if graphs:
        hints = {REFUSED[ending] for ending in REFUSED for name in graphs if _plain(name).endswith(ending)}
        text = ", ".join(graphs[:8]) + (f" and {len(graphs) - 8} more" if len(graphs) > 8 else "")
        message = f"{len(graphs)} files were passed over: {text}"
        message += f" ({'; '.join(sorted(hints))})" if hints else ""
        findings.append(Finding("files-passed-over", "quality", "unknown", message))
    return Chosen(taken, tuple(findings))


def _files(path: Path, number: int) -> list[File]:
    """The files of one source; of a folder all but hidden ones."""
    if not path.exists():
        raise UserError(f"{path} does not exist")
    if path.is_file():
        file = _file(path, number)
        if not file.ending and not is_rrf(path):
            hint = next((hint for ending, hint in REFUSED.items() if _plain(path.name).endswith(ending)), "")
            if hint:
                raise UserError(f"{path}: {hint}")
            known = ", ".join((*TEXT, ".obo", ".RRF", *TABLES))
            raise UserError(f"{path}: a graph is read from {known}; text may be packed as .gz")
        return [file]
    found = sorted(Path(place, name) for place, _, names in os.walk(path) for name in names if name[:1] != ".")
    files = [_file(one, number, path) for one in found]
    if not any(file.ending or is_rrf(file.path) for file in files):
        hints = sorted(
            {f"{one.name}: {hint}" for one in found for end, hint in REFUSED.items() if _plain(one.name).endswith(end)}
        )
        more = f"; {hints[0]}" if hints else ""
        raise UserError(f"{path} holds no file of a graph (triples, nodes, an ontology, .RRF){more}")
    return files


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
    return set(re.split(r"[^a-z]+", plain)) | set(
        re.split(r"[^a-z]+", plain.replace("held_out", "heldout").replace("hold_out", "holdout"))
    )


def _part(stem: str) -> str:
    """The one part that the words of a name speak of; empty where none or several."""
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
