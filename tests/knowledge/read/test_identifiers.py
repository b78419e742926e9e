"""Identifiers by the forms that their keepers publish, and graphs joined through references whose truth is planted."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import medeor
from medeor.contracts import UserError
from medeor.knowledge.read.graph import assemble, read_graph
from medeor.knowledge.read.identifiers import merge, normalise, read_joined, references
from medeor.simulate.knowledge import knowledge

FORMS = [
    ("C0011849", "UMLS:C0011849"),
    ("umls:C0011849", "UMLS:C0011849"),
    ("Side Effect::C0000727", "UMLS:C0000727"),
    ("D003920", "MESH:D003920"),
    ("MSH:D003920", "MESH:D003920"),
    ("C535290", "MESH:C535290"),
    ("A10BA02", "ATC:A10BA02"),
    ("ATC:A10", "ATC:A10"),
    ("E11.9", "ICD10:E11.9"),
    ("ICD10:E119", "ICD10:E11.9"),
    ("ICD-10-CM:S72001A", "ICD10CM:S72.001A"),
    ("250.00", "ICD9CM:250.00"),
    ("ICD9:25000", "ICD9CM:250.00"),
    ("ICD9CM:E8001", "ICD9CM:E800.1"),
    ("ICD9:V270", "ICD9CM:V27.0"),
    ("Gene::9021", "NCBIGene:9021"),
    ("NCBI:9796", "NCBIGene:9796"),
    ("entrez:25", "NCBIGene:25"),
    ("ENSG00000157764.14", "ENSEMBL:ENSG00000157764"),
    ("ENSMUSG00000002413", "ENSEMBL:ENSMUSG00000002413"),
    ("db00331", "DRUGBANK:DB00331"),
    ("Compound::DB00331", "DRUGBANK:DB00331"),
    ("XZWYZXLIPXDOLR-UHFFFAOYSA-N", "INCHIKEY:XZWYZXLIPXDOLR-UHFFFAOYSA-N"),
    ("doid:2531", "DOID:2531"),
    ("Disease::DOID:2531", "DOID:2531"),
    ("DOID_2531", "DOID:2531"),
    ("http://purl.obolibrary.org/obo/DOID_2531", "DOID:2531"),
    ("HP:0000118", "HP:0000118"),
    ("SNOMEDCT_US:73211009", "SNOMEDCT:73211009"),
]


@pytest.mark.parametrize(("given", "canonical"), FORMS)
def test_spellings_of_identifiers(given: str, canonical: str) -> None:
    for spelling in (given, f" {given} ", canonical):
        row = normalise(pl.Series([spelling])).row(0, named=True)
        assert row == {"id": canonical, "system": canonical.split(":")[0]}


@pytest.mark.parametrize("given", ["25", "aspirin", "acquired_abnormality", "DB123", "I10x", "12345678", "MESH:X1"])
def test_what_could_be_anything_stays_as_it_is(given: str) -> None:
    assert normalise(pl.Series([given])).rows() == [(given, None)]


def test_a_system_may_be_named_for_bare_numbers() -> None:
    assert normalise(pl.Series(["25", None, "C0011849"]), "ncbigene").rows() == [
        ("NCBIGene:25", "NCBIGene"), (None, None), ("UMLS:C0011849", "UMLS"),
    ]  # fmt: skip
    with pytest.raises(UserError, match="no system of identifiers is called 'isbn'"):
        normalise(pl.Series(["1"]), "isbn")


def graph(*edges: tuple[str, str, str]):
    return read_graph([np.array(edges)])


def test_graphs_meet_by_identifier_and_through_references() -> None:
    ours = graph(("DB00331", "treats", "DOID:9351"), ("DB00945", "treats", "DOID:1"), ("DB1", "treats", "DOID:2"))
    theirs = graph(
        ("UMLS:C0025598", "may_treat", "doid_9351"),
        ("C0004057", "may_treat", "C0000002"),
        ("C0000003", "may_treat", "C0000004"),
    )
    mapping = pl.DataFrame(
        {
            "from": ["UMLS:C0025598", "DRUGBANK:DB00945", "C0000002", "C0000002", "C0000003"],
            "to": ["DrugBank:DB00331", "C0004057", "DOID:1", "DOID:2", "DOID:77"],
        }
    )
    merged = merge([ours, theirs], mapping)
    ids, names = merged.entities["id"], merged.relations["name"]
    edges = {(ids[h], names[r], ids[t]) for h, r, t in merged.triples.tolist()}
    assert edges == {
        ("DB00331", "treats", "DOID:9351"), ("DB00945", "treats", "DOID:1"), ("DB1", "treats", "DOID:2"),
        ("DB00331", "may_treat", "DOID:9351"), ("DB00945", "may_treat", "C0000002"),
        ("C0000003", "may_treat", "C0000004"),
    }  # fmt: skip
    synonyms = {(ids[entity], name) for entity, name, _ in merged.synonyms.rows()}
    assert synonyms == {("DB00331", "UMLS:C0025598"), ("DB00945", "C0004057"), ("DOID:9351", "doid_9351")}
    (finding,) = merged.findings
    assert str(finding.message) == (
        "graph 2: 6 entities, 1 by the same identifier, 2 through references, 1 ambiguous (kept separate), "
        "2 not in the others"
    )


def test_a_graph_renamed_by_a_permutation_comes_back_whole() -> None:
    first = assemble([knowledge().tables])
    other = pl.format("X:{}", pl.int_range(100, 100 + len(first.entities)))
    mapping = first.entities.select(pl.col("id").alias("from"), other.alias("to"))
    ends = mapping["to"]
    renamed = pl.DataFrame(
        {
            "head": ends.gather(first.triples[:, 0]),
            "relation": first.relations["name"].gather(first.triples[:, 1]),
            "tail": ends.gather(first.triples[:, 2]),
        }
    )
    merged = merge([first, read_graph([renamed])], mapping)
    assert merged.entities["id"].equals(first.entities["id"])
    assert (merged.triples == np.concatenate([first.triples] * 2)).all()
    assert merged.facts["licence"].null_count() == len(first)


DRUGS = (
    "head,relation,tail,head_kind\nDB00001,treats,DOID:1,Drug\nDB00002,treats,DOID:2,Drug\nDB00003,treats,DOID:3,Drug\n"
)
GENES = "head,relation,tail\nDRUGBANK:DB00001,binds,NCBIGene:1\nC0000002,binds,NCBIGene:2\nC0000009,binds,NCBIGene:3\n"


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two tables that name drugs in two systems, and a mapping that knows one of them."""
    for name, text in (("drugs", DRUGS), ("genes", GENES), ("map", "UMLS:C0000002,DRUGBANK:DB00002\n" * 2)):
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path / "drugs.csv", tmp_path / "genes.csv", tmp_path / "map.csv"


