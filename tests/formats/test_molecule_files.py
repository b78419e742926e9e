"""Tables, SDF and lists of SMILES are read as they stand, and what cannot be read is refused by name."""

import gzip
from pathlib import Path

import polars as pl
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from medeor.contracts import UserError
from medeor.formats.molecules import identifiers, read_molecules, write_sdf

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "OC(=O)c1ccccc1O"]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", " "])
def test_any_separator_is_found_and_said(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join([f"id{mark}SMILES{mark}y", *(f"{i}{mark}{s}{mark}{i}.5" for i, s in enumerate(SMILES))]))
    rows = read_molecules(path)
    assert rows.structures.to_list() == SMILES
    assert rows.facts["y"].to_list() == [0.5, 1.5, 2.5, 3.5]
    assert rows.places[0] == "row 2 of x.csv"
    word = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}[mark]
    assert rows.notes == ("SMILES in column 'SMILES'", f"values set apart by {word}")


def test_parquet_excel_and_compressed_tables(tmp_path: Path) -> None:
    table = pl.DataFrame({"smiles": SMILES, "y": [1.0, 2.0, 3.0, 4.0]})
    table.write_parquet(tmp_path / "x.parquet")
    table.write_excel(tmp_path / "x.xlsx")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(table.write_csv().encode()))
    for name in ("x.parquet", "x.xlsx", "x.csv.gz"):
        rows = read_molecules(tmp_path / name)
        assert rows.structures.to_list() == SMILES
        assert rows.facts["y"].to_list() == [1.0, 2.0, 3.0, 4.0]


def test_a_column_without_a_usual_name_is_found_by_parsing() -> None:
    table = pl.DataFrame({"name": ["aspirin", "caffeine", "ibuprofen", "CON"], "ligand": SMILES})
    assert read_molecules(table).structures.to_list() == SMILES


def test_a_column_that_is_called_smiles_and_holds_names_is_passed_over() -> None:
    table = pl.DataFrame({"drug": ["aspirin", "caffeine", "ibuprofen", "salicylate"], "ligand": SMILES})
    assert read_molecules(table).structures.to_list() == SMILES


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pl.DataFrame({"a": ["x y", "z"], "b": [1, 2]}), "no column of the table holds SMILES.*'a', 'b'"),
        (pl.DataFrame({"smiles": ["xx", "yy"], "y": [1, 2]}), "column 'smiles' of the table .* such as 'xx'"),
        (pl.DataFrame({"p": SMILES, "q": SMILES}), r"several columns of structures \(p, q\)"),
        (pl.DataFrame({SMILES[0]: SMILES[1:], "1": ["0", "1", "1"]}).rename({"1": "y"}), "no header"),
    ],
)
def test_what_leaves_the_structures_open_is_refused(table: pl.DataFrame, said: str) -> None:
    if said == "no header":
        table = table.rename({SMILES[0]: SMILES[0]}).with_columns(pl.Series(SMILES[0], ["a", "b", "c"]))
    with pytest.raises(UserError, match=said):
        read_molecules(table)


def test_a_named_column_has_to_be_there() -> None:
    with pytest.raises(UserError, match="no column 'ligand'"):
        read_molecules(pl.DataFrame({"smiles": SMILES}), "ligand")


def test_lists_of_smiles_with_and_without_names(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("".join(f"{s} name {i}\n" for i, s in enumerate(SMILES)))
    (tmp_path / "b.txt").write_text("\n".join(SMILES))
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress("\n".join(SMILES).encode()))
    rows = read_molecules(tmp_path / "a.smi")
    assert rows.structures.to_list() == SMILES
    assert rows.facts["name"].to_list() == [f"name {i}" for i in range(4)]
    assert rows.places[1] == "line 2 of a.smi"
    for name in ("b.txt", "c.txt.gz"):
        assert read_molecules(tmp_path / name).structures.to_list() == SMILES


def test_one_smiles_is_a_source() -> None:
    assert read_molecules(SMILES[0]).structures.to_list() == [SMILES[0]]
    with pytest.raises(UserError, match="neither a file of molecules"):
        read_molecules("no such thing")


def test_a_file_that_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_molecules(tmp_path / "x.sdf")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"smiles\nCC\n")[:-6])
    with pytest.raises(UserError, match="damaged"):
        read_molecules(tmp_path / "x.csv.gz")


