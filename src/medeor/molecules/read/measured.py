"""What was measured of compounds, as the case table holds it: numbers in one unit with their limits, or classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import polars as pl

from medeor.contracts import Finding, Message, Study, Target, Text, UserError, listed
from medeor.formats.cases import class_names
from medeor.formats.values.headings import read_heading
from medeor.formats.values.measured.measurements import Decimal, is_measured, read_measurements
from medeor.formats.values.measured.unit_columns import Qualifiers, kinds_of_measurement, qualifiers_of
from medeor.formats.values.measured.units import OneUnit, factor, in_one_unit, usual_unit
from medeor.formats.values.missing import without_missing_numbers
from medeor.formats.values.targets import asks_number, exclusive, read_target
from medeor.molecules.read.decimals import measured_numbers
from medeor.molecules.read.endpoints import Endpoint, find_endpoint, in_unit, named_endpoint
from medeor.molecules.read.scale import check_positive, scale_of
from medeor.targets import of

_MANY_CLASSES = 20
"""Different texts beyond which those that begin with numbers are no classes."""


@dataclass(frozen=True)
class MeasuredColumns:
    """The targets of a study and their columns."""

    table: pl.DataFrame
    targets: tuple[Target, ...] = ()
    unread: pl.Series = field(default_factory=pl.Series)
    """List of text: the targets of each row whose text is no measurement."""
    notes: tuple[Text, ...] = ()
    """How relations and units were found and values converted."""
    mixed: tuple[Text, ...] = ()
    """Why values of a target could not all be put in one unit."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """The columns that state relation or unit of a target, and what the case table calls them."""
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """What is known of each target, in its unit."""
    assumed: tuple[str, ...] = ()
    """Targets whose unit is only assumed: the usual one of their endpoint."""
    findings: tuple[Noticed, ...] = ()


class Noticed(NamedTuple):
    """A finding whose cases are still rows of the table."""

    finding: Finding
    rows: tuple[int, ...] = ()


class _Number(NamedTuple):
    """One target that is a number."""

    target: Target
    values: pl.Series
    sides: pl.Series
    unread: pl.Series
    """Boolean: what is written is no measurement, or in a unit that is no multiple of the target's."""
    notes: list[Message]
    mixed: list[Message]
    findings: list[Noticed]
    assumed: bool


def read_answers(
    facts: pl.DataFrame,
    names: Sequence[str],
    study: Study,
    where: str,
    expected: Sequence[Target],
    roles: set[str],
    decimal: Decimal = "",
) -> MeasuredColumns:
    """The targets `names` among the columns of `facts`, read from the file `where`. Those that are `expected` keep
    their unit and scale. Of several, one without two different values is left out of the targets and stays a column.

    A number is in the unit that its cells, a column of units or its heading name, else `where unit=`, else the usual
    one of its endpoint. `where unit=` is also what all are converted into. It is modelled by its logarithm where `where
    scale=` or its endpoint says so, else where it is above 0 and spans two decades (see `scale_of`)."""
    wanted = {target.name: target for target in expected}
    known = {name: known_endpoint(name, names, where, study) for name in names}
    targets: list[Target] = []
    columns: list[pl.Series] = []
    left_out: list[str] = []
    unread: dict[str, pl.Series] = {}
    numbers: dict[str, _Number] = {}
    findings: list[Noticed] = []
    several = len(names) > 1
    classes = class_names(study.options)
    speaking = _speaking(facts, names, study, known, wanted)
    for name in names:
        column = _finite(facts[name])
        if several and name not in wanted and column.drop_nulls().n_unique() < 2:
            left_out.append(name)
            columns.append(facts[name])
            continue
        kind = _kind(name, known[name], study, wanted)
        if name in speaking or _is_number(column, kind, classes):
            stated = _of(names, study.options.get("unit", ""), name, "unit")
            one = _number(
                facts, name, speaking.get(name, Qualifiers()), known[name], wanted.get(name), stated, study, decimal
            )
            check_positive(one.target, one.values, where)
            numbers[name], unread[name] = one, one.unread
            targets.append(one.target)
            columns.append(one.values)
            if (one.sides.fill_null(0) != 0).any():
                columns.append(one.sides.alias(one.target.limit))
            continue
        positive = study.options.get("positive", "")
        target, values, found = read_target(facts[name], kind, () if several else classes, positive, wanted.get(name))
        targets.append(of(target).by_own_name if several and name not in wanted else target)
        columns.append(values)
        findings += map(Noticed, found)
    if names and not targets:
        raise UserError("molecules.measured.constant", names=listed(names), where=where)
    if not numbers and targets and (asked := {"unit", "scale"} & set(study.options)) and not wanted:
        raise UserError("molecules.option.no-number", key=min(asked), value=study.options[min(asked)])
    free = [(name, one) for name, by in speaking.items() for one in by if one and one not in roles]
    table = pl.DataFrame(columns) if columns else pl.DataFrame(height=facts.height)
    findings += [found for one in numbers.values() for found in one.findings]
    findings += map(Noticed, (*exclusive(targets, table), *_varied(names, left_out)))
    return MeasuredColumns(
        table,
        tuple(targets),
        _flagged(unread, facts.height),
        tuple(note for one in numbers.values() for note in one.notes),
        tuple(why for one in numbers.values() for why in one.mixed),
        {one: f"{name}.given {one}" for name, one in free},
        endpoints_of(targets, known),
        tuple(name for name, one in numbers.items() if one.assumed),
        tuple(findings),
    )


