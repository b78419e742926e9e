"""The UMLS Metathesaurus in Rich Release Format: concepts and their names (MRCONSO), semantic types (MRSTY) and
relations (MRREL). Columns as in the UMLS Reference Manual, chapter 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from medeor.contracts import Finding, Message, UserError
from medeor.formats.graphs.tables import NODES, REFERENCES, SYNONYMS, GraphTables

_COLUMNS = {
    "MRCONSO": "CUI LAT TS LUI STT SUI ISPREF AUI SAUI SCUI SDUI SAB TTY CODE STR SRL SUPPRESS CVF",
    "MRREL": "CUI1 AUI1 STYPE1 REL CUI2 AUI2 STYPE2 RELA RUI SRUI SAB SL RG DIR SUPPRESS CVF",
    "MRSTY": "CUI TUI STN STY ATUI CVF",
}
LANGUAGES = {
    "ENG": "en", "CHI": "zh", "SPA": "es", "FRE": "fr", "GER": "de", "ITA": "it", "JPN": "ja", "KOR": "ko",
    "POR": "pt", "RUS": "ru", "DUT": "nl", "CZE": "cs", "POL": "pl", "SWE": "sv", "NOR": "no", "DAN": "da",
    "FIN": "fi", "HUN": "hu", "GRE": "el", "TUR": "tr", "UKR": "uk", "ARA": "ar", "BAQ": "eu", "HEB": "he",
    "EST": "et", "LAV": "lv", "SCR": "hr",
}  # fmt: skip
_PREFIXES = {"MSH": "MESH", "NCBI": "NCBITaxon", "HPO": "HP", "ICD10CM": "ICD10CM", "ICD9CM": "ICD9CM"}
_OWN_PREFIX = ("HPO", "GO", "HGNC", "MONDO")
"""Vocabularies whose codes already carry their prefix."""


def is_rrf(path: Path) -> bool:
    """Whether a file is a table of the Metathesaurus that is read."""
    return _table(path) in _COLUMNS


def read_rrf(paths: Sequence[Path], where: Mapping[str, str]) -> GraphTables:
    """Concepts as nodes and the relations between them as edges: `CUI2 RELA CUI1`, as MRREL states the relation of its
    second concept to its first; REL where it has no RELA. The source of an edge is its vocabulary (SAB).

    What UMLS marks as suppressible and relations within one concept are excluded, and a finding counts them.

    Raises: UserError where there is no MRREL or a table is damaged."""
    tables = {_table(path): path for path in paths}
    if "MRREL" not in tables:
        raise UserError("graphs.umls.no-relations", paths=tuple(paths))
    edges, findings = _edges(tables["MRREL"], where)
    nodes, synonyms, references = (pl.DataFrame(schema=schema) for schema in (NODES, SYNONYMS, REFERENCES))
    if "MRCONSO" in tables:
        nodes, synonyms, references, suppressed = _concepts(tables["MRCONSO"])
        findings += suppressed
    if "MRSTY" in tables:
        types = _rows(tables["MRSTY"], "CUI", "STY").drop_nulls().group_by("CUI").agg(pl.col("STY").sort().first())
        types = types.rename({"CUI": "id", "STY": "kind"})
        nodes = nodes.drop("kind").join(types, on="id", how="full", coalesce=True)
    return GraphTables(edges, nodes.select(*NODES), synonyms, references, tuple(findings))


def _table(path: Path) -> str:
    name = path.name.upper().removesuffix(".GZ")
    return name.removesuffix(".RRF") if name.endswith(".RRF") else ""


def _rows(path: Path, *columns: str) -> pl.DataFrame:
    """Some columns of a table; each of its rows ends with a separator."""
    names = [*_COLUMNS[_table(path)].split(), ""]
    try:
        table = pl.scan_csv(
            path, separator="|", has_header=False, quote_char=None, schema=dict.fromkeys(names, pl.String)
        )
        found = table.select(columns).collect(engine="streaming")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        problem = str(error).splitlines()[0]
        raise UserError("graphs.umls.unreadable", path=path, table=_table(path), problem=problem) from None
    if found.height and found[columns[-1]].is_null().all():
        raise UserError("graphs.umls.too-few-columns", path=path, table=_table(path))
    return found


def _edges(path: Path, where: Mapping[str, str]) -> tuple[pl.DataFrame, list[Finding]]:
    rows = _rows(path, "CUI1", "REL", "CUI2", "RELA", "SAB", "SUPPRESS")
    suppressed = rows["SUPPRESS"].fill_null("N") != "N"
    within = rows["CUI1"] == rows["CUI2"]
    damaged = rows.select(pl.any_horizontal(pl.col("CUI1", "REL", "CUI2").is_null())).to_series()
    kept = rows.filter(~suppressed & ~within.fill_null(False) & ~damaged)
    kind = pl.Categorical(pl.Categories.random())
    edges = kept.select(
        head=pl.col("CUI2").cast(kind),
        relation=pl.coalesce("RELA", "REL"),
        tail=pl.col("CUI1").cast(kind),
        source=pl.col("SAB").cast(pl.Categorical),
        licence=pl.lit(where.get("licence"), pl.Categorical),
        release=pl.lit(where.get("release"), pl.Categorical),
        rel=pl.col("REL").cast(pl.Categorical),
    )
    found = []
    if suppressed.any() or within.any():
        inner = Message("graphs.umls.within", count=(within & ~suppressed).sum())
        what = Message("graphs.umls.suppressible", count=suppressed.sum()), inner
        message = Message("graphs.read.excluded", name=path.name, what=what)
        found.append(Finding("relations-set-aside", "quality", "pass", message))
    if damaged.any():
        message = Message("graphs.umls.damaged", name=path.name, count=damaged.sum())
        found.append(Finding("damaged-rows", "quality", "fail", message))
    return edges, found


def _concepts(path: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, list[Finding]]:
    """Nodes, synonyms, and references to the codes of other vocabularies. A concept is called by its preferred English
    name, else by the first of its names in the order of the table."""
    rows = _rows(path, "CUI", "LAT", "TS", "STT", "ISPREF", "SAB", "CODE", "STR", "SUPPRESS")
    suppressed = rows["SUPPRESS"].fill_null("N") != "N"
    kept = rows.filter(~suppressed & pl.col("CUI").is_not_null() & pl.col("STR").is_not_null())
    best = [pl.col("LAT") == "ENG", pl.col("TS") == "P", pl.col("STT") == "PF", pl.col("ISPREF") == "Y"]
    ranked = kept.sort(best, descending=True, maintain_order=True)
    nodes = ranked.unique("CUI", keep="first").select(id="CUI", name="STR", kind=pl.lit(None, pl.String)).sort("id")
    language = pl.col("LAT").replace_strict(LANGUAGES, default=None, return_dtype=pl.String)
    synonyms = ranked.select(id="CUI", name="STR", language=language).unique(["id", "name"], maintain_order=True)
    coded = kept.filter(pl.col("CODE") != "NOCODE").select("CUI", "SAB", "CODE").unique(maintain_order=True)
    prefixed = pl.format("{}:{}", pl.col("SAB").replace(_PREFIXES), "CODE")
    code = pl.when(pl.col("SAB").is_in(_OWN_PREFIX)).then("CODE").otherwise(prefixed)
    references = coded.select(pl.col("CUI").alias("from"), code.alias("to"))
    message = Message("graphs.umls.names", name=path.name, count=suppressed.sum())
    found = [Finding("names-set-aside", "quality", "pass", message)] if suppressed.any() else []
    return nodes, synonyms, references, found
