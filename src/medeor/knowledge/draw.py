"""A graph for other eyes and programs: triples as a table, GraphML, and a picture of what lies around an entity."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import polars as pl

from medeor.contracts import Answering, Text, UserError
from medeor.figures import Drawing
from medeor.files import replacing, writable, write_text
from medeor.knowledge.model.fitted import kept_graph, networks_of
from medeor.knowledge.read import names
from medeor.knowledge.read.graph import Graph
from medeor.knowledge.read.triples import degrees

ROWS = 500_000
"""Edges that are turned into text at once."""
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
"""By kind; Tol's bright scale, which the colour-blind can distinguish (Paul Tol, SRON/EPS/TN/09-002)."""
UNPRINTED = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{FFFE}\x{FFFF}]"
"""Characters that XML 1.0 does not know."""
MOST_NAMED = 60
"""Entities beyond which a picture is a thicket."""


def write(asked: Answering, path: Path, options: Mapping[str, str]) -> str:
    """The graph of a run as `export` writes it, or a picture of it (`.svg`): of what lies around the entity that
    the option `around` names; without one the whole of a small graph, or what lies around the entity with most edges.

    Raises: UserError for a bundle, which carries no graph, an unknown entity, or any other ending."""
    about = options.get("around", "")
    graph = kept_graph(asked.run, networks_of(asked.model)[1])
    if graph is None:
        raise UserError("knowledge.draw.no-graph")
    if path.suffix != ".svg":
        if about:
            raise UserError("knowledge.draw.around")
        export(graph, path)
        return ""
    degree = degrees(graph.triples, len(graph.entities))
    if not about and np.count_nonzero(degree) <= MOST_NAMED:
        drawn = picture(graph, np.arange(len(graph)), "")
    else:
        entity = names.entity(graph, about) if about else int(degree.argmax())
        drawn = picture(graph, around(graph, entity), "", [entity])
    write_text(path, drawn.svg)
    return ""


def export(graph: Graph, path: Path) -> None:
    """Writes a graph as a table of triples (`.tsv`, `.tsv.gz`), which `read_graph` reads back with names, kinds and
    facts, or as GraphML (`.graphml`, `.graphml.gz`).

    Raises: UserError for any other ending, or where it cannot be written."""
    path = Path(path)
    kind = Path(path.name.removesuffix(".gz")).suffix
    if kind not in (".tsv", ".graphml"):
        raise UserError("knowledge.draw.unknown-ending", path=path)
    writable(path)
    opened = gzip.open if path.suffix == ".gz" else open
    with replacing(path) as new, opened(new, "wb") as file:
        for text in _tsv(graph) if kind == ".tsv" else _graphml(graph):
            file.write(text)


def edges(graph: Graph, rows: np.ndarray | slice = slice(None)) -> pl.DataFrame:
    """Edges in words: head, head_name, head_kind, relation, tail, tail_name, tail_kind, then their facts."""
    head, relation, tail = graph.triples[rows].T
    ends = [
        graph.entities[place].select(
            pl.col("id").alias(side), pl.col("name").alias(f"{side}_name"), pl.col("kind").alias(f"{side}_kind")
        )
        for side, place in (("head", head), ("tail", tail))
    ]
    relations = graph.relations[relation].rename({"name": "relation"})
    return pl.concat([ends[0], relations, ends[1], graph.facts[rows]], how="horizontal")


def _chunks(graph: Graph) -> Iterator[pl.DataFrame]:
    """All edges in words, as many at once as are turned into text, without facts that no edge has."""
    empty = [name for name in graph.facts.columns if graph.facts[name].null_count() == len(graph)]
    for start in range(0, len(graph), ROWS):
        yield edges(graph, slice(start, start + ROWS)).drop(empty)


def _tsv(graph: Graph) -> Iterator[bytes]:
    for number, table in enumerate(_chunks(graph)):
        text = io.BytesIO()
        table.write_csv(text, separator="\t", include_header=not number)
        yield text.getvalue()


