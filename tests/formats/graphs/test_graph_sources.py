"""Graphs as other tools and people write them, read through `medeor.read`: what is in them, and what is said of it."""
# ruff: noqa: E501

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import medeor
from medeor.contracts import Finding, UserError
from medeor.knowledge.read.graph import Graph

Triple = tuple[str, str, str]


def folder(place: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return place


class Told:
    """A graph as `medeor.read` gives it."""

    def __init__(self, *sources: Path | pl.DataFrame, **where: str) -> None:
        try:
            reading = medeor.read(*sources, task="graph-completion", options=where)
        except UserError as error:
            if "nothing is left to test on" not in str(error):
                raise
            # A graph too small to be divided is still read.
            reading = medeor.read(*sources, task="graph-completion", options=where, labelled=False)
        self.graph = reading.cases.store("graph", Graph)
        self.findings: dict[str, Finding] = {finding.check: finding for finding in reading.findings}
        ids, relations = self.graph.entities["id"].to_list(), self.graph.relations["name"].to_list()
        self.triples = [(ids[h], relations[r], ids[t]) for h, r, t in self.graph.triples.tolist()]
        self.parts = self.graph.facts["part"].to_list()
        self.ids = [row for row in reading.cases.table["case_id"] if not row.endswith("-false")]

    @property
    def names(self) -> dict[str, str]:
        return dict(self.graph.entities.select("id", "name").rows())

    @property
    def kinds(self) -> dict[str, str]:
        return dict(self.graph.entities.select("id", "kind").rows())


def one(place: Path, name: str, content: str | bytes, **where: str) -> Told:
    return Told(folder(place, {name: content}) / name, **where)


CHAIN = [("a", "r", "b"), ("b", "r", "c"), ("c", "r", "d")]
LINES = "a\tr\tb\nb\tr\tc\nc\tr\td\n"


# --- quotes ----------------------------------------------------------------------------------------------


def test_a_quote_that_is_not_closed_swallows_no_row(tmp_path: Path) -> None:
    told = one(tmp_path, "g.tsv", 'a\tr\t"b\nb\tr\tc\nc\tr\td"\nd\tr\te\ne\tr\tf\n')
    assert len(told.triples) == 5
    assert told.triples[0] == ("a", "r", '"b')


@pytest.mark.parametrize("mark", ["\t", ",", ";", "|"])
@pytest.mark.parametrize(
    "name", ['"Unspecified" injury', '5" needle', 'the "old"', '"quoted', 'half"', 'a"b"c', '12" and 5"']
)
def test_quotes_in_names_are_letters(tmp_path: Path, mark: str, name: str) -> None:
    rows = [("a", "r", name), ("b", "r", "c"), (name, "r", "d"), ("c", "r", "d")]
    told = one(tmp_path, "g.txt", "\n".join(mark.join(row) for row in rows) + "\n")
    assert told.triples == rows


@pytest.mark.parametrize("mark", ["\t", ",", ";"])
def test_names_in_quotes_and_quotes_in_names(tmp_path: Path, mark: str) -> None:
    text = f'"acid{mark} acetic"|r|"a ""b"""\n5" needle|r|"two\nlines"\n'.replace("|", mark)
    told = one(tmp_path, "g.csv", f"head|relation|tail\n{text}".replace("|", mark))
    assert told.triples == [(f"acid{mark} acetic", "r", 'a "b"'), ('5" needle', "r", "two\nlines")]


def test_blanks_before_a_quote_are_none_of_the_name(tmp_path: Path) -> None:
    told = one(tmp_path, "g.csv", 'head, relation, tail\n"a", "r", "b, c"\n"d", "r", "e"\n')
    assert told.triples == [("a", "r", "b, c"), ("d", "r", "e")]


_NAME = st.text('ab ",;\t\n', min_size=1, max_size=8).map(str.strip).filter(bool)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(_NAME, st.sampled_from("rs"), _NAME), min_size=2, max_size=8), mark=st.sampled_from(",\t;")
)
def test_a_quoted_table_is_read_as_it_was_written(
    rows: list[Triple], mark: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("q") / "a.csv"
    table = pl.DataFrame(rows, schema=["head", "relation", "tail"], orient="row")
    table.write_csv(path, separator=mark, quote_style="always")
    assert Told(path).triples == rows


# --- N-Triples -------------------------------------------------------------------------------------------

NTRIPLES = """# a comment
<http://x/a> <http://x/r> <http://x/b> .
<http://x/b>\t<http://x/r>\t<http://x/c> .
<http://x/c> <http://www.w3.org/2000/01/rdf-schema#label> "a \\"name\\""@en .
<http://x/c> <http://www.w3.org/2000/01/rdf-schema#label> "\\u540D"@zh-CN .
<http://x/c> <http://www.w3.org/2004/02/skos/core#altLabel> "other"@fr .
<http://x/a> <http://x/dose> "5.0"^^<http://www.w3.org/2001/XMLSchema#double> .
_:b0 <http://x/r> <http://x/c> .
<http://x/c> <http://x/r> _:b1 .
"""


@pytest.mark.parametrize("name", ["g.nt", "g.tsv", "g.txt", "g.nt.gz"])
def test_n_triples(tmp_path: Path, name: str) -> None:
    told = one(tmp_path, name, NTRIPLES)
    assert told.triples == [("http://x/a", "http://x/r", "http://x/b"), ("http://x/b", "http://x/r", "http://x/c")]
    assert told.names["http://x/c"] == 'a "name"'
    assert set(told.graph.synonyms.select("name", "language").rows()) == {("名", "zh"), ("other", "fr")}
    assert "1 statement with a literal" in str(told.findings["n-triples"].message)
    assert str(told.findings["blank-nodes"].message).startswith("g.")
    assert "2 statements" in str(told.findings["blank-nodes"].message)


def test_tables_of_iris_without_a_point(tmp_path: Path) -> None:
    told = one(tmp_path, "g.tsv", "<a>\t<r>\t<b>\n<b>\t<r>\t<c>\n")
    assert told.triples == [("a", "r", "b"), ("b", "r", "c")]


def test_n_quads_keep_their_graph_as_source(tmp_path: Path) -> None:
    told = one(tmp_path, "g.nq", "<a> <r> <b> <http://g> .\n<b> <r> <c> .\n")
    assert told.graph.facts["source"].to_list() == ["http://g", None]


def test_a_line_that_is_no_statement_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"g\.nt, line 2: no statement"):
        one(tmp_path, "g.nt", "<a> <r> <b> .\n<a> r <b> .\n")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("g.ttl", "@prefix x: <http://x/> .\nx:a x:r x:b .\n", "Turtle is not read; convert it to N-Triples"),
        ("g.txt", "# c\n@prefix x: <http://x/> .\nx:a x:r x:b .\n", "Turtle is not read"),
        ("g.tsv", "PREFIX x: <http://x/>\nx:a x:r x:b .\n", "Turtle is not read"),
        ("g.jsonld", '{"@context": {}, "@graph": []}', "JSON-LD is not read"),
        ("g.txt", '{\n "@context": {"x": "http://x/"},\n "@graph": []}', "JSON-LD is not read"),
        ("g.json", '{"nodes": []}', "JSON is not read"),
        ("g.owl", "<?xml version='1.0'?><rdf:RDF/>", "robot convert"),
        ("g.txt", "<?xml version='1.0'?>\n<graphml></graphml>", "GraphML is not read"),
        ("g.graphml", "<graphml/>", "GraphML is not read"),
        ("g.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
        ("g.tsv.bz2", b"BZh9", "only gzip is unpacked"),
    ],
)
def test_other_formats_are_refused_with_what_to_do(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        one(tmp_path, name, content)


def test_names_that_begin_with_a_bracket_are_no_json(tmp_path: Path) -> None:
    told = one(tmp_path, "g.tsv", "[1-14C]acetate\tr\tb\n{x}\tr\tc\n")
    assert told.triples[0][0] == "[1-14C]acetate"


# --- headers ---------------------------------------------------------------------------------------------


def test_the_header_of_neo4j_admin_import(tmp_path: Path) -> None:
    rows = "".join(f"D{i},X{i % 7},TREATS,{i / 2}\n" for i in range(40))
    told = one(tmp_path, "rels.csv", ":START_ID(Compound),:END_ID(Disease),:TYPE,weight:float\n" + rows)
    assert told.triples == [(f"D{i}", "TREATS", f"X{i % 7}") for i in range(40)]
    assert told.graph.facts["weight"].to_list() == [i / 2 for i in range(40)]


def test_nodes_of_neo4j_admin_import_and_spaces_that_share_identifiers(tmp_path: Path) -> None:
    place = folder(
        tmp_path,
        {
            "compounds.csv": "id:ID(Compound),name,mass:float,:LABEL\n1,aspirin,180.2,Drug;Thing\n2,ibuprofen,206.3,Drug\n",
            "diseases.csv": "diseaseId:ID(Disease),name:string,:LABEL\n1,pain,Disease\n2,fever,Disease\n",
            "rels.csv": ":START_ID(Compound),:TYPE,:END_ID(Disease),:IGNORE\n1,TREATS,1,x\n2,TREATS,2,y\n",
        },
    )
    told = Told(place)
    assert told.triples == [("Compound:1", "TREATS", "Disease:1"), ("Compound:2", "TREATS", "Disease:2")]
    assert told.names["Disease:1"] == "pain"
    assert told.kinds == {"Compound:1": "Drug", "Compound:2": "Drug", "Disease:1": "Disease", "Disease:2": "Disease"}


def test_an_export_of_neo4j_with_nodes_and_edges_in_one_table(tmp_path: Path) -> None:
    text = '"_id","_labels","name","_start","_end","_type"\n"0",":Drug","aspirin",,,\n"1",":Disease","pain",,,\n,,,"0","1","TREATS"\n'
    told = one(tmp_path, "all.csv", text)
    assert told.triples == [("0", "TREATS", "1")]
    assert told.names == {"0": "aspirin", "1": "pain"}
    assert told.kinds == {"0": "Drug", "1": "Disease"}


@pytest.mark.parametrize(
    "header", ["头实体,关系,尾实体", "Head Entity,Relationship Type,Tail-Entity", "src,edge_type,dst"]
)
def test_headers_as_people_write_them(tmp_path: Path, header: str) -> None:
    assert one(tmp_path, "g.csv", f"{header}\na,r,b\nb,r,c\n").triples == CHAIN[:2]


def test_kgx_takes_the_predicate_where_the_column_relation_is_empty(tmp_path: Path) -> None:
    rows = "".join(f"u{i}\tG:{i}\tbiolink:has_phenotype\tHP:{i}\t\tinfores:x\n" for i in range(3))
    text = "id\tsubject\tpredicate\tobject\trelation\tprimary_knowledge_source\n" + rows
    told = one(tmp_path, "edges.tsv", text)
    assert told.triples == [(f"G:{i}", "biolink:has_phenotype", f"HP:{i}") for i in range(3)]
    assert told.graph.facts["source"].to_list() == ["infores:x"] * 3


@pytest.mark.parametrize(("negated", "yes", "no"), [("negated", "True", "False"), ("negated", "true", ""),
                                                    ("qualifier", "NOT", ""), ("qualifier", "NOT|enables", "enables"),
                                                    ("is_negated", "1", "0"), ("label", "0", "1")])  # fmt: skip
def test_edges_that_do_not_hold_are_set_aside(tmp_path: Path, negated: str, yes: str, no: str) -> None:
    rows = "".join(f"M:{i}\thas\tHP:{i % 4}\t{yes if i == 3 else no}\n" for i in range(12))
    told = one(tmp_path, "edges.tsv", f"subject\tpredicate\tobject\t{negated}\n{rows}")
    assert told.triples == [(f"M:{i}", "has", f"HP:{i % 4}") for i in range(12) if i != 3]
    assert f"1 edge does not hold by the column '{negated}'" in str(told.findings["negated-edges"].message)


def test_kgx_as_json_lines(tmp_path: Path) -> None:
    nodes = [{"id": "D:1", "name": "pain", "category": ["biolink:Disease"]}, {"id": "C:1", "name": "aspirin"}]
    edges = [
        {
            "subject": "C:1",
            "predicate": "biolink:treats",
            "object": "D:1",
            "negated": False,
            "publications": ["P:1", "P:2"],
        },
        {"subject": "C:2", "predicate": "biolink:treats", "object": "D:1", "negated": True},
    ]
    files = {f"x_{name}.jsonl": "\n".join(map(json.dumps, rows)) for name, rows in (("nodes", nodes), ("edges", edges))}
    told = Told(folder(tmp_path, files))
    assert told.triples == [("C:1", "biolink:treats", "D:1")]
    assert told.names == {"C:1": "aspirin", "D:1": "pain"}
    assert told.graph.facts["publications"].cast(pl.String).to_list() == ["P:1|P:2"]


def test_a_go_annotation_file(tmp_path: Path) -> None:
    row = "UniProtKB\t{}\t{}\t{}\tGO:0008150\tPMID:1\tIEA\t\tP\tname\t\tprotein\ttaxon:9606\t20200101\tGOA\t\t\n"
    text = "!gaf-version: 2.2\n!\n" + row.format("P1", "A1", "involved_in") + row.format("P2", "A2", "NOT|involved_in")
    told = one(tmp_path, "goa.gaf.gz", text)
    assert told.triples == [("UniProtKB:P1", "involved_in", "GO:0008150")]
    assert told.names["UniProtKB:P1"] == "A1"


def test_annotations_of_the_human_phenotype_ontology(tmp_path: Path) -> None:
    header = "database_id\tdisease_name\tqualifier\thpo_id\treference\tevidence\tonset\tfrequency\tsex\tmodifier\taspect\tbiocuration\n"
    rows = "OMIM:1\tone\t\tHP:1\tP\tTAS\t\t\t\t\tP\tx\nOMIM:2\ttwo\tNOT\tHP:1\tP\tTAS\t\t\t\t\tP\tx\nOMIM:1\tone\t\tHP:2\tP\tTAS\t\t\t\t\tI\tx\n"
    told = one(tmp_path, "phenotype.hpoa", "#description: x\n#version: 2024\n" + header + rows)
    assert told.triples == [("OMIM:1", "has_phenotype", "HP:1"), ("OMIM:1", "has_inheritance", "HP:2")]


def test_a_header_in_a_comment(tmp_path: Path) -> None:
    told = one(tmp_path, "g.tsv", "# made by hand\n#subject\tpredicate\tobject\na\tr\tb\n# later\nb\tr\tc\n")
    assert told.triples == CHAIN[:2]
    assert "1 line that begins with #" in str(told.findings["comment-lines"].message)


def test_ctd(tmp_path: Path) -> None:
    text = (
        "# Report created: today\n# Fields:\n# ChemicalName,ChemicalID,CasRN,DiseaseName,DiseaseID,DirectEvidence,PubMedIDs\n#\n"
        'aspirin,D001241,50-78-2,"Pain, acute",MESH:D010146,therapeutic,1\naspirin,D001241,50-78-2,Asthma,MESH:D001249,,2\n'
    )
    told = one(tmp_path, "CTD_chemicals_diseases.csv", text)
    assert told.triples == [
        ("MESH:D001241", "therapeutic", "MESH:D010146"),
        ("MESH:D001241", "inferred", "MESH:D001249"),
    ]
    assert told.names["MESH:D010146"] == "Pain, acute"


def test_links_of_string(tmp_path: Path) -> None:
    told = one(tmp_path, "9606.protein.links.v12.0.txt.gz", "protein1 protein2 combined_score\n9606.E1 9606.E2 173\n")
    assert told.triples == [("9606.E1", "interacts_with", "9606.E2")]
    assert told.graph.facts["combined_score"].to_list() == [173]


def test_pairs_below_a_header(tmp_path: Path) -> None:
    rows = "".join(f"G{i},D{i % 7}\n" for i in range(40))
    told = one(tmp_path, "g.csv", "gene,disease\n" + rows, relation="associates")
    assert told.triples == [(f"G{i}", "associates", f"D{i % 7}") for i in range(40)]
    assert "gene, disease" in str(told.findings["first-row"].message)
    told = one(tmp_path, "h.csv", "foo,bar\n" + rows, relation="associates")
    assert told.findings["first-row"].status == "unknown"


# --- columns without a header ----------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["\t", ",", ";", "|"])
def test_a_fourth_column_of_numbers(tmp_path: Path, mark: str, ending: str) -> None:
    text = ending.join(mark.join((*row, f"0.{i + 1}")) for i, row in enumerate(CHAIN)) + ending
    told = one(tmp_path, "g.txt", b"\xef\xbb\xbf" + text.encode())
    assert told.triples == CHAIN
    assert told.graph.facts["column_4"].to_list() == [0.1, 0.2, 0.3]
    assert told.findings["columns-without-header"].status == "unknown"


def test_columns_by_their_numbers(tmp_path: Path) -> None:
    text = "x1\tb\ttreats\ta\tt\nx2\tc\ttreats\tb\tt\n"
    with pytest.raises(UserError, match=r"--option head=1 --option relation=2 --option tail=3"):
        one(tmp_path, "g.tsv", text)
    told = one(tmp_path, "g.tsv", text, head="4", relation="3", tail="2")
    assert told.triples == [("a", "treats", "b"), ("b", "treats", "c")]
    assert one(tmp_path, "h.tsv", LINES, head="3", tail="1").triples == [(t, r, h) for h, r, t in CHAIN]
    assert one(tmp_path, "p.csv", "a,b\nb,c\n", head="2", tail="1", relation="r").triples == [
        ("b", "r", "a"),
        ("c", "r", "b"),
    ]
    with pytest.raises(UserError, match="there is no such column"):
        one(tmp_path, "h.tsv", LINES, head="7")


def hidden_order(order: str) -> str:
    rows = [(f"D{i}", "treats", f"X{i % 7}") for i in range(70)] + [
        (f"X{i % 7}", "associates", f"G{i}") for i in range(70)
    ]
    return "".join("\t".join(row["hrt".index(letter)] for letter in order) + "\n" for row in rows)


@pytest.mark.parametrize("order", ["hrt", "htr", "rht"])
def test_the_relation_is_found_where_it_stands(tmp_path: Path, order: str) -> None:
    told = one(tmp_path, "g.tsv", hidden_order(order))
    assert told.triples[0] == ("D0", "treats", "X0")
    assert told.graph.relations["name"].to_list() == ["associates", "treats"]
    assert ("column-order" in told.findings) == (order != "hrt")


def test_an_order_that_cannot_be_known_is_doubted(tmp_path: Path) -> None:
    told = one(tmp_path, "g.tsv", "".join(f"D{i}\tX{i % 7}\ttreats\n" for i in range(70)))
    assert told.findings["column-order"].status == "fail"
    told = one(
        tmp_path, "g.tsv", "".join(f"D{i}\tX{i % 7}\ttreats\n" for i in range(70)), head="1", tail="2", relation="3"
    )
    assert told.graph.relations["name"].to_list() == ["treats"]


def test_more_relations_than_entities_are_no_doubt(tmp_path: Path) -> None:
    told = one(tmp_path, "g.tsv", "".join(f"n{i % 7}\tr{i}\tn{(i * 3 + 1) % 7}\n" for i in range(60)))
    assert "column-order" not in told.findings
    assert len(told.graph.relations) == 60


# --- parts -----------------------------------------------------------------------------------------------

PARTS = [
    ("train_sample.csv", "val_sample.csv", "test_sample.csv"),
    ("nations_train.txt", "nations_valid.txt", "nations_test.txt"),
    ("fb15k-train.tsv", "fb15k-dev.tsv", "fb15k-heldout.tsv"),
    ("training.tsv", "validation.tsv", "testing.tsv"),
    ("train/edges.tsv", "valid/edges.tsv", "test/edges.tsv"),
    ("x.train.tsv.gz", "x.valid.tsv.gz", "x.test.tsv.gz"),
    ("train-00000-of-00001.tsv", "dev-00000-of-00001.tsv", "test-00000-of-00001.tsv"),
]
TRAIN = "".join(f"d{i}\tt\tx{i % 5}\n" for i in range(30))


@pytest.mark.parametrize("names", PARTS)
def test_names_of_parts(tmp_path: Path, names: tuple[str, str, str]) -> None:
    texts = (TRAIN, "d1\tt\tx2\n", "d2\tt\tx3\n")
    told = Told(folder(tmp_path, dict(zip(names, texts))))
    assert told.parts == ["train"] * 30 + ["validation", "test"]


def test_a_list_of_the_parts_is_their_folder_in_any_order(tmp_path: Path) -> None:
    place = folder(tmp_path, {"train.txt": TRAIN, "valid.txt": "d1\tt\tx2\n", "test.txt": "d2\tt\tx3\n"})
    whole = Told(place)
    for order in (("train", "valid", "test"), ("test", "train", "valid")):
        told = Told(*(place / f"{name}.txt" for name in order))
        assert (told.triples, told.parts, told.ids) == (whole.triples, whole.parts, whole.ids)


def test_rows_of_several_sources_do_not_depend_on_their_order(tmp_path: Path) -> None:
    place = folder(tmp_path, {"a.tsv": LINES, "b.tsv": "d\ts\te\ne\ts\ta\n"})
    whole = Told(place)
    for order in ("ab", "ba"):
        told = Told(*(place / f"{name}.tsv" for name in order))
        assert (told.triples, told.ids) == (whole.triples, whole.ids)


@pytest.mark.parametrize(
    "name", ["train_negative.tsv", "test_negatives.tsv", "negative_train_sample.tsv", "TN_edges.tsv", "false_edges.tsv"]
)
def test_files_of_false_edges_are_never_learnt_from(tmp_path: Path, name: str) -> None:
    files = {"train.tsv": TRAIN, "valid.tsv": "d1\tt\tx2\n", "test.tsv": "d2\tt\tx3\n", name: "d7\tt\tx0\n"}
    told = Told(folder(tmp_path, files))
    assert len(told.triples) == 32
    assert name in str(told.findings["files-of-false-edges"].message)
    with pytest.raises(UserError, match="edges that are false"):
        Told(tmp_path / name)


@pytest.mark.parametrize("name", ["extra.tsv", "edges.csv", "hp.obo", "more.nt"])
def test_edges_without_a_part_beside_train_and_test_are_not_used(tmp_path: Path, name: str) -> None:
    texts = {
        "extra.tsv": "d7\tt\tx0\n",
        "edges.csv": "head,relation,tail\nd7,t,x0\n",
        "hp.obo": "[Term]\nid: d7\nname: seven\nis_a: x0\n",
        "more.nt": "<d7> <t> <x0> .\n",
    }
    files = {"train.tsv": TRAIN, "test.tsv": "d2\tt\tx3\n", name: texts[name], "nodes.tsv": "id\tname\nd1\tone\n"}
    told = Told(folder(tmp_path, files))
    assert len(told.triples) == 31
    assert told.parts.count("train") == 30
    assert name in str(told.findings["edges-without-part"].message)
    assert told.names["d1"] == "one"


def test_what_is_passed_over_is_listed(tmp_path: Path) -> None:
    told = Told(folder(tmp_path, {"a.tsv": LINES, "b.ttl": "@prefix x: <x> .", "README.md": "x", "plot.png": b"x"}))
    assert str(told.findings["files-passed-over"].message).startswith("2 files were skipped: b.ttl, plot.png (Turtle")


# --- dictionaries ----------------------------------------------------------------------------------------


def test_openke(tmp_path: Path) -> None:
    files = {
        "entity2id.txt": "4\na\t0\nb\t1\nc\t2\nd\t3\n",
        "relation2id.txt": "1\nr\t0\n",
        "train2id.txt": "2\n0 1 0\n1 2 0\n",
        "valid2id.txt": "1\n0 2 0\n",
        "test2id.txt": "1\n2 3 0\n",
        "type_constrain.txt": "1\n0 1 0\n",
    }
    told = Told(folder(tmp_path, files))
    assert told.triples == [("a", "r", "b"), ("b", "r", "c"), ("a", "r", "c"), ("c", "r", "d")]
    assert told.parts == ["train", "train", "validation", "test"]


def test_dictionaries_of_rotate_beside_names(tmp_path: Path) -> None:
    files = {
        "entities.dict": "0\ta\n1\tb\n2\tc\n3\td\n",
        "relations.dict": "0\tr\n",
        "train.txt": LINES,
        "test.txt": "a\tr\td\n",
    }
    assert Told(folder(tmp_path, files)).triples == [*CHAIN, ("a", "r", "d")]


# --- nodes -----------------------------------------------------------------------------------------------


def test_a_table_of_nodes_that_lacks_one(tmp_path: Path) -> None:
    files = {
        "edges.csv": "relation,display_relation,x_index,y_index\nppi,ppi,0,1\ndis,x,2,7\n",
        "nodes.csv": "node_index,node_id,node_type,node_name,node_source\n0,9796,gene/protein,PHYHIP,NCBI\n"
        '1,56992,gene/protein,KIF15,NCBI\n2,9796,disease,"dis, grouped",MONDO\n',
    }
    told = Told(folder(tmp_path, files))
    assert told.triples == [("NCBI:9796", "ppi", "NCBI:56992"), ("MONDO:9796", "dis", "index:7")]
    assert "(7)" in str(told.findings["keys-without-node"].message)


def test_nodes_without_an_identifier_and_with_several_names(tmp_path: Path) -> None:
    files = {"edges.tsv": "head\trelation\ttail\na\tr\tb\n", "nodes.tsv": "id\tname\na\tone\n\ttwo\na\tuno\nb\tB\n"}
    told = Told(folder(tmp_path, files))
    assert "1 node has no identifier" in str(told.findings["nodes-without-id"].message)
    assert "1 identifier has several names (a)" in str(told.findings["nodes-of-several-names"].message)
    assert told.names == {"a": "one", "b": "B"}


def test_spellings_of_one_identifier_are_told(tmp_path: Path) -> None:
    rows = "MONDO:1\tr\tx\nMONDO:1\tr\tz\nmondo_1\tr\ty\nx\tr\ty\ny \tR\tz\nMétro\tr\tz\nMe\u0301tro\tr\tz\n"
    told = one(tmp_path, "g.tsv", rows)
    finding = told.findings["spellings-of-one-id"]
    assert finding.status == "fail"
    assert "MONDO:1 = mondo_1" in str(finding.message)
    assert "2 entities" in str(finding.message)
    assert "R = r" in str(told.findings["spellings-of-one-relation"].message)
    assert one(tmp_path, "h.tsv", LINES * 2 + "a\ts\tx\n").findings["spellings-of-one-id"].status == "pass"


def test_self_loops_are_told(tmp_path: Path) -> None:
    assert one(tmp_path, "g.tsv", LINES + "a\tr\ta\n").findings["self-loops"].status == "fail"


# --- ontologies ------------------------------------------------------------------------------------------

OBO = "format-version: 1.2\nontology: t\n\n[Term]\nid: T:1\nname: root\nalt_id: T:9\n\n[Term]\nid: T:2\nname: b\nis_a: T:1\n\n"


def test_an_empty_or_glued_parent_is_no_entity(tmp_path: Path) -> None:
    told = one(
        tmp_path,
        "o.obo",
        OBO + '[Term]\nid: T:3\nis_a: \nis_a: T:1!root\nis_a: T:2 {x="y"}!b\nrelationship: part_of\nname: c\n',
    )
    assert told.triples == [("T:2", "is_a", "T:1"), ("T:3", "is_a", "T:1"), ("T:3", "is_a", "T:2")]
    assert "2 lines of is_a or relationship without a term" in str(told.findings["damaged-terms"].message)


def test_an_alternative_identifier_is_the_term_in_every_file(tmp_path: Path) -> None:
    own = OBO + "[Term]\nid: T:3\nname: c\nrelationship: part_of T:9 ! root\n"
    other = "[Term]\nid: U:1\nname: u\nis_a: T:9\n"
    place = folder(tmp_path, {"a.obo": other, "b.obo": own, "c.tsv": "U:1\tr\tT:9\n"})
    expected = {("T:2", "is_a", "T:1"), ("T:3", "part_of", "T:1"), ("U:1", "is_a", "T:1"), ("U:1", "r", "T:1")}
    assert set(Told(place).triples) == expected
    for order in ("abc", "cba"):
        files = {"a": "a.obo", "b": "b.obo", "c": "c.tsv"}
        told = Told(*(place / files[letter] for letter in order))
        assert set(told.triples) == expected
    assert "T:9" in told.graph.synonyms["name"]


def test_lines_end_only_at_line_ends(tmp_path: Path) -> None:
    told = one(tmp_path, "o.obo", OBO.replace("name: b", "name: b\u2028is_a: X:1\x0bis_a: X:2"))
    assert told.triples == [("T:2", "is_a", "T:1")]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_ontologies_and_tables_are_read_or_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rrf = "".join(f"C000000{i}|A|AUI|RO|C000000{i + 1}|A|AUI|may_treat|R||MSH|MSH|||N||\n" for i in range(8))
    name, text = data.draw(
        st.sampled_from([("x.obo", OBO * 2), ("MRREL.RRF", rrf), ("x.tsv", LINES * 4), ("x.nt", NTRIPLES)])
    )
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=6))
    place = folder(tmp_path_factory.mktemp("f"), {name: bytes(content)})
    try:
        told = Told(place / name)
    except UserError:
        return
    assert "" not in told.graph.entities["id"]


