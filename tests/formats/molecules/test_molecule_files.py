"""Tables, SDF and lists of SMILES are read as they stand, and what cannot be read is refused by name."""

import gzip
import re
from pathlib import Path

import polars as pl
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from medeor.contracts import UserError
from medeor.formats.molecules.read import identifiers, read_molecules, write_sdf

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
    assert [str(note) for note in rows.notes] == ["SMILES in column 'SMILES'", f"values separated by {word}"]


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
        (pl.DataFrame({"a": ["x y", "z"], "b": [1, 2]}), "no column of the table holds SMILES; it has a, b"),
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
        (note,) = rows.notes
        assert str(note) == ("5 records in 2-D, 0 in 3-D" if flat else "0 records in 2-D, 5 in 3-D")


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


# Without a header ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ("{s}", []),
        ("CMP-{i:03d},{s}", ["column_1"]),
        ("{s},CMP-{i:03d}", ["column_2"]),
        ("{s},{i}.5", ["column_2"]),
        ("{i}.5,{s}", ["column_1"]),
        ("{s}\t{i}\tx", ["column_2", "column_3"]),
        ("{s};{i},5", ["column_2"]),
    ],
)
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt", "x.csv.gz"])
def test_a_table_without_a_header_loses_no_molecule(tmp_path: Path, line: str, columns: list[str], name: str) -> None:
    text = "\n".join(line.format(s=s, i=i) for i, s in enumerate(SMILES)) + "\n"
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    rows = read_molecules(tmp_path / name)
    assert rows.structures.to_list() == SMILES
    if name != "x.txt":  # a list, where the second column is the name
        assert rows.facts.columns == columns
    assert rows.places[0] in (f"row 1 of {name}", f"line 1 of {name}")


