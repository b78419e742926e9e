"""The graphs of the catalogue are folders, known by the sums of their files, that bring what must be told of them."""

from pathlib import Path

import pytest

from medeor import catalogue
from medeor.console import Console
from medeor.contracts import Study, UserError
from medeor.knowledge.read.graph import read_graph

GRAPHS = ("umls", "hetionet-parts", "ndfrt")
QUIET = Console(quiet=True)


def test_a_study_takes_the_task_of_its_set_and_what_must_be_said_of_its_files() -> None:
    study = catalogue.completed(Study(("ndfrt",), options={"relation": "prevents"}), "ndfrt")
    assert study.task == "graph-completion"
    assert study.options == {"relation": "prevents", "head_kind": "drug", "licence": "MIT"}
    assert catalogue.completed(Study(("ndfrt",), task="another"), "ndfrt").options == {}


def test_a_graph_is_described_without_images() -> None:
    text = "\n".join(catalogue.describe("umls"))
    assert "train 5216, validation 652, test 661" in text
    assert "channel" not in text


def test_a_folder_in_which_a_file_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_DATA", str(tmp_path))
    (tmp_path / "umls").mkdir()
    for name in ("train.txt", "valid.txt", "test.txt"):
        (tmp_path / "umls" / name).write_text("a\tb\tc\n")
    with pytest.raises(UserError, match=r"umls.train\.txt .* is not the published file of UMLS semantic network"):
        catalogue.locate("umls", QUIET)


@pytest.mark.data
@pytest.mark.parametrize("name", GRAPHS)
def test_facts_agree_with_the_folder(real_data: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("MEDEOR_DATA", str(real_data))
    known = catalogue.facts(name)
    folder = catalogue.locate(name, QUIET)
    assert folder.name == known.folder
    graph = read_graph([folder], known.options)
    assert len(graph) == sum(known.cases.values())
    parts = graph.facts["part"].drop_nulls().value_counts().rows()
    assert known.split == "none" or dict(parts) == known.cases