# --- signs, parts and names ------------------------------------------------------------------------------


def test_a_column_called_not_negates(tmp_path: Path) -> None:
    rows = "".join(f"d{i},r,x{i % 7},{'NOT' if i % 2 else ''}\n" for i in range(20))
    told = one(tmp_path, "g.csv", f"head,relation,tail,not\n{rows}")
    assert [head for head, _, _ in told.triples] == [f"d{i}" for i in range(0, 20, 2)]


@pytest.mark.parametrize("name", ["weight", "sign", "Score"])
def test_edges_with_a_negative_weight_are_a_finding(name: str, tmp_path: Path) -> None:
    rows = "".join(f"d{i},r,x{i % 7},{-1 if i % 2 else 0.5}\n" for i in range(20))
    told = one(tmp_path, "g.csv", f"head,relation,tail,{name}\n{rows}")
    assert len(told.triples) == 20
    assert told.findings["negative-weights"].status == "fail"
    assert "10 edges" in str(told.findings["negative-weights"].message)
    assert (
        "negative-weights"
        not in one(tmp_path, "h.csv", f"head,relation,tail,{name}\n{rows.replace('-1', '1')}").findings
    )


@pytest.mark.parametrize("names", [("trn", "vld", "tst"), ("g_tr", "g_va", "g_te")])
def test_parts_by_short_names_are_kept(names: tuple[str, ...], tmp_path: Path) -> None:
    files = {f"{name}.tsv": text for name, text in zip(names, (LINES, "a\tr\tc\n", "b\tr\td\n"))}
    told = Told(folder(tmp_path, files))
    assert dict(zip(told.triples, told.parts))["b", "r", "d"] == "test"
    assert sorted(told.parts) == ["test", "train", "train", "train", "validation"]


