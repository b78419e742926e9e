"""The road from end to end, for every kind of input and question, on simulated data whose truth is known."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn import metrics as sk

import medeor
import tiny
from medeor.console import Console
from medeor.contracts import Predictions, Stopped, Text, UserError
from medeor.files import read_json, read_toml
from medeor.imaging.model import prepared
from medeor.trust.calibration import calibrate

LEFT = {
    "cases.parquet", "split.parquet", "audit.json", "plan.toml", "calibration.json", "predictions.parquet",
    "metrics.json", "report.html", "card.md", "run.json", "study.toml", "targets.json",
}  # fmt: skip


class Road(NamedTuple):
    """One kind of study."""

    train: tuple[object, ...]
    new: tuple[object, ...]
    """Sources to predict, a few of those."""
    truth: tuple[object, ...]
    """Sources and flags to evaluate on."""
    items: tuple[str, ...]
    figure: str
    """A figure that this question has."""
    plan: Mapping[str, Any] = MappingProxyType({})
    part: str = "test"
    simulated: bool = False


def of_archive(folder: Path) -> Road:
    tiny.hospital(folder / "h", "npz")
    archive = next((folder / "h").glob("*.npz"))
    return Road((archive,), (archive,), (archive,), ("1",), "auroc", simulated=True)


def of_labels_in_an_archive(folder: Path) -> Road:
    """Several labels a case, shape (n, 3), of which each is the brightness of a corner."""
    images = _noise(48)
    labels = np.stack([images[:, :4, :4], images[:, :4, 8:], images[:, 8:, :4]]).mean((2, 3)).T > 127
    np.savez(folder / "several.npz", images=images, labels=labels.astype(np.uint8))
    archive = folder / "several.npz"
    return Road((archive,), (archive,), (archive,), ("label_0", "label_1", "label_2"), "auroc/label_1")


def of_volumes_in_an_archive(folder: Path) -> Road:
    volumes, labels = np.random.default_rng(0).integers(0, 255, (48, 8, 8, 8), np.uint8), np.arange(48) % 3
    parts = {"train": slice(0, 30), "val": slice(30, 38), "test": slice(38, 48)}
    arrays = {f"{name}_images": volumes[part] for name, part in parts.items()}
    np.savez(folder / "solid.npz", **arrays, **{f"{name}_labels": labels[part, None] for name, part in parts.items()})
    archive = folder / "solid.npz"
    return Road((archive,), (archive,), (archive,), ("0", "1", "2"), "balanced_accuracy", {"size": (8, 8, 8)})


def of_class_folders(folder: Path) -> Road:
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 255, (42, 10, 14, 3), np.uint8)):
        place = folder / "by class" / ("benign", "malignant", "normal")[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.{('png', 'bmp', 'tiff')[number % 2]}")
    source = folder / "by class"
    return Road((source,), (source,), (source,), ("benign", "malignant", "normal"), "accuracy", {"channels": 3})


def of_two_channels(folder: Path) -> Road:
    """A table that names two images a case, and ordered grades."""
    images = _noise(96).astype(np.float32)
    (folder / "scans").mkdir()
    for number, pixels in enumerate(images):
        np.save(folder / "scans" / f"{number // 2}-t{1 + number % 2}.npy", pixels)
    rows = [(f"{n}-t1.npy", f"{n}-t2.npy", n % 4) for n in range(48)]
    pl.DataFrame(rows, schema=["t1", "t2", "grade"], orient="row").write_csv(folder / "grades.csv")
    flags = ("--target", "grade", "--option", "image=t1,t2", "--option", "kind=ordinal")
    source, table = folder / "scans", folder / "grades.csv"
    train = (source, "--labels", table, *flags)
    return Road(
        train, (source, table), (source, "--labels", table), ("0", "1", "2", "3"), "grade_error", {"channels": 2}
    )


def of_dicom(folder: Path) -> Road:
    source = tiny.hospital(folder / "h", "dicom", plant=medeor_planted(identifiers=12))
    flags = tiny.labelled(source)
    return Road(flags, flags[:1], flags[:7], ("1",), "auroc", simulated=True)


def of_volumes(folder: Path) -> Road:
    source = tiny.hospital(folder / "h", "nifti", images_per_patient=(1, 1))
    plan = {"size": (8, 8, 8), "members": "folds"}
    flags = (*tiny.labelled(source)[:-1], "cv", "--set", "subgroups=site,sex", "--set", "threshold=sensitivity=0.9")
    return Road(flags, flags[:1], flags[:7], ("1",), "auroc[sex=", plan, "cv", simulated=True)


def of_numbers(folder: Path) -> Road:
    """A number to be predicted, tested on the latest cases."""
    images = _noise(48)
    days = [f"2021-{1 + n // 28:02d}-{1 + n % 28:02d}" for n in range(48)]
    facts = {"image": [f"{n}.png" for n in range(48)], "when": days}
    (folder / "scans").mkdir()
    for name, pixels in zip(facts["image"], images):
        Image.fromarray(pixels).save(folder / "scans" / name)
    table = pl.DataFrame(facts).with_columns(brightness=pl.Series(images.mean((1, 2)) / 10))
    table.write_parquet(folder / "facts.parquet")
    train = (folder / "scans", "--labels", folder / "facts.parquet", "--target", "brightness")
    return Road((*train, "--split", "time", "--set", "time=when"), train[:1], train[:3], ("brightness",), "mae")


def _noise(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, (count, tiny.SIDE, tiny.SIDE), np.uint8)


def medeor_planted(**what: int) -> Any:
    from medeor.simulate import Planted

    return Planted(**what)


ROADS: tuple[Callable[[Path], Road], ...] = (
    of_archive, of_labels_in_an_archive, of_volumes_in_an_archive, of_class_folders, of_two_channels, of_dicom,
    of_volumes, of_numbers,
)  # fmt: skip


@pytest.mark.parametrize("make", ROADS, ids=lambda make: make.__name__)
def test_every_input_walks_the_whole_road(make: Callable[[Path], Road], tmp_path: Path) -> None:
    road = make(tmp_path)
    folder = tiny.plan_at(tmp_path / "runs" / "r", **road.plan)
    said = tiny.medeor("train", *road.train, "--out", folder, "--json")
    assert said.code == 0, said.err
    assert {path.name for path in folder.iterdir()} >= {*LEFT, "model", "explanations", "r.medeor"}
    assert not tiny.strays(folder)
    figures = json.loads(said.out)
    assert figures == read_json(folder / "metrics.json")
    assert list(figures) == [road.part]
    named = [name for name in figures[road.part] if name.startswith(road.figure)]
    assert named
    assert {f"baseline/{name}" for name in named} <= set(figures[road.part])
    assert tiny.medeor("report", folder).out.strip() == str(folder / "report.html")
    _offline(folder / "report.html", road.simulated)

    predicted = tiny.medeor("predict", folder, *road.new, "--json").out
    assert tiny.medeor("predict", folder / "r.medeor", *road.new, "--json").out == predicted
    rows = pl.DataFrame(json.loads(predicted))
    assert set(rows["item"]) == set(road.items)
    assert len(rows) == len(road.items) * rows["case_id"].n_unique()
    assert rows["value"].is_finite().all()
    assert rows["broken"].null_count() == len(rows)
    if len(road.items) > 1 and "label" not in road.items[0]:
        totals = rows.group_by("case_id").agg(pl.col("value").sum())["value"]
        assert np.allclose(totals, 1, atol=1e-6)

    scored = json.loads(tiny.medeor("evaluate", folder, *road.truth, "--name", "again", "--json").out)
    assert any(name.startswith(road.figure) for name in scored["again"])
    assert read_json(folder / "metrics.json")["again"] == scored["again"]
    against = json.loads(tiny.medeor("compare", folder, folder, "--json").out)
    assert against
    assert all(row["difference"] == 0 and row["p"] == 1 for row in against)


def _offline(page: Path, simulated: bool) -> None:
    """A page that asks nothing of any other machine, and says where its data come from."""
    text = page.read_text()
    outside = r"""(?:src|href|action|data)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import"""
    assert not re.search(outside, text)
    assert ("<b>Simulated data</b>" in text) == simulated
    assert ("**Simulated data.**" in page.with_name("card.md").read_text()) == simulated


def test_no_identifier_leaves_the_images(tmp_path: Path) -> None:
    import pydicom

    source = tiny.hospital(tmp_path / "h", "dicom", plant=medeor_planted(identifiers=12))
    names = {}
    table = pl.read_csv(source / "labels.csv")
    for number, path in enumerate(sorted((source / "images").iterdir())):
        names[f"images/{path.name}"] = f"images/Mustermann_Erika_{7_700_000 + number}.dcm"
        path.rename(source / names[f"images/{path.name}"])
    table.with_columns(pl.col("image").replace(names)).drop("case_id").write_csv(source / "labels.csv")
    known = {"Mustermann", "Erika"}
    for path in (source / "images").iterdir():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        for field in ("PatientName", "PatientID", "PatientAddress", "PatientTelephoneNumbers", "AccessionNumber"):
            known |= {str(header.get(field) or "")} - {""}
    assert len(known) > 50  # every patient's number and the twelve persons
    run = tiny.plan_at(tmp_path / "run")
    said = tiny.medeor("train", *tiny.labelled(source), "--out", run)
    assert said.code == 0, said.err
    page = tmp_path / "why.html"
    assert tiny.medeor("explain", run, *list((source / "images").iterdir())[:2], "--out", page).code == 0
    bundle = zipfile.ZipFile(run / "run.medeor")
    told = {
        "screen": said.out + said.err,
        "explanation": page.read_text(),
        **{
            path.name: path.read_text() for path in run.rglob("*") if path.suffix in {".html", ".md", ".json", ".jsonl"}
        },
        **{f"bundle/{name}": bundle.read(name).decode("latin-1") for name in bundle.namelist()},
    }
    leaks = [(place, name) for place, text in told.items() for name in known if name in text]
    assert not leaks


def test_figures_are_those_of_scikit_learn(tiny_run: Path) -> None:
    cases = pl.read_parquet(tiny_run / "cases.parquet")
    rows = pl.read_parquet(tiny_run / "predictions.parquet").filter(pl.col("part") == "test")
    figures = read_json(tiny_run / "metrics.json")["test"]
    for prefix, model in (("", "model"), ("baseline/", "baseline")):
        both = rows.filter(pl.col("model") == model).join(cases, on="case_id")
        truth, value, chosen = (both[name].to_numpy() for name in ("lesion", "value", "chosen"))
        expected = {
            "auroc": sk.roc_auc_score(truth, value),
            "auprc": sk.average_precision_score(truth, value),
            "accuracy": sk.accuracy_score(truth, chosen),
            "balanced_accuracy": sk.balanced_accuracy_score(truth, chosen),
            "brier": sk.brier_score_loss(truth, value),
            "log_loss": sk.log_loss(truth, value),
        }
        found = {name: figures[prefix + name]["value"] for name in expected}
        assert found == pytest.approx(expected)


def test_a_test_case_is_neither_learnt_from_nor_calibrated_on(tiny_run: Path) -> None:
    split = pl.read_parquet(tiny_run / "split.parquet")
    groups = pl.read_parquet(tiny_run / "cases.parquet").join(split, on="case_id")
    tested = set(split.filter(pl.col("part") == "test")["case_id"])
    held_out = pl.read_parquet(tiny_run / "model" / "held_out.parquet")["case_id"].to_list()
    assert sorted(held_out) == sorted(split.filter(pl.col("part") != "test")["case_id"])
    assert set(pl.read_parquet(tiny_run / "predictions.parquet")["case_id"]) == tested
    assert groups.group_by("group").agg(pl.col("part_right").n_unique())["part_right"].max() == 1
    assert groups.drop_nulls("fold").group_by("group").agg(pl.col("fold").n_unique())["fold"].max() == 1


def test_a_fold_is_never_calibrated_on_itself(tiny_hospital: Path, tmp_path: Path) -> None:
    """Every case is predicted out of fold: the calibration of each fold is computed here from the others alone."""
    out = tiny.plan_at(tmp_path / "cv", members="folds")
    images, _, labels, *_ = tiny.labelled(tiny_hospital)
    study = {"labels": str(labels), "target": "lesion", "group": "patient_id", "split": "cv"}
    medeor.train(images, out=out, console=Console(quiet=True), **study)  # type: ignore[arg-type]
    cases = medeor.read(images, console=Console(quiet=True), **study).cases.usable  # type: ignore[arg-type]
    fold = pl.read_parquet(out / "split.parquet").drop_nulls("fold").select("case_id", "fold")
    said = pl.read_parquet(out / "predictions.parquet").filter(pl.col("part") == "cv")
    assert fold["fold"].n_unique() == 5
    for model, folder in (("model", "model"), ("baseline", "baseline")):
        held_out = pl.read_parquet(out / folder / "held_out.parquet").join(fold, on="case_id", how="left")
        found = said.filter(pl.col("model") == model)
        assert sorted(found["case_id"]) == sorted(cases.ids)
        for number in range(5):
            own, others = (
                held_out.filter(one).drop("fold") for one in (pl.col("fold") == number, pl.col("fold") != number)
            )
            known = cases.where(pl.col("case_id").is_in(others["case_id"].to_list()))
            expected = calibrate(known, Predictions(others), threshold="0.5").apply(Predictions(own)).table
            both = expected.join(found, on=["case_id", "item"], suffix=" found")
            assert both.height == own.height
            assert both["value found"].to_list() == pytest.approx(both["value"].to_list(), abs=1e-9)
            assert both["raw found"].to_list() == both["raw"].to_list()
            assert both["chosen found"].to_list() == both["chosen"].to_list()


# --- the same bits ---------------------------------------------------------------------------------------


LONG = {"schedule.epochs": 8, "schedule.checkpoint": 3, "members": "folds", "training.batch": 8}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, tiny_hospital: Path) -> Path:
    folder = tiny.plan_at(tmp_path_factory.mktemp("whole") / "r", **LONG)
    assert tiny.medeor("train", *tiny.labelled(tiny_hospital), "--out", folder, "--quiet").code == 0
    return folder


def _same_models(one: Path, other: Path) -> None:
    ours, theirs = tiny.bits(one / "model"), tiny.bits(other / "model")
    assert {"model/fold-4/weights.safetensors", "held_out.parquet"} <= set(ours)
    assert ours == theirs
    assert tiny.bits(one) == tiny.bits(other)


def test_killed_in_the_middle_of_a_fit_it_resumes_to_the_same_bits(
    uninterrupted: Path, tiny_hospital: Path, tmp_path: Path
) -> None:
    folder = tiny.plan_at(tmp_path / "r", **LONG)
    flags = ("train", *tiny.labelled(tiny_hospital), "--out", folder)
    child = tiny.process(*flags)
    until = time.monotonic() + 60
    while not list((folder / "model" / "model").glob("fold-[12]/checkpoint.safetensors")) and time.monotonic() < until:
        time.sleep(0.002)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not (folder / "model" / "held_out.parquet").exists()
    said = tiny.medeor("predict", folder, tiny_hospital / "images")
    assert said.code == 2
    assert "no finished run" in said.complaints[0]
    # What the kill may have cut in two:
    log = next((folder / "model" / "model").glob("fold-*/log.jsonl"))
    log.write_text(log.read_text() + '{"step": 3, "ep')
    (folder / "model" / ".weights.safetensors.abc.unfinished").mkdir()
    assert tiny.medeor(*flags, "--quiet").code == 0
    _same_models(folder, uninterrupted)
    assert not tiny.strays(folder)


@pytest.mark.parametrize(("number", "when"), [(signal.SIGINT, "fit fold-1"), (signal.SIGTERM, "explain")])
def test_asked_to_stop_it_saves_and_goes_on_to_the_same_bits(
    number: signal.Signals, when: str, uninterrupted: Path, tiny_hospital: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    folder = tiny.plan_at(tmp_path / "r", **LONG)
    told: list[str] = []

    def hear(self: Console, what: Text, done: int, total: int, note: Text = "") -> None:
        told.append(str(what))
        if told[-1] == when and 0 < done < total and told.count(when) == 2:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patched:
        patched.setattr(Console, "__call__", hear)
        said = tiny.medeor("train", *tiny.labelled(tiny_hospital), "--out", folder)
    assert said.code == 130
    assert said.complaints == ["medeor: stopped and saved; the same command goes on from here"]
    assert told.count(when) <= 3  # soon: at the next step of a fit, the next case of an explanation
    if when.startswith("fit"):
        assert (folder / "model" / "model" / when.split()[1] / "checkpoint.safetensors").exists()
    assert not tiny.strays(folder)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert tiny.medeor("train", *tiny.labelled(tiny_hospital), "--out", folder, "--quiet").code == 0
    _same_models(folder, uninterrupted)


def test_two_processes_leave_one_run(uninterrupted: Path, tiny_hospital: Path, tmp_path: Path) -> None:
    folder = tiny.plan_at(tmp_path / "r", members="single")
    flags = ("train", *tiny.labelled(tiny_hospital), "--out", folder)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "medeor")
    out, err = (child := tiny.process(*flags, program=torchrun)).communicate(timeout=100)
    assert child.returncode == 0, err
    assert out.count("bundle: ") == 1
    assert {path.name for path in folder.iterdir()} >= {*LEFT, "model", "explanations", "r.medeor"}
    assert not tiny.strays(folder)
    alone = tiny.plan_at(tmp_path / "alone" / "r", members="single")
    assert tiny.medeor("train", *tiny.labelled(tiny_hospital), "--out", alone, "--quiet").code == 0
    ours, theirs = (pl.read_parquet(place / "predictions.parquet") for place in (folder, alone))
    assert ours["case_id"].to_list() == theirs["case_id"].to_list()
    # The same global batches; sums of gradients in another order.
    assert np.allclose(ours["raw"], theirs["raw"], atol=1e-4)


# --- what stops a study ----------------------------------------------------------------------------------


def test_predictive_values_are_stated_at_the_prevalence_that_is_asked(tiny_hospital: Path, tmp_path: Path) -> None:
    """By Bayes' rule, of the sensitivity and specificity that were measured."""
    flags = tiny.labelled(tiny_hospital)
    folder = tiny.plan_at(tmp_path / "r")
    said = tiny.medeor("train", *flags, "--set", "prevalence=0.02, 0.3", "--out", folder)
    assert said.code == 0, said.err
    again = json.loads(tiny.medeor("evaluate", folder, *flags[:5], "--json").out)["other"]
    for measures in (read_json(folder / "metrics.json")["test"], again):
        stated = {name.split("=")[1] for name in measures if name.startswith("ppv@prevalence=")}
        assert stated == {"0.02", "0.3"}
        sensitivity, specificity = (measures[name]["value"] for name in ("sensitivity", "specificity"))
        ill, well = 0.02 * sensitivity, 0.98 * (1 - specificity)
        value = measures["ppv@prevalence=0.02"]["value"]
        assert value == pytest.approx(ill / (ill + well)) if ill + well else value is None


