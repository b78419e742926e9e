"""What kind of question a column of a table asks: two classes, several, ordered grades, or a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from medeor.contracts import Finding, Message, Target, UserError, listed
from medeor.formats.values.cells import (
    SHOWN,
    ColumnCells,
    codes_found,
    is_measured,
    named,
    no_number,
    numbers_of,
    one_spelling,
    refuse_days,
    sorted_classes,
    texts_of,
)
from medeor.formats.values.class_names import doubtful, in_order
from medeor.formats.values.missing import plain
from medeor.formats.values.positive import positive_of
from medeor.targets import categorical, of

MANY = 50
"""Text with more different values than this, in more than half of the rows, names cases rather than classes."""
NAMED = 5
"""So does text that never comes again in more rows than this."""
PARTS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test", "holdout": "test",
    "trainset": "train", "valset": "validation", "testset": "test",
    "训练": "train", "训练集": "train", "訓練": "train", "訓練集": "train",
    "验证": "validation", "验证集": "validation", "驗證": "validation",
    "驗證集": "validation", "测试": "test", "测试集": "test", "測試": "test", "測試集": "test",
    "entrenamiento": "train", "validación": "validation", "validacion": "validation", "prueba": "test",
    "apprentissage": "train", "entraînement": "train", "entrainement": "train", "validierung": "validation",
}  # fmt: skip
"""Words for the parts of an official split, in lower case."""
_ENOUGH_ROWS = 10
"""Rows from which it is no chance that exactly one of several labels is true in each."""
_ENOUGH_BY_CHANCE = 5.0
"""Rows in which two of several labels would be true if they had nothing to do with each other, from which it is no
chance that there is none."""


class StatedKind(NamedTuple):
    """What a user may state of a column that leaves it open (`kind`)."""

    numbers: bool = False
    grades: bool = False
    """Whether its classes have an order."""


KINDS = {"classes": StatedKind(), "ordinal": StatedKind(grades=True), "continuous": StatedKind(numbers=True)}


class TargetColumn(NamedTuple):
    """What a column asks."""

    target: Target
    values: pl.Series
    """As the case table holds them: an index into the classes (Int64) or a number (Float64), null where unknown."""
    findings: tuple[Finding, ...] = ()
    """What of the column was not taken as it stands."""


class TargetColumns(NamedTuple):
    """What several columns ask."""

    targets: tuple[Target, ...]
    values: pl.DataFrame
    findings: tuple[Finding, ...] = ()


def read_target(
    column: pl.Series,
    kind: str = "",
    classes: Sequence[str] = (),
    positive: str = "",
    expected: Target | None = None,
) -> TargetColumn:
    """The question that a column asks, and its values as the case table holds them.

    Two values are a binary question (the second is the one looked for, whatever their order in the alphabet: see
    `values.positive`); text, truth values and at most 20 different whole numbers are classes; other
    numbers are continuous. `kind` (classes, ordinal, continuous) overrides that. `classes` are names in order, either
    of the values themselves or, for values 0, 1, …, of the classes that they count. `positive` is put second; for
    several targets it names one of each, separated by |. Where the question is known, `expected` is it,
    whatever the values suggest.

    Values that say unknown (see `values.missing`) become null, and spellings of one class (`Yes`, `yes `) become one;
    the findings name them.

    Raises: UserError for an unknown kind or class, text where numbers are asked, days, or one class alone."""
    name = column.name
    if expected is not None:
        return TargetColumn(expected, *of(expected).read(ColumnCells(column)))
    if kind and kind not in KINDS:
        raise UserError("values.target.kind", kind=kind, kinds=list(KINDS))
    if not len(column.drop_nulls()):
        raise UserError("values.target.empty", target=name)
    asked = KINDS.get(kind, StatedKind())
    numbers = None if classes else numbers_of(column, asked.numbers)
    if numbers is not None and (asked.numbers or (not kind and is_measured(numbers.column.drop_nulls()))):
        return TargetColumn(
            Target(name, "continuous"), numbers.column.cast(pl.Float64), codes_found(name, numbers, True)
        )
    if asked.numbers:
        raise UserError("values.target.no-number", target=name, value=no_number(column))
    refuse_days(column)
    return _of_classes(column, kind, classes, positive)


def _of_classes(column: pl.Series, kind: str, classes: Sequence[str], positive: str) -> TargetColumn:
    name = column.name
    grades = KINDS.get(kind, StatedKind()).grades
    texts = texts_of(column, grades, classes)
    _refuse_numbers(name, texts.column, kind, classes)
    values, spellings = one_spelling(texts.column, classes)
    counts = dict(values.drop_nulls().value_counts().iter_rows())
    found = sorted_classes(list(counts))
    if not kind and not classes and names_cases(values if column.dtype == pl.String else column):
        rows = len(values.drop_nulls())
        raise UserError("values.target.names-cases", target=name, texts=len(found), rows=rows)
    if len(found) < 2 and not classes:
        codes = listed(map(repr, texts.codes), SHOWN)
        unknown = Message("values.target.unknown", codes=codes) if texts.codes else ""
        key = "values.target.one-class" if found else "values.target.no-classes"
        raise UserError(key, target=name, found=found, unknown=unknown)
    if grades and not classes and len(found) > 2:
        ordered = in_order(found)
        if ordered is None:
            raise UserError("values.target.no-order", target=name, classes=listed(map(repr, found), SHOWN))
        found = ordered
    names, place = named(name, found, classes)
    guessed = False
    if len(names) == 2:
        looked_for = _looked_for(name, names, positive) if positive else 1
        if not positive and not classes:
            known = positive_of(*names)
            guessed, looked_for = known is None, 1 if known is None else known
        if looked_for == 0:
            names, place = names[::-1], {value: 1 - index for value, index in place.items()}
    elif positive and plain(positive) not in map(plain, names):
        raise UserError("values.target.positive", positive=positive, target=name, classes=names)
    chosen = "binary" if len(names) == 2 else "ordinal" if grades else "multiclass"
    indices = values.replace_strict(list(place), list(place.values()), default=None, return_dtype=pl.Int64)
    target = Target(name, chosen, names, guessed=guessed)
    odd = () if classes else doubtful(name, counts)
    return TargetColumn(target, indices.alias(name), (*codes_found(name, texts), *spellings, *odd))


def _refuse_numbers(name: str, values: pl.Series, kind: str, classes: Sequence[str]) -> None:
    """Raises: UserError where most values are measurements, among which some text has made all of them classes."""
    known = values.drop_nulls()
    numbers = known.str.strip_chars().str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    measured = numbers.drop_nulls()
    if kind or classes or 2 * len(measured) < len(known) or measured.n_unique() < 3 or not is_measured(measured):
        return
    other = known.filter(numbers.is_null()).unique(maintain_order=True).to_list()
    if other:
        raise UserError("values.target.mixed", target=name, values=listed(map(repr, other), SHOWN))


def _looked_for(name: str, names: Sequence[str], positive: str) -> int:
    wanted = [plain(one) for one in positive.split("|")]
    looked_for = [index for index, one in enumerate(names) if plain(one) in wanted]
    if len(looked_for) != 1:
        raise UserError("values.target.positive", positive=positive, target=name, classes=names)
    return looked_for[0]


def names_cases(column: pl.Series) -> bool:
    """Whether a column's texts name its rows (identifiers, remarks) and are no classes of them."""
    found, known = column.drop_nulls().n_unique(), len(column.drop_nulls())
    return column.dtype == pl.String and (found > max(MANY, known / 2) or found == known > NAMED)