def _varied(names: Sequence[str], left_out: Sequence[str]) -> list[Finding]:
    if not names:
        return []
    text = Message("molecules.measured.left-out" if left_out else "molecules.measured.varied", targets=left_out)
    return [Finding("constant-targets", "labels", "fail" if left_out else "pass", text)]


def known_endpoint(name: str, names: Sequence[str], where: str, study: Study) -> Endpoint | None:
    """What is known of a target: what the study names (`where endpoint=`), else by its heading or its file."""
    stated = _of(names, study.options.get("endpoint", ""), name, "endpoint")
    return named_endpoint(stated) if stated else find_endpoint(name, where)


def known_endpoints(targets: Sequence[Target], study: Study) -> dict[str, Endpoint]:
    """What is known of the targets of a model, by their names and what its study says."""
    names = [target.name for target in targets]
    stated = study.options.get("endpoint", "")
    named = "|" not in stated or stated.count("|") + 1 == len(names)
    study = study if named else replace(study, options={**study.options, "endpoint": ""})
    return endpoints_of(targets, {name: known_endpoint(name, names, "", study) for name in names})


def endpoints_of(targets: Sequence[Target], known: Mapping[str, Endpoint | None]) -> dict[str, Endpoint]:
    """What is known of each target in the unit that it is in; of another kind or unit, nothing."""
    found = {}
    for target in targets:
        endpoint = known.get(target.name)
        if endpoint is None or endpoint.is_number == bool(of(target).classes):
            continue
        if (own := in_unit(endpoint, target.unit)) is not None:
            found[target.name] = own
    return found


def _of(names: Sequence[str], text: str, name: str, key: str) -> str:
    """What a value of `--option` says of one target: it is of all, or names one of each, separated by |."""
    parts = [part.strip() for part in text.split("|")]
    if len(parts) not in (1, len(names)):
        raise UserError("molecules.option.each-target", key=key, value=text, count=len(names))
    return parts[0] if len(parts) == 1 else parts[list(names).index(name)]


# --- one number ------------------------------------------------------------------------------------------


