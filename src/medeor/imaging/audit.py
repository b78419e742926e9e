"""What can be wrong with images before anything is fitted: broken or empty ones, copies within and across parts,
copies with two labels, facts about the picture that give the label away, and names left in headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from medeor.contracts import Cases, Finding, Message, Split, in_turn, listed
from medeor.formats.images.store import ImageStore
from medeor.formats.images.tables import UNLISTED
from medeor.imaging.near_duplicates import describer, near_duplicates
from medeor.imaging.read.modality import modalities
from medeor.imaging.read.thumbnails import SIDE, thumbnail
from medeor.machine import threads
from medeor.targets import categorical
from medeor.trust.audits.checks import Kind, divided, found
from medeor.trust.audits.copies import across_parts, within_parts, yielding
from medeor.trust.shortcuts import shortcut

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

NO_PART = Message("imaging.audit.no-part")
_READ = {
    "width", "height", "depth", "channels", "spacing", "modality", "identifiers", "nonfinite", "content", "images",
    "source", "broken",
}  # fmt: skip
"""Columns of the case table that say what was read of the images."""
_REMOVED = {
    "unreadable-images": "unreadable", "unlisted": "unlisted", "non-finite-pixels": "non-finite",
    "constant-images": "constant", "conflicting-labels": "conflicting",
}  # fmt: skip
"""Why a cleaned table leaves out the cases of a finding."""


def audit_images(
    cases: Cases, split: Split, pixels: ArrayLike | Callable[[], np.ndarray] | None = None
) -> list[Finding]:
    """Every check of the images.

    Args:
        cases: table with `broken`, `content` (a digest of the pixels), sizes and header facts, as `read_cases` gives.
        split: the part of each case.
        pixels: thumbnails, shape (cases, side, side), NaN for those that cannot be read, or what makes them; by default
            `thumbnails(cases)`.
    """
    table = divided(cases, split)
    small = thumbnails(cases) if pixels is None else np.asarray(pixels() if callable(pixels) else pixels, np.float32)
    broken = _given(table, "broken").is_not_null().to_numpy()
    finite = np.isfinite(small).all(axis=(1, 2))
    # Readers put other numbers in place of those that are none, and count them.
    numbers = (finite | broken) & (_given(table, "nonfinite").cast(pl.Int64).fill_null(0) == 0).to_numpy()
    # Averages of equal numbers differ in their last digits.
    constant = (np.ptp(small, axis=(1, 2)) <= 1e-5 * np.abs(small).max(axis=(1, 2))) & finite & ~broken
    good = finite & ~constant & ~broken
    border, brightness = _looks(small)
    open_cases = pl.Series(table["in_part"].ne_missing("test").to_numpy() & good)
    seen = cases.where(open_cases)
    alike = _look_alike(table, small, good)
    return [
        _unreadable(table),
        *_unlisted(table),
        _counted("non-finite-pixels", cases, ~numbers),
        _counted("constant-images", cases, constant),
        _within_parts(table),
        _across_parts(table),
        _near(table, "near-duplicates-within-parts", "quality", alike.within, "" if alike.parts else "no-images"),
        _near(table, "near-duplicates-across-parts", "leakage", alike.across, "" if alike.parts[1:] else "one-part"),
        _conflicting(cases, alike),
        _modalities(table),
        _size(cases.where(table["in_part"].ne_missing("test"))),
        shortcut("shortcut/border", Message("imaging.looks.border"), border.filter(open_cases), seen),
        shortcut("shortcut/brightness", Message("imaging.looks.brightness"), brightness.filter(open_cases), seen),
        _identifiers(table),
    ]


def _modalities(table: pl.DataFrame) -> Finding:
    """Whether the images of each channel are of one modality: a CT among MR images is another picture altogether."""
    named, check = _given(table, "modality").cast(pl.String), "mixed-modalities"
    channels = max((text.count(",") for text in named.drop_nulls()), default=0) + 1
    counts = modalities(named, channels)
    mixed = [channel for channel, found in enumerate(counts) if len(found) > 1]
    if not mixed:
        return Finding(check, "quality", "pass", Message("imaging.audit.one-modality"))
    words = []
    for channel in mixed:
        each = tuple(f"{count} {name}" for name, count in sorted(counts[channel].items(), key=lambda one: -one[1]))
        key = "imaging.audit.modalities-of-channel" if channels > 1 else "imaging.audit.modalities"
        words.append(Message(key, channel=channel + 1, counts=each))
    usual = [max(found, key=lambda name: found[name], default="") for found in counts]

    def unusual(text: str | None) -> bool:
        each = (text or "").split(",")
        each = each * channels if len(each) == 1 else each
        return any(own and own != usual[channel] for channel, own in enumerate(each))

    rare = [case_id for case_id, text in zip(table["case_id"], named) if unusual(text)]
    return Finding(check, "quality", "fail", in_turn(words), tuple(rare))


def clean(cases: Cases, findings: Sequence[Finding], split: Split | None = None) -> pl.DataFrame:
    """The case table as a table of labels, with a column `removed` that says why a case should go, null for those that
    stay. It leaves out what was read of the images and names them in `image`, or, where there are several or the user
    has such a column, in `image_1` and so on.

    Images that are unreadable, constant or hold no numbers go; so do all copies of one image, and near copies, with
    different labels; of other copies one stays: that of the test part before validation's, and validation's before
    training's. Parts are those of `split`, else of the column `part`; where there are neither, the first copy stays."""
    named = {finding.check: list(finding.cases) for finding in findings if finding.status == "fail"}
    reasons: dict[str, str] = {}

    def remove(case_ids: Sequence[str], why: str) -> None:
        for case_id in case_ids:
            reasons.setdefault(case_id, str(Message(f"imaging.removed.{why}")))

    named["unlisted"] = cases.table.filter(_given(cases.table, "broken").eq_missing(str(UNLISTED)))["case_id"].to_list()
    for check, why in _REMOVED.items():
        remove(named.get(check, []), why)
    known = _known(divided(cases, split).filter(~pl.col("case_id").is_in(list(reasons))))
    remove(known.filter(yielding(known, "content"))["case_id"].to_list(), "copy")
    # Pairs, the one that yields first; of a pair that has lost one already, the other may stay.
    pairs = [*named.get("near-duplicates-across-parts", []), *named.get("near-duplicates-within-parts", [])]
    for one, other in zip(pairs[::2], pairs[1::2], strict=True):
        if other not in reasons:
            remove([one], "near-copy")
    removed = pl.col("case_id").replace_strict(reasons, default=None, return_dtype=pl.String).alias("removed")
    read = [name for name in cases.table.columns if name in _READ or name.startswith("header.")]
    return cases.table.select(*_named(cases.table), removed, pl.exclude(*read))