def test_a_training_file_beside_others_that_name_no_part_is_a_finding(tmp_path: Path) -> None:
    told = Told(folder(tmp_path, {"train.tsv": LINES, "eval.tsv": "b\tr\td\n"}))
    assert told.findings["parts-not-kept"].status == "fail"
    assert len(told.triples) == 4


def test_a_name_keeps_no_trailing_modifier(tmp_path: Path) -> None:
    text = '[Term]\nid: T:1\nname: root {xref="X:1", source="a b"}\n\n[Term]\nid: T:2\nname: a {b} c\nis_a: T:1\n'
    assert one(tmp_path, "o.obo", text).names == {"T:1": "root", "T:2": "a {b} c"}


@pytest.mark.parametrize("first", ["a", "z"])
def test_a_term_keeps_its_name_whichever_file_is_read_first(first: str, tmp_path: Path) -> None:
    new = "[Term]\nid: T:1\nname: root\nalt_id: T:9\n\n[Term]\nid: T:2\nname: b\nis_a: T:1\n"
    old = "[Term]\nid: T:9\nname: nine\n\n[Term]\nid: T:8\nname: c\nis_a: T:9\n"
    told = Told(folder(tmp_path, {f"{first}.obo": new, "m.obo": old}))
    assert told.names["T:1"] == "root"
    assert ("T:8", "is_a", "T:1") in told.triples
    assert "nine" in told.graph.synonyms["name"].to_list()


