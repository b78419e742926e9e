"""UMLS tables: rows in the layout of the UMLS Reference Manual, chapter 3."""

from pathlib import Path

import polars as pl
import pytest

from medeor.contracts import UserError
from medeor.formats.graphs.read import read_tables

MRCONSO = """C0025598|ENG|P|L1|PF|S1|Y|A1||M1|D008687|MSH|MH|D008687|Metformin|0|N|256|
C0025598|ENG|S|L2|PF|S2|Y|A2|||6809|RXNORM|IN|6809|metformin hydrochloride|0|N||
C0025598|CHI|P|L3|PF|S3|Y|A3|||D008687|MSHCHI|MH|D008687|二甲双胍|3|N||
C0025598|ENG|S|L9|PF|S9|Y|A9|||X|OLD|MH|NOCODE|a withdrawn name|0|O||
C0011860|SPA|P|L4|PF|S4|Y|A4|||D003924|MSHSPA|MH|D003924|Diabetes tipo 2|3|N||
C0011860|ENG|P|L5|PF|S5|Y|A5|||HP:0005978|HPO|PT|HP:0005978|Type II diabetes mellitus|0|N||
"""
MRREL = """C0011860|A5|AUI|RO|C0025598|A1|AUI|may_treat|R1||MED-RT|MED-RT|||N||
C0025598|A1|AUI|RO|C0011860|A5|AUI|may_be_treated_by|R2||MED-RT|MED-RT|||N||
C0011860|A5|CUI|PAR|C0011849|A7|CUI||R3||MSH|MSH|||N||
C0011860|A5|AUI|SY|C0011860|A4|AUI||R4||MSH|MSH|||N||
C0011860|A5|AUI|RO|C0025598|A1|AUI|old|R5||MSH|MSH|||O||
"""
MRSTY = "C0025598|T109|A1.4.1.2.1|Organic Chemical|AT1||\nC0011860|T047|B2.2.1.2.1|Disease or Syndrome|AT2||\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("MRCONSO", MRCONSO), ("MRREL", MRREL), ("MRSTY", MRSTY)):
        (tmp_path / f"{name}.RRF").write_text(text, encoding="utf-8")
    return tmp_path


def test_the_second_concept_is_the_head(folder: Path) -> None:
    (read,) = read_tables([folder], {"release": "2024AB"})
    edges = read.edges.select(pl.col("head", "relation", "tail", "source", "release").cast(pl.String))
    assert edges.rows() == [
        ("C0025598", "may_treat", "C0011860", "MED-RT", "2024AB"),
        ("C0011860", "may_be_treated_by", "C0025598", "MED-RT", "2024AB"),
        ("C0011849", "PAR", "C0011860", "MSH", "2024AB"),
    ]


def test_names_languages_kinds_and_references(folder: Path) -> None:
    (read,) = read_tables([folder], {})
    assert set(read.nodes.rows()) == {
        ("C0025598", "Metformin", "Organic Chemical"),
        ("C0011860", "Type II diabetes mellitus", "Disease or Syndrome"),
    }
    assert ("C0025598", "二甲双胍", "zh") in read.synonyms.rows()
    assert ("C0011860", "Diabetes tipo 2", "es") in read.synonyms.rows()
    assert {("C0025598", "MESH:D008687"), ("C0025598", "RXNORM:6809"), ("C0011860", "HP:0005978")} <= set(
        read.references.rows()
    )


def test_what_is_set_aside_is_told(folder: Path) -> None:
    (read,) = read_tables([folder], {})
    assert {str(finding.message) for finding in read.findings} == {
        "MRREL.RRF: excluded 1 suppressible relation, 1 relation within one concept",
        "MRCONSO.RRF: 1 suppressible name was excluded",
    }


def test_names_without_relations_are_refused(folder: Path) -> None:
    (folder / "MRREL.RRF").unlink()
    with pytest.raises(UserError, match=r"add MRREL\.RRF"):
        read_tables([folder], {})


def test_a_damaged_table_is_told(folder: Path) -> None:
    (folder / "MRREL.RRF").write_text("C1|A1|AUI|RO\n")
    with pytest.raises(UserError, match=r"MRREL\.RRF"):
        read_tables([folder], {})
