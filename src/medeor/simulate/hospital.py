"""A simulated hospital: patients, their images, and a truth table that says what was planted where."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Literal

import numpy as np
import polars as pl

from medeor.contracts import UserError
from medeor.simulate import ct, ultrasound, xray
from medeor.simulate.images import SCANNERS, Array, Lesions, Pose, Scanner, scan
from medeor.simulate.plant import alter, mark

Modality = Literal["xray", "ultrasound", "ct"]
KINDS: dict[str, ModuleType] = {"xray": xray, "ultrasound": ultrasound, "ct": ct}
PARTS = ("train", "train", "test", "train", "train", "validation", "train", "train", "test", "train")
"""The parts of ten patients in a row."""
BLOCK = 128
"""Patients drawn at a time, so that memory does not grow with the hospital."""


@dataclass(frozen=True)
class Planted:
    """What is wrong with the data, in numbers of cases; by default nothing. No case carries two mistakes."""

    duplicates: int = 0
    """Copies of another image in the same part, under another patient's name."""
    duplicates_across_parts: int = 0
    """Copies of a training image in the test part, under another patient's name."""
    near_duplicates: int = 0
    """The same, but saved anew: a little brighter and noisier."""
    conflicting_duplicates: int = 0
    """Copies within a part with the other label."""
    leaked_patients: int = 0
    """Training patients of whom one image stands in the test part."""
    label_errors: int = 0
    shortcut: Literal["", "marker", "border", "brightness"] = ""
    """What gives the label away without any medicine: a marker in the corner, a bright frame, a brighter image."""
    shortcut_strength: float = 0.95
    """The share of images with a lesion that carry it; of those without, the rest do."""
    constant: int = 0
    unreadable: int = 0
    """Files that are cut off; they show when the hospital is written to files."""
    identifiers: int = 0
    """DICOM headers with a (fictional) person's name, birthday and address; they show when written as DICOM."""


@dataclass(frozen=True)
class Hospital:
    """Simulated images and what is known of them; row i of `table` and `truth` belongs to `images[i]`."""

    kind: Modality
    seed: int
    images: Array = field(repr=False)
    """Shape (n, height, width), or (n, depth, height, width) for `ct`; uint8."""
    masks: Array = field(repr=False)
    """The lesions; the shape of `images`, bool."""
    table: pl.DataFrame = field(repr=False)
    """What a user has: `case_id, patient_id, site, age, sex, part, lesion` (0 or 1, mistakes included), `simulated`."""
    truth: pl.DataFrame = field(repr=False)
    """What only a simulator knows: `case_id`; `lesion` as it is; `contrast` (0 to 1); `radius` and the centre `slice,
    row, column` in pixels, null without a lesion; and by planted mistake `copy` (which kind), `copy_of` (a case id),
    `leaked, label_error, shortcut, constant, unreadable, identified`."""
    planted: Planted
    scanners: tuple[Scanner, ...]
    """By site, in the order of their letters."""

    def __len__(self) -> int:
        return len(self.images)


def hospital(
    n_patients: int,
    *,
    seed: int,
    kind: Modality = "xray",
    size: tuple[int, ...] | None = None,
    sites: int = 3,
    images_per_patient: tuple[int, int] = (1, 3),
    prevalence: float = 0.3,
    difficulty: float = 0.5,
    plant: Planted = Planted(),
) -> Hospital:
    """Makes a hospital of `n_patients`, the same for the same arguments.

    Args:
        kind: `xray` (chest, nodules), `ultrasound` (breast, dark masses), both 2-D; `ct` (small volumes of lung with
            nodules), 3-D.
        size: sides in pixels; by default (64, 64), for `ct` (28, 28, 28).
        sites: how many scanners; lesions are equally common at all of them.
        images_per_patient: fewest and most.
        prevalence: share of patients with a lesion, which all of their images show.
        difficulty: 0, where every lesion is plain to see, to 1, where none can be seen.
        plant: mistakes to be found.

    Raises: UserError for a number out of range, or more mistakes than there are cases."""
    size = size or ((28, 28, 28) if kind == "ct" else (64, 64))
    numbers = {"n_patients": n_patients, "sites": sites, "prevalence": prevalence, "difficulty": difficulty}
    _check(kind, size, images_per_patient, plant, **numbers)
    rng = np.random.default_rng([seed, 0])
    site, sick, part = _patients(rng, n_patients, sites, prevalence)
    leaked = np.zeros(n_patients, bool)
    leaked[_some(rng, np.flatnonzero(part == "train"), plant.leaked_patients, "leaked_patients")] = True
    low, high = images_per_patient
    count = np.maximum(rng.integers(low, high + 1, n_patients), np.where(leaked, 2, 1))
    rows = pl.DataFrame(
        {
            "patient": np.arange(n_patients),
            "site": site,
            "sick": sick,
            "part": part,
            "leaked": leaked,
            "age": np.clip(np.rint(rng.normal(60, 14, n_patients)), 18, 95).astype(int),
            "sex": rng.choice(["F", "M"] if kind != "ultrasound" else ["F"], n_patients),
            "contrast": np.minimum((1 - difficulty) * rng.uniform(0.5, 1.5, n_patients), 1),
        }
    ).select(pl.all().repeat_by(pl.Series(count)).explode())
    last = rows["patient"] != rows["patient"].shift(-1, fill_value=-1)
    rows = rows.with_columns(part=pl.when(pl.col("leaked") & last).then(pl.lit("test")).otherwise(pl.col("part")))
    scanners = tuple(SCANNERS[number % len(SCANNERS)] for number in range(sites))
    images, masks, radius = _images(rows, scanners, KINDS[kind], size, seed)
    rows = rows.with_columns(pl.Series("radius", radius)).with_row_index("source")

    rows = _with_mistakes(rows, plant, rng)
    images, masks = images[rows["source"].to_numpy()], masks[rows["source"].to_numpy()]
    alter(images, masks, rows, np.random.default_rng([seed, 1]))
    mark(images, rows["shortcut"].to_numpy(), plant.shortcut)
    return Hospital(kind, seed, images, masks, *_tables(rows, masks), plant, scanners)


