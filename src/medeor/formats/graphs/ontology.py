"""Ontologies in OBO: terms, names, synonyms, is_a, relationships, cross references, obsolete terms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from medeor.contracts import Finding, Message, UserError
from medeor.formats.graphs.tables import NODES, REFERENCES, SYNONYMS, GraphTables
from medeor.formats.tables.encodings import as_utf8
from medeor.formats.tables.read import content_of

_COMMENT = r"\s*(\{[^}]*\}\s*)?(!.*)?$"
"""A trailing modifier and a comment (OBO 1.4, section 3.4)."""
_MODIFIER = r"\s+\{[^{}=]+=\"[^{}]*\}\s*$"
"""A trailing modifier of a name, which may hold braces of its own."""
_ESCAPED = r"\\([\"\\:,()\[\]{}! ])"


def read_obo(path: Path, where: Mapping[str, str]) -> GraphTables:
    """The terms of an ontology and what joins them. Obsolete terms are no nodes: a finding counts them, and what
    replaces them is among the references, as alternative ids and cross references are.

    Raises: UserError where the file is empty, no OBO, or damaged."""
    content, findings = as_utf8(content_of(path), path.name)
    lines = pl.DataFrame({"line": content.replace(b"\r", b"\n").decode().split("\n")}, schema={"line": pl.String})
    lines = lines.with_columns(pl.col("line").str.strip_chars_end())
    opens = pl.col("line").str.contains(r"^\[\w+\]\s*(!.*)?$")
    pairs = (
        lines.with_columns(
            stanza=pl.when(opens).then(pl.col("line").str.extract(r"^\[(\w+)\]")).forward_fill(),
            number=opens.cum_sum(),
            tag=pl.col("line").str.extract(r"^([\w-]+):"),
            value=pl.col("line").str.extract(r"^[\w-]+:\s*(.*)$"),
        )
        .filter(pl.col("tag").is_not_null())
        .drop("line")
    )
    header = pairs.filter(pl.col("stanza").is_null())
    terms = pairs.filter(pl.col("stanza").is_in(["Term", "Instance"]))
    if not terms.height:
        raise UserError("graphs.ontology.no-term", path=path)
    ids = terms.filter(pl.col("tag") == "id").select("number", pl.col("value").str.replace(_COMMENT, "").alias("id"))
    terms = terms.join(ids.unique("number"), on="number", maintain_order="left")
    nameless = terms.filter(pl.col("id").is_null() | (pl.col("id") == ""))
    terms = terms.filter(pl.col("id") != "")
    gone = pl.col("value").str.replace(_COMMENT, "").str.to_lowercase().is_in(["true", "1"])
    obsolete = terms.filter((pl.col("tag") == "is_obsolete") & gone)["id"].unique().sort()
    living = terms.filter(~pl.col("id").is_in(obsolete.implode()))
    release = _one(header, "data-version")
    source = where.get("source") or _one(header, "ontology") or path.name.removesuffix(".gz").removesuffix(".obo")
    edges = _joined(living)
    whole = ~pl.any_horizontal((pl.col(name) == "").fill_null(True) for name in ("head", "relation", "tail"))
    broken = edges.filter(~whole)["head"]
    edges = edges.filter(whole).with_columns(
        source=pl.lit(source, pl.Categorical),
        licence=pl.lit(where.get("licence") or _licence(header), pl.Categorical),
        release=pl.lit(where.get("release") or release, pl.Categorical),
    )
    to_gone = edges.filter(pl.col("tail").is_in(obsolete.implode()))
    findings = (*findings, *_obsolete(path.name, obsolete, to_gone.height))
    damaged = []
    if len(broken):
        damaged.append(Message("graphs.ontology.without-term", count=len(broken), first=broken[0]))
    if nameless.height:
        damaged.append(Message("graphs.ontology.without-id", count=nameless["number"].n_unique()))
    if damaged:
        message = Message("graphs.read.excluded", name=path.name, what=tuple(damaged))
        findings = (*findings, Finding("damaged-terms", "quality", "fail", message))
    alternatives = _alternatives(living)
    nodes, synonyms = _nodes(living, header), _synonyms(living)
    return GraphTables(edges, nodes, synonyms, _references(terms), findings, alternatives=alternatives, name=path.name)


def _tagged(terms: pl.DataFrame, *tags: str) -> pl.DataFrame:
    return terms.filter(pl.col("tag").is_in(tags))


def _one(header: pl.DataFrame, tag: str) -> str | None:
    values = _tagged(header, tag)["value"]
    return values[0] if len(values) else None


def _licence(header: pl.DataFrame) -> str | None:
    terms = _tagged(header, "property_value").filter(pl.col("value").str.contains(r"(?i)^\S*(license|rights)\s"))
    return terms["value"].str.extract(r"^\S+\s+\"?([^\"\s]+)")[0] if terms.height else None


def _nodes(terms: pl.DataFrame, header: pl.DataFrame) -> pl.DataFrame:
    names = _tagged(terms, "name").unique("id", keep="first", maintain_order=True)
    text = pl.col("value").str.replace(_MODIFIER, "").str.replace_all(_ESCAPED, "$1")
    spaces = _tagged(terms, "namespace").unique("id").select("id", kind="value")
    general = _one(header, "default-namespace")
    kind = pl.coalesce("kind", pl.lit(general, pl.String), pl.col("id").str.extract(r"^([A-Za-z]\w*):"))
    return (
        terms.select("id")
        .unique(maintain_order=True)
        .join(names.select("id", name=text), on="id", how="left")
        .join(spaces, on="id", how="left")
        .select("id", "name", kind)
        .cast(NODES)  # type: ignore[arg-type]
        .sort("id")
    )


def _joined(terms: pl.DataFrame) -> pl.DataFrame:
    plain = pl.col("value").str.replace(_COMMENT, "")
    is_a = _tagged(terms, "is_a", "instance_of").select(head="id", relation="tag", tail=plain)
    related = _tagged(terms, "relationship").select(
        head="id", relation=plain.str.extract(r"^(\S+)"), tail=plain.str.extract(r"^\S+\s+(\S+)")
    )
    return pl.concat([is_a, related])


def _synonyms(terms: pl.DataFrame) -> pl.DataFrame:
    text = pl.col("value").str.extract(r'^"((?:[^"\\]|\\.)*)"').str.replace_all(_ESCAPED, "$1")
    # Chinese is the one language besides English that its letters alone show.
    language = pl.when(text.str.contains(r"\p{Han}")).then(pl.lit("zh")).otherwise(pl.lit(None, pl.String))
    found = _tagged(terms, "synonym").select("id", name=text, language=language)
    return found.filter(pl.col("name").is_not_null()).cast(SYNONYMS)  # type: ignore[arg-type]


def _references(terms: pl.DataFrame) -> pl.DataFrame:
    other = pl.col("value").str.extract(r"^(\S+)")
    out = [_tagged(terms, tag).select(pl.col("id").alias("from"), other.alias("to")) for tag in ("xref", "replaced_by")]
    back = _tagged(terms, "alt_id").select(other.alias("from"), to="id")
    return pl.concat([*out, back]).drop_nulls().cast(REFERENCES)  # type: ignore[arg-type]


def _alternatives(terms: pl.DataFrame) -> pl.DataFrame:
    other = pl.col("value").str.extract(r"^([^\s!]+)")
    found = _tagged(terms, "alt_id").select(other.alias("from"), to="id")
    return found.drop_nulls().cast(REFERENCES)  # type: ignore[arg-type]


def _obsolete(name: str, obsolete: pl.Series, edges: int) -> list[Finding]:
    if not len(obsolete):
        return []
    more = Message("graphs.ontology.edges-to-obsolete", count=edges) if edges else ""
    message = Message("graphs.ontology.obsolete", name=name, count=len(obsolete), example=obsolete[0], more=more)
    return [Finding("obsolete-terms", "quality", "fail" if edges else "pass", message)]
