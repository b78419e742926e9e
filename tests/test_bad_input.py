"""What a user can get wrong: each told once, in a line or two, with exit code 2 and nothing half-written left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

import tiny
from medeor import files
from medeor.contracts import UserError
from medeor.files import read_json


class Bad(NamedTuple):
    """A command without its `--out`, and what its message must name."""

    command: tuple[object, ...]
    words: tuple[str, ...]


def _changed(hospital: Path, folder: Path, *change: pl.Expr, **named: pl.Expr) -> tuple[object, ...]:
    """The hospital's study with another table of labels."""
    images, _, labels, *flags = tiny.labelled(hospital)
    table = pl.read_csv(labels).with_columns(*change, **named)
    table.write_csv(folder / "labels.csv")
    return ("train", images, "--labels", folder / "labels.csv", *flags)


def an_empty_folder(hospital: Path, folder: Path) -> Bad:
    (folder / "empty").mkdir()
    return Bad(("train", folder / "empty"), ("empty holds nothing that medeor recognises", "DICOM"))


def a_folder_of_other_files(hospital: Path, folder: Path) -> Bad:
    (folder / "text").mkdir()
    (folder / "text" / "notes.txt").write_text("no image")
    return Bad(("train", folder / "text"), ("text holds nothing that medeor recognises",))


def an_image_that_is_none(hospital: Path, folder: Path) -> Bad:
    (folder / "x").mkdir()
    (folder / "x" / "photo.png").write_text("no image")
    return Bad(("train", folder / "x"), ("photo.png", "not an image"))


def a_truncated_dicom(hospital: Path, folder: Path) -> Bad:
    source = tiny.hospital(folder / "dicom", "dicom", patients=3)
    path = next((source / "images").iterdir())
    path.write_bytes(path.read_bytes()[:-60])
    return Bad(("train", path), (path.name, "truncated"))


def pixels_that_are_no_numbers(hospital: Path, folder: Path) -> Bad:
    np.save(folder / "nan.npy", np.full((12, 12), np.nan, np.float32))
    return Bad(("train", folder / "nan.npy"), ("nan.npy", "finite"))


def flat_images_among_volumes(hospital: Path, folder: Path) -> Bad:
    (folder / "x").mkdir()
    np.save(folder / "x" / "flat.npy", np.zeros((12, 12), np.uint8))
    np.save(folder / "x" / "solid.npy", np.zeros((12, 12, 12), np.uint8))
    return Bad(("train", folder / "x"), ("flat.npy", "solid.npy", "mixed"))


