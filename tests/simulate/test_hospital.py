"""The simulated hospital is what its truth says: lesions, copies, mistakes, sites."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from medeor.contracts import UserError
from medeor.simulate import Hospital, Planted, hospital

ALL = Planted(
    duplicates=3,
    duplicates_across_parts=4,
    near_duplicates=5,
    conflicting_duplicates=2,
    leaked_patients=6,
    label_errors=7,
    shortcut="marker",
    constant=2,
    unreadable=3,
    identifiers=4,
)
SIZES = {"xray": (32, 32), "ultrasound": (32, 32), "ct": (16, 16, 16)}


@pytest.fixture(scope="module")
def clean() -> Hospital:
    return hospital(300, seed=5, size=(28, 28))


@pytest.fixture(scope="module")
def messy() -> Hospital:
    return hospital(300, seed=6, size=(28, 28), plant=ALL)


def known(made: Hospital) -> pl.DataFrame:
    """Table and truth side by side, with the row number."""
    truth = made.truth.rename({"lesion": "true_lesion"})
    return made.table.join(truth, on="case_id", maintain_order="left").with_row_index("number")


def exact_pairs(made: Hospital) -> set[frozenset[int]]:
    """Rows with the same pixels, two by two, by comparing all of them."""
    first: dict[bytes, int] = {}
    pairs = ((first.setdefault(image.tobytes(), row), row) for row, image in enumerate(made.images))
    return {frozenset(pair) for pair in pairs if pair[0] != pair[1]}


@pytest.mark.parametrize("kind", ["xray", "ultrasound", "ct"])
def test_the_same_seed_makes_the_same_hospital_and_another_seed_another(kind: str) -> None:
    one, same, other = (hospital(12, seed=seed, kind=kind, size=SIZES[kind], plant=ALL_SMALL) for seed in (1, 1, 2))
    assert (one.images == same.images).all()
    assert (one.masks == same.masks).all()
    assert one.table.equals(same.table)
    assert one.truth.equals(same.truth)
    assert (one.images[: len(other)] != other.images[: len(one)]).any()


ALL_SMALL = Planted(near_duplicates=1, label_errors=1, constant=1)


@pytest.mark.parametrize("kind", ["xray", "ultrasound", "ct"])
def test_every_lesion_has_a_mask_where_the_truth_says_and_nothing_else_has(kind: str) -> None:
    made = hospital(120, seed=3, kind=kind, size=SIZES[kind])
    assert made.images.dtype == np.uint8
    assert made.masks.dtype == bool
    assert made.images.shape == made.masks.shape == (len(made), *SIZES[kind])
    area = made.masks.reshape(len(made), -1).sum(1)
    lesion = made.truth["lesion"].to_numpy() == 1
    assert ((area > 0) == lesion).all()
    axes = ["slice", "row", "column"][-len(SIZES[kind]) :]
    centres = made.truth.filter(lesion).select(axes).to_numpy()
    measured = [ndimage.center_of_mass(mask) for mask in made.masks[lesion]]
    np.testing.assert_allclose(centres, measured, atol=1e-6)
    # A ball (a disc, an ellipse in ultrasound) of the stated radius, whose outline departs by some tenths.
    radius = made.truth["radius"].drop_nulls().to_numpy()
    ball = np.pi * radius**2 / (1.25 if kind == "ultrasound" else 1) if kind != "ct" else 4 / 3 * np.pi * radius**3
    assert 0.75 < np.median(area[lesion] / ball) < 1.25
    assert made.truth.filter(~lesion).select("contrast", "radius", *axes).null_count().row(0) == (
        (int((~lesion).sum()),) * (2 + len(axes))
    )


@pytest.mark.parametrize(("kind", "sign"), [("xray", 1), ("ultrasound", -1), ("ct", 1)])
def test_lesions_stand_out_by_their_stated_contrast(kind: str, sign: int) -> None:
    """A nodule is brighter than its surroundings, an ultrasound mass darker; more so with a higher contrast."""
    made = hospital(150, seed=4, kind=kind, size=SIZES[kind], prevalence=1, difficulty=0.2, sites=1)
    around = ndimage.binary_dilation(made.masks, iterations=3, structure=_within_image(made.masks.ndim)) & ~made.masks
    pairs = zip(made.images.astype(float), made.masks, around)
    difference = sign * np.array([image[mask].mean() - image[ring].mean() for image, mask, ring in pairs])
    assert (difference > 0).mean() > 0.9
    assert np.corrcoef(difference, made.truth["contrast"].to_numpy())[0, 1] > 0.35


def _within_image(dimensions: int) -> np.ndarray:
    """A neighbourhood that never reaches into the next image."""
    structure = np.zeros((3,) * dimensions, bool)
    structure[1] = ndimage.generate_binary_structure(dimensions - 1, 1)
    return structure


def test_an_invisible_lesion_leaves_no_trace() -> None:
    seen, unseen = (hospital(20, seed=7, prevalence=p, difficulty=1.0, size=(28, 28)) for p in (0.0, 1.0))
    assert unseen.masks.any()
    assert (seen.images == unseen.images).all()


def test_difficulty_grades_what_a_simple_detector_achieves() -> None:
    """A forest on the pixels, trained on one part and judged on the others: neither at chance nor perfect."""
    scores = []
    for difficulty in (0.1, 0.5, 1.0):
        made = hospital(500, seed=3, size=(28, 28), difficulty=difficulty)
        pixels, lesion = made.images.reshape(len(made), -1), made.table["lesion"].to_numpy()
        train = (made.table["part"] == "train").to_numpy()
        forest = RandomForestClassifier(60, min_samples_leaf=3, random_state=0).fit(pixels[train], lesion[train])
        scores.append(roc_auc_score(lesion[~train], forest.predict_proba(pixels[~train])[:, 1]))
    easy, middle, impossible = scores
    assert easy > middle > impossible
    assert 0.65 < middle < 0.95
    assert abs(impossible - 0.5) < 0.13  # about 2.5 standard errors of an AUROC on 300 clustered images


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 60),
    prevalence=st.floats(0, 1),
    sites=st.integers(1, 5),
    most=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_counts_are_as_asked(n: int, prevalence: float, sites: int, most: int, seed: int) -> None:
    made = hospital(n, seed=seed, size=(8, 8), prevalence=prevalence, sites=sites, images_per_patient=(1, most))
    patients = made.table.group_by("patient_id").agg(
        pl.len(), pl.col("lesion", "site", "part", "age", "sex").n_unique(), pl.col("lesion").first().alias("sick")
    )
    assert len(patients) == n
    assert patients["sick"].sum() == round(prevalence * n)
    assert patients["len"].is_between(1, most).all()
    assert (patients.select("lesion", "site", "part", "age", "sex") == 1).min_horizontal().all()
    assert made.table["site"].n_unique() == min(sites, n)
    assert made.table["case_id"].n_unique() == len(made) == len(made.images)


def test_lesions_are_equally_common_at_all_sites_and_in_all_parts(clean: Hospital) -> None:
    patients = clean.table.unique("patient_id")
    for column in ("site", "part"):
        for _, group in patients.group_by(column):
            assert abs(group["lesion"].mean() - 0.3) < 0.05
    shares = dict(patients["part"].value_counts(normalize=True).iter_rows())
    assert shares == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.02)


def test_sites_look_different(clean: Hospital) -> None:
    """Site C collimates (a black margin); B has a gain above 1."""
    site = clean.table["site"].to_numpy()
    edge = clean.images[:, :, 0].mean(1)
    assert edge[site == "C"].max() == 0
    assert edge[site == "A"].max() > 0
    middle = clean.images[:, 4:24, 4:24].mean((1, 2))
    assert middle[site == "B"].mean() > 1.15 * middle[site == "C"].mean()


def test_clean_data_has_nothing_planted(clean: Hospital) -> None:
    assert exact_pairs(clean) == set()
    assert clean.truth["copy"].null_count() == len(clean)
    mistakes = clean.truth.select("leaked", "label_error", "shortcut", "constant", "unreadable", "identified")
    assert mistakes.sum().row(0) == (0,) * 6
    assert (clean.table["lesion"] == clean.truth["lesion"]).all()
    assert clean.table.group_by("patient_id").agg(pl.col("part").n_unique())["part"].max() == 1
    lesion = clean.table["lesion"].to_numpy()
    features = {
        "brightness": clean.images.mean((1, 2)),
        "corner": clean.images[:, 1:5, -4:-1].mean((1, 2)),
        "border": clean.images[:, [0, -1]].mean((1, 2)),
    }
    for name, feature in features.items():
        assert abs(roc_auc_score(lesion, feature) - 0.5) < 0.09, name


def test_copies_are_where_the_truth_says(messy: Hospital) -> None:
    rows = known(messy)
    counts = dict(rows["copy"].drop_nulls().value_counts().iter_rows())
    assert counts == {
        "duplicate": 3, "duplicate-across-parts": 4, "near-duplicate": 5, "conflicting-duplicate": 2,
    }  # fmt: skip
    number = {case: row for row, case in enumerate(messy.table["case_id"])}
    exact = exact_pairs(messy)
    expected = set()
    for row in rows.filter(pl.col("copy").is_not_null()).iter_rows(named=True):
        original = rows.row(number[row["copy_of"]], named=True)
        pair = frozenset((row["number"], original["number"]))
        assert row["patient_id"] != original["patient_id"]
        assert (row["part"] == original["part"]) == (row["copy"] in ("duplicate", "conflicting-duplicate"))
        assert (row["lesion"] == original["lesion"]) == (row["copy"] != "conflicting-duplicate")
        if row["copy"] == "near-duplicate":
            a, b = (messy.images[one].astype(float).ravel() for one in pair)
            assert np.corrcoef(a, b)[0, 1] > 0.995
        else:
            expected.add(pair)
    assert exact == expected


def test_leaked_patients_stand_in_train_and_test(messy: Hospital) -> None:
    rows = known(messy)
    parts = rows.group_by("patient_id").agg(pl.col("part").unique().sort(), pl.col("leaked").any())
    torn = parts.filter(pl.col("part").list.len() > 1)
    assert len(torn) == 6
    assert torn["leaked"].all()
    assert torn["part"].to_list() == [["test", "train"]] * 6
    assert parts["leaked"].sum() == 6


def test_label_errors_and_nothing_else_depart_from_the_truth(messy: Hospital) -> None:
    rows = known(messy)
    wrong = rows.filter(pl.col("lesion") != pl.col("true_lesion"))
    assert len(wrong) == 7 + 2
    assert set(wrong["copy"].to_list()) == {None, "conflicting-duplicate"}
    assert rows["label_error"].sum() == 7


def test_constant_images_are_constant_and_no_two_alike(messy: Hospital) -> None:
    spread = messy.images.reshape(len(messy), -1).std(1)
    constant = messy.truth["constant"].to_numpy()
    assert constant.sum() == 2
    assert ((spread == 0) == constant).all()


def test_no_case_carries_two_mistakes(messy: Hospital) -> None:
    mistakes = known(messy).select(
        "leaked", "label_error", "constant", "unreadable", "identified", pl.col("copy").is_not_null()
    )
    assert mistakes.sum_horizontal().max() == 1


@pytest.mark.parametrize("shortcut", ["marker", "border", "brightness"])
def test_a_shortcut_tells_the_label_at_its_stated_strength(shortcut: str) -> None:
    plain, marked = (
        hospital(400, seed=8, size=(28, 28), difficulty=1.0, plant=Planted(shortcut=name, shortcut_strength=0.9))
        for name in ("", shortcut)
    )
    lesion, carries = marked.truth["lesion"].to_numpy() == 1, marked.truth["shortcut"].to_numpy()
    assert carries[lesion].mean() == pytest.approx(0.9, abs=0.06)
    assert carries[~lesion].mean() == pytest.approx(0.1, abs=0.06)
    changed = {row["case_id"]: row["shortcut"] for row in marked.truth.iter_rows(named=True)}
    assert plain.table.equals(marked.table)
    differs = (plain.images != marked.images).any((1, 2))
    assert differs.tolist() == list(changed.values())


def test_age_and_sex_are_plausible() -> None:
    made = hospital(200, seed=9, size=(8, 8))
    assert made.table["age"].is_between(18, 95).all()
    assert made.table["age"].mean() == pytest.approx(60, abs=4)
    assert set(made.table["sex"]) == {"F", "M"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "mri"}, "kind 'mri'"),
        ({"size": (64, 64, 64)}, "2 sides"),
        ({"kind": "ct", "size": (64, 64)}, "3 sides"),
        ({"sites": 0}, "sites=0"),
        ({"images_per_patient": (3, 1)}, "images_per_patient"),
        ({"prevalence": 1.5}, "prevalence"),
        ({"difficulty": -1}, "difficulty"),
        ({"plant": Planted(duplicates=-1)}, "duplicates=-1: it is 0 or more"),
        ({"plant": Planted(label_errors=999)}, "only .* cases are left"),
    ],
)
def test_what_cannot_be_simulated_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        hospital(20, seed=0, **arguments)


def test_a_plan_of_mistakes_is_a_value() -> None:
    assert dataclasses.replace(Planted(), duplicates=1) == Planted(duplicates=1)