def _patients(rng: np.random.Generator, n: int, sites: int, prevalence: float) -> tuple[Array, Array, Array]:
    """Site, lesion and part of each patient; lesions are spread evenly over the sites, and both over the parts."""
    site = rng.permutation(np.arange(n) % sites)
    sick = np.zeros(n, bool)
    share = round(prevalence * n) / n
    order = np.lexsort((rng.random(n), site))
    sick[order] = np.diff(np.floor(np.arange(n + 1) * share + 1e-9)) > 0
    part = np.empty(n, object)
    order = np.lexsort((rng.random(n), site, sick))
    part[order] = np.resize(np.array(PARTS, object), n)
    return site, sick, part.astype(str)


def _images(
    rows: pl.DataFrame, scanners: tuple[Scanner, ...], kind: ModuleType, size: tuple[int, ...], seed: int
) -> tuple[Array, Array, Array]:
    """Images and masks of all rows, and the radius of each lesion in half-widths."""
    images = np.empty((len(rows), *size), np.uint8)
    masks = np.empty((len(rows), *size), bool)
    radius = np.empty(len(rows))
    patient = rows["patient"].to_numpy()
    for number, first in enumerate(range(0, int(patient.max()) + 1, BLOCK)):
        mine = np.flatnonzero((patient >= first) & (patient < first + BLOCK))
        rng = np.random.default_rng([seed, 2, number])
        of = patient[mine] - first
        least, most = kind.RADIUS
        traits = rng.standard_normal((BLOCK, kind.TRAITS))
        place, wide, phase = rng.random((BLOCK, 3)), rng.uniform(least, most, BLOCK), rng.uniform(0, 7, (BLOCK, 3))
        lobes = rng.normal(0, 0.07, (BLOCK, 3))
        site = rows["site"].to_numpy()[mine]
        lesions = Lesions(
            rows["sick"].to_numpy()[mine], place[of], wide[of], rows["contrast"].to_numpy()[mine], lobes[of], phase[of]
        )
        pose = Pose.draw(rng, np.array([scanner.zoom for scanner in scanners])[site])
        drawn = kind.draw(traits, of, pose, lesions, size, [seed, 3, number])
        images[mine], masks[mine] = scan(drawn.pixels, site, scanners, rng), drawn.masks
        radius[mine] = lesions.radius * pose.zoom
    return images, masks, radius


