"""What is shown of single compounds: every endpoint with its unit, interval, verdict and direction, the nearest
measured analogues, and a drawing of the atoms that speak for the answer where that can be believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from medeor.contracts import (
    Answering,
    Cases,
    Explanation,
    Message,
    Model,
    Predictions,
    Result,
    Run,
    Target,
    Text,
    named,
)
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

_ENDPOINT = named("molecules.page", "endpoint", "value", "interval", "unit", "decided", "direction", "verdict")
_NEAREST = named("molecules.page", "similarity", "compound")


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
        title = case["smiles"] or case["given"] or Message("molecules.page.no-structure")
        if case.get("broken"):
            yield Table(title, ("", ""), (), Message("molecules.page.not-predicted", problem=case["broken"]))
            continue
        own = predictions.table.filter(pl.col("case_id") == case["case_id"])
        rows = tuple(_row(one, items[one["item"]], cases) for one in own.iter_rows(named=True))
        yield _without_empty(Table(title, tuple(_ENDPOINT.values()), rows, _remarks(case, own, items)))
        if domain is not None and measured is not None:
            yield _nearest(domain, usable.where(pl.col("case_id") == case["case_id"]), measured)
        elif domain is not None:
            title, caption = named("molecules.page", "nearest", "no-compounds").values()
            yield Table(title, tuple(_NEAREST.values()), (), caption)
        for reason in explained:
            if reason.case_id == case["case_id"]:
                why = Message("molecules.page.why", item=reason.item)
                yield from _reason(case["smiles"], reason, items[reason.item], why)


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
        value = _number(values.get((reason.case_id, reason.item)))
        key = "molecules.page.predicted" if truth is None else "molecules.page.predicted-measured"
        title = Message(key, item=reason.item, value=value, truth=_measured(truth, target, case.get(target.limit)))
        yield from _reason(case["smiles"], reason, target, title)


def _without_empty(table: Table) -> Table:
    """The table less the columns in which nothing stands."""
    kept = [place for place in range(len(table.columns)) if any(row[place] for row in table.rows)]
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    return Table(table.title, tuple(table.columns[place] for place in kept), rows, table.caption)


def _row(one: Mapping[str, object], target: Target, cases: Cases) -> tuple[Text | float | None, ...]:
    """One endpoint; of a class the value is its probability, and beside it which classes are plausible."""
    fact, answer = endpoint_of(target, cases), of(target).describe(one, _number)
    found = str(one["item"]), _number(one["value"]), answer.plausible, answer.unit, answer.decided
    return *found, fact.direction if fact else "", str(one.get("verdict") or "")


def _remarks(case: Mapping[str, object], own: pl.DataFrame, items: Mapping[str, Target]) -> str:
    """What the standardisation did, and why a compound is not in domain: of which endpoints, where not of all."""
    statements = []
    if changes := case.get("changes"):
        statements.append(Message("molecules.page.standardised", changes=changes))
    if "reason" in own.columns:
        names = [items[item].name for item in own["item"]]
        concerned: dict[str, list[str]] = {}
        for name, reason in zip(names, own["reason"]):
            if reason and name not in concerned.setdefault(reason, []):
                concerned[reason].append(name)
        for reason, some in concerned.items():
            whole = set(some) == set(names)
            reason = f"{reason[0].upper()}{reason[1:]}" if whole else reason
            key = "molecules.page.reason" if whole else "molecules.page.reason-of"
            statements.append(Message(key, endpoints=some, reason=reason))
    return " ".join(map(str, statements))


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
    title, caption = named("molecules.page", "nearest", "similar").values()
    return Table(title, (*_NEAREST.values(), *names), rows, caption)


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


def _reason(smiles: str, reason: Explanation, target: Target, title: Text) -> Iterable[Figure]:
    """The compound, coloured where the reason can be believed, and the groups that count the most."""
    weights = reason.attribution
    if smiles.count("") > 4 * LARGEST or len(weights) > LARGEST:
        return
    unit = of(target).unit
    parts = groups(smiles)
    if not reason.shown or tuple(reason.elements) != atom_names(smiles):
        why = reason.reason or Message("molecules.page.no-atoms", method=reason.method)
        yield Drawing(title, draw(smiles), Message("molecules.page.not-shown", smiles=smiles, why=why))
        return
    effect = reason.scores.get("effect", 0.0)
    caption = Message("molecules.page.shown", smiles=smiles, method=reason.method, effect=effect)
    yield Drawing(title, draw(smiles, weights, unit=str(unit)), caption)
    sums = parts.summed(weights)
    order = sorted(range(len(sums)), key=lambda place: -abs(sums[place]))[:NAMED]
    rows = tuple((parts.names[place], f"{sums[place]:+.2g}") for place in order)
    heads = (Message("molecules.page.group"), unit or Message("molecules.page.adds"))
    yield Table(Message("molecules.page.groups"), heads, rows)


def _number(value: object) -> str:
    """Three significant figures; from a thousand to a million whole, since nobody writes an assay's limit as 3e+04."""
    if isinstance(value, float | int) and 1e3 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return "" if value is None else f"{value:.3g}"
