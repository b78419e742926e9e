"""Reading a study: every way in, what is kept of each case, and what is said when the input is at fault."""

import pickle
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image as Pillow

from medeor.contracts import Cases, Sources, Study, Target, UserError
from medeor.imaging.read.cases import ImageStore, read_cases

RNG = np.random.default_rng(0)


def picture(seed: int, *, colour: bool = False, side: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3) if colour else (side, side), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Pillow.fromarray(pixels).save(path)
    return path


def read(*given: object, **study: object) -> Cases:
    return read_cases(Sources(given, {}), Study(sources=given, **study))  # type: ignore[arg-type]


def row(cases: Cases, source: str) -> dict:
    return cases.table.row(by_predicate=pl.col("source") == source, named=True)


def pixels(cases: Cases, source: str) -> np.ndarray:
    return cases.store("images", ImageStore).read(row(cases, source)["images"]).pixels


# A folder a class --------------------------------------------------------------------------------------------------


def test_a_folder_a_class_below_parts(tmp_path: Path) -> None:
    for number, (part, name) in enumerate([(p, n) for p in ("train", "val", "test") for n in ("sick", "well")] * 2):
        save(tmp_path / "set" / part / name / f"{number}.png", picture(number))
    cases = read(tmp_path)
    assert cases.targets == (Target("label", "binary", ("well", "sick")),)
    assert cases.table["part"].value_counts(sort=True)["count"].to_list() == [4, 4, 4]
    for case in cases.table.iter_rows(named=True):
        _, part, name, file = case["source"].split("/")
        assert case["part"] == {"val": "validation"}.get(part, part)
        assert cases.targets[0].classes[case["label"]] == name
        np.testing.assert_array_equal(pixels(cases, case["source"])[0], picture(int(file.split(".")[0])))
    assert cases.table["group"].n_unique() == 12


def test_without_classes_there_is_no_target(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "images" / f"{number}.png", picture(number))
    assert read(tmp_path).targets == ()
    # A folder a patient is no folder a class.
    for number in range(3):
        save(tmp_path / "scans" / f"patient{number}" / "scan.png", picture(number))
    assert read(tmp_path / "scans").targets == ()


def test_an_image_beside_class_folders_is_set_aside(tmp_path: Path) -> None:
    for number in range(6):
        save(tmp_path / "ab"[number % 2] / f"{number}.png", picture(number))
    save(tmp_path / "loose.png", picture(9))
    cases = read(tmp_path)
    assert row(cases, "loose.png")["broken"] == "it lies outside the class folders and so has no label"
    assert cases.table["broken"].null_count() == 6


# Archives and arrays -----------------------------------------------------------------------------------------------


def archive(path: Path, images: np.ndarray, labels: np.ndarray, compressed: bool = True) -> Path:
    parts = {"train": slice(0, 6), "val": slice(6, 8), "test": slice(8, None)}
    members = {f"{part}_images": images[rows] for part, rows in parts.items()}
    members |= {f"{part}_labels": labels[rows] for part, rows in parts.items()}
    (np.savez_compressed if compressed else np.savez)(path, **members)
    return path


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("shape", [(10, 5, 6), (10, 5, 6, 3), (10, 7, 5, 6)])
def test_an_archive_like_medmnist(tmp_path: Path, shape: tuple[int, ...], compressed: bool) -> None:
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    labels = (np.arange(10) % 2)[:, None].astype(np.uint8)
    path = archive(tmp_path / "a.npz", images, labels, compressed)
    cases = read(path, options={"classes": "ill, very | well", "positive": "ill, very"})
    assert cases.targets == (Target("label", "binary", ("well", "ill, very")),)
    assert cases.table["label"].to_list() == (1 - labels[:, 0]).tolist()
    assert cases.table["part"].to_list() == ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    for index, keys in enumerate(cases.table["images"]):
        expected = np.moveaxis(images[index], -1, 0) if shape[-1] == 3 else images[index][None]
        np.testing.assert_array_equal(cases.store("images", ImageStore).read(keys).pixels, expected)
    assert cases.store("images", ImageStore).in_memory


