"""Finding entities and relations by what people call them: identifier, name or synonym, in English or Chinese."""

from __future__ import annotations

import difflib
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

from medeor.contracts import Message, Text, UserError
from medeor.knowledge.read.graph import Graph
from medeor.knowledge.read.identifiers import normalise

_CANDIDATES = 200
"""Names, of all, that are compared letter by letter with one that was not found."""
_known: WeakKeyDictionary[Graph, pl.DataFrame] = WeakKeyDictionary()


def spelt(text: pl.Expr) -> pl.Expr:
    """Names as they are compared: without case, width (ＡＢＣ is ABC) and punctuation, and in Chinese without spaces.
    Traditional and simplified characters stay distinct, as the sources give them."""
    plain = text.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"['’]", "")
    plain = plain.str.replace_all(r"[\s\p{P}\p{S}]+", " ").str.strip_chars()
    return pl.when(plain.str.contains(r"\p{Han}")).then(plain.str.replace_all(" ", "", literal=True)).otherwise(plain)


def find(graph: Graph, text: str) -> np.ndarray:
    """Rows of `graph.entities` that `text` means: those with this identifier, else this name, else this synonym, else
    this identifier without its prefix. Usually one; several where a name is shared; none where nothing is called so.

    >>> find(graph, "二甲双胍")
    array([1204], dtype=int32)
    """
    spellings = _spellings(graph)
    own = pl.select(spelt(pl.lit(text))).item()
    canonical = pl.select(spelt(pl.lit(normalise(pl.Series([text]))["id"][0]))).item()
    met = spellings.filter(pl.col("spelling").is_in([own, canonical]) & (pl.col("spelling") != ""))
    best = met.filter(pl.col("rank") == pl.col("rank").min())
    return best["entity"].unique().sort().to_numpy()


def near(graph: Graph, text: str, most: int = 3) -> list[str]:
    """Names of entities that are spelt nearly so, the nearest first."""
    names = pl.concat([graph.entities["name"], graph.synonyms["name"]]).unique(maintain_order=True)
    return _near(names, text, most)


def entity(graph: Graph, text: str) -> int:
    """The one entity that `text` means. Raises: UserError with what is near where there is none, and with the
    identifiers to choose from where there are several."""
    found = find(graph, text)
    if len(found) == 1:
        return int(found[0])
    if not len(found):
        raise UserError("knowledge.names.no-entity", name=text, near=_suggested(near(graph, text)))
    several = tuple(f"{id_} ({kind or name})" for id_, name, kind in graph.entities[found[:5]].rows())
    raise UserError("knowledge.names.ambiguous", name=text, count=len(found), entities=several)


def relation(graph: Graph, text: str) -> int:
    """The relation of this name. Raises: UserError with those that are near."""
    names = graph.relations["name"]
    exact = (names == text).arg_true()
    if not len(exact):
        exact = graph.relations.select((spelt(pl.col("name")) == spelt(pl.lit(text))).arg_true()).to_series()
    if len(exact):
        return int(exact[0])
    known = Message("knowledge.names.all", names=tuple(names)) if len(names) <= 12 else None
    raise UserError("knowledge.names.no-relation", name=text, near=known or _suggested(_near(names, text, 3)))


def _suggested(names: list[str]) -> Text:
    return Message("knowledge.names.near", names=tuple(names)) if names else ""


def _spellings(graph: Graph) -> pl.DataFrame:
    """spelling, entity, rank: 0 identifier, 1 name, 2 synonym, 3 identifier without its prefix."""
    if graph not in _known:
        own = graph.entities.with_row_index("entity").with_columns(pl.col("entity").cast(pl.Int32))
        canonical = normalise(own["id"])["id"]
        bare = pl.col("id").str.extract(r":([^:]+)$")
        every = [
            own.select("entity", name="id", rank=0),
            own.select("entity", name=canonical, rank=0),
            own.select("entity", "name", rank=1),
            graph.synonyms.select("entity", "name", rank=2),
            own.select("entity", name=bare, rank=3),
        ]
        table = pl.concat(every).drop_nulls("name")
        # Alzheimer's disease is also Alzheimer disease.
        owned = table.filter(pl.col("name").str.contains(r"['’]s\b"))
        table = pl.concat([table, owned.with_columns(pl.col("name").str.replace_all(r"['’]s\b", ""))])
        _known[graph] = table.select(spelt(pl.col("name")).alias("spelling"), "entity", "rank").unique()
    return _known[graph]


def _near(names: pl.Series, text: str, most: int) -> list[str]:
    """By shared pairs of letters first, for there may be a million names; then letter by letter."""
    own = pl.select(spelt(pl.lit(text))).item()
    pairs = {own[i : i + 2] for i in range(max(len(own) - 1, 1))}
    table = names.to_frame("name").with_columns(spelt(pl.col("name")).alias("spelling"))
    shared = pl.sum_horizontal(pl.col("spelling").str.contains(pair, literal=True).cast(pl.Int32) for pair in pairs)
    length = (pl.col("spelling").str.len_chars().cast(pl.Int32) - len(own)).abs()
    alike = table.with_columns(shared=shared, length=length).filter(pl.col("shared") > 0)
    alike = alike.sort(["shared", "length", "spelling"], descending=[True, False, False]).head(_CANDIDATES)
    name = dict(zip(alike["spelling"], alike["name"]))
    return [name[spelling] for spelling in difflib.get_close_matches(own, name, most, 0.5)]