def _sdf(path: Path, flat: bool) -> None:
    with Chem.SDWriter(str(path)) as writer:
        for number, smiles in enumerate([*SMILES, "C[C@H](N)C(=O)O"]):
            mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
            if flat:
                AllChem.Compute2DCoords(mol)
            else:
                AllChem.EmbedMolecule(mol, randomSeed=7)
            mol.SetProp("_Name", f"compound {number}")
            mol.SetProp("pIC50", f"{number + 4.5}")
            mol.SetProp("note", "a, b")
            writer.write(mol)


@pytest.mark.parametrize("flat", [True, False])
def test_an_sdf_gives_structures_and_properties(tmp_path: Path, flat: bool) -> None:
    _sdf(tmp_path / "x.sdf", flat)
    (tmp_path / "y.sdf.gz").write_bytes(gzip.compress((tmp_path / "x.sdf").read_bytes()))
    for name in ("x.sdf", "y.sdf.gz"):
        rows = read_molecules(tmp_path / name)
        flat_ones = [Chem.MolToSmiles(Chem.MolFromSmiles(text), isomericSmiles=False) for text in rows.structures]
        assert flat_ones == [Chem.CanonSmiles(smiles) for smiles in [*SMILES, "CC(N)C(=O)O"]]
        assert rows.structures[4] == Chem.CanonSmiles("C[C@H](N)C(=O)O")
        assert ("@" in rows.structures[2]) == (not flat)  # in space, ibuprofen is one hand or the other
        assert rows.facts["pIC50"].to_list() == [4.5, 5.5, 6.5, 7.5, 8.5]
        assert rows.facts["note"][0] == "a, b"
        assert rows.facts["name"][4] == "compound 4"
        assert rows.notes == (("5 records in 2-D, 0 in 3-D") if flat else "0 records in 2-D, 5 in 3-D",)


def test_a_broken_record_keeps_its_place_and_properties(tmp_path: Path) -> None:
    _sdf(tmp_path / "x.sdf", True)
    records = (tmp_path / "x.sdf").read_text().split("$$$$\n")
    records[1] = records[1].replace("V2000", "V9999")
    (tmp_path / "x.sdf").write_text("$$$$\n".join(records))
    rows = read_molecules(tmp_path / "x.sdf")
    assert rows.structures.null_count() == 1
    assert rows.structures[1] is None
    assert "damaged" in rows.problems[1]
    assert rows.facts["pIC50"][1] == 5.5
    assert rows.places[1] == "record 2 of x.sdf"


def test_an_sdf_that_is_written_is_read_by_rdkit(tmp_path: Path) -> None:
    facts = pl.DataFrame({"value": [0.123456789, None], "verdict": ["in", "unknown"]})
    write_sdf(tmp_path / "out.sdf", [SMILES[0], None], facts)
    first, second = Chem.SDMolSupplier(str(tmp_path / "out.sdf"))
    assert Chem.MolToSmiles(first) == Chem.CanonSmiles(SMILES[0])
    assert first.GetProp("value") == "0.123457"
    assert second.GetNumAtoms() == 0
    assert second.GetPropsAsDict() == {"verdict": "unknown"}


def test_the_title_of_a_record_is_the_first_identifier_that_is_known(tmp_path: Path) -> None:
    facts = pl.DataFrame({"value": [1.0, 2.0, 3.0], "Compound ID": [7, 8, None], "Name": ["a\nb", None, None]})
    assert identifiers(facts.columns) == ["Name", "Compound ID"]
    write_sdf(tmp_path / "out.sdf", SMILES[:3], facts)
    titles = [mol.GetProp("_Name") for mol in Chem.SDMolSupplier(str(tmp_path / "out.sdf"))]
    assert titles == ["a b", "8", ""]


def test_no_name_or_value_ends_a_record_or_begins_another(tmp_path: Path) -> None:
    end = "1\n\n$$$$\nevil\n"
    facts = pl.DataFrame(
        {"Name": [end, "$$$$"], f"x>{end}<y": [end, ">  <z>"], "_Name": ["a", "b"], "y": [">24", "-1"]}
    )
    write_sdf(tmp_path / "t.sdf", ["CCO", "CCN"], facts)
    assert (tmp_path / "t.sdf").read_text().splitlines().count("$$$$") == 2
    read = list(Chem.SDMolSupplier(str(tmp_path / "t.sdf")))
    assert [Chem.MolToSmiles(one) for one in read] == ["CCO", "CCN"]
    assert [sorted(one.GetPropNames()) for one in read] == [["Name", "x)1 $$$$ evil (y", "y"]] * 2
    assert [one.GetProp("y") for one in read] == [">24", "-1"]
    assert [one.GetProp("_Name").split() for one in read] == [["1", "$$$$", "evil"], ["$$$$"]]
