"""Text of a table of edges before its columns are understood: comments, counts, separators and quotes; other formats
are recognised here and refused with what to do."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medeor.contracts import Finding, Message, UserError
from medeor.formats.tables.encodings import as_utf8
from medeor.formats.tables.read import content_of

LOOK = 1 << 16
"""Bytes of a file that show its format."""
_TRIPLES = {".ttl": "Turtle", ".n3": "Notation3", ".trig": "TriG", ".rdf": "RDF/XML", ".jsonld": "JSON-LD"}
_NETWORKS = {".graphml": "GraphML", ".gexf": "GEXF", ".gml": "GML", ".xml": "XML"}
REFUSED = {
    **{ending: Message("graphs.refused.triples", format=name) for ending, name in _TRIPLES.items()},
    **{ending: Message("graphs.refused.network", format=name) for ending, name in _NETWORKS.items()},
    **{ending: Message("graphs.refused.ontology", ending=ending) for ending in (".owl", ".ofn")},
    **dict.fromkeys((".zip", ".tar", ".tgz"), Message("graphs.refused.archive")),
    **dict.fromkeys((".bz2", ".xz", ".zst"), Message("graphs.refused.packed")),
    **dict.fromkeys((".pkl", ".pt"), Message("graphs.refused.pickle")),
    ".json": Message("graphs.refused.json"),
}
"""Graphs in formats that are not read, by ending, and what to do instead."""
GAF = (
    "db", "db_object_id", "db_object_symbol", "qualifier", "go_id", "db_reference", "evidence_code", "with_or_from",
    "aspect", "db_object_name", "db_object_synonym", "db_object_type", "taxon", "date", "assigned_by",
    "annotation_extension", "gene_product_form_id",
)  # fmt: skip
"""The columns of a GO annotation file, versions 2.0 to 2.2, which has no header."""
_RESOURCE = r"(?:<[^<>\s]*>|_:\S+)"
NTRIPLE = re.compile(
    rf'\s*{_RESOURCE}\s+<[^<>\s]*>\s+(?:{_RESOURCE}|"(?:[^"\\]|\\.)*"(?:@[\w-]+|\^\^\S+)?)(?:\s+{_RESOURCE})?\s*\.?\s*'
)
"""A line of N-Triples or N-Quads; tables of IRIs often leave the point out."""


class EdgeText(NamedTuple):
    """A table of text before its columns are understood."""

    path: Path
    content: bytes
    """UTF-8; lines that are passed over are left empty, so that numbers of lines stay true."""
    separator: str
    quote: str | None
    header: list[str]
    """The values of its first row, or what a comment above it names its columns."""
    skipped: int
    """Lines before the first row."""
    commented: bool
    """Whether the header is a comment, so that the first row is data."""
    counted: bool
    """Whether the first line was the number of the rows (OpenKE)."""
    findings: tuple[Finding, ...]

    @property
    def is_ntriples(self) -> bool:
        if self.path.name.lower().removesuffix(".gz").endswith((".nt", ".nq")):
            return True
        first = self.content[:LOOK].decode(errors="replace").lstrip().split("\n", 1)[0]
        return NTRIPLE.fullmatch(first) is not None


def open_text(path: Path, known: Callable[[Sequence[str]], bool]) -> EdgeText:
    """The text of a table. `known` tells whether medeor knows these names as a header.

    Raises: UserError where the file is empty, binary, or of a format that is not read."""
    content, findings = as_utf8(content_of(path), path.name)
    if not re.search(rb"\S", content):
        raise UserError("graphs.text.empty", path=path)
    if b"\n" not in content and b"\r" in content:
        content = content.replace(b"\r", b"\n")
    _refuse_others(path, content)
    content, comments = _without_comments(content)
    content, asked = _without_first(content, rb"(?i)\s*sep=([^\r\n])[ \r]*\n")
    content, count = _without_first(content, rb"\s*(\d+)[ \t\r]*\n")
    first = _first_line(content)
    if not first.strip():
        raise UserError("graphs.text.comments-alone", path=path)
    if "\0" in first:
        raise UserError("graphs.text.not-text", path=path)
    separator = asked.decode() or separator_of(first)
    content, quote, note = _quoted(content, separator, path.name)
    header = _values(_first_line(content), separator, quote)
    names = _named_above(comments, len(header), separator, quote, known)
    if known(header):
        names = []
    named = bool(names) or known(header)
    content, passed = _without_later_comments(content, separator, quote, len(header), named)
    findings += (Finding("quotes", "quality", "pass", note),) if note else ()
    if passed:
        message = Message("graphs.text.comments", name=path.name, count=passed)
        findings += (Finding("comment-lines", "quality", "pass", message),)
    skipped = _opening(rb"\s*", content).count(b"\n")
    return EdgeText(path, content, separator, quote, names or header, skipped, bool(names), bool(count), findings)


# --- other formats ---------------------------------------------------------------------------------------

_OTHERS = (
    (r"\s*[{\[]\s*[{\"\]}][\s\S]*\"@(context|graph|id)\"", ".jsonld"),
    (r"\s*(\{\s*[\"}]|\[\s*[{\"\]])", ".json"),
    (r"(?i)\s*<(\?xml|!doctype|rdf:rdf|graphml|html|ontology)\b", ".xml"),
    (r"(?im)^\s*(@(prefix|base)\s|(prefix|base)\s+\S*\s*<)", ".ttl"),
    (r"version https://git-lfs", ".lfs"),
)


def _refuse_others(path: Path, content: bytes) -> None:
    look = content[:LOOK].decode(errors="replace")
    ending = next((ending for sign, ending in _OTHERS if re.match(sign, look)), "")
    if not ending and re.search(_OTHERS[3][0], look):
        ending = ".ttl"
    if ending == ".xml":
        signs = {"<graphml": ".graphml", "<gexf": ".gexf", "<owl:": ".owl", "<ontology": ".owl", "<rdf:": ".rdf"}
        ending = next((kind for sign, kind in signs.items() if sign in look.lower()), ".xml")
    if ending == ".lfs":
        raise UserError("graphs.refused.git-lfs", path=path)
    if ending:
        raise UserError("graphs.refused.file", path=path, hint=REFUSED[ending])


# --- comments --------------------------------------------------------------------------------------------


def _without_comments(content: bytes) -> tuple[bytes, list[str]]:
    """The text with the comments at its beginning left empty, and these comments."""
    first = _opening(rb"\s*[!%]", content)[-1:]
    above = _opening(rb"(?:[ \t\r]*(?:[#" + first + rb"][^\n]*)?(?:\n|\Z))*", content)
    if not above:
        return content, []
    lines = above.decode().splitlines()
    return b"\n" * above.count(b"\n") + content[len(above) :], [line.strip() for line in lines if line.strip()]


def _named_above(
    comments: Sequence[str], width: int, separator: str, quote: str | None, known: Callable[[Sequence[str]], bool]
) -> list[str]:
    """The header that stands in a comment, the last that is one; of a GAF, which has none, its columns."""
    if comments and comments[0].lower().startswith("!gaf-version"):
        return list(GAF[:width])
    rows = (_values(line.lstrip("#!% \t"), separator, quote) for line in reversed(comments))
    return next((names for names in rows if len(names) == width and known(names)), [])


def _without_later_comments(
    content: bytes, separator: str, quote: str | None, width: int, named: bool
) -> tuple[bytes, int]:
    """The text with later lines that begin with # left empty, and how many these are. Below a header, a line with a
    value for each column is a row, and within quotes no line begins."""
    if b"\n#" not in content:
        return content, 0
    passed = 0
    quotes = np.flatnonzero(np.frombuffer(content, np.uint8) == ord('"')) if quote else np.zeros(0, np.int64)

    def emptied(match: re.Match[bytes]) -> bytes:
        nonlocal passed
        inside = np.searchsorted(quotes, match.start()) % 2
        open_quote = quote and match.group().count(b'"') % 2
        if inside or open_quote or (named and match.group().count(separator.encode()) >= width - 1):
            return match.group()
        passed += 1
        return b""

    return re.sub(rb"(?m)^#[^\n]*", emptied, content), passed


def _without_first(content: bytes, pattern: bytes) -> tuple[bytes, bytes]:
    """The text with a first line of this pattern left empty, and what its group holds."""
    found = re.match(pattern, content)
    if found is None:
        return content, b""
    return b"\n" * found.group().count(b"\n") + content[found.end() :], found.group(1)


# --- separators and quotes -------------------------------------------------------------------------------


def separator_of(first: str) -> str:
    """What separates the values of a first line."""
    plain = re.sub(r'"[^"]*"', "", first)
    return max("\t,;| ", key=lambda mark: min(plain.count(mark), 2) if mark in "\t,;|" else 0.5 * (" " in plain))


def _first_line(content: bytes) -> str:
    start = len(_opening(rb"[\r\n]*", content))
    end = content.find(b"\n", start)
    return content[start : end if end >= 0 else None].decode().rstrip("\r")


def _opening(pattern: bytes, content: bytes) -> bytes:
    found = re.match(pattern, content)
    return found.group() if found else b""


def _values(line: str, separator: str, quote: str | None) -> list[str]:
    if quote is None:
        return [value.strip() for value in line.rstrip("\r\n").split(separator)]
    lines = [line.replace("\r", " ")]
    try:
        return [value.strip() for value in next(csv.reader(lines, delimiter=separator, quotechar=quote), [])]
    except csv.Error:  # a value longer than any that is meant
        return [value.strip() for value in line.split(separator)]


def _quoted(content: bytes, separator: str, name: str) -> tuple[bytes, str | None, Message | None]:
    """The text, the mark that quotes its values (None: none does), and what there is to say of it.

    Quotes are quotes where every value that begins with one is closed by one and its inner ones are doubled. Else they
    are letters: `5" needle`, `"Unspecified" injury`. Where a file has both kinds, values with quotes as letters are
    quoted in their turn."""
    if b'"' not in content:
        return content, None, None
    mark = re.escape(separator.encode())
    blank = b"" if separator in "\t " else b" *"
    whole = blank + rb'"[^"]*(?:""[^"]*)*"' + blank + rb"(?=[" + mark + rb"\r\n]|\Z)"
    start = rb"(?:(?<=[" + mark + rb"\n])|\A)"
    masked, quoted = re.subn(start + whole, b"q", content)
    plain_widths, masked_widths = _widths(content, separator), _widths(masked, separator)
    plain_even, masked_even = len(plain_widths) == 1, len(masked_widths) == 1
    within = rb'"[^"\n' + mark + rb']*(?:""[^"\n' + mark + rb']*)*"'
    closed = len(re.findall(start + blank + within + blank + rb"(?=[" + mark + rb"\r\n]|\Z)", content))
    opened = len(re.findall(start + blank + rb'"', content))
    plain = plain_even and closed < opened and not (masked_even and masked_widths[0] < plain_widths[0])
    if plain or not quoted:
        return content, None, Message("graphs.text.open-quote", name=name) if opened else None
    if not plain_even and not masked_even and max(masked_widths) > masked_widths[0]:
        return content, '"' if separator in ",;" else None, None
    letter = rb"[^" + mark + rb'\r\n"]*"[^' + mark + rb"\r\n]*"
    if b'"' in masked or (blank and re.search(rb"[" + mark + rb'] +"', content)):
        content = re.sub(start + rb"(?:(" + whole + rb")|(" + letter + rb"))", _requoted, content)
    return content, '"', Message("graphs.text.quotes", name=name, count=quoted) if separator == "\t" else None


def _requoted(match: re.Match[bytes]) -> bytes:
    if match.group(1) is not None:
        return match.group(1).strip(b" ")
    return b'"' + match.group(2).replace(b'"', b'""') + b'"'


def _widths(content: bytes, separator: str) -> list[int]:
    """Separators in each line that is not empty, the first line first; each number once."""
    text = np.frombuffer(content + b"\n", np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    marks = np.searchsorted(np.flatnonzero(text == ord(separator)), ends)
    count = np.diff(marks, prepend=0)
    length = np.diff(ends, prepend=-1) - 1 - (text[np.maximum(ends - 1, 0)] == ord("\r"))
    return list(dict.fromkeys(count[length > 0].tolist()))
