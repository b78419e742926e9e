"""What kind of question a column of a table asks: two classes, several, ordered grades, or a number."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

from medeor.contracts import Finding, Target, UserError
from medeor.formats.values.class_names import doubtful, in_order
from medeor.formats.values.dates import are_days, are_written_days
from medeor.formats.values.measurements import read_measurements
from medeor.formats.values.missing import (
    Missing,
    plain,
    says_unknown,
    without_accents,
    without_missing_classes,
    without_missing_numbers,
)
from medeor.formats.values.positive import answer_of, positive_of
from medeor.targets import categorical, of

FEW = 20
"""Whole numbers with more different values than this are measured, not classes."""
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
_NUMBER = r"^[+−-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+−-]?\d+)?\s*(?:[\p{L}%°/µμ][^\d,;]*)?$"
"""A number, perhaps with a unit; not `007`, which is a name."""
_CLOCK = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?")
_ENOUGH_ROWS = 10
"""Rows from which it is no chance that exactly one of several labels is true in each."""
_ENOUGH_BY_CHANCE = 5.0
"""Rows in which two of several labels would be true if they had nothing to do with each other, from which it is no
chance that there is none."""
_SHOWN = 5
"""Values that a message lists."""


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
    `formats.positive`); text, truth values and at most 20 different whole numbers are classes; other
    numbers are continuous. `kind` (classes, ordinal, continuous) overrides that. `classes` are names in order, either
    of the values themselves or, for values 0, 1, …, of the classes that they count. `positive` is put second; for
    several targets it names several, set apart by |, one of each. Where the question is known, `expected` is it,
    whatever the values suggest.

    Values that say unknown (see `formats.missing`) become null, and spellings of one class (`Yes`, `yes `) become one;
    the findings name them.

    Raises: UserError for an unknown kind or class, text where numbers are asked, days, or one class alone."""
    name = column.name
    if expected is not None:
        return TargetColumn(expected, *of(expected).read(_Cells(column)))
    if kind and kind not in KINDS:
        raise UserError(f"where kind={kind}: a target is one of {', '.join(KINDS)}")
    if not len(column.drop_nulls()):
        raise UserError(f"target '{name}' has no value in any row")
    asked = KINDS.get(kind, StatedKind())
    numbers = None if classes else _as_numbers(column, asked.numbers)
    if numbers is not None and (asked.numbers or (not kind and _is_measured(numbers.column.drop_nulls()))):
        return TargetColumn(
            Target(name, "continuous"), numbers.column.cast(pl.Float64), _codes_found(name, numbers, True)
        )
    if asked.numbers:
        raise UserError(f"target '{name}' is to be a number and holds {_no_number(column)!r}")
    _refuse_days(column)
    return _of_classes(column, kind, classes, positive)


def _of_classes(column: pl.Series, kind: str, classes: Sequence[str], positive: str) -> TargetColumn:
    name = column.name
    finite = without_missing_numbers(column)
    grades = KINDS.get(kind, StatedKind()).grades
    missing = _without_codes(finite.column, grades, classes)
    values = _as_text(missing.column)
    findings = _codes_found(name, missing._replace(codes={**finite.codes, **missing.codes}))
    _refuse_numbers(name, values, kind, classes)
    values, spellings = _one_spelling(values, classes)
    counts = dict(values.drop_nulls().value_counts().iter_rows())
    found = sorted_classes(list(counts))
    if not kind and not classes and names_cases(values if column.dtype == pl.String else column):
        raise UserError(
            f"target '{name}' has {len(found)} different texts in {len(values.drop_nulls())} rows, which name cases "
            "rather than classes; choose another column with --target"
        )
    if len(found) < 2 and not classes:
        alone = f"has one class alone ('{found[0]}')" if found else "has no class"
        if codes := [*finite.codes, *missing.codes]:
            alone += (
                f" beside what says unknown ({_listed(map(repr, codes))}; name it with --option classes= if it is one)"
            )
        raise UserError(f"target '{name}' {alone}: there is nothing to tell apart")
    if grades and not classes and len(found) > 2:
        found = _in_order(name, found)
    names, place = _named(name, found, classes)
    guessed = False
    if len(names) == 2:
        looked_for = _looked_for(name, names, positive) if positive else 1
        if not positive and not classes:
            known = positive_of(*names)
            guessed, looked_for = known is None, 1 if known is None else known
        if looked_for == 0:
            names, place = names[::-1], {value: 1 - index for value, index in place.items()}
    elif positive and plain(positive) not in map(plain, names):
        raise UserError(f"where positive={positive}: target '{name}' has the classes {', '.join(names)}")
    chosen = "binary" if len(names) == 2 else "ordinal" if grades else "multiclass"
    indices = values.replace_strict(list(place), list(place.values()), default=None, return_dtype=pl.Int64)
    target = Target(name, chosen, names, guessed=guessed)
    odd = () if classes else doubtful(name, counts)
    return TargetColumn(target, indices.alias(name), (*findings, *spellings, *odd))