def _named(table: pl.DataFrame) -> list[pl.Expr]:
    """The images of each case, a column each."""
    most = int(table["images"].list.len().max() or 1)  # type: ignore[arg-type]
    if most == 1:
        return [pl.col("source").alias("image" if "image" not in table.columns else "image_1")]
    return [pl.col("images").list.get(place, null_on_oob=True).alias(f"image_{place + 1}") for place in range(most)]


# --- thumbnails ------------------------------------------------------------------------------------------


def thumbnails(cases: Cases) -> np.ndarray:
    """Every case as a small grey picture, shape (cases, SIDE, SIDE), float32 (see `thumbnail`): those that were made
    when the images were read, else made now. An image that cannot be used has NaN in its picture."""
    store = cases.store("images", ImageStore)
    result = np.full((len(cases), SIDE, SIDE), np.nan, np.float32)
    readable = np.flatnonzero(_given(cases.table, "broken").is_null().to_numpy())
    if store.thumbnails is not None:
        result[readable] = store.thumbnails[store.rows(store.keys(cases.table["images"][readable]))]
        return result
    rows = cases.table["images"].to_list()

    def one(row: int) -> None:
        result[row] = thumbnail(store.read(rows[row]).pixels)

    with ThreadPoolExecutor(threads()) as pool:
        list(pool.map(one, readable.tolist()))
    return result


