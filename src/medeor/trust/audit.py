"""What can spoil a study before or after it is fitted, whatever its data: leakage between parts, labels that are
missing, rare or wrong, and shortcuts, facts beside the data that give the label away. Each check says pass, fail or
unknown, and names the cases."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from medeor.contracts import Cases, Finding, Measure, Predictions, Split, Target, UserError
from medeor.learning.split import PARTS, deal
from medeor.trust.intervals import bootstrap
from medeor.trust.scores import ranking

IMBALANCE = 10
"""Times the commonest class may outnumber the rarest in training."""

SMALLEST_PART = 20
"""Independent units (patients) below which a part says little: with 20, an AUROC of .8 has a standard error of .1."""

SMALLEST_CLASS = 5
"""Independent units of a class below which a part says little about that class."""

GIVEN_AWAY = 0.65
"""AUROC that a fact beside the data may reach on its own, judged by the lower end of its 95 % interval."""

LABEL_ERRORS = 0.02
"""Share of labels that may look wrong: hard cases look wrong too."""

OUTLIER = 6.0
"""Robust standard deviations from the prediction beyond which a number looks wrong."""

_BINS = 10
_SLOTS = 5
_MOST_CASES = 5000
"""Cases that a shortcut is measured on: its AUROC is then known to within .02."""

_BOOKKEEPING = {
    "case_id", "group", "site", "time", "part", "fold",
    "images", "content", "broken", "identifiers", "width", "height", "depth",
}  # fmt: skip
"""Columns that a reader writes about where the data lies; a modality's own audit looks at those that could tell."""


def audit(cases: Cases, split: Split, *, by: str = "") -> list[Finding]:
    """Every check that needs no knowledge of the modality. `by="time"` claims that the parts were divided by time,
    and has that checked too."""
    parts = split.table.select("case_id", "part", "fold")
    divided = replace(cases, table=_without(cases.table, "part", "fold").join(parts, on="case_id", how="inner"))
    findings = [_groups_across_parts(divided.table)]
    if by == "time":
        findings.append(_times_across_parts(divided.table))
    findings.append(_missing_labels(divided))
    if any(target.kind != "continuous" for target in cases.targets):
        findings += [_one_class(divided), _class_missing_in_training(divided), _imbalance(divided)]
    findings.append(_tiny_part(divided))
    # A test part is scored once, by the model: what the labels are like is learnt from the rest.
    open_cases = divided.where(pl.col("part") != "test")
    findings.append(_site(open_cases))
    for name in _metadata(open_cases):
        findings.append(shortcut(f"shortcut/{name}", f"the column '{name}'", open_cases.table.select(name), open_cases))
    return findings


def accepted(findings: Iterable[Finding], names: Collection[str]) -> list[Finding]:
    """The findings, with those failures marked that the user accepts by name.

    Raises: UserError for a name that no check has."""
    findings = list(findings)
    checks = sorted({finding.check for finding in findings})
    for name in names:
        if name not in checks:
            raise UserError(f"--accept {name}: no check is called that; there are {', '.join(checks) or 'none here'}")
    return [replace(f, accepted=True) if f.status == "fail" and f.check in names else f for f in findings]


# --- leakage ---------------------------------------------------------------------------------------------


def _groups_across_parts(table: pl.DataFrame) -> Finding:
    check, kind = "groups-across-parts", "leakage"
    if "group" not in table.columns or (table["group"].cast(pl.String) == table["case_id"].cast(pl.String)).all():
        said = "each case counts as a patient of its own; if some share a patient, name that column with --group"
        return Finding(check, kind, "unknown", said)
    by_group = table.filter(pl.col("group").is_not_null()).group_by("group")
    places = by_group.agg(pl.col("part").n_unique().alias("parts"), pl.col("fold").drop_nulls().n_unique().alias("folds"))
    torn = places.filter((pl.col("parts") > 1) | (pl.col("folds") > 1))
    if torn.is_empty():
        return Finding(check, kind, "pass", f"none of {places.height} groups is in two parts or folds")
    between_parts = torn.filter(pl.col("parts") > 1).height
    said = f"{between_parts} of {places.height} groups are in more than one part"
    if torn.height > between_parts:
        said += f" and {torn.height - between_parts} more in more than one fold"
    concerned = table.join(torn, on="group", how="semi", maintain_order="left")["case_id"].to_list()
    return Finding(check, kind, "fail", f"{said}: the same patient is learnt from and tested on", tuple(concerned))