def test_a_single_row_and_a_first_row_that_is_broken_are_rows_too(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(f"{SMILES[0]},5.5\n")
    assert read_molecules(tmp_path / "one.csv").structures.to_list() == SMILES[:1]
    (tmp_path / "broken.csv").write_text("\n".join(["c1ccc(C,5.5", *(f"{s},{i}.5" for i, s in enumerate(SMILES))]))
    assert read_molecules(tmp_path / "broken.csv").structures.to_list() == ["c1ccc(C", *SMILES]


def test_a_sheet_without_a_header_is_read_and_a_table_in_memory_refused(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": SMILES, "b": [1.5, 2.5, 3.5, 4.5]})
    table.write_excel(tmp_path / "x.xlsx", include_header=False)
    rows = read_molecules(tmp_path / "x.xlsx")
    assert rows.structures.to_list() == SMILES
    assert rows.facts.to_series().to_list() == [1.5, 2.5, 3.5, 4.5]
    lost = table.rename({"a": "CCOC(=O)c1ccccc1"})
    with pytest.raises(UserError, match=r"no header: its first row is a molecule \(CCOC"):
        read_molecules(lost)


def test_a_header_stays_a_header_whatever_it_says(tmp_path: Path) -> None:
    for header in ("smiles,N", "Canonical SMILES,CO", "id,SMILES", "ligand,2019"):
        cells = [f"{s},{i}.5" for i, s in enumerate(SMILES)]
        cells = [",".join(reversed(cell.split(","))) for cell in cells] if header == "id,SMILES" else cells
        (tmp_path / "x.csv").write_text("\n".join([header, *cells]))
        if header != "ligand,2019":
            assert read_molecules(tmp_path / "x.csv").structures.to_list() == SMILES


# Quotes, names, lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "remarks",
    [['5" tube', "x", "y", "z"], ['"open', "x", "y", "z"], ["x", '"a', 'b"', "z"], ['a "b" c', '"', "y", "z"]],
)
def test_quotes_in_a_table_of_tabs_swallow_nothing(tmp_path: Path, remarks: list[str]) -> None:
    lines = [f"{s}\t{r}\t{i}.5" for i, (s, r) in enumerate(zip(SMILES, remarks))]
    (tmp_path / "x.tsv").write_text("\n".join(["smiles\tremark\ty", *lines]))
    rows = read_molecules(tmp_path / "x.tsv")
    assert rows.structures.to_list() == SMILES
    assert rows.facts["remark"].to_list() == remarks
    assert rows.facts["y"].to_list() == [0.5, 1.5, 2.5, 3.5]


def test_quotes_that_enclose_values_are_taken_off(tmp_path: Path) -> None:
    lines = [f'"{s}"\t"say ""{i}"""' for i, s in enumerate(SMILES)]
    (tmp_path / "x.tsv").write_text("\n".join(["smiles\tremark", *lines]))
    rows = read_molecules(tmp_path / "x.tsv")
    assert rows.structures.to_list() == SMILES
    assert rows.facts["remark"][2] == 'say "2"'
    (tmp_path / "x.csv").write_text("\n".join(["smiles,remark", *(f'{s},"a, b\nc"' for s in SMILES)]))
    assert read_molecules(tmp_path / "x.csv").facts["remark"].to_list() == ["a, b\nc"] * 4


def test_a_quote_that_swallows_rows_of_unequal_width_is_refused(tmp_path: Path) -> None:
    text = 'smiles,remark,y\nCCO,"a, b",1\nCCN,"open,2\nCCC,closed",3\nCCCl,x,4\n'
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(UserError, match="a quote that opens in line 3"):
        read_molecules(tmp_path / "x.csv")


@pytest.mark.parametrize(
    "names",
    [["12E2", "13E2", "14E5", "10E1"], [f"{12345678901234567890 + i}" for i in range(4)], ["1.10", "1.1", "2", "3"]],
)
@pytest.mark.parametrize("heading", ["Compound ID", "name", "plate_id", "Barcode", "chembl_id"])
def test_names_stay_as_they_are_written(tmp_path: Path, names: list[str], heading: str) -> None:
    for mark in ",;\t":
        lines = [f"{s}{mark}{name}" for s, name in zip(SMILES, names)]
        (tmp_path / "x.csv").write_text("\n".join([f"smiles{mark}{heading}", *lines]))
        assert read_molecules(tmp_path / "x.csv").facts[heading].to_list() == names


def test_a_list_may_have_the_name_first_and_a_header(tmp_path: Path) -> None:
    path = tmp_path / "x.smi"
    path.write_text("".join(f"CMP-{i} {s}\n" for i, s in enumerate(SMILES)))
    rows = read_molecules(path)
    assert rows.structures.to_list() == SMILES
    assert rows.facts["name"].to_list() == [f"CMP-{i}" for i in range(4)]
    for text in ("ID\tSMILES\n", "id,smiles\n"):
        mark = "\t" if "\t" in text else ","
        path.write_text(text + "".join(f"CMP-{i}{mark}{s}\n" for i, s in enumerate(SMILES)))
        assert read_molecules(path).structures.to_list() == SMILES
    path.write_text("smiles name\n" + "".join(f"{s} CMP-{i}\n" for i, s in enumerate(SMILES)))
    rows = read_molecules(path)
    assert rows.structures.to_list() == SMILES
    assert rows.places[0] == "line 2 of x.smi"


def test_inchi_is_read_as_a_structure(tmp_path: Path) -> None:
    inchi = [Chem.MolToInchi(Chem.MolFromSmiles(text)) for text in SMILES]
    rows = read_molecules(pl.DataFrame({"InChI": [*inchi, "InChI=1S/nonsense"], "y": [1, 2, 3, 4, 5]}))
    assert [Chem.CanonSmiles(text) for text in rows.structures[:4]] == [Chem.CanonSmiles(text) for text in SMILES]
    assert "InChI" in rows.problems[4]
    assert Chem.CanonSmiles(read_molecules(inchi[0]).structures[0]) == Chem.CanonSmiles(SMILES[0])
    (tmp_path / "x.smi").write_text("".join(f"{text} n{i}\n" for i, text in enumerate(inchi)))
    assert read_molecules(tmp_path / "x.smi").facts["name"].to_list() == ["n0", "n1", "n2", "n3"]


def test_a_second_column_of_structures_is_named_unless_it_says_the_same() -> None:
    table = pl.DataFrame({"smiles": SMILES, "solvent": SMILES[::-1], "y": [1, 2, 3, 4]})
    (found,) = read_molecules(table).findings
    assert found.status == "fail"
    assert "column solvent of" in str(found.message)
    assert read_molecules(table, "smiles").findings[0].status == "pass"
    same = table.with_columns(pl.Series("solvent", [Chem.MolToSmiles(Chem.MolFromSmiles(s)) for s in SMILES]))
    assert read_molecules(same).findings == ()


# SDF as hands write it -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["$$$$", "$$$$ ", "$$$$\t", "$$$$\r", " $$$$", "$$$$ \r"])
def test_records_end_at_dollars_whatever_blanks_stand_around(tmp_path: Path, end: str) -> None:
    _sdf(tmp_path / "x.sdf", True)
    text = (tmp_path / "x.sdf").read_text().replace("$$$$\n", f"{end}\n")
    (tmp_path / "x.sdf").write_text(text, newline="")
    rows = read_molecules(tmp_path / "x.sdf")
    assert rows.facts["pIC50"].to_list() == [4.5, 5.5, 6.5, 7.5, 8.5]
    assert rows.facts["name"].to_list() == [f"compound {i}" for i in range(5)]
    assert rows.structures.null_count() == 0


def test_two_molecules_in_one_record_give_neither_the_others_value(tmp_path: Path) -> None:
    _sdf(tmp_path / "x.sdf", True)
    text = (tmp_path / "x.sdf").read_text().replace("$$$$\n", "", 1)
    (tmp_path / "x.sdf").write_text(text)
    rows = read_molecules(tmp_path / "x.sdf")
    assert len(rows.structures) == 4
    assert rows.structures[0] is None
    assert "$$$$" in rows.problems[0]


@pytest.mark.parametrize(
    "header",
    ["> <pIC50>", ">  <pIC50>  (1)", "><pIC50>", "> 25 <pIC50>", "> (C-1) <pIC50>", ">\t<pIC50>", "> DT12 <pIC50>"],
)
def test_headings_of_data_items_as_programs_write_them(tmp_path: Path, header: str) -> None:
    _sdf(tmp_path / "x.sdf", True)
    text = (tmp_path / "x.sdf").read_text()
    (tmp_path / "x.sdf").write_text(re.sub(r">  <pIC50>.*", header, text))
    rows = read_molecules(tmp_path / "x.sdf")
    assert rows.facts["pIC50"].to_list() == [4.5, 5.5, 6.5, 7.5, 8.5]
    assert rows.facts["note"].to_list() == ["a, b"] * 5


def test_values_that_begin_like_a_heading_and_blocks_without_an_end(tmp_path: Path) -> None:
    block = Chem.MolToMolBlock(Chem.MolFromSmiles(SMILES[0]))
    (tmp_path / "x.sdf").write_text(
        f"{block}> <IC50>\n>5 and <10\n\n> <n>\n2\n\n$$$$\n\n{block.replace('M  END', '')}> <IC50>\n7\n\n$$$$\n"
    )
    rows = read_molecules(tmp_path / "x.sdf")
    assert rows.facts["IC50"].to_list() == [">5 and <10", "7"]
    assert rows.facts["n"].to_list() == [2, None]
    assert rows.structures.null_count() == 0


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