def a_damaged_archive(hospital: Path, folder: Path) -> Bad:
    np.savez(folder / "x.npz", images=np.zeros((4, 8, 8), np.uint8))
    content = (folder / "x.npz").read_bytes()
    (folder / "x.npz").write_bytes(content[: len(content) // 2])
    return Bad(("train", folder / "x.npz"), ("x.npz",))


def an_archive_of_objects(hospital: Path, folder: Path) -> Bad:
    np.savez(folder / "x.npz", images=np.array([{}, {}], dtype=object))
    return Bad(("train", folder / "x.npz"), ("x.npz", "Python objects"))


def labels_that_do_not_fit_their_images(hospital: Path, folder: Path) -> Bad:
    np.savez(folder / "x.npz", images=np.zeros((4, 8, 8), np.uint8), labels=np.arange(3))
    return Bad(("train", folder / "x.npz"), ("4 images and 3 labels",))


def labels_without_any_image(hospital: Path, folder: Path) -> Bad:
    return Bad(
        _changed(hospital, folder, image=pl.lit("none.png"), case_id=pl.lit("?")),
        ("labels.csv", "no column names images"),
    )


def no_table_of_labels(hospital: Path, folder: Path) -> Bad:
    return Bad(("train", hospital / "images", "--labels", folder / "none.csv"), ("none.csv does not exist",))


def a_table_with_a_torn_row(hospital: Path, folder: Path) -> Bad:
    (folder / "labels.csv").write_text("image,lesion\ncase-00001.png,1\ncase-00002.png,0,extra\n")
    return Bad(("train", hospital / "images", "--labels", folder / "labels.csv"), ("labels.csv", "row 3"))


def no_such_target(hospital: Path, folder: Path) -> Bad:
    return Bad((*_changed(hospital, folder), "--target", "tumor"), ("'tumor'", "lesion"))


def one_class_alone(hospital: Path, folder: Path) -> Bad:
    return Bad(_changed(hospital, folder, lesion=pl.lit(1)), ("'lesion'", "one class alone"))


def one_class_alone_to_learn_from(hospital: Path, folder: Path) -> Bad:
    tested = (pl.col("part") == "test").cast(pl.Int8)
    return Bad(_changed(hospital, folder, lesion=tested), ("'lesion'", "training cases have the same"))


def no_label_known(hospital: Path, folder: Path) -> Bad:
    return Bad(_changed(hospital, folder, lesion=pl.lit(None, pl.Int8)), ("'lesion'", "no value"))


def one_patient_alone(hospital: Path, folder: Path) -> Bad:
    return Bad(_changed(hospital, folder, patient_id=pl.lit("P1")), ("one group (patient)", "add more"))


def no_such_group(hospital: Path, folder: Path) -> Bad:
    return Bad((*tiny.labelled(hospital)[:5], "--group", "person"), ("'person'", "patient_id"))


def no_such_split(hospital: Path, folder: Path) -> Bad:
    return Bad(("train", *tiny.labelled(hospital)[:7], "--split", "fortnight"), ("--split fortnight", "cv"))


def a_split_by_an_unknown_time(hospital: Path, folder: Path) -> Bad:
    return Bad(("train", *tiny.labelled(hospital)[:7], "--split", "time"), ("--split time", "--set time="))


def a_slip_in_the_names_of_parts(hospital: Path, folder: Path) -> Bad:
    slip = pl.col("part").str.replace("train", "trian")
    return Bad(_changed(hospital, folder, part=slip), ("'part'", "'trian'"))


def nothing_to_train_on(hospital: Path, folder: Path) -> Bad:
    return Bad(_changed(hospital, folder, part=pl.lit("test")), ("no case for training",))


def an_unknown_check_accepted(hospital: Path, folder: Path) -> Bad:
    return Bad(("train", *tiny.labelled(hospital), "--accept", "everything"), ("--accept everything", "duplicates"))


def an_unknown_task(hospital: Path, folder: Path) -> Bad:
    return Bad(("train", *tiny.labelled(hospital), "--task", "weather"), ("weather", "image-classification"))


def an_unknown_where(hospital: Path, folder: Path) -> Bad:
    return Bad(("train", *tiny.labelled(hospital), "--option", "colour=red"), ("'colour'", "positive"))


def a_study_file_with_a_slip(hospital: Path, folder: Path) -> Bad:
    (folder / "study.toml").write_text(f'sources = ["{hospital}"]\nlabel = "x"\n')
    return Bad(("train", "--study", folder / "study.toml"), ("study.toml", "'label'", "labels"))


def a_study_file_that_is_none(hospital: Path, folder: Path) -> Bad:
    (folder / "study.toml").write_text("sources = [")
    return Bad(("train", "--study", folder / "study.toml"), ("study.toml", "TOML"))


def nothing_given(hospital: Path, folder: Path) -> Bad:
    return Bad(("train",), ("no source",))


KINDS: tuple[Callable[[Path, Path], Bad], ...] = (
    an_empty_folder, a_folder_of_other_files, an_image_that_is_none, a_truncated_dicom, pixels_that_are_no_numbers,
    flat_images_among_volumes, a_damaged_archive, an_archive_of_objects, labels_that_do_not_fit_their_images,
    labels_without_any_image, no_table_of_labels, a_table_with_a_torn_row, no_such_target, one_class_alone,
    one_class_alone_to_learn_from, no_label_known, one_patient_alone, no_such_split, a_split_by_an_unknown_time,
    a_slip_in_the_names_of_parts, nothing_to_train_on, an_unknown_check_accepted, an_unknown_task, an_unknown_where,
    a_study_file_with_a_slip, a_study_file_that_is_none, nothing_given,
)  # fmt: skip


def _refused(said: tiny.Said, *words: str) -> None:
    assert said.code == 2, said
    assert not said.out
    assert len(said.complaints) == 1
    assert len(said.err[said.err.index("medeor: ") :].splitlines()) <= 2
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.complaints[0]


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_bad_input_is_told_and_leaves_nothing(
    make: Callable[[Path, Path], Bad], tiny_hospital: Path, tmp_path: Path
) -> None:
    bad = make(tiny_hospital, tmp_path)
    before = tiny.bits(tmp_path, ())
    _refused(tiny.medeor(*bad.command, "--out", tmp_path / "run"), *bad.words)
    left = set(tiny.bits(tmp_path, ())) - set(before)
    # A study that was read and then stopped says in whole files what it found; any other leaves nothing.
    whole = ("run.json", "study.toml", "cases.parquet", "split.parquet", "audit.json")
    assert left <= {f"run/{name}" for name in whole}
    assert not left or "run/audit.json" in left
    assert not tiny.strays(tmp_path / "run")


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("training.batch=-1", "training.batch"),
        ("training.batch=many", "training.batch"),
        ("training.batches=3", "'training.batches'"),
        ("epochs=3", "'epochs'"),
        ("schedule.epochs=0", "schedule.epochs"),
        ("schedule.epochs=1.5", "schedule.epochs"),
        ("schedule.learning_rate=nan", "schedule.learning_rate"),
        ("schedule.optimiser=magic", "'adamw' or 'sgd'"),
        ("members=both", "'folds' or 'single'"),
        ("network=resnet", "network"),
        ("network.name=resnext", "resnext"),
        ("network.name=no_such_package:Net", "no_such_package"),
        ("network.name=torch.nn:Net", "torch.nn"),
        ("preparation.size=[12]", "preparation.size"),
        ("preparation.size=[8, 8, 8]", ""),
        ("preparation.size=[1, 1]", "preparation.size"),
        ("preparation.channels=2", "preparation.channels"),
        ("augmentation.rotation=wide", "augmentation.rotation"),
        ("seed=-1", "seed"),
        ("seed=lucky", "seed"),
        ("minutes=0", "minutes"),
        ("threshold=best", "youden"),
        ("subgroups=shoe_size", "shoe_size"),
        ("prevalence=rare", "prevalence.0: input should be a valid number"),
        ("prevalence=2", "between 0 and 1"),
        ("schedule.learning_rate=1e30", "diverged"),
    ],
)
def test_an_impossible_value_is_told(setting: str, word: str, tiny_hospital: Path, tmp_path: Path) -> None:
    folder = tiny.plan_at(tmp_path / "r")
    _refused(tiny.medeor("train", *tiny.labelled(tiny_hospital), "--set", setting, "--out", folder), word)
    assert not tiny.strays(folder)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("batch = 64", "batch = -64", "training.batch"),
        ("batch = 64", "batch = [", "not readable TOML"),
        ("batch = 64", "bach = 64", "'training.bach'"),
        ("[training]", "[trainings]", "'trainings'"),
        ('members = "single"', 'members = "none"', "members"),
    ],
)
def test_an_edited_plan_is_obeyed_or_refused_by_its_key(
    old: str, new: str, word: str, tiny_hospital: Path, tmp_path: Path
) -> None:
    folder = tiny.plan_at(tmp_path / "r")
    text = (folder / "plan.toml").read_text()
    assert old in text
    (folder / "plan.toml").write_text(text.replace(old, new))
    _refused(tiny.medeor("train", *tiny.labelled(tiny_hospital), "--out", folder), "plan.toml", word)
    assert (folder / "plan.toml").read_text() == text.replace(old, new)