def _graphml(graph: Graph) -> Iterator[bytes]:
    """GraphML 1.0 (graphml.graphdrawing.org): entities n0, n1, … with id, name and kind; edges with their facts."""
    facts = [name for name in graph.facts.columns if graph.facts[name].null_count() < len(graph)]
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    for what, names_of in (("node", ("id", "name", "kind")), ("edge", ("relation", *facts))):
        for number, name in enumerate(names_of):
            plain = escape(_printed(name), {'"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"})
            head += f'<key id="{_key(what, name, number)}" for="{what}" attr.name="{plain}" attr.type="string"/>\n'
    yield f'{head}<graph edgedefault="directed">\n'.encode()
    opening = pl.format('<node id="n{}">', pl.int_range(pl.len()))
    yield _elements(graph.entities, opening, "node", ("id", "name", "kind"))
    for number, table in enumerate(_chunks(graph)):
        start, _, end = (pl.lit(pl.Series(ends)) for ends in graph.triples[number * ROWS : (number + 1) * ROWS].T)
        opening = pl.format('<edge source="n{}" target="n{}">', start, end)
        yield _elements(table, opening, "edge", ("relation", *facts))
    yield b"</graph>\n</graphml>\n"


def _key(what: str, name: str, number: int) -> str:
    """What GraphML calls a column: by its name, where that is plain."""
    return f"{what}.{name}" if re.fullmatch(r"[A-Za-z_][\w .-]*", name) else f"{what}{number}"


def _printed(text: str) -> str:
    return re.sub(UNPRINTED.replace("\\x{", "\\u").replace("}", ""), "", text)


def _elements(table: pl.DataFrame, opening: pl.Expr, what: str, columns: Sequence[str]) -> bytes:
    text = [
        pl.col(name).cast(pl.String).str.replace_many(["&", "<", ">", "\r"], ["&amp;", "&lt;", "&gt;", "&#13;"])
        .str.replace_all(UNPRINTED, "")
        for name in columns
    ]  # fmt: skip
    data = [
        pl.format('<data key="{}">{}</data>', pl.lit(_key(what, name, number)), value).fill_null("")
        for number, (name, value) in enumerate(zip(columns, text))
    ]
    lines = table.select(pl.concat_str(opening, *data, pl.lit(f"</{what}>\n"))).to_series()
    return "".join(lines).encode()


# --- a picture -------------------------------------------------------------------------------------------


def around(graph: Graph, entity: int, most: int = 24) -> np.ndarray:
    """Rows of the edges at an entity, at most `most`, those to rarer neighbours: what touches everything says least."""
    rows = np.flatnonzero((graph.triples[:, 0] == entity) | (graph.triples[:, 2] == entity))
    other = np.where(graph.triples[rows, 0] == entity, graph.triples[rows, 2], graph.triples[rows, 0])
    degree = degrees(graph.triples, len(graph.entities))[other]
    return np.sort(rows[np.argsort(degree, kind="stable")[:most]])


def picture(graph: Graph, rows: np.ndarray, title: Text, marked: Sequence[int] = (), caption: Text = "") -> Drawing:
    """Some edges as a drawing: entities coloured by kind, `marked` ones ringed, an arrow a relation.

    Raises: ValueError for more than `MOST_NAMED` entities."""
    triples = graph.triples[rows]
    nodes = np.unique(triples[:, [0, 2]])
    if len(nodes) > MOST_NAMED:
        raise ValueError(f"a picture of {len(nodes)} entities cannot be read; choose at most {MOST_NAMED}")
    ends = np.searchsorted(nodes, triples[:, [0, 2]])
    side = 160 + 90 * np.sqrt(len(nodes))
    width, height = 1.6 * side, side
    at = _layout(len(nodes), ends) * [width - 220, height - 70] + [110, 30]
    kinds = graph.entities["kind"][nodes].fill_null("").to_list()
    order = sorted(set(kinds))
    colour = {kind: COLOURS[min(i, len(COLOURS) - 1)] for i, kind in enumerate(order)}
    parts = [_arrow(at[start], at[end]) for start, end in ends if start != end]
    relations = graph.relations["name"][triples[:, 1]].to_list()
    for pair in sorted({(start, end) for start, end in ends.tolist()}):
        names_of = sorted({name for name, (start, end) in zip(relations, ends.tolist()) if (start, end) == pair})
        parts.append(_text(at[list(pair)].mean(0) - np.array([0, 3]), ", ".join(names_of), 9, ' fill-opacity="0.75"'))
    for node, place, kind in zip(nodes.tolist(), at, kinds):
        ring = ' stroke="currentColor" stroke-width="3"' if node in marked else ""
        parts.append(f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="8" fill="{colour[kind]}"{ring}/>')
        parts.append(_text(place + np.array([0, 21]), graph.entities["name"][node], 12))
    for i, kind in enumerate(kind for kind in order if kind):
        parts.append(f'<circle cx="{14 + 110 * i}" cy="{height - 10:.0f}" r="6" fill="{colour[kind]}"/>')
        parts.append(_text(np.array([24 + 110 * i, height - 6]), kind, 11, ' text-anchor="start"'))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}">{"".join(parts)}</svg>'
    return Drawing(title, svg, caption)


def _layout(nodes: int, ends: np.ndarray) -> np.ndarray:
    """Places between 0 and 1, shape (nodes, 2): forces of springs and charges (Fruchterman and Reingold, 1991), from a
    circle, so that the same edges always look the same."""
    turn = 2 * np.pi * np.arange(nodes) / nodes
    place = np.column_stack([np.cos(turn), np.sin(turn)])
    ideal = 2 / np.sqrt(nodes)
    joined = np.zeros((nodes, nodes), bool)
    joined[ends[:, 0], ends[:, 1]] = joined[ends[:, 1], ends[:, 0]] = True
    for step in np.geomspace(0.2, 0.002, 200):
        between = place[:, None] - place[None]
        distance = np.linalg.norm(between, axis=2).clip(1e-3)[..., None]
        force = (between / distance * ideal**2 / distance).sum(1)
        force -= np.where(joined[..., None], between * distance / ideal, 0).sum(1)
        length = np.linalg.norm(force, axis=1, keepdims=True).clip(1e-9)
        place += force / length * np.minimum(length, step)
    low, high = place.min(0), place.max(0)
    return (place - low) / (high - low).clip(1e-9)


def _arrow(start: np.ndarray, end: np.ndarray) -> str:
    """A line that leaves both circles free, with a head."""
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
    a, b = start + 10 * along, end - 11 * along
    across = np.array([-along[1], along[0]])
    left, right = b - 7 * along + 3 * across, b - 7 * along - 3 * across
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (b, left, right))
    line = f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"'
    tip = f'<polygon points="{points}" fill="currentColor" fill-opacity="0.6"/>'
    return f'{line} stroke="currentColor" stroke-opacity="0.45"/>{tip}'


def _text(place: np.ndarray, text: str, size: int, more: str = "") -> str:
    text = _printed(text)
    short = text if len(text) <= 34 else f"{text[:33]}…"
    anchor = "" if "text-anchor" in more else ' text-anchor="middle"'
    return (
        f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" font-size="{size}" fill="currentColor"{anchor}{more}>'
        f"{escape(short)}</text>"
    )