def test_a_repaired_table_can_be_repaired_again(tiny_hospital: Path, tmp_path: Path) -> None:
    """Its columns `part` and `source` stand beside those of the user that had these names."""
    table = pl.read_csv(tiny_hospital / "labels.csv").rename({"patient_id": "group"})
    table = table.with_columns(source=pl.lit("ward") + pl.col("site"))
    tables = [tmp_path / f"{number}.csv" for number in range(3)]
    table.write_csv(tables[0])
    for before, after in pairwise(tables):
        flags = ("--labels", before, "--target", "lesion", "--group", "group", "--clean", after)
        said = tiny.medeor("audit", tiny_hospital / "images", *flags)
        assert said.code == 0, said.err
        assert pl.read_csv(after).height == table.height
    assert pl.read_csv(tables[2])["part"].to_list() == table["part"].to_list()


def test_a_cleaned_table_has_the_users_columns_and_calls_no_removed_image_unreadable(tmp_path: Path) -> None:
    source = tiny.hospital(tmp_path / "h", plant=medeor_planted(constant=2))
    images, *flags = tiny.labelled(source)
    for number in (1, 2):
        assert tiny.medeor("audit", images, *flags, "--clean", tmp_path / f"{number}.csv").code == 0
        flags[1] = tmp_path / f"{number}.csv"
    table = pl.read_csv(tmp_path / "1.csv")
    given = pl.read_csv(source / "labels.csv")
    removed = given.height - table.height
    assert removed > 0
    assert {"patient_id", "part", "lesion", "site"} <= set(table.columns) <= {*given.columns, "image_1"}
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()
    found = {one.check: one for one in medeor.audit(images, labels=flags[1], target="lesion", group="patient_id")}
    assert found["unreadable-images"].status == "pass"
    assert f"no row for {removed} of " in str(found["images-without-a-row"].message)


