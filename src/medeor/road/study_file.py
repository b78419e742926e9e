"""A study as its file, `study.toml`, and as the fields that a user gives of it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medeor.console import renamed
from medeor.contracts import Message, Study, Text, UserError
from medeor.files import read_toml
from medeor.targets.binary import rule

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


def asked(*sources: str | Path | np.ndarray | pl.DataFrame, study: str | Path = "", **fields: Any) -> Study:
    """A study from sources and fields of `contracts.Study`, on top of a `study.toml` where one is given. A text
    stands for a list of one; a setting named like a field of the study sets that field, and `inputs.ROLE` one input.

    Example: `asked("scans/", labels="labels.csv", target="malignant", group="patient_id")`."""
    values: dict[str, Any] = read_toml(Path(study)) if study else {}
    fields = {key: str(value) if isinstance(value, Path) else value for key, value in fields.items()}
    fields = {key: value for key, value in fields.items() if not (hasattr(value, "__len__") and not len(value))}
    fields = {key: value for key, value in fields.items() if value is not None}
    if not isinstance(fields.get("labels", ""), str):
        sources = (*sources, fields.pop("labels"))
    for named in (values, fields):
        if "where" in named:
            renamed("where", "options")
            named["options"] = {**named.pop("where"), **named.get("options", {})}
    own = {field.name: str(field.type) for field in dataclasses.fields(Study)}
    settings = {key: str(value) for key, value in dict(fields.pop("settings", {})).items()}
    for key in [key for key in settings if key in own and key not in ("sources", "settings", "options", "inputs")]:
        fields[key] = _typed(key, settings.pop(key), own[key])
    roles = [key for key in settings if key.startswith("inputs.")]
    if inputs := {key.removeprefix("inputs."): settings.pop(key) for key in roles}:
        fields["inputs"] = {**values.get("inputs", {}), **fields.get("inputs", {}), **inputs}
    values = {**values, **fields}
    if settings:
        values["settings"] = {**values.get("settings", {}), **settings}
    values["sources"] = [str(s) for s in values.get("sources", [])] if not sources else ["in memory"]
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    made = study_from(values, str(study) or Message("road.study-file.study"))
    given = tuple(str(s) if isinstance(s, Path) else s if isinstance(s, str) else _frame(s) for s in sources)
    return dataclasses.replace(made, sources=given) if sources else made


def _frame(source: Any) -> Any:
    from medeor.formats.tables.read import as_frame

    return as_frame(source)


_KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float | None": (int, float)}


_FORMER = {"where": "options"}
"""What 0.1 called a key of a study."""


def study_from(values: Mapping[str, object], where: Text) -> Study:
    """A study from what stands in `study.toml`, every key and type checked."""
    known = {field.name: field for field in dataclasses.fields(Study)}
    checked: dict[str, object] = {}
    for name, value in values.items():
        key = _FORMER.get(name, name)
        if key not in known:
            raise UserError("road.study-file.unknown", where=where, key=key, known=tuple(known))
        kind = str(known[key].type)
        if kind.startswith("tuple"):
            listed: Sequence[object] = value if isinstance(value, list) else [value]
            inside, what = (str, "texts") if "str" in kind else ((int, float), "numbers")
            if not all(isinstance(inner, inside) and not isinstance(inner, bool) for inner in listed):
                raise UserError(f"road.study-file.list.{what}", where=where, key=key)
            checked[key] = tuple(listed)
        elif kind.startswith("Mapping"):
            if not isinstance(value, dict):
                raise UserError("road.study-file.table", where=where, key=key)
            checked[key] = {
                option: inner if isinstance(inner, str) else json.dumps(inner, default=str)
                for option, inner in value.items()
            }
        elif kind in _KINDS and isinstance(value, _KINDS[kind]) and not isinstance(value, bool):
            checked[key] = value
        else:
            raise UserError("road.study-file.another-type", where=where, key=key, value=repr(value), type=kind)
    study = Study(**checked)  # type: ignore[arg-type]
    if not 0 <= study.seed < 1 << 31:
        raise UserError("road.study-file.seed", where=where, seed=study.seed)
    if study.minutes is not None and not 0 < study.minutes < math.inf:
        raise UserError("road.study-file.minutes", where=where, minutes=study.minutes)
    if study.threshold:
        rule(study.threshold)
    if not all(0 < rate < 1 for rate in study.prevalence):
        raise UserError("road.study-file.prevalence", where=where, prevalence=study.prevalence)
    return study


def study_values(study: Study) -> dict[str, object]:
    """A study as what stands in `study.toml`; arrays and tables in memory by their shape."""
    values: dict[str, object] = {}
    for field in dataclasses.fields(Study):
        value = getattr(study, field.name)
        if field.name == "sources":
            value = [_named(source) for source in value]
        if value not in (None, "", (), {}, []):
            values[field.name] = dict(value) if isinstance(value, Mapping) else value
    return values


def _named(source: object) -> str:
    if isinstance(source, (str, Path)):
        return str(source)
    return f"<{type(source).__name__} {'x'.join(str(n) for n in getattr(source, 'shape', ()))}>"


def _typed(key: str, text: str, kind: str) -> Any:
    if kind.startswith("tuple"):
        parts = [part.strip() for part in text.split(",")]
        return parts if "str" in kind else [_typed(key, part, "float") for part in parts]
    if kind == "str":
        return text
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        raise UserError("road.study-file.no-number", key=key, text=text) from None
