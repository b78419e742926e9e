"""How graphs are known by the names of files and columns, and what a user may say of their tables."""

from medeor.contracts import FileFacts
from medeor.formats.tables.facts import PARQUET

TEXT = (".tsv", ".csv", ".txt", ".sif", ".edgelist", ".tab", ".dict", ".nt", ".nq", ".gaf", ".hpoa")
LINES = (".jsonl", ".ndjson")
TABLES = (*PARQUET, ".xlsx", ".xls", *LINES)
_SHARED = (".tsv", ".csv", ".txt", ".tab")
"""Endings of text that is no graph as often."""

GRAPHS = FileFacts(
    endings=(
        ".obo",
        ".rrf",
        *(one for one in TEXT if one not in _SHARED),
        "train.txt",
        "valid.txt",
        "test.txt",
        "triples.txt",
    ),
    columns=("head", "relation", "metaedge", "x_index", "predicate"),
)

OPTIONS = (
    "head", "relation", "tail", "head_name", "tail_name", "head_kind", "tail_kind", "source", "licence", "release",
    "part", "id", "name", "kind", "mapping",
)  # fmt: skip
"""What `--option` may say of the tables of a graph."""
