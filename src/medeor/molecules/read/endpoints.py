"""What is measured of compounds: unit, scale, direction and plausible range of each endpoint, from `endpoints.toml`."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import Literal

import numpy as np

from medeor.contracts import Message, Target, Text, UserError
from medeor.formats.values.headings import read_heading
from medeor.formats.values.measured.units import factor
from medeor.targets import of

FEW = 5
"""Values below which a column's unit is not judged."""
_OUTSIDE = 0.5
"""Share of implausible values from which the column, not its values, is suspect."""
_EXPLAINED = 0.9
"""Share of values that another unit has to make plausible to be named."""


@dataclass(frozen=True)
class Endpoint:
    """What is known of one endpoint."""

    name: str
    kind: Literal["continuous", "binary"]
    unit: str = ""
    scale: Literal["linear", "log", "log10"] = "linear"
    """`linear`: learned and scored as it stands; `log`: positive and skewed, learned on log10 and scored as fold error;
    `log10`: the values are logarithms of `unit` already."""
    better: Literal["higher", "lower", ""] = ""
    low: float = -np.inf
    high: float = np.inf
    """What is plausible, on the scale of the column."""
    names: tuple[str, ...] = ()
    source: str = ""

    @property
    def title(self) -> Message:
        return Message(f"molecules.endpoint.{self.name}")

    @property
    def direction(self) -> Text:
        """Whether higher or lower values are better; empty where neither is."""
        return self.better and Message(f"molecules.endpoints.{self.better}")

    @property
    def measured_in(self) -> str:
        """The unit of the column's values, as an axis or a report names it."""
        return f"log10 {self.unit}" if self.scale == "log10" else self.unit

    @property
    def is_number(self) -> bool:
        return not of(Target(self.name, self.kind)).classes

    def certain(self, column: str) -> bool:
        """Whether a column of this name can be in no other unit: it is a mere ratio or a negative logarithm (pIC50,
        which is of mol/L by definition), or the name holds the unit."""
        if self.unit.startswith("-log10") or self.unit in ("ratio", "log10 ratio"):
            return _plain(column) not in GENERIC
        return len(self.unit) > 1 and _plain(column) in self.names and _plain(column).endswith(_plain(self.unit))


@lru_cache(maxsize=1)
def endpoints() -> dict[str, Endpoint]:
    """Every known endpoint, by name."""
    text = resources.files("medeor.molecules.read").joinpath("endpoints.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return {name: Endpoint(name, **{**table, "names": tuple(table["names"])}) for name, table in tables.items()}


def named_endpoint(name: str) -> Endpoint:
    """The endpoint that a user names (`hlm_clearance`). Raises: UserError where there is none, with those close by."""
    if (found := endpoints().get(name)) is not None:
        return found
    close = difflib.get_close_matches(name, endpoints(), n=4, cutoff=0.4) or list(endpoints())
    raise UserError("molecules.option.no-endpoint", name=name, close=close)


def in_unit(endpoint: Endpoint, unit: str) -> Endpoint | None:
    """An endpoint with its plausible range in another unit; None where that is no multiple of its own."""
    if not unit or unit == endpoint.measured_in:
        return endpoint
    (sign, own), (other, wanted) = _logarithm(endpoint.measured_in), _logarithm(unit)
    size = factor(own, wanted) if sign == other else None
    if size is None:
        return None
    if sign:
        shift = float(np.log10(float(size))) * (-1 if sign.startswith("-") else 1)
        return replace(
            endpoint,
            low=endpoint.low + shift,
            high=endpoint.high + shift,
            unit=unit if endpoint.scale != "log10" else wanted,
        )
    return replace(endpoint, low=endpoint.low * float(size), high=endpoint.high * float(size), unit=wanted)


def _logarithm(unit: str) -> tuple[str, str]:
    sign = next((sign for sign in ("log10 ", "-log10 ", "ln ") if unit.startswith(sign)), "")
    return sign, unit.removeprefix(sign)


def find_endpoint(column: str, file: str = "") -> Endpoint | None:
    """The endpoint that a column measures: by the column's name, with or without its unit, or where that says nothing
    (`activity`, `y`), by the name of its file."""
    known = _by_name()
    for name in (column, read_heading(column).subject):
        if (found := known.get(_plain(name))) is not None:
            return found
    if _plain(column) not in GENERIC:
        return None
    words = re.split(r"[\W_]+", re.sub(r"\.(csv|tsv|txt|parquet|xlsx|sdf|smi)(\.gz)?$", "", file.lower()))
    runs = [words[start:end] for start in range(len(words)) for end in range(len(words), start, -1)]
    return next((known[text] for run in runs if (text := _plain("".join(run))) in known), None)


GENERIC = ("activity", "label", "y", "target", "value", "class", "measurement", "outcome", "exp", "expt", "property")
"""Names of columns that hold something to be predicted, and do not say what."""


def wrong_unit(values: np.ndarray, endpoint: Endpoint) -> Message | None:
    """Why a column seems not to be in the endpoint's unit: what it would have to be instead; None where most values
    are plausible or there are too few."""
    known = values[np.isfinite(values)]
    if len(known) < FEW or (plausible := _plausible(known, endpoint)) > 1 - _OUTSIDE:
        return None
    low, high = np.quantile(known, [0.05, 0.95]).tolist()
    with np.errstate(all="ignore"):
        readings = []
        if endpoint.scale == "log10":
            readings = [(Message("molecules.unit.no-logarithms"), np.log10(known))]
        elif endpoint.unit.startswith("-log10"):
            readings = [(Message("molecules.unit.concentrations", unit=unit, shift=shift), shift - np.log10(known))
                        for unit, shift in (("nM", 9), ("uM", 6), ("M", 0))]  # fmt: skip
        elif endpoint.scale == "log":
            readings = [(Message("molecules.unit.logarithms"), 10.0**known)]
        sizes = (1e3, 1e6, 1e9, 100.0)
        readings += [(Message("molecules.unit.large", factor=size), known / size) for size in sizes]
        readings += [(Message("molecules.unit.small", factor=size), known * size) for size in sizes]
    fitting = (reading for reading, changed in readings if _plausible(changed, endpoint) >= _EXPLAINED)
    return Message(
        "molecules.unit.implausible", share=1 - plausible, low=low, high=high, least=endpoint.low, most=endpoint.high,
        guess=next(fitting, Message("molecules.unit.check")),
    )  # fmt: skip


def _plausible(values: np.ndarray, endpoint: Endpoint) -> float:
    return float(np.mean((values >= endpoint.low) & (values <= endpoint.high)))


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Endpoint]:
    return {name: one for one in endpoints().values() for name in (_plain(one.name), *one.names)}


def _plain(name: str) -> str:
    return re.sub(r"[^\w%]|_", "", name.lower().replace("µ", "u"))
