"""The image audit finds what was planted in small synthetic pictures, names the cases, and passes clean ones."""

import os
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import ndimage
from skimage.transform import downscale_local_mean

from medeor.contracts import Cases, Finding, Split, Target
from medeor.files import digest
from medeor.formats.images.arrays import ImageArray
from medeor.formats.images.store import ImageStore
from medeor.imaging import near_duplicates as module
from medeor.imaging.audit import audit_images, clean, thumbnail, thumbnails
from medeor.imaging.near_duplicates import describer, near_duplicates
from medeor.simulate import Planted, hospital

SICK = Target("sick", "binary", ("no", "yes"))
PARTS = np.array(["train", "train", "train", "validation", "test"])


def scans(n: int = 200, side: int = 32, seed: int = 0) -> np.ndarray:
    """Pictures of one organ that differ from person to person, shape (n, side, side), 0 to 255."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    body = 120 * np.exp(-(rows**2 + columns**2))
    own = ndimage.gaussian_filter(generator.normal(size=(n, side, side)), (0, 2, 2))
    light = generator.normal(40, 5, (n, 1, 1))
    return np.clip(light + body + 160 * own, 0, 255).astype(np.float32)


def study(pixels: np.ndarray, **columns: object) -> tuple[Cases, Split]:
    n = len(pixels)
    table = pl.DataFrame(
        {
            "case_id": [f"c{i}" for i in range(n)],
            "group": [f"c{i}" for i in range(n)],
            "sick": np.arange(n) // 5 % 2,
            "content": [digest(picture.tobytes()) for picture in pixels],
            "broken": pl.Series([None] * n, dtype=pl.String),
            "identifiers": pl.Series([[]] * n, dtype=pl.List(pl.String)),
            "width": [32] * n,
            "height": [32] * n,
            "images": [[f"{i}.png"] for i in range(n)],
            "source": [f"{i}.png" for i in range(n)],
        }
    ).with_columns(**{name: pl.Series(values) for name, values in columns.items()})
    split = table.select("case_id", part=pl.Series(PARTS[np.arange(n) % 5]), fold=pl.lit(None, pl.Int32))
    return Cases(table, (SICK,)), Split(split)


def verdict(findings: list[Finding], check: str) -> Finding:
    (found,) = [finding for finding in findings if finding.check == check]
    return found


def found(check: str, pixels: np.ndarray, **columns: object) -> Finding:
    return verdict(audit_images(*study(pixels, **columns), pixels), check)


@pytest.mark.parametrize("seed", range(5))
def test_clean_images_pass_every_check(seed: int) -> None:
    pixels = scans(300, seed=seed)
    assert {finding.status for finding in audit_images(*study(pixels), pixels)} == {"pass"}


def test_unreadable_images_are_counted_by_reason_and_unlabelled_ones_are_none() -> None:
    pixels = scans(50)
    pixels[[3, 8]] = np.nan
    content = [None if i in (3, 8) else f"d{i}" for i in range(50)]
    broken = ["the file ends early" if i in (3, 8) else "it has no label" if i == 5 else None for i in range(50)]
    finding = found("unreadable-images", pixels, content=content, broken=broken)
    assert (finding.status, finding.cases) == ("fail", ("c3", "c8"))
    assert "2 of 50 images cannot be used: the file ends early (2)" in str(finding.message)
    assert found("non-finite-pixels", pixels, content=content, broken=broken).status == "pass"


def test_constant_images_and_numbers_that_are_none_are_named() -> None:
    pixels = scans(50)
    pixels[7] = 31.7
    pixels[9, 4, 4] = np.nan
    assert found("constant-images", pixels).cases == ("c7",)
    assert found("non-finite-pixels", pixels).cases == ("c9",)
    # Readers replace such numbers and count them.
    counted = found("non-finite-pixels", scans(50), nonfinite=[0] * 49 + [12])
    assert counted.cases == ("c49",)


def test_copies_within_and_across_parts_are_told_apart() -> None:
    pixels = scans(50)
    pixels[5] = pixels[0]  # train, train
    pixels[9] = pixels[1]  # test, train
    findings = audit_images(*study(pixels), pixels)
    within, across = verdict(findings, "duplicates-within-parts"), verdict(findings, "duplicates-across-parts")
    assert set(within.cases) == {"c0", "c5"}
    assert "1 of 2 in train" in str(within.message)
    assert within.kind == "quality"
    assert set(across.cases) == {"c1", "c9"}
    assert "1 of test also in train" in str(across.message)
    assert across.stops
    # Exact copies are not reported again as near ones.
    assert verdict(findings, "near-duplicates-across-parts").status == "pass"


def test_copies_with_different_labels_are_found() -> None:
    pixels = scans(50)
    pixels[6], pixels[20] = pixels[0], pixels[10]  # labels 0 and 1; 0 and 0
    finding = found("conflicting-labels", pixels)
    assert (finding.status, set(finding.cases)) == ("fail", {"c0", "c6"})
    unknown = [None if i == 6 else i // 5 % 2 for i in range(50)]
    assert found("conflicting-labels", pixels, sick=unknown).status == "pass"


CHANGES = {
    "brighter": lambda a: a + 20,
    "more contrast": lambda a: 1.3 * a,
    "gamma": lambda a: 255 * (a / 255) ** 1.3,
    "mirrored": lambda a: a[:, ::-1],
    "upside down": lambda a: a[::-1],
    "shifted": lambda a: ndimage.shift(a, (1, -1), order=1, mode="nearest"),
    "shifted by parts of pixels": lambda a: ndimage.shift(a, (0.5, 1.3), order=1, mode="nearest"),
    "noisy": lambda a: a + np.random.default_rng(0).normal(0, 3, a.shape),
    "mirrored, shifted and brighter": lambda a: ndimage.shift(a[:, ::-1], (0, 1), order=1, mode="nearest") * 1.1 + 10,
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_across_parts_are_found_as_pairs(change: str) -> None:
    pixels = scans(300)
    # The training case 5 i yields to the test case 5 i + 4.
    planted = [(5 * i, 5 * i + 4) for i in range(10)]
    for original, copy in planted:
        pixels[copy] = CHANGES[change](pixels[original])
    finding = found("near-duplicates-across-parts", pixels)
    pairs = list(zip(finding.cases[::2], finding.cases[1::2], strict=True))
    assert finding.stops
    assert "10 in test" in str(finding.message)
    assert pairs == [(f"c{original}", f"c{copy}") for original, copy in planted]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_within_a_part_are_found_as_pairs(change: str) -> None:
    pixels = scans(300)
    # Training cases 0, 10, 20, …, with the same label, and 5 of the test part; the later one yields.
    planted = [(60 + 20 * i, 20 * i) for i in range(0, 12, 4)] + [(104 + 10 * i, 4 + 10 * i) for i in range(5)]
    for copy, original in planted:
        pixels[copy] = CHANGES[change](pixels[original])
    findings = audit_images(*study(pixels), pixels)
    finding = verdict(findings, "near-duplicates-within-parts")
    pairs = set(zip(finding.cases[::2], finding.cases[1::2], strict=True))
    assert finding.status == "fail"
    assert not finding.stops
    assert pairs == {(f"c{copy}", f"c{original}") for copy, original in planted}
    assert "3 in train" in str(finding.message)
    assert "5 in test" in str(finding.message)
    assert verdict(findings, "near-duplicates-across-parts").status == "pass"
    assert verdict(findings, "conflicting-labels").status == "pass"
    # Two pictures of one patient may look alike.
    groups = [f"c{dict(planted).get(i, i)}" for i in range(300)]
    assert found("near-duplicates-within-parts", pixels, group=groups).status == "pass"


def test_near_copies_with_different_labels_are_found() -> None:
    pixels = scans(300)
    for copy, original in ((15, 0), (34, 25), (54, 44)):  # labels 1 and 0 (train), 0 and 1 (test, train), 0 and 0
        pixels[copy] = 1.2 * pixels[original]
    finding = found("conflicting-labels", pixels)
    assert (finding.status, set(finding.cases)) == ("fail", {"c0", "c15", "c25", "c34"})
    numbers = np.where(np.arange(300) == 15, np.nan, np.arange(300) // 5 % 2)
    cases, split = study(pixels, sick=numbers)
    measured = Cases(cases.table, (Target("sick", "continuous"),))
    assert verdict(audit_images(measured, split, pixels), "conflicting-labels").status == "pass"


def test_pictures_that_vary_little_are_not_called_copies() -> None:
    # A spot whose place is all that varies: with 400 of them many are near each other, as chance would have it.
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]
    centres = generator.uniform(8, 24, (400, 2, 1, 1))
    away = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2
    pixels = (200 * np.exp(-away / 40)).astype(np.float32)
    assert found("near-duplicates-across-parts", pixels).status == "pass"
    assert found("near-duplicates-within-parts", pixels).status == "pass"


def test_near_copies_of_five_thousand_images_are_found_in_seconds() -> None:
    pixels = scans(5000)
    pixels[-1] = pixels[0] * 1.2 + 5
    kinds = np.arange(5000) + 1
    start = time.process_time()
    pairs = list(near_duplicates(pixels[4000:], pixels[:4000], kinds[4000:], kinds[:4000], describer(pixels)))
    assert time.process_time() - start < 20  # about 3 s
    assert pairs == [(999, 0)]


def test_cells_find_the_near_copies_that_comparing_all_pairs_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = scans(3000)
    for number, change in enumerate(10 * list(CHANGES.values())):
        pixels[-1 - number] = change(pixels[20 * number])
    kinds, own, describe = np.arange(3000) + 1, np.arange(3000), describer(pixels)

    def pairs() -> set[tuple[int, int]]:
        return set(near_duplicates(pixels, pixels, kinds, kinds, describe, own))

    of_all = pairs()
    monkeypatch.setattr(module, "_MANY", 1000)
    of_cells = pairs()
    planted = {(2999 - number, 20 * number) for number in range(90)}
    assert len(planted & of_all) >= 89
    assert len(of_all & of_cells) >= 0.99 * len(of_all)
    assert len(of_cells - of_all) <= 0.01 * len(of_all)


def marked(where: tuple[slice, slice], amount: float) -> np.ndarray:
    """Scans of which the sick are brighter in one place."""
    pixels = scans(300)
    sick = np.arange(300) // 5 % 2 == 1
    pixels[(sick, *where)] += amount
    return pixels


def test_brightness_and_border_that_give_the_label_away_are_found_and_a_lesion_is_not() -> None:
    corner = marked((slice(0, 3), slice(0, 3)), 80)
    assert found("shortcut/border", corner).status == "fail"
    assert found("shortcut/brightness", corner).status == "pass"
    brighter = marked((slice(None), slice(None)), 15)
    assert found("shortcut/brightness", brighter).status == "fail"
    lesion = marked((slice(14, 18), slice(14, 18)), 80)
    assert {found(f"shortcut/{name}", lesion).status for name in ("border", "brightness")} == {"pass"}


def test_a_size_that_gives_the_label_away_is_found() -> None:
    width = np.where(np.arange(300) // 5 % 2 == 1, 640, 512)
    assert found("shortcut/size", scans(300), width=width).status == "fail"
    width = np.where(np.arange(300) % 2 == 1, 640, 512)
    assert found("shortcut/size", scans(300), width=width).status == "pass"


def test_identifiers_are_counted_by_the_name_of_their_field() -> None:
    fields = [["PatientName", "PatientID"], ["PatientName"]] + [[]] * 48
    finding = found("identifiers-in-headers", scans(50), identifiers=fields)
    assert (finding.status, finding.kind, finding.cases) == ("fail", "identifiers", ("c0", "c1"))
    assert "PatientName (2), PatientID (1)" in str(finding.message)


def test_cleaning_says_why_each_case_goes() -> None:
    pixels = scans(300)
    pixels[2] = np.nan
    pixels[11] = 5
    pixels[9] = pixels[1]  # test and train, one label each: 1 and 0, in conflict
    pixels[14] = pixels[10]  # test and train, one label
    pixels[20] = pixels[13]  # train and validation, one label
    pixels[24] = 1.2 * pixels[30]  # nearly: test and train
    pixels[45] = 1.2 * pixels[35]  # nearly: train and train, one label
    pixels[55] = 1.2 * pixels[50]  # nearly: train and train, in conflict
    broken = ["no picture" if i == 2 else None for i in range(300)]
    content = [None if i == 2 else digest(picture.tobytes()) for i, picture in enumerate(pixels)]
    cases, split = study(pixels, broken=broken, content=content)
    findings = audit_images(cases, split, pixels)
    table = clean(cases, findings, split)
    removed = dict(table.filter(pl.col("removed").is_not_null()).select("case_id", "removed").iter_rows())
    assert removed == {
        "c2": "unreadable image",
        "c11": "constant image",
        "c1": "copies with different labels",
        "c9": "copies with different labels",
        "c10": "copy of another image",
        "c20": "copy of another image",
        "c30": "nearly a copy of another image",
        "c45": "nearly a copy of another image",
        "c50": "copies with different labels",
        "c55": "copies with different labels",
    }
    assert table.columns == ["image", "removed", "case_id", "group", "sick"]
    kept = table["removed"].is_null()
    again = audit_images(cases.where(kept), split, pixels[kept.to_numpy()])
    assert {finding.status for finding in again} == {"pass"}


@pytest.mark.parametrize(("shape", "kind"), [((3, 128, 64), np.uint8), ((1, 5, 96, 64), np.float32)])
def test_a_thumbnail_is_the_mean_over_channels_slices_and_areas(shape: tuple[int, ...], kind: type) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(kind)
    flat = pixels.astype(float).mean(axis=tuple(range(len(shape) - 2)))
    expected = downscale_local_mean(flat, (shape[-2] // 32, shape[-1] // 32))
    np.testing.assert_allclose(thumbnail(pixels), expected, rtol=1e-5)


def test_a_thumbnail_of_sides_that_do_not_divide_keeps_the_mean() -> None:
    pixels = np.random.default_rng(0).random((1, 45, 28)).astype(np.float32)
    assert thumbnail(pixels).mean() == pytest.approx(pixels.mean(), rel=1e-5)


def test_thumbnails_are_read_from_the_store_and_missing_where_an_image_is_broken() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 64, 64)).astype(np.uint8)
    store = ImageStore(arrays={"array": ImageArray(pixels.shape, pixels.dtype, memory=pixels)})
    keys = [[f"array/{i}"] for i in range(3)]
    table = pl.DataFrame({"case_id": list("abc"), "images": keys, "broken": [None, "cut short", None]})
    small = thumbnails(Cases(table, stores={"images": store}))
    assert np.isnan(small[1]).all()
    np.testing.assert_allclose(small[2], downscale_local_mean(pixels[2].astype(float), (2, 2)), rtol=1e-5)


CLEAN = Planted()


def simulated(kind: str, seed: int, plant: Planted = CLEAN) -> tuple[pl.DataFrame, list[Finding]]:
    """The truth of a simulated hospital, and what the audit says of it."""
    made = hospital(200, seed=seed, kind=kind, plant=plant)  # type: ignore[arg-type]
    small = np.stack([thumbnail(picture[None]) for picture in made.images])
    groups = made.table["patient_id"]
    cases, split = study(small, case_id=made.table["case_id"], sick=made.table["lesion"], group=groups)
    split = Split(split.table.with_columns(part=made.table["part"]))
    return made.truth, audit_images(cases, split, small)


@pytest.mark.parametrize("kind", ["xray", "ultrasound", "ct"])
def test_a_clean_simulated_hospital_passes(kind: str) -> None:
    assert {finding.status for finding in simulated(kind, 1)[1]} == {"pass"}


@pytest.mark.parametrize("kind", ["xray", "ultrasound"])
def test_what_a_simulated_hospital_hides_is_found(kind: str) -> None:
    plant = Planted(duplicates_across_parts=3, near_duplicates=6, conflicting_duplicates=2, constant=2)
    truth, findings = simulated(kind, 5, plant)
    assert set(verdict(findings, "constant-images").cases) == set(truth.filter("constant")["case_id"])

    def copies(kind: str) -> set[tuple[str, str]]:
        return set(truth.filter(pl.col("copy") == kind).select("copy_of", "case_id").iter_rows())

    near = verdict(findings, "near-duplicates-across-parts").cases
    assert set(zip(near[::2], near[1::2], strict=True)) == copies("near-duplicate")
    across = verdict(findings, "duplicates-across-parts").cases
    assert set(zip(across[::2], across[1::2], strict=True)) <= {
        pair for a, b in copies("duplicate-across-parts") for pair in ((a, b), (b, a))
    }
    assert len(across) == 6
    assert set(verdict(findings, "conflicting-labels").cases) == {
        case_id for pair in copies("conflicting-duplicate") for case_id in pair
    }


@pytest.mark.parametrize(("shortcut", "check"), [("border",) * 2, ("brightness",) * 2, ("marker", "border")])
def test_the_shortcut_of_a_simulated_hospital_is_found(shortcut: str, check: str) -> None:
    _, findings = simulated("xray", 6, Planted(shortcut=shortcut))  # type: ignore[arg-type]
    assert verdict(findings, f"shortcut/{check}").status == "fail"


def published(name: str) -> tuple[np.ndarray, Cases, Split]:
    folder = os.environ.get("MEDEOR_DATA")
    if not folder:
        pytest.skip("MEDEOR_DATA does not name a folder of data sets")
    (path,) = Path(folder).rglob(f"{name}.npz")
    archive = np.load(path)
    parts = {"train": "train", "validation": "val", "test": "test"}
    pixels = np.concatenate([archive[f"{short}_images"] for short in parts.values()])
    labels = np.concatenate([archive[f"{short}_labels"] for short in parts.values()])[:, 0]
    cases, split = study(pixels, sick=labels.astype(np.int64))
    part = np.repeat(list(parts), [len(archive[f"{short}_images"]) for short in parts.values()])
    small = np.stack([thumbnail(picture[None]) for picture in pixels])
    return small, cases, Split(split.table.with_columns(part=pl.Series(part)))


@pytest.mark.data
def test_the_known_copies_in_pneumoniamnist_are_found() -> None:
    small, cases, split = published("pneumoniamnist")
    findings = audit_images(cases, split, small)
    # 18 training images repeat another one (so 36 images are involved); 8 of validation are also in training.
    within, across = verdict(findings, "duplicates-within-parts"), verdict(findings, "duplicates-across-parts")
    assert "18 of 36 in train" in str(within.message)
    assert str(across.message) == "images in two parts: 8 of validation also in train"
    assert verdict(findings, "conflicting-labels").status == "pass"
    assert verdict(findings, "near-duplicates-across-parts").status == "pass"
    # By eye: the same child, moved by a pixel or two.
    assert verdict(findings, "near-duplicates-within-parts").cases == ("c2631", "c1175", "c5462", "c5311")


@pytest.mark.data
def test_breastmnist_holds_one_exact_copy_with_two_labels_and_many_near_ones() -> None:
    small, cases, split = published("breastmnist")
    findings = audit_images(cases, split, small)
    assert str(verdict(findings, "duplicates-across-parts").message) == "images in two parts: 1 of test also in train"
    conflicting = verdict(findings, "conflicting-labels")
    assert "1 image has copies with different labels (2 cases)" in str(conflicting.message)
    # Counted apart from the audit: 39 test images correlate above .99 with a training image, as they are.
    flat = small.reshape(len(small), -1)
    part = split.table["part"].to_numpy()
    alike = np.corrcoef(flat)[np.ix_(part == "test", part == "train")].max(axis=1)
    certain = set(np.array(cases.ids)[part == "test"][alike > 0.99])
    exact = set(verdict(findings, "duplicates-across-parts").cases)
    assert len(certain) >= 39
    assert certain - exact <= set(verdict(findings, "near-duplicates-across-parts").cases)
    content, sick = (cases.table[name].to_numpy() for name in ("content", "sick"))
    pairs = np.argwhere(np.triu(np.corrcoef(flat) > 0.99, 1) & (content[:, None] != content))
    one_part = pairs[part[pairs[:, 0]] == part[pairs[:, 1]]]
    assert len({*one_part.ravel()}) == 142  # as the catalogue says
    assert {cases.ids[row] for row in one_part.ravel()} <= set(verdict(findings, "near-duplicates-within-parts").cases)
    apart = pairs[sick[pairs[:, 0]] != sick[pairs[:, 1]]]
    assert {cases.ids[row] for row in apart[:, 1]} <= set(conflicting.cases)