def _times_across_parts(table: pl.DataFrame) -> Finding:
    check, kind = "times-across-parts", "leakage"
    if "time" not in table.columns or table["time"].null_count():
        return Finding(check, kind, "unknown", "not every case has a time; name its column with --time")
    # A group stands where its last case stands, as in the split by time.
    last = table.with_columns(pl.col("time").max().over("group").alias("last")) if "group" in table.columns else (
        table.with_columns(pl.col("time").alias("last"))
    )  # fmt: skip
    first_tested = last.filter(pl.col("part") == "test")["last"].min()
    if first_tested is None:
        return Finding(check, kind, "unknown", "there is no test part")
    late = last.filter((pl.col("part") != "test") & (pl.col("last") > pl.lit(first_tested)))["case_id"].to_list()
    if late:
        said = f"{len(late)} cases to learn from are later than the first test case: the future tells of the past"
        return Finding(check, kind, "fail", said, tuple(late))
    return Finding(check, kind, "pass", "every case to learn from is earlier than the test part")


# --- labels ----------------------------------------------------------------------------------------------


def _classes(target: Target) -> int:
    return 2 if target.kind == "binary" else len(target.classes)


def _counts(table: pl.DataFrame, target: Target, what: str = "group") -> np.ndarray:
    """How many independent units have each class, shape (classes,)."""
    unit = what if what in table.columns else "case_id"
    known = table.select(pl.col(target.name).cast(pl.Int64).alias("label"), pl.col(unit).alias("unit")).drop_nulls()
    counts = known.unique()["label"].value_counts()
    result = np.zeros(max(_classes(target), 1 + int(counts["label"].max() or 0) if counts.height else 0), dtype=int)  # type: ignore[arg-type]
    result[counts["label"].to_numpy()] = counts["count"].to_numpy()
    return result


def _called(target: Target, label: int) -> str:
    """A class by its name, with the target's where there may be several."""
    name = target.classes[label] if label < len(target.classes) else str(label)
    return name if target.kind != "binary" or target.classes else f"{target.name} = {name}"


def _discrete(cases: Cases) -> list[Target]:
    return [target for target in cases.targets if target.kind != "continuous"]


def _missing_labels(cases: Cases) -> Finding:
    check = "missing-labels"
    if not cases.targets:
        return Finding(check, "labels", "unknown", "the study names no target")
    names = [target.name for target in cases.targets]
    table = cases.table.select("case_id", *(_missing(cases.table[name]) for name in names))
    missing = table.filter(pl.any_horizontal(names))
    if missing.is_empty():
        return Finding(check, "labels", "pass", f"all {table.height} cases have their labels")
    by_target = ", ".join(f"{name}: {missing[name].sum()}" for name in names if missing[name].any())
    said = f"{missing.height} of {table.height} cases lack a label ({by_target}); they neither teach nor test it"
    return Finding(check, "labels", "fail", said, tuple(missing["case_id"]))


def _missing(column: pl.Series) -> pl.Series:
    return column.is_null() | column.is_nan().fill_null(True) if column.dtype.is_float() else column.is_null()


def _one_class(cases: Cases) -> Finding:
    training = cases.table.filter(pl.col("part") == "train")
    lone = [target for target in _discrete(cases) if np.count_nonzero(_counts(training, target)) < 2]
    if not lone:
        return Finding("one-class", "labels", "pass", "the training part holds more than one class")
    held = [_called(target, int(np.argmax(_counts(training, target)))) for target in lone]
    said = f"the training part holds no other class than {', '.join(held)}: there is nothing to tell apart"
    return Finding("one-class", "labels", "fail", said)