def read_targets(
    table: pl.DataFrame,
    names: Sequence[str],
    kind: str = "",
    classes: Sequence[str] = (),
    positive: str = "",
    expected: Sequence[Target] = (),
) -> TargetColumns:
    """Several targets, and their columns as `read_target` has them. Of several, a binary one goes by its own name
    rather than its class's, so that predictions of `oedema` and `effusion` are not both called `yes`."""
    known = {target.name: target for target in expected}
    several = len(names) > 1
    read = [read_target(table[one], kind, () if several else classes, positive, known.get(one)) for one in names]
    several_new = [several and one.target.name not in known for one in read]
    targets = tuple(of(one.target).by_own_name if new else one.target for one, new in zip(read, several_new))
    values = pl.DataFrame([one.values for one in read])
    findings = tuple(finding for one in read for finding in one.findings)
    return TargetColumns(targets, values, (*findings, *exclusive(targets, values)))


def exclusive(targets: Sequence[Target], values: pl.DataFrame) -> tuple[Finding, ...]:
    """A finding where several labels are the columns of one class: in every row exactly one of them is true."""
    labels = [target.name for target in categorical(targets) if len(of(target).items) == 1]
    if len(labels) < 2 or len(labels) < len(targets):
        return ()
    known = values.select(labels).drop_nulls()
    true = known.sum_horizontal()
    if known.height < _ENOUGH_ROWS or (true > 1).any() or not (true == 1).any():
        return ()
    # Rare labels seldom meet: rows with none count against, unless by chance some would have had two.
    shares = [float(share or 0) for share in known.mean().row(0)]
    none = math.prod(1 - share for share in shares)
    one = sum(none * share / (1 - share) for share in shares if share < 1)
    if (true == 0).any() and known.height * (1 - none - one) < _ENOUGH_BY_CHANCE:
        return ()
    text = Message("values.target.exclusive", rows=known.height, labels=listed(map(repr, labels), SHOWN))
    return (Finding("exclusive-labels", "labels", "fail", text),)


def positive_class(targets: Sequence[Target]) -> tuple[Finding, ...]:
    """What is looked for, and whether that was guessed; none without a binary target."""
    each = tuple(text for target in targets if (text := of(target).positive))
    guessed = any(target.guessed for target in targets)
    text = Message("values.target.positive-classes", each=each)
    return (Finding("positive-class", "labels", "unknown" if guessed else "pass", text),) if each else ()


def read_parts(column: pl.Series) -> pl.Series:
    """The part of each row: train, validation or test. Raises: UserError for a value that names none."""
    texts = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    unexpected = sorted(set(texts.drop_nulls().unique()) - set(PARTS))
    if unexpected:
        raise UserError("values.target.parts", column=column.name, values=listed(map(repr, unexpected), SHOWN))
    return texts.replace_strict(PARTS, default=None, return_dtype=pl.String).alias("part")


def asks_number(kind: str) -> bool:
    """Whether a user's `kind` asks for a number."""
    return KINDS.get(kind, StatedKind()).numbers
