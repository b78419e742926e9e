"""Patients, parts and axes as people write them, through the cases that are read."""

import numpy as np
import polars as pl
import pytest

import medeor
from medeor.contracts import Finding
from medeor.formats.images.store import ImageStore

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 255, (24, 10, 12), dtype=np.uint8)


def read(**columns: list) -> tuple[pl.DataFrame, dict[str, Finding]]:
    """The case table of images with these columns, and what was noticed."""
    long = {name: (values * 24)[:24] for name, values in columns.items()}
    table = pl.DataFrame({"label": ["no", "yes"] * 12, **long}, strict=False)
    group = {"group": "patient"} if "patient" in columns else {}
    found = medeor.read(IMAGES, table, target="label", **group)
    return found.cases.table, {one.check: one for one in found.findings}


@pytest.mark.parametrize(
    "names", [["P1", "P1 ", "P2"], ["Ｐ１", "P1", "P2"], ["Mu\u0308ller", "Müller", "P2"], ["P1\u00a0", "P1", "P2"]]
)
def test_one_patient_in_two_normal_forms_is_one(names: list[str]) -> None:
    table, _ = read(patient=[*names, "P3"])
    assert table["group"].n_unique() == 3


@pytest.mark.parametrize("names", [["P1", "p1"], ["P-1", "P_1"], ["001", "1"], ["P01", "P1"]])
def test_patients_whose_names_are_spellings_of_one_are_told(names: list[str]) -> None:
    _, noticed = read(patient=[*names, "x", "y"])
    told = noticed["group-spellings"]
    assert told.status == "unknown"
    assert all(repr(name) in str(told.message) for name in names)
    assert len(told.cases) == 12


def test_patients_of_their_own_are_not_told() -> None:
    _, noticed = read(patient=["P1", "P2", "P10", "P11", "Q1"])
    assert not {"group-spellings", "missing-groups"} & set(noticed)


@pytest.mark.parametrize("missing", [None, "", "unknown", "n/a"])
def test_cases_of_nobody_are_told(missing: str | None) -> None:
    _, noticed = read(patient=["P1", "P2", missing, "P3"])
    assert "6 cases" in str(noticed["missing-groups"].message)


@pytest.mark.parametrize(
    "names",
    [
        ["训练集", "训练集", "验证集", "测试集"],
        ["entrenamiento", "Entrenamiento", "validación", "prueba"],
        ["Training", "training ", "Validierung", "Test"],
    ],
)
def test_parts_in_other_languages_are_the_official_split(names: list[str]) -> None:
    table, noticed = read(part=names)
    assert table["part"].to_list() == ["train", "train", "validation", "test"] * 6
    assert "official-split" not in noticed


@pytest.mark.parametrize("names", [["0", "1"], ["tr", "te"], ["train", "trian", "test"]])
def test_a_column_called_like_a_split_that_is_none_is_told(names: list[str]) -> None:
    table, noticed = read(part=names)
    assert table["part"].null_count() == 24
    assert noticed["official-split"].status == "unknown"


@pytest.mark.parametrize(
    ("shape", "channels", "size"),
    [
        ((16, 18, 1), 1, (16, 18)),
        ((16, 18, 2), 2, (16, 18)),
        ((16, 18, 5), 5, (16, 18)),
        ((3, 16, 18), 3, (16, 18)),
        ((9, 16, 18), 1, (9, 16, 18)),
        ((9, 16, 18, 1), 1, (9, 16, 18)),
    ],
)
@pytest.mark.parametrize("stored", ["array", "files"])
def test_the_last_axis_is_of_channels_where_no_picture_is_so_narrow(
    tmp_path, shape: tuple[int, ...], channels: int, size: tuple[int, ...], stored: str
) -> None:
    pixels = RNG.integers(0, 255, (2, *shape), dtype=np.uint8)
    for number, one in enumerate(pixels):
        np.save(tmp_path / f"{number}.npy", one)
    cases = medeor.read(pixels if stored == "array" else tmp_path, labelled=False, task="image-classification").cases
    first = cases.store("images", ImageStore).read(cases.table.sort("source")["images"][0].to_list())
    assert first.pixels.shape == (channels, *size)
    expected = np.moveaxis(pixels[0], -1, 0) if shape[-1] < 9 else pixels[0].reshape(channels, *size)
    np.testing.assert_array_equal(first.pixels, expected)


@pytest.mark.parametrize("odd", ["1900-01-01", "9999-12-31"])
def test_a_day_that_stands_for_none_is_told_in_a_split_by_time(odd: str) -> None:
    days = [f"2020-{1 + k % 12:02d}-{1 + k:02d}" for k in range(23)]
    table = pl.DataFrame({"label": ["no", "yes"] * 12, "day": [odd, *days]}).with_columns(pl.col("day").str.to_date())
    asked = {"target": "label", "time": "day", "split": "time"}
    findings = {one.check: one for one in medeor.read(IMAGES, table, **asked).findings}
    assert findings["odd-times"].status == "fail"
    assert len(findings["odd-times"].cases) == 1
    assert odd in str(findings["odd-times"].message)
    good = table.with_columns(pl.lit("2020-05-05").str.to_date().alias("day"))
    assert "odd-times" not in {one.check for one in medeor.read(IMAGES, good, **asked).findings}
