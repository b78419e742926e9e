"""No cell of a CSV is a formula, and each is read as it was."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import tiny
from medeor.formats.tables.read import read_table
from medeor.formats.tables.spreadsheet import guarded, unguarded
from medeor.formats.tables.write import write_table

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", '=HYPERLINK("x")', "-x"]
PLAIN = ["-5.3", "+7", "-1e-3", "-", "=", "a=b", "'quoted'", "", "C[N+]", "−5", "1,5", "-1,5"]


def test_a_formula_is_text_in_the_file(tmp_path: Path) -> None:
    values = [*FORMULAS, *PLAIN]
    table = pl.DataFrame({"=name": values, "number": [-1.5] * len(values)})
    table = table.with_columns(kind=pl.Series(values, dtype=pl.Categorical))
    write_table(table, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        head, *rows = list(csv.reader(file))
    assert head == ["'=name", "number", "kind"]
    assert [row[0] for row in rows] == [row[2] for row in rows] == [f"'{text}" for text in FORMULAS] + PLAIN
    assert {row[1] for row in rows} == {"-1.5"}


@given(st.lists(st.text(st.sampled_from("'=+-@\t\r\n a1＝"), max_size=6), min_size=1, max_size=20))
def test_what_is_guarded_comes_back(texts: list[str]) -> None:
    table = pl.DataFrame({"text": texts})
    assert guarded(table).select(unguarded(pl.Series(guarded(table)["text"]))).equals(table)


def test_a_table_of_ours_is_read_as_it_was(tmp_path: Path) -> None:
    table = pl.DataFrame({"=image": ["=a.png", "-b.png", "'=c.png", "d"], "y": [-1.5, 2.0, 0.5, -3.0]})
    write_table(table, tmp_path / "t.csv")
    assert_frame_equal(read_table(tmp_path / "t.csv"), table)


@pytest.mark.parametrize("where", ["file", "screen"])
def test_names_of_files_are_no_formulas_in_predictions(where: str, tiny_run: Path, tmp_path: Path) -> None:
    from PIL import Image

    names = [f"=cmd|calc{number}.png" for number in range(2)]
    for name in names:
        Image.new("L", (tiny.SIDE, tiny.SIDE)).save(tmp_path / name)
    out = tmp_path / "p.csv"
    sources = sorted(tmp_path.glob("*.png"))
    said = tiny.medeor("predict", tiny_run, *sources, *(("--out", out) if where == "file" else ()))
    assert said.code == 0, said.err
    text = out.read_text() if where == "file" else said.out
    assert "'=cmd" in text
    assert not any(cell.startswith("=") for row in csv.reader(text.splitlines()) for cell in row)