def test_broken_images_among_good_ones_are_set_aside_and_listed(tmp_path: Path) -> None:
    source = tiny.hospital(tmp_path / "h", "dicom")
    paths = sorted((source / "images").iterdir())
    whole = paths[0].read_bytes()
    for path, content in zip(paths, (b"", whole[:-50], whole[:300], b"no image at all"), strict=False):
        path.write_bytes(content)
    table = pl.read_csv(source / "labels.csv")
    lost = table.tail(1).with_columns(image=pl.lit("images/lost.dcm"), case_id=pl.lit("case-lost"))
    pl.concat([table[:-2], lost]).write_csv(source / "labels.csv")
    run = tiny.plan_at(tmp_path / "r")
    said = tiny.medeor("train", *tiny.labelled(source), "--out", run)
    assert said.code == 0, said.err
    assert "audit: unreadable-images: 5 of " in said.err
    cases = pl.read_parquet(run / "cases.parquet").filter(pl.col("broken").is_not_null())
    found = {one["check"]: one["cases"] for one in read_json(run / "audit.json")}
    # Four damaged and a label without an image; two images without a label.
    assert len(found["unreadable-images"]) == 5
    assert len(found["images-without-a-row"]) == 2
    assert {*found["unreadable-images"], *found["images-without-a-row"]} == set(cases["case_id"])
    predicted = pl.read_parquet(run / "predictions.parquet")["case_id"].to_list()
    assert not set(predicted) & set(cases["case_id"])
    rows = json.loads(tiny.medeor("predict", run, paths[1], paths[9], "--json").out)
    assert [row["broken"] is None for row in rows] == [False, True]
    assert "truncated" in rows[0]["broken"]
    _refused(tiny.medeor("predict", run, paths[1]), paths[1].name)


