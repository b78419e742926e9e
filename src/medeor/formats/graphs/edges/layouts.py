"""How tables of edges and nodes name their columns: published layouts, common names, and the options of a user."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from medeor.contracts import Message, Text, UserError
from medeor.formats.graphs.facts import OPTIONS

CONSTANTS = ("relation", "head_kind", "tail_kind", "source", "licence", "release")
"""Roles that one value may fill for a whole file."""

PART_NAMES = {"train": "train", "training": "train", "valid": "validation", "validation": "validation",
              "val": "validation", "dev": "validation", "development": "validation", "tune": "validation",
              "test": "test", "testing": "test", "heldout": "test", "holdout": "test", "held_out": "test",
              "hold_out": "test", "held-out": "test", "hold-out": "test", "trn": "train", "tr": "train",
              "learn": "train", "vld": "validation", "va": "validation", "tst": "test", "te": "test"}  # fmt: skip

_EDGES = {
    "head": "head head_id h head_entity subject subject_id source source_id source_node from from_id start node1 node_1"
    " node1_id :start_id _start x_id entity1 entity_1 entity1_id entity1_name src subj s 头实体 头 主体 主语",
    "relation": "relation rel r predicate metaedge edge_type relation_type relationship relationship_type interaction"
    " interaction_type :type _type edge pred p 关系 谓词 谓语",
    "tail": "tail tail_id t tail_entity object object_id target target_id target_node to to_id end node2 node_2"
    " node2_id :end_id _end y_id entity2 entity_2 entity2_id entity2_name dst obj o 尾实体 尾 客体 宾语",
    "head_name": "head_name subject_name source_name x_name entity1_name",
    "tail_name": "tail_name object_name target_name y_name entity2_name",
    "head_kind": "head_kind head_type subject_kind subject_type subject_category source_type x_type entity1_type",
    "tail_kind": "tail_kind tail_type object_kind object_type object_category target_type y_type entity2_type",
    "source": "sources source provenance database primary_knowledge_source",
    "licence": "licence license",
    "release": "release version",
    "part": "part split",
    "negated": "negated negation is_negated is_not not qualifier qualifiers",
}
_NODES = {
    "key": "index node_index",
    "id": "id node_id identifier curie :id _id umls_cui node entity entity_id",
    "name": "name node_name label preferred_name entity_name",
    "kind": "kind type node_type category :label _labels entity_type",
    "synonyms": "synonyms synonym",
    "language": "language lang",
    "prefix": "node_source",
}


class Columns(NamedTuple):
    """Which column, or which one value, fills each role of a table."""

    columns: Mapping[str, str]
    constants: Mapping[str, str] = {}
    relations: Mapping[str, str] = {}
    """Plain words for the codes of the source."""
    prefixes: Mapping[str, str] = {}
    """By role: the column, or the text, that is put before an identifier which means nothing without it."""
    no_relation: str = ""
    """The relation of rows that name none."""
    directed: bool = True

    @property
    def nodes(self) -> bool:
        """Whether this is a table of nodes."""
        return "head" not in self.columns


def _ctd(head: str, tail: str, relation: str, no_relation: str) -> tuple[str, Columns]:
    """The layout of a table of CTD (ctdbase.org)."""
    ends = {"head": _CTD_ENDS[head], "tail": _CTD_ENDS[tail]}
    columns = {f"{side}_name": name for side, (name, *_) in ends.items()}
    columns |= {side: id_ for side, (_, id_, *_) in ends.items()} | {"relation": relation}
    kinds = {f"{side}_kind": kind for side, (_, _, kind, _) in ends.items()}
    prefixes = {side: prefix for side, (*_, prefix) in ends.items() if prefix}
    return " ".join(columns.values()), Columns(columns, kinds, prefixes=prefixes, no_relation=no_relation)


_CTD_ENDS = {
    "chemical": ("ChemicalName", "ChemicalID", "Compound", "MESH"),
    "gene": ("GeneSymbol", "GeneID", "Gene", "NCBIGene"),
    "disease": ("DiseaseName", "DiseaseID", "Disease", ""),
}
LAYOUTS = {
    # PrimeKG, kg.csv (Chandak et al., Scientific Data 10:67, 2023)
    "relation x_id x_type x_name x_source y_id y_type y_name y_source": Columns(
        {"head": "x_id", "head_name": "x_name", "head_kind": "x_type", "relation": "relation",
         "tail": "y_id", "tail_name": "y_name", "tail_kind": "y_type"},
        prefixes={"head": "x_source", "tail": "y_source"},
    ),
    # PrimeKG, edges.csv with nodes.csv
    "relation x_index y_index": Columns({"head": "x_index", "relation": "relation", "tail": "y_index"}),
    # disease-gene associations behind Hetionet (Himmelstein et al., eLife 6:e26726, 2017)
    "doid_id doid_name entrez_gene_id gene_symbol sources license": Columns(
        {"head": "doid_id", "tail": "entrez_gene_id", "head_name": "doid_name", "tail_name": "gene_symbol",
         "source": "sources", "licence": "license"},
        {"relation": "associates", "head_kind": "Disease", "tail_kind": "Gene"},
        prefixes={"tail": "NCBIGene"},
    ),
    # PharmacotherapyDB 1.0, the indications behind Hetionet
    "doid_id drugbank_id disease drug category": Columns(
        {"head": "drugbank_id", "relation": "category", "tail": "doid_id", "head_name": "drug", "tail_name": "disease"},
        {"head_kind": "Compound", "tail_kind": "Disease", "source": "PharmacotherapyDB", "licence": "CC0 1.0"},
        relations={"DM": "treats", "SYM": "palliates", "NOT": "not_indicated_for"},
    ),
    # GO annotation file 2.2 (geneontology.org): names of its columns in `edges.text.GAF`
    "db db_object_id db_object_symbol qualifier go_id aspect assigned_by": Columns(
        {"head": "db_object_id", "relation": "qualifier", "tail": "go_id", "head_name": "db_object_symbol",
         "head_kind": "db_object_type", "source": "assigned_by", "negated": "qualifier"},
        prefixes={"head": "db"},
        no_relation="annotated_with",
    ),
    # phenotype.hpoa (hpo.jax.org), from 2018 on
    "database_id disease_name qualifier hpo_id aspect": Columns(
        {"head": "database_id", "relation": "aspect", "tail": "hpo_id", "head_name": "disease_name",
         "negated": "qualifier"},
        {"head_kind": "Disease", "tail_kind": "Phenotype"},
        relations={"P": "has_phenotype", "I": "has_inheritance", "C": "has_clinical_course",
                   "M": "has_modifier", "H": "has_past_medical_history"},
    ),
    **dict((
        _ctd("chemical", "disease", "DirectEvidence", "inferred"),
        _ctd("gene", "disease", "DirectEvidence", "inferred"),
        _ctd("chemical", "gene", "InteractionActions", "interacts_with"),
    )),
    # STRING, links of proteins (string-db.org)
    "protein1 protein2 combined_score": Columns(
        {"head": "protein1", "tail": "protein2"}, {"relation": "interacts_with"}, directed=False
    ),
}  # fmt: skip
"""Published tables by the columns that show which one it is."""
_NEO4J = re.compile(
    r"(?i)(?P<name>.*?):(?P<mark>start_id|end_id|type|id|label|ignore)(?:\((?P<space>.*?)\))?(?:\{.*\})?"
)
_NEO4J_ROLES = {"start_id": "head", "end_id": "tail", "id": "id"}
_TYPED = re.compile(
    r"(?i)(.+):(?:int|integer|long|float|double|boolean|byte|short|char|string|point|date|localtime|time|localdatetime|"
    r"datetime|duration)(?:\[\])?(?:\{.*\})?"
)
_HEADINGS = {
    *("gene", "genes", "disease", "diseases", "drug", "drugs", "compound", "chemical", "protein", "phenotype"),
    *("symptom", "entity", "node", "id", "name", "pathway", "variant", "tissue", "target", "side_effect", "indication"),
    *("head", "tail", "relation", "基因", "疾病", "药物", "症状", "蛋白", "实体"),
}
"""What columns are called by the things in them; no names of things."""


def neo4j_header(header: Sequence[str]) -> tuple[list[str], dict[str, str]] | None:
    """The header of neo4j-admin import (Neo4j Operations Manual, import header formats) in plain names, `:start_id`,
    `:id`, `weight` for `:START_ID(Compound)`, `id:ID`, `weight:float`, and by role (head, tail, id) the space in which
    its identifiers hold; None for any other header."""
    marks = [_NEO4J.fullmatch(name.strip()) for name in header]
    if not any(found and found["mark"].lower() in _NEO4J_ROLES for found in marks):
        return None
    plain, spaces = [], {}
    for name, found in zip(header, marks):
        if found is None:
            typed = _TYPED.fullmatch(name.strip())
            plain.append(typed.group(1) if typed else name)
            continue
        mark = found["mark"].lower()
        plain.append(f":{mark}")
        if found["space"] and mark in _NEO4J_ROLES:
            spaces[_NEO4J_ROLES[mark]] = found["space"]
    return plain, spaces


def headings(header: Sequence[str]) -> bool:
    """Whether every one of these names is that of a column, whatever stands in it."""
    known = {alias for aliases in (*_EDGES.values(), *_NODES.values()) for alias in aliases.split() if len(alias) > 1}
    plain = [_spelt(name) for name in header]
    return len(set(plain)) == len(plain) and all(re.sub(r"_?(id|name)$", "", n) in _HEADINGS | known for n in plain)


def _spelt(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def columns_of(header: Sequence[str], where: Mapping[str, str], gaps: Collection[str] = ()) -> Columns | None:
    """What the columns of a table mean: by the options of the user, else by a published layout or common names; None
    where the first row is no header. Among several columns for a head, relation or tail, one without gaps is taken."""
    published = (columns for names, columns in LAYOUTS.items() if set(names.split()) <= set(header))
    known = next(published, None) or Columns(_by_common_names(header, where, gaps))
    columns = {role: name for role, name in known.columns.items() if role not in where or where[role] not in header}
    columns |= {role: name for role, name in where.items() if name in header}
    if not ("head" in columns and "tail" in columns) and not _describes(columns):
        return None
    constants = {**known.constants, **constants_of(columns, where)}
    return known._replace(columns=columns, constants={r: text for r, text in constants.items() if r not in columns})


def constants_of(columns: Mapping[str, str], where: Mapping[str, str]) -> dict[str, str]:
    """Options that hold for a whole file: of roles that no column fills."""
    return {role: where[role] for role in CONSTANTS if role in where and role not in columns}


def _by_common_names(header: Sequence[str], where: Mapping[str, str], gaps: Collection[str] = ()) -> dict[str, str]:
    """Columns by their common names: those of a table of edges, else those of a table of nodes."""
    names = {way(name): name for way in (_spelt, lambda name: name.strip().lower()) for name in reversed(header)}
    given = {role: name for role, name in where.items() if name in header}
    for roles in (_EDGES, _NODES):
        found = dict(given)
        for role, aliases in roles.items():
            free = [names[alias] for alias in aliases.split() if alias in names and names[alias] not in found.values()]
            if role in ("head", "relation", "tail"):
                free.sort(key=lambda name: name in gaps)
            if role not in given and free:
                found[role] = free[0]
        if roles is _EDGES and {"head", "tail"} <= found.keys():
            return found
    if "id" not in found and "key" in found:
        found["id"] = found["key"]
    return found if _describes(found) else {}


def _describes(columns: Mapping[str, str]) -> bool:
    return "id" in columns and (bool({"name", "kind"} & columns.keys()) or columns["id"] == ":id")


def unused(where: Mapping[str, str], used: set[str], seen: Mapping[Text, Sequence[Text]]) -> None:
    """Raises: UserError for an option that names a column which no file has."""
    for role, name in where.items():
        if role in OPTIONS and role not in used and seen:
            held = tuple(Message("graphs.columns.of-file", path=path, columns=own) for path, own in seen.items())
            raise UserError("graphs.columns.unknown", role=role, name=name, held=held)
