"""Columns that say of the measurements in another one on which side the truth lies (`standard_relation`), in which
unit they are (`standard_units`) and what was measured (`standard_type`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from medeor.formats.values.headings import read_heading
from medeor.formats.values.measured.measurements import holds_relations
from medeor.formats.values.measured.units import is_unit

_RELATION = ("relation", "operator", "qualifier", "modifier", "relationship", "prefix", "comparator", "censor", "sign")
_UNIT = (
    "units", "unit", "uom", "unitofmeasure", "measurementunit", "einheit", "einheiten", "unité", "unités", "unite",
    "unites", "unidad", "unidades", "unità", "unita", "eenheid", "единица", "单位", "單位", "计量单位",
)  # fmt: skip
_GENERAL = ("", "standard", "std", "value", "activity", "result", "measurement", "measured", "data", "assay", "unit")
"""What a column may be called besides, where it speaks of the only measurements there are."""
_KIND = (
    "standardtype", "type", "activitytype", "measurement", "measurementtype", "standardactivitytype", "endpoint",
    "endpointtype", "assaytype", "resulttype", "valuetype", "parameter", "bioactivitytype", "affinitytype", "readout",
    "activityname", "standardname", "messgröße", "messgroesse", "kenngröße", "指标", "活性类型", "类型",
)  # fmt: skip
"""What a column is called that says what was measured: IC50, Ki, inhibition."""
_ASSAYS = {"a", "b", "f", "p", "t", "u", "adme", "binding", "functional", "physicochemical", "toxicity", "unassigned"}
"""Types of assays as ChEMBL has them, in lower case."""
_OF_WHAT = (
    "target", "targetid", "targetname", "targetchemblid", "targetprefname", "protein", "proteinname", "uniprot",
    "uniprotid", "gene", "genesymbol", "receptor", "kinase", "enzyme", "species", "targetorganism", "organism",
    "assayorganism", "assaytissuename", "assaycelltype", "targetsourceorganismaccordingtocuratorordatasource",
    "cellline", "靶点", "靶标", "种属",
)  # fmt: skip
"""What a column is called that says of which protein or species something was measured."""
_MEASURED = re.compile(
    r"^(?:log|p|-log)?[\s_]*(?:[iegdcxlm]c[\s_-]?\d{0,2}|ac[\s_-]?50|ed[\s_-]?50|ld[\s_-]?50|gi[\s_-]?50|k[\s_-]?[idbm](?:app)?|k(?:on|off|_on|_off)|"
    r"mic|cl(?:int)?|clearance|potency|activity|inhibition|%\s*\w+|percent\s*\w+|\w+\s*\(?%\)?|efficacy|emax|t1/2|half[\s-]?life|papp|"
    r"logd|logp|logs|solubility|ppb|fu|vdss?|auc|cmax|tmax|bioavailability|f|imax|ratio|selectivity|residual activity)"
    r"(?:[\s_]*\(.*\))?$",
    re.IGNORECASE,
)


class Qualifiers(NamedTuple):
    """The names of the columns that speak of one target; empty where there is none."""

    relations: str = ""
    units: str = ""


def qualifies(column: pl.Series, names: list[str]) -> bool:
    """Whether a column is named after another of `names`, or in general, as one that says a relation or a unit, and
    holds such."""
    subjects = {one for name in names if name != column.name for one in (_plain(name), _stem(name))} | {*_GENERAL}
    for words, holds in ((_RELATION, holds_relations), (_UNIT, _holds_units)):
        if holds(column) and any(subject in subjects for subject in _subjects(column.name, words)):
            return True
    return False


def qualifiers_of(facts: pl.DataFrame, target: str, alone: bool) -> Qualifiers:
    """The columns that say relation and unit of a target: those that are named after it (`IC50_relation`, and
    `standard_relation` of `standard_value`), else, where it is the only one measured (`alone`), those of a general
    name, unless that is another column's (`standard_units`, where there is a `standard_value`)."""
    own = list(dict.fromkeys(one for one in (_plain(target), _stem(target)) if one))
    if alone:
        others = {_stem(name) for name in facts.columns if name != target and _stem(name) != _plain(name)}
        own += [one for one in _GENERAL if one not in others and one not in own]

    def first(words: tuple[str, ...], holds: Callable[[pl.Series], bool]) -> str:
        found = [
            (own.index(subject), words.index(word), name)
            for name in facts.columns
            if name != target
            for word in words
            for subject in _subjects(name, (word,))
            if subject in own and holds(facts[name])
        ]
        return min(found, default=(0, 0, ""))[2]

    return Qualifiers(first(_RELATION, holds_relations), first(_UNIT, _holds_units))


def kinds_of_measurement(facts: pl.DataFrame, target: str) -> tuple[str, list[str]]:
    """The column that says of each value of a target what was measured (`Standard Type`) or of which protein or species
    (`Target ChEMBL ID`), and what it names where the target is known, the commonest first; none where there is no such
    column, or one kind alone."""
    known = facts.filter(pl.col(target).is_not_null())
    for name in facts.columns:
        if name == target or known[name].dtype != pl.String:
            continue
        texts = known[name].str.strip_chars().drop_nulls().rename("kind")
        counted = texts.value_counts().sort("count", "kind", descending=[True, False])
        spelled = {text.lower() for text in counted["kind"]}
        kinds = _plain(name) in _KIND and (sum(map(bool, map(_MEASURED.match, spelled))) >= 2 or spelled <= _ASSAYS)
        if len(spelled) > 1 and (kinds or _plain(name) in _OF_WHAT):
            return name, counted["kind"].to_list()
    return "", []


def _holds_units(column: pl.Series) -> bool:
    return column.dtype == pl.String and any(is_unit(text) for text in column.drop_nulls().unique())


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _subjects(name: str, words: tuple[str, ...]) -> list[str]:
    """What a column is about that is named by one of `words`: of `IC50 units` `ic50`, of `Einheit` nothing."""
    plain = _plain(name)
    before = [plain.removesuffix(word) for word in words if plain.endswith(word)]
    return before + [plain.removeprefix(word) for word in words if plain.startswith(word) and plain != word]


def _stem(name: str) -> str:
    """A column's name, plain, without the word value or its unit: of `standard_value` `standard`, of `IC50 (nM)`
    `ic50`."""
    words = [word for word in re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name)) if word]
    if len(words) > 1 and words[-1].lower() in ("value", "values", "wert"):
        return _plain("".join(words[:-1]))
    return _plain(read_heading(name).subject) or _plain(name)
