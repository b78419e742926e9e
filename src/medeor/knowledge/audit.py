"""What can be wrong with a graph before training: facts that leak from one part into another (Toutanova and Chen, 2015;
Akrami et al., 2020), entities without training triples, licences that do not go together."""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from medeor.contracts import Finding, Message, listed
from medeor.formats.graphs.tables import PARTS
from medeor.knowledge.read.graph import Graph
from medeor.knowledge.read.triples import degrees, keys, pairs
from medeor.trust.audits.checks import found

ALIKE = 0.8
"""Share of the pairs of two relations that must be common for one to count as the other's copy or inverse."""
FEWEST = 10
"""Pairs below which a relation is too small to be called a copy."""
LEAK = 0.05
"""Share of held-out edges that may be implied by training before the results mean something else."""
NONE, TRAIN, VALIDATION, TEST = -1, 0, 1, 2
HUB = 0.01
"""The share of entities with most edges that are looked at as hubs."""
HELD = 0.5
"""Share of all edges that hubs may hold before they are a finding."""
IS_A = ("is_a", "isa", "is a", "subclass_of", "subclassof", "rdfs:subclassof", "instance_of")


def audit_graph(graph: Graph, parts: pl.Series | None = None) -> list[Finding]:
    """Every check of a graph beyond what its reader noticed. `cases` are rows of its edges, as text.

    Args:
        parts: train, validation or test of each edge (null: of none), by default what its source says. Without parts
            the checks across them are left out.
    """
    given = (graph.facts["part"] if parts is None else parts).cast(pl.Enum(PARTS))
    part = given.to_physical().cast(pl.Int8).fill_null(NONE).to_numpy()
    findings = [*_duplicates(graph, part), _self_loops(graph)]
    findings += [_spellings(graph.entities["id"], "id"), _spellings(graph.relations["name"], "relation")]
    copies = relation_pairs(graph, part == TRAIN if (part == TRAIN).any() else None)
    findings += [_relations(graph, copies, way) for way in ("inverse", "duplicate", "symmetric")]
    if (part == TRAIN).any() and (part > TRAIN).any():
        findings += [_implied(graph, copies, part), _untrained(graph, part)]
    return [*findings, _orphans(graph), _hubs(graph), _cycles(graph), _licences(graph)]


# --- edges that repeat others ----------------------------------------------------------------------------


def _duplicates(graph: Graph, part: np.ndarray) -> list[Finding]:
    """Edges that are there twice: within a part a matter of quality, across parts of leakage."""
    key = keys(graph.triples, len(graph.entities), len(graph.relations))
    edges = pl.DataFrame({"key": key, "part": part}).with_row_index("row")
    repeats = edges.filter(pl.col("key").is_duplicated())
    across = repeats.filter((pl.col("part") > TRAIN) & (pl.col("part").n_unique().over("key") > 1))
    again = repeats.filter(~pl.struct("key", "part").is_first_distinct())
    bad = Message("knowledge.audit.duplicates", count=again.height, all=len(graph))
    good = Message("knowledge.audit.no-duplicates")
    findings = [found("duplicate-edges", "quality", again["row"], bad, good)]
    if (part > TRAIN).any():
        bad = Message("knowledge.audit.across-parts", count=across.height)
        good = Message("knowledge.audit.not-across-parts")
        findings.append(found("duplicate-edges-across-parts", "leakage", across["row"], bad, good))
    return findings


def _self_loops(graph: Graph) -> Finding:
    rows = np.flatnonzero(graph.triples[:, 0] == graph.triples[:, 2])
    bad, good = Message("knowledge.audit.self-loops", count=len(rows)), Message("knowledge.audit.no-self-loops")
    return found("self-loops", "quality", pl.Series(rows), bad, good)


def _spellings(ids: pl.Series, what: str) -> Finding:
    """Identifiers that differ by case, width, blanks or punctuation alone: `MONDO:1` and `mondo_1`."""
    spelt = (
        ids.cast(pl.String)
        .str.normalize("NFKC")
        .str.to_lowercase()
        .str.replace_all(r"[\s_:\-]+", " ")
        .str.strip_chars()
    )
    table = pl.DataFrame({"id": ids.cast(pl.String), "spelt": spelt}).filter(spelt.is_duplicated() & (spelt != ""))
    groups = table.group_by("spelt").agg(pl.col("id").sort()).sort("spelt")
    shown = tuple(" = ".join(own) for own in groups["id"].head(3))
    bad = Message(f"knowledge.audit.{what}-spellings", count=groups.height, groups=shown)
    good = Message(f"knowledge.audit.no-{what}-spellings")
    return _judged(f"spellings-of-one-{what}", groups.height, bad, good)


def _judged(check: str, wrong: int, bad: Message, good: Message, cases: tuple[str, ...] = ()) -> Finding:
    """A check of quality that fails where anything is wrong."""
    return Finding(check, "quality", "fail" if wrong else "pass", bad if wrong else good, cases)


# --- relations that repeat others ------------------------------------------------------------------------


