"""Which files are cases, what a case is called whatever it is given with, and which cases seem to share a patient."""

import unicodedata
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydicom.uid import generate_uid

import medeor
from formats.images.dicom_files import write, write_series
from medeor.contracts import Cases, Finding, UserError

VOLUME = np.arange(6 * 8 * 9, dtype=np.int16).reshape(6, 8, 9)
NAMES = [f"{k}.dcm" for k in range(6)]


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    return path


def read(*given: object, **fields: object) -> Cases:
    """Cases as they are read to be predicted."""
    return medeor.read(*given, task="image-classification", labelled=False, **fields).cases  # type: ignore[arg-type]


def ids(cases: Cases) -> dict[str, str]:
    return dict(zip((name.rsplit("/", 1)[-1] for name in cases.table["source"]), cases.ids))


def said(findings: tuple[Finding, ...], check: str) -> Finding:
    return next(finding for finding in findings if finding.check == check)


# Names of cases ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for seed in range(4):
        picture(folder / f"{seed}.png", seed)
    for number in range(2):
        uid = f"1.2.{number}"
        write(folder / f"d{number}.dcm", VOLUME[0], Modality="DX", SOPInstanceUID=uid, PatientID=f"P{number}77777")
    return folder


@settings(max_examples=10, deadline=None)
@given(chosen=st.permutations(["0.png", "1.png", "2.png", "3.png", "d0.dcm", "d1.dcm"]), count=st.integers(1, 6))
def test_an_id_depends_neither_on_company_nor_on_order(images: Path, chosen: list[str], count: int) -> None:
    whole = ids(read(images))
    assert len(set(whole.values())) == 6
    assert ids(read(*[images / name for name in chosen[:count]])) == {name: whole[name] for name in chosen[:count]}


def test_an_id_depends_neither_on_the_path_nor_on_the_table(images: Path, tmp_path: Path) -> None:
    whole = ids(read(images))
    for number, name in enumerate(whole):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / f"other{name}").write_bytes((images / name).read_bytes())
    moved = read(tmp_path)
    assert sorted(moved.ids) == sorted(whole.values())
    table = pl.DataFrame({"image": sorted(whole, reverse=True), "label": [0, 1] * 3})
    assert ids(read(images, table)) == whole
    assert not any(word in "".join(moved.ids) for word in ("png", "1.2.", "77777"))


def test_a_series_is_known_by_its_identifier(tmp_path: Path) -> None:
    for folder, names in (("a", NAMES), ("b/c", [f"x{name}" for name in NAMES])):
        write_series(tmp_path / folder, VOLUME, names, SeriesInstanceUID="1.2.3.4")
    (one,), (other,) = read(tmp_path / "a").ids, read(tmp_path / "b").ids
    assert one == other


