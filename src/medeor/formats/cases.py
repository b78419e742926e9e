"""What the columns of a user's table become in the case table, whatever the cases are: roles, the official split, names
of cases, targets, and the rest."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from medeor.contracts import Finding, Message, Sources, Study, Target, Text, UserError, listed
from medeor.formats.tables.facts import TABLES
from medeor.formats.tables.read import set_apart, table_findings
from medeor.formats.tables.rows import digest_of
from medeor.formats.values.targets import PARTS, TargetColumns, read_parts, read_targets

OWN = frozenset({"case_id", "group", "site", "time", "part", "fold", "source", "content", "broken"})
"""Columns of the case table that a user's column never takes the place of; readers add their own."""
USUAL_PARTS = ("part", "split", "subset", "set", "fold", "partition")
"""What a column of an official split is usually called."""
MOST_PARTS = 20
"""Different values up to which a column that is called like a split may be meant as one."""

_PSEUDONYM = re.compile(r"(?=[0-9-]*[a-f])[0-9a-f]{12}(-\d+)?")
"""What medeor calls a case: a table that it wrote keeps its names. A number of twelve digits may be a person's."""


class OfficialSplit(NamedTuple):
    """The parts that a user's table names."""

    column: str = ""
    """The user's column; empty where there is none."""
    part: pl.Series | None = None
    """train, validation, test or null, under the name `part`."""
    findings: tuple[Finding, ...] = ()
    """A column that is called like an official split and is not used as one."""


@dataclass(frozen=True)
class CaseColumns:
    """The columns of a user's table, and the study that gives them roles."""

    facts: pl.DataFrame
    study: Study
    where: Text | Sequence[Text]
    """What a message calls the table."""
    own: Collection[str] = OWN
    """Names that the reader uses itself: a user's column of such a name gets ` (table)` behind it."""
    unnamed_split: Literal["used", "reported"] = "used"
    """What becomes of an official split that the study does not name. It is reported alone where cases that belong
    together are known by what they are (compounds), so that another split may separate them."""
    targets: tuple[str, ...] = ()

    def predicting(self, targets: Sequence[str]) -> CaseColumns:
        """The same with these targets. Raises: UserError for a column that the study names and that is not there, and
        for a target of a name that medeor uses itself."""
        study = self.study
        own = {*self.own} - (set() if study.time else {"time"})
        self.require(*targets, study.group, study.site, study.time, *study.subgroups)
        for name in own.intersection(targets):
            raise UserError("cases.target-name", target=name)
        return replace(self, targets=tuple(targets))

    def require(self, *names: str) -> None:
        """Raises: UserError for a column that is not there."""
        for name in names:
            if name and name not in self.facts.columns:
                known = Message("cases.columns", columns=listed(self.facts.columns)) if self.facts.width else ""
                raise UserError("cases.no-column", column=name, table=self.where, known=known)

    @property
    def free(self) -> list[str]:
        """Columns to which the study gives no role."""
        study = self.study
        taken = {study.group, study.site, study.time, study.split, *study.subgroups}
        return [name for name in self.facts.columns if name not in taken]

    @property
    def roles(self) -> list[pl.Series]:
        """`site` and `time`, where the study names them."""
        study, facts = self.study, self.facts
        site = [facts[study.site].cast(pl.String).alias("site")] if study.site else []
        return [*site, *([facts[study.time].alias("time")] if study.time else [])]

    @property
    def groups(self) -> pl.Series:
        """The independent unit of each row in one spelling: one normal form of its letters, without signs and blanks
        that nobody sees; null where it is not known."""
        if not self.study.group:
            return pl.Series("group", [None] * self.facts.height, pl.String)
        names = self.facts[self.study.group].cast(pl.String).str.normalize("NFKC").str.replace_all("\u200b", "")
        return names.str.replace_all(r"\s+", " ").str.strip_chars().replace("", None).alias("group")

    @property
    def id_column(self) -> str:
        """The column by which the user knows the cases: that which `--option id` names, else `case_id`; or empty."""
        return self.study.options.get("id") or ("case_id" if "case_id" in self.facts.columns else "")

    @property
    def ids(self) -> list[str | None]:
        """The user's own name of each case, null where there is none. Raises: UserError as `require`."""
        self.require(self.id_column)
        if not self.id_column:
            return [None] * self.facts.height
        return self.facts[self.id_column].cast(pl.String).str.strip_chars().replace("", None).to_list()

    @cached_property
    def split(self) -> OfficialSplit:
        """The column that the study names, if it names parts, be it with a slip; else, where the study names no split,
        the first of a usual name that names nothing but parts.

        Raises: UserError for a slip in the column that the study names."""
        facts, named = self.facts, self.study.split
        called_so = [name for name in facts.columns if name == named or name.lower() in USUAL_PARTS]
        words = {name: _words(facts[name]) for name in called_so if not facts[name].dtype.is_nested()}
        if named in words and (words[named] & PARTS.keys() or (named.lower() in USUAL_PARTS and _slips(words[named]))):
            return OfficialSplit(named, read_parts(facts[named]))
        usual = [one for one in words if words[one] and words[one] <= PARTS.keys() and one not in self.targets]
        usual = [] if named else usual
        if usual and self.unnamed_split == "used":
            return OfficialSplit(usual[0], read_parts(facts[usual[0]]))
        for name in usual:
            if len(words[name]) > 1:
                return _unused("parts-not-used", Message("cases.parts-not-used", column=name))
        for name in words:
            if name.lower() in USUAL_PARTS and name not in (*usual, *self.targets) and named in ("", name):
                values = facts[name].cast(pl.String).drop_nulls().unique().sort()
                if 1 < len(values) <= MOST_PARTS:
                    key = "cases.split-by-value" if named else "cases.no-split"
                    message = Message(key, column=name, values=listed(map(repr, values), 5))
                    return _unused("official-split", message)
        return OfficialSplit()

    def others(self, left_out: Collection[str] = ()) -> dict[str, pl.Series]:
        """The rest of the user's columns by their names, under names that medeor does not use itself. The column that
        the study splits by stays among them; if it names parts, in medeor's words."""
        study, split = self.study, self.split
        moved = {*self.targets, study.group, *self._in_place} | ({study.site, study.time, *left_out} - {study.split})
        kept = {name: self.facts[name] for name in self.facts.columns if name not in moved}
        if split.part is not None and split.column == study.split and split.column in kept:
            kept[split.column] = split.part
        return {name: column.alias(self._names[name]) for name, column in kept.items()}

    @property
    def subgroups(self) -> tuple[str, ...]:
        """The study's subgroups by their names in the case table."""
        study = self.study
        roles = {study.group: "group", study.site: "site", study.time: "time"} | {name: name for name in self.targets}
        names = self._names | roles | {name: name for name in self._in_place}
        return tuple(dict.fromkeys(names[name] for name in study.subgroups))

    @property
    def _names(self) -> dict[str, str]:
        return set_apart(self.facts.columns, self.own.__contains__)

    @property
    def _in_place(self) -> set[str]:
        """Columns of roles that the user calls as medeor does."""
        study = self.study
        roles = {study.group: "group", study.site: "site", study.time: "time"}
        roles |= {study.split: "part"} if self.split.column == study.split else {}
        return {column for column, role in roles.items() if column == role}