# --- damage ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "o.obo",
            b'[Term]\nid: X:0\nname: \xff\xfe\x00 n0\nis_a: X:,\nis_a: \nrelationship: part_of\nalt_id:\nsynonym: "s\n',
        ),
        ("o.obo", b'[Term]\nid:\nis_a: X:1\n\n[Term]\nid: X;0\nis_a: X:0 {x="\xc3\n\n[Ter'),
        (
            "MRREL.RRF",
            b"C0000001|A|AUI|RO|C0000002|A2|AUI|may_treat|R1||S|S|||N||\nC1||\xff|RO\n|||RO|C2|||x||||||||\n",
        ),
        ("g.parquet", b"PAR1" + b"\x15\x04" * 40 + b"\xff\xff\xff\x7fPAR1"),
        ("g.tsv", b'a\tr\tb\n\xff\xfe\x00"\t"\n\t\t\n'),
        ("g.jsonl", b'{"subject": 1, "object": [}\n'),
        ("g.tsv.gz", b"\x1f\x8b\x08\x00damaged"),
    ],
)
def test_damage_is_refused_or_a_finding(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    said = ""
    try:
        reading = medeor.read(tmp_path / name, task="graph-completion", labelled=False)
    except UserError as error:
        said = str(error)
    assert name in said or any(one.status == "fail" for one in reading.findings)
