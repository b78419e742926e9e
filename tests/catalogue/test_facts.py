"""What the catalogue states agrees with what was published, with the files at hand, and with itself."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from medeor import catalogue
from medeor.contracts import Study, UserError

MEDMNIST_2D = [
    "pathmnist",
    "chestmnist",
    "dermamnist",
    "octmnist",
    "pneumoniamnist",
    "retinamnist",
    "breastmnist",
    "bloodmnist",
    "tissuemnist",
    "organamnist",
    "organcmnist",
    "organsmnist",
]
MEDMNIST_3D = ["organmnist3d", "nodulemnist3d", "adrenalmnist3d", "fracturemnist3d", "vesselmnist3d", "synapsemnist3d"]


def test_holds_every_medmnist_set_and_pcam() -> None:
    names = [name for name in catalogue.names() if catalogue.facts(name).task == "image-classification"]
    assert sorted(names[:19]) == sorted([*MEDMNIST_2D, *MEDMNIST_3D, "pcam"])
    assert len(names) == 19 + 12 * 3 + 6
    assert [catalogue.facts(name).name for name in catalogue.names()] == catalogue.names()


def test_small_sets_come_first_for_a_demonstration() -> None:
    assert catalogue.names()[:2] == ["breastmnist", "pneumoniamnist"]


@pytest.mark.parametrize("name", [*MEDMNIST_2D, *MEDMNIST_3D])
def test_a_medmnist_set_is_complete_in_every_size(name: str) -> None:
    base = catalogue.facts(name)
    assert base.sizes == ((28, 64, 128, 224) if name in MEDMNIST_2D else (28, 64))
    assert base.dimensions == (2 if name in MEDMNIST_2D else 3)
    seen = set()
    for size in base.sizes:
        known = catalogue.facts(name if size == 28 else f"{name}_{size}")
        assert known.size == size
        assert known.file == f"{known.name}.npz"
        assert known.address == f"https://zenodo.org/records/10519652/files/{known.file}?download=1"
        assert re.fullmatch("[0-9a-f]{32}", known.md5)
        seen.add(known.md5)
        assert known.licence == ("CC BY-NC 4.0" if name == "dermamnist" else "CC BY 4.0")
        assert known.split == "official"
        assert set(known.cases) == {"train", "validation", "test"}
        assert len(set(known.classes)) == len(known.classes) >= 2
        assert (known.positive in known.classes) == (known.kind == "binary")
    assert len(seen) == len(base.sizes)


def test_totals_are_those_of_the_published_sets() -> None:
    """MedMNIST v2 published 708,069 2-D and 9,998 3-D images; its version 2.2.4 removed the blank ones."""
    removed = {"organamnist": 20, "organcmnist": 25 + 52, "organsmnist": 8 + 2, "organmnist3d": 1, "vesselmnist3d": 1}
    total_2d = sum(sum(catalogue.facts(name).cases.values()) + removed.get(name, 0) for name in MEDMNIST_2D)
    total_3d = sum(sum(catalogue.facts(name).cases.values()) + removed.get(name, 0) for name in MEDMNIST_3D)
    assert (total_2d, total_3d) == (708_069, 9_998)


def test_breastmnist_counts_malignant_as_positive_though_it_is_label_0() -> None:
    known = catalogue.facts("breastmnist")
    assert known.classes == ("malignant", "normal, benign")
    assert known.positive == "malignant"


def test_accepted_findings_carry_their_reason() -> None:
    pneumonia = catalogue.facts("pneumoniamnist").accept
    assert set(pneumonia) == {"duplicates-within-parts", "duplicates-across-parts"}
    assert "18 training" in pneumonia["duplicates-within-parts"]
    assert "8 validation" in pneumonia["duplicates-across-parts"]
    assert set(catalogue.facts("dermamnist").accept) == {"near-duplicates-across-parts", "groups-across-parts"}


def test_an_unknown_name_is_met_with_what_comes_close() -> None:
    with pytest.raises(UserError, match=r"no data set 'brestmnist'.*breastmnist"):
        catalogue.facts("brestmnist")
    with pytest.raises(UserError, match="known as nodulemnist3d, nodulemnist3d_64"):
        catalogue.facts("nodulemnist3d_224")


def test_a_study_takes_what_it_left_open_and_keeps_what_was_said() -> None:
    study = catalogue.completed(Study(("breastmnist",)), "breastmnist")
    assert study.task == "image-classification"
    assert study.options["positive"] == "malignant"
    assert set(study.accept) == set(catalogue.facts("breastmnist").accept)

    said = Study(("breastmnist",), options={"positive": "normal, benign"}, accept=("imbalance",))
    study = catalogue.completed(said, "breastmnist")
    assert study.options["positive"] == "normal, benign"
    assert study.accept[0] == "imbalance"
    assert "duplicates-across-parts" in study.accept


def test_lists_the_sets_and_the_facts_of_one() -> None:
    lines = catalogue.describe()
    assert [line.split()[0] for line in lines] == catalogue.names()[: len(lines)]
    assert lines[0].split()[:2] == ["breastmnist", "780"]
    text = "\n".join(catalogue.describe("pneumoniamnist"))
    for fact in ("CC BY 4.0", "28209eda62fecd6e6a2d98b1501bb15f", "train 4708", "8 validation images", "zenodo.org"):
        assert fact in text


def test_ordinal_grades_and_a_folder_of_tiles_are_described() -> None:
    assert catalogue.completed(Study(("retinamnist",)), "retinamnist").options["kind"] == "ordinal"
    study = catalogue.completed(Study(("pcam",)), "pcam")
    assert (study.labels, study.target) == ("labels.csv", ("tumour",))
    assert catalogue.facts("pcam").address == ""


@pytest.mark.data
@pytest.mark.parametrize("name", ["breastmnist", "pneumoniamnist"])
def test_facts_agree_with_the_file(real_data: Path, name: str) -> None:
    known = catalogue.facts(name)
    (path,) = real_data.rglob(known.file)
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 == known.sha256:
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == known.md5
    else:
        assert sha256 in {copy.sha256 for copy in known.copies}
    with np.load(path) as file:
        parts = {"train": "train", "validation": "val", "test": "test"}
        assert {part: len(file[f"{key}_images"]) for part, key in parts.items()} == known.cases
        images = {part: [image.tobytes() for image in file[f"{key}_images"]] for part, key in parts.items()}
    repeats = {part: len(all_) - len(set(all_)) for part, all_ in images.items()}
    crossing = {part: len(set(images[part]) & set(images["train"])) for part in ("validation", "test")}
    if name == "pneumoniamnist":
        assert (repeats, crossing) == ({"train": 18, "validation": 0, "test": 3}, {"validation": 8, "test": 0})
    else:
        assert (repeats, crossing) == ({"train": 0, "validation": 0, "test": 0}, {"validation": 0, "test": 1})