def _looks(small: np.ndarray) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Border and brightness of each image, in numbers that do not depend on what it shows."""
    flat = small.reshape(len(small), -1)
    width = max(1, small.shape[1] // 16)
    ring = np.ones(small.shape[1:], dtype=bool)
    ring[width:-width, width:-width] = False
    corners = np.stack([small[:, a, b] for a in (0, -1) for b in (0, -1)], axis=1)
    border = {"mean": small[:, ring].mean(axis=1), "spread": small[:, ring].std(axis=1)}
    border |= {f"corner {n}": corner for n, corner in enumerate(corners.T)}
    # Quantiles up to the third quarter: a bright lesion moves the mean, and it is no shortcut.
    quantiles = zip(("5 %", "25 %", "50 %", "75 %"), np.quantile(flat, [0.05, 0.25, 0.5, 0.75], axis=1), strict=True)
    return pl.DataFrame(border), pl.DataFrame(dict(quantiles))


# --- copies ----------------------------------------------------------------------------------------------


def _known(table: pl.DataFrame) -> pl.DataFrame:
    """The cases whose content has a digest."""
    return table.with_columns(_given(table, "content")).filter(
        pl.col("content").is_not_null() & _given(table, "broken").is_null()
    )


def _within_parts(table: pl.DataFrame) -> Finding:
    check = "duplicates-within-parts"
    if "content" not in table.columns:
        return Finding(check, "quality", "unknown", Message("imaging.audit.no-digests"))
    copies = within_parts(_known(table), "content")
    counts = copies.group_by("in_part").agg(pl.len().alias("all"), pl.col("content").n_unique().alias("distinct"))
    parts = tuple(
        Message("imaging.audit.repeats", part=part or NO_PART, count=everyone - distinct, images=everyone)
        for part, everyone, distinct in counts.sort("in_part").iter_rows()
    )
    return _found(check, "quality", copies, parts=parts)


def _across_parts(table: pl.DataFrame) -> Finding:
    check = "duplicates-across-parts"
    if "content" not in table.columns:
        return Finding(check, "leakage", "unknown", Message("imaging.audit.no-digests"))
    copies = across_parts(_known(table), "content")
    counts = []
    for held, other in (("validation", "train"), ("test", "train"), ("test", "validation")):
        contents = copies.filter(pl.col("in_part") == other)["content"]
        again = copies.filter((pl.col("in_part") == held) & pl.col("content").is_in(contents.implode())).height
        if again:
            counts.append(Message("imaging.audit.shared", count=again, part=held, other=other))
    return _found(check, "leakage", copies, counts=counts)


def _conflicting(cases: Cases, alike: _Alike) -> Finding:
    """Numbers of near copies may differ: another frame, another measurement."""
    check, names = "conflicting-labels", [target.name for target in cases.targets]
    if "content" not in cases.table.columns or not names:
        return Finding(check, "labels", "unknown", Message("imaging.audit.no-digests-or-targets"))
    split_labels = [pl.col(name).drop_nulls().n_unique().over("content") > 1 for name in names]
    conflicting = _known(cases.table).filter(pl.any_horizontal(split_labels)).sort("content", maintain_order=True)
    classes = [target.name for target in categorical(cases.targets)]
    labels = np.array([cases.table[name].cast(pl.Float64).to_numpy() for name in classes]).reshape(-1, len(cases))
    one, other = labels[:, alike.pairs[:, 0]], labels[:, alike.pairs[:, 1]]
    near = alike.pairs[((one != other) & ~np.isnan(one) & ~np.isnan(other)).any(axis=0)]
    # A label that is disputed already is no evidence against another.
    disputed = cases.table["case_id"].is_in(conflicting["case_id"].implode()).to_numpy()
    near = near[~disputed[near].any(axis=1)]
    if conflicting.is_empty() and not len(near):
        return Finding(check, "labels", "pass", Message("imaging.audit.labels-agree"))
    disputes = Message("common.count.case", count=conflicting.height)
    counts = {"labels-differ": conflicting["content"].n_unique(), "near-labels-differ": len(near)}
    words = [Message(f"imaging.audit.{key}", count=count, cases=disputes) for key, count in counts.items() if count]
    concerned = dict.fromkeys([*conflicting["case_id"], *(cases.ids[row] for row in near.ravel())])
    return Finding(check, "labels", "fail", in_turn(words), tuple(concerned))


class _Alike(NamedTuple):
    """Images that look like changed copies of others: pairs of rows, the one that yields first; shape (n, 2)."""

    within: np.ndarray
    """Both in one part and of two groups; of each pair the later one yields."""
    across: np.ndarray
    """The one in the lesser part yields."""
    parts: Sequence[str]
    """The parts that there are."""

    @property
    def pairs(self) -> np.ndarray:
        return np.concatenate([self.within, self.across])


def _look_alike(table: pl.DataFrame, small: np.ndarray, good: np.ndarray) -> _Alike:
    part = table["in_part"].fill_null("").to_numpy()
    content = _given(table, "content").rank("dense").fill_null(0).to_numpy().astype(int)
    # Without a digest an image is no exact copy of any.
    content = np.where(content > 0, content, len(content) + 1 + np.arange(len(content)))
    groups = table["group"].to_list()
    places = np.unique(part[good]).tolist()
    if not places:
        return _Alike(np.zeros((0, 2), int), np.zeros((0, 2), int), places)
    describe = describer(small, np.flatnonzero(good))
    within: set[tuple[int, int]] = set()
    across: list[tuple[int, int]] = []
    for held in places:
        rows = np.flatnonzero(good & (part == held))
        pictures, own = small[rows], np.arange(len(rows))
        pairs = near_duplicates(pictures, pictures, content[rows], content[rows], describe, own)
        within |= {(int(rows[max(pair)]), int(rows[min(pair)])) for pair in pairs}
    # Several pictures of one patient are expected.
    within = {pair for pair in within if groups[pair[0]] != groups[pair[1]]}
    for held, others in (("validation", ("train",)), ("test", ("train", "validation"))):
        queries = np.flatnonzero(good & (part == held))
        references = np.flatnonzero(good & np.isin(part, others))
        if len(queries) and len(references):
            pairs = near_duplicates(small[queries], small[references], content[queries], content[references], describe)
            across += [(int(references[reference]), int(queries[query])) for query, reference in pairs]
    return _Alike(np.array(sorted(within), int).reshape(-1, 2), np.array(across, int).reshape(-1, 2), places)


def _near(table: pl.DataFrame, check: str, kind: Kind, pairs: np.ndarray, unknown: str) -> Finding:
    """Its cases are pairs, one after another, as in `_Alike`; `unknown`: why nothing was compared."""
    if unknown:
        return Finding(check, kind, "unknown", Message(f"imaging.audit.{unknown}"))
    counts = Counter(table["in_part"].to_numpy()[pairs[:, 1]].tolist())
    by_part = tuple(Message("imaging.audit.in-part", count=n, part=part or NO_PART) for part, n in counts.items())
    return _found(check, kind, table["case_id"][pairs.ravel().tolist()], counts=by_part)


# --- the rest --------------------------------------------------------------------------------------------


def _unlisted(table: pl.DataFrame) -> list[Finding]:
    """Images of the folder that the table of labels leaves out, as a cleaned table does on purpose."""
    cases = table.filter(_given(table, "broken").eq_missing(str(UNLISTED)))
    if cases.is_empty():
        return []
    message = Message("imaging.audit.unlisted", count=cases.height, images=table.height)
    return [Finding("images-without-a-row", "quality", "unknown", message, tuple(cases["case_id"]))]


def _unreadable(table: pl.DataFrame) -> Finding:
    # A case can also be set aside for want of a label, its image read, or of a row in the table, its image left alone.
    table = table.filter(_given(table, "broken").ne_missing(str(UNLISTED)))
    cases = table.filter(_given(table, "broken").is_not_null() & _given(table, "content").is_null())
    reasons = cases["broken"].value_counts(sort=True)
    why = listed((f"{reason} ({count})" for reason, count in reasons.iter_rows()), 3)
    return _found("unreadable-images", "quality", cases, count=cases.height, images=table.height, reasons=why)


def _counted(check: str, cases: Cases, concerned: np.ndarray) -> Finding:
    ids = cases.table["case_id"].filter(pl.Series(concerned))
    return _found(check, "quality", ids, count=len(ids), images=len(cases))


def _size(cases: Cases) -> Finding:
    check = "shortcut/size"
    sizes = cases.table.select(column for column in ("width", "height", "depth") if column in cases.table.columns)
    if sizes.width < 2:
        return Finding(check, "shortcut", "unknown", Message("imaging.audit.no-sizes"))
    if sizes.n_unique() == 1:
        return Finding(check, "shortcut", "pass", Message("imaging.audit.one-size"))
    aspect = (pl.col("width") / pl.col("height")).alias("aspect")
    return shortcut(check, Message("imaging.looks.size"), sizes.with_columns(aspect), cases)


def _identifiers(table: pl.DataFrame) -> Finding:
    """Counts names of header fields; never a value."""
    check = "identifiers-in-headers"
    if "identifiers" not in table.columns:
        return Finding(check, "identifiers", "unknown", Message("imaging.audit.no-headers"))
    named = table.select("case_id", "identifiers").explode("identifiers").drop_nulls()
    fields = named["identifiers"].value_counts(sort=True)
    names = listed(f"{field} ({count})" for field, count in fields.iter_rows())
    return _found(check, "identifiers", named["case_id"].unique(maintain_order=True), fields=names)


def _found(check: str, kind: Kind, concerned: pl.Series | pl.DataFrame, **values: object) -> Finding:
    bad, good = Message(f"imaging.found.{check}", **values), Message(f"imaging.none.{check}", **values)
    return found(check, kind, concerned, bad, good)


def _given(table: pl.DataFrame, name: str) -> pl.Series:
    return table[name] if name in table.columns else pl.Series(name, [None] * table.height, dtype=pl.String)