def _number(
    facts: pl.DataFrame,
    name: str,
    by: Qualifiers,
    endpoint: Endpoint | None,
    wanted: Target | None,
    stated: str,
    study: Study,
    decimal: Decimal,
) -> _Number:
    heading = read_heading(name)
    endpoint = endpoint if endpoint and endpoint.is_number else None
    sources = (_column(facts, by.relations), _column(facts, by.units))
    measured, found_decimals = measured_numbers(
        facts, name, sources, endpoint, study.options.get("decimal", ""), decimal
    )
    findings = [*map(Noticed, found_decimals)]
    found = without_missing_numbers(measured.values)
    values = found.column.alias(name)
    if found.codes:
        findings.append(_codes(name, found.codes, measured.values, values))
    unread = measured.unreadable | (measured.values.is_not_null() & values.is_null())
    usual = endpoint.measured_in if endpoint and in_unit(endpoint, heading.measured_in) is not None else ""
    stated = usual_unit(stated)
    bare = heading.measured_in or stated or (wanted.unit if wanted else "")
    written = measured.units.fill_null(bare) if bare else measured.units
    unit = wanted.unit if wanted else stated or heading.measured_in or usual
    if stated and heading.measured_in and factor(heading.measured_in, stated) is None:
        raise UserError("molecules.option.no-conversion", unit=stated, name=name, own=heading.measured_in)
    converted = in_one_unit(values, written, unit)
    foreign = _foreign(written, converted)
    values = converted.values.set(foreign, None).alias(name)
    notes = _notes(name, by, heading.measured_in, stated, converted)
    assumed = not bare and bool(measured.units.is_null().all()) and bool(usual) and not _certain(name, endpoint, study)
    target = wanted or Target(name, "continuous", (), converted.unit)
    if wanted is None:
        scale, found_scale = scale_of(target, values, endpoint, heading.logarithm, study.options.get("scale", ""))
        target = replace(target, scale=scale)
        findings += map(Noticed, found_scale)
        findings += _kinds(facts.with_columns(values), name)
    sides = measured.sides.set(values.is_null(), None)
    mixed = _mixture(name, converted, heading.measured_in or stated or usual)
    return _Number(target, values, sides, unread | foreign, notes, mixed, findings, assumed)


def _column(facts: pl.DataFrame, name: str) -> pl.Series | None:
    return facts[name] if name else None


def _codes(name: str, codes: Mapping[str, int], before: pl.Series, after: pl.Series) -> Noticed:
    rows = (before.is_not_null() & after.is_null()).arg_true().to_list()
    message = Message("molecules.measured.codes", name=name, codes=counted(codes.items()), count=len(codes))
    return Noticed(Finding("missing-codes", "labels", "fail", message), tuple(rows))


def _foreign(units: pl.Series, one: OneUnit) -> pl.Series:
    """Which rows are in a unit that is no multiple of the target's, where that is known."""
    unseen = [unit for unit, _ in one.foreign] if one.unit else []
    plain = {unit: usual_unit(unit) for unit in units.drop_nulls().unique()}
    return units.is_in([unit for unit in plain if plain[unit] in unseen]).fill_null(False)


def _kinds(facts: pl.DataFrame, name: str) -> list[Noticed]:
    column, kinds = kinds_of_measurement(facts, name)
    if not kinds:
        return []
    text = Message("molecules.measured.kinds", column=column, name=name, kinds=listed(kinds, 6))
    return [Noticed(Finding("mixed-measurements", "labels", "fail", text))]


def _certain(name: str, endpoint: Endpoint | None, study: Study) -> bool:
    """Whether the unit of an endpoint is certain: it has but one, or the study names it."""
    return endpoint is None or bool(study.options.get("endpoint")) or endpoint.certain(name)


# --- what a column is ------------------------------------------------------------------------------------


def _finite(column: pl.Series) -> pl.Series:
    """A column without infinite values, which are no measurement and no class."""
    if not column.dtype.is_float():
        return column
    return column.set((~column.is_finite()).fill_null(False), None)


def _kind(name: str, endpoint: Endpoint | None, study: Study, wanted: Mapping[str, Target]) -> str:
    """What kind of target a column is known to be before its values are looked at; empty where they decide."""
    if name in wanted:
        return "classes" if of(wanted[name]).classes else "continuous"
    return study.options.get("kind", "") or (endpoint.kind if endpoint and endpoint.is_number else "")


