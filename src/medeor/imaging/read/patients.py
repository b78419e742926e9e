"""Signs that several images belong to one patient, where the study names no patients: a column, the names of the files,
or their folders."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import polars as pl

from medeor.contracts import Finding, Message, Text, in_turn
from medeor.formats.images.lists import LABEL, Listing
from medeor.formats.images.tables import without_ending
from medeor.formats.values.missing import says_unknown
from medeor.formats.values.people import names_people
from medeor.formats.values.targets import PARTS

CHECK = "patients-without-group"
FEWEST = 5
"""Different patients that names must suggest before they are taken for names of patients."""
MOST = 50
"""Images a patient, on average, beyond which a name or a folder is rather that of a class or of a part."""

_SAYS_PATIENT = re.compile(
    r"(?:(?:^|[/_\-\s.])(?:patients?|pat|pt|subjects?|subj|sub|participants?|mrn|患者|病人)|(?:^|/)p)(?:[\s_\-]+[a-z]{0,6})?\d+(?!\d)",
    re.IGNORECASE,
)
_SIDE = re.compile(r"^(.+?)[_\-\s.]+(left|right|l|r|od|os)$", re.IGNORECASE)
_SLICE = re.compile(
    r"^(.+?)[_\-\s.]+(?:slice|sl|frame|fr|view|im|img|image|z|t)[_\-\s]?\d+$|^([a-z_\-]{0,8}\d{3,})[_\-]\d{1,4}$",
    re.IGNORECASE,
)
_DATE = re.compile(r"(19|20)\d{2}[01]\d[0-3]\d")
_SHARD = re.compile(
    r"(images?|imgs?|part|fold|batch|shard|set|dir|folder|split|chunk|group|class|grade|stage|level|page|site|cent(er|re)|"
    r"train|test|val|label|score|birads|kl|g|c|t|n|m|bi-?rads|hospital|device|scanner|magnification|x)?[\s_\-]?\d{1,3}x?",
    re.IGNORECASE,
)


def suspected(listing: Listing, taken: Sequence[str], groups: Sequence[str], ids: Sequence[str]) -> Finding | None:
    """A failed check where images seem to share a patient whom the groups tear apart. `taken`: columns that have
    another role in the study."""
    for column in listing.facts.columns:
        values = listing.facts[column]
        if column not in taken and names_people(column) and not values.dtype.is_float():
            keys = values.cast(pl.String, strict=False).to_list()
            if len(set(keys) - {None}) > 2 and (torn := _torn(keys, groups)):
                return _finding("column", keys, torn, ids, column)
    names = [_path_of(keys, listing) for keys in listing.rows["images"].to_list()]
    for look, fewest, most, what in (
        (_by_word, 2, len(names), "words"),
        (_by_side, 2, MOST, "sides"),
        (_by_slice, FEWEST, MOST, "slices"),
        (lambda found: _by_folder(found, listing), FEWEST, MOST, "folders"),
    ):
        keys = look(names)
        known = [key for key in keys if key is not None]
        if not known or len(known) < 0.8 * sum(name is not None for name in names):
            continue
        distinct = len(set(known))
        if fewest <= distinct and len(known) <= most * distinct and (torn := _torn(keys, groups)):
            return _finding(what, keys, torn, ids)
    return None


def odd_groups(column: str, keys: Sequence[str | None], ids: Sequence[str]) -> list[Finding]:
    """Patients of a column whose names may be wrong: those whose names differ only as spellings do (`P1`, `p-01`),
    and cases of nobody."""
    findings = []
    spelt = defaultdict(set)
    for key in keys:
        if key is not None:
            spelt[re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]+", "", key.casefold()))].add(key)
    alike = {key: sorted(names) for names in spelt.values() if len(names) > 1 for key in names}
    if alike:
        shown = in_turn([", ".join(map(repr, names)) for names in list(dict.fromkeys(map(tuple, alike.values())))[:3]])
        message = Message("imaging.patients.spellings", column=column, names=shown)
        torn = tuple(one for one, key in zip(ids, keys) if key in alike)
        findings.append(Finding("group-spellings", "leakage", "unknown", message, torn))
    nobody = tuple(one for one, key in zip(ids, keys) if key is None)
    unknown = Counter(key for key in keys if key is not None and (says_unknown(key) or key in ("-1", "9999")))
    odd: list[Text] = [Message("imaging.patients.nobody", count=len(nobody))] if nobody else []
    odd += [Message("imaging.patients.unknown", count=count, name=key) for key, count in unknown.items() if count > 1]
    if odd:
        message = Message("imaging.patients.missing", column=column, said=in_turn(odd))
        findings.append(Finding("missing-groups", "leakage", "unknown", message, nobody))
    return findings


def _finding(
    sign: str, keys: Sequence[str | None], torn: Sequence[int], ids: Sequence[str], column: str = ""
) -> Finding:
    known = [key for key in keys if key is not None]
    counts = Message("imaging.patients.counts", patients=len(set(known)), images=len(known))
    message = Message(f"imaging.patients.by-{sign}", counts=counts, column=column)
    return Finding(CHECK, "leakage", "fail", message, tuple(ids[row] for row in torn))


def _torn(keys: Sequence[str | None], groups: Sequence[str]) -> list[int]:
    """The cases whose key stands in several groups."""
    found = defaultdict(set)
    for key, group in zip(keys, groups):
        if key is not None:
            found[key].add(group)
    return [row for row, key in enumerate(keys) if key is not None and len(found[key]) > 1]


def _path_of(keys: Sequence[str], listing: Listing) -> str | None:
    """The name of a case's first image, without its ending; None where it is not a file."""
    return without_ending(keys[0].partition("#")[0]) if keys and keys[0] in listing.files else None


Names = Sequence[str | None]


def _by_word(names: Names) -> list[str | None]:
    found = [_SAYS_PATIENT.search(name) if name is not None else None for name in names]
    return [match.group().strip("/_-. ").lower() if match else None for match in found]


def _by_side(names: Names) -> list[str | None]:
    found = [_SIDE.match(_last(name)) if name is not None else None for name in names]
    sides = Counter(match.group(2).lower() for match in found if match)
    return [match.group(1).lower() if match else None for match in found] if len(sides) > 1 else [None] * len(found)


def _by_slice(names: Names) -> list[str | None]:
    found = [_SLICE.match(_last(name)) if name is not None else None for name in names]
    keys = [(match.group(1) or match.group(2)).lower() if match else None for match in found]
    return [None if key is not None and _DATE.search(key) else key for key in keys]


def _by_folder(names: Names, listing: Listing) -> list[str | None]:
    """The folder of each file below what all share, the folders of parts and those of classes."""
    above = [name.split("/")[:-1] if name is not None else [] for name in names]
    real = [folders for folders in above if folders]
    if not real or len(real) < 0.8 * len(above):
        return [None] * len(above)
    skip = 0
    while all(len(folders) > skip for folders in real) and len({folders[skip] for folders in real}) == 1:
        skip += 1
    if all(len(folders) > skip and folders[skip].lower() in PARTS for folders in real):
        skip += 1
    skip += listing.labels == (LABEL,)
    keys = [folders[skip] if len(folders) > skip else None for folders in above]
    return [key if key and re.search(r"\d", key) and not _SHARD.fullmatch(key) else None for key in keys]


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]
