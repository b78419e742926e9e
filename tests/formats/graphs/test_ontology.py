"""OBO ontologies: the example of each tag is taken from the OBO 1.4 specification or the Disease Ontology."""

from pathlib import Path

import pytest

from medeor.contracts import UserError
from medeor.formats.graphs.ontology import read_obo

OBO = r"""format-version: 1.2
data-version: doid/releases/2024-01-31
ontology: doid
default-namespace: disease_ontology
property_value: http://purl.org/dc/terms/license "https://creativecommons.org/publicdomain/zero/1.0/" xsd:string

[Term]
id: DOID:162
name: cancer
synonym: "malignant tumor" EXACT []
synonym: "癌症" EXACT []
synonym: "a \"quoted\" name" RELATED [MSH:D1]
xref: UMLS_CUI:C0006826
xref: MESH:D009369 {source="MESH"} ! Neoplasms
alt_id: DOID:154

[Term]
id: DOID:2531
name: hematologic cancer
namespace: blood
is_a: DOID:162 ! cancer
relationship: located_in UBERON:0000178 {inferred="true"} ! blood

[Term]
id: DOID:9
name: old name
is_obsolete: true
is_a: DOID:162
replaced_by: DOID:2531

[Term]
id: DOID:10
name: follows the dead
is_a: DOID:9

[Typedef]
id: located_in
name: located in
"""


def test_terms_edges_synonyms_and_references(tmp_path: Path) -> None:
    path = tmp_path / "doid.obo"
    path.write_text(OBO)
    read = read_obo(path, {})
    assert read.nodes.rows() == [
        ("DOID:10", "follows the dead", "disease_ontology"),
        ("DOID:162", "cancer", "disease_ontology"),
        ("DOID:2531", "hematologic cancer", "blood"),
    ]
    assert read.edges.select("head", "relation", "tail").rows() == [
        ("DOID:2531", "is_a", "DOID:162"),
        ("DOID:10", "is_a", "DOID:9"),
        ("DOID:2531", "located_in", "UBERON:0000178"),
    ]
    assert read.edges.row(0, named=True)["release"] == "doid/releases/2024-01-31"
    assert read.edges.row(0, named=True)["licence"] == "https://creativecommons.org/publicdomain/zero/1.0/"
    assert read.synonyms.rows() == [
        ("DOID:162", "malignant tumor", None),
        ("DOID:162", "癌症", "zh"),
        ("DOID:162", 'a "quoted" name', None),
    ]
    assert set(read.references.rows()) == {
        ("DOID:162", "UMLS_CUI:C0006826"),
        ("DOID:162", "MESH:D009369"),
        ("DOID:154", "DOID:162"),
        ("DOID:9", "DOID:2531"),
    }
    (finding,) = read.findings
    assert str(finding.message) == (
        "doid.obo: 1 obsolete term was excluded (DOID:9); 1 edge of another term still leads to one"
    )


def test_what_is_no_ontology_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.obo"
    path.write_text("head\trelation\ttail\n")
    with pytest.raises(UserError, match=r"holds no \[Term\]"):
        read_obo(path, {})