def test_deep_and_missing_pixels_are_read(tmp_path: Path) -> None:
    """16-bit integers and floats beside each other, some of them NaN: brought to one scale, and NaN is told."""
    draw = np.random.default_rng(0)
    (tmp_path / "x").mkdir()
    for number in range(40):
        bright = number % 2
        pixels = draw.normal(20_000 + 20_000 * bright, 1000, (12, 12))
        stored = pixels.astype(np.uint16) if number % 4 < 2 else pixels.astype(np.float32)
        if number == 2:
            stored[3, 4:6] = np.nan, np.inf
        np.save(tmp_path / "x" / f"{number}.npy", stored)
    rows = {"image": [f"{n}.npy" for n in range(40)], "label": [n % 2 for n in range(40)]}
    pl.DataFrame(rows).write_csv(tmp_path / "labels.csv")
    run = tiny.plan_at(tmp_path / "r")
    said = tiny.medeor("train", tmp_path / "x", "--labels", tmp_path / "labels.csv", "--target", "label", "--out", run)
    assert said.code == 0, said.err
    assert "audit: non-finite-pixels: 1 of 40" in said.err
    assert pl.read_parquet(run / "predictions.parquet")["value"].is_finite().all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((3, 8, 8, 8), np.uint8), ("flat images", "volumes")),
        (np.arange(576, dtype=np.uint8).reshape(3, 8, 8, 3), ("1 channel", "3")),
        (np.zeros((3, 2, 8, 8), np.uint8), ("1 channel", "2")),
        (np.zeros((0, 8, 8), np.uint8), ("no image",)),
        (np.zeros(8, np.uint8), ("no set of images",)),
    ],
)
def test_a_model_says_what_images_it_takes(given: np.ndarray, words: tuple[str, ...], tiny_run: Path) -> None:
    import medeor

    with pytest.raises(UserError) as said:
        medeor.predict(tiny_run, given)
    assert all(word in str(said.value) for word in words)


def test_other_data_are_scored_on_the_same_question_alone(tiny_run: Path, tiny_hospital: Path, tmp_path: Path) -> None:
    images = tiny_hospital / "images"
    _refused(tiny.medeor("evaluate", tiny_run, images), "--labels")
    command = _changed(tiny_hospital, tmp_path, lesion=pl.lit(7))[1:6]
    _refused(tiny.medeor("evaluate", tiny_run, *command), "'7'")
    for name in ("test", "cv", "validation"):
        flags = tiny.labelled(tiny_hospital)[:5]
        _refused(tiny.medeor("evaluate", tiny_run, *flags, "--name", name), f"'{name}'", "another name")


def test_runs_over_other_cases_are_compared_on_those_they_share(tiny_run: Path, tmp_path: Path) -> None:
    fewer = shutil.copytree(tiny_run, tmp_path / "fewer")
    predicted = pl.read_parquet(tiny_run / "predictions.parquet")
    kept = predicted["case_id"].unique(maintain_order=True)[:8]
    predicted.filter(pl.col("case_id").is_in(kept.implode())).write_parquet(fewer / "predictions.parquet")
    _refused(tiny.medeor("compare", tiny_run, fewer), "--shared")
    said = tiny.medeor("compare", tiny_run, fewer, "--shared", "--json")
    assert said.code == 0, said.err
    rows = json.loads(said.out)
    groups = pl.read_parquet(tiny_run / "cases.parquet").filter(pl.col("case_id").is_in(kept.implode()))["group"]
    assert {row["n"] for row in rows if row["metric"] == "accuracy"} == {groups.n_unique()}
    assert {row["difference"] for row in rows} <= {0, None}