def test_several_labels_and_a_plain_archive(tmp_path: Path) -> None:
    images, labels = RNG.integers(0, 256, (10, 5, 5), dtype=np.uint8), RNG.integers(0, 2, (10, 3))
    labels[:2] = [[0, 0, 0], [1, 1, 1]]
    several = read(archive(tmp_path / "a.npz", images, labels), options={"classes": "oedema,effusion,nodule"})
    assert several.targets == tuple(Target(name, "binary") for name in ("oedema", "effusion", "nodule"))
    np.testing.assert_array_equal(several.table.select("oedema", "effusion", "nodule").to_numpy(), labels)
    np.savez(tmp_path / "b.npz", images=images, labels=np.linspace(0, 1, 10))
    plain = read(tmp_path / "b.npz", target=("density",))
    assert plain.targets == (Target("density", "continuous"),)
    assert plain.table["part"].null_count() == 10


def test_arrays_and_tables_in_memory() -> None:
    images = RNG.integers(0, 1000, (4, 2, 5, 6)).astype(np.uint16)
    cases = read(images, np.array(["b", "a", "b", "a"]))
    assert cases.targets == (Target("label", "binary", ("a", "b")),)
    np.testing.assert_array_equal(pixels(cases, "array/2"), images[2])
    cases = read(images, pl.DataFrame({"grade": [0, 1, 2, 1], "ward": [1, 1, 2, 2]}), target=("grade",), group="ward")
    assert cases.targets[0].kind == "multiclass"
    assert cases.table["group"].to_list() == ["1", "1", "2", "2"]
    assert read(images[0, 0]).table["width"].to_list() == [6]


def test_nan_and_16_bits(tmp_path: Path) -> None:
    images = RNG.random((4, 5, 5)).astype(np.float32)
    images[1, 0, :2], images[2] = np.nan, np.nan
    cases = read(images)
    assert cases.table["nonfinite"].to_list() == [0, 2, None, 0]
    assert cases.table["broken"].to_list() == [None, None, "no pixel holds a finite number", None]
    deep = np.arange(36, dtype=np.uint16).reshape(6, 6) * 1000
    save(tmp_path / "a.png", deep)
    np.testing.assert_array_equal(pixels(read(tmp_path / "a.png"), "a.png")[0], deep)


# Tables ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number in range(4):
        save(tmp_path / "scans" / f"s{number}" / "t1.png", picture(number))
        save(tmp_path / "scans" / f"s{number}" / "t2.png", picture(10 + number))
    return tmp_path / "scans"


def labels(path: Path, **columns: list) -> str:
    pl.DataFrame(columns).write_csv(path)
    return str(path)


def test_a_table_of_paths_with_all_its_roles(tmp_path: Path, scans: Path) -> None:
    table = labels(
        tmp_path / "labels.csv", image=[f"s{n}/t1.png" for n in range(4)], patient=["p1", "p1", "p2", "p3"],
        hospital=["A", "B", "A", "B"], day=["2020-01-31"] * 4, part=["train", "train", "val", "test"],
        sex=["f", "m", "f", "m"], malignant=[0, 1, 0, 1],
    )  # fmt: skip
    cases = read(
        scans, labels=table, target=("malignant",), group="patient", site="hospital", time="day", subgroups=("sex",)
    )
    named = cases.table.filter(pl.col("broken").is_null())
    assert named["group"].to_list() == ["p1", "p1", "p2", "p3"]
    assert named["site"].to_list() == ["A", "B", "A", "B"]
    assert named["part"].to_list() == ["train", "train", "validation", "test"]
    assert named["sex"].to_list() == ["f", "m", "f", "m"]
    assert named["malignant"].to_list() == [0, 1, 0, 1]
    assert cases.subgroups == ("sex",)
    # The second images stand in no row.
    unnamed = cases.table.filter(pl.col("broken").is_not_null())
    assert unnamed["broken"].unique().to_list() == ["no row of the table names this image"]
    assert unnamed.height == 4


def test_several_images_a_case_are_its_channels(tmp_path: Path, scans: Path) -> None:
    names = [f"s{n}" for n in range(4)]
    table = labels(
        tmp_path / "l.csv", t1=[f"{n}/t1.png" for n in names], t2=[f"{n}/t2.png" for n in names], y=[0.1, 0.2, 0.3, 0.4]
    )
    cases = read(scans, labels=table, options={"image": "t1,t2"})
    assert cases.targets == (Target("y", "continuous"),)
    np.testing.assert_array_equal(pixels(cases, "s2/t1.png + s2/t2.png"), [picture(2), picture(12)])
    save(scans / "s1" / "t2.png", picture(1, side=7))
    broken = row(read(scans, labels=table, options={"image": "t1,t2"}), "s1/t1.png + s1/t2.png")["broken"]
    assert "the first and channel image 2 differ in size, 6 x 6 and 7 x 7; resample them to the first" in broken


