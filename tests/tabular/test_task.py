"""The road from a plain table to a bundle: what each step leaves, several kinds of target, and bad input."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import medeor
from medeor.api import asked
from medeor.files import read_json
from medeor.road.task_detection import task_of
from tiny import Said
from tiny import medeor as command

QUICK = ("schedule.epochs=2", "network.width=8", "network.members=2", "trees.rounds=20", "members=single")


def train(source: Path, out: Path, *more: object) -> Said:
    settings = [word for one in QUICK for word in ("--set", one)]
    return command("train", source, *settings, "--out", out, *more)


def rows(n: int = 120) -> pl.DataFrame:
    """Whether somebody is sick, how grave it is and a laboratory value, all of which rise with age."""
    generator = np.random.default_rng(0)
    age = generator.normal(60, 10, n).round(1)
    grave = age + generator.normal(0, 8, n)
    return pl.DataFrame(
        {
            "age": age,
            "sex": generator.choice(["F", "M", None], n),
            "seen": pl.Series(generator.integers(18000, 19000, n)).cast(pl.Date),
            "sick": np.where(grave > 60, "yes", "no"),
            "grade": np.select([grave > 66, grave > 55], ["severe", "moderate"], "mild"),
            "lab": (grave / 10).round(2),
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    folder = tmp_path_factory.mktemp("table")
    rows().drop("grade", "lab").write_csv(folder / "table.csv")
    return folder / "run", train(folder / "table.csv", folder / "run", "--target", "sick")


def test_a_table_that_shows_no_other_task_is_read_as_a_plain_one_and_the_screen_says_so(run: tuple[Path, Said]) -> None:
    folder, ended = run
    assert ended.code == 0, ended.err
    assert "read as a plain table (table-prediction)" in ended.err
    left = {path.name for path in folder.iterdir()}
    assert left >= {"cases.parquet", "audit.json", "plan.toml", "model", "metrics.json", "report.html", "run.medeor"}
    assert 'seen = "date"' in (folder / "plan.toml").read_text()


def test_reasons_are_given_by_column(run: tuple[Path, Said]) -> None:
    explained = read_json(run[0] / "explanations" / "explanations.json")
    assert {one["method"] for one in explained["cases"]} == {"shapley"}


def test_what_is_learned_is_better_than_chance_and_comes_back_from_the_bundle(run: tuple[Path, Said]) -> None:
    folder, _ = run
    assert read_json(folder / "metrics.json")["test"]["auroc"]["value"] > 0.6
    new = rows().select("sex", "age", "seen").head(4)
    ours, theirs = (medeor.load(path).predict(new) for path in (folder, folder / "run.medeor"))
    assert ours["value"].equals(theirs["value"])
    assert ours.height == 4


def test_rows_that_the_model_was_fitted_to_are_known_again(run: tuple[Path, Said]) -> None:
    trained = medeor.load(run[0])
    part = pl.read_parquet(run[0] / "split.parquet")["part"]
    for table in (rows().drop("grade", "lab"), rows().drop("grade", "lab", "sick")):
        assert trained.trained_on(trained.read(table)) == (part != "test").sum()


def test_a_frame_of_another_library_is_read_as_well(run: tuple[Path, Said]) -> None:
    class Frame:
        """As pandas and Arrow give their memory."""

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return rows().head(4).__arrow_c_stream__(requested_schema)

    assert asked(Frame()).sources[0].equals(rows().head(4))  # type: ignore[arg-type, union-attr]
    trained = medeor.load(run[0])
    assert trained.predict(Frame())["value"].equals(trained.predict(rows().head(4))["value"])  # type: ignore[arg-type]


def test_new_rows_without_a_column_are_refused_by_its_name(run: tuple[Path, Said], tmp_path: Path) -> None:
    rows().select("sex", "seen").write_csv(tmp_path / "new.csv")
    ended = command("predict", run[0], tmp_path / "new.csv", "--out", tmp_path / "out.csv")
    assert ended.code == 2
    assert ended.complaints == [
        "medeor: these cases have no column 'age', which the model was fitted on; add it, empty if unknown"
    ]


def test_grades_and_a_number_are_learned_together(tmp_path: Path) -> None:
    rows().write_csv(tmp_path / "table.csv")
    more = ("--target", "grade", "--target", "lab", "--option", "drop=sick", "--set", "parts=['network','linear']")
    assert train(tmp_path / "table.csv", tmp_path / "run", *more).code == 0
    measures = read_json(tmp_path / "run" / "metrics.json")["test"]
    assert measures["r2/lab"]["n"] > 0
    assert "auroc/grade" in measures


def test_a_column_that_is_the_outcome_stops_the_study(tmp_path: Path) -> None:
    rows().with_columns(icd=pl.col("sick").replace_strict({"yes": "C50", "no": "Z00"})).write_csv(
        tmp_path / "table.csv"
    )
    ended = train(tmp_path / "table.csv", tmp_path / "run", "--target", "sick", "--option", "drop=grade|lab")
    assert ended.code == 2
    assert "outcome-in-a-column" in ended.err
    assert not (tmp_path / "run" / "model" / "model.json").exists()


def test_a_table_with_a_column_of_another_task_goes_there(tmp_path: Path) -> None:
    for column, task in (
        ("smiles", "molecule-property"),
        ("image", "image-classification"),
        ("relation", "graph-completion"),
    ):
        assert task_of(asked(pl.DataFrame({"age": [1], column: ["x"]}))) == task
    assert task_of(asked(rows())) == "table-prediction"
    rows().write_excel(tmp_path / "table.xlsx")
    assert task_of(asked(tmp_path / "table.xlsx")) == "table-prediction"
