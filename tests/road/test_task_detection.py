"""Which task a study is for, from what its sources hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import medeor
from medeor.contracts import Study, UserError
from medeor.registry import TASKS, find
from medeor.road.task_detection import task_of


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def test_files_are_known_by_their_endings(tmp_path: Path) -> None:
    images = touched(tmp_path / "a", "benign/1.png", "malignant/2.PNG", "labels.csv", "readme.txt")
    assert task_of(Study((str(images),))) == "image-classification"
    assert task_of(Study((str(touched(tmp_path / "b", "IM0001")),))) == "image-classification"
    assert task_of(Study((str(touched(tmp_path / "c", "train.txt", "valid.txt", "test.txt")),))) == "graph-completion"
    assert task_of(Study((str(touched(tmp_path / "d", "doid.obo") / "doid.obo"),))) == "graph-completion"
    assert task_of(Study((np.zeros((4, 8, 8)),))) == "image-classification"


def test_tables_are_known_by_their_columns(tmp_path: Path) -> None:
    table = pl.DataFrame({"Head": ["a"], "relation": ["treats"], "tail": ["b"]})
    table.write_csv(tmp_path / "edges.csv")
    table.write_parquet(tmp_path / "edges.parquet")
    pl.DataFrame({"image": ["a.png"], "label": [1]}).write_csv(tmp_path / "scans.tsv", separator="\t")
    assert task_of(Study((table,))) == "graph-completion"
    assert task_of(Study((str(tmp_path / "edges.csv"),))) == "graph-completion"
    assert task_of(Study((str(tmp_path / "edges.parquet"),))) == "graph-completion"
    assert task_of(Study((str(tmp_path / "scans.tsv"),))) == "image-classification"


def test_what_is_asked_with_where_tells_the_task(tmp_path: Path) -> None:
    pl.DataFrame({"t1": ["a.nii"], "y": [1]}).write_csv(tmp_path / "x.csv")
    assert task_of(Study((str(tmp_path / "x.csv"),), options={"image": "t1"})) == "image-classification"


@pytest.mark.parametrize("name", ["missing", "empty", "table.csv"])
def test_a_source_that_shows_nothing_asks_for_the_task(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    pl.DataFrame({"a": [1]}).write_csv(tmp_path / "table.csv")
    with pytest.raises(UserError, match=r"--task|neither a file"):
        task_of(Study((str(tmp_path / name),)))


def test_a_table_without_a_header_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "assay.csv").write_text("CCO,5.1\nCCN,4.2\n")
    with pytest.raises(UserError, match=r"assay.csv: its first row has numbers .* names above it, or name the task"):
        task_of(Study((str(tmp_path / "assay.csv"),)))


@pytest.mark.parametrize("place", sorted({one for facts in TASKS.values() for one in facts.formats}))
def test_every_ending_that_its_reader_knows_shows_a_task(place: str, tmp_path: Path) -> None:
    for task, facts in TASKS.items():
        for ending in find(place).endings if place in facts.formats else ():
            folder = touched(tmp_path / f"a{ending}", f"a{ending}" if "." in ending[:1] else ending or "a")
            assert task_of(Study((str(folder),))) == task, ending


def test_a_folder_of_webp_is_read_as_it_is_recognised(tmp_path: Path) -> None:
    for name in ("benign/1.webp", "benign/2.webp", "malignant/3.webp", "malignant/4.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (12, 12), int(name[-6])).save(tmp_path / name, lossless=True)
    assert task_of(Study((str(tmp_path),))) == "image-classification"
    assert len(medeor.read(tmp_path, labelled=False).cases.usable) == 4


@pytest.mark.parametrize("name", ["smi", "SMI", "inchi", "InChI", "standard_inchi", "isosmiles", "分子"])
def test_a_column_of_structures_is_recognised_and_read(name: str, tmp_path: Path) -> None:
    """Ethanol, propanol, butanol and water: the InChI of each as the IUPAC technical manual writes them."""
    smiles = ["CCO", "CCCO", "CCCCO", "O"]
    inchi = ["C2H6O/c1-2-3/h3H,2H2,1H3", "C3H8O/c1-2-3-4/h4H,2-3H2,1H3", "C4H10O/c1-2-3-4-5/h5H,2-4H2,1H3", "H2O/h1H2"]
    given = [f"InChI=1S/{text}" for text in inchi] if "inchi" in name.lower() else smiles
    path = tmp_path / "assay.csv"
    pl.DataFrame({name: given, "y": [1.0, 2.0, 3.0, 4.0]}).write_csv(path)
    assert task_of(Study((str(path),))) == "molecule-property"
    assert medeor.read(path, target="y").cases.table["smiles"].to_list() == smiles


def test_names_that_other_tables_have_too_show_no_task(tmp_path: Path) -> None:
    pl.DataFrame({"drug": ["aspirin"], "y": [1]}).write_csv(tmp_path / "doses.csv")
    assert task_of(Study((str(tmp_path / "doses.csv"),))) == "table-prediction"