@pytest.mark.parametrize("written", ["a{}.png", "deep/a{}.png", "set/deep/a{}.png", "a{}", "deep\\a{}.png"])
def test_images_are_found_by_path_name_or_stem(tmp_path: Path, written: str) -> None:
    for number in range(3):
        save(tmp_path / "set/deep" / f"a{number}.png", picture(number))
    table = labels(tmp_path / "l.csv", remark=["x", "y", "z"], id=[written.format(n) for n in range(3)], y=[0, 1, 0])
    cases = read(tmp_path / "set", labels=table, target=("y",))
    assert cases.table["source"].to_list() == [f"deep/a{n}.png" for n in range(3)]
    assert cases.table["broken"].null_count() == 3


def test_a_table_alone_finds_images_beside_it(tmp_path: Path, scans: Path) -> None:
    table = labels(scans.parent / "l.csv", file=[f"scans/s{n}/t1.png" for n in range(4)], label=["a", "b", "a", "b"])
    cases = read(table)
    assert cases.targets == (Target("label", "binary", ("a", "b")),)
    assert cases.table["broken"].null_count() == 4
    in_memory = pl.read_csv(table).with_columns(str(tmp_path) + "/" + pl.col("file"))
    assert read(in_memory).table["label"].to_list() == [0, 1, 0, 1]


def test_rows_that_cannot_be_used_are_kept_with_their_number(tmp_path: Path, scans: Path) -> None:
    table = labels(
        tmp_path / "l.csv",
        image=["s0/t1.png", "gone.png", "s1/t1.png", "s0/t1.png", "s1/t1.png", None, "s2/t1.png"],
        y=["a", "a", "b", "a", "a", "b", None],
    )
    cases = read(scans, labels=table, target=("y",))
    assert cases.table["broken"].to_list()[:7] == [
        None,
        "row 3 of l.csv: the image that it names does not exist",
        None,
        "row 5 of l.csv repeats row 2",
        None,
        "row 7 of l.csv: it names no image",
        "it has no label",
    ]
    # One image with two labels stays, in one group, for the audit to find.
    assert cases.table["group"][2] == cases.table["group"][4]
    assert cases.table["case_id"].n_unique() == len(cases)


# What is kept ------------------------------------------------------------------------------------------------------


def test_an_id_depends_on_no_other_case_and_shows_no_name(tmp_path: Path) -> None:
    for number, name in enumerate(("doe_jane.png", "b.png", "c.png")):
        save(tmp_path / "one" / name, picture(number))
    whole = read(tmp_path / "one")
    (tmp_path / "one/b.png").unlink()
    (tmp_path / "one").rename(tmp_path / "two")
    part = read(tmp_path / "two")
    assert row(part, "doe_jane.png")["case_id"] == row(whole, "doe_jane.png")["case_id"]
    assert all(re.fullmatch("[0-9a-f]{12}", case) for case in whole.ids)
    assert part.store("images", ImageStore).digest != whole.store("images", ImageStore).digest