def relation_pairs(graph: Graph, rows: np.ndarray | None = None) -> pl.DataFrame:
    """Relations that say nearly the same: first, second, way (inverse, duplicate, symmetric), share_first and
    share_second (of the pairs of each that the other has too).

    Two relations are each other's inverse or duplicate where both shares are `ALIKE` or more; a relation is symmetric
    where that share of its own pairs is there the other way round. `rows` chooses the edges that are looked at."""
    triples = graph.triples if rows is None else graph.triples[rows]
    head, relation, tail = triples.T.astype(np.int64)
    size = len(graph.entities)
    head, tail, relation = (column[head != tail] for column in (head, tail, relation))
    keys = pl.Series((head * size + tail) * len(graph.relations) + relation).unique().sort().to_numpy()
    there, relation = np.divmod(keys, len(graph.relations))
    back = there % size * size + there // size
    edges = pl.DataFrame({"there": there, "relation": relation})
    count = edges.group_by("relation").len("pairs")
    twice = np.zeros(len(there), bool)
    twice[1:] = there[1:] == there[:-1]
    twice[:-1] |= twice[1:]
    # Only pairs that are there twice are joined: of most graphs, few.
    turned = pl.DataFrame({"there": back, "second": relation}).filter(_among(back, there))
    copied = edges.filter(pl.Series(twice))
    again = copied.rename({"relation": "second"})
    met = [
        one.join(other, on="there").group_by("relation", "second").len("common").with_columns(way=pl.lit(way))
        for one, other, way in ((edges, turned, "inverse"), (copied, again, "duplicate"))
    ]
    table = pl.concat(met).join(count, on="relation")
    table = table.join(count, left_on="second", right_on="relation", suffix="_second").with_columns(
        share_first=pl.col("common") / pl.col("pairs"), share_second=pl.col("common") / pl.col("pairs_second")
    )
    own = pl.col("relation") == pl.col("second")
    way = pl.when(own & (pl.col("way") == "inverse")).then(pl.lit("symmetric")).otherwise("way")
    alike = pl.min_horizontal("share_first", "share_second") >= ALIKE
    alike &= pl.min_horizontal("pairs", "pairs_second") >= FEWEST
    table = table.filter(alike & ~(own & (pl.col("way") == "duplicate"))).with_columns(way=way)
    names = [pl.col("relation").alias("first"), "second", "way", "share_first", "share_second"]
    return table.select(names).sort("way", "first", "second")


def _relations(graph: Graph, copies: pl.DataFrame, way: str) -> Finding:
    own = copies.filter((pl.col("way") == way) & (pl.col("first") <= pl.col("second")))
    name = graph.relations["name"]
    relations = [
        f"{name[first]} {share:.0%}"
        if way == "symmetric"
        else Message("knowledge.audit.pair", first=name[first], second=name[second], share=share)
        for first, second, _, share, _ in own.rows()
    ]
    bad = Message(f"knowledge.audit.{way}", count=own.height, relations=listed(relations, 5))
    return _judged(f"{way}-relations", own.height, bad, Message(f"knowledge.audit.no-{way}", share=ALIKE))


def _implied(graph: Graph, copies: pl.DataFrame, part: np.ndarray) -> Finding:
    """Held-out edges whose answer stands in training, as an inverse, a copy, or the other way round."""
    head, relation, tail = graph.triples.T.astype(np.int64)
    size, relations = len(graph.entities), len(graph.relations)
    train, held = part == TRAIN, np.flatnonzero(part > TRAIN)
    there = (head * size + tail) * relations + relation
    known = pl.Series(there[train]).implode()
    asked = pl.DataFrame({"row": held, "first": relation[held], "head": head[held], "tail": tail[held]})
    turned = pl.col("way") != "duplicate"
    start, end = pl.when(turned).then("tail").otherwise("head"), pl.when(turned).then("head").otherwise("tail")
    answers = asked.join(copies.cast({"first": pl.Int64, "second": pl.Int64}), on="first").with_columns(
        key=(start * size + end) * relations + pl.col("second")
    )
    rows = answers.filter(pl.col("key").is_in(known))["row"].unique().sort()
    # Toutanova and Chen: an edge of any relation between the two ends, either way, is a strong hint.
    ends = pairs(graph.triples, size)
    linked = _among(ends[held], ends[train]).to_numpy().mean()
    tested, tests = int((part[rows.to_numpy()] == TEST).sum()), int((part == TEST).sum())
    share = len(rows) / len(held)
    counts = {"tested": tested, "tests": tests, "validated": len(rows) - tested, "validations": len(held) - tests}
    message = Message("knowledge.audit.implied", **counts, share=share, limit=LEAK, linked=linked)
    cases = tuple(rows.cast(pl.String))
    # To infer it is what completion is for, and the rules of the baseline show how far that goes: it stops no study.
    return Finding("implied-by-inverse", "quality", "fail" if share > LEAK else "pass", message, cases)


# --- what cannot be trained ------------------------------------------------------------------------------