def _with_mistakes(rows: pl.DataFrame, plant: Planted, rng: np.random.Generator) -> pl.DataFrame:
    """The rows with copies added and mistakes marked, in a random order, with their case ids."""
    free = rng.permutation(np.flatnonzero(~rows["leaked"].to_numpy()))
    part = rows["part"].to_numpy()

    def take(number: int, what: str, parts: tuple[str, ...] = ("train", "validation", "test")) -> Array:
        nonlocal free
        chosen = _some(rng, free[np.isin(part[free], parts)], number, what)
        free = free[~np.isin(free, chosen)]
        return chosen

    sick = rows["sick"].to_numpy()
    strength = np.where(sick, plant.shortcut_strength, 1 - plant.shortcut_strength)
    carries = (rng.random(len(rows)) < strength) & bool(plant.shortcut)
    copies = {
        "duplicate": take(plant.duplicates, "duplicates"),
        "conflicting-duplicate": take(plant.conflicting_duplicates, "conflicting_duplicates"),
        "duplicate-across-parts": take(plant.duplicates_across_parts, "duplicates_across_parts", ("train",)),
        "near-duplicate": take(plant.near_duplicates, "near_duplicates", ("train",)),
    }
    mistakes = {"label_error": "label_errors", "constant": "", "unreadable": "", "identified": "identifiers"}
    for name, what in ((name, what or name) for name, what in mistakes.items()):
        chosen = np.isin(np.arange(len(rows)), take(getattr(plant, what), what))
        rows = rows.with_columns(pl.Series(name, chosen))
    rows = rows.with_columns(pl.Series("shortcut", carries), copy=pl.lit(None, pl.String))

    added = [rows]
    for kind, sources in copies.items():
        # A copy stands under the name of a patient of its own: nothing but the picture gives it away.
        fresh = pl.int_range(pl.len()).cast(rows["patient"].dtype) + sum(map(len, added))
        copy = rows[sources].with_columns(copy=pl.lit(kind), patient=fresh)
        if kind in ("duplicate-across-parts", "near-duplicate"):
            copy = copy.with_columns(part=pl.lit("test"))
        added.append(copy)
    every = pl.concat(added)
    every = every[rng.permutation(len(every))]
    names = pl.Series([f"case-{number:05d}" for number in range(1, len(every) + 1)])
    originals = every["copy"].is_null()
    name_of = dict(zip(every["source"].filter(originals), names.filter(originals)))
    patients = rng.permutation(every["patient"].unique().sort().to_numpy())
    patient_ids = {int(patient): f"P{number:05d}" for number, patient in enumerate(patients, 1)}
    return every.with_columns(
        case_id=names,
        patient_id=pl.col("patient").replace_strict(patient_ids, return_dtype=pl.String),
        copy_of=pl.when(pl.col("copy").is_not_null()).then(
            pl.col("source").replace_strict(name_of, return_dtype=pl.String)
        ),
    )


def _tables(rows: pl.DataFrame, masks: Array) -> tuple[pl.DataFrame, pl.DataFrame]:
    wrong = pl.col("label_error") | (pl.col("copy") == "conflicting-duplicate").fill_null(False)
    table = rows.select(
        "case_id",
        "patient_id",
        pl.col("site").replace_strict({number: chr(65 + number) for number in range(26)}, return_dtype=pl.String),
        "age",
        "sex",
        "part",
        (pl.col("sick") ^ wrong).cast(pl.Int64).alias("lesion"),
        pl.lit(True).alias("simulated"),
    )
    area = masks.reshape(len(masks), -1).sum(1)
    seen = pl.Series(area > 0)
    axes = ("slice", "row", "column")[4 - masks.ndim :]
    centres = []
    for axis, name in enumerate(axes, 1):
        others = tuple(k for k in range(1, masks.ndim) if k != axis)
        sums = masks.sum(others) @ np.arange(masks.shape[axis])
        centres.append(pl.Series(name, sums / np.maximum(area, 1)))
    truth = rows.select(
        "case_id",
        pl.col("sick").cast(pl.Int64).alias("lesion"),
        pl.when(seen).then(pl.col("contrast")),
        pl.when(seen).then(pl.col("radius") * masks.shape[-1] / 2).alias("radius"),
        *(pl.when(seen).then(centre).alias(centre.name) for centre in centres),
        "copy",
        "copy_of",
        "leaked",
        *("label_error", "shortcut", "constant", "unreadable", "identified"),
    )
    return table, truth


def _some(rng: np.random.Generator, among: Array, number: int, what: str) -> Array:
    if number > len(among):
        raise UserError("simulate.hospital.few-left", what=what, number=number, count=len(among))
    return rng.choice(among, number, replace=False)


_BOUNDS = {
    "n_patients": (1, np.inf),
    "sites": (1, 26),
    **dict.fromkeys(("prevalence", "difficulty", "shortcut_strength"), (0, 1)),
}


def _check(
    kind: str, size: tuple[int, ...], images_per_patient: tuple[int, int], plant: Planted, **numbers: float
) -> None:
    if kind not in KINDS:
        raise UserError("simulate.hospital.kind", kind=kind, kinds=list(KINDS))
    dimensions = 3 if kind == "ct" else 2
    if len(size) != dimensions or min(size) < 8:
        raise UserError("simulate.hospital.size", size=size, kind=kind, count=dimensions)
    if not 1 <= images_per_patient[0] <= images_per_patient[1]:
        raise UserError("simulate.hospital.images", images=images_per_patient)
    planted = {name: value for name, value in vars(plant).items() if name != "shortcut"}
    for name, value in {**numbers, **planted}.items():
        low, high = _BOUNDS.get(name, (0, np.inf))
        if not low <= value <= high:
            key = "simulate.hospital.range" if high < np.inf else "simulate.hospital.at-least"
            raise UserError(key, name=name, value=value, low=low, high=high)