def test_equal_pixels_share_a_group(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        save(tmp_path / f"{name}.png", picture(seed))
    groups = dict(read(tmp_path).table.select("source", "group").rows())
    assert groups["a.png"] == groups["c.png"] != groups["b.png"]


def dicom(path: Path, values: np.ndarray, patient: str) -> Path:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = DigitalXRayImageStorageForPresentation, f"1.2.{values.sum()}"
    data.Modality, data.PatientID, data.KVP = "DX", patient, len(path.name) * 10
    data.Rows, data.Columns = values.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = values.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def test_images_of_one_dicom_patient_share_a_group(tmp_path: Path) -> None:
    for name, patient in (("a", "P1"), ("bb", "P2"), ("c", "P1"), ("d", "ANON")):
        dicom(tmp_path / name, picture(ord(name[0])), patient)
    cases = read(tmp_path)
    groups = dict(cases.table.select("source", "group").rows())
    assert groups["a"] == groups["c"]
    assert len(set(groups.values())) == 3
    assert "P1" not in str(cases.table.to_dicts())
    assert row(cases, "a")["identifiers"] == ["PatientID"]
    # Facts that differ are kept for the audit of shortcuts; those that all share are not.
    assert cases.table["header.kvp"].to_list() == ["10.0", "20.0", "10.0", "10.0"]
    assert "header.bits" not in cases.table.columns


def test_grey_among_colour_becomes_colour(tmp_path: Path) -> None:
    save(tmp_path / "grey.png", picture(1))
    save(tmp_path / "colour.png", picture(2, colour=True))
    cases = read(tmp_path)
    assert cases.table["broken"].null_count() == 2
    np.testing.assert_array_equal(pixels(cases, "grey.png"), [picture(1)] * 3)


def test_an_odd_number_of_channels_is_set_aside(tmp_path: Path) -> None:
    images = {"a": (2, 5, 5), "b": (2, 5, 5), "c": (3, 5, 5)}
    for name, shape in images.items():
        np.save(tmp_path / f"{name}.npy", RNG.random((*shape, 4)))
    broken = read(tmp_path).table["broken"].to_list()
    assert broken == [None, None, "it has 3 channels where most have 2"]


def test_a_users_column_does_not_hide_one_of_ours(tmp_path: Path, scans: Path) -> None:
    table = labels(tmp_path / "l.csv", image=["s0/t1.png", "s1/t1.png"], width=[7, 8], y=[0, 1])
    cases = read(scans, labels=table, target=("y",))
    assert cases.table["width"].to_list()[:2] == [6, 6]
    assert cases.table["width (table)"].to_list()[:2] == [7, 8]


def test_the_store_reads_alike_after_travelling_to_another_process(tmp_path: Path, scans: Path) -> None:
    cases = read(scans)
    store = cases.store("images", ImageStore)
    content = pickle.dumps(store)
    assert len(content) < 4000
    other = pickle.loads(content)  # noqa: S301
    for keys in cases.table["images"]:
        np.testing.assert_array_equal(other.read(keys).pixels, store.read(keys).pixels)
    assert other.digest == store.digest
    assert not store.in_memory


def test_several_sources_are_one_study(tmp_path: Path, scans: Path) -> None:
    single = save(tmp_path / "x" / "t1.png", picture(50))
    cases = read(single, scans, tmp_path / "x")
    assert cases.table["source"].to_list() == [
        "t1.png",
        *[f"scans/s{n}/t{k}.png" for n in range(4) for k in (1, 2)],
        "x/t1.png",
    ]
    np.testing.assert_array_equal(pixels(cases, "scans/s3/t2.png")[0], picture(13))


def test_sources_of_one_name_are_told_apart(tmp_path: Path) -> None:
    files = [save(tmp_path / patient / "t1" / "scan.png", picture(n)) for n, patient in enumerate(["p1", "p2", "p3"])]
    cases = read(*files)
    assert cases.table["source"].to_list() == ["scan.png", "t1/scan.png", "p3/t1/scan.png"]
    for number, source in enumerate(cases.table["source"]):
        np.testing.assert_array_equal(pixels(cases, source)[0], picture(number))
    table = pl.DataFrame({"scan": ["t1/scan.png", "p3/t1/scan.png"], "label": ["a", "b"]})
    folders = [tmp_path / patient for patient in ("p1", "p2", "p3")]
    assert read(*folders, table).table["broken"].to_list() == [None, None, "no row of the table names this image"]


# What is wrong -----------------------------------------------------------------------------------------------------


def test_a_broken_image_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture(1))
    (tmp_path / "doe.png").write_text("no picture")
    cases = read(tmp_path)
    broken = row(cases, "doe.png")
    assert broken["broken"].startswith("not an image")
    assert "doe" not in broken["broken"]
    assert (broken["width"], broken["content"], broken["nonfinite"]) == (None, None, None)