def case_columns(
    facts: pl.DataFrame, sources: Sources, study: Study, where: Text | Sequence[Text], naming: Sequence[str] = ("id",)
) -> CaseColumns:
    """A user's table in the roles of a study, with the subgroups of the sources that are present. No role need be there
    where cases are only to be predicted, nor what options called `naming` name where these are those of a model."""
    here = facts.columns
    subgroups = [*study.subgroups, *(name for name in sources.subgroups if name in here)]
    roles = {name: getattr(study, name) for name in ("group", "site", "time", "split")}
    options = dict(study.options)
    if not sources.labelled:
        roles = {name: column if column in here else "" for name, column in roles.items()}
        subgroups = [name for name in subgroups if name in here]
    if sources.model is not None:
        for key in options.keys() & set(naming):
            options[key] = "|".join(name for name in several(options[key]) if name in here)
    for role in ("site", "time"):
        # A split by `site` or `time` means the user's column of that name where no other has the role.
        roles[role] = roles[role] or (role if study.split == role and role in here else "")
    options = {key: value for key, value in options.items() if value or study.options[key] == ""}
    return CaseColumns(facts, replace(study, subgroups=tuple(subgroups), options=options, **roles), where)


def several(text: str) -> tuple[str, ...]:
    """Names that an option separates by `|`."""
    return tuple(name.strip() for name in text.split("|") if name.strip())


def class_names(options: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the classes that a study states, separated by `|` or, where there is none, by commas."""
    text = options.get("classes", "")
    return several(text if "|" in text else text.replace(",", "|"))


def target_columns(
    facts: pl.DataFrame, names: Sequence[str], options: Mapping[str, str], expected: Sequence[Target]
) -> TargetColumns:
    """The targets as `read_targets` has them, by what the options of a study state of them; none without names."""
    if not names:
        return TargetColumns((), pl.DataFrame(height=facts.height))
    kind, positive = options.get("kind", ""), options.get("positive", "")
    return read_targets(facts, names, kind, class_names(options), positive, expected)


def why_broken(
    problems: Sequence[str | None] | pl.Series, values: pl.DataFrame, targets: Sequence[Target]
) -> pl.Series:
    """The column `broken`: the problem of each case, else that no target is known of it, else null."""
    broken = pl.Series("broken", problems, pl.String)
    if not targets:
        return broken
    unknown = pl.all_horizontal(pl.col(target.name).is_null() for target in targets)
    return broken.fill_null(values.select(pl.when(unknown).then(pl.lit(str(Message("cases.no-label"))))).to_series())


def pseudonym(identity: str) -> str:
    """12 hex digits of a digest of what makes a case itself; a name that medeor gave stays. The user's own name may
    have `id` and a zero byte before it."""
    given = identity.removeprefix("id\0")
    return given if _PSEUDONYM.fullmatch(given) else digest_of(identity)


def is_table(source: object) -> bool:
    """Whether a source is a table, in memory or as a file by its ending."""
    if isinstance(source, str | Path):
        return Path(str(source).lower().removesuffix(".gz")).suffix in TABLES
    return isinstance(source, pl.DataFrame)


def findings_of_tables(sources: Sequence[object]) -> tuple[Finding, ...]:
    """What the files of tables among some sources are not plainly (see `table_findings`)."""
    files = [Path(one) for one in sources if isinstance(one, str | Path) and is_table(one)]
    return tuple(found for path in files for found in table_findings(path))


def _words(column: pl.Series) -> set[str]:
    texts = column.dtype in (pl.String, pl.Categorical, pl.Enum)
    return set(column.cast(pl.String).str.strip_chars().str.to_lowercase().drop_nulls()) if texts else set()


def _slips(words: Collection[str]) -> bool:
    """Whether each word is a part that is spelled wrongly."""
    return bool(words) and all(get_close_matches(word, PARTS, 1, 0.7) for word in words)


def _unused(check: str, message: Message) -> OfficialSplit:
    return OfficialSplit(findings=(Finding(check, "quality", "unknown", message),))
