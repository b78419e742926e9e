"""What can spoil a study before or after it is fitted, whatever its data: leakage between parts, labels that are
missing, rare or wrong, and shortcuts, facts other than the data that give the label away. Each check ends with pass,
fail or unknown, and names the cases."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from medeor.contracts import Cases, Finding, Message, Predictions, Split, Target, UserError
from medeor.statistics.split import PARTS
from medeor.targets import categorical, of
from medeor.targets.common.doubts import TOO_MANY
from medeor.targets.outcomes import with_truth
from medeor.trust.audits.checks import found
from medeor.trust.shortcuts import missing, shortcut

IMBALANCE = 10
"""Times the commonest class may outnumber the rarest in training."""

SMALLEST_PART = 20
"""Independent units (patients) below which a part shows little: with 20, an AUROC of .8 has a standard error of .1."""

SMALLEST_CLASS = 5
"""Independent units of a class below which a part shows little about that class."""

LABEL_ERRORS = 0.02
"""Share of labels that may look wrong: hard cases look wrong too."""

LIFETIME = 60 * 365
"""Days from the median beyond which a time is none."""

_ENOUGH = 10
"""Held-out cases of a target from which its labels are judged."""

_BOOKKEEPING = {
    "case_id", "group", "site", "time", "part", "fold",
    "images", "source", "content", "nonfinite", "broken", "identifiers", "width", "height", "depth",
}  # fmt: skip
"""Columns that a reader writes about where the data lies; a modality's own audit looks for labels in them."""


def audit(cases: Cases, split: Split, *, by: str = "") -> list[Finding]:
    """Every check that needs no knowledge of the modality. `by="time"` claims that the parts were divided by time,
    and has that checked too."""
    parts = split.table.select("case_id", "part", "fold")
    table = cases.table.drop("part", "fold", strict=False).join(parts, on="case_id", how="inner", maintain_order="left")
    divided = replace(cases, table=table)
    findings = [_groups_across_parts(table)]
    if by == "time":
        findings += [_times_across_parts(table), *_odd_times(table)]
    findings.append(_missing_labels(divided))
    if categorical(cases.targets):
        findings += [_one_class(divided), _class_missing_in_training(divided), _imbalance(divided)]
    findings.append(_tiny_part(divided))
    # A test part is scored once, by the model: what the labels are like is judged from the rest.
    open_cases = divided.where(pl.col("part") != "test")
    findings.append(_site(open_cases))
    for name in _metadata(open_cases, by):
        what = Message("trust.shortcut.column", name=name)
        findings.append(shortcut(f"shortcut/{name}", what, open_cases.table.select(name), open_cases))
    return findings


def accepted(findings: Iterable[Finding], names: Collection[str]) -> list[Finding]:
    """The findings, with those failures marked that the user accepts by name.

    Raises: UserError for a name that no check has."""
    findings = list(findings)
    # Label errors are only known after the fit.
    checks = sorted({finding.check for finding in findings} | {"label-errors"})
    for name in names:
        if name not in checks:
            raise UserError("trust.audit.no-check", name=name, checks=checks)
    return [replace(f, accepted=True) if f.status == "fail" and f.check in names else f for f in findings]


# --- leakage ---------------------------------------------------------------------------------------------


def _groups_across_parts(table: pl.DataFrame) -> Finding:
    check = "groups-across-parts"
    if "group" not in table.columns:
        return Finding(check, "leakage", "unknown", Message("trust.audit.no-groups"))
    # Without a column of the user's, a reader names a group after its first case, and ties copies: those have checks
    # of their own. Cases that it tied for another reason (a patient's number in their headers) are judged here.
    content = pl.col("content") if "content" in table.columns else pl.col("case_id")
    named = ~pl.col("group").cast(pl.String).is_in(table["case_id"].cast(pl.String).implode())
    parts, folds = (pl.col(name).drop_nulls().n_unique().alias(f"{name}s") for name in ("part", "fold"))
    grouped = table.with_columns(named.alias("named")).filter(pl.col("group").is_not_null()).group_by("group")
    places = grouped.agg(parts, folds, pl.col("named").any(), content.n_unique().alias("contents"))
    places = places.filter(pl.col("named") | (pl.col("contents") > 1))
    if places.is_empty():
        return Finding(check, "leakage", "unknown", Message("trust.audit.every-case-a-group"))
    torn = places.filter((pl.col("parts") > 1) | (pl.col("folds") > 1))
    between_parts = torn.filter(pl.col("parts") > 1).height
    text = Message(
        "trust.audit.groups-torn" if torn.height == between_parts else "trust.audit.groups-torn-by-folds",
        count=between_parts, total=places.height, folds=torn.height - between_parts,
    )  # fmt: skip
    concerned = table.join(torn, on="group", how="semi", maintain_order="left")
    return found(check, "leakage", concerned, text, Message("trust.audit.groups-whole", count=places.height))


