"""Text of any common encoding as UTF-8, with a word on what it was: tables that several hands have joined often hold
several encodings."""

from __future__ import annotations

from medeor.contracts import Finding
from medeor.formats.tables import decoded

SAMPLE = 2000
"""Lines of another encoding that are looked at to tell which."""


def as_utf8(content: bytes, name: str) -> tuple[bytes, tuple[Finding, ...]]:
    """The same text in UTF-8 without a mark, and what is to be said where it was in another encoding (UTF-16,
    GB18030, Windows Latin) or in several."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return decoded(content).encode(), _said(name, "is in UTF-16, and was read so")
    content = content.removeprefix(b"\xef\xbb\xbf")
    if _is_utf8(content):
        return content, ()
    lines = content.split(b"\n")
    beyond = [i for i, line in enumerate(lines) if not line.isascii()]
    other = [i for i in beyond if not _is_utf8(lines[i])]
    sample = b"\n".join(lines[i] for i in other[:SAMPLE])
    encoding = "gb18030" if decoded(sample).encode("gb18030", "replace") == sample else "cp1252"
    for i in other:
        lines[i] = lines[i].decode(encoding, errors="replace").encode()
    spoken = {"gb18030": "GB18030", "cp1252": "Windows Latin"}[encoding]
    if len(other) == len(beyond):
        return b"\n".join(lines), _said(name, f"is in {spoken}, and was read so")
    found = f"mixes encodings: {len(beyond) - len(other)} lines are UTF-8 and {len(other)} are not (the first is line "
    return b"\n".join(lines), _said(name, f"{found}{other[0] + 1}); these were read as {spoken}", "fail")


def _said(name: str, what: str, status: str = "pass") -> tuple[Finding, ...]:
    return (Finding("text-encoding", "quality", "fail" if status == "fail" else "pass", f"{name} {what}"),)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
