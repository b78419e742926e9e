"""A study as its file, `study.toml`, and as the fields that a user gives of it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medeor.console import renamed
from medeor.contracts import Message, Source, Study, Text, UserError
from medeor.files import read_toml
from medeor.settings import build
from medeor.targets.binary import rule


def asked(*sources: Source, study: str | Path = "", **fields: Any) -> Study:
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
    settings: dict[str, str] = {}
    for key, value in dict(fields.pop("settings", {})).items():
        if key.startswith("inputs."):
            given = {**values.get("inputs", {}), **fields.get("inputs", {})}
            fields["inputs"] = {**given, key.removeprefix("inputs."): str(value)}
        elif key in _SETTABLE:
            fields[key] = [part.strip() for part in str(value).split(",")] if key in _LISTS else str(value)
        else:
            settings[key] = str(value)
    values |= fields
    if settings:
        values["settings"] = {**values.get("settings", {}), **settings}
    values["sources"] = ["in memory"] if sources else [str(source) for source in values.get("sources", [])]
    made = study_from(values, str(study) or Message("road.study-file.study"))
    return dataclasses.replace(made, sources=tuple(map(_source, sources))) if sources else made


def _source(source: Any) -> Source:
    if isinstance(source, (str, Path)):
        return str(source)
    from medeor.formats.tables.read import as_frame

    return as_frame(source)


_FORMER = {"where": "options"}
"""What 0.1 called a key of a study."""

_LISTS = {name for name, default in vars(Study()).items() if isinstance(default, tuple)}
_SETTABLE = set(vars(Study())) - {"sources", "settings", "options", "inputs"}
"""What `--set` may fix of a study, as of a plan."""


def study_from(values: Mapping[str, object], where: Text) -> Study:
    """A study from what stands in `study.toml`, every key and type checked."""
    current = {_FORMER.get(name, name): value for name, value in values.items()}
    for key in set(current) - set(vars(Study())):
        raise UserError("road.study-file.unknown", where=where, key=key, known=tuple(vars(Study())))
    study = build(Study, {name: _plain(name, value) for name, value in current.items()}, where)
    if not 0 <= study.seed < 1 << 31:
        raise UserError("road.study-file.seed", where=where, seed=study.seed)
    if study.minutes is not None and not 0 < study.minutes < math.inf:
        raise UserError("road.study-file.minutes", where=where, minutes=study.minutes)
    if study.threshold:
        rule(study.threshold)
    if not all(0 < rate < 1 for rate in study.prevalence):
        raise UserError("road.study-file.prevalence", where=where, prevalence=study.prevalence)
    return study


def _plain(key: str, value: object) -> object:
    """One thing as a list of one, and the values of a table as texts."""
    if key in _LISTS:
        return list(value) if isinstance(value, (list, tuple)) else [value]
    if isinstance(value, Mapping):
        return {name: one if isinstance(one, str) else json.dumps(one, default=str) for name, one in value.items()}
    # pydantic takes a truth value for a number, and no field of a study is one.
    return [value] if isinstance(value, bool) else value


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
