"""The cases of an image study: what the user gave, read once, as a case table and a store of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from medeor.contracts import Cases, Finding, Message, Sources, Study, Target, UserError, in_turn, listed
from medeor.files import digest
from medeor.formats.cases import OWN, CaseColumns, case_columns, findings_of_tables, target_columns, why_broken
from medeor.formats.images import lists
from medeor.formats.images.lists import LABEL, Listing
from medeor.formats.images.store import ImageStore
from medeor.formats.values.targets import TargetColumns
from medeor.imaging.read.examine import Examined, examine_all, headers, of_one_kind, properties
from medeor.imaging.read.geometry import geometry_findings
from medeor.imaging.read.identity import case_ids, identity, repeats, tied_groups
from medeor.imaging.read.patients import odd_groups, suspected
from medeor.imaging.read.sources import gathered

__all__ = ["ImageStore", "read_cases"]

USUAL_TARGETS = ("label", "target", "class", "diagnosis")
"""Columns taken as the target of a table when the study names none."""
_OWN = {
    *OWN, "width", "height", "depth", "channels", "spacing", "modality", "identifiers", "nonfinite", "images",
}  # fmt: skip


def read_cases(sources: Sources, study: Study) -> Cases:
    """The cases of a study and their `ImageStore`. Sources are one or more of: a MedMNIST-like .npz; a folder a class,
    also below train, validation and test; a folder or files with a table of paths (`study.labels`), or such a table
    alone; images without labels; arrays (see `images.arrays`), followed by an array or a table of labels.

    The columns of the table, one row a case:

    - `case_id`: 12 hex digits: a digest of the study's own id (a column `case_id`, or that which `--option id` names),
      else of the DICOM identifier, else of the pixels; neither the path nor other cases change it, save that a further
      copy gets `-2`
    - `group`: the study's column; without one, cases of the same DICOM patient or examination or with the same pixels
      share a group
    - `site`, `time`: the study's columns, where it names them
    - `part`: train, validation or test of the official split, null where there is none
    - the targets; then the other columns of the user's table
    - `width`, `height`, `depth` (null for flat images), `channels`, `spacing` (mm per axis), `modality`
    - `header.*`: facts of acquisition and storage that differ between cases
    - `identifiers`: names of header fields by which a person can be found
    - `nonfinite`: pixels that were NaN or infinite; `content`: digest of the pixels
    - `images`: keys into the store, one channel image after another; `source`: what the user calls the case, which may
      identify
    - `broken`: why the case cannot be used, null where it can

    Raises: UserError where nothing can be read, flat images and volumes are mixed, a column is missing, or the target
    has one class alone."""
    listing, where = gathered(sources, study)
    facts = listing.facts
    own = {*_OWN, *(name for name in facts.columns if name.startswith("header."))}
    columns = replace(case_columns(facts, sources, study, where), own=own)
    columns = columns.predicting(_targets(listing, columns) if sources.labelled else ())
    study, names = columns.study, columns.targets
    # What is wrong with the table is reported before the images are read, which may take long.
    given, split = columns.ids, columns.split
    targets, answers, target_findings = _answers(listing, columns, sources.targets)
    store = ImageStore(listing.files, listing.arrays)
    is_study = sources.labelled and sources.model is None
    read, thumbnails = examine_all(store, listing.rows, thumbnails=sources.model is None)
    read = of_one_kind(read, listing.rows["source"])
    identities = _identities(listing, given, read)
    named = columns.groups.to_list()
    ids = case_ids(identities, named, listing.rows["source"].to_list())
    # A case of which no patient is known counts as one of its own.
    groups = [name or case for name, case in zip(named, ids)] if study.group else tied_groups(_ties(read), ids)
    table = pl.DataFrame(
        [
            pl.Series("case_id", ids),
            pl.Series("group", groups, pl.String),
            *columns.roles,
            listing.rows["part"] if split.part is None else split.part,
            *answers,
            *columns.others().values(),
            *properties(read),
            *headers([one.header for one in read]),
            listing.rows["images"],
            listing.rows["source"],
            why_broken([one.broken for one in read], answers, targets),
        ]
    )
    complete = _complete(store, table, read, thumbnails)
    findings = [
        *(_guessed(study, names, targets, listing, read) if is_study else ()),
        *findings_of_tables((*sources.given, study.labels)),
        *target_findings,
        *lists.findings_of(listing.passed),
        *repeats(ids, identities, [one.content for one in read]),
        *geometry_findings([one.lean for one in read], [len(one.size) == 4 for one in read], ids),
        *(split.findings if is_study else ()),
    ]
    if is_study and study.group:
        there = [row for row, one in enumerate(read) if one.size]
        findings += odd_groups(study.group, [named[row] for row in there], [ids[row] for row in there])
    elif is_study:
        found = suspected(listing, (*names, study.site, study.time, study.split), groups, ids)
        findings += [found] if found else []
    return Cases(table, targets, {"images": complete}, columns.subgroups, findings=tuple(findings))


def _complete(
    store: ImageStore, table: pl.DataFrame, read: Sequence[Examined], thumbnails: np.ndarray | None
) -> ImageStore:
    """The store with what is known of all images once they are read."""
    usable = table["broken"].is_null()
    dtype = np.result_type(*{one.dtype for one in read if one.size})
    return replace(
        store,
        channels=max(one.size[0] for one in read if one.size),
        digest=digest(*(f"{one.content or ''} {one.spacing or ''}" for one in read)),
        dtype=dtype.name if dtype.kind in "iu" and dtype.itemsize <= 2 else "float32",
        order=pl.DataFrame({"key": store.keys(table["images"]), "content": table["content"]}).filter(usable),
        thumbnails=None if thumbnails is None else thumbnails[usable.to_numpy()],
    )


def _targets(listing: Listing, columns: CaseColumns) -> tuple[str, ...]:
    """The columns to predict: those that the study names, else the labels of the source itself, else one of a usual
    name, else the only one without a role."""
    study, facts = columns.study, listing.facts
    usual = [name for name in facts.columns if name.lower() in USUAL_TARGETS]
    free = columns.free
    if found := study.target or listing.labels or next((tuple(one) for one in (usual, free) if len(one) == 1), ()):
        return found
    if study.labels:
        raise UserError("cases.no-target", table=columns.where, columns=listed(free))
    return ()


def _answers(listing: Listing, columns: CaseColumns, expected: Sequence[Target]) -> TargetColumns:
    # A row without an image, such as a sum below the table, makes no class.
    there = pl.lit(listing.rows["problem"].is_null())
    facts = columns.facts.with_columns(pl.when(there).then(name).alias(name) for name in columns.targets)
    return target_columns(facts, columns.targets, columns.study.options, expected)


def _identities(listing: Listing, given: Sequence[str | None], read: Sequence[Examined]) -> list[str]:
    files = [[file for key in keys for file in listing.files.get(key, ())] for keys in listing.rows["images"].to_list()]
    return [
        identity(name, one.uid, one.content, paths, source)
        for name, one, paths, source in zip(given, read, files, listing.rows["source"].to_list())
    ]


def _ties(read: Sequence[Examined]) -> list[list[str | None]]:
    """What ties cases to one patient: equal pixels, the patient and the examination of DICOM. A patient that all cases
    share is taken for a placeholder."""
    ties = [[one.content for one in read]]
    for known in ([one.patient for one in read], [one.study for one in read]):
        if len({value for value, one in zip(known, read) if one.size} - {""}) > 1:
            ties.append([value or None for value in known])
    return ties


def _guessed(
    study: Study, names: Sequence[str], targets: Sequence[Target], listing: Listing, read: Sequence[Examined]
) -> list[Finding]:
    """What the study leaves open and medeor decided: the first thing that the user should check."""
    guesses = []
    if names and not study.target:
        key = "folders" if listing.files and listing.labels == (LABEL,) else "target"
        guesses.append(Message(f"imaging.guessed.{key}", targets=names, folders=listed(targets[0].classes, 6)))
    if not study.group:
        known = any(one.patient or one.study for one in read)
        guesses.append(Message("imaging.guessed.dicom-patient" if known else "imaging.guessed.no-group"))
    return [Finding("guessed", "quality", "unknown", in_turn(guesses))] if guesses else []