@pytest.mark.parametrize("split", ["phase", "cv"])
def test_a_cleaned_table_of_several_images_a_case_names_them_all(split: str, tmp_path: Path) -> None:
    rows = []
    for number in range(24):
        for channel in "ab":
            Image.fromarray(_noise(48)[2 * number + (channel == "b")]).save(tmp_path / f"{channel}{number}.png")
        part = "train" if number < 16 else "test"
        rows.append((f"a{number}.png", f"b{number}.png", number % 2, f"q{number // 2}", part))
    given = pl.DataFrame(rows, schema=["t1", "t2", "lesion", "ward", "phase"], orient="row")
    given.write_csv(tmp_path / "given.csv")
    asked = {"target": "lesion", "group": "ward", "split": split}
    medeor.audit(tmp_path, labels=tmp_path / "given.csv", options={"image": "t1,t2"}, clean=tmp_path / "c.csv", **asked)
    clean = pl.read_csv(tmp_path / "c.csv")
    assert clean.select(given.columns).equals(given)
    assert set(clean.columns) == set(given.columns)


def test_a_leak_stops_the_study_until_it_is_accepted_or_repaired(tmp_path: Path) -> None:
    source = tiny.hospital(tmp_path / "h", plant=medeor_planted(duplicates_across_parts=3, leaked_patients=2))
    images, *flags = tiny.labelled(source)
    folder = tiny.plan_at(tmp_path / "r")
    stopped = tiny.medeor("train", images, *flags, "--out", folder)
    assert stopped.code == 2
    assert not stopped.out
    (said,) = stopped.complaints
    accept = re.findall(r"--accept \S+", said)
    assert sorted(accept) == ["--accept duplicates-across-parts", "--accept groups-across-parts"]
    assert "audit --clean" in said
    assert not (folder / "model").exists()
    failed = {one["check"] for one in read_json(folder / "audit.json") if one["status"] == "fail"}
    assert {"duplicates-across-parts", "groups-across-parts"} <= failed

    clean = tmp_path / "clean.csv"
    audited = tiny.medeor("audit", images, *flags, "--clean", clean, "--json")
    assert audited.code == 1
    assert {one["check"] for one in json.loads(audited.out) if one["status"] == "fail"} == failed
    before, after = pl.read_csv(source / "labels.csv"), pl.read_csv(clean)
    truth = pl.read_csv(source / "truth.csv")
    removed = set(before["image"]) - set(after["image"])
    copied = set(truth.filter(pl.col("copy").is_not_null())["copy_of"])
    leaked = before.join(truth.filter(pl.col("leaked")), on="case_id").filter(pl.col("part") != "test")
    expected = set(before.filter(pl.col("case_id").is_in(copied))["image"]) | set(leaked["image"])
    assert removed == expected
    repaired = (images, "--labels", clean, "--target", "lesion", "--group", "patient_id", "--split", "part")
    assert tiny.medeor("audit", *repaired).code == 0

    accepted = [word for flag in accept for word in flag.split()]
    assert tiny.medeor("audit", images, *flags, *accepted).code == 0
    went_on = tiny.medeor("train", images, *flags, *accepted, "--out", folder)
    assert went_on.code == 0, went_on.err
    report = (folder / "report.html").read_text()
    assert "accepted" in report
    assert "duplicates-across-parts" in report


