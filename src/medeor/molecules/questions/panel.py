"""What is told of single compounds: every endpoint with its unit, interval, verdict and direction, the nearest measured
analogues, and a drawing of the atoms that speak for the answer where that can be believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from medeor.contracts import Answering, Cases, Explanation, Model, Predictions, Result, Run, Target
from medeor.figures import Drawing, Figure, Table
from medeor.molecules.draw import LARGEST, draw
from medeor.molecules.model.domain import ApplicabilityDomain, analogues, domain_of, measured_of
from medeor.molecules.model.explain import atom_names, groups
from medeor.molecules.read.cases import endpoint_of
from medeor.targets import by_item, of
from medeor.targets import items as items_of
from medeor.trust import faithfulness

DRAWN = 4
"""Endpoints of a compound whose reasons are drawn."""
NAMED = 8
"""Groups of atoms that are listed."""

_SIMILAR = "Tanimoto of ECFP4; only compounds that taught the model."
_BARE = "This bundle carries no training compounds; ask the run folder, or train with --set analogues=true."
_UNTOLD = "its reasons are not shown"


def case_page(
    asked: Answering, cases: Cases, predictions: Predictions, withheld: Mapping[str, str] | None
) -> Iterable[Figure]:
    """Of each compound the endpoints and the nearest measured compounds; unless `withheld` is None also the reasons for
    the first `DRAWN` endpoints, as far as they can be believed and are not withheld."""
    model, run = asked.model, asked.run
    explained = [] if withheld is None else _explained(cases, model, run, withheld)
    domain = domain_of(model)
    measured = measured_of(domain, run)
    items = by_item(cases.targets)
    usable = cases.usable
    for case in cases.table.iter_rows(named=True):
        title = case["smiles"] or case["given"] or "a row without a structure"
        if case.get("broken"):
            yield Table(title, ("", ""), (), f"Not predicted: {case['broken']}.")
            continue
        own = predictions.table.filter(pl.col("case_id") == case["case_id"])
        rows = tuple(_row(one, items[one["item"]], cases) for one in own.iter_rows(named=True))
        yield _without_empty(Table(title, _COLUMNS, rows, _said(case, own, items)))
        if domain is not None and measured is not None:
            yield _nearest(domain, usable.where(pl.col("case_id") == case["case_id"]), measured)
        elif domain is not None:
            yield Table("Nearest measured compounds", ("similarity", "compound"), (), _BARE)
        for reason in explained:
            if reason.case_id == case["case_id"]:
                yield from _reason(case["smiles"], reason, items[reason.item])


def _explained(cases: Cases, model: Model, run: Run, withheld: Mapping[str, str]) -> list[Explanation]:
    """The reasons for the first endpoints of each compound, each by the method that was the most faithful."""
    usable = cases.usable
    items = items_of(cases.targets)[:DRAWN]
    each = [faithfulness.examine(model, usable, [item] * len(usable), run, withheld).cases for item in items]
    return _best([one for found in each for one in found])


def reasons(result: Result) -> Iterable[Figure]:
    """The explained compounds of a study, each with what was predicted and what was measured."""
    items = by_item(result.cases.targets)
    values = {
        (case_id, item): value
        for case_id, item, value in result.predictions.table.select("case_id", "item", "value").iter_rows()
    }
    rows = {row["case_id"]: row for row in result.cases.table.iter_rows(named=True)}
    for reason in _best(result.explanations.cases):
        target, case = items[reason.item], rows[reason.case_id]
        truth = case.get(target.name)
        text = f"{_number(values.get((reason.case_id, reason.item)))}"
        if truth is not None:
            text += f", measured {_measured(truth, target, case.get(target.limit))}"
        yield from _reason(case["smiles"], reason, target, text)


def _without_empty(table: Table) -> Table:
    """The table less the columns in which nothing stands."""
    kept = [place for place in range(len(table.columns)) if any(row[place] for row in table.rows)]
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    return Table(table.title, tuple(table.columns[place] for place in kept), rows, table.caption)


_COLUMNS = ("endpoint", "value", "90 %", "unit", "decided", "better", "verdict")


def _row(one: Mapping[str, object], target: Target, cases: Cases) -> tuple[str | float | None, ...]:
    """One endpoint; of a class the value is its probability, and beside it which classes are plausible."""
    fact = endpoint_of(target, cases)
    better = fact.better if fact else ""
    verdict = str(one.get("verdict") or "")
    answer = of(target).describe(one, _number)
    return str(one["item"]), _number(one["value"]), answer.plausible, answer.unit, answer.decided, better, verdict


def _said(case: Mapping[str, object], own: pl.DataFrame, items: Mapping[str, Target]) -> str:
    """What the standardisation did, and why a compound is not in domain: of which endpoints, where not of all."""
    told = []
    changes = case.get("changes")
    if isinstance(changes, list) and changes:
        told.append("Standardised: " + ", ".join(changes) + ".")
    if "reason" in own.columns:
        names = [items[item].name for item in own["item"]]
        concerned: dict[str, list[str]] = {}
        for name, reason in zip(names, own["reason"]):
            if reason and name not in concerned.setdefault(reason, []):
                concerned[reason].append(name)
        told += [
            f"{reason[0].upper()}{reason[1:]}." if set(named) == set(names) else f"{', '.join(named)}: {reason}."
            for reason, named in concerned.items()
        ]
    return " ".join(told)


def _nearest(domain: ApplicabilityDomain, case: Cases, measured: pl.DataFrame) -> Table:
    found = analogues(domain, case, measured)
    targets = domain.targets
    rows = tuple(
        (
            f"{row['similarity']:.2f}",
            row["smiles"],
            *(_measured(row[one.name], one, row.get(one.limit)) for one in targets),
        )
        for row in found.iter_rows(named=True)
    )
    names = [target.name for target in targets]
    return Table("Nearest measured compounds", ("similarity", "compound", *names), rows, _SIMILAR)


def _measured(value: float | None, target: Target, limit: int | None) -> str:
    """What was measured; with `>` or `<` where only a limit of it is known (see `Target.limit`)."""
    return "" if value is None else of(target).described_truth(value, limit, _number)


def _best(found: Sequence[Explanation]) -> list[Explanation]:
    """Of each case and item the explanation that did best, those that can be shown first."""
    best: dict[tuple[str, str], Explanation] = {}
    for one in found:
        other = best.get((one.case_id, one.item))
        if other is None or (one.shown, one.scores.get("effect", 0.0)) > (other.shown, other.scores.get("effect", 0.0)):
            best[one.case_id, one.item] = one
    return list(best.values())


def _reason(smiles: str, reason: Explanation, target: Target, told: str = "") -> Iterable[Figure]:
    """The compound, coloured where the reason can be believed, and the groups that count the most."""
    weights = reason.attribution
    if smiles.count("") > 4 * LARGEST or len(weights) > LARGEST:
        return
    unit = of(target).unit
    title = f"{reason.item}: {told}" if told else f"Why: {reason.item}"
    parts = groups(smiles)
    if not reason.shown or tuple(reason.elements) != atom_names(smiles):
        why = reason.reason or f"those of {reason.method} are about other things than atoms"
        yield Drawing(title, draw(smiles), f"{smiles}: {_UNTOLD}: {why}.")
        return
    effect = f"{reason.method}, {reason.scores.get('effect', 0):.1f} standard deviations better than random maps"
    yield Drawing(title, draw(smiles, weights, unit=unit), f"{smiles} ({effect})")
    sums = parts.summed(weights)
    order = sorted(range(len(sums)), key=lambda place: -abs(sums[place]))[:NAMED]
    rows = tuple((parts.names[place], f"{sums[place]:+.2g}") for place in order)
    yield Table("What its groups add", ("group", unit or "adds"), rows)


def _number(value: object) -> str:
    """Three significant figures; from a thousand to a million whole, since nobody writes an assay's limit as 3e+04."""
    if isinstance(value, float | int) and 1e3 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return "" if value is None else f"{value:.3g}"
