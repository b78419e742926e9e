"""Tables of edges and nodes as people keep them: what is read, and what is said of what cannot be."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import medeor
from medeor.contracts import UserError
from medeor.formats.graphs.read import read_tables
from medeor.formats.graphs.tables import GraphTables

TRIPLES = [("aspirin", "treats", "pain"), ("aspirin", "causes", "bleeding"), ("ibuprofen", "treats", "pain")]


def written(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    content = text.encode(encoding)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def triples(tables: list[GraphTables]) -> list[tuple[str, str, str]]:
    return [row for table in tables for row in table.edges.select("head", "relation", "tail").cast(pl.String).rows()]


def column(tables: list[GraphTables], name: str) -> list[object]:
    return pl.concat([table.edges.select(pl.col(name).cast(pl.String)) for table in tables])[name].to_list()


@pytest.mark.parametrize("mark", ["\t", ",", ";", "|", " "])
@pytest.mark.parametrize(
    "header", ["", "head relation tail", "h r t", "Subject Predicate Object", "source metaedge target"]
)
@pytest.mark.parametrize("ending", [".txt", ".tsv.gz"])
def test_triples_of_any_dialect(tmp_path: Path, mark: str, header: str, ending: str) -> None:
    rows = ([tuple(header.split())] if header else []) + TRIPLES
    path = written(tmp_path, f"a{ending}", "\n".join(mark.join(row) for row in rows) + "\n")
    assert triples(read_tables([path], {})) == TRIPLES


def test_columns_in_another_order_and_blank_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "tail,relation,head\r\npain,treats,aspirin\r\n\r\n")
    assert triples(read_tables([path], {})) == [("aspirin", "treats", "pain")]


def test_quotes_hold_separators_and_tabs_keep_quotes(tmp_path: Path) -> None:
    comma = written(tmp_path, "a.csv", 'head,relation,tail\n"acid, acetic",treats,"a ""b"""\n')
    assert triples(read_tables([comma], {})) == [("acid, acetic", "treats", 'a "b"')]
    tab = written(tmp_path, "a.tsv", 'the 5" rule\ttreats\tpain\n')
    assert triples(read_tables([tab], {})) == [('the 5" rule', "treats", "pain")]


def test_na_is_a_name(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "NA\traises\tnull\n")
    assert triples(read_tables([path], {})) == [("NA", "raises", "null")]


