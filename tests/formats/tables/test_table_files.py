"""Tables in the dialects and encodings that people use."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import medeor
from medeor.contracts import UserError
from medeor.formats.tables.encodings import decoded
from medeor.formats.tables.read import read_table, set_apart, table_findings

TABLE = pl.DataFrame(
    {
        "file": ["a.png", "b.png", "c,d.png"],
        "age": [61, None, 40],
        "dose": [0.5, 1.25, None],
        "seen": [dt.date(2020, 1, 31), dt.date(2021, 2, 28), None],
        "smoker": [True, False, None],
        "grade": ["none", "mild", "none"],
    }
)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    TABLE.write_csv(tmp_path / "a.csv", separator=separator)
    assert_frame_equal(read_table(tmp_path / "a.csv"), TABLE)


def test_parquet_and_excel(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "a.parquet")
    assert_frame_equal(read_table(tmp_path / "a.parquet"), TABLE)
    TABLE.write_excel(tmp_path / "a.xlsx")
    assert_frame_equal(read_table(tmp_path / "a.xlsx"), TABLE, check_dtypes=False)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("姓名,诊断\n张三,良性\n李四,恶性\n", "gb18030"), ("Name,Größe\nMüller,groß\nJosé,petit\n", "cp1252"),
     ("Name,诊断\nMüller,良性\n", "utf-8"), ("Name,诊断\nMüller,良性\n", "utf-8-sig"),
     ("姓名,诊断\n张三,良性\n", "utf-16")],
)  # fmt: skip
def test_the_encoding_is_found(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    rows = [line.split(",") for line in text.splitlines()]
    table = read_table(tmp_path / "a.csv")
    assert table.columns == rows[0]
    assert [list(row) for row in table.rows()] == rows[1:]


# Bytes alone cannot tell the rarest characters from accented Latin ones; those of GB 2312 are told for certain.
@given(st.text(st.characters(codec="gb2312", categories=["Lo"], min_codepoint=0x4E00, max_codepoint=0x9FA5)))
def test_chinese_text_is_never_taken_for_latin(text: str) -> None:
    line = f"患者姓名,诊断\n{text}\n"
    assert decoded(line.encode("gb18030")) == line


def test_numbers_with_leading_zeros_are_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,n\n007,7\n008,08\n")
    assert read_table(tmp_path / "a.csv").rows() == [("007", "7"), ("008", "08")]


def test_semicolons_speak_for_decimal_commas_among_limits_and_units(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x;y;name\n2,110;1,5 nM;1,2-dibromoethane\n>10,000;2 nM;4,4-dimethyl\n3,000;n/d;DDT\n4,500;3;no\n")
    table = read_table(path)
    assert table["x"].to_list() == ["2.110", ">10.000", "3.000", "4.500"]
    assert table["y"].to_list() == ["1.5 nM", "2 nM", "n/d", "3"]
    assert table["name"].to_list() == ["1,2-dibromoethane", "4,4-dimethyl", "DDT", "no"]


def test_decimal_commas_are_read_where_semicolons_separate(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b\n1,5;x\n2;y\n")
    assert read_table(tmp_path / "a.csv").rows() == [(1.5, "x"), (2.0, "y")]


def test_unknown_values_are_null(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,NA\n,none\nNaN,x\n")
    assert read_table(tmp_path / "a.csv").rows() == [(1, None), (None, "none"), (None, "x")]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False)), min_size=1)
)
def test_numbers_survive(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, float]]) -> None:
    path = tmp_path_factory.mktemp("numbers") / "a.csv"
    path.write_text("a,b\n" + "".join(f"{a},{b!r}\n" for a, b in rows))
    assert read_table(path).rows() == rows


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    def fails(name: str, content: bytes | None, message: str) -> None:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=message) as caught:
            read_table(tmp_path / name)
        assert name in str(caught.value)
        assert str(caught.value).count("\n") <= 1

    fails("none.csv", None, "does not exist")
    fails("empty.csv", b"", "is empty")
    fails("header.csv", b"a,b\n", "no rows")
    fails("ragged.csv", b"a,b\n1,2\n3,4,5\n", "row 3 has 3 values where the first row has 2")
    fails("a.xlsx", b"no workbook", "not a readable Excel")
    fails("a.parquet", b"no parquet", "not readable Parquet")
    fails("binary.csv", b"a,b\0\x01\n", "not a table of text")


@given(st.lists(st.sampled_from(["part", "sex", "part (table)", "part (table) (table)"]), unique=True))
def test_columns_beside_taken_names_stay_apart(names: list[str]) -> None:
    new = set_apart(names, lambda name: name == "part")
    assert len({*new.values(), "part"}) == len(names) + 1
    assert all(new[name] == name for name in names if name != "part")


@pytest.mark.parametrize(
    "names",
    [
        ["12E2", "13E4", "14E0"],
        ["1234", "12E2", "5678"],
        ["10e3", "11e4"],
        ["00123", "00124"],
        ["12345678901234567890", "12345678901234567891"],
        ["9223372036854775807", "9223372036854775808"],
        ["-99999999999999999999", "5"],
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_names_made_of_digits_stay_what_they_are(tmp_path: Path, names: list[str], separator: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"id{separator}n\n" + "".join(f"{name}{separator}{place}\n" for place, name in enumerate(names)))
    assert read_table(path)["id"].to_list() == names
    book = tmp_path / "t.xlsx"
    pl.DataFrame({"id": names}).write_excel(book)
    assert read_table(book)["id"].to_list() == names


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1e5", "2e6"], [1e5, 2e6]),
        (["1.2E3", "5"], [1200.0, 5.0]),
        (["1E+03", "2E-05"], [1000.0, 2e-5]),
        (["1234567890123456", "2"], [1234567890123456, 2]),
    ],
)
def test_what_programs_write_as_numbers_are_numbers(tmp_path: Path, texts: list[str], numbers: list[float]) -> None:
    (tmp_path / "t.csv").write_text("x\n" + "\n".join(texts) + "\n")
    assert read_table(tmp_path / "t.csv")["x"].to_list() == numbers


def test_columns_that_share_a_name_are_all_kept_and_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,"score", score ,score\n1,0.5,0.6,0.7\n')
    assert read_table(path).rows(named=True) == [{"id": 1, "score": 0.5, "score (2)": 0.6, "score (3)": 0.7}]
    (found,) = table_findings(path)
    assert (found.check, found.status) == ("column-names", "fail")
    assert "'score'" in str(found.message)


def test_days_that_no_calendar_has_stay_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("day,seen\n2021-13-45,2021-03-04 x\n2021-03-04,2021-03-05 y\n")
    assert read_table(tmp_path / "t.csv").rows() == [("2021-13-45", "2021-03-04 x"), ("2021-03-04", "2021-03-05 y")]


def damaged(path: Path, damage: str) -> Path:
    comma = "," if path.suffix == ".csv" else "\t"
    rows = [["smiles", "name"], ["CCO", "ethanol"], [f"CC{damage}C", "propane"], ["CCCC", "butane"]]
    path.write_bytes("\n".join(map(comma.join, rows)).encode())
    return path


@pytest.mark.parametrize("name", ["molecules.csv", "molecules.tsv"])
def test_a_carriage_return_within_a_line_ends_no_row(name: str, tmp_path: Path) -> None:
    assert len(medeor.read(damaged(tmp_path / name, "\r"), labelled=False).cases) == 3


@pytest.mark.parametrize("name", ["molecules.csv", "molecules.tsv"])
def test_a_value_that_never_ends_is_told_with_its_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{name}: line \d holds a value of more than 131,072 characters"):
        medeor.read(damaged(tmp_path / name, '"' + "C" * 140_000), labelled=False)