def test_sources_that_are_read_together_meet_by_identifier_and_mapping(sources: tuple[Path, Path, Path]) -> None:
    drugs, genes, mapping = sources
    alone, mapped = read_joined([drugs, genes], {}), read_joined([drugs, genes], {"mapping": str(mapping)})
    assert set(mapped.entities["id"]) == {
        *(f"DB0000{i}" for i in (1, 2, 3)), *(f"DOID:{i}" for i in (1, 2, 3)), *(f"NCBIGene:{i}" for i in (1, 2, 3)),
        "C0000009",
    }  # fmt: skip
    assert set(alone.entities["id"]) == {*mapped.entities["id"], "C0000002"}
    findings = [finding for finding in mapped.findings if finding.check == "identifiers-joined"]
    assert [finding.status for finding in findings] == ["pass"]
    assert str(findings[0].message).startswith("graph 2: 6 entities, 1 by the same identifier, 1 through references")
    assert read_joined([drugs], {}).findings == read_graph([drugs]).findings


def test_the_audit_says_how_much_a_mapping_covers(sources: tuple[Path, Path, Path]) -> None:
    drugs, genes, mapping = sources
    found = medeor.audit(drugs, genes, task="graph-completion", options={"mapping": str(mapping)}, split="cv")
    (finding,) = (one for one in found if one.check == "identifiers-joined")
    assert "1 by the same identifier, 1 through references, 0 ambiguous (kept separate), 4 not in the others" in (
        str(finding.message)
    )