def _in_order(name: str, found: Sequence[str]) -> list[str]:
    ordered = in_order(found)
    if ordered is None:
        raise UserError(
            f"target '{name}' is to be ordinal, and the order of {_listed(map(repr, found))} is not known; name them "
            "from the lowest to the highest with --option classes=A|B|C"
        )
    return ordered


def _refuse_numbers(name: str, values: pl.Series, kind: str, classes: Sequence[str]) -> None:
    """Raises: UserError where most values are measurements, among which some text has made all of them classes."""
    known = values.drop_nulls()
    numbers = known.str.strip_chars().str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    measured = numbers.drop_nulls()
    if kind or classes or 2 * len(measured) < len(known) or measured.n_unique() < 3 or not _is_measured(measured):
        return
    other = known.filter(numbers.is_null()).unique(maintain_order=True).to_list()
    if other:
        raise UserError(
            f"target '{name}' holds numbers and also {_listed(map(repr, other))}; leave such cells empty or write a "
            "number, or name the classes with --option classes=A|B"
        )


def _looked_for(name: str, names: Sequence[str], positive: str) -> int:
    wanted = [plain(one) for one in positive.split("|")]
    looked_for = [index for index, one in enumerate(names) if plain(one) in wanted]
    if len(looked_for) != 1:
        raise UserError(
            f"where positive={positive}: it is to name one of the classes {' and '.join(names)} of '{name}'; "
            "set apart those of several targets by |"
        )
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
    text = (
        f"in none of {known.height} rows more than one of {_listed(map(repr, labels))} is true: these classes exclude "
        "each other. They are learnt as labels of their own, whose probabilities need not add up to 1; put the name of "
        "the class into one column for one question with that many classes"
    )
    return (Finding("exclusive-labels", "labels", "fail", text),)


def positive_class(targets: Sequence[Target]) -> tuple[Finding, ...]:
    """What is looked for, and whether that was guessed; none without a binary target."""
    said = [text for target in targets if (text := of(target).positive)]
    guessed = any(target.guessed for target in targets)
    return (Finding("positive-class", "labels", "unknown" if guessed else "pass", "; ".join(said)),) if said else ()


def read_parts(column: pl.Series) -> pl.Series:
    """The part of each row: train, validation or test. Raises: UserError for a value that names none."""
    texts = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    unexpected = sorted(set(texts.drop_nulls().unique()) - set(PARTS))
    if unexpected:
        raise UserError(
            f"column '{column.name}' does not name parts: found {', '.join(map(repr, unexpected[:5]))}; "
            "use train, validation and test"
        )
    return texts.replace_strict(PARTS, default=None, return_dtype=pl.String).alias("part")


class _Cells(NamedTuple):
    """See `targets.common.kind.Cells`."""

    column: pl.Series

    def numbers(self) -> tuple[pl.Series, tuple[Finding, ...]]:
        numbers = _as_numbers(self.column, True)
        if numbers is None:
            raise UserError(f"target '{self.column.name}' is to be a number and holds {_no_number(self.column)!r}")
        return numbers.column.cast(pl.Float64), _codes_found(self.column.name, numbers, True)

    def classes(self, words: Sequence[str], grades: bool) -> tuple[pl.Series, tuple[Finding, ...]]:
        name = self.column.name
        finite = without_missing_numbers(self.column)
        missing = _without_codes(finite.column, grades, words)
        values, spellings = _one_spelling(_as_text(missing.column), words)
        findings = _codes_found(name, missing._replace(codes={**finite.codes, **missing.codes}))
        _, place = _named(name, values.drop_nulls().unique().to_list(), words)
        indices = values.replace_strict(list(place), list(place.values()), default=None, return_dtype=pl.Int64)
        return indices, (*findings, *spellings)