@given(
    rows=st.lists(
        st.tuples(*[st.text("abcé中 -'", min_size=1).map(str.strip).filter(bool)] * 3), min_size=1, max_size=20
    )
)
def test_what_is_written_is_read(rows: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("t") / "a.csv"
    pl.DataFrame(rows, schema=["head", "relation", "tail"], orient="row").write_csv(path)
    assert triples(read_tables([path], {})) == rows


def test_parts_are_kept_by_file_name(tmp_path: Path) -> None:
    for name, row in zip(("train.txt", "valid.txt", "test.txt"), TRIPLES):
        written(tmp_path, name, "\t".join(row) + "\n")
    (tmp_path / "LICENSE").write_text("MIT")
    tables = read_tables([tmp_path], {})
    assert triples(tables) == TRIPLES
    assert column(tables, "part") == ["train", "validation", "test"]


def test_parts_are_kept_by_column(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "head,relation,tail,split\na,r,b,Training\nb,r,c,dev\nc,r,d,test\n")
    assert column(read_tables([path], {}), "part") == ["train", "validation", "test"]
    path = written(tmp_path, "b.csv", "head,relation,tail,split\na,r,b,spare\n")
    with pytest.raises(UserError, match="'spare' is no part"):
        read_tables([path], {})


# --- layouts ---------------------------------------------------------------------------------------------


def test_hetionet_nodes_and_edges(tmp_path: Path) -> None:
    written(tmp_path, "nodes.tsv", "id\tname\tkind\nGene::9021\tSOCS3\tGene\nDisease::DOID:2531\tcancer\tDisease\n")
    written(tmp_path, "edges.sif.gz", "source\tmetaedge\ttarget\nDisease::DOID:2531\tDaG\tGene::9021\n")
    tables = read_tables([tmp_path], {})
    assert triples(tables) == [("Disease::DOID:2531", "DaG", "Gene::9021")]
    nodes = pl.concat([table.nodes for table in tables])
    assert set(nodes.rows()) == {("Gene::9021", "SOCS3", "Gene"), ("Disease::DOID:2531", "cancer", "Disease")}


PRIMEKG = (
    "relation,display_relation,x_index,x_id,x_type,x_name,x_source,y_index,y_id,y_type,y_name,y_source\n"
    "protein_protein,ppi,0,9796,gene/protein,PHYHIP,NCBI,8889,56992,gene/protein,KIF15,NCBI\n"
    "indication,indication,7,DB00843,drug,Donepezil,DrugBank,9,4975,disease,Alzheimer disease,MONDO\n"
)


def test_primekg(tmp_path: Path) -> None:
    """The first data row is that of the published kg.csv."""
    (tables,) = read_tables([written(tmp_path, "kg.csv", PRIMEKG)], {})
    assert triples([tables]) == [
        ("NCBI:9796", "protein_protein", "NCBI:56992"),
        ("DrugBank:DB00843", "indication", "MONDO:4975"),
    ]
    assert ("NCBI:9796", "PHYHIP", "gene/protein") in tables.nodes.rows()
    assert column([tables], "display_relation") == ["ppi", "indication"]
    assert tables.edges["x_index"].to_list() == [0, 7]


def test_primekg_nodes_beside_edges(tmp_path: Path) -> None:
    nodes = (
        "node_index,node_id,node_type,node_name,node_source\n0,9796,gene/protein,PHYHIP,NCBI\n1,4975,disease,AD,MONDO\n"
    )
    written(tmp_path, "nodes.csv", nodes)
    written(tmp_path, "edges.csv", "relation,display_relation,x_index,y_index\ndisease_protein,associated with,1,0\n")
    assert triples(read_tables([tmp_path], {})) == [("MONDO:4975", "disease_protein", "NCBI:9796")]


def test_pairs_take_their_identifiers_and_direction_from_a_table_of_nodes(tmp_path: Path) -> None:
    written(
        tmp_path,
        "node_list.txt",
        "index\tUMLS_CUI\ttype\t\n0\tC0000001\tdrug\n1\tC0000002\tdisease\n2\tC0000003\tdrug\n",
    )
    written(tmp_path, "a.edgelist", "0 1\n1 2\n")
    tables = read_tables([tmp_path], {"relation": "treats", "head_kind": "drug"})
    assert triples(tables) == [("C0000001", "treats", "C0000002"), ("C0000003", "treats", "C0000002")]
    kinds = dict(pl.concat([table.nodes for table in tables]).select("id", "kind").rows())
    assert kinds == {"C0000001": "drug", "C0000002": "disease", "C0000003": "drug"}


def test_a_table_by_its_mapping(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "medicine,illness,licence,dose\nX1,I10,CC BY 4.0,5\nX2,E11,CC0,7\n")
    where = {"head": "medicine", "tail": "illness", "relation": "treats", "head_kind": "Compound", "source": "ward 3"}
    (tables,) = read_tables([path], where)
    assert triples([tables]) == [("X1", "treats", "I10"), ("X2", "treats", "E11")]
    assert column([tables], "licence") == ["CC BY 4.0", "CC0"]
    assert column([tables], "source") == ["ward 3", "ward 3"]
    assert tables.edges["dose"].to_list() == [5, 7]
    assert dict(tables.nodes.select("id", "kind").rows()) == {"X1": "Compound", "X2": "Compound"}


@pytest.mark.parametrize("form", ["frame", "array", "parquet"])
def test_triples_need_no_file_of_text(tmp_path: Path, form: str) -> None:
    frame = pl.DataFrame(TRIPLES, schema=["head", "relation", "tail"], orient="row")
    frame.write_parquet(tmp_path / "a.parquet")
    source = {"frame": frame, "array": np.array(TRIPLES), "parquet": tmp_path / "a.parquet"}[form]
    assert triples(read_tables([source], {})) == TRIPLES
    assert triples(read_tables([np.array([[3, 0, 4]])], {})) == [("3", "0", "4")]


# --- what cannot be read ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\tr\tb\nc\tr\n", r"a\.tsv, line 2: 2 columns where there should be 3"),
        ("a\tr\tb\nc\tr\td\te\n", r"a\.tsv, line 2: 4 columns"),
        ("a\tr\tb\n\nc\t\td\n", r"a\.tsv, line 3: column 2 is empty"),
        ("a\tb\nc\td\n", r"a\.tsv, line 1: two columns, and a triple has three"),
        ("a\tb\tc\td\n", r"a\.tsv has 4 columns and no header that medeor knows \(a, b, c, d\)"),
        ("", "is empty"),
        ("a\0b\tr\tc\n", "is not a table of text"),
        ("head\ttail\na\tb\n", "names no relation"),
    ],
)
def test_a_broken_table_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_tables([written(tmp_path, "a.tsv", text)], {})