def _class_missing_in_training(cases: Cases) -> Finding:
    check, unseen, concerned = "class-missing-in-training", [], []
    training = pl.col("part") == "train"
    for target in _discrete(cases):
        learnt, met = _counts(cases.table.filter(training), target), _counts(cases.table.filter(~training), target)
        size = max(len(learnt), len(met))
        learnt, met = (np.pad(counts, (0, size - len(counts))) for counts in (learnt, met))
        labels = np.flatnonzero((learnt == 0) & (met > 0)).tolist()
        unseen += [_called(target, label) for label in labels]
        concerned += cases.table.filter(pl.col(target.name).is_in(labels))["case_id"].to_list()
    if not unseen:
        return Finding(check, "labels", "pass", "every class that is tested is also taught")
    said = f"{', '.join(unseen)} appears outside the training part only: no model can learn it"
    return Finding(check, "labels", "fail", said, tuple(dict.fromkeys(concerned)))


def _imbalance(cases: Cases) -> Finding:
    worst: tuple[float, str] = (1.0, "")
    for target in _discrete(cases):
        counts = _counts(cases.table.filter(pl.col("part") == "train"), target, "case_id")
        present = np.flatnonzero(counts)
        if len(present) < 2:
            continue
        rare, common = present[np.argmin(counts[present])], present[np.argmax(counts[present])]
        said = f"{counts[common]} {_called(target, int(common))} to {counts[rare]} {_called(target, int(rare))}"
        worst = max(worst, (counts[common] / counts[rare], said))
    ratio, said = worst
    if not said:
        return Finding("imbalance", "labels", "unknown", "the training part holds one class")
    status = "fail" if ratio > IMBALANCE else "pass"
    return Finding("imbalance", "labels", status, f"{said} in training, {ratio:.1f} to 1 (bound {IMBALANCE})")


def _tiny_part(cases: Cases) -> Finding:
    small = []
    for part in PARTS:
        table = cases.table.filter(pl.col("part") == part)
        units = table["group" if "group" in table.columns else "case_id"].n_unique()
        if table.height and units < SMALLEST_PART:
            small.append(f"{part} has {units} independent units (bound {SMALLEST_PART})")
            continue
        for target in _discrete(cases) if table.height else ():
            counts = _counts(table, target)
            # A class that is not there at all has a check of its own.
            small += [
                f"{part} has {counts[label]} of {_called(target, label)} (bound {SMALLEST_CLASS})"
                for label in np.flatnonzero((counts > 0) & (counts < SMALLEST_CLASS)).tolist()
            ]
    if small:
        return Finding("tiny-part", "quality", "fail", f"{'; '.join(small)}: its figures will be vague")
    return Finding("tiny-part", "quality", "pass", "every part and class has enough independent units")


def label_errors(cases: Cases, held_out: Predictions) -> Finding:
    """Labels that held-out predictions contradict, the most doubtful first (confident learning; Northcutt, Jiang and
    Chuang 2021, https://arxiv.org/abs/1911.00068). A case labelled i is suspected when its probability of another class
    j is at least what cases labelled j have on average. Of continuous targets, the outliers.

    `cases` may be more than those predicted. Hard cases are suspected too: a person has to look."""
    check = "label-errors"
    doubtful: list[tuple[float, str]] = []
    judged, wrong = 0, 0.0
    for target in cases.targets:
        ids, labels, values = _held_out(cases, target, held_out.table)
        if len(ids) < 2 * _SLOTS:
            continue
        judge = _outliers if target.kind == "continuous" else _contradicted
        doubts, share = judge(labels, values)
        doubtful += [(float(doubts[row]), ids[row]) for row in np.flatnonzero(doubts < 0)]
        judged, wrong = judged + len(ids), wrong + share * len(ids)
    if not judged:
        return Finding(check, "labels", "unknown", "there are too few held-out predictions of labelled cases")
    ranked = tuple(dict.fromkeys(case_id for _, case_id in sorted(doubtful)))
    share = wrong / judged
    said = f"{len(ranked)} labels look wrong to models that did not see them, an estimated {share:.1%} of all labels"
    if share >= LABEL_ERRORS and len(ranked) > 2:
        return Finding(check, "labels", "fail", f"{said}; some are only hard: look at them, the first ones first", ranked)
    return Finding(check, "labels", "pass", f"{said} (bound {LABEL_ERRORS:.0%})", ranked)