def _times_across_parts(table: pl.DataFrame) -> Finding:
    check = "times-across-parts"
    if "time" not in table.columns or table["time"].null_count():
        return Finding(check, "leakage", "unknown", Message("trust.audit.no-times"))
    # A group stands where its last case stands, as in the split by time.
    unit = "group" if "group" in table.columns else "case_id"
    last = table.with_columns(pl.col("time").max().over(unit).alias("last"))
    first_tested = last.filter(pl.col("part") == "test")["last"].min()
    if first_tested is None:
        return Finding(check, "leakage", "unknown", Message("trust.audit.no-test-part"))
    late = last.filter((pl.col("part") != "test") & (pl.col("last") > pl.lit(first_tested)))
    return found(check, "leakage", late, Message("trust.audit.late", count=late.height), Message("trust.audit.in-time"))


def _odd_times(table: pl.DataFrame) -> list[Finding]:
    """Days a lifetime away from the others, such as 1900-01-01 or 9999-12-31: they stand for none."""
    if "time" not in table.columns or not table["time"].dtype.is_temporal():
        return []
    days = table["time"].cast(pl.Date, strict=False).cast(pl.Int64, strict=False)
    odd = table.filter((days - days.median()).abs() > LIFETIME)
    if odd.is_empty():
        return []
    text = Message("trust.audit.odd-times", count=odd.height, years=LIFETIME // 365, first=odd["time"][0])
    return [Finding("odd-times", "quality", "fail", text, tuple(odd["case_id"]))]


# --- labels ----------------------------------------------------------------------------------------------


def _counts(table: pl.DataFrame, target: Target, what: str = "group") -> np.ndarray:
    """How many independent units have each class, shape (classes,)."""
    unit = what if what in table.columns else "case_id"
    known = table.select(pl.col(target.name).cast(pl.Int64).alias("label"), pl.col(unit).alias("unit")).drop_nulls()
    return np.bincount(known.unique()["label"].to_numpy(), minlength=len(of(target).classes))


def _missing_labels(cases: Cases) -> Finding:
    check = "missing-labels"
    if not cases.targets:
        return Finding(check, "labels", "unknown", Message("trust.audit.no-target"))
    names = [target.name for target in cases.targets]
    table = cases.table.select("case_id", *(missing(cases.table[name]) for name in names))
    lacking = table.filter(pl.any_horizontal(names))
    by_target = [f"{name}: {lacking[name].sum()}" for name in names if lacking[name].any()]
    text = Message("trust.audit.unlabelled", count=lacking.height, total=table.height, by_target=by_target)
    return found(check, "labels", lacking, text, Message("trust.audit.labelled", count=table.height))


def _one_class(cases: Cases) -> Finding:
    training = cases.table.filter(pl.col("part") == "train")
    lone = [target for target in categorical(cases.targets) if np.count_nonzero(_counts(training, target)) < 2]
    if not lone:
        return Finding("one-class", "labels", "pass", Message("trust.audit.several-classes"))
    held = [of(target).class_name(int(np.argmax(_counts(training, target)))) for target in lone]
    return Finding("one-class", "labels", "fail", Message("trust.audit.one-class", classes=held))


def _class_missing_in_training(cases: Cases) -> Finding:
    unseen, concerned = [], []
    training = pl.col("part") == "train"
    for target in categorical(cases.targets):
        known = cases.table.drop_nulls(target.name)
        trained = known.filter(training)[target.name].implode()
        new = known.filter(~training & ~pl.col(target.name).is_in(trained))
        unseen += [of(target).class_name(int(label)) for label in new[target.name].unique().sort()]
        concerned += new["case_id"].to_list()
    text = Message("trust.audit.unseen-classes", count=len(unseen), classes=unseen)
    ids = pl.Series(concerned, dtype=pl.String).unique(maintain_order=True)
    good = Message("trust.audit.classes-in-training")
    return found("class-missing-in-training", "labels", ids, text, good)


def _imbalance(cases: Cases) -> Finding:
    worst: tuple[float, list[Message]] = (1.0, [])
    for target in categorical(cases.targets):
        counts = _counts(cases.table.filter(pl.col("part") == "train"), target, "case_id")
        present = np.flatnonzero(counts)
        if len(present) < 2:
            continue
        # Of equals the last is called rare and the first common, so that two classes are named.
        rare, common = present[::-1][np.argmin(counts[present[::-1]])], present[np.argmax(counts[present])]
        ratio = float(counts[common] / counts[rare])
        if ratio >= worst[0]:
            worst = ratio, [_with_class(target, label, counts) for label in (common, rare)]
    ratio, both = worst
    if not both:
        return Finding("imbalance", "labels", "unknown", Message("trust.audit.one-class-alone"))
    text = Message("trust.audit.imbalance", classes=both, ratio=ratio, bound=IMBALANCE)
    return Finding("imbalance", "labels", "fail" if ratio > IMBALANCE else "pass", text)


def _with_class(target: Target, label: int, counts: np.ndarray) -> Message:
    return Message("trust.audit.with-class", count=int(counts[label]), name=of(target).class_name(int(label)))


def _tiny_part(cases: Cases) -> Finding:
    small = []
    for part in PARTS:
        table = cases.table.filter(pl.col("part") == part)
        units = table["group" if "group" in table.columns else "case_id"].n_unique()
        if table.height and units < SMALLEST_PART:
            small.append(Message("trust.audit.tiny-part", part=part, count=units, bound=SMALLEST_PART))
            continue
        for target in categorical(cases.targets) if table.height else ():
            counts = _counts(table, target)
            # A class that is not there at all has a check of its own.
            small += [
                Message(
                    "trust.audit.tiny-class", part=part, of=_with_class(target, label, counts), bound=SMALLEST_CLASS
                )
                for label in np.flatnonzero((counts > 0) & (counts < SMALLEST_CLASS)).tolist()
            ]
    if small:
        return Finding("tiny-part", "quality", "fail", Message("trust.audit.tiny", parts=small))
    return Finding("tiny-part", "quality", "pass", Message("trust.audit.large-enough"))


def label_errors(cases: Cases, held_out: Predictions) -> Finding:
    """Labels that held-out predictions contradict, the most doubtful first, as the kind of each target has it (see
    `targets.common.doubts`). `held_out` are to be calibrated. `cases` may be more than those predicted. Hard cases are
    suspected too: a person has to look."""
    check = "label-errors"
    doubtful: list[tuple[float, str]] = []
    judged, wrong, expected = 0, 0.0, 0
    for target in cases.targets:
        ids, truth, values = with_truth(cases, held_out, target)
        if len(ids) < _ENOUGH:
            continue
        doubts, share, by_chance = of(target).doubts(truth, values)
        expected += by_chance
        rows = np.flatnonzero(doubts < 0)
        doubtful += zip(doubts[rows].tolist(), ids[rows], strict=True)
        judged, wrong = judged + len(ids), wrong + share * len(ids)
    if not judged:
        return Finding(check, "labels", "unknown", Message("trust.audit.few-predictions"))
    ranked = tuple(dict.fromkeys(case_id for _, case_id in sorted(doubtful)))
    share = wrong / judged
    text = Message("trust.labels.wrong", count=len(ranked), share=share)
    if share > TOO_MANY:
        return Finding(check, "labels", "unknown", Message("trust.labels.too-many", text=text, bound=TOO_MANY), ranked)
    if share >= LABEL_ERRORS and len(ranked) > 2:
        return Finding(check, "labels", "fail", Message("trust.labels.inspect", text=text), ranked)
    if expected:
        text = Message("trust.labels.chance", text=text, count=expected)
    return Finding(check, "labels", "pass", Message("trust.labels.few", text=text, bound=LABEL_ERRORS), ranked)


# --- shortcuts -------------------------------------------------------------------------------------------


def _site(cases: Cases) -> Finding:
    check = "site-alone-predicts-the-label"
    sites = cases.table.get_column("site", default=pl.Series([None]))
    if sites.null_count() == len(sites):
        return Finding(check, "shortcut", "unknown", Message("trust.audit.no-site"))
    if sites.n_unique() < 2:
        return Finding(check, "shortcut", "unknown", Message("trust.audit.one-site"))
    return shortcut(check, Message("trust.shortcut.site"), cases.table.select("site"), cases)


def _metadata(cases: Cases, by: str) -> Sequence[str]:
    """Columns other than the data that could give the label away: not constant, and no names or free text. What the
    parts were divided by cannot help on the test part, and `target.…` states how the target was measured. What a
    model is given is the data."""
    left_out = _BOOKKEEPING | {target.name for target in cases.targets} | {by} | set(cases.features)
    chosen = []
    for column in cases.table:
        plain = column.dtype.is_numeric() or column.dtype.is_temporal()
        words = column.dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum)
        varied = column.n_unique()
        if column.name in left_out or column.name.startswith(tuple(f"{target.name}." for target in cases.targets)):
            continue
        if varied > 1 and (plain or (words and varied <= max(2, len(cases) // 2))):
            chosen.append(column.name)
    return chosen