def test_a_class_that_only_the_test_part_has_is_said(tmp_path: Path) -> None:
    source = tiny.hospital(tmp_path / "h")
    table = pl.read_csv(source / "labels.csv")
    rare = (pl.col("part") == "test") & (pl.col("lesion") == 1)
    names = pl.when(rare).then(pl.lit("rare")).otherwise(pl.format("usual {}", "lesion"))
    table.with_columns(lesion=names).write_csv(source / "labels.csv")
    said = tiny.medeor("train", *tiny.labelled(source), "--out", tiny.plan_at(tmp_path / "r"))
    assert said.code == 0
    assert "audit: class-missing-in-training: " in said.err
    assert "rare" in said.err


def test_a_failed_study_gives_its_folder_to_the_next(tiny_hospital: Path, tmp_path: Path) -> None:
    folder, flags = tmp_path / "r", tiny.labelled(tiny_hospital)
    fast = ("--set", "schedule.epochs=1", "--set", "members=single")
    wrong = tiny.medeor("train", *flags, *fast, "--set", "network.name=no.such:Net", "--out", folder)
    assert wrong.code == 2
    assert "no.such" in wrong.complaints[0]
    right = tiny.medeor("train", *flags, *fast, "--set", "network.name=small-cnn", "--out", folder)
    assert right.code == 0, right.err
    assert read_toml(folder / "plan.toml")["network"]["name"] == "small-cnn"
    other = tiny.medeor("train", *flags, *fast, "--out", folder)
    assert other.code == 2
    assert "holds another study" in other.complaints[0]
    assert (folder / "report.html").exists()