def test_bad_input_is_told_in_one_line(tmp_path: Path, scans: Path) -> None:
    def fails(message: str, *given: object, **study: object) -> None:
        with pytest.raises(UserError, match=message) as caught:
            read(*given, **study)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400

    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.png").write_text("no picture")
    (tmp_path / "text/b.png").write_text("no picture")
    whole = dicom(tmp_path / "whole.dcm", picture(1), "P")
    (tmp_path / "cut.dcm").write_bytes(whole.read_bytes()[:-10])
    table = labels(tmp_path / "l.csv", image=["s0/t1.png", "s1/t1.png"], y=[1, 1], z=[1, 2])
    lost = labels(tmp_path / "lost.csv", image=["u.png", "v.png"], y=[1, 2])

    fails("no source")
    fails(r"nowhere does not exist", tmp_path / "nowhere")
    fails(r"empty holds no image", tmp_path / "empty")
    fails(r"none of the 2 images can be read; .*a\.png: not an image", tmp_path / "text")
    fails(r"cut\.dcm: the file is truncated or damaged \(.*\)", tmp_path / "cut.dcm")
    fails(r"nothing\.csv does not exist", scans, labels=str(tmp_path / "nothing.csv"))
    fails(r"there is no column 'x' in l\.csv; there are y, z", scans, labels=table, target=("x",))
    fails(r"name the column to predict with --target; it has y, z", scans, labels=table)
    fails(r"target 'y' has one class alone \('1'\)", scans, labels=table, target=("y",))
    fails(r"no column 'patient' in l\.csv; there are y, z", scans, labels=table, target=("z",), group="patient")
    fails(r"there is no column 'patient' in images without a table \(--labels\)", scans / "s0", group="patient")
    fails(r"lost\.csv: no column names images; 'image' holds 'u\.png'", scans, labels=lost)
    fails(r"lost\.csv: no row names an image .*'u\.png': the image", scans, labels=lost, options={"image": "image"})
    fails(r"l\.csv has no column 'picture'; it has image, y, z", scans, labels=table, options={"image": "picture"})

    save(tmp_path / "mixed/flat.npy", RNG.random((5, 5)))
    save(tmp_path / "mixed/solid.npy", RNG.random((5, 5, 5)))
    fails(r"volumes are mixed \(1 such as 'flat\.npy', 1 such as 'solid\.npy'\)", tmp_path / "mixed")

    for part in ("train", "test"):
        save(tmp_path / "single" / part / "benign/a.png", picture(1))
        save(tmp_path / "single" / part / "benign/b.png", picture(2))
    fails(r"one class alone \('benign'\)", tmp_path / "single")

    np.savez(tmp_path / "odd.npz", something=np.zeros(3))
    fails(r"odd\.npz has no arrays train_images, .*; its arrays: something", tmp_path / "odd.npz")
    np.savez(tmp_path / "short.npz", images=np.zeros((3, 4, 4)), labels=np.zeros(2))
    fails(r"3 images and 2 labels", tmp_path / "short.npz")
    np.savez(tmp_path / "objects.npz", images=np.array([{}, {}]), labels=np.zeros(2))
    fails(r"'images' holds Python objects", tmp_path / "objects.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "short.npz").read_bytes()[:300])
    fails(r"cut\.npz", tmp_path / "cut.npz")
    fails(r"no set of images", np.zeros((2, 2, 2, 2, 2, 2)))


# Real sets ---------------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_breastmnist(real_data: Path) -> None:
    path = next(real_data.rglob("breastmnist.npz"))
    cases = read(path, options={"classes": "malignant|normal, benign", "positive": "malignant"})
    assert dict(cases.table["part"].value_counts().rows()) == {"train": 546, "validation": 78, "test": 156}
    with np.load(path) as raw:
        assert (
            cases.table.filter(pl.col("part") == "test")["label"].to_list() == (1 - raw["test_labels"][:, 0]).tolist()
        )
        np.testing.assert_array_equal(
            cases.store("images", ImageStore).read(cases.table["images"][5]).pixels[0], raw["train_images"][5]
        )


@pytest.mark.data
def test_pcam(real_data: Path) -> None:
    folder = real_data / "images/pcam"
    cases = read(folder, labels=str(folder / "labels.csv"))
    truth = pl.read_csv(folder / "labels.csv")
    assert cases.table["tumour"].to_list() == truth["tumour"].to_list()
    assert cases.table["source"].to_list() == truth["file"].to_list()
    assert cases.table["channels"].unique().to_list() == [3]


@pytest.mark.data
def test_real_volumes_are_one_case_each(real_data: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(next((real_data / "images/mr_t1_dicom").glob("*.tar.xz"))) as packed:
        packed.extractall(tmp_path, filter="data")
    cases = read(tmp_path, real_data / "images/ct_organs/example_ct_sm.nii.gz")
    assert cases.table["depth"].to_list() == [96, 30]
    assert cases.table["modality"].to_list() == ["MR", None]
    assert "PatientName" in cases.table["identifiers"][0]