def test_a_wrong_line_behind_a_quoted_line_end(tmp_path: Path) -> None:
    text = 'head,relation,tail\n"a\nb",r,c\nd,r\n'
    with pytest.raises(UserError, match="line 4: 2 columns"):
        read_tables([written(tmp_path, "a.csv", text)], {})


def test_a_column_that_no_file_has_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "head,relation,tail\na,r,b\n")
    for where in ({"head": "drug"}, {"relation": "cures"}, {"part": "fold"}):
        (role,) = where
        with pytest.raises(UserError, match=f"--option {role}={where[role]}: there is no such column"):
            read_tables([path], where)
    with pytest.raises(UserError, match="has no option 'colour'"):
        read_tables([path], {"colour": "red"})


def test_a_header_that_nobody_knew_is_suspected(tmp_path: Path) -> None:
    rows = "".join(f"m{i % 3}\ttreats\ti{i % 5}\n" for i in range(20))
    (tables,) = read_tables([written(tmp_path, "a.tsv", "medicine\taction\tillness\n" + rows)], {})
    (finding,) = tables.findings
    assert (finding.check, finding.status) == ("first-row", "unknown")
    assert "medicine, action, illness" in str(finding.message)
    (tables,) = read_tables([written(tmp_path, "a.tsv", rows)], {})
    assert tables.findings == ()


def test_a_graph_over_the_memory_is_refused_with_its_size(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "a\tr\tb\n" * 1000)
    packed = written(tmp_path, "a.tsv.gz", "a\tr\tb\n" * 1000)
    for source in (path, packed):
        with pytest.raises(UserError, match=r"needs about 0\.0 GiB of memory .* and 0\.0 GiB are free"):
            read_tables([source], {}, memory=3 * 6000 - 1)
        assert len(triples(read_tables([source], {}, memory=3 * 6000))) == 1000


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_tables([tmp_path / "none"], {})
    with pytest.raises(UserError, match="holds no file of a graph"):
        read_tables([tmp_path], {})
    with pytest.raises(UserError, match="a graph is read from"):
        read_tables([written(tmp_path, "a.png", "x")], {})
    with pytest.raises(UserError, match=r"shape \(n, 3\)"):
        read_tables([np.zeros((4, 2), int)], {})


# --- encodings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "name", "said"),
    [
        ("utf-8", "naïve", ""),
        ("utf-8-sig", "naïve", ""),
        ("utf-16", "naïve", "UTF-16"),
        ("cp1252", "Sjögren", "Windows Latin"),
        ("gb18030", "二甲双胍", "GB18030"),
    ],
)
def test_encodings_are_recognised_and_said(tmp_path: Path, encoding: str, name: str, said: str) -> None:
    (tables,) = read_tables([written(tmp_path, "a.tsv", f"{name}\ttreats\tpain\n", encoding)], {})
    assert triples([tables]) == [(name, "treats", "pain")]
    assert [said in str(finding.message) for finding in tables.findings] == ([True] if said else [])


def test_lines_of_several_encodings_are_each_read_and_told(tmp_path: Path) -> None:
    lines = [b"a\tr\tb", "naïve\tr\tb".encode(), "Sjögren\tr\tb".encode("latin-1"), "Ménière\tr\tb".encode("latin-1")]
    path = tmp_path / "a.tsv"
    path.write_bytes(b"\n".join(lines) + b"\n")
    (tables,) = read_tables([path], {})
    assert [head for head, _, _ in triples([tables])] == ["a", "naïve", "Sjögren", "Ménière"]
    (finding,) = tables.findings
    assert finding.status == "fail"
    assert "1 line in UTF-8 and 2 lines in another (the first is line 3)" in str(finding.message)


def test_numbers_beside_edges_may_have_blanks_around_them(tmp_path: Path) -> None:
    lines = [f"a{i},r,b{i},{number}" for i, number in enumerate([" .5", "1e-400 ", "\t2", "", "-3.5"])]
    (tmp_path / "g.csv").write_text("head,relation,tail,weight\n" + "\n".join(lines) + "\n")
    edges = medeor.read(tmp_path / "g.csv", task="graph-completion", labelled=False).cases.stores["graph"].facts
    assert edges["weight"].to_list() == [0.5, 0.0, 2.0, None, -3.5]