# --- one's own -------------------------------------------------------------------------------------------

NETWORK = '''
from torch import nn

class Net(nn.Module):
    """SECRET INGREDIENT"""

    def __init__(self, channels, outputs):
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * channels, outputs))

    def forward(self, images):
        return self.body(images)
'''


def test_a_network_of_ones_own_is_named_and_never_carried(
    tiny_hospital: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "code" / "ours").mkdir(parents=True)
    (tmp_path / "code" / "ours" / "__init__.py").write_text("")
    (tmp_path / "code" / "ours" / "nets.py").write_text(NETWORK)
    folder = tiny.plan_at(tmp_path / "r")
    with monkeypatch.context() as path:
        path.syspath_prepend(tmp_path / "code")
        flags = (*tiny.labelled(tiny_hospital), "--set", "network.name=ours.nets:Net")
        said = tiny.medeor("train", *flags, "--out", folder)
        assert said.code == 0, said.err
        for trained in (folder, folder / "r.medeor"):
            refused = tiny.medeor("predict", trained, tiny_hospital / "images")
            assert (refused.code, len(refused.complaints)) == (2, 1)
            assert "--trust ours.nets" in refused.complaints[0]
            given = tiny.medeor("predict", trained, tiny_hospital / "images", "--trust", "ours.nets")
            assert given.code == 0, given.err
        page = ("--out", tmp_path / "why.html")
        why = tiny.medeor("explain", folder, sorted((tiny_hospital / "images").rglob("*.png"))[0], *page)
        assert why.code == 2
        why = tiny.medeor(
            "explain", folder, sorted((tiny_hospital / "images").rglob("*.png"))[0], *page, "--trust", "ours.nets"
        )
        assert why.code == 0, why.err
        trained = medeor.load(folder / "r.medeor", trust="ours.nets")
        with pytest.raises(UserError, match="--trust"):  # the word given was for that file
            medeor.load(folder)
        monkeypatch.setenv("MEDEOR_TRUST", "another, ours.nets")
        assert medeor.load(folder).predict(tiny_hospital / "images").equals(trained.predict(tiny_hospital / "images"))
        monkeypatch.delenv("MEDEOR_TRUST")
        assert tiny.medeor("train", *flags, "--out", folder).code == 0  # what is typed is trusted
    with zipfile.ZipFile(folder / "r.medeor") as bundle:
        content = b"".join(bundle.read(name) for name in bundle.namelist())
    assert b"ours.nets:Net" in content
    assert b"SECRET INGREDIENT" not in content
    for name in ("ours", "ours.nets"):
        monkeypatch.delitem(sys.modules, name)
    elsewhere = tiny.medeor("predict", folder / "r.medeor", tiny_hospital / "images", "--trust", "ours.nets")
    assert elsewhere.code == 2
    assert "ours" in elsewhere.complaints[0]


