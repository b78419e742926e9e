"""What a case of images is called, and which cases belong to one patient: neither depends on other cases, on their
order, or on where the files lie."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medeor.contracts import Finding, Message
from medeor.formats.cases import pseudonym

HEAD = 1 << 20
"""Bytes of a file that cannot be read by which it is known again."""


def identity(given: str | None, uid: str, content: str | None, files: Sequence[str], name: str) -> str:
    """What makes a case itself: the user's own name for it, else its identifier in DICOM, else its pixels; of an image
    that cannot be read the bytes of its file, and of one that is not there its name."""
    if given is not None:
        return f"id\0{given}"
    if content is not None:
        return f"uid\0{uid}" if uid else f"content\0{content}"
    if files:
        found = hashlib.blake2b(digest_size=16)
        for file in files:
            try:
                with Path(file).open("rb") as opened:
                    found.update(opened.read(HEAD))
            except OSError:
                return f"name\0{name}"
        return f"bytes\0{found.hexdigest()}"
    return f"name\0{name}"


def case_ids(identities: Sequence[str], groups: Sequence[str | None], names: Sequence[str]) -> list[str]:
    """Pseudonyms, 12 hex digits of a digest of each identity. A further case of the same identity gets `-2` and so on,
    in the order of groups and names."""
    order = sorted(range(len(identities)), key=lambda row: (groups[row] or "", names[row], row))
    before: Counter[str] = Counter()
    ids = [""] * len(identities)
    for row in order:
        text = identities[row]
        before[text] += 1
        ids[row] = pseudonym(text) if before[text] == 1 else f"{pseudonym(text)}-{before[text]}"
    return ids


def repeats(ids: Sequence[str], identities: Sequence[str], contents: Sequence[str | None]) -> list[Finding]:
    """What the audit says of cases of one identity: copies of one image, or different images under one name."""
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(identities):
        if contents[row] is not None:
            rows.setdefault(text, []).append(row)
    copies: list[str] = []
    others: list[str] = []
    for same in rows.values():
        if len(same) > 1:
            alike = len({contents[row] for row in same}) == 1
            (copies if alike else others).extend(
                ids[row] for row in sorted(same, key=lambda row: (len(ids[row]), ids[row]))
            )
    findings = []
    if copies:
        message = Message("imaging.identity.copies", count=len(copies))
        findings.append(Finding("exact-copies", "quality", "fail", message, tuple(copies)))
    if others:
        message = Message("imaging.identity.shared", count=len(others))
        findings.append(Finding("shared-identifiers", "quality", "fail", message, tuple(others)))
    return findings


def tied_groups(ties: Sequence[Sequence[str | None]], ids: Sequence[str]) -> list[str]:
    """For each case the least id of the cases that it is tied to, through any chain of equal values."""
    starts, ends = [], []
    for values in ties:
        first: dict[str, int] = {}
        for index, value in enumerate(values):
            if value is not None:
                starts.append(index)
                ends.append(first.setdefault(value, index))
    if starts == ends:
        return list(ids)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(starts)), (starts, ends)), shape=(len(ids), len(ids)))
    count, labels = connected_components(links, directed=False)
    least = [""] * count
    for label, name in zip(labels, ids):
        least[label] = min(least[label] or name, name)
    return [least[label] for label in labels]
