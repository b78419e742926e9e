"""N-Triples and N-Quads (W3C, 2014), and tables of IRIs in angle brackets that people name .tsv."""

from __future__ import annotations

import re

import polars as pl

from medeor.contracts import Finding, Message, UserError
from medeor.formats.graphs.edges.text import EdgeText
from medeor.formats.graphs.tables import NODES, SYNONYMS, TRIPLE, GraphTables

_LINE = (
    r"^\s*(?<head><[^<>\s]*>|_:\S+)\s+<(?<relation>[^<>\s]*)>\s+"
    r'(?:(?<tail><[^<>\s]*>|_:\S*[^\s.])|"(?<text>(?:[^"\\]|\\.)*)"(?:@(?<language>[\w-]+)|\^\^\S+?)?)'
    r"(?:\s+<(?<graph>[^<>\s]*)>|\s+_:\S*[^\s.])?\s*\.?\s*(?:#.*)?$"
)
_NAMES = r"(?i)[#/:](?:label|prefLabel|name)$"
_SYNONYMS = r"(?i)[#/:](?:altLabel|alternateName|has\w*Synonym)$"
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_LETTERS = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f"}


def read_ntriples(text: EdgeText) -> GraphTables:
    """Statements between two IRIs as edges, their IRIs as identifiers. Labels become names and synonyms with their
    language; other literals, and statements of blank nodes, which have no name outside their file, are excluded
    and counted.

    Raises: UserError naming the first line that is no statement."""
    lines = pl.DataFrame({"line": text.content.decode().split("\n")}, schema={"line": pl.String})
    lines = lines.with_row_index("number", 1).filter(pl.col("line").str.contains(r"^\s*[^\s#]"))
    rows = lines.select("number", pl.col("line").str.extract_groups(_LINE).struct.unnest())
    if (wrong := rows.filter(pl.col("relation").is_null())).height:
        raise UserError("graphs.ntriples.wrong-line", path=text.path, line=wrong["number"][0])
    blank = pl.col("head").str.starts_with("_:") | pl.col("tail").str.starts_with("_:").fill_null(False)
    blanks, rows = rows.filter(blank).height, rows.filter(~blank)
    iris = [_plain(rows[name].str.strip_chars("<>")) for name in TRIPLE]
    rows = rows.with_columns(iris)
    edges = rows.filter(pl.col("tail").is_not_null())
    literals = rows.filter(pl.col("text").is_not_null()).with_columns(_plain(rows["text"].drop_nulls()))
    named = literals.filter(pl.col("relation").str.contains(_NAMES))
    called = pl.concat([named, literals.filter(pl.col("relation").str.contains(_SYNONYMS))])
    language = pl.col("language").str.to_lowercase().str.slice(0, 2)
    order = language.fill_null("").replace_strict({"en": 0, "": 1}, default=2, return_dtype=pl.Int8)
    first = named.sort(order, maintain_order=True).unique("head", keep="first", maintain_order=True)
    nodes = first.select(id="head", name="text", kind=pl.lit(None, pl.String)).cast(NODES)  # type: ignore[arg-type]
    synonyms = called.select(id="head", name="text", language=language).cast(SYNONYMS)  # type: ignore[arg-type]
    findings = [*text.findings]
    if (others := literals.height - called.height) or not text.path.name.lower().removesuffix(".gz").endswith(".nt"):
        key = "graphs.ntriples.without-literals" if others else "graphs.ntriples.read"
        findings.append(Finding("n-triples", "quality", "pass", Message(key, name=text.path.name, count=others)))
    if blanks:
        message = Message("graphs.ntriples.blank-nodes", name=text.path.name, count=blanks)
        findings.append(Finding("blank-nodes", "quality", "fail", message))
    kept = [pl.col(name).cast(pl.Categorical) for name in TRIPLE]
    if edges["graph"].null_count() < edges.height:
        kept.append(pl.col("graph").cast(pl.Categorical).alias("source"))
    return GraphTables(edges.select(kept), nodes, synonyms, findings=tuple(findings))


def _plain(column: pl.Series) -> pl.Series:
    """Text without its escapes."""
    escaped = column.filter(column.str.contains("\\", literal=True).fill_null(False)).unique()
    plain = [_ESCAPE.sub(_letter, value) for value in escaped]
    return column.replace(escaped, pl.Series(plain, dtype=pl.String)) if len(escaped) else column


def _letter(match: re.Match[str]) -> str:
    code = match.group(1) or match.group(2)
    if code is None:
        return _LETTERS.get(match.group(3), match.group(3))
    number = int(code, 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else match.group()