def test_arrays_and_tables_in_python(tmp_path: Path) -> None:
    images = _noise(48)
    table = pl.DataFrame({"bright": images.mean((1, 2)) > 126, "patient": np.arange(48) // 2})
    out = tiny.plan_at(tmp_path / "r")
    trained = medeor.train(images, table, target="bright", group="patient", out=out, console=Console(quiet=True))
    predicted = trained.predict(images[:5])
    assert predicted["case_id"].n_unique() == 5
    assert medeor.load(out / "r.medeor").predict(images[:5]).equals(predicted)
    # To the last bit, whatever is asked beside: pixels, network, trees, domain, stack, calibration.
    for row in (0, 3):
        alone = medeor.load(out).predict(images[row])
        assert alone["case_id"][0] == predicted["case_id"][row]
        assert alone.drop("source").row(0) == predicted.drop("source").row(row)
    again = medeor.train(images, labels=table, target="bright", group="patient", out=out, console=Console(quiet=True))
    assert again.digest == trained.digest
    assert medeor.evaluate(out, images, table, group="patient")["auroc"].n == 24
    assert medeor.audit(images, table, target="bright", group="patient", console=Console(quiet=True))
    assert medeor.explain(out, images[:1]).cases[0].attribution.shape == (tiny.SIDE, tiny.SIDE)
    with pytest.raises(medeor.UserError, match="one by one"):
        medeor.predict(out, [images])  # type: ignore[arg-type]
    with pytest.raises(medeor.UserError, match="no 'targets'"):
        medeor.train(images, table, targets="bright", out=tmp_path / "no")


def test_labels_are_not_asked_of_cases_to_predict(tiny_run: Path, tiny_hospital: Path, tmp_path: Path) -> None:
    """One class alone, an unknown class, no label at all: what a label says cannot keep a case from its answer."""
    table = pl.read_csv(tiny_hospital / "labels.csv").select("image").head(6)
    plain = json.loads(tiny.medeor("predict", tiny_run, tiny_hospital / "images", "--json").out)
    expected = {row["source"]: row["value"] for row in plain}
    for number, labels in enumerate((["1"] * 6, ["?"] * 6, [None] * 6)):
        path = tmp_path / f"{number}.csv"
        table.with_columns(lesion=pl.Series(labels, dtype=pl.String)).write_csv(path)
        rows = json.loads(tiny.medeor("predict", tiny_run, tiny_hospital / "images", path, "--json").out)
        named = {row["source"]: row["value"] for row in rows if row["value"] is not None}
        assert len(named) >= 6
        assert all(expected[source] == value for source, value in named.items())


def test_with_the_cache_off_nothing_lies_outside_the_run(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MEDEOR_CACHE", "off")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    prepared._opened.cache_clear()  # another test may have prepared these images
    source = tiny.hospital(tmp_path / "h")
    run = tiny.plan_at(tmp_path / "r")
    assert tiny.medeor("train", *tiny.labelled(source), "--out", run).code == 0
    assert list((run / "cache" / "images").iterdir())
    for command in (("predict", run), ("predict", run / "r.medeor"), ("audit",), ("plan",)):
        assert tiny.medeor(*command, source / "images", *tiny.labelled(source)[1:] * (len(command) == 1)).code in (0, 1)
    assert not (tmp_path / "home").exists()


def test_stopped_is_raised_in_python(tiny_hospital: Path, tmp_path: Path) -> None:
    class Impatient(Console):
        asked = False

        def say(self, message: str) -> None:
            if not self.asked:
                self.asked = True
                os.kill(os.getpid(), signal.SIGTERM)

    images, _, labels, *_ = tiny.labelled(tiny_hospital)
    fields = {"labels": str(labels), "target": "lesion", "group": "patient_id"}
    with pytest.raises(Stopped):
        medeor.train(images, out=tiny.plan_at(tmp_path / "r"), console=Impatient(), **fields)
