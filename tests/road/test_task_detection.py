"""Which task a study is for, from what its sources hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medeor.contracts import Study, UserError
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
    with pytest.raises(UserError, match=r"assay.csv: its first row has numbers .* names above it, or say which task"):
        task_of(Study((str(tmp_path / "assay.csv"),)))


def test_every_ending_of_an_image_that_is_read_shows_the_task() -> None:
    from medeor.formats.images.image import ENDINGS
    from medeor.registry import TASKS

    assert set(ENDINGS) <= set(TASKS["image-classification"].endings)