def test_arrays_and_channels(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    whole = read(stack).ids
    assert read(stack[1:]).ids == whole[1:]
    for number, plane in enumerate(stack):
        Pillow.fromarray(plane).save(tmp_path / f"{number}.png")
    assert read(tmp_path).ids == whole
    table = pl.DataFrame({"t1": ["0.png", "1.png"], "t2": ["1.png", "0.png"]})
    swapped = read(tmp_path, table, options={"image": "t1,t2"}).usable.ids
    assert len({*swapped, *whole}) == 5


def test_a_column_of_ids_names_the_cases(tmp_path: Path) -> None:
    for seed in range(3):
        picture(tmp_path / f"{seed}.png", seed)
    table = pl.DataFrame({"image": ["0.png", "1.png", "2.png"], "case_id": ["Doe 1", "Doe 2", "Doe 3"]})
    first = read(tmp_path, table).ids
    for seed in range(3):
        picture(tmp_path / f"{seed}.png", seed + 10)
    assert read(tmp_path, table).ids == first
    assert read(tmp_path, table.rename({"case_id": "key"}), options={"id": "key"}).ids == first
    assert "Doe" not in "".join(first)
    # A table that medeor wrote keeps its names.
    assert read(tmp_path, table.with_columns(pl.Series("case_id", first))).ids == first
    with pytest.raises(UserError, match="no column 'nowhere' in the table; there are"):
        read(tmp_path, table, options={"id": "nowhere"})


def test_copies_are_numbered_by_group_and_name_and_told(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        picture(tmp_path / f"{name}.png", 1)
    picture(tmp_path / "other.png", 2)
    reading = medeor.read(tmp_path, task="image-classification", labelled=False)
    known = ids(reading.cases)
    assert [known[f"{name}.png"] for name in "abc"] == [known["a.png"], known["a.png"] + "-2", known["a.png"] + "-3"]
    assert "-" not in known["a.png"] + known["other.png"]
    assert said(reading.findings, "exact-copies").cases == (known["a.png"], known["b.png"], known["c.png"])
    groups = pl.DataFrame({"image": ["a.png", "b.png", "c.png"], "who": ["z", "y", "x"]})
    assert ids(read(tmp_path, groups, group="who"))["c.png"] == known["a.png"]


def test_different_images_of_one_identifier_are_told(tmp_path: Path) -> None:
    for k in range(3):
        write(tmp_path / f"{k}.dcm", VOLUME[k], Modality="DX", SOPInstanceUID="1.2.3")
    found = said(medeor.read(tmp_path, task="image-classification", labelled=False).findings, "shared-identifiers")
    assert (found.status, len(found.cases)) == ("fail", 3)


# What is a case ----------------------------------------------------------------------------------------------------


def test_files_that_are_not_read_are_counted_by_their_ending(tmp_path: Path) -> None:
    for label in "ab":
        for k in range(12):
            picture(tmp_path / label / f"{k}.png", ord(label) * 100 + k)
            (tmp_path / label / f"x{k}.{'gif' if k % 2 else 'jp2'}").write_bytes(b"GIF89a")
        (tmp_path / label / "v.nrrd").write_bytes(b"NRRD0004")
        (tmp_path / label / "v.hdr").write_bytes(bytes(348))
        (tmp_path / label / "v.img").write_bytes(bytes(100))
        for name in ("Thumbs.db", "._1.png", "notes.txt", "thumb_1.png", "report.pdf"):
            content = (tmp_path / label / "1.png").read_bytes() if name.endswith("png") else b""
            (tmp_path / label / name).write_bytes(content)
    cases, findings = medeor.read(tmp_path)
    assert cases.table.filter(pl.col("broken").is_null()).height == 24
    reasons = dict(cases.table["broken"].drop_nulls().value_counts().iter_rows())
    assert {reason.split(" is not read")[0]: count for reason, count in reasons.items()} == {
        "GIF": 12, "JPEG 2000": 12, "NRRD": 2, "ANALYZE": 2,
    }  # fmt: skip
    found = said(findings, "files-passed-over")
    assert found.status == "fail"
    for part in ("12 .gif", "12 .jp2", "2 .nrrd", "2 .hdr", "2 thumbnails", "2 .txt", "2 .db", "2 .pdf"):
        assert part in str(found.message)


def test_a_folder_without_a_readable_image_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.mha").write_bytes(b"ObjectType = Image")
    with pytest.raises(UserError, match=r"no image that is read \(1 MetaImage\); medeor reads DICOM"):
        read(tmp_path)
    with pytest.raises(UserError, match="MetaImage is not read; convert it"):
        read(tmp_path / "a.mha")


def patient(folder: Path, number: int) -> None:
    """As a scanner exports: a volume, two scouts, a screen with the dose, a mask and a dose of radiotherapy."""
    uid = generate_uid()
    write_series(folder / "S2", VOLUME + number, NAMES, SeriesInstanceUID=uid)
    scout = generate_uid()
    for k, axes in enumerate(([1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])):
        write(
            folder / f"S1/{k}.dcm", VOLUME[k], Modality="CT", SeriesInstanceUID=scout, PixelSpacing=[1, 1],
            ImagePositionPatient=[0, k, 0], ImageOrientationPatient=axes,
            ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        )  # fmt: skip
    write(folder / "S999/1.dcm", np.zeros((4, 5, 3), np.uint8), Modality="CT", SeriesDescription="Dose Report")
    write(folder / "SEG/1.dcm", VOLUME.astype(np.uint8), Modality="SEG")
    write(folder / "RT/1.dcm", VOLUME.astype(np.uint16), Modality="RTDOSE", DoseGridScaling=0.01)


@pytest.mark.parametrize("named", [True, False])
def test_masks_doses_scouts_and_captures_accompany_the_volume(tmp_path: Path, named: bool) -> None:
    for number in range(8):
        patient(tmp_path / "in" / "ab"[number % 2] / f"P{number}", number)
    labels = pl.DataFrame({"folder": [f"P{number}" for number in range(8)], "lesion": [0, 1] * 4})
    given = (tmp_path / "in", labels) if named else (tmp_path / "in",)
    cases, findings = medeor.read(*given, task="image-classification")
    assert cases.table["depth"].to_list() == [6] * 8
    assert cases.table["broken"].null_count() == 8
    found = said(findings, "files-passed-over")
    assert found.status == "pass"
    for part in ("16 localisers", "8 captures", "8 segmentations (SEG)", "8 doses (RTDOSE)"):
        assert part in str(found.message)


def test_masks_are_cases_where_there_is_nothing_else_or_a_table_names_them(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}/seg.dcm", (VOLUME + number).astype(np.uint8), Modality="SEG")
    assert len(read(tmp_path)) == 3
    write_series(tmp_path / "ct", VOLUME, NAMES)
    assert read(tmp_path).table["source"].to_list() == ["ct"]
    named = read(tmp_path, pl.DataFrame({"image": ["1/seg.dcm", "2/seg.dcm"]}))
    assert named.usable.table["modality"].to_list() == ["SEG", "SEG"]


def test_one_stray_image_does_not_stop_a_study(tmp_path: Path) -> None:
    for number in range(6):
        write_series(tmp_path / str(number), VOLUME + number, NAMES)
    write(tmp_path / "film.dcm", VOLUME[0], Modality="DX")
    broken = dict(read(tmp_path).table.select("source", "broken").rows())
    assert broken.pop("film.dcm") == "it is a flat image where most cases are volumes"
    assert set(broken.values()) == {None}


@pytest.mark.parametrize("layout", ["halves", "turns"])
def test_a_series_in_two_folders_is_one_volume(tmp_path: Path, layout: str) -> None:
    places = ["12"[k // 3] if layout == "halves" else "12"[k % 2] for k in range(6)]
    write_series(tmp_path / "all", VOLUME, [f"P/{place}/{k}.dcm" for k, place in enumerate(places)])
    reading = medeor.read(tmp_path / "all", task="image-classification", labelled=False)
    assert reading.cases.table["depth"].to_list() == [6]
    assert "1 series" in str(said(reading.findings, "series-in-several-folders").message)


def test_copies_of_a_series_are_two_cases_of_one_patient_and_told(tmp_path: Path) -> None:
    for place in "12":
        write_series(tmp_path / place, VOLUME, NAMES, SeriesInstanceUID="1.2.3")
    reading = medeor.read(tmp_path, task="image-classification", labelled=False)
    assert said(reading.findings, "series-in-several-folders").status == "fail"
    assert reading.cases.ids[1] == reading.cases.ids[0] + "-2"
    assert reading.cases.table["group"].n_unique() == 1


# Names in tables ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "D:\\Study 1\\export\\P{p}\\IM{k}.png", "\\\\server\\share\\P{p}\\IM{k}.png", "/data/other/P{p}/IM{k}.png",
        "P{p}/IM{k}", "p{p}/im{k}.PNG", " P{p}/IM{k}.png ", "./P{p}/IM{k}.png", "file:///mnt/P{p}/IM{k}.png",
        "P{p}/IM{k}.dcm.png", "x%20y/P{p}/IM{k}.png",
    ],
)  # fmt: skip
def test_a_path_from_elsewhere_is_found_by_its_longest_unique_ending(tmp_path: Path, written: str) -> None:
    twice = ".dcm" if ".dcm" in written else ""
    for p in range(4):
        for k in range(2):
            picture(tmp_path / f"i/P{p}/IM{k}{twice}.png", 10 * p + k)
    rows = [written.format(p=p, k=k) for p in range(4) for k in range(2)]
    cases = read(tmp_path / "i", pl.DataFrame({"image": rows}))
    assert cases.table["source"].to_list() == [f"P{p}/IM{k}{twice}.png" for p in range(4) for k in range(2)]


@pytest.mark.parametrize("forms", [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_are_found_however_their_letters_are_composed(tmp_path: Path, forms: tuple[str, str]) -> None:
    plain = [f"thorax_bébé_{k}.png" for k in range(3)] + ["肺がん.png", "폐.png"]
    for seed, name in enumerate(plain):
        picture(tmp_path / "i" / unicodedata.normalize(forms[0], name), seed)
    table = pl.DataFrame({"image": [unicodedata.normalize(forms[1], name) for name in plain]})
    assert read(tmp_path / "i", table).table["broken"].null_count() == 5


def test_a_bare_name_of_several_images_is_told_with_their_names(tmp_path: Path) -> None:
    for p in range(3):
        picture(tmp_path / f"i/P{p}/IM0.png", p)
    with pytest.raises(UserError, match=r"'IM0\.png' .*stands for 3 images \(P0/IM0\.png, P1/IM0\.png, P2/IM0\.png\)"):
        read(tmp_path / "i", pl.DataFrame({"image": ["IM0.png"]}))


def test_an_image_of_another_folder_is_not_taken_for_one_that_is_missing(tmp_path: Path) -> None:
    picture(tmp_path / "i/P0/IM0.png", 0)
    cases = read(tmp_path / "i", pl.DataFrame({"image": ["P0/IM0.png", "P9/IM0.png"]}))
    assert cases.table["broken"].to_list() == [None, "row 3 of the table: the image that it names does not exist"]


# Patients ----------------------------------------------------------------------------------------------------------


def study(folder: Path, names: list[str], **columns: list) -> Finding | None:
    """What the audit says of patients, of images of these names, half of them ill."""
    for seed, name in enumerate(names):
        picture(folder / name, seed)
    table = pl.DataFrame({"image": names, "label": [k % 2 for k in range(len(names))], **columns})
    findings = medeor.read(folder, table, task="image-classification", target="label").findings
    assert [finding.check for finding in findings[:2]] == ["positive-class", "guessed"]
    assert "--group" in str(findings[1].message)
    return next((finding for finding in findings if finding.check == "patients-without-group"), None)


@pytest.mark.parametrize(
    "name",
    ["P{p:02}_{k}.png", "patient{p}_{side}.png", "{p}_{side}.png", "sub-{p:02}/anat/sub-{p:02}_run-{k}.png",
     "{p:08}_{k:03}.png", "A{p}/IM{k}.png", "scan{p}_slice_{k}.png", "患者{p}-{k}.png"],
)  # fmt: skip
def test_names_that_speak_of_patients_stop_a_study_without_a_group(tmp_path: Path, name: str) -> None:
    names = [name.format(p=p, k=k, side=("left", "right")[k]) for p in range(10, 16) for k in range(2)]
    found = study(tmp_path, names)
    assert found is not None
    assert found.stops
    assert "6 patients for 12 images" in str(found.message)


@pytest.mark.parametrize("column", ["patient_id", "PatientID", "Subject", "MRN", "患者ID", "病人编号", "id_paciente"])
def test_a_column_that_names_patients_stops_it_too(tmp_path: Path, column: str) -> None:
    found = study(tmp_path, [f"img_{k}.png" for k in range(12)], **{column: [f"x{k // 2}" for k in range(12)]})
    assert found is not None
    assert f"--group '{column}'" in str(found.message)
    assert "x1" not in str(found.message)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("img_{k}.png", {}), ("{k}.png", {}), ("case-{k:05}.png", {}), ("P{k:02}.png", {}),
        ("IMG_20230101_{k:04}.png", {}),
        ("images_{half}/{k}.png", {}), ("benign_img_{k}.png", {"patient_age": [40 + k // 2 for k in range(12)]}),
        ("{k}.png", {"patient_id": [f"p{k}" for k in range(12)], "patient_sex": ["f", "m"] * 6}),
    ],
)  # fmt: skip
def test_plain_names_stop_nothing(tmp_path: Path, name: str, columns: dict[str, list]) -> None:
    assert study(tmp_path, [name.format(k=k, half=k // 6) for k in range(12)], **columns) is None


def test_a_group_settles_it(tmp_path: Path) -> None:
    for seed in range(12):
        picture(tmp_path / f"P{seed // 2}_{seed % 2}.png", seed)
    table = pl.DataFrame({"image": [f"P{k // 2}_{k % 2}.png" for k in range(12)], "label": [0, 1] * 6})
    table = table.with_columns(pl.col("image").str.slice(0, 2).alias("who"))
    checks = [finding.check for finding in medeor.read(tmp_path, table, target="label", group="who").findings]
    assert "patients-without-group" not in checks
    assert "guessed" not in checks
