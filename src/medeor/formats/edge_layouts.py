"""How tables of edges and nodes name their columns: what medeor knows by itself, and what a user may say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medeor.contracts import UserError

WHERE = {
    "head": "column of the entity from which an edge starts",
    "relation": "column of the relation; where the file has none, the name of the one relation that it holds",
    "tail": "column of the entity to which an edge leads",
    "head_name": "column of the names of heads",
    "tail_name": "column of the names of tails",
    "head_kind": "column of the kinds of heads, or their one kind; edges without direction are turned to start there",
    "tail_kind": "column of the kinds of tails, or their one kind",
    "source": "column naming where an edge comes from, or the one source",
    "licence": "column of the licence of an edge, or the one licence",
    "release": "column of the release of the source, or the one release",
    "part": "column saying train, validation or test",
    "id": "column of the identifiers in a table of nodes",
    "name": "column of the names in a table of nodes",
    "kind": "column of the kinds in a table of nodes",
    "mapping": "table of two columns, identifiers of the same thing, that joins the graphs of several sources",
}
"""What `--where` may say of the tables of a graph."""

CONSTANTS = ("relation", "head_kind", "tail_kind", "source", "licence", "release")
"""Roles that one value may fill for a whole file."""

PART_NAMES = {"train": "train", "training": "train", "valid": "validation", "validation": "validation",
              "val": "validation", "dev": "validation", "test": "test"}  # fmt: skip

_EDGES = {
    "head": "head head_id h subject subject_id source source_id from start node1 :start_id x_id",
    "relation": "relation rel r predicate metaedge edge_type relation_type relationship interaction :type",
    "tail": "tail tail_id t object object_id target target_id to end node2 :end_id y_id",
    "head_name": "head_name subject_name source_name x_name",
    "tail_name": "tail_name object_name target_name y_name",
    "head_kind": "head_kind head_type subject_kind subject_type subject_category source_type x_type",
    "tail_kind": "tail_kind tail_type object_kind object_type object_category target_type y_type",
    "source": "sources source provenance database primary_knowledge_source",
    "licence": "licence license",
    "release": "release version",
    "part": "part split",
}
_NODES = {
    "key": "index node_index",
    "id": "id node_id identifier curie :id umls_cui node entity",
    "name": "name node_name label preferred_name",
    "kind": "kind type node_type category :label",
    "synonyms": "synonyms synonym",
    "language": "language lang",
    "prefix": "node_source",
}


class Columns(NamedTuple):
    """Which column, or which one value, fills each role of a table."""

    columns: Mapping[str, str]
    constants: Mapping[str, str]
    relations: Mapping[str, str] = {}
    """Plain words for the codes of the source."""
    prefixes: Mapping[str, str] = {}
    """By role: the column, or the text, that is put before an identifier which means nothing without it."""

    @property
    def nodes(self) -> bool:
        """Whether this is a table of nodes."""
        return "head" not in self.columns


class Layout(NamedTuple):
    """A published table, known by its header."""

    header: tuple[str, ...]
    means: Columns


_PRIMEKG = {"head_name": "x_name", "head_kind": "x_type", "tail_name": "y_name", "tail_kind": "y_type"}
LAYOUTS = (
    Layout(  # PrimeKG, kg.csv (Chandak et al., Scientific Data 10:67, 2023)
        ("relation", "x_id", "x_type", "x_name", "x_source", "y_id", "y_type", "y_name", "y_source"),
        Columns(
            {"head": "x_id", "relation": "relation", "tail": "y_id", **_PRIMEKG},
            {},
            prefixes={"head": "x_source", "tail": "y_source"},
        ),
    ),
    Layout(  # PrimeKG, edges.csv beside nodes.csv
        ("relation", "x_index", "y_index"),
        Columns({"head": "x_index", "relation": "relation", "tail": "y_index"}, {}),
    ),
    Layout(  # disease-gene associations behind Hetionet (Himmelstein et al., eLife 6:e26726, 2017)
        ("doid_id", "doid_name", "entrez_gene_id", "gene_symbol", "sources", "license"),
        Columns(
            {"head": "doid_id", "tail": "entrez_gene_id", "head_name": "doid_name", "tail_name": "gene_symbol",
             "source": "sources", "licence": "license"},
            {"relation": "associates", "head_kind": "Disease", "tail_kind": "Gene"},
            prefixes={"tail": "NCBIGene"},
        ),
    ),
    Layout(  # PharmacotherapyDB 1.0, the indications behind Hetionet
        ("doid_id", "drugbank_id", "disease", "drug", "category"),
        Columns(
            {"head": "drugbank_id", "relation": "category", "tail": "doid_id", "head_name": "drug",
             "tail_name": "disease"},
            {"head_kind": "Compound", "tail_kind": "Disease", "source": "PharmacotherapyDB", "licence": "CC0 1.0"},
            relations={"DM": "treats", "SYM": "palliates", "NOT": "not_indicated_for"},
        ),
    ),
)  # fmt: skip


def columns_of(header: Sequence[str], where: Mapping[str, str]) -> Columns | None:
    """What the columns of a table mean, from a layout that is known, from common names, and above both from what the
    user said; None where the first row is no header."""
    layout = next((one for one in LAYOUTS if set(one.header) <= set(header)), None)
    known = layout.means if layout else Columns(_alike(header, where), {})
    columns = {role: name for role, name in known.columns.items() if role not in where or where[role] not in header}
    columns |= {role: name for role, name in where.items() if name in header}
    if not ("head" in columns and "tail" in columns) and not _describes(columns):
        return None
    constants = {**known.constants, **constants_of(columns, where)}
    return known._replace(columns=columns, constants={r: text for r, text in constants.items() if r not in columns})


def constants_of(columns: Mapping[str, str], where: Mapping[str, str]) -> dict[str, str]:
    """What the user said that holds for a whole file: of a role that no column fills."""
    return {role: where[role] for role in CONSTANTS if role in where and role not in columns}


def _alike(header: Sequence[str], where: Mapping[str, str]) -> dict[str, str]:
    """Columns by their common names: those of a table of edges, else those of a table of nodes."""
    names = {name.strip().lower(): name for name in reversed(header)}
    given = {role: name for role, name in where.items() if name in header}
    for roles in (_EDGES, _NODES):
        found = dict(given)
        for role, aliases in roles.items():
            free = (names[alias] for alias in aliases.split() if alias in names and names[alias] not in found.values())
            if role not in given and (name := next(free, None)) is not None:
                found[role] = name
        if roles is _EDGES and {"head", "tail"} <= found.keys():
            return found
    if "id" not in found and "key" in found:
        found["id"] = found["key"]
    return found if _describes(found) else {}


def _describes(columns: Mapping[str, str]) -> bool:
    return "id" in columns and bool({"name", "kind"} & columns.keys())


def unused(where: Mapping[str, str], used: set[str], seen: Mapping[str, Sequence[str]]) -> None:
    """Raises: UserError for what the user said of columns and no file has."""
    for role, name in where.items():
        if role in WHERE and role not in used and seen:
            held = "; ".join(f"{path} has {', '.join(header)}" for path, header in seen.items())
            raise UserError(f"--where {role}={name}: there is no such column, and no file lacks one: {held}")