def asks_number(kind: str) -> bool:
    """Whether a user's `kind` asks for a number."""
    return KINDS.get(kind, StatedKind()).numbers


# Numbers -----------------------------------------------------------------------------------------------------------


def _is_measured(known: pl.Series) -> bool:
    whole = not known.dtype.is_float() or bool((known == known.round()).all())
    return not (whole and known.n_unique() <= FEW)


def _as_numbers(column: pl.Series, asked: bool) -> Missing | None:
    """The numbers of a column, also of text, as with decimal commas or among words for unknown; None where some value
    is none. Raises: UserError for days and for limits (`>10`), which are no single numbers."""
    _refuse_days(column)
    if column.dtype.is_numeric():
        return without_missing_numbers(column)
    if column.dtype != pl.String:
        return Missing(column.cast(pl.Float64), {}) if asked and column.dtype == pl.Boolean else None
    texts = column.str.strip_chars().replace("", None)
    counts = texts.drop_nulls().value_counts().iter_rows()
    unknown = {text: count for text, count in counts if says_unknown(text) or _is_infinite(text)}
    texts = texts.to_frame("text").select(pl.when(~pl.col("text").is_in(list(unknown))).then("text"))["text"]
    known = texts.drop_nulls()
    if not len(known):
        return None
    measured = read_measurements(texts.alias(column.name))
    if asked and (measured.sides.fill_null(0) != 0).any():
        limit = texts.filter(measured.sides.fill_null(0) != 0)[0]
        raise UserError(f"target '{column.name}' holds {limit!r}, a limit and no number; leave such cells empty")
    units = measured.units.drop_nulls()
    one_unit = not len(units) or (len(units) == len(known) and units.n_unique() == 1)
    plain_numbers = known.str.contains(_NUMBER).all() and not known.str.contains(r"^[+−-]?0\d").any()
    if not plain_numbers or not one_unit or measured.unreadable.any():
        return None
    found = without_missing_numbers(measured.values.alias(column.name))
    return found._replace(codes={**unknown, **found.codes})


def _is_infinite(text: str) -> bool:
    """Whether a text is written as a number and is beyond all of them: `1e400`, `-inf`, `∞`."""
    try:
        return math.isinf(float(text.replace("∞", "inf").replace("−", "-")))
    except ValueError:
        return False


def _no_number(column: pl.Series) -> object:
    """The first value of a column that is no number, or a number in another unit than others."""
    texts = column.cast(pl.String).drop_nulls()
    bad = texts.filter(~texts.str.contains(_NUMBER))
    bad = bad.filter(pl.Series([not says_unknown(text) for text in bad], dtype=pl.Boolean))
    return column.drop_nulls()[0] if bad.is_empty() else bad[0]


def _refuse_days(column: pl.Series) -> None:
    known = column.drop_nulls()
    days = known.dtype.is_temporal()
    if known.dtype == pl.String:
        texts = [text for text in known.unique() if text.strip() and not says_unknown(text)]
        days = are_days(texts) or (bool(texts) and all(map(_CLOCK.fullmatch, map(str.strip, texts))))
    elif known.dtype.is_numeric():
        days = are_written_days(known.unique().to_list())
    if days:
        raise UserError(
            f"target '{column.name}' holds days or times, such as {known[0]!s}; give a number or a class to predict"
        )


# Classes -----------------------------------------------------------------------------------------------------------


def _without_codes(column: pl.Series, grades: bool, classes: Sequence[str]) -> Missing:
    """Without what says unknown, unless the user names it as a class."""
    found = without_missing_classes(column, grades=grades)
    named = {plain(one) for one in classes}
    if not classes or not named & {plain(code) for code in found.codes}:
        return found
    texts = _as_text(column)
    free = [code for code in found.codes if plain(code) not in named]
    kept = pl.select(pl.when(~texts.is_in(free)).then(texts).alias(column.name)).to_series()
    return Missing(kept, {code: found.codes[code] for code in free})


