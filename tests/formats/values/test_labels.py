"""Labels as people write them, on the whole way from the file to what the screen says."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import medeor
import tiny
from medeor.api import Reading
from medeor.contracts import Finding
from medeor.files import read_json, write_json
from medeor.report.text import number as number_of


def read(labels: list[Any] | pl.DataFrame, **asked: Any) -> Reading:
    table = labels if isinstance(labels, pl.DataFrame) else pl.DataFrame({"label": pl.Series(labels, strict=False)})
    images = np.random.default_rng(0).integers(0, 255, (table.height, 8, 8), np.uint8)
    return medeor.read(images, table, **asked)


def found(reading: Reading, check: str) -> Finding:
    (one,) = [finding for finding in reading.findings if finding.check == check]
    return one


def test_the_positive_class_is_the_first_thing_that_an_audit_says() -> None:
    reading = read(["阴性", "阳性"] * 12)
    assert reading.cases.targets[0].classes == ("阴性", "阳性")
    assert reading.findings[0] == found(reading, "positive-class")
    assert str(reading.findings[0].message) == "positive class: 阳性"
    guessed = read(["left", "right"] * 12).findings[0]
    assert (guessed.status, str(guessed.message)[:22]) == ("unknown", "positive class: right ")
    assert "guessed; change it with --option positive=left" in str(guessed.message)
    named = read(["left", "right"] * 12, options={"positive": "left"}).findings[0]
    assert str(named.message) == "positive class: left"


def test_what_is_unknown_is_a_case_without_a_label() -> None:
    reading = read(["yes", "no", "Unknown", "YES"] * 6)
    assert "'Unknown' in 6 rows" in str(found(reading, "class-codes").message)
    assert "'yes' (6)" in str(found(reading, "class-spellings").message)
    assert reading.cases.usable.table.height == 18
    assert reading.cases.table.filter(pl.col("broken") == "it has no label").height == 6


def test_balanced_classes_are_both_named() -> None:
    message = str(found(read(["lesion", "normal"] * 12), "imbalance").message)
    assert "label = lesion" in message
    assert "label = normal" in message


def test_classes_in_one_hot_columns_are_named() -> None:
    codes = np.eye(3, dtype=int)[np.arange(24) % 3]
    table = pl.DataFrame({name: codes[:, place] for place, name in enumerate(["mel", "nev", "bcc"])})
    assert found(read(table, target=["mel", "nev", "bcc"]), "exclusive-labels").status == "fail"


def test_decimal_commas_and_codes_among_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", rng.integers(0, 255, (24, 8, 8), np.uint8))
    values = [f"{10 + place},{place}5" for place in range(22)] + ["n/d", "-999"]
    (tmp_path / "t.csv").write_text("size\n" + "".join(f'"{value}"\n' for value in values))
    reading = medeor.read(np.load(tmp_path / "images.npy"), labels=str(tmp_path / "t.csv"), target="size")
    expected = [float(value.replace(",", ".")) for value in values[:22]]
    assert reading.cases.table["size"].to_list() == [*expected, None, None]
    assert "'n/d' in 1 row, '-999' in 1 row" in str(found(reading, "number-codes").message)


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        (("良性", "恶性"), "positive class: 恶性"),
        (("left", "right"), "positive class: right (guessed; change it with --option positive=left)"),
    ],
)
def test_screen_report_and_card_name_the_positive_class_and_the_threshold(
    tmp_path: Path, classes: tuple[str, str], named: str
) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    lines = ["image,label"]
    for number in range(40):
        np.save(tmp_path / "images" / f"{number}.npy", rng.integers(0, 255, (12, 12), np.uint8))
        lines.append(f"{number}.npy,{classes[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    given = (tmp_path / "images", "--labels", tmp_path / "labels.csv", "--target", "label")
    run = tiny.plan_at(tmp_path / "run")
    trained = tiny.medeor("train", *given, "--out", run)
    assert trained.code == 0, trained.err
    audited, judged = tiny.medeor("audit", *given), tiny.medeor("evaluate", run, *given)
    assert named in trained.err
    assert named in audited.out.splitlines()[0]
    assert named in judged.err
    threshold = medeor.load(run).calibration.targets[0].threshold
    sentence = f"{named[0].upper()}{named[1:]}; threshold {number_of(threshold)} (even odds)."
    page = html.unescape((run / "report.html").read_text(encoding="utf-8"))
    (subtitle,) = re.findall(r'<p class="subtitle">(.*?)</p>', page)
    assert sentence in subtitle
    assert sentence in (run / "card.md").read_text(encoding="utf-8").splitlines()[2].replace("\\", "")
    # Pixels of noise say nothing of these labels.
    assert "This model explains nothing" in page
    # An older run, which says nothing of guesses, opens as before.
    (facts,) = read_json(run / "targets.json")
    del facts["guessed"]
    write_json(run / "targets.json", [facts])
    assert medeor.load(run).targets[0].classes == tuple(sorted(classes) if classes[0] == "left" else classes)