def test_graphs_without_anything_in_common_are_told(sources: tuple[Path, Path, Path], tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("head,relation,tail\nmars,orbits,sun\n")
    joined = read_joined([sources[0], tmp_path / "other.csv"], {})
    assert [(one.check, one.status) for one in joined.findings] == [("identifiers-joined", "fail")]


def test_an_ontology_joins_others_by_its_own_cross_references(tmp_path: Path) -> None:
    (tmp_path / "a.obo").write_text("[Term]\nid: DOID:1\nxref: MESH:D000001\nis_a: DOID:2\n\n[Term]\nid: DOID:2\n")
    (tmp_path / "b.csv").write_text("head,relation,tail\nDB00001,treats,D000001\n")
    assert set(read_joined([tmp_path / "a.obo", tmp_path / "b.csv"], {}).entities["id"]) == {
        "DOID:1", "DOID:2", "DB00001"
    }  # fmt: skip


def test_a_table_of_nodes_is_no_graph_of_its_own(sources: tuple[Path, Path, Path], tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("id,name,kind\nDB00001,lepirudin,Drug\nDB00099,filgrastim,Drug\n")
    graph = read_joined([tmp_path / "nodes.csv", sources[0]], {})
    assert not graph.findings
    assert graph.entities.filter(id="DB00001")["name"].to_list() == ["lepirudin"]
    three = read_joined([sources[1], tmp_path / "nodes.csv", sources[0]], {})
    assert three.entities.filter(id="DB00099").height == 1
    with pytest.raises(UserError, match="joins the graphs of several sources, and edges come from one"):
        read_joined([tmp_path / "nodes.csv", sources[0]], {"mapping": str(sources[2])})


def test_two_spellings_in_one_graph_stay_apart_and_whole() -> None:
    ours = graph(("DB00001", "treats", "DOID:1"), ("DRUGBANK:DB00001", "treats", "DOID:2"))
    theirs = graph(("DRUGBANK:DB00001", "binds", "NCBIGene:1"), ("db00001", "binds", "NCBIGene:2"))
    merged = merge([ours, theirs])
    ids, names = merged.entities["id"], merged.relations["name"]
    assert {(ids[h], names[r], ids[t]) for h, r, t in merged.triples.tolist()} == {
        ("DB00001", "treats", "DOID:1"), ("DRUGBANK:DB00001", "treats", "DOID:2"),
        ("DRUGBANK:DB00001", "binds", "NCBIGene:1"), ("DB00001", "binds", "NCBIGene:2"),
    }  # fmt: skip


def test_references_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("subject_id\tpredicate\tobject_id\nDOID:1\texact\tMESH:D1\n")
    (tmp_path / "b.csv").write_text("DOID:1,MESH:D1\nDOID:2,MESH:D2\n")
    (tmp_path / "c.obo").write_text("[Term]\nid: DOID:1\nxref: MESH:D1\n")
    (tmp_path / "d.csv").write_text("from\nDOID:1\n")
    assert references(tmp_path / "a.tsv").rows() == [("DOID:1", "MESH:D1")]
    assert references(tmp_path / "b.csv").rows() == [("DOID:2", "MESH:D2")]
    assert references(tmp_path / "c.obo").rows() == [("DOID:1", "MESH:D1")]
    with pytest.raises(UserError, match="has one column"):
        references(tmp_path / "d.csv")
