"""The unit in the heading of a column of numbers (`IC50 (nM)`, `CLint_uL/min/mg`, `log(IC50/nM)`), and whether the
numbers are logarithms."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from medeor.formats.values.measured.units import is_unit, usual_unit

_BRACKETS = re.compile(r"\(([^()]*(?:\([^()]*\)[^()]*)*)\)|\[([^\[\]]*)\]|\{([^{}]*)\}|<([^<>]*)>")
_LETTER = re.compile(r"(?<![a-z])(?:half|t_?1?/?2|t_?half|time|mrt|t_?max|duration|zeit|dauer)", re.IGNORECASE)
"""What makes a last letter (`half_life_h`) a unit of time."""
_CONCENTRATION = re.compile(
    r"(?<![a-z])(?:[iegdlx]c_?\d{2}|ac_?50|ec_?\d{2}|gi_?50|cc_?50|mic|k_?[idm]|kb|km|conc\w*|sol(?:ubility)?|potency|"
    r"affinity|c_?max)(?![a-z])",
    re.IGNORECASE,
)
"""What is measured as a concentration, in which `nm` is nM."""
_MOLAR = {"m": "M", "mm": "mM", "um": "uM", "nm": "nM", "pm": "pM", "fm": "fM"}
_LOGARITHM = re.compile(
    r"(?<![a-z])lg(?:_?10)?(?![a-z])|(?<![a-z])lg(?=[iea]c_?\d|k[id](?![a-z]))|"
    r"(?<![a-z])log(?!ic(?:al|s)(?![a-z])|isti|in(?![a-z])|o(?![a-z])|ger|fi)|对数|對數",
    re.IGNORECASE,
)
_NATURAL = re.compile(r"(?<![A-Za-z])[Ll][Nn](?![a-z])")
_NEGATIVE = re.compile(
    r"(?i:^(?:-|neg(?:ative)?[\s_]*|minus[\s_]*)(?:log|lg)|(?<![a-z])p(?:[IEADGLXC]C|ED|LD|GI)_?\d\d)|"
    r"(?<![A-Za-z])p(?:[Kk][idb](?![a-z])|[Cc]h[Ee][Mm][Bb][Ll]|[Aa]ctivity|[Pp]otency|MIC)"
)
_CONDITION = re.compile(r"(?:^|[\s_@,(])(?!1/2$)(?=[^\s_@,]*\d)[\dxX×eE^.,+()/-]+$")
"""A number before a unit: of a condition (`inhibition at 10 uM`), or a power of ten that belongs to the unit."""

_AT = re.compile(r"\s*(?:@|(?<![A-Za-z])(?:at|bei)\s)\s*\d[\d.,]*\s*[^\W\d_]*$", re.IGNORECASE)
"""The condition at the end of a heading: `@ 24h`, `at 10 uM`."""


class Heading(NamedTuple):
    """What the heading of a column of numbers says."""

    subject: str
    """The heading without its unit."""
    unit: str
    """Of the numbers, or of that whose logarithms they are; empty where none is named."""
    logarithm: str = ""
    """`log10 `, `-log10 ` or `ln ` where the numbers are logarithms, else empty."""

    @property
    def measured_in(self) -> str:
        """The unit of the numbers themselves; empty where it is not known."""
        return f"{self.logarithm}{self.unit}" if self.unit else ""


def read_heading(name: str) -> Heading:
    """What a heading says of its numbers. A unit stands in brackets of any kind, after a comma, a slash or `in`, or as
    the last word; it counts where its size is known (`measured.units`). A single letter at the end is one only behind
    what is measured in it (`half_life_h`, not `dose_g`)."""
    text = " ".join(unicodedata.normalize("NFC", name).translate(_HALF_WIDTH).split()).strip(" ._")
    if is_unit(text) and len(text) > 1:
        return Heading("", usual_unit(text))
    signs = (("-log10 ", _NEGATIVE), ("log10 ", _LOGARITHM), ("ln ", _NATURAL))
    logarithm = next((sign for sign, pattern in signs if pattern.search(text)), "")
    for found in _BRACKETS.finditer(text):
        inside = next(part for part in found.groups() if part is not None)
        rest = " ".join((text[: found.start()] + " " + text[found.end() :]).split())
        for part in (inside, *re.split(r"[,;]", inside)):
            if unit := _unit(part, rest):
                return Heading(rest, unit, logarithm)
        if rest.lower().lstrip("-") in ("log", "log10", "lg", "ln") and (inner := read_heading(inside)).unit:
            return Heading(f"{rest} {inner.subject}", inner.unit, logarithm)
    plain = _AT.sub("", " ".join(_BRACKETS.sub(" ", text).split()))
    subject, unit = _last(plain)
    if not unit and _PERCENT.search(plain):
        subject, unit = " ".join(_PERCENT.sub(" ", plain).split()), "%"
    return Heading(subject, unit, logarithm)


_PERCENT = re.compile(r"(?:^|(?<=[\s_.]))(?:%|percent(?:age)?(?![a-z]))|%(?=$|[\s_.])", re.IGNORECASE)


def _last(text: str) -> tuple[str, str]:
    """A heading without the unit at its end, and that unit; empty where there is none."""
    for mark in (r"\s*,\s*", r"\s+in\s+", r"\s*[\s_.:|@-]\s*", r"\s*/\s*"):
        for found in re.finditer(mark, text):
            subject, tail = text[: found.start()].strip(" ._/"), text[found.end() :]
            if not subject or _CONDITION.search(subject):
                continue
            for way in (tail, tail.replace("_", " "), _slashed(tail)):
                unit = _unit(way, subject)
                if unit and (
                    len(unit) > 1 or unit in "%" or _LETTER.search(subject) or (unit == "M" and _molar(subject))
                ):
                    return subject, unit
    return text, ""


def _slashed(tail: str) -> str:
    """`uL_min_mg` as `uL/min/mg`: names of columns often have no slash."""
    parts = re.split(r"[_\s]+", tail.strip())
    return "/".join(parts) if len(parts) > 1 and "1" not in parts and all(map(is_unit, parts)) else ""


def _unit(text: str, subject: str) -> str:
    """A text as a unit of what the rest of the heading names; empty where it is none."""
    text = usual_unit(text)
    if text.lower() in _MOLAR and text not in _MOLAR.values() and _molar(subject):
        return _MOLAR[text.lower()]
    return text if is_unit(text) and text != "1" else ""


def _molar(subject: str) -> bool:
    return _CONCENTRATION.search(subject) is not None


_HALF_WIDTH = str.maketrans("（）［］｛｝【】〔〕％／，：；＿　", "()[]{}[][]%/,:;_ ")
