"""What can be wrong with a table of compounds before anything is fitted: rows that are no molecule, duplicates,
contradictory values, near copies across parts, columns in another unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from medeor.contracts import Cases, Finding, Message, Split, Target, Text, in_turn, listed
from medeor.formats.values.headings import read_heading
from medeor.formats.values.measured.units import is_unit
from medeor.learning.pool import in_chunks
from medeor.molecules.read.cases import endpoint_of
from medeor.molecules.read.endpoints import Endpoint, wrong_unit
from medeor.molecules.read.fingerprints import blocks, fingerprints
from medeor.molecules.read.measured import counted
from medeor.molecules.read.standardise import CHANGES, METAL, METALS, MIXTURE
from medeor.molecules.read.store import MoleculeStore
from medeor.targets import measured, of
from medeor.trust.audits.checks import Kind, divided, found, such_as
from medeor.trust.audits.copies import across_parts, rank, within_parts, yielding

NEAR = 0.9
"""Tanimoto similarity of ECFP4 from which two compounds are nearly one."""
MANY_NEAR = 0.05
"""Share of tested compounds that may have a near copy to learn from."""
CLIFFS = 0.02
"""Share of compounds on activity cliffs from which they are worth a warning."""
REPEATABLE = 0.5
"""Standard deviations by which two measurements of one compound may differ; on a log scale, three-fold."""
CLIFF = 2.0
"""Standard deviations between near copies that make a cliff; on a log scale, ten-fold."""
LARGE = 100
"""Atoms other than hydrogen beyond which a compound is unlike those that such models are made for."""
HEAVY_ATOM = r"\[[^\]]*\]|Cl|Br|[BCNOPSFIbcnops]"
"""One atom of a SMILES."""
COMPARED = 20_000
"""Rows whose compounds are compared with each other; of more, the first so many, and the findings say so."""
_READ = ("given", "place", "source", "content", "changes", "unread", "broken", "fold")
"""Columns of the case table that say what was read of a row."""


def audit_molecules(cases: Cases, split: Split) -> list[Finding]:
    """Every check of the compounds. `cases` as `read_cases` gives them, those that are broken among them."""
    table = divided(cases, split)
    good = table.filter(pl.col("broken").is_null())
    open_cases = good.filter(pl.col("in_part") != "test")
    mixtures = table.filter(pl.col("changes").list.contains(MIXTURE))
    large = good.filter(pl.col("smiles").str.count_matches(HEAVY_ATOM) > LARGE)
    unread = table.filter(pl.col("unread").list.len() > 0)
    implausible = _implausible(good, cases)
    return [
        _unreadable(table),
        _standardised(table),
        _failing("mixtures", mixtures, "mixtures", Message("molecules.audit.no-mixtures")),
        _metals(good),
        _failing("large-molecules", large, "large", Message("molecules.audit.none-large", atoms=LARGE), atoms=LARGE),
        _within_parts(good),
        _across_parts(good),
        _tautomers(good),
        _conflicting(good, cases),
        *_near(good, cases),
        _units(open_cases, cases),
        _failing("implausible-values", implausible, "implausible", Message("molecules.audit.all-plausible"), "labels"),
        _censored(good, cases),
        _failing("unread-values", unread, "unread", Message("molecules.audit.all-read"), "labels"),
    ]


def _failing(
    check: str, rows: pl.DataFrame, bad: str, good: Message, kind: Kind = "quality", **values: object
) -> Finding:
    """A check that these rows fail, with the first of them in its message."""
    values = {"count": rows.height, "such_as": such_as(rows, "place"), **values}
    return found(check, kind, rows, Message(f"molecules.audit.{bad}", **values), good)


def clean(cases: Cases, findings: Sequence[Finding], split: Split) -> pl.DataFrame:
    """The case table as a table of labels: structures in `smiles`, and a column `removed` that says why a case should
    go, null for those that stay. Rows that are no molecule go; so do all measurements of a compound that contradict
    each other; of other duplicates one stays, that of the part that is scored last, with the values of all (see
    `_together`)."""
    conflicting = [case for f in findings if f.check == "conflicting-labels" for case in f.cases]
    table = divided(cases, split).with_row_index("row")
    disputed = pl.col("case_id").is_in(conflicting)
    merged = [one for target in cases.targets for one in _together(target, table.columns)]
    usable = table.filter(pl.col("broken").is_null() & ~disputed).with_columns(one.over("smiles") for one in merged)
    kept = usable.filter(~yielding(usable, "smiles"))
    repeat = pl.col("broken").is_null() & ~disputed & ~pl.col("case_id").is_in(kept["case_id"].implode())
    reason = (
        pl.when(pl.col("broken").is_not_null())
        .then(pl.col("broken"))
        .when(disputed)
        .then(pl.lit(str(Message("molecules.removed.contradictory"))))
        .when(repeat)
        .then(pl.lit(str(Message("molecules.removed.repeated"))))
    )
    table = table.update(kept.select("row", *(one.meta.output_name() for one in merged)), on="row")
    # A unit that the heading does not name, or not the converted one, is written after each value.
    assumed = cases.store("molecules", MoleculeStore).assumed
    for target in cases.targets:
        if is_unit(target.unit) and target.unit != read_heading(target.name).measured_in and target.name not in assumed:
            table = table.with_columns(pl.col(target.name).cast(pl.String) + f" {target.unit}")
    return table.with_columns(removed=reason).drop("row", "in_part", *_READ, strict=False)


def _together(target: Target, columns: Sequence[str]) -> list[pl.Expr]:
    """The value of a target over the rows of one compound, under the name of its column and, where that is among
    `columns`, of its limits: the mean of exact values (geometric for a log scale), else the tightest limit, a lower
    before an upper one; of classes the most frequent."""
    known = pl.col(target.name)
    if of(target).classes:
        return [known.drop_nulls().mode().min().alias(target.name)]
    side = _side(target, columns)
    exact = pl.when(side == 0).then(known)
    mean = 10 ** exact.log10().mean() if of(target).logarithmic else exact.mean()
    mean = pl.when(exact.min() == exact.max()).then(exact.min()).otherwise(mean)  # Repeats leave no rounding error.
    above, below = pl.when(side > 0).then(known).max(), pl.when(side < 0).then(known).min()
    value = pl.coalesce(mean, above, below).alias(target.name)
    if target.limit not in columns:
        return [value]
    codes = ((mean, 0), (above, 1), (below, -1))
    side = pl.coalesce(pl.when(one.is_not_null()).then(pl.lit(code, pl.Int8)) for one, code in codes)
    return [value, side.alias(target.limit)]


def _side(target: Target, columns: Sequence[str]) -> pl.Expr:
    """On which side of its value the truth of each row lies (see `Target.limit`); 0 where unknown."""
    return pl.col(target.limit).fill_null(0) if target.limit in columns else pl.lit(0)


def _bounds(target: Target, columns: Sequence[str]) -> tuple[pl.Expr, pl.Expr]:
    """The least and the greatest number that each row leaves possible, for a log scale their log10; null where it is
    not known."""
    known, side = pl.col(target.name).cast(pl.Float64), _side(target, columns)
    known = known.log10() if of(target).logarithmic else known
    low = pl.when((side < 0) & known.is_not_null()).then(-np.inf).otherwise(known)
    return low, pl.when((side > 0) & known.is_not_null()).then(np.inf).otherwise(known)


# --- structures ------------------------------------------------------------------------------------------


def _unreadable(table: pl.DataFrame) -> Finding:
    bad = table.filter(pl.col("smiles").is_null())
    rows = bad.select("place", problem="broken").iter_rows(named=True)
    first = listed((Message("molecules.audit.at", **row) for row in rows), 4)
    text = Message("molecules.audit.no-molecule", count=bad.height, total=table.height, first=first)
    return found("unreadable-molecules", "quality", bad, text, Message("molecules.audit.molecules", count=table.height))


def _standardised(table: pl.DataFrame) -> Finding:
    counts = dict(table["changes"].explode().drop_nulls().value_counts().iter_rows())
    key = "molecules.audit.standardised" if counts else "molecules.audit.standard"
    changes = counted((change, counts[change]) for change in CHANGES if change in counts)
    return Finding("standardised", "quality", "pass", Message(key, changes=changes))


def _metals(table: pl.DataFrame) -> Finding:
    metal = pl.col("smiles").map_elements(lambda text: METALS.search(text) is not None, return_dtype=pl.Boolean)
    rows = table.filter(metal | pl.col("changes").list.contains(METAL))
    lost = rows.filter(pl.col("changes").list.contains(METAL)).height
    return _failing("metal-complexes", rows, "metals", Message("molecules.audit.no-metals"), lost=lost)


# --- copies ----------------------------------------------------------------------------------------------


def _within_parts(table: pl.DataFrame) -> Finding:
    copies = within_parts(table, "smiles")
    more = copies.height - copies.select(pl.struct("smiles", "in_part").n_unique()).item()
    compounds = Message("common.count.compound", count=copies["smiles"].n_unique())
    text = Message("molecules.audit.repeats", count=more, compounds=compounds)
    return found("duplicates-within-parts", "quality", copies, text, Message("molecules.audit.no-repeats"))


def _across_parts(table: pl.DataFrame) -> Finding:
    """The same compound, stereochemistry aside, in two parts."""
    copies = across_parts(table, "content")
    exact = copies.filter(pl.col("in_part").n_unique().over("smiles") > 1)["smiles"].n_unique()
    text = Message("molecules.audit.two-parts", count=copies["content"].n_unique(), exact=exact)
    return found("duplicates-across-parts", "leakage", copies, text, Message("molecules.audit.one-part"))


def _tautomers(table: pl.DataFrame) -> Finding:
    """Compounds that are in another part as another tautomer."""
    compounds = table.unique("content", maintain_order=True).head(COMPARED)["content"]
    hashes = [one for chunk in in_chunks(_without_tautomers, compounds.to_list()) for one in chunk]
    known = pl.DataFrame({"content": compounds, "tautomers": pl.Series(hashes, dtype=pl.String)})
    joined = table.join(known, on="content", how="inner", maintain_order="left")
    forms, parts = (pl.col(name).n_unique().over("tautomers") > 1 for name in ("content", "in_part"))
    rows = joined.filter(forms & parts).sort("tautomers", maintain_order=True)
    count, none = rows["tautomers"].n_unique(), Message("molecules.audit.no-tautomers")
    return _failing("tautomers-across-parts", rows, "tautomers", none, count=count)


def _without_tautomers(texts: Sequence[str | None]) -> list[str]:
    """What all tautomers of each molecule share (RDKit's HetAtomTautomer hash)."""
    from rdkit import Chem
    from rdkit.Chem import rdMolHash

    kind = rdMolHash.HashFunction.HetAtomTautomer
    return [rdMolHash.MolHash(Chem.MolFromSmiles(text), kind) for text in texts if text]


def _conflicting(table: pl.DataFrame, cases: Cases) -> Finding:
    check = "conflicting-labels"
    copies = table.filter(pl.col("smiles").is_duplicated())
    if not cases.targets or copies.is_empty():
        text = Message("molecules.audit.measured-once")
        return Finding(check, "labels", "pass" if cases.targets else "unknown", text)
    disputed = [
        _spread(target, table.columns).over("smiles") > _tolerance(table, target, cases, REPEATABLE, 3.0)
        for target in cases.targets
    ]
    contradictory = copies.filter(pl.any_horizontal(disputed)).sort("smiles", maintain_order=True)
    count, repeated = contradictory["smiles"].n_unique(), copies["smiles"].n_unique()
    bad = Message("molecules.audit.contradictory", count=count, repeated=repeated)
    return found(check, "labels", contradictory, bad, Message("molecules.audit.agreeing", count=repeated))


def _spread(target: Target, columns: Sequence[str]) -> pl.Expr:
    """The largest distance between measurements of one target: two numbers, a number and a limit that excludes it, or
    two limits that exclude each other; 0 or less where one number satisfies all."""
    low, high = _bounds(target, columns)
    return (low.max() - high.min()).fill_null(0)


def _tolerance(table: pl.DataFrame, target: Target, cases: Cases, deviations: float, fold: float) -> float:
    """How much two measurements may differ, on the scale of `_bounds`."""
    if of(target).classes:
        return 0.99
    endpoint = endpoint_of(target, cases)
    if of(target).logarithmic or (endpoint is not None and endpoint.scale == "log10"):
        return float(np.log10(fold))
    return deviations * float(table[target.name].std() or 0.0)  # type: ignore[arg-type]


def _near(good: pl.DataFrame, cases: Cases) -> list[Finding]:
    """Near copies across parts, and, among the cases to learn from, activity cliffs."""
    some = good.head(COMPARED)
    open_cases = some.filter(pl.col("in_part") != "test")
    distinct = some["smiles"].unique(maintain_order=True)
    prints = fingerprints(distinct.to_list())
    place = dict(zip(distinct, range(len(distinct))))
    pairs = _pairs(prints)
    findings = [_near_across(some, pairs, place), _cliffs(open_cases, pairs, place, cases)]
    if len(good) == len(some):
        return findings
    rows = {"compared": len(some), "rest": len(good) - len(some)}
    return [replace(one, message=Message("molecules.audit.compared", text=one.message, **rows)) for one in findings]


def _pairs(prints: np.ndarray) -> np.ndarray:
    """Pairs of rows (smaller first) at least `NEAR` alike both in which substructures they have and in how many of
    each (a chain and a longer one have the same), shape (pairs, 2)."""
    alike_pairs = [
        np.column_stack([rows + start, others])
        for start, alike in blocks(prints, prints)
        for rows, others in [np.nonzero(alike >= NEAR)]
    ]
    pairs = np.concatenate(alike_pairs) if alike_pairs else np.zeros((0, 2), np.int64)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    one, other = prints[pairs[:, 0]], prints[pairs[:, 1]]
    common, union = (both(one, other).sum(axis=1, dtype=np.int64) for both in (np.minimum, np.maximum))
    return pairs[common >= NEAR * union]


def _near_across(table: pl.DataFrame, pairs: np.ndarray, place: dict[str, int]) -> Finding:
    check = "near-duplicates-across-parts"
    highest = np.full(len(place), -1)
    rows = table["smiles"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    np.maximum.at(highest, rows, table.select(rank().clip(0)).to_series().to_numpy())
    if highest.max(initial=0) == 0:
        return Finding(check, "quality", "unknown", Message("molecules.audit.one-compared"))
    crossing = pairs[highest[pairs[:, 0]] != highest[pairs[:, 1]]]
    tested = np.where(highest[crossing[:, 0]] > highest[crossing[:, 1]], crossing[:, 0], crossing[:, 1])
    held = int(np.count_nonzero(highest > 0))
    alike = len(np.unique(tested))
    text = Message("molecules.audit.near", count=alike, held=held, near=NEAR)
    concerned = tuple(table.filter(pl.Series(np.isin(rows, tested)))["case_id"])
    if alike > MANY_NEAR * held:
        return Finding(check, "quality", "fail", Message("molecules.audit.many-near", near=text), concerned)
    return Finding(check, "quality", "pass", text, concerned)


def _cliffs(table: pl.DataFrame, pairs: np.ndarray, place: dict[str, int], cases: Cases) -> Finding:
    """Pairs of near copies with far different values, one after another. The values of a compound are averaged; one of
    which limits alone are known differs by what they leave no doubt of."""
    check = "activity-cliffs"
    by_compound = table.group_by("smiles").agg(
        pl.col("case_id").first(), *(_range(target, table.columns) for target in cases.targets)
    )
    by_compound = by_compound.filter(pl.col("smiles").is_in(list(place)))
    row = np.full(len(place), -1)
    row[[place[smiles] for smiles in by_compound["smiles"]]] = np.arange(by_compound.height)
    both = row[pairs]
    both = both[(both >= 0).all(axis=1)]
    cliff = np.zeros(len(both), bool)
    for target in cases.targets:
        low, high = (by_compound[target.name].struct[end].to_numpy() for end in ("low", "high"))
        bound = _tolerance(table, target, cases, CLIFF, 10.0)
        one, other = both.T
        cliff |= np.fmax(low[one] - high[other], low[other] - high[one]) > bound
    concerned = by_compound["case_id"].to_numpy()[both[cliff]].ravel()
    share = len(set(concerned)) / max(1, table.height)
    text = Message("molecules.audit.cliffs", count=int(cliff.sum()), pairs=len(both))
    return Finding(check, "labels", "fail" if share > CLIFFS else "pass", text, tuple(concerned.tolist()))


def _range(target: Target, columns: Sequence[str]) -> pl.Expr:
    """The mean of a compound's exact values as `low` and `high`, else the numbers between its limits, on the scale of
    `_bounds`: a struct under the target's name."""
    low, high = _bounds(target, columns)
    exact = pl.when(low == high).then(low).mean()
    ends = pl.coalesce(exact, low.max()).alias("low"), pl.coalesce(exact, high.min()).alias("high")
    return pl.struct(*ends).alias(target.name)


# --- values ----------------------------------------------------------------------------------------------


def _units(table: pl.DataFrame, cases: Cases) -> Finding:
    store = cases.store("molecules", MoleculeStore)
    wrong: list[Text] = [*store.mixed]
    unknown, without_range = [], []
    for target in measured(cases.targets):
        endpoint = endpoint_of(target, cases)
        if endpoint is None and target.unit:
            without_range.append(Message("molecules.unit.of-target", target=target.name, unit=target.unit))
        elif endpoint is None:
            unknown.append(target.name)
        elif why := wrong_unit(table[target.name].drop_nulls().to_numpy(), endpoint):
            wrong.append(_of_endpoint("molecules.unit.wrong", target.name, endpoint, why))
    if wrong:
        return Finding("units", "quality", "fail", in_turn(wrong))
    unstated = [Message("molecules.unit.unknown", targets=unknown)] if unknown else []
    unstated += [_of_endpoint("molecules.unit.assumed", name, store.endpoints[name]) for name in store.assumed]
    if unstated:
        return Finding("units", "quality", "unknown", in_turn(unstated))
    key = "molecules.unit.no-range" if without_range else "molecules.unit.plausible"
    return Finding("units", "quality", "pass", Message(key, targets=without_range))


def _of_endpoint(key: str, target: str, endpoint: Endpoint, why: Text = "") -> Message:
    return Message(key, target=target, title=endpoint.title, unit=endpoint.measured_in, why=why)


def _implausible(table: pl.DataFrame, cases: Cases) -> pl.DataFrame:
    outside = [pl.lit(False)]
    for target in measured(cases.targets):
        if (endpoint := endpoint_of(target, cases)) is not None:
            value = pl.col(target.name)
            outside.append(((value < endpoint.low) | (value > endpoint.high)).fill_null(False))
    return table.filter(pl.any_horizontal(outside))


def _censored(table: pl.DataFrame, cases: Cases) -> Finding:
    censored = []
    for target in cases.targets:
        if target.limit in table.columns:
            sides = table[target.limit].drop_nulls()
            counts = {"above": int((sides == 1).sum()), "below": int((sides == -1).sum()), "total": len(sides)}
            censored.append(Message("molecules.audit.limits", target=target.name, **counts))
    text = Message("molecules.audit.censored" if censored else "molecules.audit.uncensored", limits=censored)
    return Finding("censored-values", "labels", "pass", text)