def _untrained(graph: Graph, part: np.ndarray) -> Finding:
    training = graph.triples[part == TRAIN]
    met = degrees(training, len(graph.entities)) > 0
    known = np.isin(graph.triples[:, 1], training[:, 1])
    held = part > TRAIN
    rows = np.flatnonzero(held & ~(met[graph.triples[:, [0, 2]]].all(1) & known))
    bad = Message("knowledge.audit.untrained", count=len(rows), all=int(held.sum()))
    return found("untrained-entities", "quality", pl.Series(rows), bad, Message("knowledge.audit.all-trained"))


def _orphans(graph: Graph) -> Finding:
    alone = np.flatnonzero(degrees(graph.triples, len(graph.entities)) == 0)
    names = listed(graph.entities["name"][alone], 3)
    bad = Message("knowledge.audit.orphans", count=len(alone), all=len(graph.entities), names=names)
    return _judged("orphans", len(alone), bad, Message("knowledge.audit.no-orphans"))


def _hubs(graph: Graph) -> Finding:
    degree = degrees(graph.triples, len(graph.entities))
    hubs = np.argsort(-degree, kind="stable")[: max(1, round(HUB * len(degree)))]
    is_hub = np.zeros(len(degree), bool)
    is_hub[hubs] = True
    share = is_hub[graph.triples[:, [0, 2]]].any(1).mean()
    most = {"name": graph.entities["name"][int(hubs[0])], "degree": int(degree[hubs[0]])}
    message = Message("knowledge.audit.hubs", count=len(hubs), all=len(degree), share=share, **most)
    return Finding("hubs", "quality", "fail" if share > HELD else "pass", message)


def _cycles(graph: Graph) -> Finding:
    """A hierarchy in which somebody is their own ancestor."""
    named = graph.relations.select(pl.col("name").str.to_lowercase().is_in(IS_A).arg_true()).to_series().to_numpy()
    rows = np.flatnonzero(np.isin(graph.triples[:, 1], named) & (graph.triples[:, 0] != graph.triples[:, 2]))
    # What has no parent left, or no child left, is in no circle.
    while len(rows):
        child, _, parent = graph.triples[rows].T
        kept = np.isin(parent, child) & np.isin(child, parent)
        if kept.all():
            break
        rows = rows[kept]
    cycle = " → ".join(graph.entities["name"][_circle(graph.triples[rows])]) if len(rows) else ""
    bad, good = Message("knowledge.audit.cycle", cycle=cycle), Message("knowledge.audit.no-cycle")
    return found("cyclic-hierarchy", "quality", pl.Series(rows), bad, good)


def _circle(triples: np.ndarray) -> list[int]:
    """One circle, its first entity again at the end, among edges each of whose parents has a parent."""
    up = dict(zip(triples[:, 0].tolist(), triples[:, 2].tolist()))
    walked = [next(iter(up))]
    while up[walked[-1]] not in walked:
        walked.append(up[walked[-1]])
    start = up[walked[-1]]
    return [*walked[walked.index(start) :], start]


# --- licences --------------------------------------------------------------------------------------------

_TERMS = {
    "non-commercial": r"\bnc\b|non.?commercial|academic|research use",
    "share-alike": r"\bsa\b|odbl|gpl|share.?alike|copyleft",
    "no-derivatives": r"\bnd\b|no.?deriv",
}


def _licences(graph: Graph) -> Finding:
    """Licences that bind the whole graph, or cannot be obeyed together."""
    counts = graph.facts["licence"].value_counts(sort=True).rows()
    known = [(name, count) for name, count in counts if name is not None]
    silent = sum(count for name, count in counts if name is None)
    if not known:
        return Finding("licences", "quality", "unknown", Message("knowledge.audit.no-licence"))
    terms = {name: [term for term, sign in _TERMS.items() if re.search(sign, name, re.IGNORECASE)] for name, _ in known}
    bound = [name for name in terms if terms[name]]
    problems = [
        Message(
            "knowledge.audit.bound",
            licence=name,
            edges=Message("knowledge.count.edge", count=count),
            terms=tuple(Message(f"knowledge.terms.{term}") for term in terms[name]),
        )
        for name, count in known
        if terms[name]
    ]
    alike = [name for name in bound if "share-alike" in terms[name]]
    if len(alike) > 1:
        problems.append(Message("knowledge.audit.share-alike", licences=tuple(alike)))
    licences = tuple(f"{name} {count}" for name, count in known)
    without = Message("knowledge.audit.without-licence", count=silent) if silent else ""
    if bound and len(known) > 1:
        why = tuple(problems)
        message = Message("knowledge.audit.several-licences", licences=licences, problems=why, without=without)
        rows = graph.facts.select(pl.col("licence").is_in(bound).arg_true()).to_series()
        return Finding("licences", "quality", "fail", message, tuple(rows.cast(pl.String)))
    message = Message("knowledge.audit.licences", licences=licences, without=without)
    return Finding("licences", "quality", "unknown" if silent else "pass", message)


def _among(values: np.ndarray, others: np.ndarray) -> pl.Series:
    """Which values are among the others. NumPy's own `isin` is many times slower on millions."""
    return pl.Series(values).is_in(pl.Series(others).implode())
