"""The sets of compounds are described as their files are, and are found by name."""

import hashlib
from pathlib import Path

import polars as pl
import pytest

from medeor import catalogue
from medeor.console import Console
from medeor.contracts import Study, UserError

SETS = [name for name in catalogue.names() if catalogue.facts(name).task == "molecule-property"]


def test_holds_moleculenet_and_biogen() -> None:
    assert len(SETS) == 8 + 6
    text = "\n".join(catalogue.describe("bbbp"))
    for fact in ("p_np", "all 2050", "11 rows do not parse", "none: put it into the folder MEDEOR_DATA"):
        assert fact in text
    assert "channel" not in text


def test_a_study_takes_task_and_targets() -> None:
    study = catalogue.completed(Study(("clintox",)), "clintox")
    assert (study.task, study.target) == ("molecule-property", ("FDA_APPROVED", "CT_TOX"))
    assert study.options == {}


def test_a_set_that_cannot_be_downloaded_says_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDEOR_DATA", raising=False)
    with pytest.raises(UserError, match=r"MEDEOR_DATA is not set: put the file BBBP\.csv there"):
        catalogue.locate("bbbp", Console(quiet=True))


@pytest.mark.data
@pytest.mark.parametrize("name", SETS)
def test_facts_agree_with_the_file(real_data: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_DATA", str(real_data))
    known = catalogue.facts(name)
    path = catalogue.locate(name, Console(quiet=True))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == known.sha256
    table = pl.read_csv(path, infer_schema_length=None)
    assert table.height == known.cases["all"]
    targets = table.select(known.target)
    if known.kind != "continuous":
        assert set(targets.unpivot()["value"].drop_nulls().unique()) == {0, 1}
    else:
        assert targets[:, 0].n_unique() > 100
