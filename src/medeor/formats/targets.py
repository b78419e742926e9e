"""What kind of question a column of a table asks: two classes, several, ordered grades, or a number."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from medeor.contracts import Target, TargetKind, UserError

FEW = 20
"""Whole numbers with more different values than this are measured, not classes."""
MANY = 50
"""Text with more different values than this, in more than half of the rows, names cases rather than classes."""
KINDS = ("classes", "ordinal", "continuous")
PARTS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip
"""Words for the parts of an official split, in lower case."""
_NO_YES = ("0", "1")


def read_target(
    column: pl.Series,
    kind: str = "",
    classes: Sequence[str] = (),
    positive: str = "",
    expected: Target | None = None,
) -> tuple[Target, pl.Series]:
    """The question that a column asks, and the column as the case table holds it: an index into the classes (Int64) or
    a number (Float64), null where unknown.

    Two values are a binary question; text, truth values and at most 20 different whole numbers are classes; other
    numbers are continuous. `kind` (classes, ordinal, continuous) overrides that. `classes` are names in order, either
    of the values themselves or, for values 0, 1, …, of the classes that they count. `positive` is put second. Where the
    question is known, `expected` is it, whatever the values suggest.

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
    if not kind and not classes and not column.dtype.is_numeric() and len(found) > max(MANY, len(known) / 2):
        raise UserError(
            f"target '{name}' has {len(found)} different texts in {len(known)} rows, which name cases rather than "
            "classes; choose another column with --target"
        )
    if len(found) < 2 and not classes:
        raise UserError(f"target '{name}' has one class alone ('{found[0]}'): there is nothing to tell apart")
    names, place = _named(name, found, classes)
    if positive:
        if positive not in names:
            raise UserError(f"where positive={positive}: target '{name}' has the classes {', '.join(names)}")
        if len(names) == 2 and names[0] == positive:
            names, place = names[::-1], {value: 1 - index for value, index in place.items()}
    chosen: TargetKind = "binary" if len(names) == 2 else "ordinal" if kind == "ordinal" else "multiclass"
    indices = values.replace_strict(list(place), list(place.values()), default=None, return_dtype=pl.Int64)
    return Target(name, chosen, names), indices.alias(name)


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
    strange = sorted(set(found) - set(classes))
    raise UserError(f"target '{name}' has the value '{strange[0]}', which is none of the classes {', '.join(classes)}")
