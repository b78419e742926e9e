"""Masks that lie beside images are no cases, however data sets for segmentation name them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import medeor
import tiny
from medeor import UserError


def picture(path: Path, seed: int, mask: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8)
    Image.fromarray((pixels > 99).astype(np.uint8) * 255 if mask else pixels).save(path)


@pytest.mark.parametrize(
    "behind", ["_mask", "_mask_1", " seg", "-segmentation", "_GT", ".label", "_lesion_mask", "_分割"]
)
def test_a_name_with_a_word_for_a_mask_behind_it_is_no_case(tmp_path: Path, behind: str) -> None:
    for seed in range(8):
        name = f"{'ab'[seed % 2]}/case ({seed})"
        picture(tmp_path / f"{name}.png", seed)
        picture(tmp_path / f"{name}{behind}.png", seed, mask=True)
    read = medeor.read(tmp_path)
    assert len(read.cases) == 8
    assert read.cases.targets[0].classes == ("a", "b")
    passed = next(one for one in read.findings if one.check == "files-passed-over")
    assert "8 masks of other images" in str(passed.message)


@pytest.mark.parametrize(("images", "masks", "channel"), [("images", "masks", ""), ("imagesTr", "labelsTr", "_0000")])
def test_a_folder_of_masks_is_no_class(tmp_path: Path, images: str, masks: str, channel: str) -> None:
    for seed in range(6):
        picture(tmp_path / images / f"c_{seed:03d}{channel}.png", seed)
        picture(tmp_path / masks / f"c_{seed:03d}.png", seed, mask=True)
    cases = medeor.read(tmp_path, labelled=False).cases
    assert all(source.startswith(f"{images}/") for source in cases.table["source"])
    assert len(cases) == 6


def test_words_for_masks_without_an_image_of_that_name_are_kept(tmp_path: Path) -> None:
    for seed in range(6):
        picture(tmp_path / f"study_{seed}_seg.png", seed)
    assert len(medeor.read(tmp_path, labelled=False).cases) == 6


def test_a_table_may_name_a_mask_but_a_folder_of_several_images_does_not_mean_it(tmp_path: Path) -> None:
    for seed in range(4):
        for what in ("t1", "t2", "seg"):
            picture(tmp_path / f"p{seed}/p{seed}_{what}.png", 3 * seed + len(what), what == "seg")
    labels = pl.DataFrame({"id": [f"p{k}" for k in range(4)], "label": ["a", "b"] * 2})
    with pytest.raises(UserError, match="stands for 2 images"):
        medeor.read(tmp_path, labels, target="label")
    named = labels.with_columns(pl.format("{}_seg", "id").alias("id"))
    assert len(medeor.read(tmp_path, named, target="label").cases.usable) == 4


def test_a_sum_below_the_table_makes_no_class(tmp_path: Path) -> None:
    for seed in range(6):
        picture(tmp_path / "images" / f"{seed}.png", seed)
    rows = [*(f"{k}.png,{'yes' if k % 2 else 'no'}" for k in range(6)), "Total,6", "positive,3"]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *rows]))
    read = medeor.read(tmp_path / "images", labels=tmp_path / "labels.csv", target="label")
    assert read.cases.targets[0].classes == ("no", "yes")
    unreadable = next(one for one in read.findings if one.check == "unreadable-images")
    assert unreadable.status == "fail"
    assert "row 8" in str(unreadable.message)


def test_a_guess_names_the_folders_that_are_taken_for_classes(tmp_path: Path) -> None:
    for seed in range(8):
        picture(tmp_path / ("2020", "2021")[seed % 2] / f"{seed}.png", seed)
    guessed = next(one for one in medeor.read(tmp_path).findings if one.check == "guessed")
    assert "the folders 2020, 2021" in str(guessed.message)


def test_a_cleaned_table_answers_to_the_same_command(tmp_path: Path) -> None:
    for seed in range(24):
        picture(tmp_path / "images" / f"{seed}.png", seed)
    rows = pl.DataFrame(
        {
            "t1": [f"{k}.png" for k in range(12)],
            "t2": [f"{k + 12}.png" for k in range(12)],
            "label": ["no", "yes"] * 6,
            "part": ["train"] * 8 + ["test"] * 4,
            "patient": [f"P{k}" for k in range(12)],
        }
    )
    rows.write_csv(tmp_path / "labels.csv")
    asked = ["--target", "label", "--group", "patient", "--option", "image=t1,t2"]
    first = tiny.medeor(
        "audit", tmp_path / "images", "--labels", tmp_path / "labels.csv", *asked, "--clean", tmp_path / "clean.csv"
    )
    assert first.code in (0, 1)
    assert set(pl.read_csv(tmp_path / "clean.csv").columns) == set(rows.columns)
    again = tiny.medeor("audit", tmp_path / "images", "--labels", tmp_path / "clean.csv", *asked)
    assert again.code == first.code
    assert "all 12 images can be read" in again.out
