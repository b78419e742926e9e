"""Images unlike the training images are called so, with the reason; new images of the same source are not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file, save_file

import medeor
import tiny
from medeor import registry, simulate
from medeor.contracts import BORDERLINE, IN_DOMAIN, OUT_OF_DOMAIN, Cases, Split, Study, UserError
from medeor.files import read_json, read_toml
from medeor.imaging.model.appearance import appearance
from medeor.imaging.model.distance import Gaussian
from medeor.imaging.model.domain import FEW, ImageDomain, learn
from medeor.imaging.model.prepare import Preparation
from medeor.statistics.split import split_cases

SIDE = 32
PREPARATION = Preparation((SIDE, SIDE), 1, "image")


def images(kind: str, patients: int, seed: int) -> np.ndarray:
    size = (SIDE, SIDE) if kind != "ct" else (12, 12, 12)
    return simulate.hospital(patients, seed=seed, kind=kind, size=size).images  # type: ignore[arg-type]


def studied(pixels: np.ndarray, **columns: list) -> tuple[Cases, Split]:
    labels = pl.DataFrame({"y": np.arange(len(pixels)) % 2, **columns})
    cases = tiny.cases_of(pixels, labels, target=("y",), split="cv")
    return cases, split_cases(cases, Study(split="cv"))


def of(pixels: np.ndarray, preparation: Preparation = PREPARATION) -> ImageDomain:
    return learn(*studied(pixels), preparation)[0]


def out(domain: ImageDomain, pixels: np.ndarray) -> float:
    """The share of these images that is called out of domain."""
    return float((domain.judge(tiny.cases_of(pixels))["verdict"] == OUT_OF_DOMAIN).mean())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def chest() -> ImageDomain:
    return of(images("xray", 200, 1))


@pytest.fixture(scope="module")
def new() -> np.ndarray:
    return images("xray", 150, 2)


def test_new_images_of_the_same_source_are_in_domain(chest: ImageDomain, new: np.ndarray) -> None:
    assert out(chest, new) <= 0.08


def test_noise_of_any_kind_is_out_of_domain(chest: ImageDomain, new: np.ndarray) -> None:
    draw = np.random.default_rng(0)
    normal = draw.standard_normal((50, SIDE, SIDE))
    for noise in (
        draw.uniform(0, 255, normal.shape),
        *(255 * (0.5 + strength * normal) for strength in (0.02, 0.1, 0.3)),
        new.mean() + new.std() * normal,
        draw.permuted(new[:50].reshape(50, -1), axis=1).reshape(normal.shape),
    ):
        assert out(chest, noise.clip(0, 255).astype(np.uint8)) >= 0.95


def test_inverted_images_are_out_of_domain_and_are_called_inverted(chest: ImageDomain, new: np.ndarray) -> None:
    judged = chest.judge(tiny.cases_of(255 - new[:60]))
    assert (judged["verdict"] == OUT_OF_DOMAIN).mean() >= 0.95
    assert judged["reason"].str.contains("inverted").mean() >= 0.9  # type: ignore[operator]


@pytest.mark.parametrize(("kind", "other"), [("xray", "ultrasound"), ("ultrasound", "xray")])
def test_another_organ_is_out_of_domain(kind: str, other: str) -> None:
    assert out(of(images(kind, 100, 1)), images(other, 40, 2)) >= 0.95


def test_volumes_are_judged_alike() -> None:
    domain = of(images("ct", 80, 1), Preparation((12, 12, 12), 1, "image"))
    new = images("ct", 60, 2)
    noise = np.random.default_rng(0).integers(0, 255, new.shape, np.uint8)
    assert out(domain, new) <= 0.12
    assert out(domain, noise) == out(domain, 255 - new) == 1


def test_colours_count_where_grey_levels_are_the_same(new: np.ndarray) -> None:
    tint = np.array([1.0, 0.6, 0.8])
    coloured = (images("xray", 80, 1)[..., None] * tint).astype(np.uint8)
    domain = of(coloured, Preparation((SIDE, SIDE), 3, "range"))
    assert out(domain, (new[:50, ..., None] * tint).astype(np.uint8)) <= 0.12
    judged = domain.judge(tiny.cases_of((new[:50, ..., None] * tint[::-1]).astype(np.uint8)))
    assert (judged["verdict"] == OUT_OF_DOMAIN).all()
    assert out(domain, new[:50]) == 1


def test_a_constant_image_is_out_of_domain(chest: ImageDomain) -> None:
    judged = chest.judge(tiny.cases_of(np.full((1, SIDE, SIDE), 90, np.uint8)))
    assert judged.select("verdict", "reason").row(0) == (OUT_OF_DOMAIN, "all its pixels have one value")


def test_with_few_images_nothing_is_in_domain(new: np.ndarray) -> None:
    domain = of(images("xray", 60, 1)[: FEW - 1])
    judged = domain.judge(tiny.cases_of(new[:5]))
    assert judged["verdict"].to_list() == [BORDERLINE] * 5
    assert set(judged["reason"]) == {f"only {FEW - 1} images to compare with"}
    assert out(domain, np.zeros((1, SIDE, SIDE), np.uint8)) == 1


def test_another_modality_in_the_header_is_out_of_domain(new: np.ndarray) -> None:
    cases, split = studied(images("xray", 40, 1))
    known = cases.table.with_columns(modality=pl.lit("DX"))
    domain, _ = learn(replace(cases, table=known), split, PREPARATION)
    asked = tiny.cases_of(new[:3])
    headers = pl.Series("modality", ["CT", "DX", None], pl.String)
    judged = domain.judge(replace(asked, table=asked.table.with_columns(headers)))
    assert judged["verdict"].to_list()[0] == OUT_OF_DOMAIN
    assert judged["reason"][0] == "it is CT, but the training images are DX"
    assert not any("DX" in (reason or "") for reason in judged["reason"][1:])
    mixed = known.with_columns(modality=pl.Series([None] + ["DX"] * (len(cases) - 1), dtype=pl.String))
    unsure, _ = learn(replace(cases, table=mixed), split, PREPARATION)
    assert unsure.facts.modalities == ()


def test_coarser_images_and_other_spacings_are_borderline_at_best(new: np.ndarray) -> None:
    cases, split = studied(images("xray", 60, 1))
    spaced = cases.table.with_columns(spacing=pl.lit([0.5, 0.5]))
    domain, _ = learn(replace(cases, table=spaced), split, PREPARATION)
    # Whatever the pixels say, what the table says of them counts.
    calm = replace(domain, facts=replace(domain.facts, border=1e6, out=1e6))
    asked = tiny.cases_of(new[:3])
    table = asked.table.with_columns(
        spacing=pl.Series([[0.5, 0.5], [1.5, 1.5], None], dtype=pl.List(pl.Float64)),
        width=pl.Series([SIDE, SIDE, SIDE // 4]),
        height=pl.Series([SIDE, SIDE, SIDE // 4]),
    )
    judged = calm.judge(replace(asked, table=table))
    assert judged["verdict"].to_list() == [IN_DOMAIN, BORDERLINE, BORDERLINE]
    assert judged["reason"].to_list() == [
        None,
        "its pixels are 1.5 mm apart, those of the training images 0.5 to 0.5 mm",
        f"its longest side has {SIDE // 4} pixels, that of the smallest training image {SIDE}",
    ]


def test_held_out_cases_are_judged_without_their_group() -> None:
    """One patient's images are unlike all others: seen from the other folds they are out of domain, although the
    final domain has learnt from them."""
    usual, strange = images("xray", 80, 1), 255 - images("xray", 2, 3)[:2]
    pixels = np.concatenate([usual, strange])
    patients = [f"p{place}" for place in range(len(usual))] + ["odd"] * len(strange)
    cases, split = studied(pixels, patient=patients)
    cases = replace(cases, table=cases.table.with_columns(group=pl.Series(patients)))
    split = split_cases(cases, Study(split="cv"))
    assert split.table["fold"].tail(len(strange)).n_unique() == 1
    _, judged = learn(cases, split, PREPARATION)
    assert judged["verdict"].tail(len(strange)).to_list() == [OUT_OF_DOMAIN] * len(strange)
    assert (judged["verdict"] == OUT_OF_DOMAIN).mean() <= 0.08  # type: ignore[operator]


def test_the_share_of_held_out_images_beyond_each_threshold_is_the_stated_one() -> None:
    _, judged = learn(*studied(images("xray", 200, 1)), PREPARATION)
    shares = {name: (judged["verdict"] == name).mean() for name in (OUT_OF_DOMAIN, BORDERLINE)}
    assert shares[OUT_OF_DOMAIN] == pytest.approx(0.025, abs=2.5 / len(judged))
    assert shares[BORDERLINE] == pytest.approx(0.025, abs=2.5 / len(judged))


def test_the_distance_is_that_of_mahalanobis() -> None:
    """Of many independent numbers of variance 1 it is the root of a mean of squares."""
    draw = np.random.default_rng(0)
    found = Gaussian.of(draw.normal(3, 2, (20_000, 5)))
    assert found.distance(np.array([[3.0] * 5, [5.0] * 5, [3.0, 3, 3, 3, 9]])) == pytest.approx(
        [0, 1, np.sqrt(9 / 5)], abs=0.05
    )


@pytest.mark.parametrize("shape", [(4, 1, 20, 20), (4, 3, 20, 24), (3, 1, 9, 10, 12), (2, 2, 4, 4)])
def test_numbers_of_inverted_images_follow_from_those_of_the_images(shape: tuple[int, ...]) -> None:
    pixels = torch.from_numpy(np.random.default_rng(0).random(shape, np.float32))
    assert appearance(1 - pixels).values == pytest.approx(appearance(pixels).inverted, abs=2e-3)


def test_an_image_is_judged_alike_alone_and_among_others(chest: ImageDomain, new: np.ndarray) -> None:
    together = chest.judge(tiny.cases_of(new[:20])).drop("case_id")
    alone = pl.concat([chest.judge(tiny.cases_of(new[place : place + 1])).drop("case_id") for place in range(20)])
    assert alone.equals(together)


# --- on the road -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packed(tiny_run: Path) -> Path:
    return tiny_run / "tiny.medeor"


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    folder = tmp_path_factory.mktemp("noise")
    draw = np.random.default_rng(0)
    for place in range(3):
        Image.fromarray(draw.integers(0, 255, (tiny.SIDE, tiny.SIDE), np.uint8)).save(folder / f"{place}.png")
    return folder


def test_of_noise_nothing_is_chosen_and_files_and_screen_say_why(packed: Path, noise: Path, tmp_path: Path) -> None:
    table = medeor.predict(packed, noise, out=tmp_path / "p.csv")
    assert set(table["verdict"]) == {OUT_OF_DOMAIN}
    assert table["chosen"].null_count() == table.height
    assert table["reason"].null_count() == 0
    assert pl.read_csv(tmp_path / "p.csv")["verdict"].to_list() == table["verdict"].to_list()
    assert "out of domain" in tiny.medeor("predict", packed, noise).out
    said = tiny.medeor("predict", packed, noise, "--out", tmp_path / "q.csv").out
    assert "3 cases predicted, 3 of them out of domain" in said


def test_a_run_reports_which_cases_are_unlike_and_scores_them_all(tiny_run: Path, tiny_hospital: Path) -> None:
    kept = pl.read_parquet(tiny_run / "predictions.parquet").filter(pl.col("model") == "model")
    assert kept["verdict"].null_count() == 0
    assert kept.filter(pl.col("verdict") == OUT_OF_DOMAIN)["chosen"].null_count() == 0
    assert "Cases unlike the training images" in (tiny_run / "report.html").read_text()
    again = medeor.load(tiny_run).predict(tiny_hospital / "images")
    both = kept.join(again, on="case_id", suffix="_again")
    assert both.height == kept.height
    assert both["verdict_again"].to_list() == both["verdict"].to_list()
    held = pl.read_parquet(tiny_run / "model" / "held_out.parquet")
    assert held["verdict"].null_count() == 0


def test_the_page_of_explained_cases_says_so(packed: Path, noise: Path, tmp_path: Path) -> None:
    medeor.explain(packed, noise, out=tmp_path / "why.html")
    page = (tmp_path / "why.html").read_text()
    assert "Cases unlike the training images" in page
    assert "3 out of domain" in page


def test_no_image_is_kept_and_the_bundle_says_so(packed: Path, tiny_run: Path) -> None:
    import zipfile

    with zipfile.ZipFile(packed) as archive:
        assert json.loads(archive.read("manifest.json"))["training cases inside"] is False
    arrays = load_file(tiny_run / "model" / "domain.safetensors")
    numbers = sum(one.size for one in arrays.values())
    assert all(one.ndim <= 2 and one.shape == one.shape[:1] * one.ndim for one in arrays.values()), numbers


def test_a_plan_may_do_without(tiny_hospital: Path, tmp_path: Path) -> None:
    folder = tiny.plan_at(tmp_path / "r", domain=False)
    assert tiny.medeor("train", *tiny.labelled(tiny_hospital), "--out", folder).code == 0
    assert read_toml(folder / "plan.toml")["domain"] is False
    assert "verdict" not in medeor.predict(folder, tiny_hospital / "images").columns


def _facts(change: dict) -> object:
    def damage(folder: Path) -> None:
        written = read_json(folder / "model.json")
        written["facts"] |= change
        (folder / "model.json").write_text(json.dumps(written))

    return damage


def _arrays(change: object) -> object:
    def damage(folder: Path) -> None:
        arrays = load_file(folder / "domain.safetensors")
        save_file(change(dict(arrays)), folder / "domain.safetensors")  # type: ignore[operator]

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        _facts({"out": "far"}),
        _facts({"out": -1.0}),
        _facts({"usual": [1.0]}),
        _facts({"usual": []}),
        _facts({"images": None}),
        _facts({"unknown": 1}),
        _arrays(lambda arrays: {name: one for name, one in arrays.items() if name != "0.mean"}),
        _arrays(lambda arrays: arrays | {"0.mean": arrays["0.mean"][:-1]}),
        _arrays(lambda arrays: arrays | {"0.mean": arrays["0.mean"] * np.nan}),
        _arrays(lambda arrays: arrays | {"0.scale": arrays["0.scale"] * 0}),
        _arrays(lambda arrays: arrays | {"more": arrays["0.mean"]}),
        _arrays(lambda arrays: {name: one.astype(np.float64) for name, one in arrays.items()}),
        lambda folder: (folder / "domain.safetensors").write_bytes(b"no tensors"),
        lambda folder: (folder / "domain.safetensors").unlink(),
        lambda folder: (folder / "model.json").write_text('{"kind": "image-domain", "facts": [], "preparation": {}}'),
    ],
)
def test_a_damaged_domain_is_refused(damage: object, tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_run / "model", folder)
    damage(folder)  # type: ignore[operator]
    with pytest.raises(UserError):
        registry.load_model(folder)