def test_evaluate_says_what_it_sets_aside_and_what_it_was_taught(
    tiny_run: Path, tiny_hospital: Path, tmp_path: Path
) -> None:
    """Three images without a label and one that is none; of the others all but the test part taught the model."""
    table = pl.read_csv(tiny_hospital / "labels.csv").with_row_index("row")
    blank = pl.when(pl.col("row") >= 3).then("lesion").alias("lesion")
    table = table.with_columns(blank, image=pl.col("image").str.replace(r"^images/", "")).drop("row")
    shutil.copytree(tiny_hospital / "images", tmp_path / "images")
    bad = tmp_path / "images" / table["image"][5]
    bad.write_bytes(b"no picture")
    table.write_csv(tmp_path / "labels.csv")
    said = tiny.medeor("evaluate", tiny_run, tmp_path / "images", "--labels", tmp_path / "labels.csv", "--json")
    assert said.code == 0, said.err
    aside, positive, *others = said.err.splitlines()
    (known,) = (line for line in others if "in the training data" in line)
    assert positive == "positive class: 1"
    assert aside.startswith(f"4 of {len(table)} cases are excluded: it has no label (3), ")
    rest = pl.concat([table[3:5], table[6:]])
    learnt = rest.filter(pl.col("part") != "test").height
    assert known.startswith(f"{learnt} of the {len(rest)} scored cases were in the training data")
    bundle = next(tiny_run.glob("*.medeor"))
    unknown = tiny.medeor("evaluate", bundle, tmp_path / "images", "--labels", tmp_path / "labels.csv")
    assert unknown.err.splitlines() == [aside, positive, *(line for line in others if line != known)]


def test_other_data_need_not_have_the_subgroups_of_the_study(
    tiny_run: Path, tiny_hospital: Path, tmp_path: Path
) -> None:
    table = pl.read_csv(tiny_hospital / "labels.csv").drop("sex")
    table.write_csv(tmp_path / "labels.csv")
    flags = tiny_hospital / "images", "--labels", tmp_path / "labels.csv", "--name", "plain", "--json"
    said = tiny.medeor("evaluate", tiny_run, *flags)
    assert said.code == 0, said.err
    assert json.loads(said.out)["plain"]["accuracy"]["n"] == len(table)
    assert "[sex=" not in said.out


@pytest.mark.parametrize("place", ["a file", "below a file", "a full folder", "no rights"])
def test_a_place_that_cannot_take_the_run_is_told_before_anything_is_read(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("mine")
    out = {"a file": "file", "below a file": "file/x", "a full folder": "full", "no rights": "/proc/other"}[place]
    if place == "no rights" and not Path("/proc/self").exists():
        pytest.skip("needs a folder that even the superuser cannot write to")
    before = tiny.bits(tmp_path)
    _refused(tiny.medeor("train", "no such source", "--out", tmp_path / out), str(tmp_path / out))
    assert tiny.bits(tmp_path) == before


WALK = """
import resource, sys
from medeor.cli import app
from medeor.road.walk import walk
import medeor.learning.folds, medeor.imaging.task, lightgbm, captum
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
app.main()
"""


def test_a_disk_that_fills_up_ends_the_road_with_one_message(tiny_hospital: Path, tmp_path: Path) -> None:
    """The system refuses to write more than so many bytes to a file; with more room the same command goes on."""
    folder = tiny.plan_at(tmp_path / "r")
    flags = ("train", *tiny.labelled(tiny_hospital), "--out", folder)
    child = tiny.process(60_000, *flags, program=("-c", WALK))
    out, err = child.communicate(timeout=100)
    said = tiny.Said(child.returncode, out, err)
    _refused(said, f"cannot write {folder}", "larger than the system allows")
    assert not tiny.strays(folder)
    assert (folder / "model" / "model" / "weights.safetensors").exists()
    assert tiny.medeor(*flags, "--quiet").code == 0


@pytest.mark.parametrize("name", ["cases.parquet", "weights.safetensors", "metrics.json", "explanations", "r.medeor"])
def test_wherever_the_disk_is_full_nothing_half_written_stays(
    name: str, tiny_hospital: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.os.replace

    def full(old: Path, new: Path) -> None:
        if Path(new).name == name:
            raise OSError(28, "No space left on device")
        real(old, new)

    folder = tiny.plan_at(tmp_path / "r")
    flags = ("train", *tiny.labelled(tiny_hospital), "--out", folder)
    with monkeypatch.context() as patched:
        patched.setattr(files.os, "replace", full)
        _refused(tiny.medeor(*flags), f"{name}: the disk is full")
    assert not tiny.strays(folder)
    assert not (folder / name).exists()
    assert tiny.medeor("predict", folder, tiny_hospital).code == 2
    assert tiny.medeor(*flags, "--quiet").code == 0
    assert (folder / "r.medeor").exists()


@pytest.mark.slow
def test_two_processes_that_cannot_begin_end_soon(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "medeor")
    child = tiny.process("train", tmp_path / "empty", "--out", tmp_path / "r", program=torchrun)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert err.count("medeor: ") == 1
    assert "empty holds nothing" in err
    assert not (tmp_path / "r").exists()
