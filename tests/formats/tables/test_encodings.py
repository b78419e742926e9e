"""Text in the encodings of hospitals, laboratories and old computers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import medeor
from medeor.formats.tables.encodings import decode, decoded
from medeor.formats.tables.read import read_table

WESTERN = ("cp1252", "latin-1", "mac_roman", "cp850")
TABLES = [
    ("smiles,Löslichkeit [µM],Bemerkung\nCCO,1.5,größer\nCCC,2.5,größer\n", WESTERN),
    ("Name,Größe\nMüller,groß\nJosé,petit\n", WESTERN),
    ("id,wert\n1,größer\n", WESTERN),
    ("patient,diagnostic\n1,bénin\n2,tumeur maligne avérée\n3,sain à gauche\n", WESTERN),
    ("paciente,lesión\n1,sí\n2,no\n", WESTERN),
    ("navn,sygdom\nSøren,ja\nÅse,nej\n", ("cp1252", "latin-1")),
    ("x,conc (µM)\n1,2\n", ("cp1252",)),
    ("x,T (°C)\n1,2\n", ("cp1252",)),
    ("x,dose ± sd\n1,2\n", ("cp1252",)),
    ("x,y\n1,é\n2,à\n", ("cp1252",)),
    ("姓名,诊断\n张三,良性\n李四,恶性\n", ("gb18030", "gb2312")),
    ("id,标签\n1,阳性\n2,阴性\n", ("gb18030", "gb2312")),
    ("id,性别\n1,男\n2,女\n", ("gb18030",)),
    ("name,CT和MRI,pH值\n钱钟书,是,否\n", ("gb18030",)),
    ("编号,诊断\nA1,非小细胞肺癌\nA2,鳞状细胞癌\n", ("gb18030",)),
    ("id,y\n1,是\n2,否\n", ("gb18030",)),
    ("姓名,診斷\n張三,良性\n李四,惡性\n", ("big5", "gb18030")),
    ("id,標籤\n1,陽性\n2,陰性\n", ("big5",)),
    ("編號,檢查結果\n1,未見異常\n2,腫瘤\n", ("big5",)),
    ("患者番号,診断\n1,良性\n2,悪性\nアレルギー,あり\n", ("cp932",)),
    ("ID,性別\n1,男性\n2,女性\n", ("cp932",)),
    ("Пациент,диагноз\n1,здоров\n2,болен\n", ("cp1251",)),
]
EVERY = [
    (text, encoding) for text, own in TABLES for encoding in (*own, "utf-8", "utf-8-sig", "utf-16-le", "utf-16-be")
]


@pytest.mark.parametrize(("text", "encoding"), EVERY)
def test_a_table_is_read_as_it_was_written(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    rows = [line.split(",") for line in text.splitlines()]
    table = read_table(path)
    assert table.columns == rows[0]
    assert [[str(cell) for cell in row] for row in table.rows()] == rows[1:]


@given(
    st.text(st.characters(codec="gb2312", categories=["Lo"], min_codepoint=0x4E00, max_codepoint=0x9FA5), max_size=9)
)
def test_a_name_of_any_usual_characters_stays_chinese(name: str) -> None:
    text = f"患者姓名,诊断\n{name},良性\n"
    assert decoded(text.encode("gb18030")) == text


@given(st.text("abcdefgh ijklmnop,;()/-0123456789\n").map(lambda plain: f"größer µM für {plain}"))
def test_western_text_stays_western(text: str) -> None:
    assert decoded(text.encode("cp1252")) == text


@given(st.text())
def test_utf_8_is_never_doubted(text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    if "\0" not in text and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        assert decode(content)[0] == text.removeprefix("\ufeff")


def test_single_lines_of_utf_8_among_western_ones_are_read(tmp_path: Path) -> None:
    lines = [b"id,remark", "1,größer".encode(), "2,größer".encode("cp1252")]
    (tmp_path / "a.csv").write_bytes(b"\n".join(lines))
    assert read_table(tmp_path / "a.csv")["remark"].to_list() == ["größer", "größer"]


def test_the_audit_says_which_encoding_was_assumed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (12, 8, 8), np.uint8)
    text = "Größe,Befund\n" + "".join(f"{number},{('gutartig', 'bösartig')[number % 2]}\n" for number in range(12))
    said = {}
    for encoding in ("cp1252", "utf-8"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes(text.encode(encoding))
        reading = medeor.read(images, labels=str(path), target="Befund")
        assert reading.cases.targets[0].classes == ("gutartig", "bösartig")
        said[encoding] = [str(found.message) for found in reading.findings if found.check == "text-encoding"]
    assert said == {"cp1252": ["cp1252.csv is encoded as Windows Latin and was read as such"], "utf-8": []}


def test_zeros_on_both_sides_are_no_utf_16() -> None:
    assert decode("plain".encode("utf-16-le")) == ("plain", "utf-16-le")
    assert decode("plain".encode("utf-16-be")) == ("plain", "utf-16-be")
    content = b"a\0b\0c\0" + b"\0d\0e\0f"
    assert decode(content) == (content.decode(), "utf-8")


@pytest.mark.parametrize(
    "joined", [["结节", "恶性肿瘤", "患者", "良性", "阴性"], ["Опухоль", "норма"], ["größer", "naïve"]]
)
@pytest.mark.parametrize("own", ["größer", "20 °C", "5 µM"])
def test_lines_of_utf_8_do_not_say_how_the_others_are_written(own: str, joined: list[str]) -> None:
    content = b"id,note\n1," + own.encode("cp1252") + b"\n" + "\n".join(f"2,{word}" for word in joined).encode()
    assert decode(content) == ("\n".join(["id,note", f"1,{own}", *(f"2,{word}" for word in joined)]), "mixed")