def _one_spelling(values: pl.Series, classes: Sequence[str]) -> tuple[pl.Series, tuple[Finding, ...]]:
    """Values that differ in case, spaces, full-width forms or punctuation behind them alone as one: that which is named
    among the `classes`, else the most frequent. So are words that all say no or yes (`no`, `n`, `0`). Where all would
    become one class, as genotypes may (`AA`, `Aa`), they stay what they are."""
    counts = values.drop_nulls().value_counts().sort(["count", values.name], descending=[True, False])
    written = {plain(one): one for one in classes}
    if len(written) < len(classes):
        return values, ()
    spelt: dict[str, list[tuple[str, int]]] = {}
    for text, count in counts.iter_rows():
        spelt.setdefault(_class_form(text), []).append((text, count))
    if len(spelt) == 1 and counts.height > 1 and not classes:
        return values, ()
    if len(spelt) > 2 and not classes and all(answer_of(form) is not None for form in spelt):
        spelt = {
            str(answer): [one for form, variants in spelt.items() if answer_of(form) == answer for one in variants]
            for answer in (0, 1)
        }
    name_of = {
        text: written.get(form, " ".join(variants[0][0].split()))
        for form, variants in spelt.items()
        for text, _ in variants
    }
    merged = [variants for variants in spelt.values() if len({name.strip() for name, _ in variants}) > 1]
    note = "; ".join(" = ".join(f"{text!r} ({count})" for text, count in variants) for variants in merged)
    message = f"'{values.name}' has several spellings of one class, which are read as one: {note}"
    finding = (Finding("class-spellings", "labels", "fail", message),) if merged else ()
    return values.replace_strict(list(name_of), list(name_of.values()), default=None, return_dtype=pl.String), finding


def _class_form(text: str) -> str:
    """As `missing.plain`, without accents and with one sign between words; whole numbers without their decimals, as
    spreadsheets add them."""
    form = plain(text)
    bare = without_accents(form)
    form = re.sub(r"(?<=[a-z])[\s_-]+(?=[a-z])", " ", bare if bare.isascii() else form)
    return re.sub(r"^([+-]?(?:0|[1-9]\d*))\.0+$", r"\1", form)


def _codes_found(name: str, missing: Missing, measured: bool = False) -> tuple[Finding, ...]:
    if not missing.codes:
        return ()
    said = _listed(f"'{code}' in {count} row{'s' * (count != 1)}" for code, count in missing.codes.items())
    check, why = ("class-codes", "is read as unknown; if it is a class, name all of them with --option classes=A|B")
    if measured:
        check, why = "number-codes", "is no measurement and is read as unknown"
    return (Finding(check, "labels", "fail", f"'{name}': {said} {why}"),)


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype.is_float() and bool((column.drop_nulls() == column.drop_nulls().round()).all()):
        column = column.cast(pl.Int64)
    return column.cast(pl.String)


def sorted_classes(values: list[str]) -> list[str]:
    """Class names by number where all are numbers, else by the alphabet."""
    try:
        return sorted(values, key=int)
    except ValueError:
        return sorted(values)


def _named(name: str, found: list[str], classes: Sequence[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """The names of the classes, and the index of each value found."""
    if not classes:
        return tuple(found), {value: index for index, value in enumerate(found)}
    if len(set(classes)) < len(classes):
        raise UserError(f"where classes={','.join(classes)}: a class is named twice")
    if set(found) <= set(classes):
        return tuple(classes), {value: index for index, value in enumerate(classes)}
    counted = {str(index): index for index in range(len(classes))}
    if set(found) <= set(counted):
        return tuple(classes), counted
    unexpected = sorted(set(found) - set(classes))
    raise UserError(
        f"target '{name}' has the value '{unexpected[0]}', which is none of the classes {', '.join(classes)}"
    )


def _listed(values: Iterable[str]) -> str:
    shown = list(values)
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")