def _held_out(cases: Cases, target: Target, table: pl.DataFrame) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Case ids, known labels (n,) and predicted values (n, classes), or (n, 1) for a continuous target."""
    wide = table.filter(pl.col("item").is_in(target.items)).pivot("item", index="case_id", values="value")
    if any(item not in wide.columns for item in target.items):
        return [], np.zeros(0), np.zeros((0, 1))
    labels = cases.table.select("case_id", pl.col(target.name).alias("label")).drop_nulls()
    both = labels.join(wide, on="case_id", how="inner", suffix=" predicted", maintain_order="left")
    columns = [f"{item} predicted" if item == "label" else item for item in target.items]
    values = both.select(columns).to_numpy().astype(float)
    if target.kind == "binary":
        values = np.column_stack([1 - values, values])
    return both["case_id"].to_list(), both["label"].to_numpy(), values


def _contradicted(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, float]:
    """For each case the margin of its label over the class that contradicts it (negative: suspected), shape (n,), and
    the estimated share of wrong labels."""
    labels = labels.astype(int)
    one_hot = np.eye(probabilities.shape[1])[labels]
    seen = one_hot.sum(axis=0)
    usual = np.where(seen > 0, (one_hot * probabilities).sum(axis=0) / np.maximum(seen, 1), np.inf)
    sure = np.where(probabilities >= usual, probabilities, -np.inf)
    surest = np.where(np.isfinite(sure).any(axis=1), sure.argmax(axis=1), -1)
    counted = surest >= 0
    joint = np.zeros((len(seen), len(seen)))
    np.add.at(joint, (labels[counted], surest[counted]), 1)
    # Cases without a confident class are shared out as those of their label that have one.
    rows = joint.sum(axis=1)
    right = np.divide(np.diag(joint), rows, out=np.ones_like(rows), where=rows > 0)
    each = np.arange(len(labels))
    margin = probabilities[each, labels] - probabilities[each, surest]
    suspected = counted & (surest != labels) & (margin < 0)
    return np.where(suspected, margin, 0.0), float(1 - (right * seen).sum() / len(labels))


def _outliers(labels: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, float]:
    """As `_contradicted`: how far beyond `OUTLIER` robust standard deviations a number lies, below zero."""
    apart = labels.astype(float) - values[:, 0]
    apart = np.abs(apart - np.median(apart))
    spread = 1.4826 * np.median(apart)
    doubts = np.minimum(OUTLIER - apart / spread, 0.0) if spread > 0 else np.zeros(len(apart))
    return doubts, float(np.mean(doubts < 0))


# --- shortcuts -------------------------------------------------------------------------------------------


class _Question(NamedTuple):
    """One label against all others."""

    name: str
    positive: np.ndarray
    """Shape (cases,), boolean."""
    known: np.ndarray


def shortcut(check: str, what: str, features: pl.DataFrame, cases: Cases) -> Finding:
    """Whether these features alone, one row a case, predict a label: the cross-validated AUROC, with its interval over
    groups, of the class (or of `above the median`) that they predict best.

    The small model adds up the log-likelihood ratios of each feature's bins (naive Bayes), so numbers, words and gaps
    are all welcome; what is known of a few cases only can hardly reach the bound."""
    everyone = cases.table["group" if "group" in cases.table.columns else "case_id"]
    rows = np.arange(len(cases))
    if len(rows) > _MOST_CASES:
        rows = np.sort(np.random.default_rng(0).permutation(len(rows))[:_MOST_CASES])
    groups, codes = everyone[rows], np.stack([_binned(column[rows]) for column in features], axis=1)
    best: tuple[float, _Question, np.ndarray] | None = None
    for question in _questions(cases, rows):
        known, positive = question.known, question.positive[question.known]
        units = groups.filter(pl.Series(known))
        if min(units.filter(pl.Series(side)).n_unique() for side in (positive, ~positive)) < 2 * SMALLEST_CLASS:
            continue
        score = _out_of_fold(codes[known], positive, deal(units, positive.astype(float), _SLOTS, 0))
        reached = float(ranking(score, positive)(np.ones((1, len(score))))[0, 0])
        if best is None or reached > best[0]:
            best = reached, question, score
    if best is None:
        return Finding(check, "shortcut", "unknown", f"too few labelled groups (bound {2 * SMALLEST_CLASS} a class)")
    _, question, score = best
    auroc = _auroc(score, question.positive[question.known], groups.filter(pl.Series(question.known)))
    low = auroc.low if auroc.low is not None else 0.0
    said = f"{what} alone predicts {question.name} with an AUROC of {_stated(auroc)}"
    if low > GIVEN_AWAY:
        said += f" (bound {GIVEN_AWAY} for its lower end): a model may learn this instead of the disease"
    return Finding(check, "shortcut", "fail" if low > GIVEN_AWAY else "pass", said)


def _questions(cases: Cases, rows: np.ndarray) -> Iterator[_Question]:
    for target in cases.targets:
        column = cases.table[target.name][rows]
        known = ~_missing(column).to_numpy()
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        if target.kind == "continuous":
            middle = np.median(values[known]) if known.any() else 0.0
            yield _Question(f"'{target.name}' above its median", values > middle, known)
            continue
        for label in range(1 if _classes(target) == 2 else 0, _classes(target)):
            yield _Question(_called(target, label), values == label, known)


def _binned(column: pl.Series) -> np.ndarray:
    """A bin for each value, shape (n,): numbers by tenths, rare words together, gaps on their own."""
    if column.dtype.is_temporal():
        column = column.to_physical()
    if column.dtype.is_numeric():
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        given = np.isfinite(values)
        if len(np.unique(values[given])) > _BINS:
            edges = np.unique(np.quantile(values[given], np.arange(1, _BINS) / _BINS))
            return np.where(given, np.searchsorted(edges, values, side="right"), len(edges) + 1)
    words = column.cast(pl.String).fill_null("")
    counts = words.value_counts(name="n")
    rare = counts.filter(pl.col("n") < SMALLEST_CLASS)[column.name]
    kept = words.to_frame().select(pl.when(pl.col(column.name).is_in(rare.implode())).then(None).otherwise(pl.first()))
    return kept.to_series().rank("dense").fill_null(0).to_numpy().astype(np.int64)


def _out_of_fold(codes: np.ndarray, positive: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """The log-likelihood ratio of each case, counted on the other folds; codes: shape (cases, features)."""
    score = np.zeros(len(positive))
    for code in codes.T:
        counts = np.zeros((_SLOTS, code.max() + 1, 2))
        np.add.at(counts, (fold, code, positive.astype(int)), 1)
        others = counts.sum(axis=0) - counts + 0.5
        rates = others / others.sum(axis=1, keepdims=True)
        score += (np.log(rates[..., 1]) - np.log(rates[..., 0]))[fold, code]
    return score


def _auroc(score: np.ndarray, positive: np.ndarray, groups: pl.Series) -> Measure:
    measure = ranking(score, positive)
    return bootstrap(lambda weights: measure(weights)[:, 0], groups.to_numpy(), resamples=400)


def _stated(auroc: Measure) -> str:
    value = f"{auroc.value:.2f}" if auroc.value is not None else "unknown"
    return value if auroc.low is None or auroc.high is None else f"{value} ({auroc.low:.2f} to {auroc.high:.2f})"


def _site(cases: Cases) -> Finding:
    check = "site-alone-predicts-the-label"
    if "site" not in cases.table.columns or cases.table["site"].null_count() == len(cases):
        return Finding(check, "shortcut", "unknown", "no site is given; name its column with --site")
    if cases.table["site"].n_unique() < 2:
        return Finding(check, "shortcut", "unknown", "all cases come from one site")
    return shortcut(check, "the site", cases.table.select("site"), cases)


def _metadata(cases: Cases) -> Sequence[str]:
    """Columns beside the data that could give the label away: not constant, and no names or free text."""
    apart = _BOOKKEEPING | {target.name for target in cases.targets}
    found = []
    for column in cases.table:
        plain = column.dtype.is_numeric() or column.dtype.is_temporal()
        words = column.dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum)
        varied = column.n_unique()
        if column.name not in apart and varied > 1 and (plain or (words and varied <= max(2, len(cases) // 2))):
            found.append(column.name)
    return found


def _without(table: pl.DataFrame, *names: str) -> pl.DataFrame:
    return table.drop([name for name in names if name in table.columns])