def _is_number(column: pl.Series, kind: str, classes: Sequence[str] = ()) -> bool:
    if kind:
        return asks_number(kind)
    if classes:
        return False
    if column.dtype.is_numeric():
        column = without_missing_numbers(column).column
        return column.drop_nulls().n_unique() > 1 and not of(read_target(column)[0]).classes
    return is_measured(column) or _begins_with_numbers(column)


def _begins_with_numbers(column: pl.Series) -> bool:
    """Whether too many different texts for classes begin with a number: measurements of which none can be read."""
    known = column.drop_nulls().cast(pl.String).str.strip_chars()
    numbers = known.str.contains(r"^[<>=~≤≥+−-]*\s*\d")
    return known.n_unique() > _MANY_CLASSES and 2 * numbers.sum() >= len(known)


def _speaking(
    facts: pl.DataFrame,
    names: Sequence[str],
    study: Study,
    known: Mapping[str, Endpoint | None],
    wanted: Mapping[str, Target],
) -> dict[str, Qualifiers]:
    """The columns that say relation or unit of each measured target that has any. A relation counts where the target's
    own cells hold none; columns of a general name not for a logarithm: they may speak of the concentration, of which
    a relation is the other way round."""
    measured = [name for name in names if _is_number(_finite(facts[name]), _kind(name, known[name], study, wanted))]
    found = {}
    for name in measured:
        endpoint = known[name]
        logarithm = read_heading(name).logarithm or (endpoint and endpoint.unit.startswith("-log10"))
        by = qualifiers_of(facts.drop(set(names) - {name}), name, len(measured) == 1 and not logarithm)
        if by.relations and (read_measurements(facts[name]).sides != 0).any():
            by = by._replace(relations="")
        if any(by):
            found[name] = by
    return found


# --- notes -----------------------------------------------------------------------------------------------


def _notes(name: str, by: Qualifiers, heading: str, stated: str, one: OneUnit) -> list[Message]:
    """How relations and units of a target were found, and what was converted."""
    columns = {"relations": by.relations, "units": by.units}
    notes = [
        Message(f"molecules.measured.{what}", name=name, column=column) for what, column in columns.items() if column
    ]
    if unit := stated or heading:
        key = "molecules.measured.stated" if stated else "molecules.measured.heading"
        notes.append(Message(key, name=name, unit=unit))
    if one.converted:
        units = counted(one.converted)
        notes.append(Message("molecules.measured.converted", name=name, unit=one.unit, units=units))
    return notes


def _mixture(name: str, one: OneUnit, known: str) -> list[Message]:
    """What keeps values from being in one unit: a unit that is no multiple of the others', or none among several,
    where the target's is not `known`."""
    mixed = []
    if one.foreign:
        key = "molecules.measured.foreign" if one.unit else "molecules.measured.without-unit"
        units = counted(one.foreign)
        mixed.append(Message(key, name=name, unit=one.unit, units=units, count=len(units)))
    if one.unit and one.bare and not known:
        mixed.append(Message("molecules.measured.bare", count=one.bare, name=name, unit=one.unit))
    return mixed


def counted(numbers: Iterable[tuple[str, int]]) -> tuple[Message, ...]:
    """Units or codes, each with its number of rows."""
    rows = ((what, Message("common.count.row", count=count)) for what, count in numbers)
    return tuple(Message("molecules.measured.rows", what=what, rows=count) for what, count in rows)


def _flagged(unread: Mapping[str, pl.Series], height: int) -> pl.Series:
    flags = pl.DataFrame([flag.alias(name) for name, flag in unread.items()])
    rows = [[name for name, bad in row.items() if bad] for row in flags.iter_rows(named=True)] or [[]] * height
    return pl.Series(rows, dtype=pl.List(pl.String))
