"""What kind of question a column of a table asks: two classes, several, ordered grades, or a number."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from medeor.contracts import Target, TargetKind, UserError

FEW = 20
"""Whole numbers with more different values than this are measured, not classes."""
MANY = 50
"""Text with more different values than this, in more than half of the rows, names cases rather than classes."""
NAMED = 5
"""So does text that never comes again in more rows than this."""
KINDS = ("classes", "ordinal", "continuous")
PARTS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip
"""Words for the parts of an official split, in lower case."""
_NO_YES = ("0", "1")
_ABSENT = {"no", "n", "false", "negative", "neg", "absent", "normal", "healthy", "control", "benign", "-"}
"""What the class is called, of two, that is not looked for."""
_NOT = ("not ", "non-", "non ", "non", "no ", "in", "un")
"""With one of these before the other class's name, of two, a class is that which is not looked for."""


def read_target(
    column: pl.Series,
    kind: str = "",
    classes: Sequence[str] = (),
    positive: str = "",
    expected: Target | None = None,
) -> tuple[Target, pl.Series]:
    """The question that a column asks, and the column as the case table holds it: an index into the classes (Int64) or
    a number (Float64), null where unknown.

    Two values are a binary question (the second is the one looked for: `active` beside `inactive`, whatever their order
    in the alphabet); text, truth values and at most 20 different whole numbers are classes; other
    numbers are continuous. `kind` (classes, ordinal, continuous) overrides that. `classes` are names in order, either
    of the values themselves or, for values 0, 1, …, of the classes that they count. `positive` is put second; for
    several targets it names several, set apart by |, one of each. Where the question is known, `expected` is it,
    whatever the values suggest.

    Raises: UserError for an unknown kind or class, text where numbers are asked, or one class alone."""
    name = column.name
    if expected is not None:
        return expected, _as_expected(column, expected)
    if kind and kind not in KINDS:
        raise UserError(f"where kind={kind}: a target is one of {', '.join(KINDS)}")
    column = column.fill_nan(None) if column.dtype.is_float() else column
    known = column.drop_nulls()
    if not len(known):
        raise UserError(f"target '{name}' has no value in any row")
    if kind == "continuous" or (not kind and not classes and _is_measured(known)):
        return Target(name, "continuous"), _numbers(column)
    values = _as_text(column)
    found = _in_order(values.drop_nulls().unique().to_list())
    if not kind and not classes and names_cases(column):
        raise UserError(
            f"target '{name}' has {len(found)} different texts in {len(known)} rows, which name cases rather than "
            "classes; choose another column with --target"
        )
    if len(found) < 2 and not classes:
        raise UserError(f"target '{name}' has one class alone ('{found[0]}'): there is nothing to tell apart")
    names, place = _named(name, found, classes)
    if positive and len(names) == 2:
        wanted = [one.strip() for one in positive.split("|")]
        looked_for = [one for one in names if one in wanted]
        if len(looked_for) != 1:
            raise UserError(
                f"where positive={positive}: it is to name one of the classes {' and '.join(names)} of '{name}'; "
                "set apart those of several targets by |"
            )
        if looked_for == [names[0]]:
            names, place = names[::-1], {value: 1 - index for value, index in place.items()}
    elif positive and positive not in names:
        raise UserError(f"where positive={positive}: target '{name}' has the classes {', '.join(names)}")
    chosen: TargetKind = "binary" if len(names) == 2 else "ordinal" if kind == "ordinal" else "multiclass"
    indices = values.replace_strict(list(place), list(place.values()), default=None, return_dtype=pl.Int64)
    return Target(name, chosen, names), indices.alias(name)


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
) -> tuple[tuple[Target, ...], pl.DataFrame]:
    """Several targets, and their columns as `read_target` has them. Of several, a binary one goes by its own name
    rather than its class's, so that predictions of `oedema` and `effusion` are not both called `yes`."""
    known = {target.name: target for target in expected}
    if len(names) == 1:
        target, column = read_target(table[names[0]], kind, classes, positive, known.get(names[0]))
        return (target,), column.to_frame()
    targets, columns = [], []
    for name in names:
        target, column = read_target(table[name], kind, (), positive, known.get(name))
        targets.append(by_own_name(target) if name not in known else target)
        columns.append(column)
    return tuple(targets), pl.DataFrame(columns)


def by_own_name(target: Target) -> Target:
    """One of several targets: a binary one stands under its own name instead of its class's."""
    return Target(target.name, "binary", values=target.classes) if target.kind == "binary" else target


def read_parts(column: pl.Series) -> pl.Series:
    """The part of each row: train, validation or test. Raises: UserError for a value that names none."""
    texts = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    strange = sorted(set(texts.drop_nulls().unique()) - set(PARTS))
    if strange:
        raise UserError(
            f"column '{column.name}' does not name parts: found {', '.join(map(repr, strange[:5]))}; "
            "use train, validation and test"
        )
    return texts.replace_strict(PARTS, default=None, return_dtype=pl.String).alias("part")


def _as_expected(column: pl.Series, target: Target) -> pl.Series:
    column = column.fill_nan(None) if column.dtype.is_float() else column
    if target.kind == "continuous":
        return _numbers(column)
    values = _as_text(column)
    _, place = _named(column.name, values.drop_nulls().unique().to_list(), target.classes or target.values or _NO_YES)
    return values.replace_strict(list(place), list(place.values()), default=None, return_dtype=pl.Int64)


def _is_measured(known: pl.Series) -> bool:
    if known.dtype.is_temporal():
        raise UserError(f"target '{known.name}' holds days or times; give a number or a class to predict")
    if not known.dtype.is_numeric():
        return False
    whole = not known.dtype.is_float() or bool((known == known.round()).all())
    return not (whole and known.n_unique() <= FEW)


def _numbers(column: pl.Series) -> pl.Series:
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count() > column.null_count():
        example = column.filter(numbers.is_null() & column.is_not_null())[0]
        raise UserError(f"target '{column.name}' is to be a number and holds {example!r}")
    return numbers


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype.is_float() and bool((column.drop_nulls() == column.drop_nulls().round()).all()):
        column = column.cast(pl.Int64)
    return column.cast(pl.String)


def _in_order(values: list[str]) -> list[str]:
    try:
        return sorted(values, key=int)
    except ValueError:
        first, *others = sorted(values)
    if len(others) == 1 and _is_absence(others[0], first) and not _is_absence(first, others[0]):
        return [*others, first]
    return [first, *others]


def _is_absence(text: str, other: str) -> bool:
    text, other = text.strip().lower(), other.strip().lower()
    return text in _ABSENT or text in {word + other for word in _NOT}


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
    strange = sorted(set(found) - set(classes))
    raise UserError(f"target '{name}' has the value '{strange[0]}', which is none of the classes {', '.join(classes)}")
